"""Who may call the instance: passwords, API keys, OAuth clients and the tokens they hold. Tokens live by the
instance's clock. Knows no HTTP: it is given the text of a header or the fields of a form.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt

from tests.emulators.servicenow.folding import fold

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

ACCESS_SECONDS = 1800.0
REFRESH_SECONDS = 100 * 86400.0
CLOCK_SKEW = 300.0
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """`user` is the "OAuth Application User" on the registry record, without which client credentials are refused."""

    client_id: str
    secret: str
    user: str = ""
    public_key: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    user: str
    expires: float


@dataclass(frozen=True, slots=True)
class Grant:
    access: Token
    refresh: Token | None


class Accounts:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.passwords: dict[str, str] = {"admin": "admin"}
        self.api_keys: dict[str, str] = {}
        self.clients: dict[str, OAuthClient] = {}
        self._access: dict[str, Token] = {}
        self._refresh: dict[str, Token] = {}
        self._current: dict[tuple[str, str, str], Grant] = {}
        self._assertions: set[str] = set()
        self._issued = 0

    def add_client(self, client_id: str, secret: str, *, user: str = "", public_key: str = "") -> None:
        self.clients[client_id] = OAuthClient(client_id, secret, user, public_key)

    def revoke_tokens(self) -> None:
        """Every access token dies at once, as after a restart of the instance."""
        self._access.clear()
        self._current.clear()

    def caller(self, headers: Mapping[str, str]) -> str | None:
        """The user name behind a request's credentials, or None."""
        if key := headers.get("x-sn-apikey"):
            return self._able(self.api_keys.get(key))
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            token = self._access.get(value)
            return self._able(token.user) if token and token.expires > self._instance.now() else None
        if scheme == "Basic":
            return self._by_password(value)
        return None

    def _by_password(self, encoded: str) -> str | None:
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if not self._knows(name, password) or self._instance.switches.basic_auth == "none":
            return None
        if self._instance.switches.basic_auth == "web_service_only" and not self._may_use_basic(name):
            return None
        return self._able(name)

    def _may_use_basic(self, name: str) -> bool:
        """New instances answer 401 to an interactive account although its password is right (KB3025707)."""
        user = self._record(name)
        if user and user.get("web_service_access_only") == "true":
            return True
        return "snc_basic_auth_api_access" in self._instance.roles.names_of(name)

    def _knows(self, name: str, password: str) -> bool:
        """Also keeps count of the failures, which lock an account where the instance is set so."""
        right = bool(password) and self.passwords.get(name) == password
        limit, user = self._instance.switches.lock_out_after, self._record(name)
        if limit and user:
            failures = 0 if right else int(user.get("failed_attempts") or 0) + 1
            changes = {"failed_attempts": str(failures)} | ({"locked_out": "true"} if failures >= limit else {})
            self._instance.data("sys_user").change(fold(user["sys_id"]), changes)
            self._instance.version += 1
        return right

    def _able(self, name: str | None) -> str | None:
        """Accounts that are inactive or locked out cannot log in; `admin` always can."""
        if name is None or name == "admin":
            return name
        user = self._record(name)
        if user is not None and (user.get("active") != "true" or user.get("locked_out") == "true"):
            return None
        return name

    def _record(self, name: str) -> Mapping[str, str] | None:
        rows = self._instance.data("sys_user")
        for key in rows.keys_where("user_name", fold(name)):
            return rows.by_key[key]
        return None

    def grant(self, form: Mapping[str, str]) -> Grant | None:
        """Answers a token request; None is "access_denied", whatever was wrong."""
        client = self.clients.get(form.get("client_id", ""))
        if client is None or client.secret != form.get("client_secret"):
            return None
        user: str | None = None
        match form.get("grant_type"):
            case "client_credentials":
                user = client.user or None
            case "password" if self._knows(form.get("username", ""), form.get("password", "")):
                user = form["username"]
                record = self._record(user)
                if record and record.get("web_service_access_only") == "true":
                    return None
            case "refresh_token":
                old = self._refresh.get(form.get("refresh_token", ""))
                user = old.user if old and old.expires > self._instance.now() else None
            case grant_type if grant_type == JWT_BEARER:
                user = self._asserted(client, form.get("assertion", ""))
        if self._able(user) is None:
            return None
        kind = form["grant_type"]
        with_refresh = kind in {"password", "refresh_token"}
        return self._current_grant(client, user, "password" if with_refresh else kind, with_refresh=with_refresh)

    def _current_grant(self, client: OAuthClient, user: str, kind: str, *, with_refresh: bool) -> Grant:
        """Asking again while a token lives returns the same token, with less time left."""
        now = self._instance.now()
        identity = (client.client_id, user, kind)
        grant = self._current.get(identity)
        if grant is None or grant.access.expires <= now:
            refresh = grant.refresh if grant and grant.refresh and grant.refresh.expires > now else None
            if with_refresh and refresh is None:
                refresh = Token(self._new_token(), user, now + REFRESH_SECONDS)
                self._refresh[refresh.text] = refresh
            grant = Grant(Token(self._new_token(), user, now + ACCESS_SECONDS), refresh)
            self._access[grant.access.text] = grant.access
            self._current[identity] = grant
        return grant

    def _asserted(self, client: OAuthClient, assertion: str) -> str | None:
        """Audience is the client, the subject a user name; each jti is good once; skew is forgiven."""
        try:
            claims = jwt.decode(
                assertion,
                client.public_key,
                algorithms=["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"],
                audience=client.client_id,
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["sub", "exp"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        now, jti = self._instance.now(), str(claims.get("jti", assertion))
        if claims["exp"] + CLOCK_SKEW < now or jti in self._assertions:
            return None
        self._assertions.add(jti)
        return claims["sub"] if self._record(claims["sub"]) else None

    def _new_token(self) -> str:
        self._issued += 1
        digest = base64.urlsafe_b64encode(f"emulated token {self._issued}".encode()).decode()
        return digest.rstrip("=").ljust(86, "A")
