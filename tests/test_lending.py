"""Calls that a step leaves idle when it ends are made by the other steps of its round, and never by two of them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.engine.context import Context
from provisioning.engine.cycle import Pace, divided
from provisioning.engine.lending import Lending
from provisioning.engine.progress import Act, Progress, StepResult
from tests.test_cycle_stories import group_of, hire
from tests.world import small_world

SLOTS = 4


@pytest.fixture
def context(tmp_path):
    with small_world(tmp_path) as world:
        yield world.engine().context


def in_flight(steps: int, slots: int) -> Progress:
    shares = divided(slots, steps)
    acts = tuple(Act("users", f"{n:02x}", f"{n:02x}", 9, slots=shares[n]) for n in range(steps))
    return Progress("cycle", "initial", 0.0, steps=acts)


def lending_of(context: Context, progress: Progress, number: int) -> Lending:
    granted = [step.slots for step in progress.steps if isinstance(step, Act)]
    return Lending(context.rows, context.target, progress, number, granted)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_whoever_notices_how_late_the_steps_never_have_more_calls_than_were_granted(slots, steps, data):
    """Each has seen some of those that ended, in the order in which they did."""
    order = data.draw(st.permutations(range(steps)))
    ended = order[: data.draw(st.integers(0, steps - 1))]
    using = 0
    for step in set(range(steps)) - set(ended):
        seen = set(ended[: data.draw(st.integers(0, len(ended)))])
        at_work = [each for each in range(steps) if each not in seen]
        using += divided(slots, len(at_work))[at_work.index(step)]
    assert using <= slots


def test_the_last_step_of_a_round_has_all_its_calls(context):
    progress = in_flight(SLOTS, SLOTS)

    async def story() -> list[int]:
        with lending_of(context, progress, 2) as lending:
            had = [lending.slots]
            for ended in (3, 0, 1):
                await context.rows.save_result(progress.cycle, progress.round, ended, StepResult())
                await lending.more()
                had.append(lending.slots)
            assert await lending.more() == 0
        return had

    assert asyncio.run(story()) == [1, 1, 2, 4]


def test_what_was_lent_is_given_back_with_the_step(context):
    progress = in_flight(2, SLOTS)
    budget = context.target._session.budget

    async def story() -> None:
        await context.rows.save_result(progress.cycle, progress.round, 0, StepResult())
        with lending_of(context, progress, 1) as lending:
            assert (await lending.more(), budget.most) == (2, SLOTS)

    before = budget.most
    asyncio.run(story())
    assert budget.most == before


def test_results_of_other_rounds_say_nothing(context):
    progress = in_flight(2, SLOTS)

    async def story() -> int:
        await context.rows.save_result(progress.cycle, progress.round + 1, 0, StepResult())
        with lending_of(context, progress, 1) as lending:
            return await lending.more()

    assert asyncio.run(story()) == 0


def test_steps_of_unequal_length_leave_no_call_idle(tmp_path):
    """The members of a large group are in one range, which no other step covers."""
    with small_world(tmp_path, pace=Pace(slots=SLOTS, chunk=400)) as world:
        members = [hire(world, f"user{n}") for n in range(1000)]
        few = [group_of(world, f"Few {number}", members[number]) for number in range(6)]
        many = group_of(world, "Many", members[0])
        world.cycle()
        for number, group in enumerate((*few, *[many] * 900)):
            world.directory.add_member(group, members[number + 10])
        capacity = world.instance.capacity
        capacity.set(nodes=1, slots_per_node=SLOTS)
        capacity.set_times(insert=0.2)
        assert world.cycle().finished
        measures = capacity.measures()
        assert measures["busy_seconds"] == pytest.approx(906 * 0.2)
        assert measures["busy_seconds"] >= 0.85 * measures["usable_seconds"]
