"""What the engine needs from the outside, as Protocols. Adapters satisfy them by shape and never import this module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from provisioning.rows import Operation, Row


class Store(Protocol):
    """The state store. Every call may raise `Unavailable`; keys hold no `/ \\ # ?` and no control characters."""

    async def get(self, table: str, partition: str, key: str) -> Row | None: ...

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        """Point reads of (partition, key) side by side; absent rows are absent from the answer."""

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        """Rows with after < key < before in key order, at most `limit` (1 to 1,000) of them.

        Fewer than `limit` rows means that the range has ended; to go on, scan again after the last key.
        """

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        """Run 1 to 100 operations on one partition atomically; answers the new ETags (None for a deletion).

        Raises `RowConflict` when a condition fails (nothing is written), `RowTooLarge` when a row or the whole
        transaction does not fit, ValueError when the engine asks for what Azure Tables would refuse.
        """
