"""An answer over HTTP, and what goes wrong in Graph's words and form."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

T = TypeVar("T")

_DIGITS, _LONGEST_ID = 10, 200


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is JSON, or empty."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The request is answered with this instead."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def not_found(what: str) -> Refusal:
    return Refusal(404, "Request_ResourceNotFound", f"Resource '{what}' does not exist or is not served by this app.")


def bad_request(message: str) -> Refusal:
    return Refusal(400, "Request_BadRequest", message)


def top_of(text: str, default: int, most: int) -> int:
    """What $top asks for. Raises `Refusal`."""
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and 1 <= int(text) <= most):
        raise bad_request(f"$top must be a number from 1 to {most}.")
    return int(text)


def body_of(body: bytes, shape: type[T]) -> T:
    """The body as it should be. Raises `Refusal` with the place that does not fit."""
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise bad_request(f"The body does not fit: {error}.") from error


def selected(document: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """Of an entity the properties that $select names; annotations stay."""
    names = {name.strip() for name in asked.split(",")} - {""}
    return {name: value for name, value in document.items() if not names or name in names or "@" in name}


def refuse_options(query: Mapping[str, str], *known: str) -> None:
    """Options that change what is meant are refused where they would be ignored."""
    unknown = sorted(name for name in query if name.startswith("$") and name not in known)
    if unknown:
        raise bad_request(f"{', '.join(unknown)} is not supported here.")


def context_of(url: str, fragment: str) -> str:
    """The @odata.context of an answer to a request to this address."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/v1.0/$metadata", "", fragment))


def page_of(value: Sequence[Mapping[str, Any]], url: str, options: Mapping[str, str], following: str) -> dict[str, Any]:
    """A collection, and where it goes on: behind what `following` names, "" at the end. `options` are those that the
    next page is asked with too.
    """
    page: dict[str, Any] = {"value": list(value)}
    if following:
        token = base64.urlsafe_b64encode(following.encode()).decode()
        query = urlencode({**options, "$skiptoken": token}, safe="$")
        page["@odata.nextLink"] = f"{url.partition('?')[0]}?{query}"
    return page


def place_of(token: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """What a $skiptoken names; None without one. Raises `Refusal`."""
    if not token:
        return None
    try:
        found = pattern.fullmatch(base64.urlsafe_b64decode(token.encode("ascii")).decode())
    except (UnicodeError, binascii.Error) as error:
        raise bad_request("$skiptoken is none that this app has given out.") from error
    if found is None:
        raise bad_request("$skiptoken is none that this app has given out.")
    return found


def read_json(body: bytes) -> Any:
    """What a body holds. Raises ValueError for what is no JSON, or nested deeper than any request."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def client_request_id(given: str) -> str:
    """The client's id for its request as it can be repeated in a header; "" where it cannot."""
    return given if given.isascii() and given.isprintable() and len(given) <= _LONGEST_ID else ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its id, which is in the answer and in the log, the client's own id for it, and the time."""

    client_request_id: str = ""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def answer(self, document: Mapping[str, Any] | None, status: int = 200) -> Reply:
        """Without a document: 204, nothing to say."""
        if document is None:
            return Reply(204, "", self._headers())
        headers = {**self._headers(), "Content-Type": "application/json"}
        return Reply(status, json.dumps(document, ensure_ascii=False), headers)

    def complete(self, reply: Reply) -> Reply:
        """A reply of another form than JSON, with what every answer says."""
        return Reply(reply.status, reply.body, {**self._headers(), **reply.headers})

    def refuse(self, refusal: Refusal) -> Reply:
        inner = {
            "date": self.at.strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": self.request_id,
            "client-request-id": self.client_request_id or self.request_id,
        }
        error = {"code": refusal.code, "message": str(refusal), "innerError": inner}
        return self.answer({"error": error}, refusal.status)

    def _headers(self) -> dict[str, str]:
        return {
            "request-id": self.request_id,
            "client-request-id": self.client_request_id or self.request_id,
            "Cache-Control": "no-cache",
        }
