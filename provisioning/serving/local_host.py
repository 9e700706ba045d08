"""Runs the routes in this process and drives cycles as a task of it, one at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from provisioning.api.ticking import tick
from provisioning.app import App
from provisioning.engine.driver import drive
from provisioning.engine.progress import Progress
from provisioning.errors import ConfigError, LeaseLost, ProvisioningError
from provisioning.process import Process

logger = logging.getLogger(__name__)

TICK = 300.0
"""Seconds from tick to tick: as often as the timer function asks the job's schedule."""


class LocalHost:
    """`Host` of the routes. What it began it ends with `close`, in good order: another process can go on at once."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._cycle: asyncio.Task[None] | None = None

    async def app(self) -> App:
        return await self._process.app()

    async def is_busy(self) -> bool:
        return self._cycle is not None and not self._cycle.done()

    async def start_cycle(self) -> None:
        """Raises `LeaseLost` also when another process of this machine runs cycles on the same state."""
        app = await self.app()
        async with AsyncExitStack() as held:
            try:
                leave_name = await held.enter_async_context(app.driving())
            except ConfigError as error:
                raise LeaseLost(str(error)) from error
            progress = await app.engine.begin_cycle()
            leave_name(progress.driver)
            self._cycle = asyncio.create_task(_drive(app, progress, held.pop_all()))

    async def ticks(self) -> None:
        """For as long as it is not cancelled. What goes wrong is logged, and tried again at the next tick."""
        while True:
            try:
                await tick(self)
            except ProvisioningError:
                logger.exception("tick failed")
            await asyncio.sleep(TICK)

    async def close(self) -> None:
        if self._cycle is not None:
            self._cycle.cancel()
            await asyncio.gather(self._cycle, return_exceptions=True)
        await self._process.close()


async def _drive(app: App, progress: Progress, held: AsyncExitStack) -> None:
    driver, ids = progress.driver, {"job": app.engine.context.job.id, "cycle": progress.cycle}
    async with held:
        try:
            last = await drive(app.engine, progress)
        except asyncio.CancelledError:
            await app.end_lease_of(driver)
            raise
        except Exception:  # nobody waits for this task: what went wrong is told here, and the next tick goes on
            logger.exception("cycle broke off", extra=ids)
        else:
            logger.info("cycle ended", extra={**ids, "halted": last.halted.code if last.halted else None})
