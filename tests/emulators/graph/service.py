"""One way through for every call, alone or in a batch: known route, counted, faults, price, permission,
answer. It speaks calls and replies, not sockets; app.py puts it behind HTTP.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import metering, routes
from .batch import run_batch
from .behaviour import Duplicate, EmptyList, Fail, ResetConnection, Slow, Throttle
from .messages import Call, ConnectionBroken, GraphError, Reply, not_emulated

if TYPE_CHECKING:
    from .state import Tenant

_DIAGNOSTIC = (
    '{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"004","RoleInstance":"EMULATOR01"}}'
)
_JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_CODES = {
    400: ("Request_BadRequest", "Invalid request."),
    401: ("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("Request_ResourceNotFound", "Resource does not exist."),
    500: ("InternalServerError", "Internal server error."),
    502: ("BadGateway", "Bad gateway."),
    503: ("Directory_ReplicaUnavailable", "The service is temporarily unavailable. Please try again."),
    504: ("GatewayTimeout", "The gateway did not receive a response from the service in time."),
}


class GraphService:
    """Answers calls out of a tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.meter = metering.Meter(tenant)

    async def answer(self, call: Call, *, prefix: str = "") -> Reply:
        """The reply, errors included; `prefix` marks the kinds of batch items."""
        request_id = str(uuid.uuid4())
        headers = {
            "Content-Type": _JSON,
            "request-id": request_id,
            "client-request-id": call.headers.get("client-request-id", request_id),
            "x-ms-ags-diagnostic": _DIAGNOSTIC,
            "OData-Version": "4.0",
            "Cache-Control": "no-cache",
        }
        try:
            self.tenant.catch_up()
            reply = await self._dispatch(call, prefix, headers)
        except GraphError as error:
            return Reply(error.status, self._error_body(error, headers), headers | error.headers)
        if isinstance(reply.body, str):
            headers["Content-Type"] = "text/plain"
        return replace(reply, headers={**headers, **reply.headers})

    async def _dispatch(self, call: Call, prefix: str, headers: dict[str, str]) -> Reply:
        if call.segments == routes.BATCH and call.method == "POST" and not prefix:
            await self._admit("POST /$batch")
            return await run_batch(self, call)
        found = routes.find(call.method, call.segments)
        if found is None:
            self.tenant.counts[f"{prefix}unknown"] += 1
            raise not_emulated(f"{call.method} {call.path}")
        route, params = found
        kind = prefix + route.kind
        await self._admit(kind)
        headers |= self.meter.charge(metering.units(route, call))
        if route.permissions.isdisjoint(self.tenant.behaviour.permissions):
            raise route.denied()
        answer = route.handler(self.tenant, call, params)
        if isinstance(answer, Reply):
            return answer
        return Reply(200, self._perhaps_emptied(answer, kind))

    async def _admit(self, kind: str) -> None:
        """Count the request, and let the faults happen that wait for its kind."""
        self.tenant.counts[kind] += 1
        faults = self.tenant.behaviour.faults
        if slow := faults.take(Slow, kind):
            await asyncio.sleep(slow.seconds)
            self.tenant.catch_up()
        if faults.take(ResetConnection, kind):
            raise ConnectionBroken
        if throttle := faults.take(Throttle, kind):
            raise metering.throttled(self.tenant, throttle.retry_after)
        if fail := faults.take(Fail, kind):
            code, message = _CODES.get(fail.status, ("UnknownError", ""))
            error = GraphError(fail.status, fail.code or code, message)
            if fail.retry_after is not None:
                error.headers["Retry-After"] = fail.retry_after
            raise error

    def _perhaps_emptied(self, body: dict[str, Any], kind: str) -> dict[str, Any]:
        if "value" not in body or not self.tenant.behaviour.faults.take(EmptyList, kind):
            return self._perhaps_repeated(body, kind)
        return {"@odata.context": body["@odata.context"], "value": []}

    def _perhaps_repeated(self, body: dict[str, Any], kind: str) -> dict[str, Any]:
        """Pages of delta see to it themselves."""
        if "value" in body and not kind.endswith("/delta"):
            duplicate = self.tenant.behaviour.faults.take(Duplicate, kind)
            if duplicate is not None:
                return body | {"value": [*body["value"], *body["value"][: duplicate.count]]}
        return body

    def error_reply(self, error: GraphError, call: Call) -> Reply:
        """An error found before the call was understood, such as a missing token."""
        request_id = str(uuid.uuid4())
        headers = {
            "Content-Type": _JSON,
            "request-id": request_id,
            "client-request-id": call.headers.get("client-request-id", request_id),
            "x-ms-ags-diagnostic": _DIAGNOSTIC,
        }
        return Reply(error.status, self._error_body(error, headers), headers | error.headers)

    def _error_body(self, error: GraphError, headers: dict[str, str]) -> dict[str, Any]:
        moment = datetime.fromtimestamp(self.tenant.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        inner = {
            "date": moment,
            "request-id": headers["request-id"],
            "client-request-id": headers["client-request-id"],
        }
        if error.status == 429:
            # Microsoft's sample repeats the code and the status here.
            inner = {"code": "429", "status": "429"} | inner
        return {"error": {"code": error.code, "message": error.message, "innerError": inner}}
