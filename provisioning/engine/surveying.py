"""The harm in a plan and beside it, counted page by page: a plan that would remove a million people fits as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from provisioning.engine.jobs import Ruling
from provisioning.engine.keys import digest, ends
from provisioning.engine.plan import PlanRow
from provisioning.engine.work import Work
from provisioning.model import Decision, Pending
from provisioning.rules.review import Harm, HarmKind, harm_of, is_cleared, version_of

SPACE = 2**256
Grouped = tuple[HarmKind, str]
"""A kind of harm, and the source id of the group whose members it concerns."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A row of the plan whose decision does harm."""

    row: PlanRow
    decision: Decision
    harm: Harm
    version: str

    @property
    def group(self) -> Grouped | None:
        """Whose limit it may count against."""
        return grouped(self.harm.kind, self.decision.object)

    @property
    def is_cleared(self) -> bool:
        return is_cleared(self.row.pending)

    @property
    def is_approved(self) -> bool:
        """Whether it was a person who let it through, or something like it."""
        clearance = self.row.pending.clearance
        return clearance is not None and bool(clearance.version)

    def is_listed(self, ruling: Ruling | None) -> bool:
        """Whether the plan that a person has ruled on listed exactly this."""
        hold = self.row.pending.hold
        return ruling is not None and hold is not None and ruling.plan in hold.plans and hold.version == self.version


@dataclass(slots=True)
class Portion:
    """Some of the harm: how much, and a sum of digests that says which, in whatever order it was read."""

    number: int = 0
    sum: int = 0

    def add(self, object_key: str, version: str) -> None:
        self.number += 1
        self.sum = (self.sum + int(digest(object_key, version), 16)) % SPACE


@dataclass(slots=True)
class Count:
    """What one group's limits are about, as in `Survey`."""

    fresh: Portion = field(default_factory=Portion)
    listed: Portion = field(default_factory=Portion)
    passed: int = 0
    approved: int = 0
    waiting: int = 0

    @property
    def is_ruled(self) -> bool:
        """Whether a person has ruled on some of it."""
        return bool(self.listed.number or self.approved)


@dataclass(slots=True)
class Survey:
    """By kind of harm: what is `fresh`, not yet let through; the part of it that is `listed` in the plan that a person
    has ruled on; what has `passed` within the limits and what was `approved`, both still to be carried out; what is
    `waiting`, held outside the plan. `adopted` counts records that others made and that would lose values, `groups`
    the same by kind and group, where groups have limits of their own.
    """

    fresh: dict[HarmKind, Portion] = field(default_factory=dict)
    listed: dict[HarmKind, Portion] = field(default_factory=dict)
    passed: Counter[HarmKind] = field(default_factory=Counter)
    approved: dict[HarmKind, Portion] = field(default_factory=dict)
    waiting: dict[HarmKind, Portion] = field(default_factory=dict)
    adopted: int = 0
    groups: dict[Grouped, Count] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.fresh or self.passed or self.approved or self.waiting)


async def survey(work: Work, ruling: Ruling | None) -> Survey:
    found, by_group = Survey(), work.context.job.group_limits.any
    async for page in removals(work):
        for removal in page:
            _count(found, removal, ruling)
            if by_group and (group := removal.group) is not None:
                _count_of_group(found.groups.setdefault(group, Count()), removal, ruling)
    async for held in waiting(work):
        for pending in held:
            if (kind := kind_of_held(pending)) is not None and pending.hold is not None:
                found.waiting.setdefault(kind, Portion()).add(pending.object, pending.hold.version)
                if by_group and (group := grouped(kind, pending.object)) is not None:
                    found.groups.setdefault(group, Count()).waiting += 1
    return found


def grouped(kind: HarmKind, object_key: str) -> Grouped | None:
    return (kind, ends(object_key)[0]) if object_key.startswith("member:") else None


def _count_of_group(found: Count, removal: Removal, ruling: Ruling | None) -> None:
    if removal.is_cleared:
        found.approved += removal.is_approved
        found.passed += not removal.is_approved
        return
    found.fresh.add(removal.decision.object, removal.version)
    if removal.is_listed(ruling):
        found.listed.add(removal.decision.object, removal.version)


def _count(found: Survey, removal: Removal, ruling: Ruling | None) -> None:
    kind, match = removal.harm.kind, removal.decision.match
    found.adopted += kind == "wipes" and match is not None and match.how != "link"
    if not removal.is_cleared:
        portions = [found.fresh, *([found.listed] if removal.is_listed(ruling) else ())]
        for portion in portions:
            portion.setdefault(kind, Portion()).add(removal.decision.object, removal.version)
    elif removal.is_approved:
        found.approved.setdefault(kind, Portion()).add(removal.decision.object, removal.version)
    else:
        found.passed[kind] += 1


async def removals(work: Work) -> AsyncIterator[list[Removal]]:
    """Pages of the plan. Rows may be taken out of it in between."""
    after = ""
    while rows := await work.plan.rows("removals", "00", "ff", after=after):
        yield [
            Removal(row, decision, harm, version_of(decision))
            for row in rows
            if (decision := row.pending.decision) is not None and (harm := harm_of(decision)) is not None
        ]
        after = rows[-1].key


async def waiting(work: Work) -> AsyncIterator[list[Pending]]:
    """Pages of what is held; what is in the plan as well, since a worker died, counts there."""
    after = ""
    while held := await work.context.held.page(after):
        planned = await work.plan.pending([pending.object for _, pending in held])
        yield [pending for _, pending in held if pending.object not in planned]
        after = held[-1][0].key


def kind_of_held(pending: Pending) -> HarmKind | None:
    harm = harm_of(pending.decision) if pending.decision is not None else None
    return harm.kind if harm is not None else None


def plan_identity(portions: Collection[Portion]) -> str:
    """The id of the plan that lists them: the same for the same objects with the same actions and values, whenever they
    are planned.
    """
    return digest(f"{sum(portion.sum for portion in portions) % SPACE:064x}")[:16]


def rest(whole: Portion, part: Portion | None) -> Portion:
    if part is None:
        return whole
    return Portion(whole.number - part.number, (whole.sum - part.sum) % SPACE)
