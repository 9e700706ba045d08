"""The pages of the configuration: mappings and filters in words, an expression tried with a real user, the connection
tested, the schema looked at before it is imported, and the app roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from provisioning.api.answers import Refusal, Reply, read_json
from provisioning.api.routing import Host, Request, Role, Route
from provisioning.dashboard.frames import framed
from provisioning.dashboard.pages import Frame, Notice, form_of, page, see_other, shown
from provisioning.dashboard.previews import order_preview
from provisioning.dashboard.reading import names_of
from provisioning.dashboard.views.candidate import SHOWN, CandidateView, Facts, SchemaView, candidate_view
from provisioning.dashboard.views.configuration import (
    ADDRESS,
    ExpressionView,
    capability_lines,
    connection_view,
    expression_view,
    finding_lines,
    parts,
    roles_view,
)
from provisioning.dashboard.views.mappings import schema_view
from provisioning.dashboard.views.wording import moment
from provisioning.engine.checking import check
from provisioning.engine.engine import Engine
from provisioning.engine.holders import roles_held
from provisioning.engine.importing import import_schema, look_at
from provisioning.engine.previewing import previews_of
from provisioning.engine.schemas import Schemas
from provisioning.engine.trying import facts_of_user, properties_of, tenant_of
from provisioning.errors import ObjectError
from provisioning.rules.expression_trial import Tried, evaluated, read
from provisioning.schema import Finding, load_schema

LONGEST_EXPRESSION = 20_000
DONE = {
    "imported": Notice("good", "Imported: the next cycle works with it and evaluates everybody again."),
    "same": Notice("info", "That schema is in force already; nothing was changed."),
    "discarded": Notice("good", "Discarded: the schema in force stays."),
    "reset": Notice("good", "The next cycle works with the schema that ships with the product."),
}


def _frame(request: Request, engine: Engine, title: str) -> Frame:
    return framed(request, engine, title, "configuration", DONE)


def _schemas(engine: Engine) -> Schemas:
    return Schemas(engine.context.store, engine.context.job.id)


async def mappings(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    kinds = schema_view(engine.context.job.schema)
    everyone = engine.context.job.policy.everyone
    frame = _frame(request, engine, "Mappings and filters")
    return page("mappings.html", frame, parts=parts(""), kinds=kinds, everyone=everyone)


async def expression(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    view = ExpressionView(text=request.query.get("expression", "")[:LONGEST_EXPRESSION])
    return _expression(request, engine, view)


def _expression(request: Request, engine: Engine, view: ExpressionView) -> Reply:
    frame = _frame(request, engine, "Try an expression")
    return page("expression.html", frame, parts=parts("expression"), view=view, longest=LONGEST_EXPRESSION)


async def try_expression(request: Request, engine: Engine, host: Host) -> Reply:
    """A form, because what is tried with whom belongs in no address."""
    form = form_of(request)
    text, user = form.get("expression", "").strip(), form.get("user", "").strip()
    if not text or len(text) > LONGEST_EXPRESSION:
        raise Refusal(400, "Request_BadRequest", f"An expression has 1 to {LONGEST_EXPRESSION:,} characters.")
    tried = read(text, strict=engine.context.job.strict)
    inputs: dict[str, Any] = {}
    if tried.compiled is not None:
        try:
            tried, inputs = await _tried(tried, user, engine, host)
        except ObjectError as error:
            return _expression(request, engine, expression_view(text, user, tried, (), f"{error}: {error.way_out}"))
    shown_inputs = [(name, _text(value)) for name, value in sorted(inputs.items())]
    return _expression(request, engine, expression_view(text, user, tried, shown_inputs))


async def _tried(tried: Tried, user: str, engine: Engine, host: Host) -> tuple[Tried, dict[str, Any]]:
    """Without a user, only what reads no attribute comes to a value."""
    compiled = tried.compiled
    if compiled is None or (compiled.attributes and not user):
        return tried, {}
    facts: Mapping[str, Any] = {}
    if user:
        async with (await host.app()).reading(properties_of(compiled)) as app:
            facts, tenant = await facts_of_user(app.engine.context, compiled, user, {})
    else:
        tenant = await tenant_of(engine.context, compiled)
    now = datetime.fromtimestamp(engine.context.now(), UTC)
    return evaluated(compiled, facts, now, tenant), dict(facts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


async def connection(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    return await _connection(request, engine)


async def test_connection(request: Request, engine: Engine, host: Host) -> Reply:
    app = await host.app()
    findings = await check(engine.context, partial(app.check_instance, test_writes=False))
    return await _connection(request, engine, view=connection_view(findings))


async def _connection(request: Request, engine: Engine, **found: Any) -> Reply:
    known = await engine.context.rows.capabilities(engine.instance)
    frame = _frame(request, engine, "Test the connection")
    lines = tuple(capability_lines(known)) if known is not None else ()
    at = moment(known.when, engine.context.now()) if known is not None else None
    return page("connection.html", frame, parts=parts("connection"), capabilities=lines, at=at, view=found.get("view"))


async def roles(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    view = roles_view(await roles_held(engine.context))
    return page("roles.html", _frame(request, engine, "App roles"), parts=parts("roles"), view=view)


async def schema(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    candidate = await _candidate(engine)
    version, waiting = await _versions(engine)
    refresh = candidate.refresh if candidate is not None else 0
    return _schema(request, engine, SchemaView(version, waiting, candidate, refresh=refresh))


def _schema(request: Request, engine: Engine, view: SchemaView) -> Reply:
    frame = _frame(request, engine, "Schema")
    status = 400 if view.refused else 200
    return page("schema.html", frame, status=status, parts=parts("schema"), view=view, refresh=view.refresh)


async def _versions(engine: Engine) -> tuple[str, str]:
    """The version in force, and another one that the next cycle begins with."""
    running, imported = engine.context.job.schema_version, await _schemas(engine).imported()
    return running, (imported or "the one that ships with the product") if imported != running else ""


async def _candidate(engine: Engine) -> CandidateView | None:
    previews = previews_of(engine, candidate=True)
    preview = await previews.newest()
    if preview is None:
        return None
    document = await _schemas(engine).load(preview.schema)
    candidate = load_schema(document, strict=engine.context.job.strict)
    decisions: list[dict[str, Any]] = []
    if preview.ended and not preview.failure:
        decisions, _ = await previews.page(preview.id, "", "", SHOWN)
    members = [each["id"] for each in decisions if each["object"] == "member" and not each["name"]]
    facts = Facts(
        now=engine.context.now(),
        running=engine.context.job.schema,
        candidate=candidate,
        preview=preview,
        baseline=await previews_of(engine).newest(),
        decisions=decisions,
        names=await names_of(engine.context, members),
    )
    return candidate_view(facts)


async def propose(request: Request, engine: Engine, host: Host) -> Reply:
    """Looks at a schema and begins to find out what it would do; one with errors is shown with them."""
    text = form_of(request).get("document", "").strip()
    document, findings = await _examined(engine, text)
    if any(finding.severity == "error" for finding in findings):
        version, waiting = await _versions(engine)
        lines = finding_lines(findings)
        return _schema(request, engine, SchemaView(version, waiting, None, lines, refused=True, text=text))
    if document == await _schemas(engine).newest():
        return see_other(f"{ADDRESS}/schema?done=same")
    version = await _schemas(engine).store(document)
    await order_preview(await host.app(), by=request.by, schema=version, document=document)
    return see_other(f"{ADDRESS}/schema")


async def _examined(engine: Engine, text: str) -> tuple[Any, list[Finding]]:
    try:
        document = read_json(text.encode())
    except ValueError as error:
        way_out = "give the whole file that the portal or `schema export` has written"
        return None, [Finding("error", "the document", f"it is not JSON: {error}", way_out)]
    return document, await look_at(engine.context, document)


async def import_candidate(request: Request, engine: Engine, host: Host) -> Reply:
    """Exactly what was looked at."""
    del host
    previews = previews_of(engine, candidate=True)
    preview = await previews.newest()
    if preview is None or preview.schema != form_of(request).get("version") or not preview.ended or preview.failure:
        raise Refusal(409, "Conflict", "This is not the schema that was looked at last; look at it again.")
    done = await import_schema(engine, await _schemas(engine).load(preview.schema), by=request.by)
    if done.version is None:
        raise Refusal(409, "Conflict", "The job cannot work with this schema any more; look at it again.")
    await previews.forget(float("inf"))
    return see_other(f"{ADDRESS}/schema?done=imported")


async def discard(request: Request, engine: Engine, host: Host) -> Reply:
    del request, host
    await previews_of(engine, candidate=True).forget(float("inf"))
    return see_other(f"{ADDRESS}/schema?done=discarded")


async def export(request: Request, engine: Engine, host: Host) -> Reply:
    del request, host
    text = json.dumps(await _schemas(engine).newest(), ensure_ascii=False, indent=2) + "\n"
    headers = {"Content-Type": "application/json", "Content-Disposition": 'attachment; filename="schema.json"'}
    return Reply(200, text, headers)


SCHEMA = "dashboard/configuration/schema"
CONFIGURATION = (
    Route("dashboard_mappings", "GET", "dashboard/configuration", Role.READ, shown(mappings)),
    Route("dashboard_expression", "GET", "dashboard/configuration/expression", Role.READ, shown(expression)),
    Route("dashboard_try", "POST", "dashboard/configuration/expression", Role.READ, shown(try_expression)),
    Route("dashboard_connection", "GET", "dashboard/configuration/connection", Role.READ, shown(connection)),
    Route("dashboard_test", "POST", "dashboard/configuration/connection", Role.OPERATE, shown(test_connection)),
    Route("dashboard_roles", "GET", "dashboard/configuration/roles", Role.READ, shown(roles)),
    Route("dashboard_schema", "GET", SCHEMA, Role.READ, shown(schema)),
    Route("dashboard_propose_schema", "POST", SCHEMA, Role.OPERATE, shown(propose)),
    Route("dashboard_export_schema", "GET", f"{SCHEMA}/export", Role.READ, shown(export)),
    Route("dashboard_import_schema", "POST", f"{SCHEMA}/import", Role.OPERATE, shown(import_candidate)),
    Route("dashboard_discard_schema", "POST", f"{SCHEMA}/discard", Role.OPERATE, shown(discard)),
)
