"""The connection to Graph: the SDK's request builders on our own transports, a token on each request, answers as JSON.
The SDK sends and addresses; it neither retries nor decodes, because its models turn 166 users into objects per CPU
second where json manages 200,000. Nothing here knows users, groups or what is asked for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
import re
import uuid
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from provisioning.adapters.graph.answers import Call, accept, json_of
from provisioning.adapters.graph.tokens import StaticToken, Tokens
from provisioning.adapters.http import RetryTransport, WholeTransport
from provisioning.errors import ConfigError, Unavailable

GLOBAL_GRAPH = "https://graph.microsoft.com/v1.0"
TIMEOUT = httpx.Timeout(60.0, connect=15.0)
Where = Callable[[Any], Any]
"""Picks a request builder of the SDK's client: `lambda graph: graph.users.delta`."""
_CLAIMS = re.compile(r'claims="([^"]+)"')
_OPTIONS = {"select": "%24select", "filter": "%24filter", "top": "%24top", "expand": "%24expand"}


@dataclass(frozen=True, slots=True)
class Query:
    """Query options as the SDK's builders take them: one class in place of the SDK's one per path."""

    select: tuple[str, ...] | None = None
    filter: str | None = None
    top: int | None = None
    expand: tuple[str, ...] | None = None

    def get_query_parameter(self, name: str) -> str:
        """The name in the builders' URL templates."""
        return _OPTIONS[name]


def graph_root(base_url: str) -> str:
    """The address below which resources are: checked, without a slash at the end, with the version."""
    parts = urlsplit(base_url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"GRAPH_BASE_URL is {base_url!r}; it must be an address such as {GLOBAL_GRAPH}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigError(f"GRAPH_BASE_URL is {base_url!r}; plain http is accepted for this machine only: use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1.0'}"


def graph_host(base_url: str) -> str:
    """The resource that tokens are for; its scope is this with `/.default` at the end."""
    parts = urlsplit(graph_root(base_url))
    return f"{parts.scheme}://{parts.netloc}"


class GraphSession:
    """One connection pool. `transport` is the innermost transport, for tests; `aclose` closes it."""

    def __init__(
        self,
        base_url: str,
        tokens: Tokens,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.root = graph_root(base_url)
        self.sleep = sleep
        self.jitter = jitter
        if isinstance(tokens, StaticToken) and not _is_loopback(urlsplit(self.root).hostname or ""):
            raise ConfigError(
                f"GRAPH_ACCESS_TOKEN is accepted for an emulator on this machine only, not for {self.root}: set "
                "ENTRA_CLIENT_SECRET, ENTRA_CLIENT_CERTIFICATE_PATH or a managed identity instead"
            )
        inner = WholeTransport(transport or httpx.AsyncHTTPTransport())
        self._http = httpx.AsyncClient(
            transport=RetryTransport(inner, may_resend=_only_reads, sleep=sleep, jitter=jitter),
            auth=_Bearer(tokens, httpx.URL(self.root)),
            timeout=TIMEOUT,
            follow_redirects=False,
            event_hooks={"request": [_name_request]},
        )
        self._client: Any = None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, where: Where, call: Call, query: Query | None = None) -> dict[str, Any]:
        """The JSON of a builder's GET."""
        return await self._get(self._builder(where), call, query)

    async def follow(self, where: Where, link: str, call: Call) -> dict[str, Any]:
        """The JSON behind a link that Graph gave us, on the host that we trust with our token."""
        self.path_of(link)
        return await self._get(self._builder(where).with_url(link), call, None)

    async def _get(self, builder: Any, call: Call, query: Query | None) -> dict[str, Any]:
        # As in the SDK, but with one class of query options for all paths.
        from kiota_abstractions.base_request_configuration import RequestConfiguration  # noqa: PLC0415 - see `_build`

        configuration = RequestConfiguration(query_parameters=query, options=[self._native()])
        return await self._answered(builder.get(configuration), call)

    async def post_batch(self, requests: list[dict[str, Any]], call: Call) -> dict[str, Any]:
        """The answer to a `$batch`, all of it GETs: that is why it may be sent again."""
        return json_of(await self._post("{+baseurl}/$batch", {}, {"requests": requests}, call), call)

    async def send_mail(self, sender: str, body: dict[str, Any], call: Call) -> None:
        """Returns when Graph has taken the mail. It is sent again after 429 only: else it might go twice."""
        accept(await self._post("{+baseurl}/users/{user}/sendMail", {"user": sender}, body, call), call)

    async def _post(self, template: str, path: dict[str, Any], body: Any, call: Call) -> httpx.Response:
        from kiota_abstractions.method import Method  # noqa: PLC0415 - see `_build`
        from kiota_abstractions.request_information import RequestInformation  # noqa: PLC0415 - see `_build`

        adapter = self._connected().request_adapter
        information = RequestInformation(Method.POST, template, path)
        information.headers.try_add("Accept", "application/json")
        information.set_stream_content(json.dumps(body).encode(), "application/json")
        information.add_request_options([self._native()])
        return await self._sent(adapter.send_primitive_async(information, "bytes", {}), call)

    def path_of(self, link: str) -> str:
        """The link's part below the root. A link to another host is refused: our token would go there."""
        try:
            ours, theirs = httpx.URL(self.root), urlsplit(link)
            httpx.URL(link)
        except (ValueError, httpx.InvalidURL) as error:
            raise Unavailable("a link of Microsoft Graph is no address that can be asked: not followed") from error
        same = (theirs.scheme, theirs.netloc.lower()) == (ours.scheme, ours.netloc.decode().lower())
        if not same or not link.startswith(f"{self.root}/"):
            raise Unavailable(
                f"a link of Microsoft Graph leads to {theirs.scheme}://{theirs.netloc} instead of {self.root}: not "
                "followed, because our token would go there. If the cloud was changed, restart the job"
            )
        return link.removeprefix(self.root)

    async def _answered(self, sending: Awaitable[httpx.Response], call: Call) -> dict[str, Any]:
        return json_of(await self._sent(sending, call), call)

    async def _sent(self, sending: Awaitable[httpx.Response], call: Call) -> httpx.Response:
        try:
            return await sending
        except httpx.TimeoutException as error:
            raise Unavailable(
                f"Microsoft Graph did not answer for {call.what} in time ({type(error).__name__})", code="Timeout"
            ) from error
        except httpx.RequestError as error:
            raise Unavailable(
                f"no connection to {urlsplit(self.root).netloc} for {call.what} ({type(error).__name__}): check the "
                "network, proxy and firewall of this machine, and GRAPH_BASE_URL"
            ) from error

    def _builder(self, where: Where) -> Any:
        """The builder of an address. The SDK's modules warn of classes of their own when they are imported."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return where(self._connected())

    def _connected(self) -> Any:
        """The SDK's client, made when it is first needed."""
        if self._client is None:
            self._client = self._build()
        return self._client

    def _build(self) -> Any:
        # Imported here: 0.5 s and 40 MiB that the dashboard and a tick without work should not pay for.
        from kiota_abstractions.authentication import AnonymousAuthenticationProvider  # noqa: PLC0415
        from kiota_http.httpx_request_adapter import HttpxRequestAdapter  # noqa: PLC0415
        from kiota_http.observability_options import ObservabilityOptions  # noqa: PLC0415
        from msgraph import GraphServiceClient  # noqa: PLC0415

        # Tokens come by `_Bearer`. URLs hold user names, which do not belong in traces.
        adapter = HttpxRequestAdapter(
            AnonymousAuthenticationProvider(),
            http_client=self._http,
            observability_options=ObservabilityOptions(include_euii_attributes=False),
        )
        adapter.base_url = self.root
        return GraphServiceClient(request_adapter=adapter)

    @staticmethod
    def _native() -> Any:
        """Makes the SDK hand out the response as it came. It then checks no status: `json_of` does."""
        from kiota_abstractions.native_response_handler import NativeResponseHandler  # noqa: PLC0415 - see `_build`
        from kiota_http.middleware.options import ResponseHandlerOption  # noqa: PLC0415 - see `_build`

        return ResponseHandlerOption(NativeResponseHandler())


class _Bearer(httpx.Auth):
    """Puts our token on requests to Graph's host and to no other; asks for a fresh one once after a 401."""

    def __init__(self, tokens: Tokens, root: httpx.URL) -> None:
        self._tokens = tokens
        self._origin = (root.scheme, root.netloc)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if (request.url.scheme, request.url.netloc) != self._origin:
            raise Unavailable(
                f"a request to {request.url.host} was about to carry the token for Microsoft Graph; not sent"
            )
        token = await self._tokens.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        fresh = await self._tokens.fresh(token, _claims(response))
        if fresh != token:
            request.headers["Authorization"] = f"Bearer {fresh}"
            response = yield request
        # Or the SDK would take the challenge up again, without a token provider to answer it.
        response.headers.pop("WWW-Authenticate", None)


def _claims(response: httpx.Response) -> str | None:
    """The JSON of a claims challenge, by which Entra revokes a token before its time."""
    found = _CLAIMS.search(response.headers.get("WWW-Authenticate", ""))
    if found is None:
        return None
    text = found.group(1)
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _only_reads(request: httpx.Request) -> bool:
    """Everything that we send but mail; batches hold nothing but GETs."""
    return request.method == "GET" or (request.method == "POST" and request.url.path.endswith("/$batch"))


async def _name_request(request: httpx.Request) -> None:
    """Our own id for a request, by which Microsoft's support finds it. The SDK sets one for known hosts only."""
    request.headers["client-request-id"] = str(uuid.uuid4())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
