"""The wire format of the Batch API: many Table API requests in one POST. Bodies are JSON inside base64 inside JSON,
each encoded once. Items are told apart by their ids, never by position. Knows nothing of sending, and not what an item
means.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
from httpx import codes
from msgspec import UNSET, Raw, Struct, UnsetType

from provisioning.adapters.servicenow.answers import UNDECODABLE, Answer, body_of, count_of
from provisioning.adapters.servicenow.faults import Fault

PATH = "/api/now/v1/batch"

_READ_HEADERS = Raw(b'[{"name":"Accept","value":"application/json"}]')
_WRITE_HEADERS = Raw(
    b'[{"name":"Accept","value":"application/json"},{"name":"Content-Type","value":"application/json"}]'
)


NOTHING = UNSET


class Item(Struct):
    """One request of a batch; msgspec writes `body` as base64."""

    id: str
    method: str
    url: str
    headers: Raw = _READ_HEADERS
    body: bytes | UnsetType = UNSET
    exclude_response_headers: bool = True


class _Batch(Struct):
    batch_request_id: str
    rest_requests: list[Item]


class _Serviced(Struct, frozen=True):
    id: str | int
    status_code: int
    body: str | None = None
    error_message: str | None = None
    execution_time: float | None = None
    headers: Any = None


class _Answered(Struct, frozen=True):
    serviced_requests: list[_Serviced]
    unserviced_requests: list[str | int] = []


class Reply(Struct, frozen=True):
    """The answers by item id, the ids that the instance did not get to, and its own time for all (None: not told)."""

    answers: dict[str, Answer]
    unserviced: frozenset[str]
    seconds: float | None


_encoder = msgspec.json.Encoder()
_answered = msgspec.json.Decoder(_Answered, strict=False)
_sent = msgspec.json.Decoder(_Batch)


def read(number: int, url: str) -> Item:
    """With the headers of its answer: only X-Total-Count tells a short list from one that access rules cut."""
    return Item(str(number), "GET", url, exclude_response_headers=False)


def change(number: int, method: str, url: str, fields: dict[str, str] | None = None) -> Item:
    """A write. Raises UnicodeEncodeError when a value is not text that can be sent."""
    if fields is None:
        return Item(str(number), method, url)
    return Item(str(number), method, url, _WRITE_HEADERS, _encoder.encode(fields))


def encode(number: int, items: Sequence[Item]) -> bytes:
    return _encoder.encode(_Batch(str(number), list(items)))


def decode(answer: Answer) -> Reply | Fault:
    if answer.status != codes.OK:
        fault = body_of(answer)
        return fault if isinstance(fault, Fault) else _without_items(answer)
    try:
        answered = _answered.decode(answer.body)
    except UNDECODABLE:
        fault = body_of(answer)
        return fault if isinstance(fault, Fault) else _without_items(answer)
    answers: dict[str, Answer] = {}
    seconds: float | None = 0.0
    for item in answered.serviced_requests:
        answers.setdefault(str(item.id), Answer(item.status_code, _body(item), total=_total(item)))
        seconds = None if seconds is None or item.execution_time is None else seconds + item.execution_time / 1000
    return Reply(answers, frozenset(map(str, answered.unserviced_requests)), seconds)


def items_of(content: bytes) -> Sequence[Item]:
    """The items of a batch; none where it is not written as `encode` writes it, or an item has other headers."""
    try:
        sent = _sent.decode(content)
    except UNDECODABLE:
        return ()
    known = all(bytes(item.headers) in {bytes(_READ_HEADERS), bytes(_WRITE_HEADERS)} for item in sent.rest_requests)
    return sent.rest_requests if known and _encoder.encode(sent) == content else ()


def _body(item: _Serviced) -> bytes:
    if not item.body:
        return b""
    try:
        return base64.b64decode(item.body)
    except (binascii.Error, ValueError):
        return item.body.encode()


def _total(item: _Serviced) -> int | None:
    for header in item.headers if isinstance(item.headers, list) else ():
        if isinstance(header, dict) and str(header.get("name")).lower() == "x-total-count":
            return count_of(str(header.get("value")))
    return None


def _without_items(answer: Answer) -> Fault:
    return Fault(
        "doubt",
        "InternalServerError",
        f"the instance answered a batch without its items ({answer.status})",
        "It is retried by itself. If it lasts, ServiceNow administrator: check that the Batch API is active",
    )
