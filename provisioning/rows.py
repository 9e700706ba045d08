"""Rows of the state store and the operations on them: what the engine and the two stores say to each other.

The store offers what Azure Tables offers and nothing more: point reads, range scans in key order, ETags, and
transactions of at most 100 rows of one partition. This module knows neither store, and not what a row means.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

MAX_TRANSACTION_ROWS = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_ROW_BYTES = 1024 * 1024
MAX_KEY_CHARACTERS = 512

Json = Mapping[str, Any]
Data = Json | msgspec.Struct | msgspec.Raw
"""What a row is written from. A struct becomes its JSON at once, without a dictionary in between; raw JSON is stored as
it is.
"""

T = TypeVar("T")


class Row(msgspec.Struct, frozen=True):
    """One stored row. `text` is a JSON object as it is stored; `etag` changes with every write."""

    partition: str
    key: str
    text: str
    etag: str

    @property
    def data(self) -> Json:
        """The object, decoded anew each time."""
        found: Json = json.loads(self.text)
        return found

    def decode(self, type_: type[T]) -> T:
        """The object as a struct. Raises `msgspec.ValidationError` when it is none of that type."""
        try:
            decoded: T = _decoder(cast("Hashable", type_)).decode(self.text)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # half a surrogate pair, which Python's own decoder lets through
            return msgspec.convert(self.data, type_)
        return decoded


class Insert(msgspec.Struct, frozen=True):
    """Add a row; refused with `RowConflict` when the key exists."""

    key: str
    data: Data


class Put(msgspec.Struct, frozen=True):
    """Add or replace a row, whatever stood there."""

    key: str
    data: Data


class Replace(msgspec.Struct, frozen=True):
    """Replace a row that still has this ETag; refused with `RowConflict` otherwise."""

    key: str
    data: Data
    etag: str


class Delete(msgspec.Struct, frozen=True):
    """Remove a row. With an ETag: refused with `RowConflict` unless it still has it. Without: absent is fine."""

    key: str
    etag: str | None = None


Operation = Insert | Put | Replace | Delete


def raw(data: Json) -> Data:
    """What holds no number but integers, as its JSON already: Python's own encoder, which looks for numbers that JSON
    does not know, takes three times as long.
    """
    try:
        return msgspec.Raw(msgspec.json.encode(data))
    except UnicodeEncodeError:  # half a surrogate pair
        return data


@cache
def _decoder(type_: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type[Any]", type_))
