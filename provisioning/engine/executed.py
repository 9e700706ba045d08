"""What was taken away in the last 24 hours within the limits of the removal guard: one row an object, by the hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from provisioning.engine.keys import digest, ends
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.rows import Delete, Operation, Put, Row
from provisioning.rules.review import WINDOW_SECONDS

EXECUTED = "executed"
PAGE = 1000
HOUR = 3600
Executions = Mapping[str | tuple[str, str], int]
"""Counts by kind of harm, and by kind and group."""


class Executed:
    """Few rows, since the limits hold: what a person approved is not among them, nor who joined a group without one."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, items: Collection[tuple[str, str]], at: float) -> None:
        """(Kind of harm, object) pairs; an object counts once an hour, so that a repeated step counts nothing twice."""
        writes: list[tuple[str, Operation]] = [
            (self._job, Put(f"{int(at) // HOUR:08d}|{kind}|{digest(key)[:32]}", _row(kind, key, at)))
            for kind, key in items
        ]
        await commit_each(self._store, EXECUTED, writes)

    async def count(self, now: float) -> Executions:
        """By kind of harm and, for memberships, by kind and group as well, over the 24 hours before `now`. Forgets what
        is older.
        """
        found: Counter[str | tuple[str, str]] = Counter()
        old: list[Row] = []
        after = ""
        while rows := await self._store.scan(EXECUTED, self._job, after=after, limit=PAGE):
            for row in rows:
                if now - float(row.data["at"]) < WINDOW_SECONDS:
                    found[str(row.data["kind"])] += 1
                    if "group" in row.data:
                        found[str(row.data["kind"]), str(row.data["group"])] += 1
                else:
                    old.append(row)
            after = rows[-1].key
        await commit_each(self._store, EXECUTED, [(row.partition, Delete(row.key)) for row in old])
        return found


def _row(kind: str, object_key: str, at: float) -> dict[str, Any]:
    group = {"group": ends(object_key)[0]} if object_key.startswith("member:") else {}
    return {"kind": kind, "at": at, **group}
