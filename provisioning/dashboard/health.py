"""The page of the instance: what of it is granted and used, how fast it answers, how often it refuses."""

from __future__ import annotations

from provisioning.api.answers import Reply
from provisioning.api.routing import Host, Request, Role, Route
from provisioning.dashboard.frames import framed
from provisioning.dashboard.pages import page, shown
from provisioning.dashboard.views.instance import RUNS, Facts, instance_view
from provisioning.engine.engine import Engine


async def instance(request: Request, engine: Engine, host: Host) -> Reply:
    """From the job's own state: the instance is not asked."""
    del host
    context = engine.context
    state, _ = await context.rows.state()
    facts = Facts(
        now=context.now(),
        job=context.job.id,
        instance=engine.instance,
        granted=context.job.pace.slots,
        claims=await engine.shares.known(),
        cycles=await context.rows.cycles(limit=4 * RUNS),
        capabilities=await context.rows.capabilities(engine.instance),
        last_failure=state.last_failure,
    )
    return page("instance.html", framed(request, engine, "Instance", "instance", {}), view=instance_view(facts))


HEALTH = (Route("dashboard_instance", "GET", "dashboard/instance", Role.READ, shown(instance)),)
