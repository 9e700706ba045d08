"""The cycle's state machine against a plan on paper: steps are carried out there by chance, and no row may be lost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.engine.cycle import ACTING, DECIDING, Pace, advance, begin
from provisioning.engine.keys import BINS
from provisioning.engine.plan import Bins
from provisioning.engine.progress import (
    Act,
    CompareAssignments,
    Decide,
    Failure,
    Finish,
    OpenTokens,
    Progress,
    ReadAssignments,
    ReadDelta,
    Reset,
    Review,
    StageWaiting,
    StepResult,
    Sweep,
)
from provisioning.model import REMOVING

PACE = Pace(slots=2, parallel=3, chunk=4, group_chunk=2, interval=100.0, tries=4)
LANES = ("leavers", "removals", "users", "groups", "memberships")
WATERMARKS = {"user": "u0", "group": "g0"}
BUSY = Failure("InternalServerError", "busy")


def fresh(*, everyone: bool = False, dry_run: bool = False, watermarks: dict[str, str] | None = None) -> Progress:
    return begin(
        "c",
        0.0,
        everyone=everyone,
        dry_run=dry_run,
        watermarks=WATERMARKS if watermarks is None else watermarks,
        generation="old",
    )


def until(progress: Progress, phase: str, results=lambda _: StepResult(), now: float = 0.0) -> Progress:
    """Carries out step after step, each with what `results` says of it, up to the first steps of `phase`."""
    for _ in range(100):
        progress = advance(progress, [results(step) for step in progress.steps], now, PACE)
        if progress.phase == phase and progress.steps:
            return progress
    raise AssertionError(f"{phase} was not reached")


def staging(**bins: dict[str, int]):
    """Results in which the comparison of assignments stages these rows, and deciding keeps all that it is given."""

    def result(step) -> StepResult:
        match step:
            case CompareAssignments():
                return StepResult(staged=bins)
            case Decide(lane=lane, first=first, rows=rows):
                return StepResult(decided={lane: {first: rows}})
            case _:
                return StepResult()

    return result


def kinds(progress: Progress) -> list[type]:
    return [type(step) for step in progress.steps]


# --- What comes when ------------------------------------------------------------------------------


def everything_in_order(progress: Progress) -> list[object]:
    seen: list[object] = []
    while not progress.finished:
        progress = advance(progress, [StepResult() for _ in progress.steps], 0.0, PACE)
        seen += progress.steps
    return seen


def test_an_incremental_cycle_reads_what_changed_and_compares_the_assignments():
    assert everything_in_order(fresh()) == [
        ReadDelta("group", "g0"),
        ReadAssignments("c.0"),
        CompareAssignments("old", "c.0"),
        ReadDelta("user", "u0"),
        StageWaiting("old"),
        Review(),
        Finish(),
    ]


def test_an_initial_cycle_of_the_assigned_opens_tokens_first_and_reads_no_delta():
    steps = everything_in_order(fresh(watermarks={}))
    assert steps[:4] == [
        OpenTokens(),
        ReadAssignments("c.0"),
        CompareAssignments("old", "c.0", refresh=True),
        StageWaiting("old"),
    ]
    assert {(step.type_, step.nibble) for step in steps[4:-2]} == {
        (kind, nibble) for kind in ("user", "group") for nibble in "0123456789abcdef"
    }
    assert all(isinstance(step, Sweep) for step in steps[4:-2])
    assert steps[-2:] == [Review(), Finish()]


def test_an_initial_cycle_of_everyone_reads_the_whole_directory_and_no_assignments():
    steps = everything_in_order(fresh(everyone=True, watermarks={}))
    assert steps[:3] == [ReadDelta("group", None), ReadDelta("user", None), StageWaiting("")]
    assert not any(isinstance(step, OpenTokens | ReadAssignments | CompareAssignments) for step in steps)


@pytest.mark.parametrize("watermarks", [{}, {"user": "u0"}, {"group": "g0"}])
def test_one_watermark_is_as_good_as_none(watermarks):
    progress = fresh(watermarks=watermarks)
    assert (progress.kind, progress.watermarks) == ("initial", {})


def test_a_dry_run_ends_after_the_review():
    progress = until(fresh(dry_run=True), "review", staging(users={"00": 3}, removals={"10": 1}))
    progress = advance(progress, [StepResult()], 0.0, PACE)
    assert progress.steps == (Finish(),)


def test_groups_are_decided_before_people_leavers_before_all_others_and_memberships_last():
    lanes: list[str] = []
    progress = fresh()
    results = staging(**{lane: {"00": 1} for lane in LANES})
    while not progress.finished:
        lanes += [step.lane for step in progress.steps if isinstance(step, Decide)]
        progress = advance(progress, [results(step) for step in progress.steps], 0.0, PACE)
    assert lanes == ["groups", "leavers", "removals", "users", "memberships"]


def test_lanes_are_acted_on_in_order_leavers_first_and_then_all_other_removals():
    lanes: list[str] = []
    progress = fresh()
    results = staging(**{lane: {"00": 1} for lane in LANES})
    while not progress.finished:
        lanes += [step.lane for step in progress.steps if isinstance(step, Act)]
        progress = advance(progress, [results(step) for step in progress.steps], 0.0, PACE)
    assert lanes == list(LANES)


@pytest.mark.parametrize("doing", [Decide, Act])
def test_nothing_is_done_beside_the_last_of_the_leavers(doing):
    """However many slots are free: a removal of another kind would be written before a leaver is disabled."""
    progress = until(fresh(), "decide leavers", staging(leavers=dict.fromkeys(BINS[:9], 4), removals={"a0": 4}))
    rounds: list[set[str]] = []
    while not progress.finished:
        rounds.append({step.lane for step in progress.steps if isinstance(step, doing)})
        progress = advance(progress, [staging()(step) for step in progress.steps], 0.0, PACE)
    assert [lanes for lanes in rounds if lanes] == [{"leavers"}] * 5 + [{"removals"}]


def test_one_review_is_enough_for_leavers_and_all_other_removals():
    progress = until(fresh(), "review", staging(leavers={"00": 1}, removals={"00": 1}))
    seen: list[type] = []
    while not progress.finished:
        seen += kinds(progress)
        progress = advance(progress, [staging()(step) for step in progress.steps], 0.0, PACE)
    assert seen == [Review, Act, Act, Finish]


def test_a_step_goes_on_where_its_time_box_ended():
    progress = advance(fresh(), [], 0.0, PACE)
    more = ReadDelta("group", "page 2")
    progress = advance(progress, [StepResult(follow_up=more)], 0.0, PACE)
    assert (progress.phase, progress.steps) == ("groups", (more,))


def test_watermarks_counts_and_the_id_of_held_removals_are_kept():
    progress = advance(fresh(), [], 0.0, PACE)
    progress = advance(progress, [StepResult(watermarks={"group": "g1"}, counts={"read.groups": 2})], 0.0, PACE)
    assert progress.watermarks == {"user": "u0", "group": "g1"}
    progress = advance(progress, [StepResult(counts={"read.groups": 3}, held="plan")], 0.0, PACE)
    progress = advance(progress, [StepResult()], 0.0, PACE)
    assert (progress.counts, progress.held) == ({"read.groups": 5}, "plan")


# --- Sharing out the instance ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "slots"),
    [
        ({"00": 4}, [5]),
        ({"00": 4, "10": 4}, [3, 2]),
        (dict.fromkeys(BINS[:5], 4), [1, 1, 1, 1, 1]),
        (dict.fromkeys(BINS[:9], 4), [1, 1, 1, 1, 1]),
    ],
)
def test_all_granted_slots_are_used_and_none_more(rows, slots):
    pace = Pace(slots=5, chunk=4)
    progress = until(fresh(), "review", staging(users=rows))
    progress = advance(progress, [StepResult()], 0.0, pace)
    assert [step.slots for step in progress.steps] == slots


def test_fewer_slots_than_before_are_shared_out_anew():
    progress = until(fresh(), "review", staging(users={"00": 4, "10": 4}))
    progress = advance(progress, [StepResult()], 0.0, Pace(slots=4, chunk=4))
    assert [step.slots for step in progress.steps] == [2, 2]
    more = [StepResult(follow_up=msgspec.structs.replace(step, after="x")) for step in progress.steps]
    progress = advance(progress, more, 0.0, Pace(slots=2, chunk=4))
    assert [step.slots for step in progress.steps] == [1, 1]


# --- Waves ----------------------------------------------------------------------------------------


def test_reports_wait_for_the_wave_after_their_managers():
    progress = until(fresh(), "act users", staging(users={"00": 3}))
    progress = advance(progress, [StepResult(done=2, deferred=1)], 0.0, PACE)
    assert progress.steps == (Act("users", "00", "00", 1, slots=2, patient=True),)


def test_a_wave_that_gets_nowhere_is_followed_by_one_that_no_longer_waits():
    progress = until(fresh(), "act users", staging(users={"00": 2}))
    progress = advance(progress, [StepResult(deferred=2)], 0.0, PACE)
    assert progress.steps == (Act("users", "00", "00", 2, slots=2, patient=False),)


def test_what_a_failing_step_got_done_counts_for_its_wave():
    progress = until(fresh(), "act users", staging(users={"00": 3}))
    progress = advance(progress, [StepResult(done=1, failure=BUSY)], 0.0, PACE)
    progress = advance(progress, [], progress.retry_at, PACE)
    progress = advance(progress, [StepResult(deferred=2)], progress.retry_at, PACE)
    assert [step.patient for step in progress.steps] == [True]


def test_a_step_and_the_one_that_went_on_from_it_meet_in_one_step_of_the_next_wave():
    progress = until(fresh(), "act users", staging(users={"00": 9}))
    (step,) = progress.steps
    more = msgspec.structs.replace(step, after="users|00|user:5")
    progress = advance(progress, [StepResult(done=1, deferred=2, follow_up=more)], 0.0, PACE)
    progress = advance(progress, [StepResult(done=1, deferred=3)], 0.0, PACE)
    assert progress.steps == (Act("users", "00", "00", 5, slots=2),)


def test_a_wave_of_few_rows_is_one_step_as_far_as_a_chunk_goes():
    bins = {"00": PACE.chunk, "10": PACE.chunk, "20": PACE.chunk, "30": PACE.chunk}
    progress = until(fresh(), "act users", staging(users=bins))
    while progress.todo or not progress.later:
        progress = advance(progress, [StepResult(done=1, deferred=PACE.chunk // 2)] * len(progress.steps), 0.0, PACE)
    progress = advance(progress, [StepResult(done=1, deferred=PACE.chunk // 2)] * len(progress.steps), 0.0, PACE)
    waves = [(step.first, step.last, step.rows) for step in (*progress.steps, *progress.todo)]
    half = PACE.chunk // 2
    assert waves == [("00", "10", 2 * half), ("20", "30", 2 * half)]


# --- Failures -------------------------------------------------------------------------------------


def test_a_failing_step_is_tried_again_after_growing_pauses_and_then_halts():
    progress = advance(fresh(), [], 0.0, PACE)
    (step,), now, pauses = progress.steps, 0.0, []
    while progress.halted is None:
        progress = advance(progress, [StepResult(failure=BUSY)], now, PACE)
        if progress.halted is None:
            assert progress.steps == ()
            pauses.append(progress.retry_at - now)
            assert advance(progress, [], progress.retry_at - 0.1, PACE).steps == ()
            now = progress.retry_at
            progress = advance(progress, [], now, PACE)
            assert progress.steps == (step,)
    assert pauses == [2.0, 4.0, 8.0]
    assert progress.halted == BUSY
    assert progress.todo == (step,)


def test_the_pause_is_as_long_as_the_other_side_asked_for():
    progress = advance(fresh(), [], 0.0, PACE)
    busy = Failure("TooManyRequests", "wait", retry_after=90.0)
    assert advance(progress, [StepResult(failure=busy)], 10.0, PACE).retry_at == 100.0


def test_no_pause_is_longer_than_the_longest():
    pace = Pace(tries=100, longest_backoff=30.0)
    progress, now = advance(fresh(), [], 0.0, pace), 0.0
    for _ in range(10):
        progress = advance(progress, [StepResult(failure=BUSY)], now, pace)
        assert progress.retry_at - now <= 30.0
        now = progress.retry_at
        progress = advance(progress, [], now, pace)


def test_a_step_that_succeeds_beside_a_throttled_one_does_not_cut_its_pause_short():
    progress = until(fresh(), "decide people", staging(users={"00": 4, "10": 4, "20": 4}))
    busy = StepResult(failure=Failure("TooManyRequests", "wait", retry_after=60.0))
    progress = advance(progress, [busy, StepResult()], 0.0, PACE)
    assert (progress.steps, progress.retry_at) == ((), 60.0)


def test_failures_side_by_side_count_as_one_try():
    progress = until(fresh(), "decide people", staging(users={"00": 4, "10": 4, "20": 4}))
    progress = advance(progress, [StepResult(failure=BUSY)] * 2, 0.0, PACE)
    assert (progress.failures, progress.halted) == (1, None)


def test_tries_are_counted_anew_while_other_steps_get_on():
    progress = until(fresh(), "decide people", staging(users=dict.fromkeys(BINS[:30], 4)))
    now = 0.0
    while len(progress.todo) > 3:
        results = [StepResult(failure=BUSY), *(StepResult() for _ in progress.steps[1:])]
        progress = advance(progress, results, now, PACE)
        assert progress.halted is None
        now = progress.retry_at
        progress = advance(progress, [], now, PACE)


def test_a_failure_that_a_person_must_mend_halts_at_once_and_keeps_every_step():
    progress = until(fresh(), "decide people", staging(users={"00": 4, "10": 4}))
    in_flight = progress.steps
    rights = Failure("Unauthorized", "no rights", halts=True)
    progress = advance(progress, [StepResult(failure=BUSY), StepResult(failure=rights)], 0.0, PACE)
    assert progress.halted == rights
    assert set(progress.todo) == set(in_flight)


EXPIRED = Failure("WatermarkExpired", "forgotten", expired=True)


def test_a_forgotten_token_starts_an_initial_cycle_that_first_takes_back_what_was_read_before():
    progress = until(fresh(), "users", staging(memberships={"00": 2}))
    progress = advance(progress, [StepResult(failure=EXPIRED)], 0.0, PACE)
    assert (progress.kind, progress.watermarks, progress.bins) == ("initial", {}, {"memberships": {"00": 2}})
    progress = advance(progress, [], progress.retry_at, PACE)
    assert progress.steps == (Reset(()),)
    progress = advance(progress, [StepResult()], progress.retry_at, PACE)
    assert progress.steps == (OpenTokens(),)


def test_after_a_forgotten_token_the_assignments_are_read_into_a_list_of_their_own():
    """Read into the same list, they would be compared with themselves, and then dropped as the old ones."""
    progress = until(fresh(), "users")
    progress = advance(progress, [StepResult(failure=EXPIRED)], 0.0, PACE)
    progress = until(progress, "compare", now=progress.retry_at)
    assert progress.steps == (CompareAssignments("c.0", "c.1", refresh=True),)
    progress = until(progress, "waiting", now=progress.retry_at)
    assert (progress.generation, progress.steps) == ("c.1", (StageWaiting("c.0"),))


def test_a_token_that_is_forgotten_again_and_again_halts():
    progress, now = fresh(everyone=True), 0.0
    for _ in range(50):
        results = [StepResult(failure=EXPIRED) for _ in progress.steps]
        progress = advance(progress, results, now, PACE)
        if progress.halted:
            return
        now = max(now, progress.retry_at)
    pytest.fail("it would go on for ever")


# --- Collecting again -----------------------------------------------------------------------------


def test_a_cycle_that_takes_longer_than_its_interval_collects_again_while_it_acts():
    progress = until(fresh(), "act users", staging(users=dict.fromkeys(BINS[:8], 4)))
    assert kinds(advance(progress, [StepResult(), StepResult()], 99.0, PACE)) == [Act, Act]
    again = advance(progress, [StepResult(), StepResult()], 100.0, PACE)
    assert (again.phase, again.steps, again.collected) == ("groups", (ReadDelta("group", "g0"),), 100.0)
    again = until(again, "compare", now=100.0)
    assert again.steps == (CompareAssignments("c.0", "c.1"),)
    again = until(again, "act users", now=100.0)
    assert again.passes == 1


def test_a_cycle_collects_again_although_the_clock_was_set_back():
    progress = until(fresh(), "act users", staging(users=dict.fromkeys(BINS[:8], 4)))
    progress = msgspec.structs.replace(progress, collected=7200.0)
    again = advance(progress, [StepResult(), StepResult()], 50.0, PACE)
    assert (again.phase, again.collected) == ("groups", 50.0)


def test_an_initial_cycle_goes_on_incrementally_when_it_collects_again():
    def results(step) -> StepResult:
        if isinstance(step, OpenTokens):
            return StepResult(watermarks={"user": "u1", "group": "g1"})
        return staging(users={"00": 4, "10": 4, "20": 4})(step)

    progress = until(fresh(watermarks={}), "act users", results)
    progress = advance(progress, [StepResult(), StepResult()], 100.0, PACE)
    assert progress.steps == (ReadDelta("group", "g1"),)
    phases = set()
    while progress.phase != "act users":
        phases.add(progress.phase)
        assert not any(isinstance(step, Sweep) for step in progress.steps)
        progress = advance(progress, [StepResult() for _ in progress.steps], 100.0, PACE)
    assert "users" in phases


@pytest.mark.parametrize("lane", ["leavers", "removals"])
def test_removals_found_on_the_way_are_reviewed_and_carried_out_before_the_users_that_are_left(lane):
    progress = until(fresh(), "act users", staging(users=dict.fromkeys(BINS[:8], 4)))
    progress = advance(progress, [StepResult(), StepResult()], 100.0, PACE)
    seen = []
    results = staging(**{lane: {"77": 1}})
    while not progress.finished:
        seen += [(type(step), getattr(step, "lane", "")) for step in progress.steps]
        progress = advance(progress, [results(step) for step in progress.steps], 100.0, PACE)
    assert seen.index((Decide, lane)) < seen.index((Review, "")) < seen.index((Act, lane))
    assert seen.index((Act, lane)) < seen.index((Act, "users"))


def deciding(bins: int = 40) -> Progress:
    """Much is to be decided, and some was: two disablements that nobody knew of among it."""
    progress = until(fresh(), "decide people", staging(users=dict.fromkeys(BINS[:bins], 4)))
    found = StepResult(decided={"users": {"00": 3}, "removals": {"00": 1}})
    return advance(progress, [found for _ in progress.steps], 50.0, PACE)


def test_who_leaves_while_much_is_still_undecided_is_acted_on_before_that_is_decided():
    progress = deciding()
    undecided = {(step.first, step.last) for step in (*progress.steps, *progress.todo)}
    done, doing = {(step.first, step.last) for step in progress.steps}, []
    progress = advance(progress, [staging()(step) for step in progress.steps], 100.0, PACE)
    assert (progress.phase, progress.steps) == ("groups", (ReadDelta("group", "g0"),))
    results = staging(leavers={"77": 1}, groups={"88": 1})
    while not (doing and progress.phase == "decide people"):
        doing += [step for step in progress.steps if isinstance(step, Decide | Review | Act)]
        progress = advance(progress, [results(step) for step in progress.steps], 300.0, PACE)
    assert [(type(step), getattr(step, "lane", "")) for step in doing] == [
        (Decide, "groups"),
        (Decide, "leavers"),
        (Review, ""),
        (Act, "leavers"),
    ]
    assert doing[2] == Review(early=True)
    assert {(step.first, step.last) for step in (*progress.steps, *progress.todo)} == undecided - done
    assert progress.decided["removals"] == {"00": 2}, "of what is decided only a part is known"
    progress = until(progress, "review", staging(), now=100.0)
    assert progress.steps == (Review(),)
    assert until(progress, "act removals", staging(), now=100.0).steps


def test_nobody_is_reviewed_early_where_nobody_has_left():
    progress = advance(deciding(), [staging()(step) for step in deciding().steps], 100.0, PACE)
    seen: list[type] = []
    while progress.phase != "review":
        seen += kinds(progress)
        progress = advance(progress, [staging()(step) for step in progress.steps], 100.0, PACE)
    assert set(seen) == {ReadDelta, ReadAssignments, CompareAssignments, StageWaiting, Decide}
    assert progress.steps == (Review(),)


def test_when_the_last_that_was_undecided_is_decided_there_is_one_review_of_everything():
    progress = deciding(bins=4)
    progress = advance(progress, [staging()(step) for step in progress.steps], 100.0, PACE)
    assert progress.phase == "groups"
    assert until(progress, "review", staging(leavers={"77": 1}), now=100.0).steps == (Review(),)


def test_however_long_collecting_takes_and_however_many_leave_deciding_comes_to_its_end():
    progress, now, collected = deciding(), 50.0, 0
    results = staging(leavers={"77": 1})
    while not progress.finished:
        collected += isinstance(progress.steps[0], ReadAssignments)
        now += 150.0
        progress = advance(progress, [results(step) for step in progress.steps], now, PACE)
        assert collected < 200, "the cycle does not end"
    assert collected > 5


def test_steps_that_fail_are_not_interrupted_to_collect_again():
    """They would be tried for ever: whatever succeeds starts the count of tries anew."""
    progress, now, collected = deciding(), 50.0, 0
    while progress.halted is None:
        failing = any(isinstance(step, Decide) for step in progress.steps)
        collected += ReadAssignments in kinds(progress)
        now += 200.0
        progress = advance(progress, [StepResult(failure=BUSY if failing else None) for _ in progress.steps], now, PACE)
        assert collected <= 1, "the cycle does not end"
    assert progress.halted == BUSY


def test_a_dry_run_does_not_collect_again():
    progress = until(fresh(dry_run=True), "decide people", staging(users=dict.fromkeys(BINS[:40], 4)))
    assert kinds(advance(progress, [StepResult() for _ in progress.steps], 500.0, PACE)) == [Decide, Decide]


def test_removals_staged_while_acting_are_decided_and_counted_before_they_are_carried_out():
    """A group that loses its scope while groups are written takes its members' memberships with it."""
    progress = until(fresh(), "act groups", staging(groups={"00": 1}))
    progress = advance(progress, [StepResult(staged={"removals": {"00": 500}})], 0.0, PACE)
    seen = []
    while not progress.finished:
        seen += [type(step) for step in progress.steps]
        progress = advance(progress, [staging()(step) for step in progress.steps], 0.0, PACE)
    assert seen == [Decide, Review, Act, Finish]


def test_users_that_a_late_group_brings_are_acted_on_before_the_cycle_finishes():
    progress = until(fresh(), "act groups", staging(groups={"00": 1}))
    progress = advance(progress, [StepResult(staged={"users": {"05": 2}})], 0.0, PACE)
    assert progress.steps == (Act("users", "05", "05", 2, slots=2),)


# --- Everything by chance -------------------------------------------------------------------------


@dataclass
class Row:
    """A row of the plan on paper. `patience` is how often it lets a patient step pass, waiting for its manager."""

    lane: str
    bin: str
    decided: bool = False
    reviewed: bool = False
    patience: int = 0


@dataclass
class Paper:
    """The plan on paper, and steps that do to it what real steps may do, by chance: fail half-way, run out of time,
    stage more, conflict, move rows between lanes. `trouble` runs out, as it does in life.
    """

    chance: random.Random
    dry_run: bool
    trouble: int = 40
    rows: dict[str, Row] = field(default_factory=dict)
    named: int = 0

    def luck(self, one_in: int) -> bool:
        if self.trouble > 0 and self.chance.randrange(one_in) == 0:
            self.trouble -= 1
            return True
        return False

    def stage(self, lanes: tuple[str, ...] = LANES) -> Bins:
        """A change of a new object, or of one that has a row already, which then changes lanes and is undecided."""
        lane, name = self.chance.choice(lanes), self.chance.choice(BINS)
        if self.rows and self.chance.randrange(3) == 0:
            key = self.chance.choice(sorted(self.rows))
            name = self.rows[key].bin
        else:
            self.named += 1
            key = f"{name}|{self.named:04d}"
        self.rows[key] = Row(lane, name, patience=self.chance.randrange(3))
        return {lane: {name: 1}}

    def carry_out(self, step) -> StepResult:
        result = StepResult()
        match step:
            case Decide() | Act():
                result = self._work(step)
            case Review(early=early):
                result = StepResult(decided=self._review(early=early))
            case Finish():
                left = [row for row in self.rows.values() if not (self.dry_run and row.decided)]
                assert not left, "the cycle finishes and leaves rows behind"
            case ReadDelta() if self.luck(15):
                return StepResult(failure=EXPIRED, staged=self.stage())
            case OpenTokens():
                result = StepResult(watermarks={"user": "u", "group": "g"})
            case ReadAssignments() | CompareAssignments() | StageWaiting() | Sweep() | ReadDelta():
                if self.named < 20 and self.chance.randrange(2):
                    result = StepResult(staged=self.stage())
                if self.luck(20):
                    return msgspec.structs.replace(result, follow_up=step)
        if self.luck(20):
            return msgspec.structs.replace(result, follow_up=None, failure=BUSY)
        return result

    def _work(self, step: Decide | Act) -> StepResult:
        done: dict[str, int] = {"done": 0, "deferred": 0}
        counts: dict[str, Bins] = {"staged": {}, "decided": {}}
        rows = sorted(self.rows.items())
        mine = [(k, r) for k, r in rows if r.lane == step.lane and step.first <= r.bin <= step.last and k > step.after]
        for key, row in mine:
            if self.luck(9):  # the time box ended
                more = msgspec.structs.replace(step, after=max((k for k, _ in mine if k < key), default=step.after))
                return StepResult(follow_up=more, **counts, **done)
            if self.luck(9):
                removing = isinstance(step, Act) and step.lane in REMOVING  # which brings no new removals
                add(counts["staged"], self.stage(LANES[2:] if removing else LANES))
                if self.rows[key] is not row:  # what was staged concerns this very object
                    continue
            if not row.decided:
                add(counts["decided"], self._decide(key, row))
            if row.decided and isinstance(step, Act) and row.lane == step.lane:
                add(counts["staged"], self._act(key, row, step, done))
        return StepResult(**counts, **done)

    def _review(self, *, early: bool) -> Bins:
        """Lets everything through; some of the removals turn out to be leavers, and some go to their own lane."""
        moved: Bins = {}
        for row in self.rows.values():
            if row.lane in (REMOVING[:1] if early else REMOVING) and row.decided and not row.reviewed:
                row.reviewed = True
                if row.lane == "removals" and self.chance.randrange(3):
                    row.lane = self.chance.choice(["leavers", "users"])
                    add(moved, {row.lane: {row.bin: 1}})
        return moved

    def _decide(self, key: str, row: Row) -> Bins:
        if self.chance.randrange(4) == 0:
            del self.rows[key]  # nothing to write
            return {}
        if row.lane in REMOVING:
            row.lane = self.chance.choice([row.lane, "users"])
        elif self.chance.randrange(6) == 0:
            row.lane = "removals"
        row.decided = True
        return {row.lane: {row.bin: 1}}

    def _act(self, key: str, row: Row, step: Act, done: dict[str, int]) -> Bins:
        if row.patience and step.patient:
            row.patience -= 1
            done["deferred"] += 1
            return {}
        if self.luck(9):  # somebody else changed the link
            row.decided = False
            return {row.lane: {row.bin: 1}}
        assert row.lane not in REMOVING or row.reviewed, "carried out although no review has seen it"
        del self.rows[key]
        done["done"] += 1
        return {}


def add(total: Bins, more: Bins) -> None:
    for lane, bins in more.items():
        for name, number in bins.items():
            total.setdefault(lane, {})[name] = total.get(lane, {}).get(name, 0) + number


def uncovered(paper: Paper, progress: Progress) -> list[Row]:
    """Rows that no step and no count knows of: they would be orphans."""
    steps = [s for s in (*progress.todo, *progress.later, *progress.steps) if isinstance(s, Decide | Act)]

    def covered(key: str, row: Row) -> bool:
        counted = progress.decided.get(row.lane, {}).get(row.bin, 0) > 0
        staged = progress.bins.get(row.lane, {}).get(row.bin, 0) > 0
        # Acting decides what is undecided, but removals are not left to that: the review would not see them.
        return (
            (counted and (row.decided or row.lane not in REMOVING))
            or (staged and not row.decided)
            or any(
                step.lane == row.lane
                and step.first <= row.bin <= step.last
                and step.after < key
                and (isinstance(step, Act) or not row.decided)
                for step in steps
            )
        )

    return [row for key, row in paper.rows.items() if not covered(key, row)]


def check(before: Progress, progress: Progress, paper: Paper) -> None:
    if not (paper.dry_run and progress.phase == "finish"):
        assert not uncovered(paper, progress)
    acts = [step for step in progress.steps if isinstance(step, Act)]
    assert len({step.lane for step in acts}) <= 1
    assert all(one.last < two.first or two.last < one.first for one in acts for two in acts if one is not two)
    if acts:
        assert len(acts) == len(progress.steps)
        assert sum(step.slots for step in acts) == PACE.slots
    assert len(progress.steps) <= PACE.parallel
    if progress.phase != before.phase and progress.phase in ACTING:
        earlier = LANES[: LANES.index(ACTING[progress.phase])]
        assert not any(row.lane in earlier for row in paper.rows.values() if row.lane in REMOVING)
        if not progress.early:
            assert progress.phase == "act leavers" or not any(map(progress.bins.get, REMOVING))
    if progress.retry_at == 0.0 and not progress.finished and progress.halted is None:
        assert progress.steps


def run(paper: Paper, progress: Progress, *, crash_at: int) -> Progress:
    now = 0.0
    for turn in range(3000):
        order = list(range(len(progress.steps)))
        paper.chance.shuffle(order)
        results = [StepResult()] * len(order)
        for number in order:
            results[number] = paper.carry_out(progress.steps[number])
        now += paper.chance.choice([0.0, 1.0, 10.0, 30.0])
        following = advance(progress, results, now, PACE)
        assert following == msgspec.json.decode(msgspec.json.encode(following), type=Progress)
        check(progress, following, paper)
        progress = following
        if progress.halted is not None or turn == crash_at:  # resumed as the engine resumes it
            todo = (*progress.steps, *progress.todo)
            progress = msgspec.structs.replace(progress, todo=todo, steps=(), halted=None, failures=0, retry_at=0.0)
        if progress.finished:
            return progress
        now = max(now, progress.retry_at)
    pytest.fail("the cycle does not end")


@given(
    seed=st.integers(0, 2**32),
    everyone=st.booleans(),
    dry_run=st.booleans(),
    initial=st.booleans(),
    crash_at=st.integers(0, 60),
)
@settings(max_examples=400, deadline=None)
def test_whatever_happens_the_cycle_ends_and_every_row_is_taken_care_of(seed, everyone, dry_run, initial, crash_at):
    paper = Paper(random.Random(seed), dry_run)
    progress = fresh(everyone=everyone, dry_run=dry_run, watermarks={} if initial else WATERMARKS)
    progress = run(paper, progress, crash_at=crash_at)
    assert (progress.todo, progress.steps, progress.later) == ((), (), ())


def test_every_phase_that_decides_or_acts_has_its_lanes():
    assert set(ACTING.values()) == {lane for lanes in DECIDING.values() for lane in lanes} == set(LANES)
