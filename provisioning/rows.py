"""Rows of the state store and the operations on them: what the engine and the two stores say to each other.

The store offers what Azure Tables offers and nothing more: point reads, range scans in key order, ETags, and
transactions of at most 100 rows of one partition. This module knows neither store, and not what a row means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_TRANSACTION_ROWS = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_ROW_BYTES = 1024 * 1024
MAX_KEY_CHARACTERS = 512

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One stored row. `data` is a JSON object; `etag` changes with every write."""

    partition: str
    key: str
    data: Json
    etag: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Add a row; refused with `RowConflict` when the key exists."""

    key: str
    data: Json


@dataclass(frozen=True, slots=True)
class Put:
    """Add or replace a row, whatever stood there."""

    key: str
    data: Json


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace a row that still has this ETag; refused with `RowConflict` otherwise."""

    key: str
    data: Json
    etag: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row. With an ETag: refused with `RowConflict` unless it still has it. Without: absent is fine."""

    key: str
    etag: str | None = None


Operation = Insert | Put | Replace | Delete
