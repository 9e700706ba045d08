"""Makes previews beside the requests of this process. Whoever has asked looks at the page of the plan meanwhile, which
keeps the process awake; if it dies all the same, the preview says so and is made again.
"""

from __future__ import annotations

import asyncio
import logging

from provisioning.api.routing import Opened
from provisioning.engine.previewing import begin_preview, make_preview
from provisioning.engine.previews import Preview

logger = logging.getLogger(__name__)

AT_ONCE = 2.0
"""Seconds that an answer waits: a small job needs no second look."""
_working: set[asyncio.Task[None]] = set()


async def order_preview(app: Opened, *, by: str) -> None:
    """Nothing new begins while another one is being made."""
    preview = await begin_preview(app.engine, by=by)
    if preview is None:
        return
    task = asyncio.create_task(_make(app, preview))
    _working.add(task)  # the loop itself keeps no hold of its tasks
    task.add_done_callback(_working.discard)
    await asyncio.wait([task], timeout=AT_ONCE)


async def _make(app: Opened, preview: Preview) -> None:
    try:
        async with app.dry_run() as dry:
            await make_preview(app.engine, dry.engine, preview)
    except Exception:  # nobody waits for this task: what went wrong is told here, and by the preview's silence
        logger.exception("preview broke off", extra={"job": app.engine.context.job.id})
