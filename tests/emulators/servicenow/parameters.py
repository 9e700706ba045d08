"""The sysparm_ parameters of a Table API call, read as the instance reads them: names exactly, booleans in any case,
what cannot be understood by its default. Knows no rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from tests.emulators.servicenow.errors import Refusal

DEFAULT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Parameters:
    query: str | None = None
    fields: str = ""
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    display: Literal["false", "true", "all"] = "false"
    input_display: bool = False
    reference_links: bool = True
    pagination_header: bool = True
    count: bool = True
    pairs: tuple[tuple[str, str], ...] = ()  # plain field=value, read only where there is no sysparm_query


DEFAULTS = Parameters()


@lru_cache(maxsize=256)
def parameters(query_string: str) -> Parameters:
    """A blank may come as `+`, as PySNC writes it in a batch URL."""
    if not query_string:
        return DEFAULTS
    sent = parse_qsl(query_string, keep_blank_values=True)
    named = dict(sent)
    display = named.get("sysparm_display_value", "").lower()
    offset = _whole(named.get("sysparm_offset"), 0)
    if offset < 0:
        raise Refusal(400, "Invalid value for sysparm_offset", "no negatives")
    limit = _whole(named.get("sysparm_limit"), DEFAULT_LIMIT)
    return Parameters(
        query=named.get("sysparm_query"),
        fields=named.get("sysparm_fields", ""),
        limit=limit if limit > 0 else DEFAULT_LIMIT,
        offset=offset,
        display=display if display in {"true", "all"} else "false",
        input_display=_is_true(named.get("sysparm_input_display_value")),
        reference_links=not _is_true(named.get("sysparm_exclude_reference_link")),
        pagination_header=not _is_true(named.get("sysparm_suppress_pagination_header")),
        count=not _is_true(named.get("sysparm_no_count")),
        pairs=tuple((name, value) for name, value in sent if not name.startswith("sysparm_")),
    )


def link_header(url: str, query_string: str, sent: Parameters, total: int) -> str:
    """`<URL>;rel="first",...`: only the relations that lead somewhere; each repeats the whole query."""
    if total <= sent.limit:
        return ""
    last = (total - 1) // sent.limit * sent.limit
    offsets = {"first": 0}
    if sent.offset > 0:
        offsets["prev"] = max(sent.offset - sent.limit, 0)
    if sent.offset + sent.limit < total:
        offsets["next"] = sent.offset + sent.limit
    offsets["last"] = last
    kept = [(n, v) for n, v in parse_qsl(query_string, keep_blank_values=True) if n != "sysparm_offset"]
    return ",".join(
        f'<{url}?{urlencode([*kept, ("sysparm_offset", str(offset))])}>;rel="{relation}"'
        for relation, offset in offsets.items()
    )


def _whole(value: str | None, default: int) -> int:
    try:
        return int(value) if value else default
    except ValueError:
        return default


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"
