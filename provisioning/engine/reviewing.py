"""The review of a plan: counts all the harm in it and in the last 24 hours, and holds, outside the plan, what is too
much of a kind. What a person approved goes on, what they rejected is left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from provisioning.engine.deciding import lane_of
from provisioning.engine.jobs import HeldRemovals, JobState, Ruling
from provisioning.engine.keys import digest, identity
from provisioning.engine.plan import PlanRow, merge
from provisioning.engine.progress import StepResult
from provisioning.engine.settling import Settled, settle
from provisioning.engine.tally import kind_of
from provisioning.engine.work import Work
from provisioning.model import Clearance, Decision, Hold, Pending, Skip
from provisioning.rules.review import (
    REJECTED,
    Harm,
    HarmKind,
    Verdict,
    clearance_of,
    harm_of,
    is_cleared,
    review,
    version_of,
)
from provisioning.rules.summary import Occurrence

MANAGED: Mapping[HarmKind, tuple[str, ...]] = {
    "users": ("user",),
    "groups": ("group",),
    "memberships": ("member",),
    "wipes": ("user", "group"),
}
LISTED_IN = 48
"""Plans that a held row remembers: with a cycle every 40 minutes, more than those that an approval outlives."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A row of the plan whose decision does harm."""

    row: PlanRow
    decision: Decision
    harm: Harm
    version: str

    @property
    def line(self) -> str:
        return f"{self.decision.object} {self.version}"


@dataclass(frozen=True, slots=True)
class Base:
    """What the limits are taken of: `managed` objects by type, those linked earlier in this cycle included."""

    managed: Mapping[str, int]
    held: HeldRemovals | None

    def of(self, kind: HarmKind, removals: Sequence[Removal]) -> int:
        """Records that would be adopted count with the wipes: in the first cycle there is nothing else. While a kind is
        held its limit does not grow: who was held would pass unseen as soon as more accounts are managed.
        """
        number = sum(self.managed.get(name, 0) for name in MANAGED[kind])
        if kind == "wipes":
            number += sum(each.harm.kind == kind and _is_new(each.decision) for each in removals)
        known = self.held.managed.get(kind) if self.held is not None else None
        return number if known is None else min(number, known)


async def review_plan(work: Work) -> StepResult:
    """Of a run on demand, by what it does itself and what the last 24 hours did. Raises nothing: what is held is a
    result, with the id of the plan under which a person can approve it.
    """
    return await _Review(work, await _removals(work), await _held(work), whole=False).carry_out({})


async def review_cycle(work: Work, counts: Mapping[str, int]) -> StepResult:
    """As `review_plan`, for the whole cycle, which has counted `counts` so far: what is held already counts as well. A
    review that broke off half-way, or one that follows when more was collected, would otherwise let the rest through.
    """
    return await _Review(work, await _removals(work), await _held(work), whole=True).carry_out(counts)


class _Review:
    """One review. `waiting` is what is held and not in this plan."""

    def __init__(self, work: Work, removals: Sequence[Removal], held: Sequence[Pending], *, whole: bool) -> None:
        planned = {each.decision.object for each in removals}
        self.work = work
        self.removals = removals
        self.known = {pending.object: pending for pending in held}
        self.waiting = [pending for pending in held if pending.object not in planned]
        self.whole = whole

    async def carry_out(self, counts: Mapping[str, int]) -> StepResult:
        work, at = self.work, self.work.context.now()
        state, _ = await work.context.rows.state()
        if not self.removals and not self.waiting and state.held is None:
            return work.tally.result()
        cleared = [each for each in self.removals if is_cleared(each.row.pending)]
        fresh = [each for each in self.removals if not is_cleared(each.row.pending)]
        executed = await work.context.executed.count(at)
        verdicts = self._verdicts(fresh, [each for each in cleared if not _is_approved(each)], executed, state, counts)
        above = {verdict.kind for verdict in verdicts if verdict.held}
        ruling = self._ruling(state, at)
        over = [each for each in fresh if each.harm.kind in above]
        ruled = _covered(fresh, over, self._plan_of(over), ruling)
        if ruling is not None and ruled:
            await self._apply(ruling, ruled)
            fresh = [each for each in fresh if each not in ruled]
        # Beside what was approved nothing of its kind goes through that the person had not seen.
        above |= {each.harm.kind for each in (*ruled, *(each for each in cleared if _is_approved(each)))}
        holding = [each for each in fresh if each.harm.kind in above]
        await self._clear([(each, clearance_of(each.harm)) for each in fresh if each.harm.kind not in above])
        if not self.whole and not holding:
            return work.tally.result()
        plan = self._plan_of(holding)
        await self._hold(holding, plan)
        await self._remember(holding, plan, verdicts, state, at)
        listed = bool(holding or self.waiting)
        return replace(work.tally.result(), held=plan if listed else None)

    def _ruling(self, state: JobState, at: float) -> Ruling | None:
        """What a person said of a held plan, in force from the first cycle that finds it to that cycle's end."""
        ruling = state.ruling
        if not self.whole or ruling is None or ruling.used not in {"", self.work.origin.cycle}:
            return None
        return ruling if ruling.expires > at else None

    def _verdicts(
        self,
        fresh: Sequence[Removal],
        passed: Sequence[Removal],
        executed: Mapping[str, int],
        state: JobState,
        counts: Mapping[str, int],
    ) -> list[Verdict]:
        now = Counter(each.harm.kind for each in (*fresh, *passed))
        if self.whole:
            now.update(kind for pending in self.waiting if (kind := _kind(pending)) is not None)
        growth = counts if state.counted != self.work.origin.cycle else {}
        managed = {
            name: state.managed.get(name, 0) + max(0, growth.get(f"managed.{name}", 0))
            for name in ("user", "group", "member")
        }
        base = Base(managed, state.held)
        job = self.work.context.job
        return [
            review(
                kind,
                number + executed.get(kind, 0),
                base.of(kind, self.removals),
                job.limits_of(kind),
                executed=executed.get(kind, 0),
            )
            for kind, number in sorted(now.items())
        ]

    def _plan_of(self, holding: Sequence[Removal]) -> str:
        return plan_identity([*(each.line for each in holding), *(_line(pending) for pending in self.waiting)])

    async def _apply(self, ruling: Ruling, ruled: Sequence[Removal]) -> None:
        """Noted as used before anything is let go: it is in force for this cycle alone, however often that dies."""
        work = self.work
        used = replace(ruling, used=work.origin.cycle)
        if ruling != used:
            await work.context.rows.change_state(
                lambda state: replace(state, ruling=used) if state.ruling == ruling else state
            )
            await work.context.rows.record_ruling(used)
        if ruling.approves:
            # Each row remembers it: what is left of them when a worker has died half-way is still approved.
            await self._clear([(each, Clearance(each.harm.kind, each.harm.deletes, each.version)) for each in ruled])
            return
        users = [each for each in ruled if not each.decision.object.startswith("member:")]
        links = await work.context.links.load([identity(each.decision.object) for each in users]) if users else {}
        items = []
        for each in ruled:
            known = links.get(identity(each.decision.object))
            rejected = Skip(REJECTED, f"what was to be done was rejected with plan {ruling.plan}")
            row = PlanRow(replace(each.row.pending, withdrawn=False), each.row.partition, each.row.key, each.row.etag)
            decision = replace(each.decision, action=rejected)
            link, etag = (known.link, known.etag) if known is not None else (None, "")
            items.append(Settled(row, decision, None, link, etag))
        await settle(work, items)

    async def _clear(self, items: Sequence[tuple[Removal, Clearance]]) -> None:
        """An update goes back to its own lane, behind the leavers."""
        rows = []
        for each, clearance in items:
            pending = replace(each.row.pending, clearance=clearance)
            rows.append((each.row, replace(pending, lane=lane_of(pending, each.decision))))
        for row in await self.work.plan.record(rows):
            if row.pending.lane != "removals":
                self.work.tally.add_decided(row.pending.lane, row.pending.object)

    async def _hold(self, holding: Sequence[Removal], plan: str) -> None:
        """Into the held table, logged as StagedDelete unless it was before, out of the plan: in this order."""
        work, at = self.work, self.work.context.now()
        held = []
        anew = []
        for each in holding:
            pending = each.row.pending
            if (other := self.known.get(pending.object)) is not None:
                pending = merge(other, pending)
            if pending.hold is None or pending.hold.version != each.version:
                anew.append(each)
                pending = replace(pending, hold=Hold(each.version))
            held.append(replace(pending, decision=each.decision, clearance=None))
            work.tally.count(f"{kind_of(each.decision)}.held")
        await work.context.held.add([_listed(pending, plan) for pending in (*held, *self.waiting)])
        await work.context.journal.add([self._staged(each, at) for each in anew], work.origin)
        await work.plan.settle([each.row for each in holding])

    def _staged(self, removal: Removal, at: float) -> Occurrence:
        name = digest("held", self.work.origin.cycle, removal.decision.object)
        change = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:32]}"
        return Occurrence(removal.decision, None, change, at, staged=True)

    async def _remember(
        self, holding: Sequence[Removal], plan: str, verdicts: Sequence[Verdict], state: JobState, at: float
    ) -> None:
        """What is held now, for whoever asks about the job."""
        kinds = Counter(each.harm.kind for each in holding)
        kinds.update(kind for pending in self.waiting if (kind := _kind(pending)) is not None)
        before = state.held
        known = before or HeldRemovals("", at)
        allowed = {**known.allowed, **{verdict.kind: verdict.allowed for verdict in verdicts}}
        managed = {**known.managed, **{verdict.kind: verdict.managed for verdict in verdicts}}
        executed = {**known.executed, **{verdict.kind: verdict.executed for verdict in verdicts}}
        held = HeldRemovals(
            plan,
            since=known.since,
            counts=dict(sorted(kinds.items())),
            allowed={kind: allowed.get(kind, 0) for kind in sorted(kinds)},
            managed={kind: managed.get(kind, 0) for kind in sorted(kinds)},
            executed={kind: number for kind, number in sorted(executed.items()) if number and kind in kinds},
        )
        after = held if kinds else None
        if after != before:
            await self.work.context.rows.change_state(lambda known: replace(known, held=after))


def plan_identity(lines: Sequence[str]) -> str:
    """The same for the same objects with the same actions and values, whenever they are planned."""
    return digest(*sorted(lines))[:16]


def _covered(fresh: Sequence[Removal], above: Sequence[Removal], plan: str, ruling: Ruling | None) -> list[Removal]:
    """Exactly what the plan listed that a person has ruled on, as it was then. If only a dry run has shown that plan:
    what is `above` the limits now, if that makes the same `plan`.
    """
    if ruling is None:
        return []
    listed = [
        each
        for each in fresh
        if (hold := each.row.pending.hold) is not None and ruling.plan in hold.plans and hold.version == each.version
    ]
    return listed or (list(above) if ruling.plan == plan else [])


def _is_approved(removal: Removal) -> bool:
    clearance = removal.row.pending.clearance
    return clearance is not None and bool(clearance.version)


def _is_new(decision: Decision) -> bool:
    return decision.match is not None and decision.match.how != "link"


def _kind(pending: Pending) -> HarmKind | None:
    harm = harm_of(pending.decision) if pending.decision is not None else None
    return harm.kind if harm is not None else None


def _line(pending: Pending) -> str:
    return f"{pending.object} {pending.hold.version if pending.hold is not None else ''}"


def _listed(pending: Pending, plan: str) -> Pending:
    hold = pending.hold
    if hold is None or hold.plans[-1:] == (plan,):
        return pending
    return replace(pending, hold=replace(hold, plans=(*hold.plans, plan)[-LISTED_IN:]))


async def _removals(work: Work) -> list[Removal]:
    found: list[Removal] = []
    after = ""
    while rows := await work.plan.rows("removals", "00", "ff", after=after):
        for row in rows:
            decision = row.pending.decision
            if decision is not None and (harm := harm_of(decision)) is not None:
                found.append(Removal(row, decision, harm, version_of(decision)))
        after = rows[-1].key
    return found


async def _held(work: Work) -> list[Pending]:
    found: list[Pending] = []
    after = ""
    while held := await work.context.held.page(after):
        found += [pending for _, pending in held]
        after = held[-1][0].key
    return found
