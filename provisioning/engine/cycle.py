"""The cycle as a pure state machine: `advance(progress, results, now)` says which steps come next.

    reset -> tokens -> groups -> assignments -> compare -> users -> waiting -> changes -> sweep groups      collect
    -> decide groups -> sweep people -> decide leavers -> decide people -> decide memberships    observe and decide
    -> review -> act leavers -> act removals -> act users -> act groups -> act memberships       review and act
    -> finish

While deciding or acting takes long, every tick of the schedule sends the cycle through collect again: newer rows
supersede older ones, and accounts that go come first, then all other removals. Who is found to have left while much is
still undecided is reviewed and acted on before the rest is decided. What is staged or decided on the way sends it back
to the phase that takes care of it, so that no row is left when the cycle finishes. No await, no clock, no store here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from msgspec.structs import replace

from provisioning.engine.keys import BINS, NIBBLES, add_counts, ranges
from provisioning.engine.progress import (
    Act,
    Compare,
    CompareAssignments,
    Decide,
    Failure,
    Finish,
    OpenTokens,
    Phase,
    Progress,
    ReadAssignments,
    ReadChanges,
    ReadDelta,
    Reset,
    Review,
    StageWaiting,
    Step,
    StepResult,
    Sweep,
)
from provisioning.model import REMOVING, Lane, ObjectType
from provisioning.rules.instance import newest, newest_ended

PHASES: tuple[Phase, ...] = get_args(Phase)
WAIT_FOR_SLOT = 5.0
ACTING: dict[Phase, Lane] = {
    "act leavers": "leavers",
    "act removals": "removals",
    "act users": "users",
    "act groups": "groups",
    "act memberships": "memberships",
}
DECIDING: dict[Phase, tuple[Lane, ...]] = {
    "decide groups": ("groups",),
    "decide leavers": ("leavers",),
    "decide people": ("removals", "users"),
    "decide memberships": ("memberships",),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once. `slots` are the calls to ServiceNow; `interval` is the job's schedule in seconds."""

    slots: int = 2
    parallel: int = 4
    chunk: int = 1000
    group_chunk: int = 40
    interval: float = 2400.0
    tries: int = 6
    longest_backoff: float = 300.0


def begin(
    cycle: str, now: float, *, everyone: bool, dry_run: bool, watermarks: dict[str, str], generation: str
) -> Progress:
    """A new cycle: incremental when both watermarks are there, else initial."""
    complete = {"user", "group"} <= watermarks.keys()
    return Progress(
        cycle=cycle,
        kind="incremental" if complete else "initial",
        began=now,
        collected=now,
        everyone=everyone,
        dry_run=dry_run,
        watermarks=watermarks if complete else {},
        generation=generation,
    )


def advance(progress: Progress, results: Sequence[StepResult], now: float, pace: Pace) -> Progress:
    """The progress after the results of the steps in flight (in their order), with the next steps in flight.

    A progress without steps in flight has finished, has halted, or waits until `retry_at`. Without a slot, the steps
    that need one wait for who has them.
    """
    in_flight = progress.steps
    progress = replace(progress, steps=(), round=progress.round + 1)
    for step, result in zip(in_flight, results, strict=True):
        progress = _apply(progress, step, result)
    if results:
        progress = _weigh(progress, [result.failure for result in results if result.failure], len(results), now, pace)
    if progress.finished or progress.halted is not None or progress.retry_at > now:
        return progress
    if abs(now - progress.collected) >= pace.interval and _may_collect(progress):  # the clock may have been set back
        progress = _collect_again(progress, now)
    entered = bool(progress.todo)
    while not entered:
        progress = _enter_next(progress, pace)
        entered = bool(progress.todo) or progress.finished
    return _give_out(progress, now, pace)


def end(progress: Progress, results: Sequence[StepResult], reason: Failure) -> Progress:
    """The progress after the steps in flight, none of which follows: a person wants the job to begin anew. What is left
    of the plan is the next cycle's.
    """
    for step, result in zip(progress.steps, results, strict=True):
        progress = _apply(progress, step, result)
    return replace(progress, round=progress.round + 1, steps=(), todo=(), later=(), halted=reason)


def _give_out(progress: Progress, now: float, pace: Pace) -> Progress:
    width = pace.slots if progress.phase in ACTING or progress.phase in DECIDING else pace.parallel
    if progress.todo and not width:
        return replace(progress, retry_at=now + WAIT_FOR_SLOT)
    steps = progress.todo[:width]
    shared = tuple(
        replace(step, slots=slots) if isinstance(step, Act | Decide) else step
        for step, slots in zip(steps, divided(pace.slots, len(steps)), strict=True)
    )
    return replace(progress, steps=shared, todo=progress.todo[width:])


def divided(slots: int, steps: int) -> Sequence[int]:
    """All granted slots, divided anew each time; those that would stay idle go to the steps at the front."""
    return [slots // steps + (position < slots % steps) for position in range(steps)]


def _apply(progress: Progress, step: Step, result: StepResult) -> Progress:
    """What the step did, were it only a part of it; a step that failed is to be done again."""
    progress = replace(
        progress,
        bins=add_counts(progress.bins, result.staged),
        decided=add_counts(progress.decided, result.decided),
        counts=add_counts(progress.counts, result.counts),
        watermarks={**progress.watermarks, **result.watermarks},
        wave_done=progress.wave_done + result.done,
        held=result.held or progress.held,
        access=result.access or progress.access,
        reviewed=progress.reviewed and not any(result.decided.get(lane) for lane in REMOVING),
        written=newest({**progress.written, **result.written}),
        ended=newest_ended((*progress.ended, *result.ended)),
    )
    if result.failure is not None:
        return replace(progress, todo=(step, *progress.todo))
    if isinstance(step, Act | Decide) and step.lane not in {"leavers", "groups"}:
        progress = replace(progress, got_on=True)
    if result.follow_up is not None:
        progress = replace(progress, todo=(result.follow_up, *progress.todo))
    match step:
        case Reset() if result.follow_up is None:
            return replace(progress, reset=())
        case CompareAssignments(old=old, new=new):
            return replace(progress, generation=new, discard=old)
        case Review(early=False) if result.follow_up is None:
            return replace(progress, reviewed=True)
        case Act() if result.deferred:
            return replace(progress, later=_put_off(progress.later, step, result.deferred))
        case Finish() if result.staged or result.decided:
            return replace(progress, phase="decide memberships")
        case Finish():
            return replace(progress, finished=True)
        case _:
            return progress


def _put_off(later: tuple[Act, ...], step: Act, rows: int) -> tuple[Act, ...]:
    """One step of the next wave for each range: a step and the one that went on from it must not meet there."""
    waves = {(known.first, known.last): known for known in later}
    known = waves.get((step.first, step.last))
    again = replace(step, rows=rows + (known.rows if known else 0), after="")
    return tuple({**waves, (step.first, step.last): again}.values())


def _weigh(progress: Progress, failures: Sequence[Failure], results: int, now: float, pace: Pace) -> Progress:
    """Another try after a pause, a new start from the beginning, or the end. The failures of one round count as one;
    a round in which another step got on starts the count anew.
    """
    if not failures:
        return replace(progress, failures=0, retry_at=0.0)
    count = 1 + (progress.failures if len(failures) == results else 0)
    halting = next((failure for failure in failures if failure.halts), failures[-1] if count >= pace.tries else None)
    if any(failure.expired for failure in failures):
        progress = _begin_anew(progress)
    pause = max(min(pace.longest_backoff, 2.0**count), *(failure.retry_after for failure in failures))
    return replace(progress, failures=count, retry_at=now + pause, halted=halting)


def _begin_anew(progress: Progress) -> Progress:
    """As an initial cycle, without the tokens that Graph forgot and with a new list of assignments. Only collecting
    needs tokens, so no step that covers rows is in the way.
    """
    progress = replace(progress, kind="initial", phase="begin", watermarks={}, access="", swept=False, todo=())
    return replace(progress, passes=progress.passes + 1, early=False)


def _may_collect(progress: Progress) -> bool:
    """Not before the cycle got on with more than leavers since it last did: it comes to its end however many leave, and
    however long collecting takes. Nor before the groups are decided, which tells who has left.
    """
    if progress.early or progress.dry_run or progress.phase not in {*ACTING, "decide people", "decide memberships"}:
        return False
    return progress.got_on or not progress.passes


def _collect_again(progress: Progress, now: float) -> Progress:
    """Back to collecting; what is still to be done goes back into the bins that its steps cover."""
    bins, decided = progress.bins, progress.decided
    for step in (*progress.todo, *progress.later):
        if isinstance(step, Act | Decide):
            covered = [name for name in BINS if step.first <= name <= step.last]
            rows: dict[str, dict[str, int]] = {step.lane: dict.fromkeys(covered, max(1, step.rows // len(covered)))}
            if isinstance(step, Act):
                decided = add_counts(decided, rows)
            else:
                bins = add_counts(bins, rows)
    early = progress.phase in DECIDING
    progress = replace(progress, later=(), bins=bins, decided=decided, collected=now, early=early, phase="groups")
    progress = replace(progress, passes=progress.passes + 1, got_on=False)
    return replace(progress, todo=_collecting(progress, "groups"))


def _enter_next(progress: Progress, pace: Pace) -> Progress:
    """The next wave of this phase, or the phase that follows, with its steps."""
    if progress.later:
        patient = progress.wave_done > 0
        todo = tuple(replace(step, patient=patient) for step in _joined(progress.later, pace.chunk))
        return replace(progress, todo=todo, later=(), wave_done=0)
    return _enter(progress, _following(progress), pace)


def _joined(later: Sequence[Act], limit: int) -> Iterator[Act]:
    """Neighbouring ranges as one step where few of their rows are left: a step of a few rows leaves slots idle."""
    steps = sorted(later, key=lambda step: step.first)
    while steps:
        step = steps.pop(0)
        while steps and step.rows + steps[0].rows <= limit:
            step = replace(step, last=steps[0].last, rows=step.rows + steps.pop(0).rows)
        yield step


def _following(progress: Progress) -> Phase:
    """Deciding goes on until nothing is undecided, acting until nothing is left, with review in between."""
    if progress.phase in DECIDING:
        return _next_deciding(progress)
    if progress.early and progress.phase in {"review", "act leavers"}:
        return "act leavers" if progress.phase == "review" else _undecided(progress)
    if progress.phase in ACTING or progress.phase == "review":
        return "finish" if progress.dry_run else _next_acting(progress)
    return PHASES[PHASES.index(progress.phase) + 1]


def _next_deciding(progress: Progress) -> Phase:
    following = _undecided(progress)
    if not progress.swept and following != "decide groups":
        return "sweep people"
    groups_and_leavers = following in {"decide groups", "decide leavers"}
    return "review" if progress.early and not groups_and_leavers and progress.decided.get("leavers") else following


def _undecided(progress: Progress) -> Phase:
    """The phase that decides what is to be decided next; the review when nothing is."""
    return next((phase for phase, lanes in DECIDING.items() if any(map(progress.bins.get, lanes))), "review")


def _next_acting(progress: Progress) -> Phase:
    """Removals first, and none before it was decided, counted and let through by the review."""
    if any(progress.bins.get(lane) for lane in REMOVING):
        return "decide leavers"
    if not progress.reviewed and any(progress.decided.get(lane) for lane in REMOVING):
        return "review"
    return next((phase for phase, lane in ACTING.items() if _outstanding(progress, lane)), "finish")


def _outstanding(progress: Progress, lane: Lane) -> dict[str, int]:
    return add_counts(progress.decided.get(lane, {}), progress.bins.get(lane, {}))


def _enter(progress: Progress, phase: Phase, pace: Pace) -> Progress:
    late = phase in {"decide people", "decide memberships"} or (phase == "review" == _undecided(progress))
    progress = replace(progress, early=progress.early and not late)
    if phase in ACTING:
        lane = ACTING[phase]
        todo: tuple[Step, ...] = tuple(
            Act(lane, first, last, rows) for first, last, rows in ranges(_outstanding(progress, lane), pace.chunk)
        )
        bins = {**progress.bins, lane: {}}
        return replace(progress, phase=phase, todo=todo, bins=bins, decided={**progress.decided, lane: {}}, wave_done=0)
    if phase in DECIDING:
        bins = dict(progress.bins)
        steps: list[Step] = []
        for lane in DECIDING[phase]:
            limit = pace.group_chunk if lane == "groups" else pace.chunk
            steps += [Decide(lane, first, last, rows) for first, last, rows in ranges(bins.pop(lane, {}), limit)]
        return replace(progress, phase=phase, todo=tuple(steps), bins=bins)
    swept = progress.swept or phase == "sweep people"
    return replace(progress, phase=phase, todo=_collecting(progress, phase), swept=swept)


def _collecting(progress: Progress, phase: Phase) -> tuple[Step, ...]:
    """The steps of the phases that are not about ranges of the plan."""
    match phase:
        case "reset":
            return (Reset(progress.reset),) if progress.reset or progress.passes else ()
        case "tokens":
            return () if progress.everyone or progress.watermarks else (OpenTokens(),)
        case "groups" | "users":
            return _delta(progress, "group" if phase == "groups" else "user")
        case "assignments" if not progress.everyone:
            return (ReadAssignments(_generation(progress)),)
        case "compare" if not progress.everyone:
            refresh = progress.kind == "initial" and not progress.swept
            return (CompareAssignments(progress.generation, _generation(progress), refresh, progress.access),)
        case "waiting":
            return (StageWaiting(progress.discard),)
        case "changes" if progress.kind == "incremental" and not progress.passes:
            return _comparing(progress)
        case "sweep groups" | "sweep people" if progress.kind == "initial" and not progress.swept:
            return _sweeping(phase)
        case "review" | "finish":
            return (Review(progress.early),) if phase == "review" else (Finish(),)
        case _:
            return ()


def _comparing(progress: Progress) -> tuple[Step, ...]:
    """What others did in ServiceNow; once in a cycle."""
    kinds: tuple[ObjectType, ...] = ("user", "group")
    since, bins = progress.changes_since, progress.compares
    steps: list[Step] = [ReadChanges(kind, since) for kind in kinds if since]
    steps += [Compare(kind, *bins) for kind in kinds if bins is not None]
    return tuple(steps)


def _sweeping(phase: Phase) -> tuple[Step, ...]:
    """Groups first: those that are then decided bring their members into the plan, and only who is missing after that
    is missing.
    """
    if phase == "sweep groups":
        return tuple(Sweep("group", nibble) for nibble in NIBBLES)
    edges = (Sweep("group", nibble, edges=True) for nibble in NIBBLES)
    return (*(Sweep("user", nibble) for nibble in NIBBLES), *edges)


def _delta(progress: Progress, kind: ObjectType) -> tuple[Step, ...]:
    """Nothing is read where the tokens were opened in this pass: everything assigned is read anyway."""
    link = progress.watermarks.get(kind)
    if progress.kind == "initial" and not progress.swept:
        return (ReadDelta(kind, None),) if progress.everyone else ()
    return (ReadDelta(kind, link),)


def _generation(progress: Progress) -> str:
    return f"{progress.cycle}.{progress.passes}"
