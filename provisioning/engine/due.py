"""What is to be looked at again: failures at their time, doubtful losses, and removals that the guard holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from provisioning.engine.keys import digest
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.model import Pending, membership_key
from provisioning.rows import Delete, Operation, Put, Row
from provisioning.rules.elevation import GUARDED
from provisioning.rules.escrow import is_forgotten

DUE, HELD = "due", "held"
PAGE = 1000


class Due:
    """Objects by the time from which they are to be staged again, in seconds since 1970."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, items: Collection[tuple[float, Pending]]) -> None:
        writes: list[tuple[str, Operation]] = [
            (self._job, Put(f"{int(at):012d}|{digest(pending.object)[:32]}", pending)) for at, pending in items
        ]
        await commit_each(self._store, DUE, writes)

    async def page(self, now: float) -> Sequence[tuple[Row, Pending]]:
        """Up to 1,000 objects whose time has come."""
        rows = await self._store.scan(DUE, self._job, before=f"{int(now) + 1:012d}", limit=PAGE)
        return [(row, row.decode(Pending)) for row in rows]

    async def failing(self, cleared: float) -> set[str]:
        """The objects that have failed and are to be tried again, without those that a restart at `cleared` forgets. Of
        memberships that wait for the same group's role to be taken off, the group.
        """
        found: set[str] = set()
        after = ""
        while rows := await self._store.scan(DUE, self._job, after=after, limit=PAGE):
            pendings = [row.decode(Pending) for row in rows]
            failed = [(p.object, p.escrow) for p in pendings if p.escrow and not is_forgotten(p.escrow, cleared)]
            found |= {key.rsplit(":", 1)[0] if escrow.code == GUARDED else key for key, escrow in failed}
            after = rows[-1].key
        return found

    async def codes(self, cleared: float) -> tuple[dict[str, int], bool]:
        """The error codes of what has failed and is to be tried again, the most frequent first, as `failing` counts;
        only of the next thousand that are due. The second answer says whether there are more.
        """
        rows = await self._store.scan(DUE, self._job, limit=PAGE)
        escrows = [escrow for row in rows if (escrow := row.decode(Pending).escrow) is not None]
        found = Counter(each.code for each in escrows if not is_forgotten(each, cleared))
        return dict(found.most_common()), len(rows) == PAGE

    async def memberships(self, group: str) -> set[str]:
        """The keys of a group's memberships that wait for their time. Reads all that waits."""
        found: set[str] = set()
        first, after = membership_key(group, ""), ""
        while rows := await self._store.scan(DUE, self._job, after=after, limit=PAGE):
            found.update(key for row in rows if (key := str(row.data["object"])).startswith(first))
            after = rows[-1].key
        return found

    async def remove(self, rows: Collection[Row]) -> None:
        await commit_each(self._store, DUE, [(row.partition, Delete(row.key)) for row in rows])


class Held:
    """Removals above the limit: outside the plan, offered again in each cycle."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, pendings: Collection[Pending]) -> None:
        writes: list[tuple[str, Operation]] = [
            (self._job, Put(_held_key(pending.object), pending)) for pending in pendings
        ]
        await commit_each(self._store, HELD, writes)

    async def load(self, object_keys: Collection[str]) -> dict[str, Pending]:
        """Those of the objects that are held."""
        rows = await self._store.get_many(HELD, [(self._job, _held_key(key)) for key in object_keys])
        found = [row.decode(Pending) for row in rows.values()]
        return {pending.object: pending for pending in found}

    async def page(self, after: str = "") -> Sequence[tuple[Row, Pending]]:
        rows = await self._store.scan(HELD, self._job, after=after, limit=PAGE)
        return [(row, row.decode(Pending)) for row in rows]

    async def remove(self, rows: Collection[Row]) -> None:
        await commit_each(self._store, HELD, [(row.partition, Delete(row.key)) for row in rows])


def _held_key(object_key: str) -> str:
    return digest(object_key)[:40]
