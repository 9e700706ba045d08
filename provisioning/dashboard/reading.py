"""What the pages show, read from the job's own state: neither side is asked."""

from __future__ import annotations

from provisioning.dashboard.views.overview import Facts
from provisioning.engine import waiting_list
from provisioning.engine.engine import Engine

CYCLES = 200
"""More than a day of cycles, at any interval that makes sense."""


async def overview_facts(engine: Engine) -> Facts:
    context = engine.context
    state, _ = await context.rows.state()
    found = await context.rows.progress()
    failing, more = await context.due.codes(state.escrows_cleared)
    waiting = waiting_list.counted(await context.waiting.everything(waiting_list.MOST_WAITING))
    return Facts(
        now=context.now(),
        job=context.job.id,
        instance=engine.instance,
        everyone=context.job.policy.everyone,
        interval=context.job.pace.interval,
        state=state,
        progress=found[0] if found is not None else None,
        cycles=tuple(await context.rows.cycles(limit=CYCLES)),
        failing=failing,
        more_fail=more,
        waiting=waiting,
        rejected=await context.rejections.count(),
    )
