"""Asks an instance what it lets us do, by reads alone: who we are, the time by its clock, which columns come back,
which filters it takes. Hands on what was seen and judges nothing; a call that breaks raises.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import quote

from msgspec import Struct

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.query import Lookup, lookups, refusal
from provisioning.adapters.servicenow.reading import Calls, Reader, Result
from provisioning.adapters.servicenow.usage import Usage
from provisioning.errors import Unavailable
from provisioning.model import Record

SAMPLE = 20
"""Rows of a table that are looked at: a column that none of them shows may not be read."""
MOST_ROLES = 1_000
USERS = "sys_user"
OWN_FIELDS = ("sys_id", "user_name", "active", "locked_out", "web_service_access_only")
PROPERTY = "glide.invalid_query.returns_no_rows"
UNKNOWN_FIELD = "zz_no_such_field"
NOBODY = "zz-provisioning-probe"
_ROLE = "role.name"
_RULE = ("sys_security_acl.name", "sys_security_acl.operation", "sys_user_role.name")

Search = Literal["answered", "refused", "ignored", "silent"]
"""What became of a search by one column: `ignored` came back with rows that nobody asked for, `silent` without a row
that is there."""


class Greeting(Struct, frozen=True):
    """The first answer. `own` holds the record of our own account; `skew` is how far the instance's clock is ahead of
    ours, in seconds; `limit` is what a rate limit rule says of itself.
    """

    own: Result
    skew: float | None
    limit: str = ""


class Seen(Struct, frozen=True):
    """What was seen of one table. `ranged` is its answer to `sys_id>` the first row of the sample."""

    usage: Usage
    sample: Result
    ranged: Result | None = None
    searches: dict[str, Search] = {}


class Probe(Struct, frozen=True):
    """`rules` are ACLs with the roles that they ask for, `closed` the tables without web service access."""

    tables: tuple[Seen, ...]
    roles: Result
    invalid: Result
    returns_no_rows: str | None
    inactive: Result
    rules: Result
    closed: frozenset[str]


async def greet(calls: Calls, now: Callable[[], float]) -> Greeting:
    """One read: of the account that we are, by a constant query that the instance itself completes."""
    own = _url(USERS, "sys_id=javascript:gs.getUserID()", OWN_FIELDS, 2)
    answer, headers = await calls.get_with_headers(own)
    received = now()
    found = records_of(answer)
    if isinstance(found, Fault) and found.kind not in {"refused", "missing", "no table"}:
        raise found.error(calls.session.host)
    date = email.utils.parsedate_tz(headers.get("Date", ""))
    limit, rule = headers.get("X-RateLimit-Limit", ""), headers.get("X-RateLimit-Rule", "")
    return Greeting(
        found,
        None if date is None else email.utils.mktime_tz(date) - received,
        f"{limit} requests an hour (rule {rule or 'unknown'})" if limit else "",
    )


async def try_batch(calls: Calls) -> Fault | None:
    """A batch of one read. Raises `Unavailable` for what is no matter of batches."""
    reply = await calls.batch([batch.read(0, _url(USERS, "", ("sys_id",), 1))])
    if not isinstance(reply, Fault):
        return None
    if reply.kind in {"login", "throttled", "asleep"}:
        raise reply.error(calls.session.host)
    return reply


class Asking:
    """Reads, in batches where the instance takes them."""

    def __init__(self, calls: Calls, reader: Reader, *, batched: bool) -> None:
        self._calls = calls
        self._reader = reader
        self._batched = batched

    async def results(self, urls: Sequence[str]) -> list[Result]:
        if self._batched:
            return await self._reader.results(urls)
        return [records_of(await self._calls.get(url)) for url in urls]

    async def probe(self, usages: Sequence[Usage], own: str) -> Probe:
        tables = [usage.table for usage in usages]
        questions = {
            "invalid": _url(USERS, f"{UNKNOWN_FIELD}=1", ("sys_id",), 1),
            "property": _url("sys_properties", f"name={PROPERTY}", ("name", "value"), 2),
            "inactive": _url(USERS, "active=false", ("sys_id", "active"), 1),
            "tables": _url("sys_db_object", f"nameIN{','.join(tables)}", ("name", "ws_access"), len(tables)),
            "rules": _url("sys_security_acl_role", _about(usages), _RULE, MOST_ROLES),
        }
        if own:
            questions["roles"] = _url("sys_user_has_role", f"user={own}", (_ROLE, "state"), MOST_ROLES)
        samples = [_url(usage.table, "", usage.reads, SAMPLE) for usage in usages]
        answers = await self.results([*questions.values(), *samples])
        told = dict(zip(questions, answers, strict=False))
        seen = [Seen(usage, sample) for usage, sample in zip(usages, answers[len(questions) :], strict=True)]
        return Probe(
            tuple(await self._search(seen)),
            told.get("roles", []),
            told["invalid"],
            _value(told["property"]),
            told["inactive"],
            told["rules"],
            frozenset(row["name"] for row in _rows(told["tables"]) if row.get("ws_access") == "false"),
        )

    async def _search(self, seen: Sequence[Seen]) -> list[Seen]:
        """Asks again for rows that are known to be there, by each column that the job searches by."""
        readable = [each for each in seen if not isinstance(each.sample, Fault)]
        ranges = [
            _url(each.usage.table, f"{_after(each.sample)}ORDERBYsys_id", ("sys_id",), SAMPLE) for each in readable
        ]
        asked = [(each.usage.table, column, lookup) for each in readable for column, lookup in _searches(each)]
        answers = await self.results([*ranges, *(lookup.url for _, _, lookup in asked)])
        ranged = {each.usage.table: answer for each, answer in zip(readable, answers, strict=False)}
        searched: dict[str, dict[str, Search]] = {}
        for (table, column, lookup), answer in zip(asked, answers[len(ranges) :], strict=True):
            by_column = searched.setdefault(table, {})
            if by_column.get(column, "answered") == "answered":
                by_column[column] = _became(lookup, answer)
        return [
            Seen(each.usage, each.sample, ranged.get(each.usage.table), searched.get(each.usage.table, {}))
            for each in seen
        ]


def _searches(seen: Seen) -> list[tuple[str, Lookup]]:
    """One search by `=` and one by IN for each column; for one without values, for a value that nobody has."""
    found: list[tuple[str, Lookup]] = []
    for column in seen.usage.searches:
        values = [row[column] for row in _rows(seen.sample) if row.get(column) and refusal(row[column]) is None]
        for some in dict.fromkeys((tuple(values[:1]), tuple(dict.fromkeys(values[:2])))):
            found += [(column, lookup) for lookup in lookups(seen.usage.table, column, some or (NOBODY,), ("sys_id",))]
    return found


def _became(lookup: Lookup, answer: Result) -> Search:
    if isinstance(answer, Fault):
        return "refused"
    try:
        rows = list(lookup.checked(answer))
    except Unavailable:
        return "ignored"
    return "answered" if rows or lookup.values == (NOBODY,) else "silent"


def _url(table: str, query: str, fields: Sequence[str], limit: int) -> str:
    """`query` is made of constants, of ids that were checked and of names from the schema."""
    names = ",".join(quote(name, safe="") for name in fields)
    return (
        f"/api/now/table/{quote(table, safe='')}?sysparm_query={quote(query, safe='=,.')}&sysparm_fields={names}"
        "&sysparm_display_value=false&sysparm_exclude_reference_link=true&sysparm_suppress_pagination_header=true"
        f"&sysparm_no_count=true&sysparm_limit={limit}"
    )


def _after(sample: Result) -> str:
    first = min(plain_ids(_rows(sample)), default="")
    return f"sys_id>{first}^"


def plain_ids(rows: Sequence[Record]) -> list[str]:
    """The ids that every collation puts into the same order."""
    return [row["sys_id"].lower() for row in rows if row.get("sys_id", "").isalnum()]


def _about(usages: Sequence[Usage]) -> str:
    """The rules for the tables that are written, and for their columns."""
    written = [usage for usage in usages if usage.changes_records]
    names = [f"{usage.table}{part}" for usage in written for part in ("", ".*", *(f".{name}" for name in usage.writes))]
    return f"sys_security_acl.active=true^sys_security_acl.nameIN{','.join(names)}"


def _rows(result: Result) -> Sequence[Record]:
    return [] if isinstance(result, Fault) else result


def _value(result: Result) -> str | None:
    return next((row.get("value", "") for row in _rows(result) if row.get("name") == PROPERTY), None)
