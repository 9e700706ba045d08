"""Memberships of groups with roles are written one batch at a time; those of other groups side by side."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from provisioning.adapters.sqlite import SqliteStore
from provisioning.engine.cycle import Pace
from provisioning.engine.driver import run_cycle
from provisioning.engine.shares import CLAIM_SECONDS
from provisioning.engine.turns import Turns
from provisioning.rules.protection import Protection
from tests.test_cycle_stories import DOMAIN, group_of, hire
from tests.test_protection_stories import local_group
from tests.world import World, small_world

MEMBERS = "/api/now/table/sys_user_grmember"


class Watched(httpx.AsyncBaseTransport):
    """Notes how many calls with membership writes of each group are at the instance at once."""

    def __init__(self, world: Watching) -> None:
        self._world = world
        self._inner = World.way_to_servicenow(world)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        groups = self._groups(request)
        self._world.under_way.update(groups)
        for group in groups:
            self._world.most[group] = max(self._world.most[group], self._world.under_way[group])
        try:
            return await self._inner.handle_async_request(request)
        finally:
            self._world.under_way.subtract(groups)

    def _groups(self, request: httpx.Request) -> set[str]:
        """By name."""
        if not request.url.path.endswith("/batch"):
            return set()
        found = set()
        for item in json.loads(request.content)["rest_requests"]:
            path = item["url"].partition("?")[0]
            if item["method"] == "POST" and path == MEMBERS:
                found.add(json.loads(base64.b64decode(item["body"]))["group"])
            elif item["method"] == "DELETE" and path.startswith(MEMBERS):
                row = self._world.instance.get("sys_user_grmember", path.rpartition("/")[2])
                found.add(row["group"] if row else "")
        return {self._world.instance.get("sys_user_group", group)["name"] for group in found if group}


@dataclass
class Watching(World):
    under_way: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)

    def way_to_servicenow(self) -> Any:
        return Watched(self)


@pytest.fixture
def world(tmp_path):
    protection = Protection(allowed_groups=("Administrators", "Approvers"))
    with small_world(tmp_path, pace=Pace(slots=4, chunk=40), protection=protection) as plain:
        shared = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
        world = Watching(**shared)
        parent = local_group(world, "Parent", roles=("itil",))
        local_group(world, "Administrators", roles=("itil",))
        local_group(world, "Approvers", parent=parent)
        world.instance.capacity.set_times(insert=0.5, update=0.5, delete=0.5, read=0.01)
        yield world


def staff(world, number=60):
    return [hire(world, f"user{n}") for n in range(number)]


def test_a_group_with_roles_gets_its_members_one_batch_at_a_time_and_others_side_by_side(world):
    people = staff(world)
    groups = {name: group_of(world, name, *people) for name in ("Administrators", "Approvers", "Readers")}
    assert world.cycle().finished
    assert all(len(world.members(name)) == 60 for name in groups)
    assert (world.most["Administrators"], world.most["Approvers"]) == (1, 1)
    assert world.most["Readers"] > 1
    world.most.clear()
    for user in people[:40]:
        for group in groups.values():
            world.directory.remove_member(group, user)
    assert world.cycle().finished
    assert world.members("Administrators") == {f"user{n}@{DOMAIN}" for n in range(40, 60)}
    assert (world.most["Administrators"], world.most["Approvers"]) == (1, 1)


def test_where_roles_cannot_be_read_every_group_gets_its_members_one_batch_at_a_time(world):
    world.instance.access.no_query.add("sys_group_has_role")
    group_of(world, "Readers", *staff(world))
    assert world.cycle().finished
    assert len(world.members("Readers")) == 60
    assert world.most["Readers"] == 1


def test_two_jobs_take_turns_with_a_group(world):
    group_of(world, "Administrators", *staff(world))
    engine = world.engine()
    job = replace(engine.context.job, id="other", application="another application")
    other = replace(engine, context=replace(world.engine().context, job=job))

    async def both():
        return await asyncio.gather(run_cycle(engine), run_cycle(other))

    assert all(progress.finished for progress in world.run(both()))
    assert len(world.members("Administrators")) == 60
    assert world.most["Administrators"] == 1


def test_the_turn_of_a_dead_worker_ends_by_itself(world):
    group_of(world, "Administrators", *staff(world, 10))
    (administrators,) = world.instance.find("sys_user_group", name="Administrators")
    dead = Turns(world.store, world.engine().instance, "a dead worker")
    assert world.run(dead.take(administrators["sys_id"], world.now()))
    began = world.now()
    assert world.cycle().finished
    assert len(world.members("Administrators")) == 10
    assert CLAIM_SECONDS <= world.now() - began < CLAIM_SECONDS + 200.0


def test_a_turn_is_one_holders_until_it_is_given_back_or_ends():
    async def story():
        async with SqliteStore(":memory:") as store:
            one, other = (Turns(store, "contoso", name) for name in ("one", "other"))
            assert await one.take("g", 0.0)
            assert await one.take("g", 1.0)
            assert not await other.take("g", 2.0)
            assert await other.take("h", 2.0)
            await one.give_back()
            assert await other.take("g", 3.0)
            assert await one.take("g", 3.0 + CLAIM_SECONDS)
            await other.give_back()  # not the one's turn
            assert not await other.take("g", 4.0 + CLAIM_SECONDS)
            assert await one.take("h", 4.0 + CLAIM_SECONDS)

    asyncio.run(story())


def test_workers_that_ask_together_for_a_turn_do_not_both_get_it():
    async def crowd():
        async with SqliteStore(":memory:") as store:
            got = await asyncio.gather(*(Turns(store, "contoso", f"{n}").take("g", 0.0) for n in range(8)))
            assert got.count(True) == 1

    asyncio.run(crowd())
