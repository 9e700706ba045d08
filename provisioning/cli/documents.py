"""What `--json` prints of a job and of a cycle: the same members, with the same names, as over HTTP."""

from __future__ import annotations

from typing import Any

from provisioning.api.jobs import job_resource
from provisioning.app import App
from provisioning.cli.holding import as_json as held_as_json
from provisioning.engine.jobs import JobRows
from provisioning.engine.summary import Summary


async def job_document(app: App, job: str = "") -> dict[str, Any]:
    """Graph's synchronizationJob. How often another job is due stands in its own settings, which are not known here."""
    context = app.engine.context
    rows = JobRows(context.store, job) if job and job != context.job.id else context.rows
    state, _ = await rows.state()
    found = await rows.progress()
    progress = found[0] if found is not None else None
    history, threshold = await rows.history(), context.job.limits_of("users").absolute
    interval = context.job.pace.interval
    document = job_resource(job or context.job.id, interval, state, progress, history, threshold=threshold)
    if rows is not context.rows:
        document["schedule"]["interval"] = None
    return document


def summary_document(summary: Summary) -> dict[str, Any]:
    """Of a cycle, or of a dry run of one."""
    return {
        "cycle": summary.cycle,
        "kind": summary.kind,
        "planned": summary.planned,
        "planId": summary.held,
        "counts": summary.counts,
        "held": held_as_json(summary.guard),
        "rejected": summary.rejected,
        "halted": summary.halted,
        "failures": [
            {"name": each.name, "code": each.code, "reason": each.reason, "wayOut": each.way_out}
            for each in summary.failures
        ],
        "graphRequests": summary.graph_requests,
        "servicenowRequests": summary.servicenow_requests,
        "seconds": summary.seconds,
    }
