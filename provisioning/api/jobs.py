"""The synchronizationJob resource: what is known of the job, in the shape of Microsoft Graph's API."""

from __future__ import annotations

from typing import Any

from provisioning.api import shapes
from provisioning.api.answers import (
    Refusal,
    bad_request,
    body_of,
    context_of,
    read_json,
    refuse_options,
    selected,
)
from provisioning.api.routing import Host, Request, job_of, principal_of
from provisioning.engine import control
from provisioning.engine.context import Context
from provisioning.engine.executions import EXPORTS, KINDS, Execution, History, task_execution, time_of
from provisioning.engine.jobs import JobState
from provisioning.engine.progress import Progress
from provisioning.errors import ConfigError, LeaseLost, RowConflict
from provisioning.rules.quarantine import Quarantine
from provisioning.rules.restart import ResetScope, parse_scopes

TEMPLATE = "ServiceNowOutDelta"
RUNNING = Refusal(409, "Conflict", "A cycle of this job is running already; it goes on, and no second one is started.")
IN_THE_WAY = Refusal(409, "Conflict", "A cycle of this job is running: pause the job, and delete it when it has ended.")
TYPES = {"user": "user to User", "group": "group to Group", "member": "member to GroupMember"}


async def list_jobs(request: Request, host: Host) -> dict[str, Any]:
    """The one job that this app provisions."""
    refuse_options(request.query, "$select", "$top")
    engine = await principal_of(request, host)
    found = selected(await _job(engine.context), request.query.get("$select", ""))
    return {"@odata.context": context_of(request.url, jobs_fragment(engine.context)), "value": [found]}


async def create_job(request: Request, host: Host) -> dict[str, Any]:
    """The job exists once the app settings describe it. As long as it has not begun, asking for it is answered as if it
    had been made now; after that there is nothing to make.
    """
    context = (await principal_of(request, host)).context
    asked = body_of(request.body, shapes.NewJob).get("templateId") or TEMPLATE
    if asked != TEMPLATE:
        raise bad_request(f"This app provisions to ServiceNow: templateId must be {TEMPLATE}.")
    state, _ = await context.rows.state()
    if state.last_began:
        raise Refusal(
            409,
            "Conflict",
            f"The job {context.job.id} exists, and one app provisions one job: start it, or delete it first. Another "
            "job is another app with app settings of its own.",
        )
    return await _entity(request, context)


async def get_job(request: Request, host: Host) -> dict[str, Any]:
    """The job's schedule, status, progress and counters."""
    return await _entity(request, (await job_of(request, host)).context)


async def _entity(request: Request, context: Context) -> dict[str, Any]:
    refuse_options(request.query, "$select")
    found = selected(await _job(context), request.query.get("$select", ""))
    return {"@odata.context": context_of(request.url, f"{jobs_fragment(context)}/$entity"), **found}


async def _job(context: Context) -> dict[str, Any]:
    state, _ = await context.rows.state()
    progress = await context.rows.progress()
    history = await context.rows.history()
    job, running = context.job, progress[0] if progress else None
    return job_resource(job.id, job.pace.interval, state, running, history, threshold=job.limits_of("users").absolute)


def jobs_fragment(context: Context) -> str:
    return f"servicePrincipals('{context.job.application}')/synchronization/jobs"


async def start_job(request: Request, host: Host) -> None:
    """Takes a pause or a quarantine back and begins a cycle."""
    running = await job_of(request, host)
    state, _ = await running.context.rows.state()
    busy = await host.is_busy()
    if busy and not state.paused:
        raise RUNNING
    await control.start(running, by=request.by)
    if busy:
        return  # the pause is taken back, and the cycle that it had let go on runs
    try:
        await host.start_cycle()
    except (LeaseLost, RowConflict) as held:
        if not state.paused:
            raise RUNNING from held


async def pause_job(request: Request, host: Host) -> None:
    """A running cycle completes; no other one begins."""
    await control.pause(await job_of(request, host), by=request.by)


async def restart_job(request: Request, host: Host) -> None:
    """The next cycle begins anew, as far as resetScope says."""
    await control.restart(await job_of(request, host), reset_criteria(request.body), by=request.by)


async def delete_job(request: Request, host: Host) -> None:
    """Drops all that is stored of the job but its logs; the accounts stay as they are."""
    try:
        await control.delete(await job_of(request, host), by=request.by)
    except LeaseLost as held:
        raise IN_THE_WAY from held


def job_resource(
    job: str,
    interval: float,
    state: JobState,
    progress: Progress | None,
    history: History,
    *,
    threshold: int | None = None,
) -> dict[str, Any]:
    """`interval` is in seconds; `threshold` is how many users may be removed at once."""
    return {
        "@odata.type": "#microsoft.graph.synchronizationJob",
        "id": job,
        "templateId": TEMPLATE,
        "schedule": {"expiration": None, "interval": duration(interval), "state": _schedule(state)},
        "status": {
            "code": state.status,
            "countSuccessiveCompleteFailures": history.failures,
            "escrowsPruned": state.escrows_pruned,
            "lastExecution": _execution(history.last),
            "lastSuccessfulExecution": _execution(history.last_successful),
            "lastSuccessfulExecutionWithExports": _execution(history.last_with_exports),
            "progress": _running(progress),
            "quarantine": _quarantine(state.in_quarantine),
            "steadyStateFirstAchievedTime": time_of(history.steady_first),
            "steadyStateLastAchievedTime": time_of(history.steady_last),
            "synchronizedEntryCountByType": [
                {"key": TYPES.get(kind, kind), "value": number} for kind, number in sorted(state.managed.items())
            ],
            "troubleshootingUrl": None,
        },
        "synchronizationJobSettings": []
        if threshold is None
        else [{"name": "QuarantineTooManyDeletesThreshold", "value": str(threshold)}],
    }


def reset_criteria(body: bytes) -> tuple[ResetScope, ...]:
    """What {"criteria": {"resetScope": "Watermark, Escrows"}} asks for; an empty body asks for the default. Raises
    `Refusal`.
    """
    try:
        document = read_json(body or b"{}")
        return parse_scopes(document.get("criteria", {}).get("resetScope") or "")
    except (AttributeError, TypeError, ValueError) as error:
        raise bad_request('The body must be {"criteria": {"resetScope": "..."}}, or empty.') from error
    except ConfigError as error:
        raise bad_request(str(error)) from error


def _schedule(state: JobState) -> str:
    return "Disabled" if state.disabled else "Paused" if state.paused else "Active"


def _quarantine(quarantine: Quarantine | None) -> dict[str, Any] | None:
    if quarantine is None:
        return None
    error = quarantine.error
    return {
        "currentBegan": time_of(quarantine.current_began),
        "error": {"code": error.code, "message": error.message, "tenantActionable": error.tenant_actionable}
        if error is not None
        else None,
        "nextAttempt": time_of(quarantine.next_attempt),
        "reason": quarantine.reason,
        "seriesBegan": time_of(quarantine.series_began),
        "seriesCount": quarantine.series_count,
    }


def duration(seconds: float) -> str:
    """ISO 8601, in the largest units that fit: PT40M, PT1H30M, P1D."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if number)
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "") if seconds else "PT0S"


def _execution(execution: Execution | None) -> dict[str, Any] | None:
    return task_execution(execution) if execution is not None else None


def _running(progress: Progress | None) -> list[dict[str, Any]]:
    """Writes carried out of those planned so far, while a cycle runs."""
    if progress is None or progress.at_rest:
        return []
    counts = progress.counts
    done = sum(counts.get(f"{kind}.{name}", 0) for kind in KINDS for name in (*EXPORTS, "failed"))
    planned = sum(counts.get(f"planned {kind}.{name}", 0) for kind in KINDS for name in EXPORTS)
    return [
        {
            "completedUnits": done,
            "progressObservationDateTime": time_of(max(progress.began, progress.collected)),
            "totalUnits": max(done, planned),
            "units": "objects",
        }
    ]
