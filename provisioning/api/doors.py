"""The doors of the app: one for callers from outside with a token of Entra or the platform's sign-in, one for routes
whose key the Functions host has asked for, one for a laptop. What a proof is worth is decided elsewhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from provisioning.access_settings import Access
from provisioning.api.access import (
    WITH_KEY,
    Unproven,
    bearer_token,
    caller_of_claims,
    permit,
    platform_caller,
    unauthorized,
)
from provisioning.api.answers import Refusal
from provisioning.api.browsers import is_navigation, refuse_foreign_hosts, refuse_foreign_sites
from provisioning.api.routing import STRANGER, Caller, Request, Role
from provisioning.api.tokens import Expected, claimed, trusted, verified

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

logger = logging.getLogger(__name__)


class PublishedKeys(Protocol):
    """The keys that Entra signs the tenant's tokens with."""

    async def find(self, issuer: str, key: str) -> RSAPublicKey | None:
        """None for an issuer or a key that is none of the tenant's. Raises `Unavailable`."""


class SignInFirst(Exception):
    """A person's browser asks for a page, and the platform can sign the person in: at `location`."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


class EntraDoor:
    """A token counts before the platform's sign-in: one that is no good is refused, whatever stands beside it."""

    def __init__(self, access: Access, keys: PublishedKeys, *, now: Callable[[], float] = time.time) -> None:
        self._access = access
        self._keys = keys
        self._now = now

    async def admit(self, request: Request, role: Role | None) -> Caller:
        if role is None:
            return STRANGER
        try:
            caller = await self._caller(request)
            permitted = self._permitted(caller, request, role)
        except Unproven as error:
            logger.info("caller refused", extra={"status": 401, "why": str(error)})
            raise unauthorized(str(error), self._access) from error
        except Refusal as refusal:
            logger.info("caller refused", extra={"status": refusal.status, "role": role.value})
            raise
        return permitted

    async def _caller(self, request: Request) -> Caller | None:
        token = bearer_token(request.headers)
        if token is None:
            return platform_caller(request.headers, self._access)
        said = claimed(token)
        if not self._access.audiences:
            raise Unproven("This app takes no tokens: API_AUDIENCE is not set.")
        key = await self._keys.find(said.issuer, said.key)
        if key is None:
            raise Unproven("The token is signed with a key that is none of this tenant's.")
        expected = Expected(said.issuer, self._access.tenant_id, self._access.audiences, self._now())
        return caller_of_claims(trusted(verified(token, key), expected))

    def _permitted(self, caller: Caller | None, request: Request, role: Role) -> Caller:
        if caller is None and self._access.platform_signs_in and is_navigation(request.method, request.headers):
            parts = urlsplit(request.url)
            back = parts.path + (f"?{parts.query}" if parts.query else "")
            raise SignInFirst(f"/.auth/login/aad?post_login_redirect_uri={quote('/' + back.lstrip('/'), safe='')}")
        permitted = permit(caller, role, self._access)
        if permitted.ambient:
            origin = f"https://{urlsplit(request.url).netloc}"
            refuse_foreign_sites(request.method, request.headers, origin, scripts_welcome=False)
        return permitted


class KeyedDoor:
    """For routes on which the Functions host lets nobody pass without a key: nothing is asked again."""

    async def admit(self, request: Request, role: Role | None) -> Caller:
        del request
        return STRANGER if role is None else WITH_KEY


class LaptopDoor:
    """For a server that only this machine can reach: whoever uses the machine may do everything, another site nothing.
    `who` is the name that the machine knows.
    """

    def __init__(self, who: str) -> None:
        self._person = Caller(who, "user", frozenset(Role), ambient=True)

    async def admit(self, request: Request, role: Role | None) -> Caller:
        refuse_foreign_hosts(request.headers)
        origin = f"http://{request.headers.get('host', '').strip()}"
        refuse_foreign_sites(request.method, request.headers, origin, scripts_welcome=True)
        return STRANGER if role is None else self._person
