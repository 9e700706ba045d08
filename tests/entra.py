"""A stand-in for Microsoft Entra ID as far as an API that takes its tokens sees it: a tenant that signs tokens and
publishes metadata and keys, over HTTP on this machine or in process.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from provisioning.access_settings import Access, audiences
from provisioning.adapters.signing_keys import SigningKeys
from provisioning.api.doors import EntraDoor

TENANT = "11111111-2222-4333-8444-555555555555"
STRANGERS = "99999999-2222-4333-8444-555555555555"
API = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT = "bbbbbbbb-0000-4000-8000-000000000002"
ADA = "cccccccc-0000-4000-8000-000000000003"
NOON = 1_790_000_000.0
JWT_OF_VERSION = {"1.0": "https://sts.windows.net/{tenant}/", "2.0": "{authority}/{tenant}/v2.0"}


def key_pair(name: str) -> RSAPrivateKey:
    """A pair for each name; one called short is too short."""
    return _made(name, 1024 if name == "short" else 2048)


@cache
def _made(name: str, bits: int) -> RSAPrivateKey:
    """Once, since that takes a while."""
    del name
    return generate_private_key(public_exponent=65537, key_size=bits)


def published(name: str) -> dict[str, Any]:
    """The public half as Entra publishes it."""
    found = jwt.algorithms.RSAAlgorithm.to_jwk(key_pair(name).public_key(), as_dict=True)
    return {"kty": "RSA", "use": "sig", "kid": name, "x5t": name, "n": found["n"], "e": found["e"]}


@dataclass
class Entra:
    """`keys` are published; `down` is a status with which everything is answered instead; `asked` are the paths that
    were asked for.
    """

    tenant_id: str = TENANT
    authority: str = "https://login.example"
    keys: list[dict[str, Any]] = field(default_factory=lambda: [published("first")])
    down: int = 0
    asked: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def issuer(self, version: str = "2.0") -> str:
        return JWT_OF_VERSION[version].format(authority=self.authority, tenant=self.tenant_id)

    def claims(self, version: str = "2.0", **others: Any) -> dict[str, Any]:
        """Of a person's token, for an hour from noon on; a claim that is None is left out."""
        own = {"azp": CLIENT, "preferred_username": "ada@contoso.com"} if version == "2.0" else {"appid": CLIENT}
        found = {
            "aud": API if version == "2.0" else f"api://{API}",
            "iss": self.issuer(version),
            "tid": self.tenant_id,
            "oid": ADA,
            "sub": "pairwise",
            "ver": version,
            "iat": int(NOON),
            "nbf": int(NOON),
            "exp": int(NOON) + 3600,
            "scp": "user_impersonation",
            "roles": ["Provisioning.Read"],
            **own,
            **others,
        }
        return {name: value for name, value in found.items() if value is not None}

    def token(self, key: str = "first", version: str = "2.0", *, header: Mapping[str, Any] | None = None, **claims):
        """Signed with the named key, whether it is published or not."""
        return jwt.encode(
            self.claims(version, **claims), key_pair(key), "RS256", headers={"kid": key, **(header or {})}
        )

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.down:
            return self.down, b"<html>out of order</html>"
        start = f"/{self.tenant_id}"
        versions = {"/v2.0/.well-known/openid-configuration": "2.0", "/.well-known/openid-configuration": "1.0"}
        if (version := versions.get(path.removeprefix(start))) is not None:
            found = {
                "issuer": self.issuer(version),
                "jwks_uri": f"{self.authority}{start}/discovery/{version}/keys",
                **self.metadata,
            }
            return 200, json.dumps(found).encode()
        if path.startswith(f"{start}/discovery/"):
            return 200, json.dumps({"keys": self.keys}).encode()
        return 404, b"{}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = self.answer(Request(scope, receive).url.path)
        await Response(body, status)(scope, receive, send)

    def door(self, *, signs_in: bool = False, audience: str = API, now: float = NOON) -> EntraDoor:
        """A door of this tenant, in process, at a certain time."""
        access = Access(TENANT, self.authority, audiences(audience), signs_in)
        keys = SigningKeys(self.authority, TENANT, transport=httpx.ASGITransport(self))
        return EntraDoor(access, keys, now=lambda: now)


@contextmanager
def serving(entra: Entra) -> Iterator[None]:
    """Serves it on a port of this machine, which becomes its authority."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = entra.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Not on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    entra.authority = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unsigned(claims: Mapping[str, Any], algorithm: str = "none") -> str:
    """A token without a signature, whatever it says of its algorithm."""
    return f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': 'first'})}.{_part(claims)}."


def signed_with_public_key(claims: Mapping[str, Any], name: str = "first", algorithm: str = "HS256") -> str:
    """With what anybody can read, taken for a shared secret: PyJWT itself refuses to make such a token."""
    pem = key_pair(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': name})}.{_part(claims)}"
    return f"{text}.{_base64(hmac.digest(pem, text.encode(), hashlib.sha256))}"


def principal(*roles: str, tenant: str = TENANT, provider: str = "aad", name: str = "ada@contoso.com") -> str:
    """What App Service writes into x-ms-client-principal for whom it has signed in."""
    claims = [
        {"typ": "http://schemas.microsoft.com/identity/claims/tenantid", "val": tenant},
        {"typ": "http://schemas.microsoft.com/identity/claims/objectidentifier", "val": ADA},
        {"typ": "preferred_username", "val": name},
        *({"typ": "roles", "val": role} for role in roles),
    ]
    found = {"auth_typ": provider, "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return base64.b64encode(json.dumps(found).encode()).decode()


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
