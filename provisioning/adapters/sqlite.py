"""The state store in one SQLite file: the embedded default for laptops, tests and large benchmarks.

It offers what Azure Tables offers and refuses what Azure Tables refuses, so that an engine that works here works
there. It knows nothing of what a row means. Its methods are coroutines for the sake of the port but run to their end
without a pause: a statement takes microseconds, a commit waits for the disk, and a commit that meets another process
waits at most `busy_timeout` seconds. A store belongs to the thread that opened it; several processes may share a file.
"""

from __future__ import annotations

import itertools
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioning.adapters.row_limits import check_key, check_limit, encode_transaction, key_bytes, key_text
from provisioning.errors import ConfigError, RowConflict, Unavailable
from provisioning.rows import Delete, Insert, Operation, Put, Replace, Row

_FORMAT = 1
KEYS_AT_ONCE = 500
"""Keys in one statement; SQLite takes 32,766 values, and 999 where it is old."""

# A plain rowid table: WITHOUT ROWID halves the speed of writing. Keys are bytes in the order of Azure Tables.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    table_name TEXT NOT NULL,
    partition TEXT NOT NULL,
    key BLOB NOT NULL,
    data TEXT NOT NULL,
    etag TEXT NOT NULL,
    PRIMARY KEY (table_name, partition, key)
)
"""
_GET = "SELECT key, data, etag FROM rows WHERE table_name = ? AND partition = ? AND key = ?"
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, KEYS_AT_ONCE)
_GET_SOME = {size: _GET.replace("key = ?", f"key IN ({','.join('?' * size)})") for size in _SIZES}
"""By the number of keys; a key is asked for several times to fill one up. Preparing a statement of its own for each
number takes longer than the reading.
"""
_SCAN = """
SELECT key, data, etag FROM rows WHERE table_name = ?1 AND partition = ?2 AND key > ?3 AND (?4 IS NULL OR key < ?4)
ORDER BY key LIMIT ?5
"""
_INSERT = "INSERT INTO rows (table_name, partition, key, data, etag) VALUES (?, ?, ?, ?, ?)"
_PUT = f"{_INSERT} ON CONFLICT DO UPDATE SET data = excluded.data, etag = excluded.etag"
_REPLACE = "UPDATE rows SET data = ?, etag = ? WHERE table_name = ? AND partition = ? AND key = ? AND etag = ?"
_DELETE = "DELETE FROM rows WHERE table_name = ? AND partition = ? AND key = ?"
_DELETE_IF = f"{_DELETE} AND etag = ?"


class SqliteStore:
    """The state store in the file at `path`, or in memory with ":memory:"."""

    def __init__(self, path: str | Path, *, busy_timeout: float = 10.0) -> None:
        self._path = str(path)
        # Unique without a write of its own: no two stores share a prefix, and no store uses a number twice.
        self._etag_prefix = secrets.token_hex(5)
        self._etag_numbers = itertools.count(1)
        try:
            self._connection = sqlite3.connect(self._path, timeout=busy_timeout, isolation_level=None)
            self._prepare(busy_timeout)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"The state file {self._path!r} cannot be used: {error}. "
                "Name a file in a folder that exists and can be written, or one that this program has made."
            ) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._connection.close()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        check_key("partition", partition)
        check_key("key", key)
        with self._translated_errors():
            found = self._connection.execute(_GET, (table, partition, key_bytes(key))).fetchone()
        return _row(partition, found) if found else None

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        wanted: dict[str, dict[str, None]] = {}
        for partition, key in keys:
            check_key("partition", partition)
            check_key("key", key)
            wanted.setdefault(partition, {})[key] = None
        rows: dict[tuple[str, str], Row] = {}
        for partition, some in wanted.items():
            asked = [key_bytes(key) for key in some]
            for start in range(0, len(asked), KEYS_AT_ONCE):
                few = asked[start : start + KEYS_AT_ONCE]
                size = next(size for size in _SIZES if size >= len(few))
                few += few[-1:] * (size - len(few))
                with self._translated_errors():
                    found = self._connection.execute(_GET_SOME[size], (table, partition, *few)).fetchall()
                rows |= {(partition, row.key): row for row in (_row(partition, values) for values in found)}
        return {key: rows[key] for key in keys if key in rows}

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        check_key("partition", partition)
        check_limit(limit)
        end = None if before is None else key_bytes(before)
        with self._translated_errors():
            found = self._connection.execute(_SCAN, (table, partition, key_bytes(after), end, limit)).fetchall()
        return [_row(partition, values) for values in found]

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        texts = encode_transaction(table, partition, operations)
        with self._translated_errors(), self._transaction():
            return [
                self._run(table, partition, operation, text) for operation, text in zip(operations, texts, strict=True)
            ]

    def _run(self, table: str, partition: str, operation: Operation, text: str) -> str | None:
        run, etag = self._connection.execute, self._next_etag()
        where = (table, partition, key_bytes(operation.key))
        match operation:
            case Insert():
                try:
                    run(_INSERT, (*where, text, etag))
                except sqlite3.IntegrityError:
                    raise _conflict(table, partition, operation.key, "exists already") from None
            case Put():
                run(_PUT, (*where, text, etag))
            case Replace():
                if not run(_REPLACE, (text, etag, *where, operation.etag)).rowcount:
                    raise _conflict(table, partition, operation.key, "was changed or deleted since it was read")
            case Delete(etag=None):
                run(_DELETE, where)
                return None
            case Delete():
                if not run(_DELETE_IF, (*where, operation.etag)).rowcount:
                    raise _conflict(table, partition, operation.key, "was changed or deleted since it was read")
                return None
        return etag

    def _next_etag(self) -> str:
        return f"{self._etag_prefix}-{next(self._etag_numbers)}"

    def _prepare(self, busy_timeout: float) -> None:
        deadline = time.monotonic() + busy_timeout
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # The change to WAL does not honour the busy timeout when two processes open a new file together.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            found: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, _FORMAT):
                raise ConfigError(
                    f"The state file {self._path!r} has format {found}; this version reads format {_FORMAT}. "
                    "Use the version of this program that wrote it, or another file."
                )
            self._connection.execute(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {_FORMAT}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE takes the write lock at once, where waiting for it is possible; later it would be refused.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unavailable(
                f"The state file {self._path!r} did not answer: {error} ({error.sqlite_errorname}). "
                "Check for another process that holds it, for space on the disk and for rights to write."
            ) from error


def _row(partition: str, values: tuple[bytes, str, str]) -> Row:
    key, data, etag = values
    return Row(partition, key_text(key), data, etag)


def _conflict(table: str, partition: str, key: str, reason: str) -> RowConflict:
    return RowConflict(f"Row {key!r} of partition {partition!r} in table {table!r} {reason}. Read it again.")
