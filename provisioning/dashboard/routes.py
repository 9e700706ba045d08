"""The addresses of the dashboard, and who answers them. An order is a form that answers with the way to a page."""

from __future__ import annotations

from provisioning.api.answers import Refusal, Reply
from provisioning.api.routing import Host, Request, Role, Route
from provisioning.dashboard.pages import Frame, Notice, form_of, may_operate, page, see_other, shown, static_reply
from provisioning.dashboard.previews import order_preview
from provisioning.dashboard.reading import overview_facts, plan_facts
from provisioning.dashboard.views.overview import overview as overview_view
from provisioning.dashboard.views.plan import plan_view
from provisioning.engine import control
from provisioning.engine.engine import Engine
from provisioning.engine.previews import ORDER
from provisioning.errors import LeaseLost, RowConflict

DONE = {
    "run": Notice("good", "A cycle has begun."),
    "busy": Notice("info", "A cycle runs already; it goes on, and no second one was begun."),
    "started": Notice("good", "Provisioning is started: the next cycle begins when the timer looks next."),
    "paused": Notice("good", "Provisioning is paused: a cycle that runs comes to its end, and no other one begins."),
    "approved": Notice("good", "Approved: the next cycle carries out exactly what the plan lists."),
    "rejected": Notice("good", "Rejected: these objects are left as they are."),
}


def frame_of(request: Request, engine: Engine, title: str, current: str) -> Frame:
    notice = DONE.get(request.query.get("done", ""))
    return Frame(title, current, engine.instance, request.by, may_operate(request), notice)


async def overview(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    view = overview_view(await overview_facts(engine))
    return page("overview.html", frame_of(request, engine, "Overview", "overview"), view=view, refresh=view.refresh)


async def run(request: Request, engine: Engine, host: Host) -> Reply:
    del request, engine
    if await host.is_busy():
        return see_other("/dashboard?done=busy")
    try:
        await host.start_cycle()
    except (LeaseLost, RowConflict):
        return see_other("/dashboard?done=busy")
    return see_other("/dashboard?done=run")


async def start(request: Request, engine: Engine, host: Host) -> Reply:
    """Lets cycles begin again, and begins one: who takes a job out of quarantine wants to see whether it is mended."""
    await control.start(engine, by=request.by)
    return await run(request, engine, host)


async def pause(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    await control.pause(engine, by=request.by)
    return see_other("/dashboard?done=paused")


async def plan(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    action = request.query.get("action", "")
    if action and action not in ORDER:
        raise Refusal(400, "Request_BadRequest", f"There is no action of that name: take one of {', '.join(ORDER)}.")
    view = plan_view(await plan_facts(engine, action, request.query.get("after", "")))
    return page("plan.html", frame_of(request, engine, "Plan", "plan"), view=view, refresh=view.refresh)


async def make_plan(request: Request, engine: Engine, host: Host) -> Reply:
    del engine
    await order_preview(await host.app(), by=request.by)
    return see_other("/dashboard/plan")


async def approve(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    await engine.approve(_plan(request), by=request.by)
    return see_other("/dashboard/plan?done=approved")


async def reject(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    await engine.reject(_plan(request), by=request.by)
    return see_other("/dashboard/plan?done=rejected")


def _plan(request: Request) -> str:
    plan = form_of(request).get("plan", "")
    if not plan.isalnum():
        raise Refusal(400, "Request_BadRequest", "The form names no plan; load the page again.")
    return plan


async def static(request: Request, host: Host) -> Reply:
    del host
    return static_reply(request.params.get("name", ""))


PAGES = (
    Route("dashboard_overview", "GET", "dashboard", Role.READ, shown(overview)),
    Route("dashboard_plan", "GET", "dashboard/plan", Role.READ, shown(plan)),
    Route("dashboard_make_plan", "POST", "dashboard/plan", Role.OPERATE, shown(make_plan)),
    Route("dashboard_static", "GET", "dashboard/static/{name}", Role.READ, static),
    Route("dashboard_run", "POST", "dashboard/run", Role.OPERATE, shown(run), drives=True),
    Route("dashboard_start", "POST", "dashboard/start", Role.OPERATE, shown(start), drives=True),
    Route("dashboard_pause", "POST", "dashboard/pause", Role.OPERATE, shown(pause)),
    Route("dashboard_approve", "POST", "dashboard/approve", Role.OPERATE, shown(approve)),
    Route("dashboard_reject", "POST", "dashboard/reject", Role.OPERATE, shown(reject)),
)
