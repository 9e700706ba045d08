"""The local driver: runs a cycle to its end in one process, on asyncio. The command line, `serve` and the tests use it;
in Azure the Durable orchestrator does the same with activities.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from provisioning.engine.engine import Engine
from provisioning.engine.progress import Progress

Watcher = Callable[[Progress], None]


async def run_cycle(
    engine: Engine,
    *,
    dry_run: bool = False,
    watch: Watcher = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Progress:
    """Begins or resumes a cycle and answers its last progress: finished, or halted with the reason."""
    progress = await engine.begin_cycle(dry_run=dry_run)
    while True:
        progress = await engine.advance()
        watch(progress)
        if progress.finished or progress.halted is not None:
            return progress
        if not progress.steps:
            await sleep(max(0.0, progress.retry_at - engine.context.now()))
            continue
        async with asyncio.TaskGroup() as group:
            for number in range(len(progress.steps)):
                group.create_task(engine.run_step(progress, number))
