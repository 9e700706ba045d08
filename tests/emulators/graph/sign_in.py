"""Microsoft's sign-in endpoint as far as an application needs it: client credentials for a token, the
OpenID configuration and instance discovery, so that an unchanged msal can be used. Tokens are opaque.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .messages import GraphError, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .state import Tenant

TOKEN_KIND = "POST /oauth2/v2.0/token"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(slots=True)
class SignIn:
    """Who may have a token, and which tokens are good."""

    tenant: Tenant
    client_id: str
    client_secret: str
    static_token: str
    lifetime: float = 3600.0
    issued: dict[str, float] = field(default_factory=dict)

    def check(self, authorization: str | None) -> None:
        """Let a good bearer token pass; anything else is 401."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("Access token is empty.")
        if token == self.static_token:
            return
        expires = self.issued.get(token)
        if expires is None:
            raise _unauthorized("IDX14100: JWT is not well formed, there are no dots (.).")
        if expires <= self.tenant.clock():
            raise _unauthorized("Lifetime validation failed, the token is expired.")

    def revoke(self) -> None:
        """Let every token that was issued be refused from now on."""
        self.issued = dict.fromkeys(self.issued, 0.0)

    def token(self, tenant_id: str, form: Mapping[str, str]) -> Reply:
        if tenant_id.lower() not in {self.tenant.tenant_id, self.tenant.domain}:
            return self._unknown_tenant(tenant_id)
        if form.get("grant_type") != "client_credentials":
            return self._refuse(
                400,
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{form.get('grant_type')}'.",
            )
        if form.get("client_id", "").lower() != self.client_id.lower():
            return self._refuse(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{form.get('client_id')}' was not found in the directory "
                f"'{self.tenant.display_name}'.",
            )
        if not form.get("scope", "").endswith("/.default"):
            return self._refuse(
                400, "invalid_scope", 1002012, f"The provided value for scope {form.get('scope')} is not valid."
            )
        # A signed assertion is taken as it is: the emulator holds no certificates.
        if form.get("client_assertion_type") != _ASSERTION and form.get("client_secret") != self.client_secret:
            return self._refuse(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{self.client_id}'.",
            )
        token = f"emulator.{secrets.token_urlsafe(32)}"
        self.issued[token] = self.tenant.clock() + self.lifetime
        seconds = int(self.lifetime)
        body = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        return Reply(200, body, {"Cache-Control": "no-store, no-cache"})

    def configuration(self, tenant_id: str, host: str) -> Reply:
        if tenant_id.lower() not in {self.tenant.tenant_id, self.tenant.domain}:
            return self._unknown_tenant(tenant_id)
        authority = f"{host}/{tenant_id}"
        return Reply(
            200,
            {
                "token_endpoint": f"{authority}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{authority}/discovery/v2.0/keys",
                "issuer": f"{authority}/v2.0",
                "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": "EU",
            },
        )

    def discovery(self, host: str) -> Reply:
        name = host.partition("://")[2]
        return Reply(
            200,
            {
                "tenant_discovery_endpoint": f"{host}/{self.tenant.tenant_id}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": name, "preferred_cache": name, "aliases": [name]}],
            },
        )

    def _unknown_tenant(self, tenant_id: str) -> Reply:
        return self._refuse(
            400,
            "invalid_tenant",
            90002,
            f"Tenant '{tenant_id}' not found. Check to make sure you have the correct tenant ID and are signing into "
            "the correct cloud. Check with your subscription administrator, this may happen if there are no active "
            "subscriptions for the tenant.",
        )

    def _refuse(self, status: int, error: str, number: int, text: str) -> Reply:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        moment = datetime.fromtimestamp(self.tenant.clock(), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        body: dict[str, Any] = {
            "error": error,
            "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {moment}",
            "error_codes": [number],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={number}",
        }
        return Reply(status, body)


def _unauthorized(message: str) -> GraphError:
    error = GraphError(401, "InvalidAuthenticationToken", message)
    error.headers["WWW-Authenticate"] = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        'client_id="00000003-0000-0000-c000-000000000000"'
    )
    return error
