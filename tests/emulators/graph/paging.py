"""Pages of ordinary lists: $top, $skiptoken, $count and the nextLink that carries the other options on.
A position is the sequence number of the last item, so a list may change while it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import tokens
from .delta import expired_page_token
from .messages import Call, bad_request, not_emulated, unsupported_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .state import Tenant

DEFAULT_SIZE = 100
MAX_SIZE = 999


def select_of(call: Call) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in call.query.get("$select", "").split(",") if name.strip())
    return names or None


def only(call: Call, *options: str) -> None:
    """Refuse the options that the emulator does not follow on this route, rather than ignore them."""
    for name in call.query:
        if name.startswith("$") and name not in options and name != "$format":
            raise not_emulated(f"THE OPTION {name} OF {call.method} {call.path}")


def position_of(tenant: Tenant, call: Call) -> int:
    """Where the page starts: 0, or what the skip token says."""
    text = call.query.get("$skiptoken")
    if not text:
        return 0
    content = tokens.unseal(text)
    if content is None or "after" not in content:
        raise bad_request("The specified page token is malformed.")
    too_old = tenant.clock() - content["issued"] > tenant.behaviour.page_token_lifetime
    if content["generation"] != tenant.generation or too_old:
        raise expired_page_token()
    return int(content["after"])


def size_of(call: Call) -> int:
    text = call.query.get("$top")
    if text is None:
        return DEFAULT_SIZE
    if not text.isdecimal() or not 1 <= int(text) <= MAX_SIZE:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {MAX_SIZE} inclusive.")
    return int(text)


def page(
    tenant: Tenant, call: Call, context: str, items: Iterator[tuple[int, Any]], *, total: Iterable[Any] | None = None
) -> dict[str, Any]:
    """Cut one page. `items` start after the position of the call; `total` is counted if $count asks."""
    select = call.query.get("$select")
    shown = f"{context}({select})" if select and context != "directoryObjects" else context
    body: dict[str, Any] = {"@odata.context": f"{call.base}/$metadata#{shown}"}
    if call.query.get("$count", "false").lower() == "true":
        if not call.eventual:
            raise unsupported_query("$count is not currently supported without the header ConsistencyLevel: eventual.")
        if "$skiptoken" not in call.query and total is not None:
            body["@odata.count"] = sum(1 for _ in total)
    size = size_of(call)
    values: list[Any] = []
    last = 0
    for number, item in items:
        if len(values) == size:
            options = {name[1:]: value for name, value in call.query.items() if name.startswith("$")}
            options["skiptoken"] = tokens.seal(
                {"after": last, "generation": tenant.generation, "issued": tenant.clock()}
            )
            body["@odata.nextLink"] = call.link(**options)
            break
        values.append(item)
        last = number
    body["value"] = values
    return body
