"""The review of a plan: counts every removal in it and holds them, outside the plan, when they are too many."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from provisioning.engine.keys import digest
from provisioning.engine.plan import PlanRow
from provisioning.engine.progress import StepResult
from provisioning.engine.tally import kind_of, tense
from provisioning.engine.work import Work
from provisioning.model import Decision, Disable, Remove
from provisioning.rules.review import Verdict, review
from provisioning.rules.summary import Occurrence

MANAGED = {"users": "user", "groups": "group", "memberships": "member"}


async def review_plan(work: Work) -> StepResult:
    """Raises nothing: held removals are a result, with the id under which a person can approve them."""
    return await _review(work, await _removals(work), [])


async def review_cycle(work: Work) -> StepResult:
    """As `review_plan`, for the whole cycle: what it has held already counts as well. A review that broke off half-way,
    or one that follows when more was collected, would otherwise let the rest through.
    """
    rows = await _removals(work)
    planned = {decision.object for _, decision in rows}
    held = await _held(work)
    return await _review(work, rows, [decision for decision in held if decision.object not in planned])


async def _review(work: Work, rows: list[tuple[PlanRow, Decision]], waiting: list[Decision]) -> StepResult:
    fresh = [decision for row, decision in rows if not row.pending.released]
    counts = Counter(kind_of(decision) for decision in (*fresh, *waiting))
    state, _ = await work.context.rows.state()
    verdicts = [
        review(kind, number, state.managed.get(MANAGED[kind], 0), work.context.job.limits)
        for kind, number in sorted(counts.items())
    ]
    held = {verdict.kind for verdict in verdicts if verdict.held}
    concerned = [(row, decision) for row, decision in rows if kind_of(decision) in held]
    if not held:
        return work.tally.result()
    still = [decision for decision in waiting if kind_of(decision) in held]
    plan_id = plan_identity([*(decision for _, decision in concerned), *still])
    approval = state.approval
    if approval is not None and approval.plan == plan_id and approval.expires > work.context.now():
        # Each row remembers it: what is left of them when a worker has died half-way is still approved.
        await work.plan.record([(row, replace(row.pending, released=True)) for row, _ in concerned])
        return work.tally.result()
    await _hold(work, [(row, decision) for row, decision in concerned if not row.pending.released], verdicts)
    return replace(work.tally.result(), held=plan_id)


def plan_identity(decisions: list[Decision]) -> str:
    """The same for the same objects with the same actions, whenever they are planned."""
    lines = sorted(
        f"{decision.object} {tense(decision.action)} {decision.action.sys_id}"
        for decision in decisions
        if isinstance(decision.action, Disable | Remove)
    )
    return digest(*lines)[:16]


def _is_removal(decision: Decision) -> bool:
    return isinstance(decision.action, Disable | Remove)


async def _removals(work: Work) -> list[tuple[PlanRow, Decision]]:
    found: list[tuple[PlanRow, Decision]] = []
    after = ""
    while rows := await work.plan.rows("removals", "00", "ff", after=after):
        for row in rows:
            decision = row.pending.decision
            if decision is not None and _is_removal(decision):
                found.append((row, decision))
        after = rows[-1].key
    return found


async def _held(work: Work) -> list[Decision]:
    found: list[Decision] = []
    after = ""
    while held := await work.context.held.page(after):
        found += [pending.decision for _, pending in held if pending.decision is not None]
        after = held[-1][0].key
    return found


async def _hold(work: Work, rows: list[tuple[PlanRow, Decision]], verdicts: list[Verdict]) -> None:
    """Into the held table, logged as StagedDelete, out of the plan: in this order."""
    at = work.context.now()
    await work.context.held.add([row.pending for row, _ in rows])
    occurrences = []
    for _, decision in rows:
        name = digest("held", work.origin.cycle, decision.object)
        change = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:32]}"
        occurrences.append(Occurrence(decision, None, change, at, staged=True))
        work.tally.count(f"{kind_of(decision)}.held")
    await work.context.journal.add(occurrences, work.origin)
    await work.plan.settle([row for row, _ in rows])
    for verdict in verdicts:
        if verdict.held:
            work.tally.count(f"allowed {verdict.kind}", verdict.allowed)
