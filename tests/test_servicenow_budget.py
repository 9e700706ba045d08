"""How many calls run at once: the adapter against an instance with real queues, in virtual time."""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest

from provisioning.adapters.servicenow.budget import HOLD, Budget
from provisioning.errors import Throttled
from tests.servicenow_load import loading, name_of


@pytest.fixture
def load():
    with loading() as load:
        load.capacity.set_times(insert=0.5, read=0.005, spread=0.5)
        yield load


def test_all_slots_that_were_granted_are_used_and_none_more(load):
    load.create(1_000)
    assert load.capacity.peak_busy == 4
    assert load.used > 0.95
    assert load.capacity.refused == 0


def test_when_the_grant_shrinks_one_call_is_refused_and_no_second_one(load):
    load.capacity.grant(4)
    load.at(20.0, load.capacity.grant, 2)
    load.create(260)
    assert load.capacity.refused == 1
    assert load.used > 0.9


def test_a_grant_that_comes_back_is_noticed_after_a_pause_with_one_call_more_as_a_trial(load):
    load.capacity.grant(4)
    load.at(20.0, load.capacity.grant, 2)
    load.at(20.0 + HOLD - 5.0, load.capacity.grant, 4)
    load.create(1_000)
    assert load.capacity.refused == 1
    assert load.session.budget.allowed == 4


def test_a_trial_that_is_refused_is_not_repeated_soon_and_costs_no_slot(load):
    load.capacity.grant(2)
    load.create(1_000)
    # Four calls at first, of which two are too many, then a trial after 30, 60, 120 seconds ...
    assert load.capacity.refused <= 2 + 3
    assert load.session.budget.allowed == 2
    assert load.used > 0.95


def test_a_call_that_fails_costs_a_slot_until_the_next_one_succeeds(load):
    load.instance.faults.add("POST batch", "status", status=503, times=1, skip=10)
    load.create(1_000)
    assert load.session.budget.allowed == 4
    assert load.used > 0.93


def test_an_instance_in_trouble_is_spared(load):
    budget = load.session.budget
    allowed = []

    async def trouble():
        for _ in range(6):
            ticket = await budget.enter()
            budget.answered(ticket, httpx.Response(503))
            budget.leave()
            allowed.append(budget.allowed)

    load.do(trouble())
    assert allowed == [3, 2, 1, 1, 1, 1]


def test_calls_that_were_under_way_together_count_once(load):
    budget = load.session.budget

    async def four():
        tickets = [await budget.enter() for _ in range(4)]
        for ticket in tickets:
            budget.answered(ticket, httpx.Response(429))
            budget.leave()

    load.do(four())
    assert budget.allowed == 2


def test_calls_that_stand_in_the_queue_of_a_busy_instance_become_fewer_and_lose_nothing(load):
    load.capacity.occupy(6)  # one slot of each node is left
    load.create(400)
    assert load.session.budget.allowed < 4
    assert load.used > 0.95
    assert load.capacity.refused == 0
    load.capacity.occupy(0)
    load.create(400)
    assert load.session.budget.allowed == 4


def test_a_short_pause_is_kept_by_everybody_and_a_long_one_goes_up(load):
    load.instance.faults.add("POST batch", "too_many", retry_after="7", skip=4)
    began = load.now()
    load.create(200)
    assert load.capacity.refused == 0
    assert load.instance.statuses[429] == 1
    assert load.now() - began > 7.0
    load.instance.faults.add("POST batch", "too_many", retry_after="1800")

    async def both():
        finds = [load.target.find("sys_user", "user_name", [name], []) for name in (name_of(1), name_of(2))]
        return await asyncio.gather(*finds, return_exceptions=True)

    asked = load.instance.counts["POST batch"]
    failures = load.do(both())
    assert [type(failure) for failure in failures] == [Throttled, Throttled] or load.instance.statuses[429] == 2
    with pytest.raises(Throttled) as parked:
        load.do(load.target.find("sys_user", "user_name", [name_of(3)], []))
    assert 1790.0 < parked.value.retry_after <= 1800.0
    assert load.instance.counts["POST batch"] <= asked + 2  # nothing more is sent during the pause
    load.pass_time(1801.0)
    assert load.do(load.target.find("sys_user", "user_name", [name_of(3)], []))


def test_steps_share_what_they_were_granted_together():
    budget = Budget(2, now=lambda: 0.0)
    assert budget.most == 2
    with budget.share(1):
        assert budget.most == 1
        with budget.share(3):
            assert budget.most == 4
        assert budget.most == 1
    assert budget.most == 2


def test_a_caller_that_gives_up_waiting_leaves_its_place_to_the_next(load):
    budget = load.session.budget

    async def crowd():
        rng = random.Random(1)
        inside = 0

        async def call(number):
            nonlocal inside
            await budget.enter()
            inside += 1
            assert inside <= 4
            await asyncio.sleep(rng.random())
            inside -= 1
            budget.leave()
            return number

        tasks = [asyncio.ensure_future(call(n)) for n in range(60)]
        await asyncio.sleep(0.5)
        waiting = [task for task in tasks[30:50] if not task.done()]
        for task in waiting:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(1 for each in done if isinstance(each, int)) == 60 - len(waiting)
        assert budget.allowed == 4

    load.do(crowd())
    assert budget._busy == 0
