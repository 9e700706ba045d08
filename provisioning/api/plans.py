"""What the next run would do, and what a person says to it: the plan that is stored, a dry run, approval and rejection.
None of it is Microsoft's; the command line's `plan` and `run --approve` do the same.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, cast

from msgspec import to_builtins

from provisioning.api import shapes
from provisioning.api.answers import Refusal, bad_request, body_of, context_of, page_of, place_of, top_of
from provisioning.api.jobs import jobs_fragment
from provisioning.api.routing import Host, Opened, Request, app_of, job_of
from provisioning.engine.driver import run_cycle
from provisioning.engine.executions import time_of
from provisioning.engine.jobs import Ruling
from provisioning.engine.planned import PLACES, START, Place, page, summary_of
from provisioning.errors import ConfigError
from provisioning.rules.planned import as_json
from provisioning.schema import load_schema

DEFAULT_TOP, MOST = 100, 1000
LONGEST = 200.0
"""Seconds for a dry run: the platform ends a request after 230."""
_PLACE = re.compile(r"([a-z]+)\|([^\x00-\x1f]{0,300})")


async def get_plan(request: Request, host: Host) -> dict[str, Any]:
    """What is decided and not carried out: the writes of a cycle that runs, and the removals that the guard holds."""
    engine = await job_of(request, host)
    top = top_of(request.query.get("$top", ""), DEFAULT_TOP, MOST)
    found, following = await page(engine, _asked(request.query.get("$skiptoken", "")), top)
    state, _ = await engine.context.rows.state()
    progress = await engine.context.rows.progress()
    running = progress is not None and not progress[0].finished
    token = f"{following.lane}|{following.after}" if following is not None else ""
    return {
        "@odata.context": context_of(request.url, f"{jobs_fragment(engine.context)}('{engine.context.job.id}')/plan"),
        "planId": state.held.plan if state.held is not None else None,
        "cycleId": progress[0].cycle if progress is not None and running else None,
        "held": to_builtins(state.held) if state.held is not None else None,
        "ruling": ruling_resource(state.ruling) if state.ruling is not None else None,
        **page_of([as_json(each.decision, held=each.held) for each in found], request.url, {"$top": str(top)}, token),
    }


def _asked(token: str) -> Place:
    found = place_of(token, _PLACE)
    if found is None:
        return START
    if found[1] not in PLACES:
        raise bad_request("$skiptoken is none that this app has given out.")
    return Place(cast("Any", found[1]), found[2])


async def make_plan(request: Request, host: Host, *, longest: float = LONGEST) -> dict[str, Any]:
    """A dry run: what the next cycle would do, or would do with the schema in the body. Nothing is written."""
    app, asked = await app_of(request, host), body_of(request.body, shapes.PlanToMake)
    top = top_of(request.query.get("$top", ""), DEFAULT_TOP, MOST)
    document = asked.get("schema")
    if document is not None:
        try:
            load_schema(document)
        except ConfigError as error:
            raise bad_request(f"{error}") from error
    try:
        async with asyncio.timeout(longest):
            found = await _dry_run(app, document, top)
    except TimeoutError as error:
        raise Refusal(
            503,
            "ServiceUnavailable",
            f"The dry run takes longer than {longest:.0f} s, and nothing of it is kept: use `python -m provisioning "
            "plan` for a job of this size.",
        ) from error
    context = app.engine.context
    return {"@odata.context": context_of(request.url, f"{jobs_fragment(context)}('{context.job.id}')/plan"), **found}


async def _dry_run(app: Opened, document: Any, top: int) -> dict[str, Any]:
    began = time.monotonic()
    async with app.dry_run(document) as dry:
        progress = await run_cycle(dry.engine, dry_run=True)
        sent = (dry.graph_requests, dry.servicenow_requests)
        summary = await summary_of(dry.engine, progress, time.monotonic() - began, sent, dry=True)
        found, following = await page(dry.engine, START, top)
    return {
        "planId": summary.held,
        "kind": summary.kind,
        "counts": summary.counts,
        "held": to_builtins(summary.guard) if summary.guard is not None else None,
        "rejected": summary.rejected,
        "halted": summary.halted,
        "failures": [
            {"name": each.name, "code": each.code, "reason": each.reason, "wayOut": each.way_out}
            for each in summary.failures
        ],
        "graphRequests": summary.graph_requests,
        "servicenowRequests": summary.servicenow_requests,
        "seconds": summary.seconds,
        "more": following is not None,
        "value": [as_json(each.decision, held=each.held) for each in found],
    }


async def approve_plan(request: Request, host: Host) -> dict[str, Any]:
    """Lets exactly what a plan lists as held go on in the next cycle, if that begins within 24 hours."""
    engine = await job_of(request, host)
    asked = body_of(request.body, shapes.RulingToMake)
    return ruling_resource(await engine.approve(asked["planId"], by=request.by))


async def reject_plan(request: Request, host: Host) -> dict[str, Any]:
    """Leaves what a plan lists as held as it is, from the next cycle on and until it is resynced."""
    engine = await job_of(request, host)
    asked = body_of(request.body, shapes.RulingToMake)
    return ruling_resource(await engine.reject(asked["planId"], by=request.by))


def ruling_resource(ruling: Ruling) -> dict[str, Any]:
    return {
        "planId": ruling.plan,
        "approves": ruling.approves,
        "by": ruling.by,
        "at": time_of(ruling.at),
        "expires": time_of(ruling.expires),
    }
