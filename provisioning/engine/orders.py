"""What becomes of the harm in a plan: what is held, what a person ruled on, what passes. Pure: it works on the survey
of the plan, and knows no store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from provisioning.engine.jobs import Ruling
from provisioning.engine.surveying import Removal, Survey, plan_identity, rest
from provisioning.rules.review import HarmKind, Part


@dataclass(frozen=True, slots=True)
class Orders:
    """What becomes of the harm that was not let through yet: what a person has `ruled` on, as listed in that plan or,
    where nobody else has listed it, all of what a dry run has `shown`; of what is `above` the limits the rest is held,
    `number` of them, as part of `plan`, which then holds `held` by kind; the others pass.
    """

    ruling: Ruling | None
    shown: frozenset[Part]
    above: frozenset[Part]
    number: int
    plan: str
    held: dict[HarmKind, int]

    def rules(self, removal: Removal) -> bool:
        return not self.shown.isdisjoint(removal.parts) or removal.is_listed(self.ruling)

    def holds(self, removal: Removal) -> bool:
        return not self.above.isdisjoint(removal.parts) and not self.rules(removal)


def orders_for(
    found: Survey, above: Collection[Part], ruling: Ruling | None, *, for_groups: Collection[str] = ()
) -> Orders:
    """`above` is what the limits hold; `for_groups` are the kinds that were held for the limits of groups only. Beside
    what a person ruled on nothing of its kind, or of its group, goes through that they had not seen.
    """
    ruled: set[Part] = {kind for kind, count in found.kinds.items() if count.is_ruled and kind not in for_groups}
    ruled |= {group for group, count in found.groups.items() if count.is_ruled and group[0] in for_groups}
    shown = _shown(found, above, ruling)
    holding = frozenset({*above, *ruled})
    left = {part: rest(found.at(part).fresh, found.at(part).listed) for part in _disjoint(holding) if part not in shown}
    waiting = {kind: count.waiting for kind, count in found.kinds.items()}
    held: Counter[HarmKind] = Counter()
    for part, portion in (*left.items(), *waiting.items()):
        held[part if isinstance(part, str) else part[0]] += portion.number
    plan = plan_identity([*left.values(), *waiting.values()])
    number = sum(portion.number for portion in left.values())
    return Orders(ruling, shown, holding, number, plan, {kind: held[kind] for kind in sorted(held) if held[kind]})


def _shown(found: Survey, above: Collection[Part], ruling: Ruling | None) -> frozenset[Part]:
    """What a dry run has listed as the plan that a person ruled on. A review may have died half-way through it: what is
    approved already belonged to the whole kind, or to its groups.
    """
    if ruling is None or found.is_listed:
        return frozenset()
    counts = found.kinds.values()
    known = [*(count.approved for count in counts), *(count.waiting for count in counts)]
    kinds: set[Part] = {kind for kind, count in found.kinds.items() if count.approved.number and count.fresh.number}
    groups: set[Part] = {group for group, count in found.groups.items() if count.approved.number}
    for begun in (kinds, groups):
        parts = frozenset(_disjoint({*above, *begun}))
        if ruling.plan == plan_identity([*(found.at(part).fresh for part in parts), *known]):
            return parts
    return frozenset()


def _disjoint(parts: Collection[Part]) -> Iterator[Part]:
    """Without the groups of a kind that is there as a whole."""
    return (part for part in parts if isinstance(part, str) or part[0] not in parts)
