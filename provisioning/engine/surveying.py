"""The harm in a plan and beside it, counted page by page: a plan that would remove a million people fits as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from provisioning.engine.jobs import Ruling
from provisioning.engine.keys import digest
from provisioning.engine.plan import PlanRow
from provisioning.engine.work import Work
from provisioning.model import REMOVING, Decision, Lane, Pending
from provisioning.rules.review import Grouped, Harm, HarmKind, Part, harm_of, is_cleared, parts_of, version_of

SPACE = 2**256


@dataclass(frozen=True, slots=True)
class Removal:
    """A row of the plan whose decision does harm."""

    row: PlanRow
    decision: Decision
    harm: Harm
    version: str

    @property
    def parts(self) -> tuple[Part, ...]:
        return parts_of(self.decision, self.harm.kind)

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
    """What is `fresh`, not yet let through; the part of it that is `listed` in the plan that a person has ruled on;
    what has `passed` within the limits and what was `approved`, both still to be carried out; what is `waiting`, held
    outside the plan.
    """

    fresh: Portion = field(default_factory=Portion)
    listed: Portion = field(default_factory=Portion)
    approved: Portion = field(default_factory=Portion)
    waiting: Portion = field(default_factory=Portion)
    passed: int = 0

    @property
    def is_ruled(self) -> bool:
        """Whether a person has ruled on some of it."""
        return bool(self.listed.number or self.approved.number)


@dataclass(slots=True)
class Survey:
    """The harm by kind, and by group where the group has a limit of its own, which is in `limits`. `adopted` counts
    records that others made and that would lose values.
    """

    kinds: dict[HarmKind, Count] = field(default_factory=dict)
    groups: dict[Grouped, Count] = field(default_factory=dict)
    limits: dict[Grouped, int] = field(default_factory=dict)
    adopted: int = 0

    @property
    def is_listed(self) -> bool:
        """Whether the plan that a person has ruled on lists something that was not let through yet."""
        return any(count.listed.number for count in self.kinds.values())

    def at(self, part: Part) -> Count:
        if isinstance(part, str):
            return self.kinds.setdefault(part, Count())
        return self.groups.setdefault(part, Count())

    def counts(self, decision: Decision, kind: HarmKind) -> list[Count]:
        """Where harm of a kind counts."""
        parts = parts_of(decision, kind)
        limits = {part: decision.group_limit for part in parts if not isinstance(part, str)}
        self.limits |= {part: limit for part, limit in limits.items() if limit is not None}
        return [self.at(part) for part in parts]


async def survey(work: Work, ruling: Ruling | None, lanes: Collection[Lane] = REMOVING) -> Survey:
    found = Survey()
    async for page in removals(work, lanes):
        for removal in page:
            match = removal.decision.match
            found.adopted += removal.harm.kind == "wipes" and match is not None and match.how != "link"
            for count in found.counts(removal.decision, removal.harm.kind):
                _add(count, removal, ruling)
    async for held in waiting(work):
        for pending in held:
            decision, harm = pending.decision, harm_of(pending.decision) if pending.decision is not None else None
            if decision is not None and harm is not None and pending.hold is not None:
                for count in found.counts(decision, harm.kind):
                    count.waiting.add(pending.object, pending.hold.version)
    return found


def _add(count: Count, removal: Removal, ruling: Ruling | None) -> None:
    key, version = removal.decision.object, removal.version
    if not removal.is_cleared:
        count.fresh.add(key, version)
        if removal.is_listed(ruling):
            count.listed.add(key, version)
    elif removal.is_approved:
        count.approved.add(key, version)
    else:
        count.passed += 1


async def removals(work: Work, lanes: Collection[Lane] = REMOVING) -> AsyncIterator[list[Removal]]:
    """Pages of the plan. Rows may be taken out of it in between, or move from a lane to one before it."""
    for lane in lanes:
        after = ""
        while rows := await work.plan.rows(lane, "00", "ff", after=after):
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


def plan_identity(portions: Collection[Portion]) -> str:
    """The id of the plan that lists them: the same for the same objects with the same actions and values, whenever they
    are planned.
    """
    return digest(f"{sum(portion.sum for portion in portions) % SPACE:064x}")[:16]


def rest(whole: Portion, part: Portion) -> Portion:
    return Portion(whole.number - part.number, (whole.sum - part.sum) % SPACE)
