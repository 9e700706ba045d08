"""Which requests change nothing, by what they really say: an allow-list of addresses and methods, below everything else
in a dry run, and the rule for what may be sent twice. Trusts no caller and knows none.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

import httpx

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.auth import TOKEN_PATH

_READABLE = re.compile(
    rb"/api/now/(?:table/[A-Za-z0-9_]{1,80}(?:/[0-9A-Za-z_\-][0-9A-Za-z_.\-]{0,31})?"
    rb"|stats/[A-Za-z0-9_]{1,80}|ui/meta/[A-Za-z0-9_]{1,80})(?:\?[^#\s]*)?"
)
"""Scripted REST APIs, processors and pages may do anything on a GET: none of them is here, nor is an escaped path."""
OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
"""ServiceNow honours the first; proxies know the others."""


def is_read(request: httpx.Request) -> bool:
    """Whether a repeat does no harm: a GET of records or metadata, or a batch of nothing else."""
    if not OVERRIDES.isdisjoint(name.lower() for name in request.headers):
        return False
    try:
        content = request.content
    except httpx.RequestNotRead:
        return False
    if request.method == "GET":
        return not content and _READABLE.fullmatch(request.url.raw_path) is not None
    return request.method == "POST" and request.url.raw_path == batch.PATH.encode() and _reads_only(content)


def changes_nothing(request: httpx.Request) -> bool:
    """Whether a dry run may send it: reads, and the request for a token."""
    return is_read(request) or _asks_for_a_token(request)


def _reads_only(content: bytes) -> bool:
    """Whether a batch holds reads only. It must be written as we write it, byte for byte: of a name that comes twice or
    a header that we do not know ServiceNow might make something else than we do.
    """
    items = batch.items_of(content)
    return bool(items) and all(
        item.method == "GET" and item.body is batch.NOTHING and _READABLE.fullmatch(item.url.encode()) is not None
        for item in items
    )


def _asks_for_a_token(request: httpx.Request) -> bool:
    if request.method != "POST" or request.url.raw_path != TOKEN_PATH.encode():
        return False
    if not OVERRIDES.isdisjoint(name.lower() for name in request.headers):
        return False
    is_form = request.headers.get("Content-Type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded"
    return is_form and "grant_type" in parse_qs(request.content.decode("ascii", "replace"))
