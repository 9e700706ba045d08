"""Assertions that we sign ourselves, for `oauth-jwt`: who we are and for whom we ask, each good once and for minutes.
Knows the key, and no instance.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from provisioning.errors import ConfigError

ASSERTION_SECONDS = 240
"""Life of a signed assertion: it is used at once, and instances forgive 300 s of skew."""


def bearer_form(
    given: Mapping[str, str], settings: Mapping[str, str]
) -> tuple[dict[str, str], Callable[[], Mapping[str, str]]]:
    """The form of a JWT bearer request, and how to sign a new assertion: each is good once."""
    path, client = given["client_certificate_path"], given["client_id"]
    key = private_key(path)
    algorithm = _algorithm(key, path)
    headers = {"kid": settings["jwt_key_id"]} if settings.get("jwt_key_id") else None

    def assertion() -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": client,
            "aud": client,
            "sub": given["username"],
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        return {"assertion": jwt.encode(claims, key, algorithm=algorithm, headers=headers)}

    return {"client_id": client, "client_secret": given["client_secret"]}, assertion


def private_key(path: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """The key in a PEM file. Raises `ConfigError` that names the file and nothing of its content."""
    way_out = "name a PEM file with an unencrypted RSA or elliptic-curve private key"
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"SERVICENOW_CLIENT_CERTIFICATE_PATH {path}: {error.strerror}: {way_out}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"SERVICENOW_CLIENT_CERTIFICATE_PATH {path} holds no such key: {way_out}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError(f"SERVICENOW_CLIENT_CERTIFICATE_PATH {path} holds a key of another kind: {way_out}")
    return key


def _algorithm(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, path: str) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    known = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
    if key.curve.name not in known:
        raise ConfigError(
            f"SERVICENOW_CLIENT_CERTIFICATE_PATH {path}: ServiceNow takes no signatures of the curve {key.curve.name}: "
            "use P-256, P-384, P-521 or RSA"
        )
    return known[key.curve.name]
