"""What the next cycle would do, kept to be looked at: the newest dry run of the job, with its decisions in the order in
which a person wants to see them. Knows rows; values that a mapping redacts are not among them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from provisioning.engine.keys import AFTER_ALL
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.rows import Delete, Operation, Put

TABLE = "preview"
NEWEST = "newest"
ORDER = ("held", "delete", "disable", "update", "create")
"""What takes something away comes first."""
KEPT = 2000
"""Decisions of each action; the numbers count all of them."""
PAGE = 1000
SILENT = 60.0
"""Seconds without a sign of life after which whoever makes a preview is taken for dead."""


class Preview(Struct, frozen=True, omit_defaults=True):
    """Times are seconds since 1970; `seen` is the last sign of life, `ended` is 0 while it is being made. `numbers` are
    decisions by action, `counts` objects by kind and by what would become of them, `held` is the plan id of what the
    guard would hold, `failure` why there is nothing to see.
    """

    id: str
    by: str
    began: float
    seen: float
    ended: float = 0.0
    phase: str = ""
    kind: str = ""
    numbers: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    held: str = ""
    failure: str = ""

    def is_being_made(self, now: float) -> bool:
        return not self.ended and now - self.seen < SILENT


class Previews:
    """The newest preview of a job, and the decisions in it."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def newest(self) -> Preview | None:
        row = await self._store.get(TABLE, self._job, NEWEST)
        return row.decode(Preview) if row is not None else None

    async def save(self, preview: Preview) -> None:
        await self._store.commit(TABLE, self._job, [Put(NEWEST, preview)])

    async def add(self, preview: str, decisions: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        """Each with its action and its number among those."""
        partition = self._partition(preview)
        writes: list[tuple[str, Operation]] = [
            (partition, Put(f"{ORDER.index(action)}|{number:08d}", {"decision": dict(decision)}))
            for action, number, decision in decisions
        ]
        await commit_each(self._store, TABLE, writes)

    async def page(self, preview: str, action: str, after: str, top: int) -> tuple[list[dict[str, Any]], str]:
        """Decisions of one action, or of all (""), behind a key, 999 at most; and the key to go on from, or ""."""
        first = f"{ORDER.index(action)}|" if action else ""
        rows = await self._store.scan(
            TABLE, self._partition(preview), after=max(first, after), before=first + AFTER_ALL, limit=top + 1
        )
        found = [dict(row.data["decision"]) for row in rows[:top]]
        return found, rows[top - 1].key if len(rows) > top else ""

    async def drop(self, preview: str) -> None:
        async for _ in self.emptied(preview):
            pass

    async def emptied(self, preview: str) -> AsyncIterator[None]:
        """Stops after each page for whoever counts time."""
        partition = self._partition(preview)
        while rows := await self._store.scan(TABLE, partition, limit=PAGE):
            await commit_each(self._store, TABLE, [(partition, Delete(row.key)) for row in rows])
            yield

    async def forget(self, before: float) -> None:
        """Drops one that was made before a time."""
        found = await self.newest()
        if found is not None and max(found.seen, found.ended) < before:
            await self.drop(found.id)
            await self._store.commit(TABLE, self._job, [Delete(NEWEST)])

    def _partition(self, preview: str) -> str:
        return f"{self._job}|{preview}"
