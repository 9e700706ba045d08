"""The Table API on one request: windows over lists before access rules, single records, and the four writes. Turns
requests into calls of the instance and rows into answers; knows no transport, no faults and no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.emulators.servicenow import errors, local_time, query_acl
from tests.emulators.servicenow.acls import Operation
from tests.emulators.servicenow.dictionary import Table, text
from tests.emulators.servicenow.evaluation import Selection
from tests.emulators.servicenow.folding import fold
from tests.emulators.servicenow.messages import Reply, Request, encode, result
from tests.emulators.servicenow.parameters import Parameters, link_header, parameters
from tests.emulators.servicenow.query import EVERYTHING, Condition, Query, parse
from tests.emulators.servicenow.rows import Row

if TYPE_CHECKING:
    from tests.emulators.servicenow.routes import Route
    from tests.emulators.servicenow.state import Instance

MEMBERS = "sys_user_grmember"


def answer(instance: Instance, request: Request, route: Route) -> Reply:
    definition = instance.table(route.table)
    view = parameters(request.query)
    _refuse_closed(instance, route.table)
    match request.method, bool(route.sys_id):
        case "GET" | "HEAD", True:
            reply = _one(instance, request, definition, route.sys_id, view)
        case "GET" | "HEAD", False:
            reply = _list(instance, request, definition, view, route)
        case "POST", False:
            reply = _insert(instance, request, definition, view)
        case "PUT" | "PATCH", True:
            reply = _update(instance, request, definition, route.sys_id, view)
        case "DELETE", True:
            reply = _delete(instance, request, definition, route.sys_id)
        case _:
            raise errors.method_not_supported()
    if request.method == "HEAD":
        reply.body = b""
    return reply


def _one(instance: Instance, request: Request, definition: Table, sys_id: str, view: Parameters) -> Reply:
    row = _visible(instance, request, definition, sys_id)
    return result(200, instance.rendering.record(definition.name, row, view, request.user))


def _list(instance: Instance, request: Request, definition: Table, view: Parameters, route: Route) -> Reply:
    table = definition.name
    if table in instance.access.no_query or not instance.acls.allow(request.user, table, "read"):
        raise errors.may_not_query()
    query = query_acl.permitted(instance, table, _query(definition, view, instance))
    selection = Selection([]) if query is None else instance.evaluation.select(table, query, request.user)
    if rule := instance.access.before_query.get(table):
        selection = selection.only(instance.evaluation.accepting(table, parse(rule)), instance.data(table).by_key)
    by_key = instance.data(table).by_key
    window = [by_key[key] for key in selection.window(view.offset, view.limit)]
    headers: list[tuple[str, str]] = []
    # "X-Total-Count counts before ACLs too"; under sysparm_no_count one vendor measured the window's size.
    total = len(selection) if view.count or instance.switches.no_count == "exact" else len(window)
    if view.count or instance.switches.no_count != "absent":
        headers.append(("X-Total-Count", str(total)))
    if view.pagination_header and (link := link_header(instance.url + request.path, request.query, view, total)):
        headers.append(("Link", link))
    if hidden := instance.access.hidden_rows.get(table):
        is_hidden = instance.evaluation.accepting(table, parse(hidden))
        window = [row for row in window if not is_hidden(row)]
    if not window and route.version == "v1":
        raise errors.no_record()
    render = instance.rendering.record
    return result(200, [render(table, row, view, request.user) for row in window], headers)


def _insert(instance: Instance, request: Request, definition: Table, view: Parameters) -> Reply:
    table = definition.name
    fields = _written(instance, request, definition, view)
    if table in instance.access.no_insert or not _may(instance, request, table, "create"):
        raise errors.acl("Insert")
    if table == MEMBERS and instance.acls.guards_members(request.user, text(fields.get("group", ""))):
        raise errors.acl("Insert")
    _meet_data_policy(instance, definition, fields, {})
    row = instance.writing.insert(table, fields, request.user)
    return _stored(201, instance, request, definition, row, view)


def _update(instance: Instance, request: Request, definition: Table, sys_id: str, view: Parameters) -> Reply:
    table = definition.name
    fields = _written(instance, request, definition, view)
    present = _visible(instance, request, definition, sys_id)
    if table in instance.access.no_update or not _may(instance, request, table, "write"):
        raise errors.acl("Update")
    _meet_data_policy(instance, definition, fields, present)
    row = instance.writing.update(table, sys_id, fields, request.user)
    return _stored(200, instance, request, definition, row, view)


def _delete(instance: Instance, request: Request, definition: Table, sys_id: str) -> Reply:
    row = _visible(instance, request, definition, sys_id)
    if definition.name == MEMBERS and instance.acls.guards_members(request.user, row.get("group", "")):
        raise errors.acl("Delete")
    if definition.name in instance.access.no_delete or not _may(instance, request, definition.name, "delete"):
        raise errors.acl("Delete")
    instance.delete(definition.name, sys_id)
    return Reply(204)


def _stored(status: int, instance: Instance, request: Request, definition: Table, row: Row, view: Parameters) -> Reply:
    headers = []
    if status == 201:
        headers.append(("Location", f"{instance.url}/api/now/table/{definition.name}/{row['sys_id']}"))
    if request.headers.get("x-no-response-body", "").lower() == "true":
        return Reply(status, b"", headers)
    record = instance.rendering.record(definition.name, row, view, request.user)
    return Reply(status, encode({"result": record}), headers)


def _visible(instance: Instance, request: Request, definition: Table, sys_id: str) -> Row:
    row = instance.row(definition.name, sys_id)
    if row is None or not instance.acls.allow(request.user, definition.name, "read"):
        raise errors.no_record()
    accepting, access = instance.evaluation.accepting, instance.access
    if (hidden := access.hidden_rows.get(definition.name)) and accepting(definition.name, parse(hidden))(row):
        raise errors.no_record()
    rule = access.before_query.get(definition.name)
    if rule and not accepting(definition.name, parse(rule))(row):
        raise errors.no_record()
    return row


def _refuse_closed(instance: Instance, table: str) -> None:
    """A table whose own record does not "Allow access to this table via web services"; the words are a guess."""
    tables = instance.data("sys_db_object")
    if any(tables.by_key[key].get("ws_access") == "false" for key in tables.keys_where("name", fold(table))):
        raise errors.may_not_query()


def _may(instance: Instance, request: Request, table: str, operation: Operation) -> bool:
    return instance.acls.allow(request.user, table, operation) and not _reads_only(instance, request)


def _reads_only(instance: Instance, request: Request) -> bool:
    """Whether the caller holds snc_read_only, the only role that takes something away."""
    if not instance.data("sys_user_role").keys_where("name", "snc_read_only"):
        return False
    return "snc_read_only" in instance.roles.names_of(request.user)


def _meet_data_policy(instance: Instance, definition: Table, fields: Mapping[str, Any], present: Row) -> None:
    """Refuses a write after which a mandatory column would be empty."""
    mandatory = instance.access.mandatory.get(definition.name, ())
    missing = [
        column.label
        for name, column in definition.columns.items()
        if name in mandatory and not text(fields.get(name, present.get(name)))
    ]
    if missing:
        raise errors.data_policy(missing, instance.switches.data_policy_in)


def _written(instance: Instance, request: Request, definition: Table, view: Parameters) -> Mapping[str, Any]:
    """The fields of the body without those that an access rule or a fault keeps from being written: silently."""
    content_type = request.headers.get("content-type", "")
    if not content_type:
        raise errors.unreadable("Content-Type is missing")
    if "json" not in content_type:
        raise errors.Refusal(415, "Unsupported Media Type", content_type)
    fields = request.fields()
    acls = instance.acls.forbidden(request.user, definition.name, "write")
    if guarded := acls.union(instance.access.unwritable.get(definition.name, ())):
        fields = {name: value for name, value in fields.items() if name not in guarded}
    if request.withheld:
        fields = {name: value for name, value in fields.items() if name not in request.withheld}
    return _by_display(instance, definition, fields) if view.input_display else fields


def _by_display(instance: Instance, definition: Table, fields: dict[str, Any]) -> dict[str, Any]:
    """sysparm_input_display_value: a reference by the display name of its target, a choice by its label."""
    meant = dict(fields)
    for name, value in fields.items():
        column = definition.columns.get(name)
        if column is None or not isinstance(value, str) or not value:
            continue
        if target := definition.references.get(name):
            shown = instance.dictionary[target].display if target in instance.dictionary else ""
            found = _named(instance, target, shown, value) if shown else []
            if found:
                meant[name] = instance.data(target).by_key[found[0]]["sys_id"]
            elif instance.row(target, value) is None:
                meant[name] = ""
        elif column.type == "glide_date_time":
            meant[name] = local_time.to_utc(value, instance.time_zone())
        elif column.choices:
            meant[name] = next((v for v, label in column.choices.items() if label == value), value)
    return meant


def _named(instance: Instance, table: str, display: str, value: str) -> list[str]:
    return instance.evaluation.select(table, Query((((Condition(display, "=", value),),),))).window(0, 1)


def _query(definition: Table, view: Parameters, instance: Instance) -> Query:
    """sysparm_query excludes plain field=value pairs; those accept a display value as well."""
    if view.query is not None:
        return parse(view.query) if view.query else EVERYTHING
    if not view.pairs:
        return EVERYTHING
    clauses = []
    for field, value in view.pairs:
        clause = [Condition(field, "=", value)]
        target = definition.references.get(field)
        if value and target in instance.dictionary and instance.dictionary[target].display:
            clause.append(Condition(f"{field}.{instance.dictionary[target].display}", "=", value))
        clauses.append(tuple(clause))
    return Query((tuple(clauses),))
