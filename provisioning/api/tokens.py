"""Access tokens of Microsoft Entra ID: what is claimed in one, once its signature and its claims are verified. Nothing
here fetches a key or knows what the claims allow.

https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.api.access import Unproven

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHM = "RS256"
LONGEST = 16_384
"""Characters. Entra's tokens have some 2,000."""
LEEWAY = 120.0
"""By how many seconds clocks may differ."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says of itself before anything is verified: good for finding the key, and for nothing else."""

    issuer: str
    key: str


def claimed(token: str) -> Claimed:
    """Raises `Unproven` for what is no token signed as Entra signs."""
    import jwt  # noqa: PLC0415 - with it comes cryptography, which health and the timer do without

    if len(token) > LONGEST:
        raise Unproven(f"The token has {len(token)} characters, more than {LONGEST}.")
    try:
        header = jwt.get_unverified_header(token)
        payload = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise Unproven("The token is not a JSON Web Token.") from error
    if header.get("alg") != ALGORITHM:
        raise Unproven(f"The token is not signed with {ALGORITHM}.")
    key, issuer = header.get("kid"), payload.get("iss")
    if not isinstance(key, str) or not key or not isinstance(issuer, str):
        raise Unproven("The token names no key or no issuer.")
    return Claimed(issuer, key)


def verified(token: str, key: RSAPublicKey) -> Mapping[str, Any]:
    """The claims, if this key has signed them. Raises `Unproven`. Their times are for `trusted` to judge, by its own
    clock.
    """
    import jwt  # noqa: PLC0415 - as above

    only_signature: jwt.types.Options = {
        "verify_signature": True,
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "verify_aud": False,
        "verify_iss": False,
        "verify_sub": False,
        "verify_jti": False,
    }
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[ALGORITHM], options=only_signature)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise Unproven("The token's signature is not that of the key it names.") from error
    return claims


@dataclass(frozen=True, slots=True)
class Expected:
    """For whom a token must be made out, and by whom. `now` is in seconds since 1970."""

    issuer: str
    tenant_id: str
    audiences: frozenset[str]
    now: float


def trusted(claims: Mapping[str, Any], expected: Expected) -> Mapping[str, Any]:
    """The claims of a verified token, if it is meant for us, now. Raises `Unproven` with the first reason against."""
    audience, tenant = claims.get("aud"), claims.get("tid")
    if claims.get("iss") != expected.issuer:
        raise Unproven("The token is of another issuer.")
    if not isinstance(tenant, str) or tenant.casefold() != expected.tenant_id:
        raise Unproven("The token is of another tenant.")
    if not isinstance(audience, str) or audience not in expected.audiences:
        raise Unproven("The token is made out for another audience.")
    if _time(claims, "exp") + LEEWAY <= expected.now:
        raise Unproven("The token has expired.")
    if _time(claims, "nbf") - LEEWAY > expected.now:
        raise Unproven("The token is not valid yet.")
    # Who signs in to the dashboard gets an ID token, for the same audience and with the same roles. It is for the
    # client alone, and says of no client that it was given to it.
    if not any(isinstance(claims.get(name), str) and claims[name] for name in ("azp", "appid")):
        raise Unproven("The token is no access token.")
    return claims


def _time(claims: Mapping[str, Any], name: str) -> float:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise Unproven(f"The token does not say its {name}.")
    return float(found)
