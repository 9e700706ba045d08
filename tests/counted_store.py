"""A state store that counts what is asked of it, by kind of call and table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.rows import Operation, Row


class CountedStore:
    """`operations` are calls, but for point reads, of which each counts however many are asked for together. `counts`
    are the same by kind and table: "get_many link".
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.counts: Counter[str] = Counter()

    @property
    def operations(self) -> int:
        return self.counts.total()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        self.counts[f"get {table}"] += 1
        return await self._inner.get(table, partition, key)

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        self.counts[f"get_many {table}"] += len(keys)
        return await self._inner.get_many(table, keys)

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        self.counts[f"scan {table}"] += 1
        return await self._inner.scan(table, partition, after=after, before=before, limit=limit)

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        self.counts[f"commit {table}"] += 1
        return await self._inner.commit(table, partition, operations)

    async def close(self) -> None:
        await self._inner.close()
