"""The routes on a web server of this process, which listens on 127.0.0.1 and nowhere else: whoever can reach it is on
this machine.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as WebRequest
from starlette.responses import Response
from starlette.routing import Route as WebRoute

from provisioning.api.answers import Call, Refusal, client_request_id
from provisioning.api.responding import respond
from provisioning.api.routing import Request, Route
from provisioning.errors import ConfigError
from provisioning.serving.local_host import LocalHost

ADDRESS = "127.0.0.1"
LONGEST_BODY = 4 * 2**20
"""Bytes; a schema has some 100,000."""


def web_app(routes: Iterable[Route], host: LocalHost, *, by: str, ticks: bool = True) -> Starlette:
    """`by` is the person at this machine. The timer ticks for as long as the app runs, unless `ticks` says no."""

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        del app
        timer = asyncio.create_task(host.ticks()) if ticks else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
                await asyncio.gather(timer, return_exceptions=True)
            await host.close()

    mounted = [WebRoute(f"/{each.path}", _endpoint(each, host, by), methods=[each.method]) for each in routes]
    return Starlette(routes=mounted, lifespan=life, exception_handlers={404: _refused, 405: _refused})


async def _refused(web: WebRequest, error: Exception) -> Response:
    """What no route answers, in the same form as what one refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    call = Call(client_request_id(web.headers.get("client-request-id", "")))
    code = "Request_ResourceNotFound" if status == HTTPStatus.NOT_FOUND else "Request_BadRequest"
    reply = call.refuse(Refusal(status, code, f"This app does not answer {web.method} at this address."))
    return Response(reply.body, reply.status, dict(reply.headers))


def _endpoint(route: Route, host: LocalHost, by: str) -> Callable[[WebRequest], Awaitable[Response]]:
    async def endpoint(web: WebRequest) -> Response:
        body = bytearray()
        async for piece in web.stream():
            body += piece
            if len(body) > LONGEST_BODY:
                return Response(status_code=413)
        request = Request(
            method=web.method,
            url=str(web.url),
            params=web.path_params,
            query=dict(web.query_params),
            headers=dict(web.headers),
            body=bytes(body),
            by=by,
        )
        reply = await respond(route, request, host)
        return Response(reply.body, reply.status, dict(reply.headers))

    return endpoint


async def serve(app: Starlette, port: int, told: Callable[[str], None]) -> None:
    """Until it is interrupted. `told` is called with the address once it answers; port 0 is any that is free. Raises
    `ConfigError` for a port that cannot be had.
    """
    with _listening(port) as listener:
        address = f"http://{ADDRESS}:{listener.getsockname()[1]}"
        config = uvicorn.Config(app, log_config=None, access_log=False)
        await _Telling(config, partial(told, address)).serve(sockets=[listener])


class _Telling(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, told: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._told()


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        raise ConfigError(f"port {port} of {ADDRESS} cannot be had: {error.strerror}; name another one") from error
