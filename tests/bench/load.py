"""A first cycle in virtual time, and what comes after it: the shares of ServiceNow's time and of Graph's requests that
are used, beside the fewest that would do.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from provisioning.engine.cycle import Pace
from provisioning.engine.progress import Progress
from tests.bench.capacity import INSERT, READ, SLOTS, SPREAD
from tests.bench.report import Measure
from tests.world import World, small_world

ENTRA = (12.5, 100.0)
"""Objects a minute that Microsoft publishes for its own service."""
BATCH, IDS = 20, 15


@dataclass
class Writing:
    """Seconds from the first write to the last, and what the instance worked in between."""

    first: float = 0.0
    last: float = 0.0
    busy: float = 0.0

    def watch(self, world: World) -> None:
        """The instance is idle before its first insert but for reads, which do not count."""
        capacity = world.instance.capacity
        spend, draw = capacity.spend, capacity.draw

        def drawn(work: str) -> float:
            if work != "read" and not self.first:
                self.first = asyncio.get_running_loop().time()
            return draw(work)

        async def spent(seconds: float) -> None:
            began = asyncio.get_running_loop().time()
            await spend(seconds)
            if self.first:
                self.last = asyncio.get_running_loop().time()
                self.busy += self.last - max(began, self.first)

        capacity.draw, capacity.spend = drawn, spent


def loading(users: int, groups: int) -> list[Measure]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        small_world(Path(scratch), users=users, groups=groups, pace=Pace(slots=SLOTS)) as world,
    ):
        return [*_load(world), *_afterwards(world)]


def _load(world: World) -> list[Measure]:
    world.instance.capacity.set(nodes=2, slots_per_node=4)
    world.instance.capacity.set_times(insert=INSERT, update=INSERT, delete=INSERT, read=READ, spread=SPREAD)
    writing, acting = Writing(), list[float]()
    writing.watch(world)

    def watch(progress: Progress) -> None:
        if progress.phase.startswith("act") and not acting:
            acting.append(world.now())

    began, cpu = world.now(), time.process_time()
    progress = world.cycle(watch=watch)
    wall, cpu = world.now() - began, time.process_time() - cpu
    objects = sum(progress.counts.get(f"{kind}.created", 0) for kind in ("users", "groups", "memberships"))
    writes = sum(world.writes().values())
    busy = world.instance.capacity.measures()["busy_seconds"]
    graph, fewest = _requests(world), _fewest(world)
    calls = world.instance.counts["POST batch"]
    minute = objects / wall * 60
    used = writing.busy / ((writing.last - writing.first) * SLOTS)
    return [
        ("objects created", f"{objects:,}", ""),
        ("writes per object", f"{writes / objects:.3f}", "at most 1.02"),
        ("granted slot-seconds used, from the first write to the last", f"{used:.1%}", "at least 95 %"),
        ("granted slot-seconds used, whole cycle", f"{busy / (wall * SLOTS):.1%}", ""),
        ("time before the first write, of the whole cycle", f"{(acting[0] - began) / wall:.1%}", "at most 10 %"),
        ("HTTP calls to ServiceNow per 20 writes, reads included", f"{calls / writes * 20:.2f}", "at most 1"),
        ("Graph requests / fewest possible", f"{graph} / {fewest} = {graph / fewest:.2f}", "at most 1.1"),
        ("objects per CPU second, emulators included", f"{objects / cpu:,.0f}", ""),
        ("objects per minute of virtual time", f"{minute:,.0f}", ""),
        (
            "that beside Entra's published 12.5 to 100 a minute: emulator against published figure",
            f"{minute / ENTRA[1]:,.0f} to {minute / ENTRA[0]:,.0f} times",
            "",
        ),
    ]


def _requests(world: World) -> int:
    return sum(number for kind, number in world.directory.counts.items() if not kind.startswith("batch: "))


def _fewest(world: World) -> int:
    """Everything else once, and batches that are full: of users and groups by their ids, and of lists of members."""
    counts = world.directory.counts
    small = _requests(world) - counts["POST /$batch"]
    kinds = ("batch: GET /users", "batch: GET /groups", "batch: GET /groups/{id}/members")
    return small + sum(-(-counts[kind] // BATCH) for kind in kinds)


def _afterwards(world: World) -> list[Measure]:
    world.forget_counts()
    cpu = time.process_time()
    world.cycle()
    cpu = time.process_time() - cpu
    quiet, writes = _calls(world), sum(world.writes().values())
    ids = [user for user in world.directory.users if world.directory.is_in_scope(user)][:100]
    for number, user in enumerate(ids):
        world.directory.update_user(user, jobTitle=f"Title {number}")
    world.forget_counts()
    world.restart()
    world.cycle()
    return [
        ("nothing changed: calls to both sides, writes, CPU seconds", f"{quiet}, {writes}, {cpu:.2f}", ""),
        ("100 users changed: calls to both sides", str(_calls(world)), "at most 30"),
    ]


def _calls(world: World) -> int:
    counts = {**world.directory.counts, **world.instance.counts}
    return sum(number for kind, number in counts.items() if not kind.startswith("batch: "))
