"""Leavers come first: ahead of all other writes of a cycle, and of one that takes long."""

from __future__ import annotations

import pytest

from provisioning.engine.cycle import Pace
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
