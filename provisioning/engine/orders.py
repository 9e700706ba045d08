"""What becomes of the harm in a plan: what is held, what a person ruled on, what passes. Pure: it works on the survey
of the plan, and knows no store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from provisioning.engine.jobs import Ruling
from provisioning.engine.surveying import Grouped, Portion, Removal, Survey, plan_identity, rest
from provisioning.rules.review import HarmKind

Part = HarmKind | Grouped
"""All harm of a kind, or the part of it that concerns the members of one group."""


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
        return _is_among(removal, self.shown) or removal.is_listed(self.ruling)

    def holds(self, removal: Removal) -> bool:
        return _is_among(removal, self.above) and not self.rules(removal)


def _is_among(removal: Removal, parts: Collection[Part]) -> bool:
    return removal.harm.kind in parts or removal.group in parts


def orders_for(
    found: Survey, above: Collection[Part], ruling: Ruling | None, *, for_groups: Collection[str] = ()
) -> Orders:
    """`above` is what the limits hold; `for_groups` are the kinds that were held for the limits of groups only. Beside
    what a person ruled on nothing of its kind, or of its group, goes through that they had not seen.
    """
    ruled: set[Part] = {kind for kind in (*found.listed, *found.approved) if kind not in for_groups}
    ruled |= {group for group, count in found.groups.items() if group[0] in for_groups and count.is_ruled}
    shown = _shown(found, above, ruling)
    holding = frozenset({*above, *ruled})
    left = {part: rest(*_fresh(found, part)) for part in _disjoint(holding) if part not in shown}
    held: dict[HarmKind, int] = {}
    for part, portion in (*left.items(), *found.waiting.items()):
        kind = _kind_of(part)
        held[kind] = held.get(kind, 0) + portion.number
    plan = plan_identity([*left.values(), *found.waiting.values()])
    number = sum(portion.number for portion in left.values())
    return Orders(ruling, shown, holding, number, plan, {kind: held[kind] for kind in sorted(held) if held[kind]})


def _shown(found: Survey, above: Collection[Part], ruling: Ruling | None) -> frozenset[Part]:
    """What a dry run has listed as the plan that a person ruled on. A review may have died half-way through it: what is
    approved already belonged to the whole kind, or to its groups.
    """
    if ruling is None or found.listed:
        return frozenset()
    kinds: set[Part] = {kind for kind in found.approved if kind in found.fresh}
    groups: set[Part] = {group for group, count in found.groups.items() if count.approved}
    for begun in (kinds, groups):
        parts = frozenset(_disjoint({*above, *begun}))
        fresh = [_fresh(found, part)[0] for part in parts]
        if ruling.plan == plan_identity([*fresh, *found.approved.values(), *found.waiting.values()]):
            return parts
    return frozenset()


def _disjoint(parts: Collection[Part]) -> Iterator[Part]:
    """Without the groups of a kind that is there as a whole."""
    return (part for part in parts if isinstance(part, str) or part[0] not in parts)


def _fresh(found: Survey, part: Part) -> tuple[Portion, Portion | None]:
    """What was not let through yet, and how much of it is listed in the plan that a person ruled on."""
    if isinstance(part, str):
        return found.fresh.get(part, Portion()), found.listed.get(part)
    count = found.groups[part]
    return count.fresh, count.listed


def _kind_of(part: Part) -> HarmKind:
    return part if isinstance(part, str) else part[0]
