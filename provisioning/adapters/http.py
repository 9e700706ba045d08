"""Transports that both remote sides share: sending again when that is safe, and refusing to write in a dry run.

Each is an httpx transport around another one, so that they nest. What a status means is not known here: once the
attempts are spent the last answer goes up, and each adapter's own seam turns it into JSON or an error.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Awaitable, Callable

import httpx

from provisioning.errors import WriteForbidden

MayResend = Callable[[httpx.Request], bool]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PASSING_STATUSES = frozenset({500, 502, 503, 504, 509})


def is_idempotent(request: httpx.Request) -> bool:
    """Whether a repeat does no harm if the first one was carried out. A POST is never resent: its reply may be what
    was lost.
    """
    return request.method in SAFE_METHODS or request.method in {"PUT", "PATCH", "DELETE"}


def answered_at(response: httpx.Response, *, now: Callable[[], float] = time.time) -> float:
    """When the other side says that it answered, in seconds since 1970; our own clock where it does not say. The times
    that it names are by its clock, which may differ from ours by hours.
    """
    said = _seconds_until(response.headers.get("Date", ""), 0.0)
    return said if math.isfinite(said) else now()


def retry_after(response: httpx.Response, *, now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait by the Retry-After header: a whole number, a fraction (Graph's "2.128") or an HTTP date. None
    where it says nothing that can be waited for.
    """
    text = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, answered_at(response, now=now))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(http_date: str, now: float) -> float:
    parsed = email.utils.parsedate_tz(http_date)
    try:
        return email.utils.mktime_tz(parsed) - now if parsed else math.nan
    except (ValueError, OverflowError):  # the year 99999
        return math.nan


class RetryTransport(httpx.AsyncBaseTransport):
    """Sends a request again after 429 (any method: it was not carried out) and, where `may_resend` allows it, after
    a passing server error or a broken connection.

    Waits as long as Retry-After says, but never longer than `longest_wait` seconds: a longer one goes up at once, so
    that the cycle can be parked instead of a worker being held.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        may_resend: MayResend = is_idempotent,
        attempts: int = 4,
        longest_wait: float = 60.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._may_resend = may_resend
        self._attempts = attempts
        self._longest_wait = longest_wait
        self._sleep = sleep
        self._jitter = jitter

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(1, self._attempts):
            try:
                response = await self._inner.handle_async_request(request)
            except httpx.TransportError:
                if not self._may_resend(request):
                    raise
                await self._sleep(self._backoff(attempt))
                continue
            wait = self._wait_after(request, response, attempt)
            if wait is None or wait > self._longest_wait:
                return response
            await response.aclose()
            await self._sleep(wait)
        return await self._inner.handle_async_request(request)

    def _wait_after(self, request: httpx.Request, response: httpx.Response, attempt: int) -> float | None:
        """Seconds until the next attempt, or None to accept this answer."""
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or (
            response.status_code in PASSING_STATUSES and self._may_resend(request)
        ):
            asked = retry_after(response)
            return self._backoff(attempt) if asked is None else asked
        return None

    def _backoff(self, attempt: int) -> float:
        """0.5, 1, 2 ... seconds, each up to half as long again so that workers do not return together."""
        return float(0.5 * 2 ** (attempt - 1) * (1 + self._jitter() / 2))

    async def aclose(self) -> None:
        await self._inner.aclose()


class WholeTransport(httpx.AsyncBaseTransport):
    """Reads an answer to its end, so that a connection that breaks in the middle of one, or a compressed body that does
    not unpack, is a failed attempt too. A Location of which no request can be made is taken away: httpx makes one even
    where it is told not to follow, and raises what is no `httpx.RequestError`.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        try:
            await response.aread()
        except httpx.DecodingError as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error
        finally:
            await response.aclose()
        if response.has_redirect_location and not _leads_somewhere(response.headers["Location"]):
            del response.headers["Location"]
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _leads_somewhere(location: str) -> bool:
    try:
        url = httpx.URL(location)
    except httpx.InvalidURL:
        return False
    return bool(url.host) or not url.scheme


class ReadOnlyTransport(httpx.AsyncBaseTransport):
    """Lets a request pass only when `reads` says that it changes nothing; anything else raises `WriteForbidden`.

    Below everything else, so that no mistake above it can turn a dry run into a write.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, reads: Callable[[httpx.Request], bool]) -> None:
        self._inner = inner
        self._reads = reads

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._reads(request):
            raise WriteForbidden(
                f"a dry run tried to send {request.method} {request.url.path}; nothing was sent. This is a defect: "
                "please report it with the command that you ran"
            )
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
