"""The local driver: runs a cycle to its end in one process, on asyncio. The command line, `serve` and the tests use it;
in Azure the Durable orchestrator does the same with activities.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from provisioning.engine.engine import Engine
from provisioning.engine.progress import Progress
from provisioning.errors import Unavailable

Watcher = Callable[[Progress], None]


async def run_cycle(
    engine: Engine,
    *,
    dry_run: bool = False,
    watch: Watcher = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Progress:
    """Begins or resumes a cycle and answers its last progress: finished, or halted with the reason. Raises `LeaseLost`
    when another worker has the job, `Unavailable` when the state store stays away.
    """
    return await drive(engine, await engine.begin_cycle(dry_run=dry_run), dry_run=dry_run, watch=watch, sleep=sleep)


async def drive(
    engine: Engine,
    progress: Progress,
    *,
    dry_run: bool = False,
    watch: Watcher = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Progress:
    """A cycle that has begun, as `run_cycle`."""
    while True:
        progress = await _advance(engine, progress, sleep)
        watch(progress)
        if progress.at_rest:
            if not dry_run:
                await engine.notify()
            return progress
        if not progress.steps:
            await sleep(max(0.0, progress.retry_at - engine.context.now()))
            continue
        async with asyncio.TaskGroup() as group:
            for number in range(len(progress.steps)):
                group.create_task(_run_step(engine, progress, number))


async def _advance(engine: Engine, progress: Progress, sleep: Callable[[float], Awaitable[None]]) -> Progress:
    pace = engine.context.job.pace
    for attempt in range(1, pace.tries):
        try:
            return await engine.advance(progress.turn)
        except Unavailable:
            await sleep(min(pace.longest_backoff, 2.0**attempt))
    return await engine.advance(progress.turn)


async def _run_step(engine: Engine, progress: Progress, number: int) -> None:
    with suppress(Unavailable):  # the result could not be stored: the step is given out again
        await engine.run_step(progress, number)
