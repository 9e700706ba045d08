"""The calls that an instance grants to us, shared out among jobs, on-demand runs and workers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.adapters.sqlite import SqliteStore
from provisioning.engine import on_demand
from provisioning.engine.cycle import Pace
from provisioning.engine.driver import run_cycle
from provisioning.engine.on_demand import provision_on_demand
from provisioning.engine.shares import CLAIM_SECONDS, RECOVERY, Claim, Claims, Shares, claimed, fair_share
from provisioning.errors import Unavailable
from tests.test_cycle_stories import account, hire
from tests.world import small_world

GRANTED = 4


def claims_of(**wants):
    return {name: Claim(wanted, 0, float(n), 1e9) for n, (name, wanted) in enumerate(wants.items())}


def test_one_job_gets_everything_and_two_get_half():
    assert fair_share(claims_of(a=4), 4) == {"a": 4}
    assert fair_share(claims_of(a=4, b=4), 4) == {"a": 2, "b": 2}
    assert fair_share(claims_of(a=4, b=1), 4) == {"a": 3, "b": 1}
    assert fair_share(claims_of(a=3, b=3), 3) == {"a": 2, "b": 1}


def test_when_there_is_too_little_a_person_comes_first_and_then_who_came_first():
    claims = {**claims_of(a=2, b=2), "person": Claim(1, 0, 9.0, 1e9, urgent=True)}
    assert fair_share(claims, 1) == {"person": 1, "a": 0, "b": 0}
    assert fair_share(claims, 2) == {"person": 1, "a": 1, "b": 0}


def test_nobody_gets_what_another_has_not_given_back():
    first = claimed(Claims(), "a", Claim(4, 0, 0.0, 900.0), GRANTED)
    both = claimed(first, "b", Claim(4, 0, 1.0, 901.0), GRANTED)
    assert {name: each.using for name, each in both.holders.items()} == {"a": 4, "b": 0}
    both = claimed(both, "a", Claim(4, 0, 2.0, 902.0), GRANTED)
    both = claimed(both, "b", Claim(4, 0, 3.0, 903.0), GRANTED)
    assert {name: each.using for name, each in both.holders.items()} == {"a": 2, "b": 2}


def test_what_nobody_renews_ends():
    first = claimed(Claims(), "a", Claim(4, 0, 0.0, 900.0), GRANTED)
    later = claimed(first, "b", Claim(4, 0, 900.0, 1800.0), GRANTED)
    assert {name: each.using for name, each in later.holders.items()} == {"b": 4}


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.integers(1, 6), st.booleans(), st.floats(0.0, 2000.0)), max_size=40
    ),
    st.integers(1, 6),
)
def test_together_they_never_use_more_than_was_granted(turns, granted):
    known, now = Claims(), 0.0
    for holder, wants, urgent, pause in turns:
        now += pause
        known = claimed(known, holder, Claim(wants, 0, now, now + 900.0, urgent), granted)
        assert sum(each.using for each in known.holders.values() if each.until > now) <= granted
        assert known.holders[holder].using <= wants


def test_calls_that_were_refused_leave_half_and_come_back_one_by_one():
    known = Claims(limit=2, limited_at=0.0)
    assert [known.usable(4, now) for now in (0.0, RECOVERY - 1, RECOVERY, 2 * RECOVERY, 9 * RECOVERY)] == [
        2,
        2,
        3,
        4,
        4,
    ]


def test_claims_that_meet_are_all_counted():
    async def crowd():
        async with SqliteStore(":memory:") as store:
            shares = Shares(store, "contoso.service-now.com")
            got = await asyncio.gather(*(shares.claim(f"job{n}", 2, granted=3, now=0.0) for n in range(6)))
            assert sum(got) <= 3
            other = Shares(store, "fabrikam.service-now.com")
            assert await other.claim("job1", 3, granted=3, now=0.0) == 3
            for n in range(6):
                await shares.release(f"job{n}")
            assert await shares.claim("last", 3, granted=3, now=0.0) == 3

    asyncio.run(crowd())


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path, pace=Pace(slots=2, chunk=40), time_box=60.0) as world:
        world.instance.capacity.grant(2)
        world.instance.capacity.set_times(insert=1.0, update=1.0, read=0.01)
        for number in range(120):
            hire(world, f"user{number}")
        yield world


def other_job(world):
    engine = world.engine()
    return replace(
        engine, context=replace(engine.context, job=replace(engine.context.job, id="other", application="other"))
    )


def test_two_jobs_of_one_instance_share_its_calls_and_both_come_to_their_end(world):
    async def both():
        return await asyncio.gather(run_cycle(world.engine()), run_cycle(other_job(world)))

    first, second = world.run(both())
    assert first.finished
    assert second.finished
    assert world.instance.capacity.refused == 0
    assert world.instance.capacity.peak_busy == 2
    assert len(world.instance.find("sys_user", active="true")) >= 120


def test_somebody_is_provisioned_on_demand_soon_although_a_load_uses_every_call(world):
    world.pace = Pace(slots=1, chunk=1000)
    world.instance.capacity.grant(1)
    took = []

    async def person():
        await asyncio.sleep(30.0)
        late = hire(world, "late")
        began = world.now()
        answer = await provision_on_demand(world.engine(), late, write=True)
        took.append(world.now() - began)
        assert answer.entries[0]["provisioningAction"] == "create"
        assert account(world, "user119") is None or len(world.instance.find("sys_user", active="true")) < 121

    async def both():
        progress, _ = await asyncio.gather(run_cycle(world.engine()), person())
        return progress

    assert world.run(both()).finished
    assert world.instance.capacity.refused == 0
    assert took[0] < 45.0  # a batch of the load, and a look every few seconds
    assert account(world, "late") is not None
    assert account(world, "user119") is not None


def test_on_demand_says_when_no_call_came_free_and_leaves_no_claim(world):
    engine = world.engine()
    late = hire(world, "late")

    async def crowded():
        """Two people who came first, and whose runs last."""
        for name in ("one", "two"):
            await engine.shares.claim(name, 1, granted=2, now=world.now(), urgent=True)
        while True:
            await asyncio.sleep(30.0)
            for name in ("one", "two"):
                assert await engine.shares.keep(name, granted=2, now=world.now())

    async def both():
        crowd = asyncio.ensure_future(crowded())
        await asyncio.sleep(1.0)
        began = world.now()
        with pytest.raises(Unavailable, match=r"all 2 call\(s\) .* 150 s; nothing was read or written"):
            await provision_on_demand(engine, late, write=True)
        crowd.cancel()
        return world.now() - began

    assert world.run(both()) == pytest.approx(on_demand.LONGEST_WAIT)
    assert account(world, "late") is None
    world.pass_time(300.0)
    assert world.run(provision_on_demand(engine, late, write=True)).entries
    assert account(world, "late") is not None


def test_the_claim_of_a_dead_process_ends_and_a_cycle_waits_for_it_without_failing(world):
    engine = world.engine()
    world.run(engine.shares.claim("on-demand-of-a-dead-process", 2, granted=2, now=world.now(), urgent=True))
    began = world.now()
    progress = world.cycle()
    assert progress.finished
    assert progress.failures == 0
    assert CLAIM_SECONDS <= world.now() - began < CLAIM_SECONDS + 300.0


def test_a_cycle_gives_its_calls_back_when_it_has_ended(world):
    world.cycle()
    assert world.run(world.engine().shares.claim("other", 2, granted=2, now=world.now())) == 2


def test_a_dry_run_takes_nothing_from_a_cycle_and_waits_for_nobody(world):
    world.run(world.engine().shares.claim("other", 2, granted=2, now=world.now()))
    began = world.now()
    assert world.cycle(dry_run=True).counts["planned users.created"] == 120
    assert world.now() - began < 60.0
    assert world.run(world.engine().shares.keep("other", granted=2, now=world.now()))


def test_workers_that_are_refused_calls_get_fewer_of_them_together(world):
    world.instance.capacity.grant(1)
    seen = []
    progress = world.cycle(watch=lambda progress: seen.append(progress.slots))
    assert progress.finished
    assert 1 in seen
    assert len(world.instance.find("sys_user", active="true")) >= 120


def test_a_long_pause_parks_the_cycle_and_it_goes_on_by_itself(world):
    parked, planted = [], []

    def watch(progress):
        if progress.phase == "act users" and not planted:
            planted.append(world.instance.faults.add("POST batch", "too_many", retry_after="1800", skip=1))
        if progress.retry_at > world.now() and not progress.steps:
            parked.append(progress.retry_at - world.now())
            assert progress.slots == 0  # others may work meanwhile

    began = world.now()
    progress = world.cycle(watch=watch)
    assert progress.finished
    assert parked
    assert max(parked) == pytest.approx(1800.0, abs=60.0)
    assert world.now() - began > 1700.0
    assert world.instance.statuses[429] == 1
    assert world.writes()["batch: POST sys_user"] == 120
