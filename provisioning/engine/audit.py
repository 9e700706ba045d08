"""The stored audit trail of a job: rows beside the job's own, newest first. Entries are added and, when their time is
up, removed; none is ever changed. What an entry says is decided elsewhere.

A row goes into the same transaction as the change of state that it tells of, so that neither is there without the
other.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from provisioning.engine.journal import Page
from provisioning.engine.keys import AFTER_ALL
from provisioning.engine.ports import Store
from provisioning.rows import Delete, Put
from provisioning.rules.audit import Activity, Audited, Changes, Subject, directory_audit
from provisioning.rules.log_query import LogQuery

TABLE = "job"
PREFIX = "audit|"
NEWEST_FIRST = 10**14
PAGE = 1000
PRUNED_AT_ONCE = 100


class Audit:
    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, entry: Audited) -> None:
        """For what changes no state of the job. The same entry is the same row."""
        await self._store.commit(TABLE, self._job, [row_of(entry)])

    async def walk(self, after: str, before: str) -> AsyncGenerator[tuple[str, Audited], None]:
        """Keys and entries between two keys, newest first."""
        while rows := await self._store.scan(TABLE, self._job, after=after, before=before, limit=PAGE):
            for row in rows:
                yield row.key, row.decode(Audited)
            if len(rows) < PAGE:
                return
            after = rows[-1].key

    async def newest(self, limit: int = 100) -> list[Audited]:
        rows = await self._store.scan(TABLE, self._job, after=PREFIX, before=PREFIX + AFTER_ALL, limit=limit)
        return [row.decode(Audited) for row in rows]

    async def search(self, query: LogQuery, *, principal: str) -> Page:
        """One page of directoryAudits. A trail is short: oldest first, all of it is read."""
        first, last = query.span
        low = PREFIX if last is None else key_of((last + 2) / 1000)  # on both sides a little more: times are rounded
        high = PREFIX + AFTER_ALL if first is None else key_of((first - 2) / 1000, AFTER_ALL)
        if query.position:
            low, high = (low, min(high, query.position)) if query.ascending else (max(low, query.position), high)
        found: list[dict[str, Any]] = []
        position = ""
        async with aclosing(self._in_order(low, high, ascending=query.ascending)) as walk:
            async for key, entry in walk:
                document = directory_audit(entry, job=self._job, principal=principal)
                if not query.matches(document):
                    continue
                if len(found) >= query.top:
                    return Page(tuple(found), query.skip_token(position))
                found.append(document)
                position = key
        return Page(tuple(found), None)

    async def _in_order(self, low: str, high: str, *, ascending: bool) -> AsyncGenerator[tuple[str, Audited], None]:
        if low >= high:
            return
        if ascending:
            for found in reversed([each async for each in self.walk(low, high)]):
                yield found
            return
        async with aclosing(self.walk(low, high)) as walk:
            async for found in walk:
                yield found

    async def prune(self, before: float) -> None:
        """Removes entries from before a time (seconds since 1970), some of them at each call."""
        first, last = key_of(before), PREFIX + AFTER_ALL
        rows = await self._store.scan(TABLE, self._job, after=first, before=last, limit=PRUNED_AT_ONCE)
        if rows:
            await self._store.commit(TABLE, self._job, [Delete(row.key) for row in rows])


def entry_of(
    activity: Activity,
    by: str,
    at: float,
    changes: Changes | None = None,
    *,
    reason: str = "",
    subject: Subject | None = None,
) -> Audited:
    """To be made once for each order: however often its row is written then, it is one row."""
    return Audited(str(uuid.uuid4()), activity, by, at, changes or {}, reason, subject)


def row_of(entry: Audited) -> Put:
    return Put(key_of(entry.at, entry.id), entry)


def key_of(at: float, entry: str = "") -> str:
    """The row key of an entry of a moment, in seconds since 1970."""
    return f"{PREFIX}{NEWEST_FIRST - min(max(int(at * 1000), 0), NEWEST_FIRST - 1):014d}|{entry}"
