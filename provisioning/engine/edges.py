"""Memberships between cycles, and what waits for an object that does not exist yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from provisioning.engine.keys import AFTER_ALL, NIBBLES, digest
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.model import Edge
from provisioning.rows import Delete, Operation, Put, Row

EDGE, WAITING = "edge", "waiting"
PAGE = 1000
GLANCE = 32
"""Rows among which those who wait for one of many objects are looked for, before each is asked for by itself."""


class Edges:
    """The memberships of the groups under our care, a partition for each group."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def load(self, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], Edge]:
        """Edges by (group, member) source ids."""
        rows = await self._store.get_many(EDGE, [(self._partition(group), member) for group, member in set(pairs)])
        edges = (row.decode(Edge) for row in rows.values())
        return {(edge.group, edge.member): edge for edge in edges}

    async def page(self, group: str, after: str, limit: int = 1000) -> Sequence[Edge]:
        rows = await self._store.scan(EDGE, self._partition(group), after=after, limit=limit)
        return [row.decode(Edge) for row in rows]

    async def save(self, edges: Collection[Edge]) -> None:
        writes: list[tuple[str, Operation]] = [(self._partition(e.group), Put(e.member, e)) for e in edges]
        await commit_each(self._store, EDGE, writes)

    async def forget(self, pairs: Collection[tuple[str, str]]) -> None:
        writes: list[tuple[str, Operation]] = [(self._partition(group), Delete(member)) for group, member in pairs]
        await commit_each(self._store, EDGE, writes)

    def _partition(self, group: str) -> str:
        return f"{self._job}|{group}"


class Waiting:
    """Who waits for whom: object keys by the source id that they miss, or by the display value of a record."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, pairs: Collection[tuple[str, str]]) -> None:
        """Each pair is (what is missing, object key that waits)."""
        writes: list[tuple[str, Operation]] = [
            (partition, Put(key, {"missing": missing, "object": waiting}))
            for missing, waiting in pairs
            for partition, key in [self._place(missing, waiting)]
        ]
        await commit_each(self._store, WAITING, writes)

    async def arrived(self, missing: Collection[str]) -> list[tuple[str, str]]:
        """The (missing, waiting object key) pairs of what exists now."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for name in missing:
            partition, prefix = self._place(name, "")
            wanted[partition].append(prefix)
        pairs: list[tuple[str, str]] = []
        for partition, prefixes in wanted.items():
            pairs += await self._arrived(partition, sorted(prefixes))
        return pairs

    async def _arrived(self, partition: str, prefixes: Sequence[str]) -> list[tuple[str, str]]:
        """For most there is nobody, which a look at what lies between them tells of all at once."""
        between = await self._store.scan(
            WAITING, partition, after=prefixes[0], before=prefixes[-1] + AFTER_ALL, limit=GLANCE
        )
        names = set(prefixes)
        pairs = [_pair(row) for row in between if row.key.partition("|")[0] + "|" in names]
        if len(between) < GLANCE:
            return pairs
        seen = between[-1].key
        for prefix in prefixes:
            after, stop = max(prefix, seen), prefix + AFTER_ALL
            while after < stop and (rows := await self._store.scan(WAITING, partition, after=after, before=stop)):
                pairs += [_pair(row) for row in rows]
                after = rows[-1].key
        return pairs

    async def remove(self, pairs: Collection[tuple[str, str]]) -> None:
        writes: list[tuple[str, Operation]] = [
            (partition, Delete(key)) for pair in pairs for partition, key in [self._place(*pair)]
        ]
        await commit_each(self._store, WAITING, writes)

    async def everything(self, limit: int = 1000) -> list[tuple[str, str]]:
        """Up to `limit` (missing, waiting) pairs, for `status` and for display values that may exist by now."""
        pairs: list[tuple[str, str]] = []
        for nibble in NIBBLES:
            after, page = "", min(PAGE, limit - len(pairs))
            while page and (rows := await self._store.scan(WAITING, f"{self._job}|{nibble}", after=after, limit=page)):
                pairs.extend(map(_pair, rows))
                after, page = rows[-1].key, min(PAGE, limit - len(pairs))
        return pairs

    def _place(self, missing: str, waiting: str) -> tuple[str, str]:
        name = digest(missing)
        return f"{self._job}|{name[0]}", f"{name[:32]}|{waiting}"


def _pair(row: Row) -> tuple[str, str]:
    data = row.data
    return str(data["missing"]), str(data["object"])


def display_value(table: str, value: str) -> str:
    """How the waiting index names a record that is missed by its display value."""
    return f"name:{table}:{value}"
