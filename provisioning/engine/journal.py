"""The journal: one log entry for each decision with an effect, a failure or a skip that means something.

Entries lie in a partition for each hour, newest first within it; an index names the hours that have any, and for each
object there are pointers to its entries. Nothing here reads more hours than a query or the retention asks for. Product
data, shown to people; the operators' log is something else and never holds what stands here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from provisioning.engine.keys import AFTER_ALL, bin_of, digest
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.rows import Delete, Operation, Put, Row, raw
from provisioning.rules.log_query import LogQuery
from provisioning.rules.summary import IDENTITY_TYPES, Occurrence, Origin, summarize

JOURNAL = "journal"
NEWEST_FIRST = 10**14
"""Later than any time in milliseconds: the difference sorts newest first."""
HOUR = 3_600_000
LAST_HOUR = NEWEST_FIRST // HOUR + 1
PAGE = 1000
SEARCHED = 100_000
KINDS = {name: kind for kind, name in IDENTITY_TYPES.items()}

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the order asked for; `next_token` goes on behind them, None at the end of the log."""

    entries: tuple[Entry, ...]
    next_token: str | None


@dataclass
class Journal:
    """The log of one job. `searched` bounds how many entries one page of a query looks at."""

    store: Store
    job: str
    searched: int = SEARCHED
    _hours: set[str] = field(default_factory=set, init=False, repr=False)

    async def add(self, occurrences: Sequence[Occurrence], origin: Origin) -> None:
        """Keyed by change id, so that a repeated step writes the same rows again. The hour is announced first: an entry
        that no index leads to would be found by nobody, and never removed.
        """
        entries: list[tuple[str, Operation]] = []
        by_object: list[tuple[str, Operation]] = []
        hours: set[str] = set()
        for occurrence in occurrences:
            key = _key(int(occurrence.at * 1000), occurrence.change)
            hours.add(_hour(key))
            entries.append((self._entries_partition(key), Put(key, raw(summarize(occurrence, origin)))))
            object_key = occurrence.decision.object
            by_object.append((self._object_partition(object_key), Put(_pointer(object_key, key), {})))
        new = hours - self._hours
        await commit_each(self.store, JOURNAL, [(f"{self.job}|hours", Put(hour, {})) for hour in sorted(new)])
        self._hours |= new
        await commit_each(self.store, JOURNAL, entries)
        await commit_each(self.store, JOURNAL, by_object)

    async def search(self, query: LogQuery) -> Page:
        """One page. It may hold fewer entries than asked for, even none, and still have a next one."""
        found: list[Entry] = []
        seen, position = 0, ""
        async with aclosing(self._walk(query)) as walk:
            async for key, entry in walk:
                if len(found) >= query.top or seen >= self.searched:
                    return Page(tuple(found), query.skip_token(position))
                seen, position = seen + 1, key
                if query.matches(entry):
                    found.append(entry)
        return Page(tuple(found), None)

    async def entries(self, query: LogQuery) -> AsyncGenerator[Entry, None]:
        """All entries that a query asks for, `query.top` in all."""
        left = query.top
        async with aclosing(self._walk(query)) as walk:
            async for _, entry in walk:
                if left <= 0:
                    return
                if query.matches(entry):
                    left -= 1
                    yield entry

    async def newest(self, limit: int = 100) -> AsyncGenerator[Entry, None]:
        """Entries of all kinds, newest first."""
        async with aclosing(self.entries(LogQuery(top=limit))) as entries:
            async for entry in entries:
                yield entry

    async def of_object(self, object_key: str, limit: int = 20) -> list[Entry]:
        """An object's entries, newest first."""
        found: list[Entry] = []
        async with aclosing(self._of_object(object_key, "", AFTER_ALL, ascending=False)) as entries:
            async for _, entry in entries:
                found.append(entry)
                if len(found) >= limit:
                    break
        return found

    async def prune(self, before: float, *, limit: int, until: Callable[[], bool]) -> int:
        """Removes entries from before a time (seconds since 1970), whole hours at a time and oldest first, with the
        pointers to them; answers how many. Stops behind `limit` entries or when `until` says so: the next call goes on.
        """
        removed = 0
        newest_kept = _hour(_key(int(before * 1000)))
        for hour in reversed([row async for row in self._rows(f"{self.job}|hours", newest_kept, AFTER_ALL)]):
            partition = f"{self.job}|{_name_of_hour(hour.key)}"
            while rows := await self.store.scan(JOURNAL, partition, limit=PAGE):
                if removed >= limit or until():
                    return removed
                objects = [(_object_of(row.data), row.key) for row in rows]
                pointers = [(self._object_partition(name), Delete(_pointer(name, key))) for name, key in objects]
                await commit_each(self.store, JOURNAL, pointers)
                await commit_each(self.store, JOURNAL, [(partition, Delete(row.key)) for row in rows])
                removed += len(rows)
            self._hours.discard(hour.key)
            await self.store.commit(JOURNAL, f"{self.job}|hours", [Delete(hour.key)])
        return removed

    async def is_empty(self) -> bool:
        return not await self.store.scan(JOURNAL, f"{self.job}|hours", limit=1)

    async def _walk(self, query: LogQuery) -> AsyncGenerator[tuple[str, Entry], None]:
        """Every entry that may match, with its key, in the order asked for and behind the query's position."""
        first, last = query.span
        low = "" if last is None else _key(last + 1)  # a millisecond more on both sides: times are rounded
        high = AFTER_ALL if first is None else _key(first - 1, AFTER_ALL)
        if query.position:
            low, high = (low, min(high, query.position)) if query.ascending else (max(low, query.position), high)
        if low >= high:
            return
        source_id = query.only("sourceIdentity/id")
        if source_id is not None:
            named = query.only("sourceIdentity/identityType")
            kinds = [kind for kind, name in IDENTITY_TYPES.items() if named in {None, name}]
            for kind in kinds:  # an id is a user's or a group's or a membership's, never two of them
                if kind == "member" and ":" not in source_id:
                    continue
                async for found in self._of_object(f"{kind}:{source_id}", low, high, ascending=query.ascending):
                    yield found
            return
        hours = [row.key async for row in self._rows(f"{self.job}|hours", "", AFTER_ALL)]
        wanted = [
            hour for hour in hours if (not low or hour >= _hour(low)) and (high == AFTER_ALL or hour <= _hour(high))
        ]
        for hour in reversed(wanted) if query.ascending else wanted:
            partition = f"{self.job}|{_name_of_hour(hour)}"
            rows = self._backwards(partition, low, high) if query.ascending else self._rows(partition, low, high)
            async for row in rows:
                yield row.key, row.decode(Entry)

    async def _rows(self, partition: str, after: str, before: str) -> AsyncGenerator[Row, None]:
        """In order of their keys, newest first."""
        while rows := await self.store.scan(JOURNAL, partition, after=after, before=before, limit=PAGE):
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = rows[-1].key

    async def _backwards(self, partition: str, after: str, before: str) -> AsyncGenerator[Row, None]:
        """Against the order of their keys, oldest first. A store scans one way only, so a range of too many rows is
        read in halves of its time.
        """
        rows = await self.store.scan(JOURNAL, partition, after=after, before=before, limit=PAGE)
        if len(rows) < PAGE:
            for row in reversed(rows):
                yield row
            return
        low, high = int(rows[0].key[:14]), int(rows[-1].key[:14])
        middle = f"{(low + high) // 2 + 1:014d}|"
        if low == high:  # all in one millisecond
            rest = [row async for row in self._rows(partition, rows[-1].key, before)]
            for row in (*reversed(rest), *reversed(rows)):
                yield row
            return
        for half in (self._backwards(partition, middle, before), self._backwards(partition, after, middle)):
            async for row in half:
                yield row

    async def _of_object(
        self, object_key: str, after: str, before: str, *, ascending: bool
    ) -> AsyncGenerator[tuple[str, Entry], None]:
        """An object has few entries: their pointers are read before the first of them."""
        partition = self._object_partition(object_key)
        first, last = _pointer(object_key, after), _pointer(object_key, before)
        keys = [row.key.partition("|")[2] async for row in self._rows(partition, first, last)]
        ordered = keys[::-1] if ascending else keys
        for start in range(0, len(ordered), 100):
            wanted = [(self._entries_partition(key), key) for key in ordered[start : start + 100]]
            rows = await self.store.get_many(JOURNAL, wanted)
            for partition_and_key in wanted:
                if (row := rows.get(partition_and_key)) is not None:
                    yield row.key, row.decode(Entry)

    def _entries_partition(self, key: str) -> str:
        return f"{self.job}|{_name_of_hour(_hour(key))}"

    def _object_partition(self, object_key: str) -> str:
        """By the object's bin: a chunk of the plan writes to one partition or two, not to one for each object."""
        return f"{self.job}|object|{bin_of(object_key)[0]}"


def _key(at: int, change: str = "") -> str:
    """The row key of an entry of a moment, in milliseconds since 1970."""
    return f"{NEWEST_FIRST - min(max(at, 0), NEWEST_FIRST - 1):014d}|{change}"


def _hour(key: str) -> str:
    """The hour of an entry's key, as the index of hours names it: newest first as well."""
    return f"{LAST_HOUR - (NEWEST_FIRST - int(key[:14])) // HOUR:08d}"


@lru_cache(maxsize=64)
def _name_of_hour(hour: str) -> str:
    return datetime.fromtimestamp((LAST_HOUR - int(hour)) * HOUR // 1000, UTC).strftime("%Y%m%d%H")


def _pointer(object_key: str, key: str) -> str:
    return f"{digest(object_key)[:24]}|{key}"


def _object_of(entry: Mapping[str, Any]) -> str:
    identity = entry["sourceIdentity"]
    return f"{KINDS[identity['identityType']]}:{identity['id']}"
