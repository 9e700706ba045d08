"""The journal: one log entry for each decision with an effect, a failure or a skip that means something.

Product data, shown to people; the operators' log is something else and never holds what stands here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from provisioning.engine.keys import bin_of, digest
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.rows import Operation, Put
from provisioning.rules.summary import Occurrence, Origin, summarize

JOURNAL = "journal"
NEWEST_FIRST = 10**14


class Journal:
    """Entries by hour, newest first within the hour; and for each object, where its entries are."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, occurrences: Sequence[Occurrence], origin: Origin) -> None:
        """Keyed by change id, so that a repeated step writes the same rows again."""
        entries: list[tuple[str, Operation]] = []
        by_object: list[tuple[str, Operation]] = []
        for occurrence in occurrences:
            hour = datetime.fromtimestamp(occurrence.at, UTC).strftime("%Y%m%d%H")
            key = f"{NEWEST_FIRST - int(occurrence.at * 1000):014d}|{occurrence.change}"
            partition = f"{self._job}|{hour}"
            entries.append((partition, Put(key, summarize(occurrence, origin))))
            name = digest(occurrence.decision.object)
            pointer = {"partition": partition, "key": key}
            by_object.append((self._object_partition(occurrence.decision.object), Put(f"{name[:24]}|{key}", pointer)))
        await commit_each(self._store, JOURNAL, entries)
        await commit_each(self._store, JOURNAL, by_object)

    async def newest(self, now: float, *, hours: int = 24 * 30, limit: int = 100) -> AsyncIterator[dict[str, Any]]:
        """Entries of the last `hours`, newest first."""
        moment = datetime.fromtimestamp(now, UTC)
        for _ in range(hours):
            partition = f"{self._job}|{moment.strftime('%Y%m%d%H')}"
            after = ""
            while limit > 0:
                rows = await self._store.scan(JOURNAL, partition, after=after, limit=min(limit, 1000))
                for row in rows:
                    yield dict(row.data)
                limit -= len(rows)
                if not rows:
                    break
                after = rows[-1].key
            if limit <= 0:
                return
            moment -= timedelta(hours=1)

    def _object_partition(self, object_key: str) -> str:
        """By the object's bin: a chunk of the plan writes to one partition or two, not to one for each object."""
        return f"{self._job}|object|{bin_of(object_key)[0]}"

    async def of_object(self, object_key: str, limit: int = 20) -> list[dict[str, Any]]:
        """An object's entries, newest first."""
        name = digest(object_key)
        prefix = f"{name[:24]}|"
        pointers = await self._store.scan(
            JOURNAL, self._object_partition(object_key), after=prefix, before=f"{name[:24]}~", limit=limit
        )
        keys = [(str(row.data["partition"]), str(row.data["key"])) for row in pointers]
        rows = await self._store.get_many(JOURNAL, keys)
        return [dict(rows[key].data) for key in keys if key in rows]
