"""The addresses of the dashboard, and who answers them. An order is a form that answers with the way to a page."""

from __future__ import annotations

from typing import cast, get_args

from provisioning.api.answers import Refusal, Reply
from provisioning.api.routing import Host, Request, Role, Route
from provisioning.dashboard.log_reading import EXPORTED, as_csv, as_json, exported, find_entry, search_page
from provisioning.dashboard.pages import Frame, Notice, form_of, may_operate, page, see_other, shown, static_reply
from provisioning.dashboard.previews import order_preview
from provisioning.dashboard.reading import names_of, overview_facts, plan_facts
from provisioning.dashboard.views.log_search import ACTIONS, STATUSES, search_of
from provisioning.dashboard.views.logs import entry_view, logs_view, memberships_of
from provisioning.dashboard.views.overview import overview as overview_view
from provisioning.dashboard.views.plan import plan_view
from provisioning.engine import control
from provisioning.engine.engine import Engine
from provisioning.engine.previews import ORDER
from provisioning.errors import ConfigError, LeaseLost, QueryError, RowConflict
from provisioning.rules.log_tables import Table

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
    except ConfigError as error:  # paused meanwhile, or another job has the same people in its scope
        raise Refusal(409, "Conflict", str(error)) from error
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


async def logs(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    search, token = search_of(request.query), request.query.get("after", "")
    try:
        found = await search_page(engine.context, search, token)
    except QueryError as error:
        raise Refusal(400, "Request_BadRequest", str(error)) from error
    view = logs_view(search, found, now=engine.context.now(), first=not token)
    frame = frame_of(request, engine, "Log", "logs")
    return page("logs.html", frame, view=view, statuses=STATUSES, actions=ACTIONS, most=EXPORTED)


async def log_entry(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    change, at = request.query.get("change", ""), request.query.get("at", "")
    try:
        entry = await find_entry(engine.context, change, at)
    except ValueError:
        entry = None
    if entry is None:
        raise Refusal(404, "Request_ResourceNotFound", "The log has no such entry; it may be too old by now.")
    view = entry_view(entry, await names_of(engine.context, memberships_of([entry])), engine.context.now())
    return page("entry.html", frame_of(request, engine, view.who, "logs"), view=view)


async def export_logs(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    form, tables = request.query.get("form", ""), get_args(Table)
    if form != "json" and form not in tables:
        raise Refusal(400, "Request_BadRequest", f"form must be json or one of {', '.join(tables)}.")
    try:
        entries = await exported(engine.context, search_of(request.query))
    except QueryError as error:
        raise Refusal(400, "Request_BadRequest", str(error)) from error
    if form == "json":
        return _file(as_json(entries), "application/json", "ProvisioningLogs.json")
    return _file(as_csv(entries, cast("Table", form)), "text/csv; charset=utf-8", f"{form}.csv")


def _file(text: str, type_: str, name: str) -> Reply:
    return Reply(200, text, {"Content-Type": type_, "Content-Disposition": f'attachment; filename="{name}"'})


async def static(request: Request, host: Host) -> Reply:
    del host
    return static_reply(request.params.get("name", ""))


PAGES = (
    Route("dashboard_overview", "GET", "dashboard", Role.READ, shown(overview)),
    Route("dashboard_plan", "GET", "dashboard/plan", Role.READ, shown(plan)),
    Route("dashboard_make_plan", "POST", "dashboard/plan", Role.OPERATE, shown(make_plan)),
    Route("dashboard_logs", "GET", "dashboard/logs", Role.READ, shown(logs)),
    Route("dashboard_log_entry", "GET", "dashboard/logs/entry", Role.READ, shown(log_entry)),
    Route("dashboard_export_logs", "GET", "dashboard/logs/export", Role.READ, shown(export_logs)),
    Route("dashboard_static", "GET", "dashboard/static/{name}", Role.READ, static),
    Route("dashboard_run", "POST", "dashboard/run", Role.OPERATE, shown(run), drives=True),
    Route("dashboard_start", "POST", "dashboard/start", Role.OPERATE, shown(start), drives=True),
    Route("dashboard_pause", "POST", "dashboard/pause", Role.OPERATE, shown(pause)),
    Route("dashboard_approve", "POST", "dashboard/approve", Role.OPERATE, shown(approve)),
    Route("dashboard_reject", "POST", "dashboard/reject", Role.OPERATE, shown(reject)),
)
