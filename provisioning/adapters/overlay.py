"""A store that reads through to another and keeps every write to itself: what a dry run of the real engine writes to.

`base` is never written. `scratch`, usually a temporary `SqliteStore`, holds the rows that were written, and a marker
for each row that was deleted. The overlay knows neither store, only the port. A condition on a row that only `base` has
holds at the time of reading: whoever writes to `base` meanwhile is not noticed before the row is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

from provisioning.adapters.row_limits import check_limit, encode, encode_transaction, key_bytes
from provisioning.errors import RowConflict
from provisioning.rows import Data, Delete, Insert, Operation, Put, Replace, Row

_DELETED: Final[Mapping[str, Any]] = {"deleted in this dry run": True}
_MARKER: Final = encode(_DELETED)


class _Store(Protocol):
    async def get(self, table: str, partition: str, key: str) -> Row | None: ...

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]: ...

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]: ...

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]: ...

    async def close(self) -> None: ...


class OverlayStore:
    """`base` as it would be after the writes in `scratch`."""

    def __init__(self, base: _Store, scratch: _Store) -> None:
        self._base = base
        self._scratch = scratch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close both stores: the overlay is handed to the engine in the place of `base`."""
        try:
            await self._scratch.close()
        finally:
            await self._base.close()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        written = await self._scratch.get(table, partition, key)
        if written is None:
            return await self._base.get(table, partition, key)
        return None if _is_deleted(written) else written

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        written = await self._scratch.get_many(table, keys)
        untouched = [where for where in keys if where not in written]
        read = await self._base.get_many(table, untouched)
        return {**read, **{where: row for where, row in written.items() if not _is_deleted(row)}}

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        check_limit(limit)
        rows: list[Row] = []
        while True:
            read = await self._base.scan(table, partition, after=after, before=before, limit=limit)
            written = await self._scratch.scan(table, partition, after=after, before=before, limit=limit)
            # A full page says nothing of the keys behind its end: what lies there waits for the next round.
            ends = [page[-1].key for page in (read, written) if len(page) == limit]
            end = min(ends, default=None, key=key_bytes)
            merged = {row.key: row for row in (*read, *written)}
            inside = [key for key in merged if end is None or key_bytes(key) <= key_bytes(end)]
            rows += [merged[key] for key in sorted(inside, key=key_bytes) if not _is_deleted(merged[key])]
            if end is None or len(rows) >= limit:
                return rows[:limit]
            after = end

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        encode_transaction(table, partition, operations)
        keys = [(partition, operation.key) for operation in operations]
        written = await self._scratch.get_many(table, keys)
        conditional = [
            where
            for where, operation in zip(keys, operations, strict=True)
            if where not in written and _is_conditional(operation)
        ]
        read = await self._base.get_many(table, conditional)
        translated = [
            _translated(operation, written.get(where), read.get(where))
            for where, operation in zip(keys, operations, strict=True)
        ]
        etags = await self._scratch.commit(table, partition, translated)
        return [
            None if isinstance(operation, Delete) else etag for operation, etag in zip(operations, etags, strict=True)
        ]


def _translated(operation: Operation, written: Row | None, read: Row | None) -> Operation:
    """The operation on scratch that has the effect of `operation` on the whole.

    It depends on what scratch held when it was read, so it is conditional wherever `operation` is.
    """
    match operation:
        case Put():
            return operation
        case Delete(etag=None):
            return Put(operation.key, _DELETED)
        case Insert():
            seen = read if written is None else written
            if seen is not None and not _is_deleted(seen):
                raise RowConflict(f"Row {operation.key!r} exists already. Read it again.")
            return _write(operation.key, operation.data, written)
        case Replace() | Delete():
            seen = read if written is None else written
            if seen is None or _is_deleted(seen) or seen.etag != operation.etag:
                raise RowConflict(f"Row {operation.key!r} was changed or deleted since it was read. Read it again.")
            data: Data = operation.data if isinstance(operation, Replace) else _DELETED
            return _write(operation.key, data, written)


def _write(key: str, data: Data, written: Row | None) -> Operation:
    return Insert(key, data) if written is None else Replace(key, data, written.etag)


def _is_conditional(operation: Operation) -> bool:
    match operation:
        case Put() | Delete(etag=None):
            return False
        case _:
            return True


def _is_deleted(row: Row) -> bool:
    return row.text == _MARKER
