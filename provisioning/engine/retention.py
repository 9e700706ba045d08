"""Retention: entries of the log, of the audit trail and of cycles go when they are too old, and so do plans that nobody
comes back for. Knows no cycle: a job that is paused, disabled or deleted has none, and keeps nothing longer for that.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from provisioning.engine.abandoned import OnDemandPlans
from provisioning.engine.audit import Audit
from provisioning.engine.context import Context
from provisioning.engine.jobs import counting
from provisioning.engine.journal import Journal
from provisioning.engine.managed import count_managed
from provisioning.engine.previews import Previews
from provisioning.engine.registry import Registry

logger = logging.getLogger(__name__)

PRUNED = 50_000
"""Entries of a job's log that one call removes at most."""


async def prune(context: Context, registry: Registry) -> None:
    """A bounded piece of what is older than the job keeps its log; the next call goes on. What the deleted jobs of the
    instance have left goes by the same measure: it has nobody else. For when no cycle counts what is managed.
    """
    began, box = context.now(), context.time_box / 2
    before = began - context.job.log_retention
    await context.rows.forget_cycles(before)
    await Previews(context.store, context.job.id).forget(before)
    await _end_abandoned(context, began)
    removed = 0
    for job in (context.job.id, *await registry.deleted()):
        journal, audit = Journal(context.store, job), Audit(context.store, job)
        await audit.prune(before)
        removed += await journal.prune(before, limit=PRUNED, until=lambda: context.now() - began > box)
        if job != context.job.id and await journal.is_empty() and not await audit.newest(1):
            await registry.forget(job)
    if removed:
        logger.info("log pruned", extra={"job": context.job.id, "entries": removed})


async def _end_abandoned(context: Context, now: float) -> None:
    """What such a run had counted as managed is lost with it: everything is counted anew, before its plan goes."""
    plans = OnDemandPlans(context.store, context.job.id)
    abandoned = await plans.abandoned(now)
    if abandoned:
        counted = await count_managed(context)
        await context.rows.change_state(lambda state: counting(counted, replace(state, managed={}, states={})))
    for cycle in abandoned:
        await plans.end(cycle)
