"""How we log in: OAuth by client credentials, password or signed assertion, Basic, an API key header, each an
`httpx.Auth`; a client certificate is shown by the connection itself. A token is asked for once for all requests that
need it, renewed before it ends and once after a 401; credentials that were refused are not tried again for a while,
because an instance locks an account after a few failures. A secret goes into a request and nowhere else. Knows no
instance: the address is that of the request at hand.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import httpx

from provisioning.adapters.servicenow.answers import answer_of, body_of
from provisioning.adapters.servicenow.faults import Fault, ReplyLost
from provisioning.errors import ConfigError, Unauthorized, Unavailable

TOKEN_PATH = "/oauth_token.do"  # noqa: S105 - a path
RENEW_BEFORE = 60.0
"""Seconds of life that a token must have left to be used."""
QUIET_AFTER_REFUSAL = 60.0
"""Seconds in which refused credentials are not shown to the instance again."""

KINDS = ("oauth-client-credentials", "oauth-password", "oauth-jwt", "basic", "api-key", "mtls")

Clock = Callable[[], float]


def credentials(kind: str, **settings: str) -> httpx.Auth:
    """The way to log in that SERVICENOW_AUTH names, with the settings it needs: client_id, client_secret, username,
    password, api_key. Those it does not need may be there and are ignored.
    """
    match kind:
        case "oauth-client-credentials":
            return OAuth("client_credentials", _settings(kind, settings, "client_id", "client_secret"))
        case "oauth-password":
            return OAuth("password", _settings(kind, settings, "client_id", "client_secret", "username", "password"))
        case "basic":
            given = _settings(kind, settings, "username", "password")
            return FixedCredentials(httpx.BasicAuth(given["username"], given["password"]))
        case "api-key":
            return FixedCredentials(_ApiKey(_settings(kind, settings, "api_key")["api_key"]))
        case "oauth-jwt":
            names = ("client_id", "client_secret", "username", "client_certificate_path")
            given = _settings(kind, settings, *names)
            from provisioning.adapters.servicenow.assertions import bearer_form  # noqa: PLC0415 - signs: dear to import

            return OAuth("urn:ietf:params:oauth:grant-type:jwt-bearer", *bearer_form(given, settings))
        case "mtls":
            return httpx.Auth()
        case _:
            raise ConfigError(f"SERVICENOW_AUTH is {kind!r}: use {', '.join(KINDS)}")


class OAuth(httpx.Auth):
    """A bearer token from the instance's own token endpoint. `assert_` makes what is new in each request for one."""

    def __init__(
        self,
        grant: str,
        form: Mapping[str, str],
        assert_: Callable[[], Mapping[str, str]] = dict,
        *,
        now: Clock = time.monotonic,
    ) -> None:
        self._form = {"grant_type": grant, **form}
        self._assert = assert_
        self._now = now
        self._token = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()
        self._refusal = _Refusal(now)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        # A request that brings a token back was refused with it (KB2466644: a session that moved to another node).
        used = request.headers.get("Authorization", "").removeprefix("Bearer ")
        for _ in range(2):  # once more after a 401, with a token asked for anew: never more
            async with self._lock:
                if self._token == used or self._now() >= self._good_until:
                    answer = yield self._token_request(request)
                    await answer.aread()
                    self._keep(answer)
                used = self._token
            request.headers["Authorization"] = f"Bearer {used}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return

    def _token_request(self, request: httpx.Request) -> httpx.Request:
        self._refusal.check()
        return httpx.Request(
            "POST",
            request.url.join(TOKEN_PATH),
            headers={"Accept": "application/json"},
            data={**self._form, **self._assert()},
            extensions={"timeout": request.extensions.get("timeout", {})},
        )

    def _keep(self, response: httpx.Response) -> None:
        self._token, self._good_until = "", 0.0
        host = response.request.url.host
        if response.is_client_error and response.status_code not in {408, 429}:
            self._refusal.happened(
                Unauthorized(
                    f"{host}: the token endpoint refused the credentials (grant {self._form['grant_type']}, status "
                    f"{response.status_code}). Operator: check client id and secret. ServiceNow administrator: check "
                    "that the registry record is active and names an application user, and that "
                    "glide.oauth.inbound.client.credential.grant_type.enabled is true; with user and password also "
                    "that the user is active, not locked out and not web-only; with a signed assertion that the JWT "
                    "key is registered and the subject is a user's name",
                    code="ServiceNowCredentialsValidation",
                )
            )
        body = body_of(answer_of(response))
        if isinstance(body, Fault):
            error = body.error(host)
            if isinstance(error, ReplyLost):  # what needs the token was not sent
                raise Unavailable(str(error), code=error.code)
            raise error
        token = body.get("access_token")
        if not isinstance(token, str) or not token:
            raise Unavailable(
                f"{host}: the token endpoint answered without a token. ServiceNow administrator: check {TOKEN_PATH}"
            )
        self._token = token
        self._good_until = self._now() + max(_seconds(body.get("expires_in")) - RENEW_BEFORE, 1.0)


class FixedCredentials(httpx.Auth):
    """Credentials that travel with each request. A 401 is tried once more (instances answer some in passing).

    Until they are known to be good only one request at a time shows them, so that wrong ones are shown twice and not
    by every slot.
    """

    def __init__(self, scheme: httpx.Auth, *, now: Clock = time.monotonic) -> None:
        self._scheme = scheme
        self._refusal = _Refusal(now)
        self._lock = asyncio.Lock()
        self._are_good = False

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        self._refusal.check()
        request = next(self._scheme.sync_auth_flow(request))
        attempts = 2
        if self._are_good:
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
            self._are_good, attempts = False, 1
        async with self._lock:
            self._refusal.check()
            for _ in range(attempts):
                response = yield request
                if response.status_code != httpx.codes.UNAUTHORIZED:
                    self._are_good = True
                    return
        self._refusal.happened(
            Unauthorized(
                f"{request.url.host}: the instance does not accept the credentials (401, twice). Operator: check them. "
                "ServiceNow administrator: check that the account is active and not locked out, and that it may log in "
                "this way: ServiceNow refuses Basic authentication to interactive accounts (role "
                "snc_basic_auth_api_access, or web service access only)",
                code="ServiceNowCredentialsValidation",
            )
        )


class _ApiKey(httpx.Auth):
    def __init__(self, key: str) -> None:
        self._key = key

    def sync_auth_flow(self, request: httpx.Request) -> Any:
        request.headers["x-sn-apikey"] = self._key
        yield request


class _Refusal:
    """Remembers that credentials were refused, so that many requests at once cannot lock an account."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._error: Unauthorized | None = None
        self._quiet_until = 0.0

    def check(self) -> None:
        if self._error is not None and self._now() < self._quiet_until:
            raise Unauthorized(str(self._error), code=self._error.code)

    def happened(self, error: Unauthorized) -> None:
        self._error, self._quiet_until = error, self._now() + QUIET_AFTER_REFUSAL
        raise error


def _settings(kind: str, settings: Mapping[str, str], *names: str) -> dict[str, str]:
    """The settings that are needed, all present and fit for a header or a form."""
    for name in names:
        value, variable = settings.get(name, ""), f"SERVICENOW_{name.upper()}"
        if not value:
            raise ConfigError(f"{variable} is not set, and SERVICENOW_AUTH={kind} needs it")
        if not value.isprintable() or value != value.strip():
            raise ConfigError(f"{variable} holds a line break, a control character or blanks at an end: remove them")
        if name == "api_key" and not value.isascii():
            raise ConfigError(f"{variable} holds characters outside ASCII, which no API key has: copy it again")
    return {name: settings[name] for name in names}


def client_context(path: str) -> ssl.SSLContext:
    """For mutual TLS: trusts what this machine trusts and shows the certificate in the PEM file."""
    context = ssl.create_default_context()
    try:
        context.load_cert_chain(path)
    except OSError as error:
        raise ConfigError(
            f"SERVICENOW_CLIENT_CERTIFICATE_PATH {path} cannot be used: name a PEM file with an unencrypted private "
            "key and its certificate"
        ) from error
    return context


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return RENEW_BEFORE
