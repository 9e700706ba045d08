"""What goes in and out of the emulator, free of any server: a call, a reply and an error in Graph's
exact shape. A batch item is a call like any other, so that both take the same way through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

# OData 4.01 lets clients leave out the dollar sign, and Graph v1.0 accepts that.
_OPTIONS = frozenset(
    {"select", "filter", "top", "skip", "expand", "orderby", "search", "count", "skiptoken", "deltatoken", "format"}
)


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    segments: tuple[str, ...]
    """The path below /v1.0, decoded piece by piece: a UPN may hold an encoded slash or hash."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    base: str
    """Scheme, host and version as the client wrote them: links carry the cloud's own host."""
    path: str
    """The path as it came, for nextLinks."""
    body: Any = None

    @classmethod
    def parse(
        cls, method: str, target: str, *, base: str, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Call:
        """Read a target below the version, for example `/users?$top=5`."""
        path, _, query = target.partition("?")
        options = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            plain = name.lower().removeprefix("$")
            options[f"${plain}" if plain in _OPTIONS else name] = value
        return cls(
            method=method.upper(),
            segments=tuple(unquote(piece) for piece in path.strip("/").split("/")),
            query=options,
            headers={name.lower(): value for name, value in (headers or {}).items()},
            base=base,
            path="/" + path.strip("/"),
            body=body,
        )

    @property
    def eventual(self) -> bool:
        return self.headers.get("consistencylevel", "").lower() == "eventual"

    def link(self, **options: str) -> str:
        """An absolute link to the same path with these options (named without the dollar sign)."""
        query = urlencode({f"${name}": value for name, value in options.items()}, safe="$(),'=")
        return f"{self.base}{self.path}?{query}"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class GraphError(Exception):
    """An answer with an error body; headers are named with underscores for dashes."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class ConnectionBroken(Exception):
    """The client gets no answer to this request."""


def not_found(name: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )


def bad_request(message: str) -> GraphError:
    return GraphError(400, "Request_BadRequest", message)


def unsupported_query(message: str) -> GraphError:
    return GraphError(400, "Request_UnsupportedQuery", message)


def not_emulated(what: str) -> GraphError:
    """Graph may well know this, the emulator does not; it says so instead of guessing."""
    return GraphError(404, "NotImplementedByEmulator", f"THE GRAPH EMULATOR DOES NOT KNOW {what}")
