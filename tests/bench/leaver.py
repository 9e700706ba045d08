"""How long a leaver waits who appears while 10,000 writes are pending, in virtual time."""

from __future__ import annotations

import calendar
import tempfile
import time
from pathlib import Path

from provisioning.engine.cycle import Pace
from provisioning.engine.progress import Progress
from tests.bench.report import Measure
from tests.world import World, small_world

PENDING, SLOTS, INSERT, TICK = 10_000, 2, 1.1, 2400.0
ONE_BATCH = 30.0
"""Seconds that an instance gives a batch at most; collecting and deciding go before it."""
NAME = "leaver@contoso.example"


def leaving() -> list[Measure]:
    pace = Pace(slots=SLOTS, interval=TICK)
    with tempfile.TemporaryDirectory() as scratch, small_world(Path(scratch), pace=pace) as world:
        leaver = _hire(world, NAME)
        world.cycle()
        for number in range(PENDING):
            _hire(world, f"user{number}@contoso.example")
        world.instance.capacity.set_times(insert=INSERT, update=INSERT, read=0.01)
        left = list[float]()

        def watch(progress: Progress) -> None:
            if progress.phase == "act users" and not left:
                left.append(world.now())
                world.directory.update_user(leaver, accountEnabled=False)

        assert world.cycle(watch=watch).finished
        record = world.account(NAME)
        assert record is not None
        assert record["active"] == "false", "the leaver is still in"
        updated = calendar.timegm(time.strptime(record["sys_updated_on"], "%Y-%m-%d %H:%M:%S"))
    waited = updated - left[0]
    bar = f"at most {TICK + ONE_BATCH:,.0f} s: one tick and one batch"
    return [(f"a leaver appears while {PENDING:,} writes are pending: disabled after", f"{waited:,.0f} s", bar)]


def _hire(world: World, name: str) -> str:
    user = world.directory.add_user(userPrincipalName=name, displayName=name, mail=name, accountEnabled=True)
    world.directory.assign(user)
    return user
