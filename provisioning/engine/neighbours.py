"""Which job of the instance has a record, for all jobs of one state store; and which objects of a job wait for a record
that another one has.

A claim is one row for each record. It is written before the link and removed after it, so that a process that dies in
between leaves a claim whose link does not bear it out: that holds for a while and is then taken over. Knows nothing of
ServiceNow and asks it nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from provisioning.engine.jobs import JOB, JobRows
from provisioning.engine.keys import digest, identity
from provisioning.engine.links import Claimed, Links
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.errors import RowConflict, Unavailable
from provisioning.model import Link, ObjectType
from provisioning.rows import Delete, Insert, Json, Operation, Put, Replace, Row
from provisioning.rules.neighbours import UNDER_WAY, Holder, holds

RECORD, WAITER, INSTANCES = "record", "waiter", "instances"
KEEP_SECONDS = 300.0
TRIES = 10
PAGE = 1000


class Records:
    """The records of one instance, as one of its jobs sees them."""

    def __init__(self, store: Store, rows: JobRows, now: Callable[[], float]) -> None:
        self._store = store
        self._rows = rows
        self._job = rows.job
        self._now = now
        self._home: tuple[float, str] | None = None

    async def holders(self, kind: ObjectType, sys_ids: Collection[str]) -> dict[str, Holder]:
        """Those of the records that another job has, with what it remembers of them."""
        asked = {sys_id for sys_id in sys_ids if sys_id}
        if not asked:
            return {}
        places = {sys_id: await self._place(kind, sys_id) for sys_id in asked}
        rows = await self._store.get_many(RECORD, list(places.values()))
        return await self._holding(kind, {sys_id: rows[place] for sys_id, place in places.items() if place in rows})

    async def _holding(self, kind: ObjectType, rows: Mapping[str, Row]) -> dict[str, Holder]:
        """The rows of other jobs that still hold, by sys_id."""
        claims = {sys_id: data for sys_id, row in rows.items() if (data := row.data)["job"] != self._job}
        by_job: dict[str, set[tuple[ObjectType, str]]] = {}
        for data in claims.values():
            by_job.setdefault(str(data["job"]), set()).add((kind, str(data["id"])))
        known = {job: await Links(self._store, job).load(objects) for job, objects in by_job.items()}
        found = {
            sys_id: Holder(job, source, known[job][kind, source].link, float(data["at"]))
            for sys_id, data in claims.items()
            for job, source in [(str(data["job"]), str(data["id"]))]
        }
        return {sys_id: holder for sys_id, holder in found.items() if holds(holder, sys_id, self._now())}

    async def claim(self, links: Sequence[Link]) -> list[Claimed]:
        """Each link's record for this job, unless another one has it. Whoever writes the row first has it."""
        claimed = [Claimed() for _ in links]
        open_ = [position for position, link in enumerate(links) if link.sys_id]
        for _ in range(TRIES):
            if not open_:
                return claimed
            open_ = await self._claim_some(links, open_, claimed)
        raise Unavailable(f"{len(open_)} records could not be claimed in {TRIES} tries: others claim them as well")

    async def _claim_some(self, links: Sequence[Link], open_: Sequence[int], claimed: list[Claimed]) -> list[int]:
        """Answers the positions of those that somebody else wrote at the same moment."""
        places = {position: await self._place(links[position].type, links[position].sys_id or "") for position in open_}
        rows = await self._store.get_many(RECORD, list(places.values()))
        held: dict[tuple[ObjectType, str], Holder] = {}
        for kind in dict.fromkeys(links[position].type for position in open_):
            found = {
                links[p].sys_id or "": rows[places[p]] for p in open_ if links[p].type == kind and places[p] in rows
            }
            held |= {(kind, sys_id): each for sys_id, each in (await self._holding(kind, found)).items()}
        writes: list[tuple[int, tuple[str, Operation]]] = []
        for position in open_:
            link, (partition, key) = links[position], places[position]
            row, holder = rows.get(places[position]), held.get((link.type, link.sys_id or ""))
            if holder is not None:
                claimed[position] = Claimed(holder.job)
                continue
            if row is None:
                writes.append((position, (partition, Insert(key, self._data(link)))))
                continue
            if (data := row.data)["job"] == self._job and data["id"] != link.id:
                claimed[position] = Claimed(others=True)
            elif data["job"] != self._job or self._is_old(data):
                writes.append((position, (partition, Replace(key, self._data(link), row.etag))))
        results = await commit_each(self._store, RECORD, [write for _, write in writes])
        again = []
        for (position, _), result in zip(writes, results, strict=True):
            if isinstance(result, RowConflict):
                again.append(position)
            else:
                row = rows.get(places[position])
                claimed[position] = Claimed(new=row is None or row.data["job"] != self._job)
        return again

    async def confirm(self, links: Collection[Link]) -> None:
        """That these objects of the job have their records, and no other objects of it."""
        asked = [(link, await self._place(link.type, link.sys_id)) for link in links if link.sys_id]
        rows = await self._store.get_many(RECORD, [place for _, place in asked])
        writes: list[tuple[str, Operation]] = [
            (partition, Replace(key, self._data(link), row.etag))
            for link, (partition, key) in asked
            if (row := rows.get((partition, key))) is not None
            and row.data["job"] == self._job
            and row.data["id"] != link.id
        ]
        await commit_each(self._store, RECORD, writes)

    async def release(self, links: Collection[Link]) -> None:
        """What these links have claimed may be another job's; what another one has stays its own."""
        asked = [(link, await self._place(link.type, link.sys_id)) for link in links if link.sys_id]
        rows = await self._store.get_many(RECORD, [place for _, place in asked])
        back: list[tuple[str, Operation]] = [
            (place[0], Delete(row.key, row.etag))
            for link, place in asked
            if (row := rows.get(place)) is not None and (row.data["job"], row.data["id"]) == (self._job, link.id)
        ]
        await commit_each(self._store, RECORD, back)

    def _data(self, link: Link) -> dict[str, object]:
        return {"job": self._job, "id": link.id, "at": self._now()}

    def _is_old(self, data: Json) -> bool:
        return self._now() - float(data["at"]) > UNDER_WAY / 3

    async def _place(self, kind: ObjectType, sys_id: str) -> tuple[str, str]:
        """One partition for each instance and object type, as for the keys of a job."""
        return f"{digest(await self._instance())[:16]}|{kind}", digest(sys_id.casefold())[:40]

    async def _instance(self) -> str:
        """The first address by which the instance was known that calls itself so: it may be reached by several. One
        that does not say what it is called is told by its address alone.
        """
        if self._home is not None and self._home[0] > self._now():
            return self._home[1]
        known, _ = await self._rows.instance()
        home = known.host
        if known.number and known.name:
            key = digest(known.number, known.name)[:40]
            try:
                await self._store.commit(JOB, INSTANCES, [Insert(key, {"host": home})])
            except RowConflict:
                row = await self._store.get(JOB, INSTANCES, key)
                home = str(row.data["host"]) if row is not None else home
        if known.host:
            self._home = self._now() + KEEP_SECONDS, home
        return home


@dataclass(frozen=True, slots=True)
class Waiter:
    """An object that waits for a record, and the key of its row."""

    object: str
    sys_id: str
    key: str

    @property
    def kind(self) -> ObjectType:
        return identity(self.object)[0]


class Waiters:
    """The objects of one job that wait until another job lets go of a record."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, waiting: Mapping[str, str]) -> None:
        """Object keys with the sys_id that each waits for."""
        writes: list[tuple[str, Operation]] = [
            (self._job, Put(_key(each), {"object": each, "record": sys_id})) for each, sys_id in waiting.items()
        ]
        await commit_each(self._store, WAITER, writes)

    async def remove(self, objects: Collection[str]) -> None:
        await commit_each(self._store, WAITER, [(self._job, Delete(_key(each))) for each in objects])

    async def page(self, after: str = "") -> list[Waiter]:
        rows = await self._store.scan(WAITER, self._job, after=after, limit=PAGE)
        return [Waiter(str(row.data["object"]), str(row.data["record"]), row.key) for row in rows]

    async def count(self) -> dict[ObjectType, int]:
        found: dict[ObjectType, int] = {"user": 0, "group": 0}
        after = ""
        while waiting := await self.page(after):
            for each in waiting:
                found[each.kind] += 1
            after = waiting[-1].key
        return found


def _key(object_key: str) -> str:
    return digest(object_key)[:40]
