"""Who may do what: a caller, with what proves who it is, against the role that a route asks for. Pure, and closed
unless proven open: what is not understood is refused.

How a token is verified and who published the keys is not known here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from provisioning.access_settings import Access
from provisioning.api.answers import Refusal, read_json
from provisioning.api.routing import Caller, Role

BY_KEY = "a caller with a key of the app"
LONGEST_NAME = 256
LONGEST_PRINCIPAL = 65_536

# App Service maps some of Entra's claims to these names, depending on its version.
_MAPPED = {
    "http://schemas.microsoft.com/identity/claims/tenantid": "tid",
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "oid",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role": "roles",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "upn",
}
_NAMES = ("preferred_username", "upn", "unique_name")


WITH_KEY = Caller(BY_KEY, "application", frozenset(Role))
"""The Functions host has asked for the key and let the caller in; nobody in particular has a key."""


class Unproven(Exception):
    """What was shown proves nothing. The message says why, and repeats nothing of it."""


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token of the Authorization header; None without such a header. Raises `Unproven` for anything else in it.
    The names of headers are in lower case.
    """
    if "authorization" not in headers:
        return None
    scheme, _, token = headers["authorization"].strip().partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise Unproven("The Authorization header holds no bearer token.")
    return token.strip()


def caller_of_claims(claims: Mapping[str, Any]) -> Caller:
    """Whom the claims of a verified token are about. Entra writes no user's name into an application's own token."""
    return Caller(_name_of(claims), _kind_of(claims), _roles_of(claims.get("roles")))


def platform_caller(headers: Mapping[str, str], access: Access) -> Caller | None:
    """Whom App Service has signed in; None where it has not, or where nobody switched its authentication on: then the
    header is anybody's word. Raises `Unproven` for somebody of another tenant or identity provider.
    """
    if not access.platform_signs_in or not headers.get("x-ms-client-principal", "").strip():
        return None
    claims = _claims_of_principal(headers["x-ms-client-principal"].strip())
    tenants = claims.get("tid", [])
    if [each.casefold() for each in tenants] != [access.tenant_id]:
        raise Unproven("The signed-in account is not of this app's tenant.")
    single = {name: values[0] for name, values in claims.items() if len(values) == 1}
    return Caller(_name_of(single), _kind_of(single), _roles_of(claims.get("roles")), ambient=True)


def permit(caller: Caller | None, role: Role, access: Access) -> Caller:
    """The caller, if it may have what asks for this role. Raises `Refusal`."""
    if caller is not None and caller.may(role):
        return caller
    if caller is None:
        raise unauthorized("The request carries no access token.", access, error="")
    raise Refusal(
        403,
        "Authorization_RequestDenied",
        f"Insufficient privileges to complete the operation: it needs the app role {role}.",
        {"WWW-Authenticate": _challenge(access, "insufficient_scope", f"The app role {role} is needed")},
    )


def unauthorized(reason: str, access: Access | None, *, error: str = "invalid_token") -> Refusal:
    """401 in Graph's words, with the challenge of RFC 6750, which tells a client where tokens are to be had."""
    challenge = "Bearer" if access is None else _challenge(access, error, reason.rstrip(".") if error else "")
    return Refusal(401, "InvalidAuthenticationToken", reason, {"WWW-Authenticate": challenge})


def _challenge(access: Access, error: str, description: str) -> str:
    parts = [
        'realm=""',
        f'authorization_uri="{access.authority}/{access.tenant_id}/oauth2/v2.0/authorize"',
        *([f'client_id="{access.client_id}"'] if access.client_id else []),
        *([f'error="{error}"'] if error else []),
        *([f'error_description="{description}"'] if description else []),
    ]
    return f"Bearer {', '.join(parts)}"


def _roles_of(roles: object) -> frozenset[Role]:
    """A claim of any other form gives no role."""
    return frozenset(role for role in Role if isinstance(roles, list) and role.value in roles)


def _kind_of(claims: Mapping[str, Any]) -> Literal["user", "application"]:
    """A delegated token has scopes (`scp`), a person's sign-in a name; what an application got for itself, neither."""
    is_person = claims.get("idtyp") != "app" and ("scp" in claims or any(_text(claims, name) for name in _NAMES))
    return "user" if is_person else "application"


def _name_of(claims: Mapping[str, Any]) -> str:
    if _kind_of(claims) == "user":
        known = next(filter(None, (_text(claims, name) for name in _NAMES)), "")
        return known or f"user {_text(claims, 'oid') or 'without an id'}"
    known = next(filter(None, (_text(claims, name) for name in ("appid", "azp", "oid"))), "")
    return f"application {known or 'without an id'}"


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that can be shown in one line; else ""."""
    found = claims.get(name)
    return found if isinstance(found, str) and found.isprintable() and len(found) <= LONGEST_NAME else ""


def _claims_of_principal(header: str) -> dict[str, list[str]]:
    """https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities"""
    if len(header) > LONGEST_PRINCIPAL:
        raise Unproven("The platform's sign-in header is longer than any.")
    try:
        principal = read_json(base64.b64decode(header + "=" * (-len(header) % 4), validate=True))
    except ValueError as error:
        raise Unproven("The platform's sign-in header cannot be read.") from error
    if not isinstance(principal, dict) or principal.get("auth_typ") != "aad":
        raise Unproven("The platform's sign-in is not that of Microsoft Entra ID.")
    listed = principal.get("claims")
    found: dict[str, list[str]] = {}
    for claim in listed if isinstance(listed, Sequence) else ():
        match claim:
            case {"typ": str(name), "val": str(value)}:
                found.setdefault(_MAPPED.get(name, name), []).append(value)
    return found
