"""One instance and the way to reach it: its address, the client with our transports, no cookies, no redirections.
Turns what breaks on the way into errors that say whether the request can have arrived. What an answer means is not
known here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from provisioning.adapters.http import ReadOnlyTransport, RetryTransport, WholeTransport
from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import Answer, answer_of, body_of
from provisioning.adapters.servicenow.auth import TOKEN_PATH
from provisioning.adapters.servicenow.budget import Budget, MeasuringTransport
from provisioning.adapters.servicenow.faults import Fault, ReplyLost
from provisioning.adapters.servicenow.reads import changes_nothing, is_read
from provisioning.errors import ConfigError, Unavailable

CLIENT = "open-entra-provisioning/0.1"
TIMEOUT = 60.0
"""Seconds to wait for an answer: twice what ServiceNow grants a batch, and what it grants a Table API call."""
TRIES_WHERE_MOVED = 3
"""How often a request is sent that the API as a whole refuses, as it does to a session that moved (KB2466644)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class ServiceNowSession:
    """`instance` is a name (contoso) or a whole address. `slots` is how many calls may run at once, of all those that
    the instance grants to its callers together. A dry run lets reads pass and nothing else.
    """

    def __init__(  # noqa: PLR0913 - what a test replaces is among them
        self,
        instance: str,
        auth: httpx.Auth,
        *,
        slots: int = 2,
        dry_run: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = instance_url(instance)
        self.host = self.url.host
        inner = transport or httpx.AsyncHTTPTransport(retries=0)
        if dry_run:
            inner = ReadOnlyTransport(inner, reads=changes_nothing)
        self.budget = Budget(slots, sleep=sleep)
        self._client = httpx.AsyncClient(
            auth=auth,
            transport=RetryTransport(
                MeasuringTransport(WholeTransport(inner), self.budget), may_resend=is_read, sleep=self.budget.pause
            ),
            timeout=httpx.Timeout(timeout, connect=min(timeout, 15.0)),
            headers={"Accept": "application/json", "User-Agent": CLIENT},
            # Requests that share a session wait for each other, and beyond ten are answered 202 and thrown away.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
        )
        self._sleep = sleep
        self._batch_url = self.url.copy_with(path=batch.PATH)

    @property
    def instance(self) -> str:
        """Which instance this is: its host, and the port where it is no usual one."""
        return self.url.netloc.decode("ascii")

    async def get(self, path: str) -> Answer:
        return await self._send(self._client.build_request("GET", self.url.join(path)))

    async def get_with_headers(self, path: str) -> tuple[Answer, httpx.Headers]:
        """For what an instance tells beside its answers: its clock and its rate limits."""
        response = await self._sent(self._client.build_request("GET", self.url.join(path)))
        return answer_of(response), response.headers

    async def post_batch(self, content: bytes) -> Answer:
        headers = {"Content-Type": "application/json"}
        return await self._send(self._client.build_request("POST", self._batch_url, content=content, headers=headers))

    async def pause(self, attempt: int) -> None:
        """Before an answer that was none is asked for again."""
        await self._sleep(0.5 * 2 ** (attempt - 1))

    async def _send(self, request: httpx.Request) -> Answer:
        if (request.url.scheme, request.url.netloc) != (self.url.scheme, self.url.netloc):
            raise Unavailable(
                f"a request to {request.url.host} was about to carry the credentials for {self.host}; not sent. Report "
                "it as a defect",
                code="ServiceNowInstanceInvalid",
            )
        for attempt in range(1, TRIES_WHERE_MOVED):
            answer = answer_of(await self._sent(request))
            if not _has_moved(answer):
                return answer
            await self.pause(attempt)
            # The credentials renew a token that a request brings back; the load balancer chooses a node anew.
            request.headers["Connection"] = "close"
        return answer_of(await self._sent(request))

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            async with self.budget.place():
                return await self._client.send(request)
        except httpx.RequestError as error:
            raise self._broken(error) from error

    def _broken(self, error: httpx.RequestError) -> Unavailable:
        """What broke, and whether the request can have arrived."""
        if not isinstance(error, _NEVER_SENT):
            # Where no token came, the request that needs it was not sent, or was answered 401 before.
            kind = Unavailable if error.request.url.path == TOKEN_PATH else ReplyLost
            if isinstance(error, httpx.TimeoutException):
                return kind(f"{self.host}: no answer in time. It is tried again by itself", code="Timeout")
            return kind(
                f"{self.host}: the connection broke before the answer was complete. It is tried again by itself",
                code="WebExceptionProtocolError",
            )
        if _caused_by(error, socket.gaierror):
            return Unavailable(
                f"{self.host}: no such host. Operator: correct SERVICENOW_INSTANCE, or this machine's name service",
                code="ServiceNowInstanceInvalid",
            )
        if _caused_by(error, ssl.SSLError):
            return Unavailable(
                f"{self.host}: its certificate is not trusted, or it does not speak TLS. Operator: correct "
                "SERVICENOW_INSTANCE, or the trusted certificates of this machine",
                code="ServiceNowInstanceInvalid",
            )
        if isinstance(error, httpx.TimeoutException):
            return Unavailable(f"{self.host}: no connection in time. It is tried again by itself", code="Timeout")
        return Unavailable(
            f"{self.host}: the connection was refused. Operator: check SERVICENOW_INSTANCE and the firewall in between",
            code="ServiceNowInstanceInvalid",
        )

    async def aclose(self) -> None:
        await self._client.aclose()


def instance_url(instance: str) -> httpx.URL:
    """The address of an instance. A text that holds credentials is never repeated in an error."""
    text = instance.strip()
    if _NAME.fullmatch(text) and text.lower() != "localhost":
        return httpx.URL(f"https://{text.lower()}.service-now.com/")
    way_out = "give a name such as contoso, or an address such as https://contoso.service-now.com"
    if not text:
        raise ConfigError(f"SERVICENOW_INSTANCE is empty: {way_out}")
    try:
        url = httpx.URL(text if "://" in text else f"https://{text}")
    except httpx.InvalidURL as error:
        raise ConfigError(f"SERVICENOW_INSTANCE is not an address: {way_out}") from error
    if url.userinfo:
        raise ConfigError(f"SERVICENOW_INSTANCE holds a user or password before {url.host}: {way_out}")
    if not url.host or "%" in url.host:
        raise ConfigError(f"SERVICENOW_INSTANCE names no host: {way_out}")
    if url.query or url.fragment or "?" in text or "#" in text:
        raise ConfigError(f"SERVICENOW_INSTANCE holds a query after {url.host}: {way_out}")
    if url.path not in {"", "/"}:
        raise ConfigError(f"SERVICENOW_INSTANCE holds a path after {url.host}: {way_out}")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        raise ConfigError(f"SERVICENOW_INSTANCE must begin with https:// for {url.host}: {way_out}")
    return url.copy_with(path="/")


def _has_moved(answer: Answer) -> bool:
    if answer.status != httpx.codes.FORBIDDEN:
        return False
    fault = body_of(answer)
    return isinstance(fault, Fault) and fault.kind == "moved"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kind):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
