"""What `discover` takes for a large instance and a tenant twice its size: calls, time of the instance, CPU, memory."""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from pathlib import Path

from provisioning.engine.discovery import Discovery, discover
from provisioning.engine.links import Links
from provisioning.model import Link
from tests.bench.capacity import SPREAD
from tests.bench.report import Measure
from tests.world import World, small_world

DOMAIN = "contoso.example"
AT_ONCE = 1000
PAGE = 1.0
"""Seconds that the instance takes for a read, here mostly pages of 1,000 rows."""


def discovering(accounts: int, users: int) -> list[Measure]:
    """Half of the accounts are managed; of the others two in five have a user in Entra who is not assigned. Memory is
    what Python's allocator counts, in a second run, because counting takes time.
    """
    with tempfile.TemporaryDirectory() as scratch, small_world(Path(scratch)) as world:
        _fill(world, accounts, users)
        world.instance.capacity.set_times(read=PAGE, spread=SPREAD)
        world.forget_counts()
        wall, cpu, real = world.now(), time.process_time(), time.perf_counter()
        found = _discovered(world)
        wall, cpu, real = world.now() - wall, time.process_time() - cpu, time.perf_counter() - real
        states = _states(found)
        calls = sum(n for kind, n in world.instance.counts.items() if not kind.startswith("batch: "))
        graph = sum(world.directory.counts.values())
        assert sum(states.values()) == world.instance.count("sys_user"), "an account was left out"
        assert states["managed"] == accounts // 2, "a managed account was taken for something else"
        tracemalloc.start()
        kept = _discovered(world)
        held, peak = (each / 2**20 for each in tracemalloc.get_traced_memory())
        tracemalloc.stop()
        assert len(kept) == len(found), "two runs found different numbers of accounts"
    return [
        ("calls to ServiceNow / requests to Graph", f"{calls:,} / {graph:,}", ""),
        ("minutes of virtual time, at 1 s a page of ServiceNow and none of Graph", f"{wall / 60:.1f}", "at most 30"),
        ("seconds of this machine, emulators included", f"{real:,.0f} (CPU {cpu:,.0f})", ""),
        ("memory at the end / at most, with the answers of the emulators", f"{held:,.0f} / {peak:,.0f} MiB", ""),
    ]


def _discovered(world: World) -> Discovery:
    return world.run(discover(world.engine(dry_run=True).context, "user", (), lambda *_: None))


def _states(found: Discovery) -> dict[str, int]:
    states: dict[str, int] = {}
    for each in found.records(90):
        states[each.state] = states.get(each.state, 0) + 1
    return states


def _fill(world: World, accounts: int, users: int) -> None:
    managed, matched = accounts // 2, accounts // 2 + accounts // 5
    links: list[tuple[Link, str]] = []
    for n in range(users):
        source = world.directory.add_user(userPrincipalName=f"person{n}@{DOMAIN}", displayName=f"Person {n}")
        if n < matched:
            row = world.instance.insert("sys_user", {"user_name": f"person{n}@{DOMAIN}", "active": "true"})
            if n < managed:
                world.directory.assign(source)
                links.append((Link("user", source, sys_id=row["sys_id"], enabled=True), ""))
    for n in range(matched, accounts):
        world.instance.insert("sys_user", {"user_name": f"local{n}", "active": "true"})
    store = Links(world.store, "job")
    for start in range(0, len(links), AT_ONCE):
        world.run(store.save(links[start : start + AT_ONCE]))
