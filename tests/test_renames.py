"""Users who take each other's names: in a row, in a circle, and with a process that dies in between."""

from __future__ import annotations

import pytest

from provisioning.engine.cycle import Pace
from tests.test_cycle_stories import DOMAIN, account, hire
from tests.test_mapping_stories import errors
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def rename(world, *changes):
    """In Entra itself nobody may have a name that somebody has: all take one in between first."""
    for user, name in (*((user, f"between{n}") for n, (user, _) in enumerate(changes)), *changes):
        world.directory.update_user(user, userPrincipalName=f"{name}@{DOMAIN}", mail=f"{name}@{DOMAIN}")


def holders(world):
    """The surname of who has each user name."""
    rows = world.instance.find("sys_user", last_name="Example")
    return {row["user_name"].partition("@")[0]: row["first_name"] for row in rows}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_names_that_are_handed_on_in_a_row_are_all_right_after_one_cycle(world, order):
    people = [hire(world, name) for name in ("ada", "bob", "cy")]
    world.cycle()
    new = ("bob", "cy", "dee")
    rename(world, *((people[number], new[number]) for number in order))
    world.cycle()
    assert holders(world) == {"bob": "Ada", "cy": "Bob", "dee": "Cy"}


@pytest.mark.parametrize("number", [2, 3, 5])
def test_names_that_go_round_in_a_circle_are_all_right_after_one_cycle(world, number):
    names = [f"user{n}" for n in range(number)]
    people = [hire(world, name) for name in names]
    world.cycle()
    sys_ids = {account(world, name)["sys_id"] for name in names}
    rename(world, *((user, names[(n + 1) % number]) for n, user in enumerate(people)))
    progress = world.cycle()
    assert holders(world) == {names[(n + 1) % number]: f"User{n}" for n in range(number)}
    assert {row["sys_id"] for row in world.instance.find("sys_user", last_name="Example")} == sys_ids
    assert progress.counts.get("users.failed", 0) == 0
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_a_long_row_of_names_is_all_right_after_one_cycle(world):
    names = [f"user{n}" for n in range(12)]
    people = [hire(world, name) for name in names]
    world.cycle()
    rename(world, *((user, f"user{n + 1}") for n, user in enumerate(people)))
    world.cycle()
    assert holders(world) == {f"user{n + 1}": f"User{n}" for n in range(12)}


@pytest.mark.parametrize("slots", [1, 4])
def test_a_circle_that_is_spread_over_batches_is_right_after_one_cycle(tmp_path, slots):
    with small_world(tmp_path, pace=Pace(slots=slots, chunk=1)) as world:
        names = [f"user{n}" for n in range(4)]
        people = [hire(world, name) for name in names]
        world.cycle()
        rename(world, *((user, names[(n + 1) % 4]) for n, user in enumerate(people)))
        world.cycle()
        assert holders(world) == {names[(n + 1) % 4]: f"User{n}" for n in range(4)}


def test_a_name_that_somebody_else_has_is_a_conflict_and_nobody_gets_another_one(world):
    ada = hire(world, "ada")
    hire(world, "bob")
    world.cycle()
    world.instance.insert("sys_user", {"user_name": f"taken@{DOMAIN}", "last_name": "Local"})
    rename(world, (ada, "taken"))
    world.cycle()
    assert holders(world) == {"ada": "Ada", "bob": "Bob"}
    assert errors(world) == {"Conflict"}


def test_a_process_that_dies_in_a_circle_leaves_it_to_the_next(world):
    people = [hire(world, name) for name in ("ada", "bob")]
    world.cycle()
    rename(world, (people[0], "bob"), (people[1], "ada"))
    between = account(world, "ada")["sys_id"]
    world.instance.faults.add("batch: PATCH sys_user", "status", times=None, where={"user_name": f"bob@{DOMAIN}"})
    world.cycle()
    assert set(holders(world)) & {between, account(world, "bob")["sys_id"] if account(world, "bob") else "", "ada"}
    world.restart()
    world.instance.faults.planned.clear()
    for _ in range(2):
        world.cycle()
    assert holders(world) == {"bob": "Ada", "ada": "Bob"}
