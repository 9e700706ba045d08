"""Every route of the app: its name, its address, the role it asks for, who answers it, and what it takes and gives."""

from __future__ import annotations

from typing import Any

from provisioning.api import shapes
from provisioning.api.connections import delete_object_connection, get_object_connection, list_object_connections
from provisioning.api.executions import list_executions
from provisioning.api.jobs import create_job, delete_job, get_job, list_jobs, pause_job, restart_job, start_job
from provisioning.api.logs import get_audits, get_provisioning_logs
from provisioning.api.metrics import TEXT, get_metrics
from provisioning.api.objects import explain, get_link, list_links, list_waiting, resync
from provisioning.api.on_demand import provision_on_demand
from provisioning.api.openapi import document
from provisioning.api.plans import approve_plan, get_plan, make_plan, reject_plan
from provisioning.api.routing import JOB, JOBS, SYNCHRONIZATION, Host, Request, Role, Route
from provisioning.api.schemas import (
    delete_schema,
    discover_directory,
    get_schema,
    get_template,
    get_template_schema,
    list_filter_operators,
    list_functions,
    list_templates,
    parse_expression,
    patch_schema,
    put_schema,
)
from provisioning.api.secrets import put_secrets, validate_credentials

CONNECTION = JOB + "/objectConnections('{id}')"
LINK = JOB + "/links/{id}"
SCHEMA = f"{JOB}/schema"
DISCOVER = SCHEMA + "/directories/{id}/discover"
TEMPLATES = f"{SYNCHRONIZATION}/templates"
TEMPLATE = TEMPLATES + "/{template}"
READ, OPERATE = Role.READ, Role.OPERATE
PAGE = ("$top", "$skiptoken")
LOGS = ("$filter", "$orderby", *PAGE)
SELECT = ("$select",)


async def health(request: Request, host: Host) -> dict[str, str]:
    """Whether the app answers."""
    del request, host
    return {"status": "ok"}


async def openapi(request: Request, host: Host) -> dict[str, Any]:
    """The description of this API."""
    del request
    job = (await host.app()).engine.context.job
    return document(ROUTES, {"sp": job.application, "job": job.id, "template": "ServiceNowOutDelta"})


JOB_ROUTES = (
    Route("list_jobs", "GET", JOBS, READ, list_jobs, gives=shapes.SynchronizationJobs, options=SELECT),
    Route(
        *("create_job", "POST", JOBS, OPERATE, create_job),
        takes=shapes.NewJob,
        gives=shapes.SynchronizationJob,
        status=201,
    ),
    Route("get_job", "GET", JOB, READ, get_job, gives=shapes.SynchronizationJob, options=SELECT),
    Route("start_job", "POST", f"{JOB}/start", OPERATE, start_job, drives=True),
    Route("pause_job", "POST", f"{JOB}/pause", OPERATE, pause_job),
    Route("restart_job", "POST", f"{JOB}/restart", OPERATE, restart_job, takes=shapes.Restart),
    Route("delete_job", "DELETE", JOB, OPERATE, delete_job),
    Route("list_executions", "GET", f"{JOB}/executions", READ, list_executions, gives=shapes.Executions, options=PAGE),
)
CREDENTIAL_ROUTES = (
    Route("put_secrets", "PUT", f"{SYNCHRONIZATION}/secrets", OPERATE, put_secrets, takes=shapes.Secrets),
    Route(
        *("validate_credentials", "POST", f"{JOB}/validateCredentials", OPERATE, validate_credentials),
        takes=shapes.CredentialsToTry,
    ),
    Route(
        *("validate_credentials_of_a_new_job", "POST", f"{JOBS}/validateCredentials", OPERATE, validate_credentials),
        takes=shapes.CredentialsToTry,
    ),
)
SCHEMA_ROUTES = (
    Route("get_schema", "GET", SCHEMA, READ, get_schema, gives=shapes.SynchronizationSchema, options=SELECT),
    Route("put_schema", "PUT", SCHEMA, OPERATE, put_schema, takes=shapes.SynchronizationSchema),
    Route("patch_schema", "PATCH", SCHEMA, OPERATE, patch_schema, takes=shapes.SynchronizationSchema),
    Route("delete_schema", "DELETE", SCHEMA, OPERATE, delete_schema),
    Route(
        *("parse_expression", "POST", f"{SCHEMA}/parseExpression", READ, parse_expression),
        takes=shapes.ExpressionToParse,
        gives=shapes.ParsedExpression,
    ),
    # Clients call a function of OData with parentheses, people and Microsoft's pages without.
    Route("list_functions", "GET", f"{SCHEMA}/functions", READ, list_functions, gives=shapes.Functions),
    Route("call_functions", "GET", f"{SCHEMA}/functions()", READ, list_functions, gives=shapes.Functions),
    Route(
        *("list_filter_operators", "GET", f"{SCHEMA}/filterOperators", READ, list_filter_operators),
        gives=shapes.Operators,
    ),
    Route(
        *("call_filter_operators", "GET", f"{SCHEMA}/filterOperators()", READ, list_filter_operators),
        gives=shapes.Operators,
    ),
    Route("discover_directory", "POST", DISCOVER, READ, discover_directory, gives=shapes.Directory),
    Route("list_templates", "GET", TEMPLATES, READ, list_templates, gives=shapes.Templates, options=SELECT),
    Route("get_template", "GET", TEMPLATE, READ, get_template, gives=shapes.Template, options=SELECT),
    Route(
        *("get_template_schema", "GET", f"{TEMPLATE}/schema", READ, get_template_schema),
        gives=shapes.SynchronizationSchema,
        options=SELECT,
    ),
)
OBJECT_ROUTES = (
    Route(
        *("provision_on_demand", "POST", f"{JOB}/provisionOnDemand", OPERATE, provision_on_demand),
        takes=shapes.OnDemand,
        gives=shapes.StringPair,
    ),
    Route(
        *("list_object_connections", "GET", f"{JOB}/objectConnections", READ, list_object_connections),
        gives=shapes.Connections,
        options=PAGE,
    ),
    Route("get_object_connection", "GET", CONNECTION, READ, get_object_connection, gives=shapes.Connection),
    Route("delete_object_connection", "DELETE", CONNECTION, OPERATE, delete_object_connection),
    Route("list_links", "GET", f"{JOB}/links", READ, list_links, gives=shapes.Links, options=(*PAGE, "type")),
    Route("get_link", "GET", LINK, READ, get_link, gives=shapes.LinkOfObject),
    Route(
        *("list_waiting", "GET", f"{JOB}/waiting", READ, list_waiting),
        gives=shapes.WaitingReferences,
        options=("$top",),
    ),
    Route(
        *("explain", "POST", f"{JOB}/explain", READ, explain), takes=shapes.ObjectToExplain, gives=shapes.Explanation
    ),
    Route("resync", "POST", f"{JOB}/resync", OPERATE, resync, takes=shapes.ResyncOrder, gives=shapes.Resynced),
)
PLAN_ROUTES = (
    Route("get_plan", "GET", f"{JOB}/plan", READ, get_plan, gives=shapes.StoredPlan, options=PAGE),
    Route(
        *("make_plan", "POST", f"{JOB}/plan", READ, make_plan),
        takes=shapes.PlanToMake,
        gives=shapes.DryRun,
        options=("$top",),
    ),
    Route(
        *("approve_plan", "POST", f"{JOB}/approve", OPERATE, approve_plan),
        takes=shapes.RulingToMake,
        gives=shapes.Ruling,
    ),
    Route(
        *("reject_plan", "POST", f"{JOB}/reject", OPERATE, reject_plan), takes=shapes.RulingToMake, gives=shapes.Ruling
    ),
)
LOG_ROUTES = (
    Route(
        *("get_provisioning_logs", "GET", "v1.0/auditLogs/provisioning", READ, get_provisioning_logs),
        gives=shapes.LogEntries,
        options=LOGS,
    ),
    Route(
        *("get_audits", "GET", "v1.0/auditLogs/directoryAudits", READ, get_audits),
        gives=shapes.AuditEntries,
        options=LOGS,
    ),
)
ROUTES = (
    Route("health", "GET", "health", None, health, gives=shapes.Health),
    Route("openapi", "GET", "openapi.json", READ, openapi, gives=dict[str, Any]),
    Route("metrics", "GET", "metrics", READ, get_metrics, gives=shapes.Metrics, text=TEXT),
    *JOB_ROUTES,
    *CREDENTIAL_ROUTES,
    *SCHEMA_ROUTES,
    *OBJECT_ROUTES,
    *PLAN_ROUTES,
    *LOG_ROUTES,
)
