"""What the timer does, whoever the timer is: it only ticks, and the job's own schedule says whether a cycle is due."""

from __future__ import annotations

import logging

from provisioning.api.routing import Host
from provisioning.errors import LeaseLost, RowConflict

logger = logging.getLogger(__name__)


async def tick(host: Host) -> None:
    """Tells people what waits to be told, and starts a cycle when one is due and none runs."""
    running = (await host.app()).engine
    await running.notify()
    if await host.is_busy():
        return
    if not await running.is_due():
        await running.prune()
        return
    try:
        await host.start_cycle()
    except (LeaseLost, RowConflict):
        logger.info("job is held elsewhere", extra={"job": running.context.job.id})
