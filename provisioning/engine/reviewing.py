"""The review of a plan: counts all the harm in it and in the last 24 hours, and holds, outside the plan, what is too
much of a kind. What a person approved goes on, what they rejected is left as it is from then on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from provisioning.engine.audit import entry_of
from provisioning.engine.deciding import lane_of
from provisioning.engine.executed import Executions
from provisioning.engine.jobs import GroupHeld, HeldRemovals, JobState, Ruling
from provisioning.engine.keys import change_id
from provisioning.engine.orders import Orders, orders_for
from provisioning.engine.plan import merge
from provisioning.engine.progress import Review, StepResult
from provisioning.engine.rejecting import reject
from provisioning.engine.surveying import Removal, Survey, removals, survey, waiting
from provisioning.engine.tally import kind_of
from provisioning.engine.work import Work
from provisioning.model import REMOVING, Clearance, Hold, Lane, Pending
from provisioning.rules.audit import SYSTEM, Audited, Changes
from provisioning.rules.review import HarmKind, Part, Verdict, clearance_of, review
from provisioning.rules.summary import Occurrence, in_milliseconds

MANAGED: Mapping[HarmKind, tuple[str, ...]] = {
    "users": ("user",),
    "groups": ("group",),
    "memberships": ("member",),
    "wipes": ("user", "group"),
    "recreations": ("user", "group"),
}
"""What the limits of a kind are taken of. Members that are added have no limit but that of their group."""
NAMED = 20
"""Groups whose own limits hold something that `status` names."""
LISTED_IN = 48
"""Plans that a held row remembers: with a cycle every 40 minutes, more than those that an approval outlives."""


async def review_plan(work: Work) -> StepResult:
    """Of a run on demand, by what it does itself and what the last 24 hours did. Raises nothing: what is held is a
    result, with the id of the plan under which a person can approve it.
    """
    state, _ = await work.context.rows.state()
    return await _review(work, state, None, {})


async def review_cycle(work: Work, step: Review, counts: Mapping[str, int]) -> StepResult:
    """As `review_plan`, for the whole cycle, which has counted `counts` so far: what is held already counts as well. A
    review that broke off half-way, or one that follows when more was collected, would otherwise let the rest through.
    An early one leaves what is still being decided alone: of that a part is known, which is not to pass as the whole.
    """
    state, _ = await work.context.rows.state()
    growth = counts if state.counted != work.origin.cycle else {}
    return await _review(work, state, _ruling(work, state), growth, step)


def _ruling(work: Work, state: JobState) -> Ruling | None:
    """What a person said of a held plan, in force from the first cycle that finds it to that cycle's end."""
    ruling = state.ruling
    if ruling is None or ruling.used not in {"", work.origin.cycle} or ruling.expires <= work.context.now():
        return None
    return ruling


async def _review(
    work: Work, state: JobState, ruling: Ruling | None, growth: Mapping[str, int], step: Review | None = None
) -> StepResult:
    whole = step is not None
    lanes: tuple[Lane, ...] = ("leavers",) if step is not None and step.early else REMOVING
    found = await survey(work, ruling, lanes)
    if not found.kinds and state.held is None:
        return work.tally.result()
    executed = await work.context.executed.count(work.context.now())
    verdicts = _verdicts(work, state, found, growth, executed, whole=whole)
    groups = _above_own_limits(found, executed)
    above: list[Part] = [verdict.kind for verdict in verdicts if verdict.held]
    above += [(each.kind, each.group) for each in groups]
    orders = orders_for(found, above, ruling, for_groups=state.held.for_groups if state.held is not None else ())
    if ruling is not None and (found.is_listed or orders.shown):
        await _use(work, ruling)
    deadline = work.context.now() + work.context.time_box if whole else math.inf
    if not await _carry_out(work, orders, lanes, deadline, had_held=state.held is not None):
        return replace(work.tally.result(), follow_up=step)
    if not whole and not orders.number:
        return work.tally.result()
    await _list(work, orders.plan)
    await _remember(work, state, found, orders, verdicts, groups)
    return replace(work.tally.result(), held=orders.plan if orders.held else None)


def _verdicts(
    work: Work,
    state: JobState,
    found: Survey,
    growth: Mapping[str, int],
    executed: Executions,
    *,
    whole: bool,
) -> list[Verdict]:
    job, verdicts = work.context.job, []
    for kind in sorted(found.kinds.keys() & MANAGED.keys()):
        count = found.kinds[kind]
        number = count.fresh.number + count.passed + (count.waiting.number if whole else 0)
        if not number:
            continue
        number += executed.get(kind, 0)
        base = _base(kind, state, found, growth)
        verdicts.append(review(kind, number, base, job.limits_of(kind), executed=executed.get(kind, 0)))
    return verdicts


def _base(kind: HarmKind, state: JobState, found: Survey, growth: Mapping[str, int]) -> int:
    """What the limits are taken of: what is managed, and was linked earlier in this cycle. Records that would be
    adopted count with the wipes: in the first cycle there is nothing else. While a kind is held its limit does not
    grow, or what is held would pass unseen as soon as more is managed.
    """
    names = MANAGED[kind]
    number = sum(state.managed.get(name, 0) + max(0, growth.get(f"managed.{name}", 0)) for name in names)
    number += found.adopted if kind == "wipes" else 0
    known = state.held.managed.get(kind) if state.held is not None else None
    return number if known is None else min(number, known)


def _above_own_limits(found: Survey, executed: Executions) -> list[GroupHeld]:
    """The groups whose members would change more than their own limits allow, those with the most first. What is held
    of a group always counts: a group is small, and nobody is in a hurry to see half of it go.
    """
    above = []
    for part, limit in found.limits.items():
        kind, group = part
        count = found.groups[part]
        waiting = count.fresh.number + count.waiting.number
        if waiting + count.passed + executed.get(part, 0) > limit:
            above.append(GroupHeld(group, kind, waiting, limit))
    return sorted(above, key=lambda each: (-each.number, each.group, each.kind))


async def _use(work: Work, ruling: Ruling) -> None:
    """Noted before anything is let go: a ruling is in force for this cycle alone, however often that dies."""
    used = replace(ruling, used=work.origin.cycle)
    if ruling == used:
        return
    changes: Changes = {"plan": (None, ruling.plan), "cycle": (None, used.used), "by": (None, ruling.by)}
    entry = entry_of("Carry out ruling on held removals", SYSTEM, work.context.now(), changes)

    def told(before: JobState, _: JobState) -> Audited | None:
        return entry if before.ruling == ruling else None

    await work.context.rows.change_state(
        lambda state: replace(state, ruling=used) if state.ruling == ruling else state, told
    )


async def _carry_out(work: Work, orders: Orders, lanes: Sequence[Lane], deadline: float, *, had_held: bool) -> bool:
    """False when the time was up: the review goes on with another step, which finds the same."""
    async for page in removals(work, lanes):
        fresh = [removal for removal in page if not removal.is_cleared]
        ruled = [removal for removal in fresh if orders.rules(removal)]
        if orders.ruling is not None and orders.ruling.approves:
            # Each row remembers it: what is left of them when a worker has died half-way is still approved.
            await _clear(work, [(r, Clearance(r.harm.kind, r.harm.deletes, r.version)) for r in ruled])
        elif orders.ruling is not None:
            await reject(work, ruled, orders.ruling)
        passing = [r for r in fresh if not orders.rules(r) and not orders.holds(r)]
        await _clear(work, [(removal, clearance_of(removal.harm)) for removal in passing])
        await _hold(work, [removal for removal in fresh if orders.holds(removal)], orders.plan, had_held=had_held)
        if fresh and work.context.now() >= deadline:
            return False
    return True


async def _clear(work: Work, items: Sequence[tuple[Removal, Clearance]]) -> None:
    """An update goes back to its own lane, an account that goes ahead of everything else."""
    rows, before = [], {removal.decision.object: removal.row.pending.lane for removal in (r for r, _ in items)}
    for removal, clearance in items:
        pending = replace(removal.row.pending, clearance=clearance)
        rows.append((removal.row, replace(pending, lane=lane_of(pending, removal.decision))))
    for row in await work.plan.record(rows):
        if row.pending.lane != before[row.pending.object]:
            work.tally.add_decided(row.pending.lane, row.pending.object)


async def _hold(work: Work, holding: Sequence[Removal], plan: str, *, had_held: bool) -> None:
    """Into the held table, logged as StagedDelete unless it was before, out of the plan: in this order."""
    at = work.context.now()
    known = await work.context.held.load([removal.decision.object for removal in holding]) if had_held else {}
    held, anew = [], []
    for removal in holding:
        pending = removal.row.pending
        if (other := known.get(pending.object)) is not None:
            pending = merge(other, pending)
        if pending.hold is None or pending.hold.version != removal.version:
            anew.append(removal)
            pending = replace(pending, hold=Hold(removal.version))
        held.append(_listed(replace(pending, decision=removal.decision, clearance=None), plan))
        work.tally.count(f"{kind_of(removal.decision)}.held")
    await work.context.held.add(held)
    await work.context.journal.add([_staged(work, removal, at) for removal in anew], work.origin)
    await work.plan.settle([removal.row for removal in holding])


def _staged(work: Work, removal: Removal, at: float) -> Occurrence:
    change = change_id("held", work.origin.cycle, removal.decision.object)
    spent = in_milliseconds(removal.row.pending.spent)
    return Occurrence(removal.decision, None, change, at, spent, staged=True)


async def _list(work: Work, plan: str) -> None:
    """What was held before this review is part of the plan too."""
    async for page in waiting(work):
        listed = [(pending, _listed(pending, plan)) for pending in page]
        await work.context.held.add([after for before, after in listed if after != before])


def _listed(pending: Pending, plan: str) -> Pending:
    hold = pending.hold
    if hold is None or hold.plans[-1:] == (plan,):
        return pending
    return replace(pending, hold=replace(hold, plans=(*hold.plans, plan)[-LISTED_IN:]))


async def _remember(
    work: Work, state: JobState, found: Survey, orders: Orders, verdicts: Sequence[Verdict], groups: Sequence[GroupHeld]
) -> None:
    """What is held now, for whoever asks about the job."""
    before = state.held
    known = before or HeldRemovals("", work.context.now())
    allowed = known.allowed | {str(verdict.kind): verdict.allowed for verdict in verdicts}
    managed = known.managed | {str(verdict.kind): verdict.managed for verdict in verdicts}
    executed = known.executed | {str(verdict.kind): verdict.executed for verdict in verdicts}
    by_kind = [
        kind
        for kind in orders.held
        if kind in orders.above or (kind in known.allowed and found.at(kind).waiting.number)
    ]
    now_held = HeldRemovals(
        orders.plan,
        since=known.since,
        counts={str(kind): number for kind, number in orders.held.items()},
        allowed={kind: allowed.get(kind, 0) for kind in by_kind},
        managed={kind: managed.get(kind, 0) for kind in by_kind},
        executed={kind: executed[kind] for kind in by_kind if executed.get(kind)},
        groups=tuple(each for each in groups if each.kind not in by_kind)[:NAMED],
    )
    after = now_held if orders.held else None
    if after != before:
        await work.context.rows.change_state(lambda newest: replace(newest, held=after))
