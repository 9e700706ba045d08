"""What is remembered of each object between cycles: links, and the indexes that find a link by key or by record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from provisioning.engine.keys import NIBBLES, digest, partition_of
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.errors import RowConflict
from provisioning.model import Link, ObjectType
from provisioning.rows import Delete, Insert, Operation, Put, Replace

LINK, KEY, TARGET = "link", "key", "target"


class Known(Struct, frozen=True):
    """A link and the ETag it was read with; "" when there is none yet."""

    link: Link
    etag: str = ""


class Claimed(Struct, frozen=True):
    """Whether a record may be this job's: `holder` is another job that has it. `new` when it was nobody's before,
    `others` when the job has it for another object.
    """

    holder: str = ""
    new: bool = False
    others: bool = False


class Arbiter(Protocol):
    """Knows which job of the instance has a record."""

    async def claim(self, links: Sequence[Link]) -> Sequence[Claimed]: ...

    async def confirm(self, links: Collection[Link]) -> None: ...

    async def release(self, links: Collection[Link]) -> None: ...


class Links:
    """The links of one job, in 16 partitions for each object type. Without an arbiter, other jobs count for nothing."""

    def __init__(self, store: Store, job: str, records: Arbiter | None = None) -> None:
        self._store = store
        self._job = job
        self._records = records

    async def load(self, objects: Collection[tuple[ObjectType, str]]) -> dict[tuple[ObjectType, str], Known]:
        """Each object's link, or an empty one."""
        keys = {obj: (partition_of(self._job, *obj), obj[1]) for obj in set(objects)}
        rows = await self._store.get_many(LINK, list(keys.values()))
        known: dict[tuple[ObjectType, str], Known] = {}
        for obj, key in keys.items():
            row = rows.get(key)
            known[obj] = Known(row.decode(Link), row.etag) if row else Known(Link(*obj))
        return known

    async def page(self, kind: ObjectType, nibble: str, after: str, limit: int = 1000) -> Sequence[Link]:
        """Links of one partition behind the id `after`, in order of their ids."""
        rows = await self._store.scan(LINK, f"{self._job}|{kind}|{nibble}", after=after, limit=limit)
        return [row.decode(Link) for row in rows]

    async def pages(self, *kinds: ObjectType) -> AsyncIterator[Sequence[Link]]:
        """All links of these kinds in the order of their rows, up to 1,000 at a time. Those of a page may be changed or
        forgotten before the next one.
        """
        for kind in kinds:
            for nibble in NIBBLES:
                after = ""
                while links := await self.page(kind, nibble, after):
                    yield links
                    after = links[-1].id

    async def save(self, links: Sequence[tuple[Link, str]]) -> list[str | RowConflict]:
        """Writes each link on the condition that its row still has the ETag ("" means: that there is none)."""
        writes: list[tuple[str, Operation]] = []
        for link, etag in links:
            operation = Replace(link.id, link, etag) if etag else Insert(link.id, link)
            writes.append((partition_of(self._job, link.type, link.id), operation))
        return await commit_each(self._store, LINK, writes)

    async def put(self, links: Collection[Link]) -> None:
        """Overwrites each link, whatever it is."""
        writes: list[tuple[str, Operation]] = [
            (partition_of(self._job, link.type, link.id), Put(link.id, link)) for link in links
        ]
        await commit_each(self._store, LINK, writes)

    async def claim(self, links: Sequence[Link]) -> list[str | None]:
        """Reserves each link's keys and record; answers the source id, or the other job, that holds one of them
        already, or None. What another job has is asked first: it takes nothing away from what the job holds itself.
        """
        if self._records is None or not links:
            return await self._claim(links)
        claimed = await self._records.claim(links)
        free = [link for link, each in zip(links, claimed, strict=True) if not each.holder]
        own = iter(await self._claim(free))
        holders = [each.holder or next(own) for each in claimed]
        lost = [link for link, each, holder in zip(links, claimed, holders, strict=True) if each.new and holder]
        await self._records.release(lost)
        found = zip(links, claimed, holders, strict=True)
        await self._records.confirm([link for link, each, holder in found if each.others and holder is None])
        return holders

    async def _claim(self, links: Sequence[Link]) -> list[str | None]:
        """Within the job.

        Two objects that map to one key would otherwise both take the same account. Whoever finds one of the two taken
        keeps neither; a claim that its holder's link belies is taken over.
        """
        holders: list[str | None] = [None] * len(links)
        reserved: list[tuple[str, str, str, str, int]] = []
        for table in (KEY, TARGET):
            wanted = [
                (*self._key(link.type, value), position)
                for position, link in enumerate(links)
                for value in _held(link, table)
            ]
            rows = await self._store.get_many(table, [(partition, key) for partition, key, _ in wanted])
            others = {(links[n].type, str(rows[p, k].data["id"])) for p, k, n in wanted if (p, k) in rows}
            at_once = {(link.type, link.id): link for link in links}
            known = await self.load(others - at_once.keys()) if others - at_once.keys() else {}
            free: list[tuple[str, str, int]] = []
            claims: list[tuple[str, Operation]] = []
            for partition, key, position in wanted:
                link, row = links[position], rows.get((partition, key))
                if row is None:
                    free.append((partition, key, position))
                    claims.append((partition, Insert(key, {"id": link.id})))
                elif row.data["id"] != link.id:
                    owner = (link.type, str(row.data["id"]))
                    wants = at_once.get(owner)  # a claim of this moment tells what its maker wants from now on
                    if self._wants(wants, table, key) if wants else self._holds(known[owner].link, table, key):
                        holders[position] = str(row.data["id"])
                    else:
                        free.append((partition, key, position))
                        claims.append((partition, Replace(key, {"id": link.id}, row.etag)))
            results = await commit_each(self._store, table, claims)
            for (partition, key, position), result in zip(free, results, strict=True):
                if isinstance(result, str):
                    reserved.append((table, partition, key, result, position))
                    continue
                row = await self._store.get(table, partition, key)
                if row is not None and row.data["id"] != links[position].id:
                    holders[position] = str(row.data["id"])
        for table in (KEY, TARGET):
            back: list[tuple[str, Operation]] = [
                (partition, Delete(key, etag))
                for name, partition, key, etag, position in reserved
                if name == table and holders[position] is not None
            ]
            await commit_each(self._store, table, back)
        return holders

    async def unclaim(self, links: Collection[Link]) -> None:
        """Gives back the match values and records that these links hold; what another one holds stays its own."""
        for table in (KEY, TARGET):
            held = [(self._key(link.type, value), link.id) for link in links for value in _held(link, table)]
            rows = await self._store.get_many(table, [key for key, _ in held])
            back: list[tuple[str, Operation]] = [
                (key[0], Delete(row.key, row.etag))
                for key, holder in held
                if (row := rows.get(key)) is not None and row.data["id"] == holder
            ]
            await commit_each(self._store, table, back)
        if self._records is not None:
            await self._records.release(links)

    async def forget(self, links: Collection[Link]) -> None:
        """Removes links and what finds them."""
        await self.unclaim(links)
        writes: list[tuple[str, Operation]] = [
            (partition_of(self._job, link.type, link.id), Delete(link.id)) for link in links
        ]
        await commit_each(self._store, LINK, writes)

    async def owners_by_key(self, kind: ObjectType, values: Collection[str]) -> Mapping[str, str]:
        """The source id that holds each match value."""
        return await self._owners(KEY, kind, values)

    async def owners_by_record(self, kind: ObjectType, sys_ids: Collection[str]) -> Mapping[str, str]:
        """The source id that is linked to each record."""
        return await self._owners(TARGET, kind, sys_ids)

    async def _owners(self, table: str, kind: ObjectType, values: Collection[str]) -> Mapping[str, str]:
        keys = {value: self._key(kind, value) for value in values}
        rows = await self._store.get_many(table, list(keys.values()))
        owners = {value: str(rows[key].data["id"]) for value, key in keys.items() if key in rows}
        known = await self.load([(kind, owner) for owner in owners.values()]) if owners else {}
        return {
            value: owner
            for value, owner in owners.items()
            if self._holds(known[kind, owner].link, table, keys[value][1])
        }

    def _holds(self, link: Link, table: str, key: str) -> bool:
        """Whether a claim is still true: who has a record under another key since, a renamed user, holds it no longer.
        A claim comes before its link, so one without a record may be under way.
        """
        return not link.linked or self._wants(link, table, key)

    def _wants(self, link: Link, table: str, key: str) -> bool:
        return any(self._key(link.type, value)[1] == key for value in _held(link, table))

    def _key(self, kind: ObjectType, value: str) -> tuple[str, str]:
        """A match value may hold what no row key may, and ServiceNow ignores its case: the key is a hash.

        One partition for each object type: ServiceNow's pace is far below what a partition takes, and a batch claims
        its keys in one transaction.
        """
        name = digest(value.casefold())
        return f"{self._job}|{kind}", name[:40]


def _held(link: Link, table: str) -> tuple[str, ...]:
    """What a link claims in the index of keys or of records, each once as the index compares."""
    values = (link.match_value, *link.other_keys) if table == KEY else (link.sys_id,)
    return tuple({value.casefold(): value for value in values if value}.values())
