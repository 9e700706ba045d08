"""Two ways to prove who we are to Entra, on msal: an application with a client secret or a certificate, and a managed
identity. A refusal becomes one line with what a person has to change; it never repeats a secret or quotes what the
login host said. msal is imported when it is first needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from provisioning.errors import ConfigError, Unauthorized, Unavailable

GLOBAL_LOGIN = "https://login.microsoftonline.com"
TIMEOUT = 20.0
_AADSTS = re.compile(r"AADSTS(\d+)")
_SECRET = "create a new client secret under App registrations, Certificates & secrets, and put its Value in "  # noqa: S105
_TENANT = (
    "there is no such tenant: put its Directory (tenant) ID in ENTRA_TENANT_ID, and its cloud's login host in "
    "ENTRA_AUTHORITY_HOST"
)
WAYS_OUT: Mapping[int, str] = {
    7000215: f"the client secret is wrong: {_SECRET}ENTRA_CLIENT_SECRET (the Value, not the Secret ID)",
    7000222: f"the client secret has expired: {_SECRET}ENTRA_CLIENT_SECRET",
    7000216: "neither secret nor certificate arrived: set ENTRA_CLIENT_SECRET or ENTRA_CLIENT_CERTIFICATE_PATH",
    7000112: "the application is disabled: enable it under Enterprise applications, Properties",
    700016: "the tenant does not know the application: check ENTRA_CLIENT_ID and ENTRA_TENANT_ID",
    700027: "the application does not know the certificate: upload the one in ENTRA_CLIENT_CERTIFICATE_PATH under "
    "App registrations, Certificates & secrets",
    700024: "the signed assertion is not valid at this time: set the clock of this machine",
    90002: _TENANT,
    900023: _TENANT,
    900382: "the tenant lives in another cloud: set ENTRA_AUTHORITY_HOST and GRAPH_BASE_URL for it",
    500011: "the tenant does not know Microsoft Graph at this address: check GRAPH_BASE_URL for its cloud",
    53003: "a Conditional Access policy blocks it: let this workload identity or its address through",
}
_PASSING = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret's Value."""

    value: str

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The path of a PEM file that holds a private key without passphrase and its certificate."""

    path: str


class ApplicationIdentity:
    """An app registration of the tenant. `scope` is `<graph host>/.default`; `transport` is for tests."""

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        proof: Secret | Certificate,
        *,
        scope: str,
        authority_host: str = GLOBAL_LOGIN,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        host = authority_host if "://" in authority_host else f"https://{authority_host}"
        parts = urlsplit(host)
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigError(
                f"ENTRA_AUTHORITY_HOST is {authority_host!r}; it must be an https address such as {GLOBAL_LOGIN}"
            )
        self.where = parts.netloc
        self._authority = f"https://{parts.netloc}/{tenant_id}"
        self._client_id = client_id
        self._credential = proof.value if isinstance(proof, Secret) else _read_certificate(proof.path)
        self._scope = scope
        self._transport = transport

    def ask(self, claims: str | None) -> Mapping[str, Any]:
        import msal  # noqa: PLC0415 - 0.5 s that a cold start should not pay

        with _Login(self._transport, proxies=True) as login:
            try:
                # The administrator chose the host, so it needs no confirmation by the global cloud; a fresh client
                # each time, because msal's cache would hand the rejected token out again.
                client = msal.ConfidentialClientApplication(
                    self._client_id,
                    client_credential=self._credential,
                    authority=self._authority,
                    instance_discovery=False,
                    http_client=login,
                )
                answer: Mapping[str, Any] = client.acquire_token_for_client([self._scope], claims_challenge=claims)
            except httpx.RequestError as error:
                raise Unavailable(
                    f"cannot reach {self.where} to sign in to Microsoft Graph ({type(error).__name__}): check the "
                    "network, proxy and firewall of this machine, and ENTRA_AUTHORITY_HOST"
                ) from error
            except (msal.exceptions.MsalServiceError, ValueError, KeyError) as error:
                raise self._failed(login.status) from error
        return answer if _is_token(answer) else _raise(self._refused(answer, login.status))

    def _failed(self, status: int) -> Unavailable:
        """Instead of answering, msal raises when the tenant's configuration cannot be read or the host is unwell."""
        if status in {400, 404}:
            return Unauthorized(f"{self.where} does not sign us in to Microsoft Graph (HTTP {status}): {_TENANT}")
        return Unavailable(
            f"{self.where} answers the sign-in to Microsoft Graph with something else (HTTP {status}): it is unwell, "
            "or a proxy stands in between, or ENTRA_AUTHORITY_HOST is not a login host"
        )

    def _refused(self, answer: Mapping[str, Any], status: int) -> Unavailable:
        error = str(answer.get("error") or "no token")
        number = _aadsts(answer)
        said = f"{error}, AADSTS{number}" if number else error
        if error in _PASSING or status == httpx.codes.TOO_MANY_REQUESTS:
            return Unavailable(
                f"{self.where} cannot sign us in to Microsoft Graph at present ({said}); it is tried again later"
            )
        way_out = WAYS_OUT.get(
            number,
            "check ENTRA_TENANT_ID, ENTRA_CLIENT_ID and the secret or certificate; Entra's sign-in log says more",
        )
        return Unauthorized(
            f"{self.where} does not sign us in to Microsoft Graph ({said}): {way_out}", code="Unauthorized"
        )


class ManagedIdentity:
    """The identity that Azure gives a machine. `client_id` names a user-assigned one; `resource` is the Graph host."""

    where = "the managed identity endpoint"

    def __init__(
        self, client_id: str | None = None, *, resource: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._client_id = client_id
        self._resource = resource
        self._transport = transport

    def ask(self, claims: str | None) -> Mapping[str, Any]:
        import msal  # noqa: PLC0415 - as above

        chosen = (
            msal.UserAssignedManagedIdentity(client_id=self._client_id)
            if self._client_id
            else msal.SystemAssignedManagedIdentity()
        )
        # The endpoint is link-local: a proxy could neither reach it nor should see its tokens.
        with _Login(self._transport, proxies=False) as login:
            try:
                client = msal.ManagedIdentityClient(chosen, http_client=login)
                answer: Mapping[str, Any] = client.acquire_token_for_client(
                    resource=self._resource, claims_challenge=claims
                )
            except httpx.RequestError as error:
                raise Unavailable(
                    f"cannot reach {self.where} ({type(error).__name__}): this works on Azure only; elsewhere set "
                    "ENTRA_CLIENT_ID and ENTRA_CLIENT_SECRET"
                ) from error
            except (msal.exceptions.MsalServiceError, ValueError) as error:
                raise Unavailable(f"{self.where} gives no readable answer (HTTP {login.status})") from error
        if _is_token(answer):
            return answer
        if login.status >= httpx.codes.INTERNAL_SERVER_ERROR or login.status == httpx.codes.TOO_MANY_REQUESTS:
            raise Unavailable(f"{self.where} gives no token at present (HTTP {login.status}); it is tried again later")
        which = f"the user-assigned identity {self._client_id}" if self._client_id else "a system-assigned identity"
        raise Unauthorized(
            f"{self.where} gives no token for Microsoft Graph (HTTP {login.status}): give this app {which} under "
            "Identity, or correct ENTRA_MANAGED_IDENTITY_CLIENT_ID",
            code="Unauthorized",
        )


class _Login:
    """The http client that msal asks through. It remembers the last status, which msal does not tell."""

    def __init__(self, transport: httpx.BaseTransport | None, *, proxies: bool) -> None:
        self._http = httpx.Client(timeout=TIMEOUT, transport=transport, trust_env=proxies)
        self.status = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> httpx.Response:
        return self._seen(self._http.get(url, params=params, headers=headers))

    def post(self, url: str, *, params: Any = None, data: Any = None, headers: Any = None) -> httpx.Response:
        return self._seen(self._http.post(url, params=params, data=data, headers=headers))

    def close(self) -> None:
        self._http.close()

    def _seen(self, response: httpx.Response) -> httpx.Response:
        self.status = response.status_code
        return response


def _is_token(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("access_token"), str) and "expires_in" in answer


def _raise(error: Unavailable) -> Mapping[str, Any]:
    raise error


def _aadsts(answer: Mapping[str, Any]) -> int:
    numbers = answer.get("error_codes")
    if isinstance(numbers, list) and numbers and isinstance(numbers[0], int):
        return numbers[0]
    found = _AADSTS.search(str(answer.get("error_description", "")))
    return int(found.group(1)) if found else 0


def _read_certificate(path: str) -> dict[str, str]:
    """What msal wants of a PEM file, tried out now so that a wrong file stops the start and not the first cycle."""
    from cryptography import x509  # noqa: PLC0415 - only for certificates
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

    try:
        pem = Path(path).read_text(encoding="ascii")
        load_pem_private_key(pem.encode(), password=None)
        x509.load_pem_x509_certificate(pem.encode())
    except OSError as error:
        raise ConfigError(f"ENTRA_CLIENT_CERTIFICATE_PATH is {path}, which cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"ENTRA_CLIENT_CERTIFICATE_PATH is {path}; it must be a PEM file with both the private key (without a "
            "passphrase) and the certificate"
        ) from error
    return {"private_key": pem, "public_certificate": pem}
