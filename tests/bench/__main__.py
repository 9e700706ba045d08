"""Measures a whole load and the cycles after it: `make bench`. Ratios within one run; not part of the tests.

Everything is the real code against both emulators in this process. ServiceNow's time is virtual (50 ms an insert, 5 ms
a read, spread lognormally; 2 nodes of 4 slots, 4 granted), so that the share of the granted slots that was used is
exact; CPU time is this process's own, the emulators' share included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

from provisioning.engine.cycle import Pace
from tests.bench import mapping
from tests.world import World, small_world

INSERT, READ, SPREAD = 0.05, 0.005, 0.5
SLOTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the Graph SDK's own deprecations
    table = Table("measure", "value", title=f"{options.users:,} users, {options.groups} groups, emulators in-process")
    with tempfile.TemporaryDirectory() as scratch:
        pace = Pace(slots=SLOTS)
        with small_world(Path(scratch), users=options.users, groups=options.groups, pace=pace) as world:
            for name, value in _load(world):
                table.add_row(name, value)
            for name, value in _afterwards(world):
                table.add_row(name, value)
    cost = f"{mapping.ratio():.1f} (at most 15)"
    table.add_row("one user through the default mapping / json.loads of its Graph JSON", cost)
    Console().print(table)


def _load(world: World) -> list[tuple[str, str]]:
    world.instance.capacity.set(nodes=2, slots_per_node=4)
    world.instance.capacity.set_times(insert=INSERT, update=INSERT, delete=INSERT, read=READ, spread=SPREAD)
    wall, cpu = world.now(), time.process_time()
    progress = world.cycle()
    wall, cpu = world.now() - wall, time.process_time() - cpu
    objects = sum(progress.counts.get(f"{kind}.created", 0) for kind in ("users", "groups", "memberships"))
    writes = sum(world.writes().values())
    busy = world.instance.capacity.measures()["busy_seconds"]
    graph = sum(number for kind, number in world.directory.counts.items() if not kind.startswith("batch: "))
    people, groups = world.directory.counts["batch: GET /users"], world.directory.counts["batch: GET /groups"]
    members = world.directory.counts["batch: GET /groups/{id}/members"]
    fewest = 4 + -(-people // 20) + -(-members // 20) + -(-groups // 20)
    calls = world.instance.counts["POST batch"]
    return [
        ("objects created", f"{objects:,}"),
        ("writes per object", f"{writes / objects:.3f}"),
        ("share of the granted slot-seconds used, whole cycle", f"{busy / (wall * SLOTS):.1%}"),
        ("HTTP calls to ServiceNow per 20 writes, reads included", f"{calls / writes * 20:.2f}"),
        ("Graph requests / fewest possible", f"{graph} / {fewest}"),
        ("objects per CPU second, emulators included", f"{objects / cpu:,.0f}"),
        ("objects per minute of virtual time", f"{objects / wall * 60:,.0f}"),
    ]


def _afterwards(world: World) -> list[tuple[str, str]]:
    world.forget_counts()
    cpu = time.process_time()
    world.cycle()
    cpu = time.process_time() - cpu
    quiet = sum(
        n for k, n in {**world.directory.counts, **world.instance.counts}.items() if not k.startswith("batch: ")
    )
    writes = sum(world.writes().values())
    ids = [user for user in world.directory.users if world.directory.is_in_scope(user)][:100]
    for number, user in enumerate(ids):
        world.directory.update_user(user, jobTitle=f"Title {number}")
    world.forget_counts()
    world.restart()
    world.cycle()
    busy = sum(n for k, n in {**world.directory.counts, **world.instance.counts}.items() if not k.startswith("batch: "))
    return [
        ("nothing changed: calls to both sides, writes, CPU seconds", f"{quiet}, {writes}, {cpu:.2f}"),
        ("100 users changed: calls to both sides", str(busy)),
    ]


if __name__ == "__main__":
    main()
