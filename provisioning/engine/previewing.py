"""Makes a preview: a dry run of the job's next cycle, whose decisions are kept with the job's own state. Whoever makes
it tells from time to time that it lives, so that no two do at once and a dead one is not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from provisioning.engine.driver import run_cycle
from provisioning.engine.engine import Engine
from provisioning.engine.planned import planned, summary_of
from provisioning.engine.positions import position_of
from provisioning.engine.previews import KEPT, PAGE, Preview, Previews
from provisioning.engine.progress import Progress
from provisioning.errors import ProvisioningError
from provisioning.rules.planned import as_json

logger = logging.getLogger(__name__)

BEAT = 2.0
"""Seconds from one sign of life to the next."""


async def begin_preview(engine: Engine, *, by: str) -> Preview | None:
    """None while another one is being made."""
    previews, now = Previews(engine.context.store, engine.context.job.id), engine.context.now()
    before = await previews.newest()
    if before is not None and before.is_being_made(now):
        return None
    preview = Preview(str(uuid.uuid4()), by, now, now)
    await previews.save(preview)
    if before is not None:
        await previews.drop(before.id)
    return preview


async def make_preview(engine: Engine, dry: Engine, preview: Preview, *, most: int = KEPT) -> Preview:
    """Runs the cycle of `dry`, an engine for a dry run of the same job, and keeps what comes of it with `engine`'s
    state, of each action the first `most`. What goes wrong with either side is told by the preview.
    """
    previews, now = Previews(engine.context.store, engine.context.job.id), engine.context.now
    position = "connecting"

    def watch(progress: Progress) -> None:
        nonlocal position
        place = position_of(progress)
        position = f"{place.phase}, {place.done:,} of {place.total:,} objects" if place.total else place.phase

    async def beat() -> None:
        while True:
            await previews.save(replace(preview, seen=now(), phase=position))
            await asyncio.sleep(BEAT)

    beating = asyncio.create_task(beat())
    try:
        progress = await run_cycle(dry, dry_run=True, watch=watch)
        made = await _made(dry, progress, preview, previews, most)
    except ProvisioningError as error:
        logger.warning("preview failed", extra={"job": engine.context.job.id, "error": type(error).__name__})
        made = replace(preview, failure=str(error))
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError, ProvisioningError):
            await beating
    made = replace(made, ended=now(), seen=now())
    await previews.save(made)
    return made


async def _made(dry: Engine, progress: Progress, preview: Preview, previews: Previews, most: int) -> Preview:
    if progress.halted is not None:
        return replace(preview, failure=progress.halted.message)
    summary = await summary_of(dry, progress, 0.0, (0, 0), dry=True)
    numbers: dict[str, int] = {}
    some: list[tuple[str, int, Mapping[str, Any]]] = []
    async for each in planned(dry):
        decision = as_json(each.decision, held=each.held)
        action = "held" if each.held else str(decision["action"])
        numbers[action] = numbers.get(action, 0) + 1
        if numbers[action] <= most:
            some.append((action, numbers[action], decision))
        if len(some) == PAGE:
            await previews.add(preview.id, some)
            some = []
    await previews.add(preview.id, some)
    return replace(preview, kind=progress.kind, numbers=numbers, counts=summary.counts, held=progress.held or "")
