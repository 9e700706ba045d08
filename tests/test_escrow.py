"""When what failed is tried again: at once, after growing pauses, or not at all any more."""

from __future__ import annotations

import pytest

from provisioning.rules.escrow import DAY, HOUR, LONGEST, PAUSES, next_attempt
from tests.test_cycle_stories import DISABLED, account, group_of, hire, state
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def test_the_pauses_are_entras():
    times, now = [], 0.0
    while (following := next_attempt(0.0, now)) is not None:
        times.append(following)
        now = following
    assert times[:5] == [6 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR, 72 * HOUR]
    assert times[-1] == LONGEST
    assert len(times) == 2 + 28


def test_a_try_that_comes_late_does_not_bring_the_missed_ones_back():
    assert next_attempt(0.0, 13 * HOUR) == 24 * HOUR
    assert next_attempt(100.0, 100.0 + LONGEST) is None
    assert next_attempt(0.0, 5.0, ()) == 5.0


def attempts(world):
    return world.instance.counts["batch: POST sys_user"]


def refuse(world, name="ada"):
    world.instance.faults.add(
        "batch: POST sys_user", "rule", times=None, where={"user_name": f"{name}@contoso.example"}
    )


def test_a_write_that_servicenow_refuses_is_tried_again_after_growing_pauses(world):
    refuse(world)
    hire(world, "ada")
    tried = []
    for hour in range(60):
        before = attempts(world)
        world.cycle()
        if attempts(world) > before:
            tried.append(hour)
        world.pass_time(HOUR)
    assert tried == [0, 6, 12, 24, 48]
    world.instance.faults.planned.clear()
    world.pass_time(DAY)
    world.cycle()
    assert account(world, "ada") is not None


def test_a_change_of_the_object_is_tried_at_once(world):
    refuse(world)
    ada = hire(world, "ada")
    world.cycle()
    world.instance.faults.planned.clear()
    world.cycle()
    assert account(world, "ada") is None
    world.directory.update_user(ada, jobTitle="Analyst")
    world.cycle()
    assert account(world, "ada")["title"] == "Analyst"


def test_what_fails_in_passing_is_tried_in_the_next_cycle(world):
    world.instance.faults.add("batch: POST sys_user", "unauthorized", times=2)
    hire(world, "ada")
    hire(world, "bob")
    world.cycle()
    world.cycle()
    assert account(world, "ada") is not None
    assert account(world, "bob") is not None


def test_a_disablement_that_is_refused_is_tried_in_each_cycle(world):
    ada = hire(world, "ada")
    hire(world, "bob")
    world.cycle()
    world.directory.unassign_principal(ada)
    world.instance.access.no_update.add("sys_user")
    for _ in range(3):
        before = world.instance.counts["batch: PATCH sys_user"]
        world.cycle()
        assert world.instance.counts["batch: PATCH sys_user"] > before
    world.instance.access.no_update.clear()
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_after_28_days_nobody_tries_any_more_until_the_object_changes(world):
    refuse(world)
    ada = hire(world, "ada")
    for _ in range(30):
        world.cycle()
        world.pass_time(DAY)
    before = attempts(world)
    world.instance.faults.planned.clear()
    for _ in range(3):
        world.cycle()
        world.pass_time(DAY)
    assert attempts(world) == before
    world.directory.update_user(ada, jobTitle="Analyst")
    world.cycle()
    assert account(world, "ada") is not None


def test_a_membership_that_is_refused_waits_too(world):
    group_of(world, "Engineers", hire(world, "ada"))
    world.instance.access.no_insert.add("sys_user_grmember")
    world.cycle()
    before = world.instance.counts["batch: POST sys_user_grmember"]
    world.cycle()
    assert world.instance.counts["batch: POST sys_user_grmember"] == before
    world.instance.access.no_insert.clear()
    world.pass_time(PAUSES[0] + 1)
    world.cycle()
    assert world.members("Engineers") == {"ada@contoso.example"}
