"""What workers do to each other and to themselves: two at once, one that was thought dead, steps delivered twice, late
or in another order, on-demand runs in between; and what Graph may answer once: nothing, too much, "I forgot".
"""

from __future__ import annotations

import asyncio

import pytest

from provisioning.engine.cycle import Pace
from provisioning.engine.jobs import LEASE_SECONDS
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import LeaseLost
from tests.company import Company
from tests.crashing import mortality
from tests.emulators.graph import Duplicate, EmptyList, EmptyPage, ExpireDelta, Replay, UnknownRemoved
from tests.stories import EXHAUSTIVE, LEAVERS, eve_of, guarded_world

WORLDS = [
    ("the first load", False),
    ("a day of changes", False),
    ("a day of returns", False),
    ("a day of changes", True),
]
NAMES = [f"{story}{' for everyone' * everyone}" for story, everyone in WORLDS]
worlds = pytest.mark.parametrize(("story", "everyone"), WORLDS, ids=NAMES)


async def one_after_the_other(engine, progress):
    for number in range(len(progress.steps)):
        await engine.run_step(progress, number)


async def last_first(engine, progress):
    for number in reversed(range(len(progress.steps))):
        await engine.run_step(progress, number)


async def each_twice(engine, progress):
    for number in range(len(progress.steps)):
        await engine.run_step(progress, number)
        await engine.run_step(progress, number)


async def each_twice_at_once(engine, progress):
    numbers = [number for number in range(len(progress.steps)) for _ in range(2)]
    await asyncio.gather(*(engine.run_step(progress, number) for number in numbers))


class EachAgainLate:
    """Each step is delivered again after the round that followed it."""

    def __init__(self):
        self.before = None

    async def __call__(self, engine, progress):
        await one_after_the_other(engine, progress)
        if self.before is not None:
            await one_after_the_other(engine, self.before)
        self.before = progress


@worlds
@pytest.mark.parametrize("hand", [one_after_the_other, last_first, each_twice, each_twice_at_once, EachAgainLate()])
def test_steps_may_come_twice_or_late_or_in_another_order(story, everyone, hand):
    with eve_of(story, everyone=everyone).copy() as world:
        assert world.by_hand(world.engine(), hand).finished
        wrong = world.settle()
        if isinstance(hand, EachAgainLate):  # the orchestrator turns late steps away; what they count is nobody's
            wrong = [text for text in wrong if "are counted" not in text]
        assert wrong == []


def rounds_of(story, *, everyone=False):
    """How many rounds the next cycle takes."""
    count = 0

    async def counted(engine, progress):
        nonlocal count
        count += 1
        await one_after_the_other(engine, progress)

    with eve_of(story, everyone=everyone).copy() as world:
        world.by_hand(world.engine(), counted)
    return count


def some(numbers, share):
    return list(numbers)[:: 1 if EXHAUSTIVE else share]


@worlds
def test_a_move_whose_reply_was_lost_is_not_made_again(story, everyone):
    async def hand(engine, progress):
        await one_after_the_other(engine, progress)
        first = await engine.advance(progress.turn)
        again = await engine.advance(progress.turn)
        assert again == first
        if first.steps:
            await hand(engine, first)

    with eve_of(story, everyone=everyone).copy() as world:
        assert world.by_hand(world.engine(), hand).finished
        assert world.settle() == []


@worlds
def test_a_second_worker_is_turned_away_and_sends_nothing_to_servicenow(story, everyone):
    with eve_of(story, everyone=everyone).copy() as world:
        second = world.engine()
        turned_away = 0

        async def hand(engine, progress):
            nonlocal turned_away
            await one_after_the_other(engine, progress)
            before = world.instance.counts.total()
            with pytest.raises(LeaseLost):
                await second.begin_cycle()
            assert world.instance.counts.total() == before
            turned_away += 1

        assert world.by_hand(world.engine(), hand).finished
        assert turned_away > 10
        assert world.settle() == []


class Sleeps(Exception):
    pass


@worlds
def test_a_worker_that_wakes_up_after_another_took_its_job_sends_nothing_more(story, everyone):
    for number in some(range(rounds_of(story, everyone=everyone)), 5):
        with eve_of(story, everyone=everyone).copy() as world:
            sleeper, reached, half = world.engine(), [], []

            async def hand(engine, progress, number=number, reached=reached, half=half):
                if len(reached) == number:
                    half.append(progress)
                    if progress.steps[1:]:
                        await engine.run_step(progress, 1)  # one step has reported, the others have not
                    raise Sleeps
                reached.append(progress)
                await one_after_the_other(engine, progress)

            with pytest.raises(Sleeps):
                world.by_hand(sleeper, hand)
            with pytest.raises(LeaseLost):
                world.run(world.engine().begin_cycle())
            world.pass_time(LEASE_SECONDS)
            assert world.cycle().finished
            world.forget_counts()
            world.run(one_after_the_other(sleeper, half[0]))
            with pytest.raises(LeaseLost):
                world.run(sleeper.advance(half[0].turn))
            assert world.writes() == {}, f"{story}, round {number}: {half[0].steps}"
            assert world.settle() == [], f"{story}, round {number}: {half[0].steps}"


def test_two_workers_who_take_turns_by_their_leases_running_out_finish_one_cycle():
    with eve_of("a day of changes").copy() as world:

        async def one_step(engine, progress):
            await engine.run_step(progress, 0)
            raise Sleeps

        for _ in range(40):
            with pytest.raises(Sleeps):
                world.by_hand(world.engine(), one_step)
            world.pass_time(LEASE_SECONDS)
        assert world.settle() == []


ON_DEMAND = {
    "the first load": ("ada", "kim", "eve", "Engineers", "Sales"),
    "a day of changes": ("ada", "moe", "nia", "kim", "hal", "pat", "dee", "Support", "Sales", "Research"),
    "a day of returns": ("lou", "dee", "kim", "max", "Sales", "Others"),
}


@pytest.mark.parametrize(("story", "name"), [(story, name) for story, names in ON_DEMAND.items() for name in names])
def test_an_on_demand_run_between_any_two_steps_of_a_cycle_changes_nothing_in_the_end(story, name):
    for number in some(range(rounds_of(story)), 9):
        with eve_of(story).copy() as world:
            reached = []

            async def hand(engine, progress, number=number, world=world, reached=reached):
                await engine.run_step(progress, 0)
                if len(reached) == number:
                    await provision_on_demand(world.engine(), world.company.ids[name], write=True)
                reached.append(progress)
                for each in range(1, len(progress.steps)):
                    await engine.run_step(progress, each)

            assert world.by_hand(world.engine(), hand).finished
            assert world.settle() == [], f"{story}: on demand for {name} in round {number}"


@pytest.mark.parametrize(("story", "name"), [(story, name) for story, names in ON_DEMAND.items() for name in names])
def test_an_on_demand_run_beside_a_cycle_changes_nothing_in_the_end(story, name):
    with eve_of(story).copy() as world:

        async def hand(engine, progress):
            await asyncio.gather(
                provision_on_demand(world.engine(), world.company.ids[name], write=True),
                *(engine.run_step(progress, number) for number in range(len(progress.steps))),
            )

        assert world.by_hand(world.engine(), hand).finished
        assert world.settle() == []


@pytest.mark.parametrize(("story", "name"), [(story, name) for story, names in ON_DEMAND.items() for name in names])
def test_an_on_demand_run_that_is_killed_anywhere_changes_nothing_in_the_end(story, name):
    def started(number, fault):
        with eve_of(story).copy() as world:
            world.fuse.set(number, fault)
            with mortality():
                world.run(provision_on_demand(world.engine(), world.company.ids[name], write=True))
            count = len(world.fuse.seen)
            world.fuse.set(0, "")
            world.restart()
            # What a killed run had counted is lost; the next full reconciliation counts again.
            return count, [text for text in world.settle() if "are counted" not in text] if number else []

    count, _ = started(0, "")
    for number in some(range(1, count + 1), 16):
        for fault in ("crash before", "crash after"):
            _, wrong = started(number, fault)
            assert wrong == [], f"{story}: on demand for {name}, effect {number}, {fault}"


def rows_of_plans(world):
    (number,) = world.store.base._connection.execute(
        "SELECT count(*) FROM rows WHERE table_name = 'plan' OR key LIKE 'on-demand|%'"
    ).fetchone()
    return number


def test_a_killed_on_demand_run_leaves_nothing_of_its_plan_for_longer_than_an_hour():
    with eve_of("the first load").copy() as world:
        assert world.cycle().finished
        with world.copy() as rehearsal:
            rehearsal.fuse.set(0, "")
            rehearsal.run(provision_on_demand(rehearsal.engine(), rehearsal.company.ids["ada"], write=True))
            assert rows_of_plans(rehearsal) == 0
            count = len(rehearsal.fuse.seen)
        left = 0
        for number in some(range(1, count + 1), 4):
            with world.copy() as copy:
                copy.fuse.set(number, "crash after")
                with mortality():
                    copy.run(provision_on_demand(copy.engine(), copy.company.ids["ada"], write=True))
                copy.fuse.set(0, "")
                copy.restart()
                left += rows_of_plans(copy)
                copy.pass_time(3700.0)
                copy.run(copy.engine().prune())
                assert rows_of_plans(copy) == 0, number
                assert copy.miscounted() == [], number
        assert left > 0


LIST = "GET /servicePrincipals/{id}/appRoleAssignedTo"


@worlds
def test_an_empty_list_of_assignments_disables_nobody_wrongly(story, everyone):
    with eve_of(story, everyone=everyone).copy() as world:
        active = {row["user_name"] for row in world.instance.rows("sys_user", "active=true")}
        world.directory.behaviour.faults.add(EmptyList(), LIST)
        world.cycle()
        wrongly = [text for text in world.company.differences() if "active is 'false'" in text]
        assert [text for text in wrongly if text.split()[1].rstrip(":") in active] == []
        assert world.settle() == []


@worlds
@pytest.mark.parametrize("kind", ["users", "groups"])
@pytest.mark.parametrize("shape", ["gone", "sync-state-not-found", "too-old"])
def test_a_forgotten_token_of_either_kind_costs_a_full_reading_and_nothing_else(story, everyone, kind, shape):
    with eve_of(story, everyone=everyone).copy() as world:
        world.directory.behaviour.faults.add(ExpireDelta(shape), f"GET /{kind}/delta")
        world.cycle()
        assert world.settle() == []


@worlds
@pytest.mark.parametrize("effect", [Replay(), Duplicate(3), UnknownRemoved(3), EmptyPage()])
def test_delta_may_repeat_and_invent_entries(story, everyone, effect):
    with eve_of(story, everyone=everyone).copy() as world:
        for kind in ("GET /users/delta", "GET /groups/delta"):
            world.directory.behaviour.faults.add(effect, kind, times=2)
        world.cycle()
        assert world.settle() == []


@worlds
def test_small_pages_change_nothing(story, everyone):
    with eve_of(story, everyone=everyone).copy() as world:
        world.directory.behaviour.delta_page_size = 2
        world.directory.behaviour.members_per_delta_page = 1
        assert world.cycle().finished
        assert world.settle() == []


def late(company: Company) -> None:
    """What happens while a long cycle runs: nothing that a cycle in between could not be seen to have missed."""
    company.hire("tia", manager="zoe")
    company.unassign("gus")
    company.part("Sales", "gus")
    company.change("zoe", jobTitle="President")
    company.join("Engineers", "zoe")
    company.report_to("cy", "zoe")


@pytest.mark.parametrize("pace", [Pace(slots=1, chunk=4, interval=20.0), Pace(slots=3, chunk=1000, interval=20.0)])
@pytest.mark.parametrize("story", ["a day of changes", "a day of returns"])
def test_what_changes_while_a_long_cycle_runs_is_collected_by_it(story, pace):
    rounds = rounds_of(story)
    for number in some(range(rounds), 5):
        with eve_of(story).copy() as world:
            world.pace, world.time_box = pace, 10.0
            world.instance.capacity.set_times(insert=7.0, update=7.0, delete=7.0, read=0.1)
            reached = []

            async def hand(engine, progress, number=number, world=world, reached=reached):
                await asyncio.gather(*(engine.run_step(progress, each) for each in range(len(progress.steps))))
                if len(reached) == number:
                    late(world.company)
                    world.company.expect()
                reached.append(progress)

            assert world.by_hand(world.engine(), hand).finished
            if len(reached) <= number:
                continue
            assert any(progress.passes for progress in reached), "the cycle was too short to collect again"
            assert world.settle() == [], f"{story}, round {number}"


def test_a_leaver_who_appears_while_many_creates_are_pending_is_disabled_before_them():
    with eve_of("a day of changes").copy() as world:
        world.pace, world.time_box = Pace(slots=1, chunk=10, interval=30.0), 10.0
        world.instance.capacity.set_times(insert=5.0, update=5.0)
        for number in range(60):
            world.company.hire(f"new{number}")
        created_when_left, created_when_disabled = [], []

        def created():
            return len([row for row in world.instance.rows("sys_user") if row["user_name"].startswith("new")])

        async def hand(engine, progress):
            await one_after_the_other(engine, progress)
            if created() >= 5 and not created_when_left:
                world.company.unassign("gus")
                created_when_left.append(created())
            if world.account("gus@partner.example")["active"] == "false" and not created_when_disabled:
                created_when_disabled.append(created())

        assert world.by_hand(world.engine(), hand).finished
        assert created_when_disabled[0] <= created_when_left[0] + 20
        world.company.expect()
        assert world.settle() == []


@pytest.fixture
def guarded():
    with guarded_world() as world:
        yield world


def test_removals_above_the_limit_are_held_and_offered_again_while_everything_else_goes_on(guarded):
    first = guarded.cycle()
    assert first.held is not None
    assert guarded.settle(held=5) == []
    again = guarded.cycle()
    assert (again.held, again.counts["users.held"]) == (first.held, 5)


def test_a_held_removal_is_cancelled_when_the_user_is_back_in_scope(guarded):
    guarded.cycle()
    for name in LEAVERS[:3]:
        guarded.company.assign(name)
    guarded.company.held.clear()
    guarded.company.expect()
    assert guarded.settle() == []  # two are left, which is within the limit


def test_exactly_the_approved_removals_are_carried_out(guarded):
    held = guarded.cycle().held
    guarded.run(guarded.engine().approve(held, by="a test"))
    guarded.company.held.clear()
    guarded.company.expect()
    assert guarded.settle() == []


def test_an_approval_covers_only_whom_the_plan_listed(guarded):
    held = guarded.cycle().held
    guarded.run(guarded.engine().approve(held, by="a test"))
    for name in ("dee", "ada", "max"):
        guarded.company.enable(name, enabled=False)
    guarded.company.held = {"dee", "ada", "max"}
    guarded.company.expect()
    assert guarded.settle(held=3) == []
