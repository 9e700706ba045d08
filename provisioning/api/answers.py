"""An answer over HTTP, and what goes wrong in Graph's words and form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

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
