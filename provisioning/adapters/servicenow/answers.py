"""The one place where an answer of ServiceNow becomes data or a fault: by its status, by being an HTML page with 200,
JSON that was cut off, result and error in one body. Whole replies and the items of a batch go through here alike. It
must not know who asked, nor what was being written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from httpx import codes
from msgspec import Struct

from provisioning.adapters.http import answered_at, retry_after
from provisioning.adapters.servicenow.budget import SECONDS
from provisioning.adapters.servicenow.faults import (
    QUOTA,
    Fault,
    Problem,
    by_page,
    by_problem,
    by_status,
    timeout,
    unreadable,
)

_DIGITS = 12


class Answer(Struct, frozen=True):
    """What came back, of the whole call or of one item of a batch. `seconds` is what a whole call took. `total` is
    X-Total-Count, which counts rows before access rules take some out: the whole list's, or under sysparm_no_count
    those of the window; None where the instance does not tell.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    pause: float | None = None
    location: str = ""
    seconds: float = 0.0
    total: int | None = None


def answer_of(response: httpx.Response) -> Answer:
    """A whole reply that has been read."""
    return Answer(
        response.status_code,
        response.content,
        response.headers.get("Content-Type", ""),
        _pause(response) if response.status_code == codes.TOO_MANY_REQUESTS else None,
        _elsewhere(response) if response.has_redirect_location else "",
        response.extensions.get(SECONDS, 0.0),
        count_of(response.headers.get("X-Total-Count", "")),
    )


def count_of(text: str) -> int | None:
    """A number of rows, as X-Total-Count tells it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def _pause(response: httpx.Response) -> float | None:
    """Seconds to stay away: Retry-After, else until the rate rule's window ends by the instance's own clock."""
    asked = retry_after(response)
    if asked is not None:
        return asked
    try:
        pause = float(response.headers["X-RateLimit-Reset"]) - answered_at(response)
    except (KeyError, ValueError):
        return None
    return max(0.0, pause) if math.isfinite(pause) else None


def _elsewhere(response: httpx.Response) -> str:
    """The host of a redirection and nothing else: its query may hold a secret."""
    try:
        return response.request.url.join(response.headers["Location"]).host
    except httpx.InvalidURL:
        return ""


UNDECODABLE = (ValueError, RecursionError)
"""What msgspec raises: its own errors and UnicodeDecodeError are ValueErrors, deep nesting overflows the stack."""


class _Record(Struct, frozen=True):
    result: dict[str, str]
    error: Any = None


class _Records(Struct, frozen=True):
    result: list[dict[str, str]]
    error: Any = None


_record = msgspec.json.Decoder(_Record)
_records = msgspec.json.Decoder(_Records)


def record_of(answer: Answer) -> dict[str, str] | Fault:
    """The record that a write echoes; {} for a deletion."""
    if answer.status == codes.NO_CONTENT:
        return {}
    if codes.is_success(answer.status) and answer.status != codes.ACCEPTED:
        try:
            decoded = _record.decode(answer.body)
        except UNDECODABLE:
            pass
        else:
            if decoded.error is None:
                return decoded.result
    body = body_of(answer)
    if isinstance(body, Fault):
        return body
    result = body.get("result")
    return _strings(result) if isinstance(result, dict) else unreadable("JSON without a record")


def records_of(answer: Answer) -> list[dict[str, str]] | Fault:
    """The rows of a list. Version 1 of the API says 404 where the others answer an empty list."""
    if answer.status == codes.OK:
        try:
            decoded = _records.decode(answer.body)
        except UNDECODABLE:
            pass
        else:
            if decoded.error is None:
                return decoded.result
    body = body_of(answer)
    if isinstance(body, Fault):
        return [] if body.kind == "missing" else body
    result = body.get("result")
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        return unreadable("JSON without a list of records")
    return [_strings(row) for row in result]


def body_of(answer: Answer) -> dict[str, Any] | Fault:
    """The JSON object of a good answer, else the fault."""
    fault = by_status(answer.status, answer.pause, answer.location) or _by_page(answer)
    if fault is not None:
        return fault
    try:
        body = msgspec.json.decode(answer.body)
    except UNDECODABLE:
        if QUOTA.encode() in answer.body:
            return timeout("the answer was cut off by the instance: " + QUOTA)
        if codes.is_error(answer.status):
            return by_problem(answer.status, Problem())
        return unreadable("an answer that is not JSON, or was cut off")
    if not isinstance(body, dict):
        is_error = codes.is_error(answer.status)
        return by_problem(answer.status, Problem()) if is_error else unreadable("JSON that is not an object")
    if codes.is_error(answer.status) or body.get("error") is not None:
        return by_problem(answer.status, _problem(body))
    return body


def _by_page(answer: Answer) -> Fault | None:
    """HTML is told by its content type or first byte: tags and entities occur in JSON values too."""
    start = answer.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"<") and "html" not in answer.content_type:
        return None
    return by_page(answer.status, hibernates=b"instance hibernating" in answer.body[:4096].lower())


def _problem(body: Mapping[str, Any]) -> Problem:
    try:
        return msgspec.convert(body.get("error"), Problem)
    except msgspec.ValidationError:
        return Problem(message=str(body.get("error")), detail=str(body.get("error_description") or "") or None)


def _strings(row: Mapping[str, Any]) -> dict[str, str]:
    """Every value a string, also where a display form or a plug-in made it something else."""
    return {name: _string(value) for name, value in row.items()}


def _string(value: Any) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict():
            inner = value.get("value", value.get("display_value"))
            return str(inner) if isinstance(inner, dict) else _string(inner)
        case _:
            return str(value)
