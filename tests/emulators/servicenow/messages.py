"""A request and a reply as the emulator's parts hand them on: the same for a call of its own and for an item of a
batch. Knows no ASGI and no tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.servicenow.errors import Refusal, unreadable

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    user: str = ""
    in_batch: bool = False
    withheld: frozenset[str] = frozenset()  # fields that a fault keeps from being written

    def fields(self) -> dict[str, Any]:
        """The record in the body; of several only the first is used."""
        try:
            body = json.loads(self.body)
        except ValueError as error:
            raise unreadable(str(error)) from error
        if isinstance(body, dict) and isinstance(body.get("records"), list):
            body = body["records"]
        if isinstance(body, list):
            body = body[0] if body else {}
        if not isinstance(body, dict):
            raise unreadable("a JSON object is expected")
        return body


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = JSON
    connection_lost: bool = False  # the connection breaks after what there is of a body, which may be nothing


def result(status: int, value: Any, headers: list[tuple[str, str]] | None = None) -> Reply:
    return Reply(status, encode({"result": value}), headers or [])


def refusal(error: Refusal) -> Reply:
    body = {"error": {"message": error.message, "detail": error.detail}, "status": "failure"}
    headers = [("WWW-Authenticate", 'BASIC realm="Service-now"')] if error.status == 401 else []
    return Reply(error.status, encode(body), headers)


def page(status: int, title: str, text: str = "") -> Reply:
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{text}</body></html>"
    return Reply(status, html.encode(), content_type=HTML)


def encode(value: Any) -> bytes:
    return _encode(value).encode()
