"""The job's synchronizationSchema and what goes with it: functions, filter operators, a parser for expressions, the
columns of the instance, and the template that ships with the product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from provisioning.api import shapes
from provisioning.api.answers import (
    Refusal,
    bad_request,
    body_of,
    context_of,
    not_found,
    read_json,
    refuse_options,
    selected,
)
from provisioning.api.jobs import TEMPLATE, jobs_fragment
from provisioning.api.routing import Host, Request, job_of, principal_of
from provisioning.engine.context import Context
from provisioning.engine.engine import Engine
from provisioning.engine.importing import import_schema
from provisioning.engine.schemas import Schemas
from provisioning.errors import ConfigError
from provisioning.expressions import FUNCTIONS, Tenant
from provisioning.rules.expression_trial import Tried, as_response, evaluated, read
from provisioning.schema import Finding, default_schema, discover, dump
from provisioning.schema.merge import merged
from provisioning.schema.scope import operators

LONGEST_EXPRESSION = 20_000
SHOWN = 20
"""Findings that an answer names."""
TARGET = "ServiceNow"


async def get_schema(request: Request, host: Host) -> dict[str, Any]:
    """The schema that the next cycle works with, as it was given."""
    refuse_options(request.query, "$select")
    context = (await job_of(request, host)).context
    document = selected(await _document(context), request.query.get("$select", ""))
    return {"@odata.context": _context(request, context, "schema/$entity"), **document}


async def _document(context: Context) -> dict[str, Any]:
    schemas = Schemas(context.store, context.job.id)
    version = await schemas.imported()
    return await schemas.load(version) if version else dump(default_schema())


async def put_schema(request: Request, host: Host) -> None:
    """Checks a schema and stores it for the next cycle, which evaluates everybody again."""
    engine = await job_of(request, host)
    await _store(engine, _given(request), by=request.by)


async def patch_schema(request: Request, host: Host) -> None:
    """As PUT; what the body leaves out stays as it is."""
    engine = await job_of(request, host)
    await _store(engine, merged(await _document(engine.context), _given(request)), by=request.by)


def _given(request: Request) -> dict[str, Any]:
    """Annotations of the document itself are those of whoever has answered it before."""
    try:
        document = read_json(request.body or b"null")
    except ValueError as error:
        raise bad_request("The body must be a synchronizationSchema, as GET answers it.") from error
    if not isinstance(document, dict):
        raise bad_request("The body must be a synchronizationSchema, as GET answers it.")
    return {name: value for name, value in document.items() if not name.startswith("@odata.")}


async def _store(engine: Engine, document: dict[str, Any], *, by: str) -> None:
    """What is there already is not stored again: nobody would have to be evaluated anew."""
    if document == await _document(engine.context):
        return
    try:
        done = await import_schema(engine, document, by=by)
    except RecursionError as error:
        raise bad_request("The schema is nested too deeply.") from error
    if done.version is None:
        raise refused(done.findings)


def refused(findings: Sequence[Finding]) -> Refusal:
    errors = [str(each) for each in findings if each.severity == "error"]
    more = f" And {len(errors) - SHOWN} more." if len(errors) > SHOWN else ""
    return bad_request(f"The job cannot work with this schema: {' '.join(errors[:SHOWN])}{more}")


async def delete_schema(request: Request, host: Host) -> None:
    """Back to the schema that ships with the product."""
    context = (await job_of(request, host)).context
    await Schemas(context.store, context.job.id).reset(by=request.by, at=context.now())


async def list_functions(request: Request, host: Host) -> dict[str, Any]:
    """The functions of the expression language."""
    await _any_job(request, host)
    value = [signature.as_graph() for _, signature in sorted(FUNCTIONS.items())]
    return {"@odata.context": context_of(request.url, "functions"), "value": value}


async def list_filter_operators(request: Request, host: Host) -> dict[str, Any]:
    """The operators of scoping filters."""
    await _any_job(request, host)
    return {"@odata.context": context_of(request.url, "filterOperators"), "value": operators()}


async def _any_job(request: Request, host: Host) -> None:
    refuse_options(request.query, "$top")
    await job_of(request, host)


async def parse_expression(request: Request, host: Host) -> dict[str, Any]:
    """Reads an expression and evaluates it with the values of testInputObject, where there is one."""
    context = (await job_of(request, host)).context
    asked = body_of(request.body, shapes.ExpressionToParse)
    text = asked.get("expression") or ""
    if not text.strip() or len(text) > LONGEST_EXPRESSION:
        raise bad_request(f"expression must be a text of 1 to {LONGEST_EXPRESSION} characters.")
    tried = read(text, strict=context.job.strict)
    given = asked.get("testInputObject")
    if tried.compiled is not None and given is not None:
        domain = None
        if "DefaultDomain" in tried.compiled.functions:
            domain = await context.source.default_domain()
        now = datetime.fromtimestamp(context.now(), UTC)
        tried = _tried(tried, given, now, Tenant(default_domain=domain))
    kind = "microsoft.graph.parseExpressionResponse"
    return {"@odata.context": context_of(request.url, kind), **as_response(tried)}


def _tried(tried: Tried, given: shapes.InputObject, now: datetime, tenant: Tenant) -> Tried:
    facts = {str(each.get("key")): each.get("value") for each in given.get("properties") or ()}
    if tried.compiled is None:
        return tried
    try:
        return evaluated(tried.compiled, facts, now, tenant)
    except RecursionError as error:
        raise bad_request("A value of testInputObject is nested too deeply.") from error


async def discover_directory(request: Request, host: Host) -> dict[str, Any]:
    """The tables and columns of the instance that can be mapped, custom ones included."""
    context, name = (await job_of(request, host)).context, request.params.get("id", "")
    if name.lower() != TARGET.lower():
        raise not_found(name)
    columns = await context.target.dictionary()
    tables = (context.job.schema.user.table, context.job.schema.group.table)
    found = discover({table: columns[table] for table in tables if table in columns})
    at = datetime.fromtimestamp(context.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kind = _context(request, context, "schema/directories/$entity")
    return {"@odata.context": kind, **found, "discoveryDateTime": at}


async def list_templates(request: Request, host: Host) -> dict[str, Any]:
    """The one template: ServiceNow, with the schema that ships with the product."""
    refuse_options(request.query, "$select", "$top")
    context = (await principal_of(request, host)).context
    found = selected(await _template(context), request.query.get("$select", ""))
    return {"@odata.context": context_of(request.url, _templates(context)), "value": [found]}


async def get_template(request: Request, host: Host) -> dict[str, Any]:
    """One template."""
    refuse_options(request.query, "$select")
    context = await _templated(request, host)
    found = selected(await _template(context), request.query.get("$select", ""))
    return {"@odata.context": context_of(request.url, f"{_templates(context)}/$entity"), **found}


async def get_template_schema(request: Request, host: Host) -> dict[str, Any]:
    """The schema that ships with the product."""
    refuse_options(request.query, "$select")
    context = await _templated(request, host)
    found = selected(dump(default_schema()), request.query.get("$select", ""))
    place = f"{_templates(context)}('{TEMPLATE}')/schema/$entity"
    return {"@odata.context": context_of(request.url, place), **found}


async def _templated(request: Request, host: Host) -> Context:
    context, name = (await principal_of(request, host)).context, request.params.get("template", "")
    if name.lower() != TEMPLATE.lower():
        raise not_found(name)
    return context


def _templates(context: Context) -> str:
    return f"servicePrincipals('{context.job.application}')/synchronization/templates"


async def _template(context: Context) -> Mapping[str, Any]:
    try:
        application = (await context.service_principal()).app_id
    except ConfigError as error:
        raise not_found(context.job.application) from error
    return {
        "id": TEMPLATE,
        "applicationId": application,
        "default": True,
        "description": None,
        "discoverable": True,
        "factoryTag": TEMPLATE,
        "metadata": [],
        "schema": dump(default_schema()),
    }


def _context(request: Request, context: Context, what: str) -> str:
    return context_of(request.url, f"{jobs_fragment(context)}('{context.job.id}')/{what}")
