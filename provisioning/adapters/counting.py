"""Transports around the innermost one that both remote sides share: one that counts what is really sent, and the way
out through a proxy where this machine's environment names one.
"""

from __future__ import annotations

import ssl
import urllib.request
from urllib.parse import urlsplit

import httpx


class CountingTransport(httpx.AsyncBaseTransport):
    """Counts attempts, repeated ones included: what the other side sees and what its limits count."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def connection_to(url: str, context: ssl.SSLContext | None = None) -> httpx.AsyncHTTPTransport:
    """A pool of connections; `context` shows a client certificate. httpx looks for a proxy only where it makes the
    transport itself, so it is done here: HTTPS_PROXY and NO_PROXY hold, and this machine is always reached directly.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc) and not _is_this_machine(host):
        return httpx.AsyncHTTPTransport(retries=0, proxy=proxy, verify=context or True)
    return httpx.AsyncHTTPTransport(retries=0, verify=context or True)


def _is_this_machine(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}
