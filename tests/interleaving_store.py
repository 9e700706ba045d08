"""A state store in which every call lets everybody else go first: what is safe here is safe over a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.rows import Operation, Row


class InterleavingStore:
    def __init__(self, base: Any) -> None:
        self.base = base

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        await asyncio.sleep(0)
        return await self.base.get(table, partition, key)

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        await asyncio.sleep(0)
        return await self.base.get_many(table, keys)

    async def scan(self, table: str, partition: str, **limits: Any) -> Sequence[Row]:
        await asyncio.sleep(0)
        return await self.base.scan(table, partition, **limits)

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        await asyncio.sleep(0)
        return await self.base.commit(table, partition, operations)
