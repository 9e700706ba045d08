"""POST /$batch: up to twenty calls in one request. Items are counted, throttled and failed one by one;
answers come in any order. Either no item depends on another, or each is run in turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .messages import Call, ConnectionBroken, GraphError, Reply

if TYPE_CHECKING:
    from .service import GraphService

MAX_ITEMS = 20
PREFIX = "batch: "
_FAILED = 400


async def run_batch(service: GraphService, call: Call) -> Reply:
    items = _items(call.body)
    if any(item.get("dependsOn") for item in items):
        responses = await _in_turn(service, call, items)
    else:
        responses = list(await asyncio.gather(*(_run(service, call, item) for item in items)))
        service.tenant.random.shuffle(responses)
    return Reply(200, {"responses": responses})


async def _in_turn(service: GraphService, call: Call, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done: dict[str, dict[str, Any]] = {}
    for item in items:
        missing = [name for name in item.get("dependsOn") or () if name.lower() not in done]
        if missing:
            raise _malformed(f"The request {item['id']} depends on {missing[0]}, which does not come before it.")
        if any(done[name.lower()]["status"] >= _FAILED for name in item.get("dependsOn") or ()):
            error = {"code": "FailedDependency", "message": "A request that this one depends on has failed."}
            done[item["id"].lower()] = {"id": item["id"], "status": 424, "headers": {}, "body": {"error": error}}
        else:
            done[item["id"].lower()] = await _run(service, call, item)
    return list(done.values())


async def _run(service: GraphService, outer: Call, item: dict[str, Any]) -> dict[str, Any]:
    inner = Call.parse(item["method"], item["url"], base=outer.base, headers=item.get("headers"), body=item.get("body"))
    try:
        reply = await service.answer(inner, prefix=PREFIX)
    except ConnectionBroken:
        # Inside a batch there is no connection of its own to break.
        return {"id": item["id"], "status": 504, "headers": {}, "body": None}
    shown = {"Content-Type", "Location", "Retry-After", "x-ms-resource-unit"}
    headers = {name: value for name, value in reply.headers.items() if name in shown}
    return {"id": item["id"], "status": reply.status, "headers": headers, "body": reply.body}


def _items(body: Any) -> list[dict[str, Any]]:
    items = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(items, list) or not items:
        raise _malformed("Invalid batch payload format.")
    if len(items) > MAX_ITEMS:
        raise GraphError(
            400, "MaximumValueExceeded", f"Number of batch request steps exceeds the maximum value of {MAX_ITEMS}."
        )
    seen: set[str] = set()
    for item in items:
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("id", "method", "url")):
            raise _malformed("Invalid batch payload format.")
        if item["id"].lower() in seen:
            raise _malformed(f"Request Id {item['id']} has to be unique in a batch.")
        seen.add(item["id"].lower())
        if "://" in item["url"].partition("?")[0]:
            raise _malformed(f"The url of request {item['id']} must be relative.")
        names = {name.lower() for name in item.get("headers") or {}}
        if item.get("body") is not None and "content-type" not in names:
            raise _malformed(f"Request {item['id']} has a body and no Content-Type header.")
    return items


def _malformed(message: str) -> GraphError:
    return GraphError(400, "BadRequest", message)
