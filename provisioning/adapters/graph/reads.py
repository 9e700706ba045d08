"""Which requests to Microsoft Graph change nothing, by what they really say: GETs below the root, and batches of them.
Below everything else in a dry run. Trusts no caller and knows none.
"""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from provisioning.adapters.graph.session import graph_root

_RELATIVE = re.compile(r"/[A-Za-z0-9][^#\s\\]*")
_ITEM = {"id", "method", "url", "headers"}
_HEADERS = {"consistencylevel", "accept", "prefer"}
_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})


class OnlyReads:
    """Says of a request whether a dry run may send it. `base_url` is the root, its version included."""

    def __init__(self, base_url: str) -> None:
        self._root = httpx.URL(graph_root(base_url))
        self._path = self._root.raw_path.decode("ascii")

    def __call__(self, request: httpx.Request) -> bool:
        at = request.url
        if (at.scheme, at.netloc) != (self._root.scheme, self._root.netloc):
            return False
        if not _OVERRIDES.isdisjoint(name.lower() for name in request.headers):
            return False
        try:
            content = request.content
        except httpx.RequestNotRead:
            return False
        path = at.raw_path.decode("ascii")
        if request.method == "GET":
            return not content and path.startswith(f"{self._path}/") and _is_plain(path)
        return request.method == "POST" and path == f"{self._path}/$batch" and _reads_only(content)


def _is_plain(address: str) -> bool:
    """Without steps that lead up: what a server makes of them is not ours to guess."""
    path = address.partition("?")[0].lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/")
    return not {"..", "."} & set(path.split("/"))


def _reads_only(content: bytes) -> bool:
    try:
        body = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return False
    items = body.get("requests") if isinstance(body, dict) and body.keys() == {"requests"} else None
    return isinstance(items, list) and bool(items) and all(map(_reads, items))


def _reads(item: Any) -> bool:
    if not isinstance(item, dict) or not item.keys() <= _ITEM or item.get("method") != "GET":
        return False
    url, headers = item.get("url"), item.get("headers", {})
    if not isinstance(url, str) or not isinstance(headers, dict) or not {name.lower() for name in headers} <= _HEADERS:
        return False
    return _RELATIVE.fullmatch(url) is not None and _is_plain(url)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a name that comes twice: of {"method": "GET", "method": "DELETE"} each reader takes another one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found
