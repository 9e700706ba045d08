"""One unit of work, whether it came alone or as an item of a batch: which part answers it, and what a fault makes of
the answer. Passes no time and occupies no slot.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.emulators.servicenow import errors, meta_api, oauth, table_api
from tests.emulators.servicenow.capacity import Work
from tests.emulators.servicenow.errors import Refusal
from tests.emulators.servicenow.faults import WITHOUT_WORK, Fault
from tests.emulators.servicenow.messages import Reply, Request, encode, page, refusal
from tests.emulators.servicenow.query import NotEmulated
from tests.emulators.servicenow.rate_rule import RateRule

if TYPE_CHECKING:
    from tests.emulators.servicenow.routes import Route
    from tests.emulators.servicenow.state import Instance

_WORK: dict[str, Work] = {"POST": "insert", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_WORDS = {401: errors.not_authenticated, 404: errors.no_record, 429: errors.too_many, 500: errors.cancelled}
_PARTS = {"table": table_api.answer, "meta": meta_api.answer, "token": oauth.answer}


def seconds(instance: Instance, request: Request, fault: Fault | None) -> float:
    """How long this work takes, its fault included."""
    drawn = instance.capacity.draw(_WORK.get(request.method, "read"))
    return drawn + fault.seconds if fault else drawn


def fault_for(instance: Instance, request: Request, route: Route) -> Fault | None:
    if not instance.faults.planned:
        return None
    body: dict[str, Any] = {}
    if request.body and route.part == "table":
        try:
            body = request.fields()
        except Refusal:
            body = {}
    return instance.faults.take(request.method, route.target, body, in_batch=request.in_batch)


def do(instance: Instance, request: Request, route: Route, fault: Fault | None) -> Reply:
    if fault is None:
        return _done(instance, request, route)
    if fault.effect in WITHOUT_WORK:
        return instead_of_work(fault, route)
    if fault.effect == "drop_fields":
        request.withheld = frozenset(fault.fields)
    return after_work(fault, _done(instance, request, route))


def _done(instance: Instance, request: Request, route: Route) -> Reply:
    part = _PARTS.get(route.part)
    try:
        if part is None:
            raise errors.unknown_route(request.method, request.path)
        return part(instance, request, route)
    except Refusal as error:
        return refusal(error)
    except NotEmulated as error:
        return refusal(errors.not_emulated(str(error)))


def instead_of_work(fault: Fault, route: Route) -> Reply:
    match fault.effect:
        case "html":
            reply = page(fault.status, fault.detail or f"{fault.status}")
        case "hibernating":
            reply = page(200, "Instance Hibernating page")
        case "unauthorized":
            reply = refusal(errors.not_authenticated())
        case "api_acl":
            reply = refusal(errors.api_acl())
        case "not_yet_visible" if route.sys_id:
            reply = refusal(errors.no_record())
        case "not_yet_visible":
            reply = Reply(200, encode({"result": []}), [("X-Total-Count", "0")])
        case "too_many":
            reply = refusal(errors.too_many(fault.detail))
        case "dropped_session":
            reply = Reply(202)
        case "refused_connection":
            reply = Reply(503, connection_lost=True)
        case "rule":
            reply = refusal(errors.aborted_by_rule(route.table, fault.detail or "Refuse", "a" * 32))
        case _:
            reply = _failure(fault)
    if fault.retry_after:
        reply.headers.append(("Retry-After", fault.retry_after))
    return reply


def after_work(fault: Fault, reply: Reply) -> Reply:
    match fault.effect:
        case "reply_lost":
            return Reply(reply.status, connection_lost=True)
        case "broken_body":
            reply.body, reply.connection_lost = reply.body[: len(reply.body) // 2], True
            return reply
        case "denied_after_write" if reply.status < 300:
            return refusal(errors.acl("Insert" if reply.status == 201 else "Update"))
        case "status_after_write" | "literal_after_write" if reply.status < 300:
            return _failure(fault)
        case "cut_stream" if reply.status == 200:
            # The array ends wherever it was, the error follows, and the first brace is never closed.
            kept = reply.body[: max(len(reply.body) // 2, 12)]
            return Reply(200, kept + b'"],' + _cancelled()[1:], reply.headers)
        case "error_in_stream" if reply.status == 200 and reply.body.startswith(b'{"result":'):
            rows = _first_rows(reply.body, fault.after_rows)
            return Reply(200, b'{"result":' + rows + b"," + _cancelled()[1:], reply.headers)
        case _:
            return reply


def beyond_rule(rule: RateRule, now: float) -> Reply:
    """429 with everything a rate rule says about itself."""
    reply = refusal(errors.too_many(rule.detail))
    reply.headers += [*rule.headers(now), ("Retry-After", rule.retry_after(now))]
    return reply


def _failure(fault: Fault) -> Reply:
    if fault.effect in {"literal", "literal_after_write"}:
        return Reply(fault.status, fault.body.encode(), content_type=fault.content_type)
    if fault.detail is None and fault.status in _WORDS:
        return refusal(_WORDS[fault.status]())
    return refusal(Refusal(fault.status, fault.detail or "Service Unavailable"))


def _cancelled() -> bytes:
    return refusal(errors.cancelled()).body


def _first_rows(body: bytes, count: int) -> bytes:
    rows = json.loads(body)["result"]
    return encode(rows[:count] if isinstance(rows, list) else rows)
