"""The emulator behind HTTP: one ASGI app with Graph under /v1.0, the sign-in endpoint beside it and the control
API under /_emulator. It translates requests and replies, and checks the bearer token; what is
answered is decided in service.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.tenant import seed as seed_tenant

from .control import control_routes, unknown_control
from .messages import Call, ConnectionBroken, GraphError, Reply, bad_request, not_emulated
from .service import GraphService
from .sign_in import TOKEN_KIND, SignIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from .state import Tenant

ACCESS_TOKEN = "emulator-access-token"
CLIENT_SECRET = "emulator-client-secret"
_VERSION = "/v1.0"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def create_app(
    tenant: Tenant,
    *,
    access_token: str = ACCESS_TOKEN,
    client_id: str | None = None,
    client_secret: str = CLIENT_SECRET,
) -> Starlette:
    """The app for a tenant; the client id is the application's unless told."""
    service = GraphService(tenant)
    sign_in = SignIn(tenant, client_id or tenant.app_id, client_secret, access_token)
    answer_graph = _graph(service, sign_in)

    async def token(request: Request) -> Response:
        tenant.counts[TOKEN_KIND] += 1
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        return _response(sign_in.token(request.path_params["tenant"], form))

    async def configuration(request: Request) -> Response:
        return _response(sign_in.configuration(request.path_params["tenant"], _host(request)))

    async def discovery(request: Request) -> Response:
        return _response(sign_in.discovery(_host(request)))

    async def unknown(request: Request) -> Response:
        call = Call.parse(request.method, request.url.path, base="", headers=request.headers)
        return _response(service.error_reply(not_emulated(f"{call.method} {call.path}"), call))

    app = Starlette(
        routes=[
            *control_routes(service, sign_in, seed_tenant),
            Route("/_emulator/{path:path}", unknown_control, methods=_METHODS),
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", configuration),
            Route("/common/discovery/instance", discovery),
            Route(f"{_VERSION}/{{path:path}}", answer_graph, methods=_METHODS),
            Route("/{path:path}", unknown, methods=_METHODS),
        ]
    )
    app.state.tenant = tenant
    app.state.sign_in = sign_in
    return app


def _graph(service: GraphService, sign_in: SignIn) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        # The raw path, because a UPN may hold an encoded slash, hash or apostrophe.
        raw = request.scope.get("raw_path") or request.url.path.encode()
        target = raw.decode("ascii").partition("?")[0].removeprefix(_VERSION)
        query = request.scope["query_string"].decode("ascii")
        target = f"{target}?{query}" if query else target
        base = f"{_host(request)}{_VERSION}"
        call = Call.parse(request.method, target, base=base, headers=request.headers)
        try:
            sign_in.check(request.headers.get("authorization"))
            body = _json(await request.body())
        except GraphError as error:
            return _response(service.error_reply(error, call))
        call = Call.parse(request.method, target, base=base, headers=request.headers, body=body)
        try:
            return _response(await service.answer(call))
        except ConnectionBroken:
            return _CutShort()

    return answer


class _CutShort(Response):
    """An answer that breaks off: a server closes the connection, and in process httpx's own error is raised."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


def _json(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request("Unable to read JSON request payload. Please ensure Content-Type header is set.") from error


def _host(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _response(reply: Reply) -> Response:
    headers = dict(reply.headers)
    if isinstance(reply.body, str):
        return Response(reply.body, reply.status, headers)
    if headers.get("Content-Type") is None:
        return JSONResponse(reply.body, reply.status, headers)
    content = json.dumps(reply.body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, reply.status, headers)
