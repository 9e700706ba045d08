"""The keys with which Microsoft Entra ID signs the tokens of one tenant, as it publishes them: OpenID metadata and key
sets, of both versions of its tokens. Remembered, and read again when they are old or when a token names a key that is
not among them. What a token says is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from provisioning.adapters.http import WholeTransport
from provisioning.errors import Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

METADATA = ("v2.0/.well-known/openid-configuration", ".well-known/openid-configuration")
REFRESH, LONGEST = 3600.0, 86_400.0
"""In seconds: after one the keys are read again, and where that fails they count until the other. Entra asks for once a
day, and withdraws a key at once in an emergency.
"""
PAUSE, PAUSE_AFTER_FAILURE = 300.0, 15.0
"""So long nobody's unknown key makes us read again."""
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
FEWEST_BITS = 2048

logger = logging.getLogger(__name__)

Keys = Mapping[str, Mapping[str, "RSAPublicKey"]]
"""By issuer, then by key id."""


class _Malformed(Exception):
    """An answer that is no metadata or no key set."""


@dataclass(frozen=True, slots=True)
class _Read:
    """The last time at which keys were asked for, and how that went."""

    at: float
    succeeded: bool


class SigningKeys:
    """`authority` is the address of Entra's login, without a path."""

    def __init__(
        self,
        authority: str,
        tenant_id: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authority = authority
        self._tenant_id = tenant_id
        self._client = httpx.AsyncClient(
            transport=WholeTransport(transport or httpx.AsyncHTTPTransport()), timeout=TIMEOUT, follow_redirects=False
        )
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: Keys = {}
        self._good_since = float("-inf")
        self._last: _Read | None = None

    async def find(self, issuer: str, key: str) -> RSAPublicKey | None:
        """The issuer's key; None for an issuer that does not speak for the tenant, or a key that it does not publish.
        Raises `Unavailable` where that cannot be told.
        """
        if not self._is_due(issuer, key):
            return self._known(issuer, key)
        async with self._lock:
            if self._is_due(issuer, key):
                await self._read()
        return self._known(issuer, key)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _known(self, issuer: str, key: str) -> RSAPublicKey | None:
        if self._clock() - self._good_since <= LONGEST:
            found = self._keys.get(issuer, {}).get(key)
            if found is not None or self._last is None or self._last.succeeded:
                return found
        raise Unavailable(
            f"the keys of Entra's tokens cannot be read from {self._authority}, so no token can be verified: "
            "the app must reach that address; try again in a minute",
            code="ServiceUnavailable",
        )

    def _is_due(self, issuer: str, key: str) -> bool:
        """Keys are read again when they are old, or when one is missing; after a while in either case."""
        now = self._clock()
        if self._last is None:
            return True
        if now - self._last.at < (PAUSE if self._last.succeeded else PAUSE_AFTER_FAILURE):
            return False
        return now - self._good_since > REFRESH or key not in self._keys.get(issuer, {})

    async def _read(self) -> None:
        try:
            published = [await self._published(path) for path in METADATA]
        except (httpx.HTTPError, httpx.InvalidURL, _Malformed) as error:
            self._last = _Read(self._clock(), succeeded=False)
            logger.warning("signing keys cannot be read", extra={"why": type(error).__name__})
            return
        self._keys = dict(published)
        self._good_since = self._clock()
        self._last = _Read(self._good_since, succeeded=True)

    async def _published(self, path: str) -> tuple[str, Mapping[str, RSAPublicKey]]:
        """An issuer and its keys."""
        metadata = await self._document(f"{self._authority}/{self._tenant_id}/{path}")
        issuer, address = metadata.get("issuer"), metadata.get("jwks_uri")
        # Metadata of another tenant, or of all of them, would let strangers in.
        if not isinstance(issuer, str) or self._tenant_id not in issuer.split("/")[3:]:
            raise _Malformed("the issuer is not that of the tenant")
        scheme = self._authority.partition("//")[0]
        if not isinstance(address, str) or not address.startswith(f"{scheme}//"):
            raise _Malformed("the keys are nowhere to be trusted")
        listed = (await self._document(address)).get("keys")
        keys = dict(filter(None, map(_key, listed if isinstance(listed, list) else [])))
        if not keys:
            raise _Malformed("there is no key")
        return issuer, keys

    async def _document(self, address: str) -> dict[str, Any]:
        response = await self._client.get(address, headers={"Accept": "application/json"})
        if response.status_code != httpx.codes.OK:
            raise _Malformed(f"status {response.status_code}")
        try:
            document = response.json()
        except (ValueError, RecursionError) as error:
            raise _Malformed("not JSON") from error
        if not isinstance(document, dict):
            raise _Malformed("not an object")
        return document


def _key(published: object) -> tuple[str, RSAPublicKey] | None:
    """A key id and an RSA key for signatures; None for any other kind of key, which is none of ours."""
    from jwt import PyJWTError  # noqa: PLC0415 - with it comes cryptography, which is dear to import
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 - as above

    if not isinstance(published, dict) or published.get("kty") != "RSA" or published.get("use", "sig") != "sig":
        return None
    name = published.get("kid")
    if not isinstance(name, str) or not name or "d" in published:
        return None
    try:
        key = RSAAlgorithm.from_jwk({each: published.get(each) for each in ("kty", "n", "e")})
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return (name, key) if key.key_size >= FEWEST_BITS else None  # type: ignore[return-value] # no "d": a public key
