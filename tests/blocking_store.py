"""A state store whose coroutines are run to their end, so that a test reads as a list of steps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

from provisioning.rows import Operation, Row


class BlockingStore:
    def __init__(self, store: Any, runner: asyncio.Runner) -> None:
        self.behind = store
        self.run = runner.run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.behind.close())

    def get(self, table: str, partition: str, key: str) -> Row | None:
        return self.run(self.behind.get(table, partition, key))

    def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        return self.run(self.behind.get_many(table, keys))

    def scan(self, table: str, partition: str, **limits: Any) -> Sequence[Row]:
        return self.run(self.behind.scan(table, partition, **limits))

    def commit(self, table: str, partition: str, *operations: Operation) -> Sequence[str | None]:
        return self.run(self.behind.commit(table, partition, operations))
