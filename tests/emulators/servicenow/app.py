"""The instance over HTTP: an ASGI application with the control API under `/_emulator` and ServiceNow everywhere else.
Turns ASGI messages into requests and replies; every decision is made elsewhere.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.emulators.servicenow.control import control_routes
from tests.emulators.servicenow.messages import Reply, Request
from tests.emulators.servicenow.service import Service

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from tests.emulators.servicenow.state import Instance

_ALWAYS = [
    (b"X-Is-Logged-In", b"true"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Pragma", b"no-store,no-cache"),
    (b"Cache-Control", b"no-cache,no-store,must-revalidate,max-age=-1"),
    (b"Expires", b"0"),
    (b"Server", b"ServiceNow"),
]


def create_app(instance: Instance) -> Starlette:
    return Starlette(routes=[*control_routes(instance), Mount("/", _Door(instance))])


class _Door:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._service = Service(instance)
        self._running: set[asyncio.Task[Reply]] = set()
        self._transactions = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(
            scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, await _body(receive)
        )
        # The instance finishes what it began, even when the caller has left.
        task = asyncio.get_running_loop().create_task(self._service.answer(request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        reply = await asyncio.shield(task)
        await send(self._start(reply))
        if reply.connection_lost:
            if reply.body:
                await send({"type": "http.response.body", "body": reply.body, "more_body": True})
            # Under a server the connection breaks here; in process the client sees the error it would see then.
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})

    def _start(self, reply: Reply) -> dict[str, object]:
        self._transactions += 1
        date = format_datetime(datetime.fromtimestamp(int(self._instance.now()), UTC), usegmt=True)
        headers = [
            *_ALWAYS,
            (b"Date", date.encode()),  # by the instance's own clock
            (b"X-Transaction-ID", b"%012x" % self._transactions),
        ]
        if reply.body:
            headers.append((b"Content-Type", reply.content_type.encode()))
        headers += [(name.encode(), value.encode()) for name, value in reply.headers]
        return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(chunks)
