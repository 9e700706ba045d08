"""The Batch API: items one after another in one slot, each with its own status, until the batch has run for its 30
seconds of service time; what was not run by then is listed as unserviced. Knows nothing of how one item is
answered.
"""

from __future__ import annotations

import base64
import binascii
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.emulators.servicenow import errors, work
from tests.emulators.servicenow.faults import Fault
from tests.emulators.servicenow.messages import Reply, Request, encode, refusal
from tests.emulators.servicenow.routes import route

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance


async def answer(instance: Instance, request: Request, fault: Fault | None) -> Reply:
    if request.method != "POST":
        raise errors.method_not_supported()
    batch = request.fields()
    items = batch.get("rest_requests")
    if not isinstance(items, list):
        raise errors.unreadable("rest_requests is missing")
    limit, spent = instance.switches.batch_limit, 0.0
    cut = fault.after_items if fault and fault.effect == "batch_cut" else len(items)
    serviced: list[dict[str, Any]] = []
    connection_lost = False
    for at, item in enumerate(items):
        if at >= cut:
            break
        one = _request(item, request.user)
        if isinstance(one, Reply):
            serviced.append(_serviced(item, one, 0.0))
            continue
        where = route(one.path)
        instance.counts[f"batch: {one.method} {where.target}"] += 1
        if refused := _beyond_rule(instance):
            serviced.append(_serviced(item, refused, 0.0))
            continue
        met = work.fault_for(instance, one, where)
        seconds = work.seconds(instance, one, met)
        if spent + seconds > limit:
            await instance.capacity.spend(limit - spent)
            if instance.switches.batch_in_flight == "done":
                work.do(instance, one, where, met)
            break
        spent += seconds
        if seconds > 0.0:
            await instance.capacity.spend(seconds)
        reply = work.do(instance, one, where, met)
        connection_lost = connection_lost or reply.connection_lost
        serviced.append(_serviced(item, reply, seconds))
    # Ids come back as strings even where numbers were sent.
    body = {
        "batch_request_id": str(batch.get("batch_request_id", "")),
        "serviced_requests": serviced,
        "unserviced_requests": [str(item.get("id")) for item in items[len(serviced) :]],
    }
    return Reply(200, encode(body), connection_lost=connection_lost)


def _request(item: dict[str, Any], user: str) -> Request | Reply:
    path, _, query = str(item.get("url", "")).partition("?")
    if "%" in path:
        path = unquote(path)
    if not path.startswith("/"):
        path = f"/{path}"
    try:
        body = base64.b64decode(item["body"]) if item.get("body") else b""
    except (binascii.Error, ValueError):
        return refusal(errors.unreadable("body is not base64"))
    if route(path).part in {"batch", "token"}:
        return refusal(errors.Refusal(400, "Requested URI does not represent any resource", path))
    headers = {str(header["name"]).lower(): str(header["value"]) for header in item.get("headers") or ()}
    method = str(item.get("method", "GET")).upper()
    return Request(method, path, query, headers, body, user, in_batch=True)


def _beyond_rule(instance: Instance) -> Reply | None:
    rule, now = instance.rate_rule, instance.now()
    if rule is None or rule.resource != "Table API" or instance.switches.batch_items_in_rate_rule == "uncounted":
        return None
    return None if rule.allows(now) else work.beyond_rule(rule, now)


def _serviced(item: dict[str, Any], reply: Reply, seconds: float) -> dict[str, Any]:
    headers = []
    if item.get("exclude_response_headers") is not True:
        sent = [("Content-Type", reply.content_type), *reply.headers] if reply.body else reply.headers
        headers = [{"name": name, "value": value} for name, value in sent]
    return {
        "id": str(item.get("id")),
        "body": base64.b64encode(reply.body).decode("ascii"),
        "status_code": reply.status,
        "status_text": _phrase(reply.status),
        "headers": headers,
        "execution_time": int(seconds * 1000),
    }


@cache
def _phrase(status: int) -> str:
    return next((known.phrase for known in HTTPStatus if known == status), "")
