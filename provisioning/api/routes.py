"""Every route of the app: its name, its address, the role it asks for and who answers it."""

from __future__ import annotations

from provisioning.api.connections import delete_object_connection, get_object_connection, list_object_connections
from provisioning.api.executions import list_executions
from provisioning.api.jobs import delete_job, get_job, pause_job, restart_job, start_job
from provisioning.api.logs import get_audits, get_provisioning_logs
from provisioning.api.on_demand import provision_on_demand
from provisioning.api.routing import JOB, Host, Request, Role, Route

CONNECTION = JOB + "/objectConnections('{id}')"


async def health(request: Request, host: Host) -> dict[str, str]:
    """Whether the app answers."""
    del request, host
    return {"status": "ok"}


ROUTES = (
    Route("health", "GET", "health", None, health),
    Route("get_job", "GET", JOB, Role.READ, get_job),
    Route("start_job", "POST", f"{JOB}/start", Role.OPERATE, start_job, drives=True),
    Route("pause_job", "POST", f"{JOB}/pause", Role.OPERATE, pause_job),
    Route("restart_job", "POST", f"{JOB}/restart", Role.OPERATE, restart_job),
    Route("delete_job", "DELETE", JOB, Role.OPERATE, delete_job),
    Route("provision_on_demand", "POST", f"{JOB}/provisionOnDemand", Role.OPERATE, provision_on_demand),
    Route("list_executions", "GET", f"{JOB}/executions", Role.READ, list_executions),
    Route("list_object_connections", "GET", f"{JOB}/objectConnections", Role.READ, list_object_connections),
    Route("get_object_connection", "GET", CONNECTION, Role.READ, get_object_connection),
    Route("delete_object_connection", "DELETE", CONNECTION, Role.OPERATE, delete_object_connection),
    Route("get_provisioning_logs", "GET", "v1.0/auditLogs/provisioning", Role.READ, get_provisioning_logs),
    Route("get_audits", "GET", "v1.0/auditLogs/directoryAudits", Role.READ, get_audits),
)
