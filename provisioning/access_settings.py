"""Settings of who may use the HTTP API: the tenant whose tokens count, for whom they must be made out, and whether the
platform signs people in. They are read apart from all others, so that the door is shut, and opens, also where another
setting is wrong. Which other settings there are is not known here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from provisioning.errors import ConfigError
from provisioning.forms import address, guid

ACCESS = ("API_AUDIENCE",)
DEFAULT_AUTHORITY = "https://login.microsoftonline.com"
PREFIX = "api://"
MOST_AUDIENCES = 10

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_URI = re.compile(r"(?:api|https)://[A-Za-z0-9._~/-]{1,250}")


@dataclass(frozen=True, slots=True)
class Access:
    """`audiences` empty: no token is accepted. `platform_signs_in`: App Service's authentication is switched on, so
    what it writes into the headers is its word, and nobody else's.
    """

    tenant_id: str
    authority: str
    audiences: frozenset[str]
    platform_signs_in: bool

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises `ConfigError` about the first setting that is missing or wrong."""
        values = {name: environ.get(name, "").strip() for name in ("ENTRA_TENANT_ID", "ENTRA_AUTHORITY_HOST", *ACCESS)}
        if not values["ENTRA_TENANT_ID"]:
            raise ConfigError("ENTRA_TENANT_ID is not set, so nobody's token can be told from a stranger's: set it")
        return cls(
            guid("ENTRA_TENANT_ID", values["ENTRA_TENANT_ID"], "the Directory (tenant) ID on Entra's overview page"),
            address("ENTRA_AUTHORITY_HOST", values["ENTRA_AUTHORITY_HOST"], DEFAULT_AUTHORITY, loopback=False),
            audiences(values["API_AUDIENCE"]),
            signs_in(environ),
        )

    @property
    def client_id(self) -> str:
        """The application (client) id of the API, where the setting tells it; else ""."""
        return next((each for each in sorted(self.audiences) if _GUID.fullmatch(each)), "")


def audiences(text: str) -> frozenset[str]:
    """What a token's `aud` may be. A client id stands for itself (tokens of version 2) and for api://ID (version 1)."""
    found: set[str] = set()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > MOST_AUDIENCES:
        raise ConfigError(f"API_AUDIENCE holds {len(parts)} values: give at most {MOST_AUDIENCES}")
    for part in parts:
        bare = part.lower().removeprefix(PREFIX)
        if _GUID.fullmatch(bare):
            found |= {bare, PREFIX + bare}
        elif _URI.fullmatch(part):
            found.add(part)
        else:
            raise ConfigError(
                f"API_AUDIENCE holds {part!r}: give the Application (client) ID of the API's app registration, or its "
                "Application ID URI, such as api://contoso.com/provisioning"
            )
    return frozenset(found)


def signs_in(environ: Mapping[str, str]) -> bool:
    """The platform sets this itself; https://learn.microsoft.com/azure/app-service/reference-app-settings."""
    return environ.get("WEBSITE_AUTH_ENABLED", "").strip().casefold() == "true"
