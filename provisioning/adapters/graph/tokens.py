"""Access tokens for Graph: asked for when the last one is about to end, one request at a time, and once more when Graph
rejects one. msal blocks, so whoever asks through it is run in a thread. Nothing here knows how an identity proves
itself or what a token opens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

RENEW_BEFORE = 300.0


class Tokens(Protocol):
    """Who we are, as far as Graph is concerned."""

    async def token(self) -> str:
        """A token that is still good for a while."""

    async def fresh(self, rejected: str, claims: str | None) -> str:
        """Another one, after Graph rejected this one, with the claims it asks for (JSON) if it does."""


class Identity(Protocol):
    """What can be turned into a token."""

    def ask(self, claims: str | None) -> Mapping[str, Any]:
        """An answer with "access_token" and "expires_in". Blocks, so it is called in a thread."""


class StaticToken:
    """A fixed token, for an emulator. `GraphSession` takes it for a loopback address only."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def fresh(self, rejected: str, claims: str | None) -> str:  # noqa: ARG002 - there is no other one
        return self._token


class SignedIn:
    """Tokens of an identity, remembered until shortly before they end."""

    def __init__(self, identity: Identity, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._identity = identity
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._until = float("-inf")

    async def token(self) -> str:
        if self._clock() < self._until:
            return self._token
        async with self._lock:
            if self._clock() >= self._until:
                await self._renew(None)
            return self._token

    async def fresh(self, rejected: str, claims: str | None) -> str:
        async with self._lock:
            # Unless another request that was rejected with it has brought a new one meanwhile.
            if self._token == rejected:
                await self._renew(claims)
            return self._token

    async def _renew(self, claims: str | None) -> None:
        answer = await asyncio.to_thread(self._identity.ask, claims)
        seconds = float(answer["expires_in"])
        self._token = str(answer["access_token"])
        self._until = self._clock() + max(seconds - RENEW_BEFORE, seconds / 2)
