"""Who has sent a request, for the audit trail: somebody whom the platform has let in, or whoever holds a key."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.rules.summary import Initiator

BY_KEY = "a caller with a key of the app"


def caller(headers: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """With App Service's authentication switched on, the platform itself writes the caller's name into a header and
    takes away what a caller wrote there; without it the header is anybody's word and counts for nothing.
    """
    if environ.get("WEBSITE_AUTH_ENABLED", "").casefold() != "true":
        return BY_KEY
    name = headers.get("x-ms-client-principal-name", "").strip()
    return name if name and name.isprintable() else BY_KEY


def initiator(by: str) -> Initiator:
    """The caller, for the log: nobody in particular has a key."""
    return Initiator("application" if by == BY_KEY else "user", by)
