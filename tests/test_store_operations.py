"""How often the state is asked: in the cloud every one of these is a request."""

from __future__ import annotations

import pytest

from provisioning.engine.edges import GLANCE, Waiting
from tests.counted_store import CountedStore
from tests.emulators.plain_tenant import DOMAIN, seed_plainly
from tests.world import small_world

USERS = 200


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        world.store = CountedStore(world.store)
        seed_plainly(world.directory, users=USERS, groups=0)
        yield world


def a_user(world, table):
    """Rows of a table that were read one by one, for each user."""
    return world.store.counts[f"get_many {table}"] / USERS


def test_a_user_is_read_matched_created_and_settled_with_twelve_row_reads(world):
    world.cycle()
    assert world.instance.count("sys_user") >= USERS
    tables = ("plan", "link", "key", "target", "record")
    assert [round(a_user(world, table), 1) for table in tables] == [3.0, 2.0, 2.0, 1.0, 2.0]
    assert world.store.operations / USERS <= 15  # batches are small here: they begin with twenty writes


def test_who_gets_another_record_claims_it_again_once_the_link_says_so(world):
    world.cycle()
    name = f"user7@{DOMAIN}"
    world.instance.delete("sys_user", world.account(name)["sys_id"])
    world.directory.update_user(list(world.directory.users)[7], jobTitle="Director")
    world.store.counts.clear()
    world.cycle()
    assert world.account(name)["title"] == "Director"
    assert world.store.counts["get_many key"] == 3  # who else has it, before the write, after it


@pytest.fixture
def waiting(sqlite_store):
    return Waiting(CountedStore(sqlite_store.behind), "job")


def test_nobody_waits_for_a_thousand_that_appear_together_and_that_takes_a_look_at_each_partition(waiting, runner):
    assert runner.run(waiting.arrived([f"user{number}" for number in range(1000)])) == []
    assert waiting._store.operations <= 16


@pytest.mark.parametrize("crowd", [1, GLANCE - 1, GLANCE, 3 * GLANCE, 1200])
def test_everybody_who_waits_is_found_whoever_else_waits(waiting, runner, crowd):
    pairs = [("boss", f"user:{number}") for number in range(crowd)]
    pairs += [(f"manager{number}", f"user:of{number}") for number in range(100)]
    pairs += [(f"nobody{number}", "user:still waiting") for number in range(300)]
    runner.run(waiting.add(pairs))
    appeared = ["boss", *(f"manager{number}" for number in range(100)), *(f"other{number}" for number in range(50))]
    found = runner.run(waiting.arrived(appeared))
    assert sorted(found) == sorted(pair for pair in pairs if not pair[0].startswith("nobody"))
