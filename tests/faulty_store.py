"""A state store that fails on command: what a worker that crashes, or a network that drops replies, leaves behind.

Calls are counted from 1 since the last order; an order holds until it is fulfilled once, except a crash, after which
the worker is dead and every call fails until `restart`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.errors import Unavailable
from provisioning.rows import Operation, Row


class Crash(BaseException):
    """The end of a worker. Not an Exception, so that no handler of the code under test outlives it."""


class FaultyStore:
    def __init__(self, base: Any) -> None:
        self.base = base
        self.commits = 0
        self.calls = 0
        self._crash_before: int | None = None
        self._lose_reply_after: int | None = None
        self._failing: range = range(0)
        self._crashed = False

    def crash_before_commit(self, number: int = 1) -> None:
        """The `number`-th commit from now does not happen, nor does anything after it."""
        self._crash_before = self.commits + number

    def lose_reply_after_commit(self, number: int = 1) -> None:
        """The `number`-th commit from now is carried out if its conditions hold, and its caller never learns of it."""
        self._lose_reply_after = self.commits + number

    def fail_calls(self, count: int = 1, *, after: int = 0) -> None:
        """Let `after` calls of any kind pass; the next `count` are refused, and nothing is done."""
        self._failing = range(self.calls + after + 1, self.calls + after + count + 1)

    def restart(self) -> None:
        """A new worker with a healthy network; the rows are as they were left."""
        self._crashed = False
        self._crash_before = self._lose_reply_after = None
        self._failing = range(0)

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        self._enter()
        return await self.base.get(table, partition, key)

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        self._enter()
        return await self.base.get_many(table, keys)

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        self._enter()
        return await self.base.scan(table, partition, after=after, before=before, limit=limit)

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        self._enter()
        self.commits += 1
        number = self.commits
        if number == self._crash_before:
            self._crashed = True
            raise Crash(f"The worker ended before commit {number}.")
        etags = await self.base.commit(table, partition, operations)
        if number == self._lose_reply_after:
            raise Unavailable(f"The reply to commit {number} was lost.")
        return etags

    async def close(self) -> None:
        await self.base.close()

    def _enter(self) -> None:
        if self._crashed:
            raise Crash("The worker has ended.")
        self.calls += 1
        if self.calls in self._failing:
            raise Unavailable(f"Call {self.calls} failed.")
