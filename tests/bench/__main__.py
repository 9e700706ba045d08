"""Measures the ServiceNow client, a whole load and the cycles after it: `make bench`, which writes docs/benchmarks.md.
Ratios within one run; not part of the tests. Everything is the real code against both emulators in this process; CPU
time is this process's own, the emulators' share included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

from provisioning.engine.cycle import Pace
from tests.bench import capacity, discovery, mapping, pysnc
from tests.bench.capacity import INSERT, READ, SLOTS, SPREAD
from tests.bench.report import Measure, publish
from tests.world import World, small_world


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--accounts", type=int, default=250_000, help="of the instance that discover reads")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the Graph SDK's own deprecations
    size = f"{options.users:,} users, {options.groups} groups"
    accounts, tenant = options.accounts, 2 * options.accounts
    cost = f"{mapping.ratio():.1f}"
    publish(
        [
            ("The ServiceNow client, in virtual time", [*capacity.creating(), *capacity.matching()]),
            ("The ServiceNow client beside PySNC, over HTTPS in real time", pysnc.creating()),
            (f"Cycles of a tenant: {size}, in virtual time", _cycles(options.users, options.groups)),
            (
                f"Discovery: {accounts:,} accounts, {tenant:,} users in Entra, in virtual time",
                discovery.discovering(accounts, tenant),
            ),
            ("Mapping", [("one user through the default mapping / json.loads of its Graph JSON", cost, "at most 15")]),
        ]
    )


def _cycles(users: int, groups: int) -> list[Measure]:
    with tempfile.TemporaryDirectory() as scratch:
        pace = Pace(slots=SLOTS)
        with small_world(Path(scratch), users=users, groups=groups, pace=pace) as world:
            return [*_load(world), *_afterwards(world)]


def _load(world: World) -> list[Measure]:
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
        ("objects created", f"{objects:,}", ""),
        ("writes per object", f"{writes / objects:.3f}", "at most 1.02"),
        ("share of the granted slot-seconds used, whole cycle", f"{busy / (wall * SLOTS):.1%}", ""),
        ("HTTP calls to ServiceNow per 20 writes, reads included", f"{calls / writes * 20:.2f}", ""),
        ("Graph requests / fewest possible", f"{graph} / {fewest}", "at most 1.1"),
        ("objects per CPU second, emulators included", f"{objects / cpu:,.0f}", ""),
        ("objects per minute of virtual time", f"{objects / wall * 60:,.0f}", ""),
    ]


def _afterwards(world: World) -> list[Measure]:
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
        ("nothing changed: calls to both sides, writes, CPU seconds", f"{quiet}, {writes}, {cpu:.2f}", ""),
        ("100 users changed: calls to both sides", str(busy), ""),
    ]


if __name__ == "__main__":
    main()
