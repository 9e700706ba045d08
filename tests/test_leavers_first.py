"""Leavers come first: ahead of all other writes of a cycle, and of one that takes long."""

from __future__ import annotations

import pytest

from provisioning.engine import control
from provisioning.engine.cycle import Pace
from provisioning.rules.review import Limits
from tests.mappings import clause
from tests.test_cycle_stories import account, group_of, hire
from tests.test_scope_stories import with_user_filter
from tests.world import small_world


@pytest.mark.parametrize("leaving", ["unassigned", "disabled", "deleted", "filtered"])
def test_leavers_are_disabled_before_anybody_else_loses_or_gets_anything(tmp_path, leaving):
    with small_world(tmp_path, pace=Pace(slots=1, chunk=5)) as world:
        members = [hire(world, f"member{n}", department="Sales") for n in range(40)]
        engineers, others = group_of(world, "Engineers", *members), group_of(world, "Others", *members[:3])
        leavers = [hire(world, f"leaver{n}", department="Sales") for n in range(10)]
        with_user_filter(world, [clause("department", "NOT EQUALS", "Left")])
        world.cycle()
        records = [account(world, f"leaver{n}")["sys_id"] for n in range(10)]
        before = quiet_picture(world)
        for user in members:
            world.directory.remove_member(engineers, user)
            world.directory.update_user(user, city="Athens")
        world.directory.unassign_principal(others)
        for user in leavers:
            leave(world, user, leaving)

        def watch(_):
            if quiet_picture(world) != before:
                assert {world.instance.get("sys_user", record)["active"] for record in records} == {"false"}

        assert world.cycle(watch=watch).halted is None
        assert quiet_picture(world) != before


def quiet_picture(world):
    """What is not to change before the leavers are disabled."""
    users = world.instance.rows("sys_user")
    members = [sorted(row["user"] for row in world.instance.rows("sys_user_grmember"))]
    return (members, sorted(row["city"] for row in users), [g["active"] for g in world.instance.rows("sys_user_group")])


def leave(world, user, way):
    match way:
        case "unassigned":
            world.directory.unassign_principal(user)
        case "disabled":
            world.directory.update_user(user, accountEnabled=False)
        case "deleted":
            world.directory.delete_user(user)
        case "filtered":
            world.directory.update_user(user, department="Left")


def test_a_leaver_who_appears_while_a_long_cycle_still_decides_is_disabled_before_it_has_decided(tmp_path):
    """Everybody is evaluated again, which takes hours of reading; nobody else is written before all is decided."""
    pace = Pace(slots=1, chunk=10, interval=200.0)
    with small_world(tmp_path, pace=pace, time_box=60.0) as world:
        users = [hire(world, f"user{n}") for n in range(200)]
        leavers = [hire(world, f"leaver{n}") for n in range(3)]
        world.cycle()
        world.run(control.restart(world.engine(), ("Watermark",), by="a person"))
        world.pass_time(600.0)
        for user in users:
            world.directory.update_user(user, city="Athens")
        world.instance.capacity.set_times(read=20.0)
        left, disabled, decided = [], [], []

        def watch(progress):
            if progress.phase == "decide people" and not left:
                left.append(world.now())
                for user, way in zip(leavers, ("unassigned", "disabled", "deleted"), strict=True):
                    leave(world, user, way)
            if not disabled and len(world.instance.rows("sys_user", "active=false^user_nameSTARTSWITHleaver")) == 3:
                disabled.append(world.now())
                assert not world.instance.find("sys_user", city="Athens")
            if progress.phase == "act users" and not decided:
                decided.append(world.now())

        assert world.cycle(watch=watch).finished
        assert disabled[0] - left[0] <= 200.0 + 3 * 60.0, "one tick of the schedule, and what is done in between"
        assert decided[0] - left[0] > 3 * 200.0
        assert len(world.instance.find("sys_user", city="Athens")) == 200


def test_what_an_unfinished_evaluation_has_found_is_not_let_through_before_all_of_it_is_counted(tmp_path):
    """A filter that drops everybody: at a tick of a long cycle only a part of them is known, maybe within the limit."""
    pace = Pace(slots=1, chunk=1, interval=20.0)
    with small_world(tmp_path, pace=pace, time_box=20.0, limits=Limits(absolute=3, floor=3)) as world:
        for n in range(20):
            hire(world, f"user{n}", department="Sales")
        leaver = hire(world, "leaver", department="Sales")
        world.cycle()
        with_user_filter(world, [clause("department", "EQUALS", "Slaes")])
        world.instance.capacity.set_times(read=10.0)
        left = []

        def watch(progress):
            if progress.phase == "decide people" and progress.decided.get("removals") and not left:
                left.append(progress)
                world.directory.unassign_principal(leaver)

        progress = world.cycle(watch=watch)
        assert (progress.held is not None, progress.passes > 2) == (True, True)
        assert account(world, "leaver")["active"] == "false"
        assert len(world.instance.rows("sys_user", "active=true^user_nameSTARTSWITHuser")) == 20
