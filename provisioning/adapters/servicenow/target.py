"""ServiceNow as the engine sees it: columns, lookups by value and by sys_id, memberships, batches of writes, and a
connection test. Puts the parts of this package together for one instance and remembers its dictionary.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

import msgspec

from provisioning.adapters.servicenow import checking, dictionary
from provisioning.adapters.servicenow.budget import measured
from provisioning.adapters.servicenow.checking import Report, Task
from provisioning.adapters.servicenow.identity import identity
from provisioning.adapters.servicenow.pace import Pace
from provisioning.adapters.servicenow.query import Lookup, lookups, refusal
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.adapters.servicenow.roles import Roles
from provisioning.adapters.servicenow.scanning import START, Among, Position, Scan, Updated, pages, read_page
from provisioning.adapters.servicenow.session import ServiceNowSession
from provisioning.adapters.servicenow.writing import SYS_ID, Writer
from provisioning.errors import Unauthorized
from provisioning.model import ChangedPage, Record, RecordPage, Write, WriteOutcome
from provisioning.rules.comparison import loose
from provisioning.rules.measures import Measures
from provisioning.rules.protection import Administrators

TABLES = (
    "sys_user",
    "sys_user_group",
    "sys_user_grmember",
    "cmn_department",
    "cmn_location",
    "core_company",
    "cmn_cost_center",
)
_MEMBERS = "sys_user_grmember"
Known = dictionary.Columns


class ServiceNowTarget:
    """`honours_sys_ids` is what a probe found out of the instance."""

    def __init__(
        self, session: ServiceNowSession, *, tables: Sequence[str] = TABLES, honours_sys_ids: bool = True
    ) -> None:
        self._session = session
        self._tables = tuple(tables)
        self._calls = Calls(session)
        self._reader = Reader(self._calls)
        self._roles = Roles(self._calls, self._reader)
        self._pace = Pace()
        self._writer = Writer(
            self._calls, self._reader, self._pace, lengths=self._length, honours_sys_ids=honours_sys_ids
        )
        self._columns: dictionary.Columns | None = None
        self._asked: set[str] = set()
        self._learning = asyncio.Lock()
        self._naming = asyncio.Lock()
        self._name: str | None = None
        self.batch_size = self._pace.size

    def refusal(self, value: str) -> str | None:
        """Why a value cannot be searched for, or None."""
        return refusal(value)

    async def dictionary(self) -> dictionary.Columns:
        """Read once; another target learns it anew."""
        async with self._learning:
            if self._columns is None:
                self._columns = await dictionary.load(self._calls, self._reader, self._tables)
            return self._columns

    async def display_column(self, table: str) -> str:
        await self._require(table, ())
        columns = (await self.dictionary())[table]
        return next((name for name, column in columns.items() if column.display), "name")

    async def find(
        self, table: str, field: str, values: Collection[str], fields: Collection[str]
    ) -> Mapping[str, tuple[Record, ...]]:
        """A value with a `refusal` is absent from the answer, like one without a hit: ask `refusal` before.

        Rows that row access rules hide are not seen. Raises `ConfigError` when the table lacks a field.
        """
        await self._require(table, (field, *fields))
        asked = [value for value in dict.fromkeys(values) if refusal(value) is None]
        hits: dict[str, dict[str, Record]] = {}
        for _, rows in await self._reader.rows(lookups(table, field, asked, _with_key(field, fields))):
            for row in rows:
                hits.setdefault(loose(row[field]), {})[row["sys_id"]] = row
        return {value: tuple(found.values()) for value in asked if (found := hits.get(loose(value)))}

    async def find_named(
        self, named: Mapping[tuple[str, str], Collection[str]]
    ) -> Mapping[tuple[str, str], Mapping[str, tuple[Record, ...]]]:
        """In one call as far as it takes them, and raises as `find`."""
        asked: dict[tuple[str, str], list[str]] = {}
        questions: list[Lookup] = []
        for (table, field), values in named.items():
            await self._require(table, (field,))
            asked[table, field] = [value for value in dict.fromkeys(values) if refusal(value) is None]
            questions += lookups(table, field, asked[table, field], _with_key(field, (field,)))
        hits: dict[tuple[str, str, str], dict[str, Record]] = {}
        for lookup, rows in await self._reader.rows(questions):
            for row in rows:
                place = (lookup.table, lookup.field, loose(row[lookup.field]))
                hits.setdefault(place, {})[row["sys_id"]] = row
        return {
            (table, field): {
                value: tuple(found.values()) for value in values if (found := hits.get((table, field, loose(value))))
            }
            for (table, field), values in asked.items()
        }

    async def scan(self, table: str, fields: Collection[str]) -> AsyncIterator[RecordPage]:
        """Holds one page at a time; by offset, where query ACLs forbid ranges, also the sys_ids that it has seen."""
        await self._require(table, fields)
        async for page in pages(self._calls, Scan(table, (), tuple(fields))):
            yield RecordPage(page.rows, page.total, page.doubt)

    async def read(self, table: str, sys_ids: Collection[str], fields: Collection[str]) -> Mapping[str, Record]:
        await self._require(table, fields)
        asked = [sys_id for sys_id in dict.fromkeys(sys_ids) if SYS_ID.fullmatch(sys_id)]
        found = await self._reader.rows(lookups(table, "sys_id", asked, _with_key("sys_id", fields)))
        present = {row["sys_id"]: row for _, rows in found for row in rows}
        return {sys_id: present[sys_id] for sys_id in asked if sys_id in present}

    async def changed_since(self, table: str, since: float, fields: Collection[str], after: str) -> ChangedPage:
        """Ordered by sys_id, so that nothing is skipped when a record is updated again meanwhile."""
        await self._require(table, (*fields, "sys_updated_on", "sys_updated_by"))
        condition = Updated(since, await self._own_name())
        position = msgspec.json.decode(after, type=Position) if after else START
        page = await read_page(self._calls, Scan(table, (condition,), ("sys_updated_by", *fields)), position)
        rows = tuple(row for row in page.rows if condition.holds(row))
        return ChangedPage(rows, msgspec.json.encode(page.next).decode() if page.next is not None else None)

    async def _own_name(self) -> str:
        """The user name of the account that we are logged in with; "" where the instance does not tell."""
        async with self._naming:
            if self._name is None:
                own = await self.own_account()
                found = await self.read("sys_user", [own], ["user_name"]) if own else {}
                name = found.get(own, {}).get("user_name", "") if own else ""
                self._name = "" if refusal(name) else name
            return self._name

    async def memberships(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """Asked by group or by user, whichever takes fewer questions."""
        asked = {pair for pair in pairs if SYS_ID.fullmatch(pair[0]) and SYS_ID.fullmatch(pair[1])}
        by_group = len({group for group, _ in asked}) <= len({user for _, user in asked})
        sides: dict[str, list[str]] = {}
        for group, user in sorted(asked):
            one, other = (group, user) if by_group else (user, group)
            sides.setdefault(one, []).append(other)
        given, field = ("group", "user") if by_group else ("user", "group")
        questions: list[Lookup] = []
        for one, others in sides.items():
            questions += lookups(_MEMBERS, field, others, ("sys_id", "group", "user"), (given, one))
        found: dict[tuple[str, str], dict[str, None]] = {}
        for _, rows in await self._reader.rows(questions):
            for row in rows:
                pair = (row["group"], row["user"])
                if pair in asked:
                    found.setdefault(pair, {})[row["sys_id"]] = None
        return {pair: tuple(sys_ids) for pair, sys_ids in found.items()}

    def measured(self) -> AbstractContextManager[Measures]:
        return measured()

    def share(self, slots: int) -> AbstractContextManager[None]:
        """So many calls may run at once for what is done inside the block, beside those of other blocks."""
        return self._session.budget.share(slots)

    @property
    def refused(self) -> int:
        """How many calls the instance has refused because there were too many at once."""
        return self._session.budget.refused

    async def groups_of(self, users: Collection[str]) -> Mapping[str, frozenset[str]]:
        return await self._other_ends("user", users, "group")

    async def members_of(self, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
        return await self._other_ends("group", groups, "user")

    async def _other_ends(self, one: str, sys_ids: Collection[str], other: str) -> dict[str, frozenset[str]]:
        await self._require(_MEMBERS, ("user", "group"))
        found: dict[str, set[str]] = {}
        asked = [sys_id for sys_id in dict.fromkeys(sys_ids) if SYS_ID.fullmatch(sys_id)]
        for each in lookups(_MEMBERS, one, asked, (other,)):
            async for page in pages(self._calls, Scan(each.table, (Among(each.field, each.values),), (other,))):
                for row in page.rows:
                    found.setdefault(row[one], set()).add(row[other])
        return {sys_id: frozenset(others - {""}) for sys_id, others in found.items()}

    async def identity(self) -> Mapping[str, str]:
        return await identity(self._calls)

    async def own_account(self) -> str | None:
        return await self._roles.own_account()

    async def administrators(self) -> Administrators:
        return await self._roles.administrators()

    async def groups_with_roles(self, sys_ids: Collection[str]) -> frozenset[str]:
        return await self._roles.carrying(sys_ids)

    async def security_admin_groups(self, sys_ids: Collection[str] | None = None) -> frozenset[str]:
        return await self._roles.with_security_admin(sys_ids)

    async def write(self, writes: Sequence[Write]) -> Mapping[str, WriteOutcome]:
        """May take several calls: what the instance did not get to is sent again, what is in doubt is read back."""
        try:
            return await self._writer.write(writes)
        finally:
            self.batch_size = self._pace.size

    async def check(self, task: Task) -> Report:
        """Whether this instance can be used for a job, and what it can do."""
        return await checking.check(self._calls, self._reader, self.dictionary, task)

    def _length(self, table: str, name: str) -> int:
        """How many characters a column has room for; 0 where it was not learnt."""
        column = (self._columns or {}).get(table, {}).get(name)
        return column.max_length if column else 0

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _learnt(self, table: str, columns: Known) -> Known:
        """The dictionary with another table in it, where the instance tells of one; asked for once."""
        if table not in columns and table not in self._asked:
            self._asked.add(table)
            with suppress(Unauthorized):  # that nothing is told of it is what the caller finds
                found = await dictionary.load(self._calls, self._reader, [table])
                self._columns = columns = {**columns, **found}
        return self._columns or columns

    async def _require(self, table: str, fields: Collection[str]) -> None:
        columns = await self.dictionary()
        if table not in columns:  # what mapped columns refer to is learnt when it is needed
            async with self._learning:
                columns = await self._learnt(table, columns)
        dictionary.require(columns, self._session.host, table, fields)


def _with_key(field: str, fields: Collection[str]) -> tuple[str, ...]:
    """Never without names: no names would mean all fields."""
    return (field, *fields)
