"""The way of one HTTP call through the instance: faults, credentials, session, rate rule, slot, work. The order is the
real one's, because it decides which refusal a caller sees first. Knows no ASGI.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tests.emulators.servicenow import batch, errors, work
from tests.emulators.servicenow.errors import Refusal
from tests.emulators.servicenow.faults import WITHOUT_WORK, Fault
from tests.emulators.servicenow.messages import Reply, Request, page, refusal
from tests.emulators.servicenow.routes import Route, route
from tests.emulators.servicenow.sessions import Sessions

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance


class Service:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._sessions = Sessions(instance)

    async def answer(self, request: Request) -> Reply:
        instance = self._instance
        if request.method == "POST" and (override := request.headers.get("x-http-method-override")):
            request.method = override.upper()
        where = route(request.path)
        instance.counts[f"{request.method} {where.target}"] += 1
        fault = work.fault_for(instance, request, where)
        try:
            reply = await self._through(request, where, fault)
        except Refusal as error:
            reply = refusal(error)
        instance.statuses[reply.status] += 1
        instance.recent.append((request.method, request.path, reply.status))
        return reply

    async def _through(self, request: Request, where: Route, fault: Fault | None) -> Reply:
        instance = self._instance
        if fault and fault.effect in WITHOUT_WORK:
            if fault.seconds:
                await instance.capacity.spend(fault.seconds)
            return work.instead_of_work(fault, where)
        if where.part == "token":
            return work.do(instance, request, where, fault)
        if len(request.path) + len(request.query) > instance.switches.max_url:
            return page(400, "HTTP Status 400 - Bad Request", "Request header is too large")
        if len(request.body) > instance.switches.max_content_length:
            raise errors.unreadable(
                f"Rejected large REST payload with content-length = {len(request.body)} bytes. "
                f"Max allowed: {instance.switches.max_content_length} bytes."
            )
        user = instance.accounts.caller(request.headers)
        if user is None:
            raise errors.not_authenticated()
        request.user = user
        return await self._in_session(request, where, fault)

    async def _in_session(self, request: Request, where: Route, fault: Fault | None) -> Reply:
        """Calls of one session wait for each other; when ten wait, the next is answered 202 and thrown away."""
        instance = self._instance
        session = self._sessions.of(request)
        async with AsyncExitStack() as held:
            headers: list[tuple[str, str]] = []
            if session is None:
                headers = self._sessions.open()
            else:
                if not await session.lane.enter():
                    return Reply(202)
                held.callback(session.lane.leave)
                if self._sessions.is_stale(session):
                    raise errors.api_acl()
            rule = instance.rate_rule
            resource = "Batch API" if where.part == "batch" else "Table API"
            if rule is not None and rule.resource == resource:
                now = instance.now()
                if not rule.allows(now):
                    reply = work.beyond_rule(rule, now)
                    reply.headers += headers
                    return reply
                headers += rule.headers(now)
            slot = await instance.capacity.enter()
            if slot is None:
                return refusal(errors.too_many())
            held.callback(slot.leave)
            reply = await self._in_slot(request, where, fault)
            reply.headers += headers
            return reply

    async def _in_slot(self, request: Request, where: Route, fault: Fault | None) -> Reply:
        instance = self._instance
        await instance.capacity.spend(instance.capacity.draw("request"))
        if where.part == "batch":
            if fault:
                await instance.capacity.spend(fault.seconds)
            reply = await batch.answer(instance, request, fault)
            return work.after_work(fault, reply) if fault else reply
        seconds, limit = work.seconds(instance, request, fault), instance.switches.transaction_limit
        if seconds > limit:
            await instance.capacity.spend(limit)
            raise errors.cancelled()
        await instance.capacity.spend(seconds)
        return work.do(instance, request, where, fault)
