"""Reads all rows of a table that a condition selects, page by page and one request a page, so that whoever scans can
stop after any page and go on from its position. By keyset (`sys_id>CURSOR^ORDERBYsys_id`), because offsets skip and
repeat rows while others write; by offset, with checks of its own, where query ACLs forbid ranges and orders on sys_id.
Does not know what the rows are for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from provisioning.adapters.servicenow.answers import records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.query import LONGEST_URL, any_of, refusal
from provisioning.adapters.servicenow.reading import TRIES, Calls
from provisioning.adapters.servicenow.writing import SYS_ID
from provisioning.errors import Unauthorized, Unavailable
from provisioning.model import Record
from provisioning.rules.comparison import loose

ROWS_A_PAGE = 1_000
MOST_PASSES = 5
"""How often a scan by offset begins again because rows came or went between two of its pages."""
ZONES = 14 * 3600.0
"""Seconds by which no time zone differs more from UTC."""
MAY_UNDER_REPORT = (
    "the instance does not tell how many rows there are (X-Total-Count), so that a page which access rules emptied "
    "looks like the end: rows behind it may be missing"
)


class Among(Struct, frozen=True):
    """The field equals one of the values, as ServiceNow compares."""

    field: str
    values: tuple[str, ...]


class Updated(Struct, frozen=True):
    """The record was updated at or after a time (seconds since 1970), and not by the account `but_by`.

    No document says in which time zone the instance reads the time of a query, so that more is asked for, and the rows
    are checked by the time that they tell, which is in UTC.
    """

    since: float
    but_by: str = ""
    field: str = "sys_updated_on"

    @property
    def term(self) -> str:
        others = f"%5Esys_updated_by!%3D{quote(self.but_by, safe='')}" if self.but_by else ""
        return f"{self.field}%3E%3D{utc(self.since - ZONES).replace(' ', '%20')}{others}"

    def is_asked_for(self, row: Record) -> bool:
        return row[self.field] >= utc(self.since - 2 * ZONES)

    def holds(self, row: Record) -> bool:
        by = row.get("sys_updated_by", "")
        return row[self.field] >= utc(self.since) and not (self.but_by and loose(by) == loose(self.but_by))


def utc(seconds: float) -> str:
    """A time as ServiceNow writes it."""
    return datetime.fromtimestamp(max(0.0, seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


class Scan(Struct, frozen=True):
    """The rows of a table for which all conditions hold; without any, the whole table. The fields of the conditions are
    read too, to check each row against them. Who makes one has checked all fields against the dictionary: an instance
    drops what it does not know.
    """

    table: str
    conditions: tuple[Among | Updated, ...]
    fields: tuple[str, ...]
    limit: int = ROWS_A_PAGE

    def __post_init__(self) -> None:
        if self.limit < 2:  # noqa: PLR2004 - pages by offset overlap by one row
            raise ValueError(f"a page of {self.limit} rows: a scan needs at least 2")
        for condition in self.conditions:
            if isinstance(condition, Updated):
                continue
            if not condition.values or any(refusal(value) is not None for value in condition.values):
                raise ValueError(f"{self.table}.{condition.field}: a value that cannot be asked for, or none")
        if len(self.url(Position())) > LONGEST_URL:
            raise ValueError(f"{self.table}: the values do not fit into one address; ask in several scans")

    def url(self, position: Position) -> str:
        """Never with sysparm_no_count: the size of a window that access rules emptied would look like the end."""
        terms = [
            each.term if isinstance(each, Updated) else any_of(each.field, each.values) for each in self.conditions
        ]
        if position.by == "keyset":
            terms += [f"sys_id%3E{position.after}"] if position.after else []
            terms.append("ORDERBYsys_id")
        names = dict.fromkeys(("sys_id", *(condition.field for condition in self.conditions), *self.fields))
        return (
            f"/api/now/table/{self.table}?sysparm_query={'%5E'.join(terms)}&sysparm_fields={','.join(names)}"
            "&sysparm_display_value=false&sysparm_exclude_reference_link=true&sysparm_suppress_pagination_header=true"
            f"&sysparm_limit={self.limit}&sysparm_offset={position.offset}"
        )


class Position(Struct, frozen=True):
    """Where a scan goes on: behind the sys_id `after`, `offset` rows further. `total` is how many rows there were when
    the scan began. By offset, `first` is the row that must come first again, and `passes` counts how often the scan
    began.
    """

    after: str = ""
    offset: int = 0
    by: Literal["keyset", "offset"] = "keyset"
    total: int | None = None
    first: str = ""
    passes: int = 1


class Page(Struct, frozen=True):
    """`next` is None at the end. `total` is how many rows there were when the scan began, those that access rules hide
    included. `doubt` says why rows may be missing.
    """

    rows: tuple[Record, ...]
    next: Position | None
    total: int | None = None
    doubt: str = ""


START = Position()
BY_OFFSET = Position(by="offset")
"""Where to begin on an instance that is known to forbid ranges on sys_id."""


async def pages(calls: Calls, scan: Scan, position: Position = START) -> AsyncIterator[Page]:
    """The pages from a position to the end; no row twice. A page without rows is not the end.

    Raises `Unavailable` when the instance does not answer as asked, `Unauthorized` when it may not be asked.
    """
    seen: set[str] = set()
    going: Position | None = position
    while going is not None:
        page = await read_page(calls, scan, going)
        if going.by == "offset":
            page = replace(page, rows=tuple(row for row in page.rows if row["sys_id"] not in seen))
            seen.update(row["sys_id"] for row in page.rows)
        yield page
        going = page.next


async def read_page(calls: Calls, scan: Scan, position: Position) -> Page:
    """One step of a scan, one request. By offset, rows of earlier pages may come again."""
    result, total = await _asked(calls, scan, position)
    host = calls.session.host
    if isinstance(result, Fault):
        if result.kind == "refused" and result.code == "InsufficientRights" and position == START:
            return Page((), BY_OFFSET)  # if it is the table that is refused, the next step says so
        raise result.error(host)
    rows = tuple(_checked(scan, result, host))
    if position.by == "offset":
        return _page_by_offset(scan, position, rows, total, host)
    return _page_by_keyset(scan, position, rows, total, host)


async def _asked(calls: Calls, scan: Scan, position: Position) -> tuple[list[dict[str, str]] | Fault, int | None]:
    for attempt in range(TRIES):
        if attempt:
            await calls.session.pause(attempt)
        answer = await calls.get(scan.url(position))
        result = records_of(answer)
        if not isinstance(result, Fault) or result.kind != "doubt":
            break
    return result, answer.total


def _page_by_keyset(scan: Scan, position: Position, rows: tuple[Record, ...], total: int | None, host: str) -> Page:
    """A short page is not the end, for the window is cut before access rules take rows out. Nor is an empty one, as
    long as there are rows behind its window.
    """
    at_start = not position.after and not position.offset
    known = total if at_start else position.total
    if rows:
        ids = [position.after, *(row["sys_id"] for row in rows)]
        if not any(all(order(one) < order(next_) for one, next_ in pairwise(ids)) for order in _ORDERS):
            raise Unavailable(
                f"{host} answered with rows of {scan.table} that do not come after those before: it dropped the "
                "condition or the order on sys_id. Give the integration user the query_range ACL on sys_id there",
                code="InternalServerError",
            )
        if total is not None and total <= position.offset + scan.limit:
            return Page(rows, None, known)  # the window took in all that was left
        return Page(rows, Position(after=ids[-1], total=known), known)
    if total is None:
        return Page(rows, None, known, MAY_UNDER_REPORT)
    if total > position.offset + scan.limit:
        return Page(rows, replace(position, offset=position.offset + scan.limit, total=known), known)
    return Page(rows, None, known)


def _page_by_offset(scan: Scan, position: Position, rows: tuple[Record, ...], total: int | None, host: str) -> Page:
    """Rows that come or go between two pages shift those behind them. Seen by the count, and by the last row of a full
    page, which must come first on the next; the scan then begins again.
    """
    known = total if not position.offset else position.total
    shifted = bool(position.first) and (not rows or rows[0]["sys_id"] != position.first)
    if shifted or total != known:
        if position.passes >= MOST_PASSES:
            raise Unavailable(
                f"{host}: rows of {scan.table} came and went during each of {MOST_PASSES} scans. Give the integration "
                "user the query_range ACL on sys_id of this table: the scan then no longer depends on offsets",
                code="InternalServerError",
            )
        return Page(rows, replace(BY_OFFSET, passes=position.passes + 1), known)
    end = position.offset + scan.limit
    if total is None and not rows:
        return Page(rows, None, known, MAY_UNDER_REPORT)
    if total is not None and end >= total:
        return Page(rows, None, known)
    if len(rows) == scan.limit:
        return Page(rows, replace(position, offset=end - 1, first=rows[-1]["sys_id"], total=known), known)
    return Page(rows, replace(position, offset=end, first="", total=known), known)


def _checked(scan: Scan, rows: list[dict[str, str]], host: str) -> list[dict[str, str]]:
    """The rows, each of them asked for: an instance drops conditions that it does not understand."""
    asked = [(each.field, frozenset(map(loose, each.values))) for each in scan.conditions if isinstance(each, Among)]
    updated = [each for each in scan.conditions if isinstance(each, Updated)]
    for row in rows:
        if "sys_id" not in row or any(each.field not in row for each in scan.conditions):
            raise Unauthorized(
                f"{host}: rows of {scan.table} come without sys_id or without a field that they were asked for by. Let "
                "the integration user read these fields",
                code="InsufficientRights",
            )
        if not SYS_ID.fullmatch(row["sys_id"]):
            raise Unavailable(
                f"{host}: a row of {scan.table} has a sys_id that cannot be asked for, so that the rows behind it are "
                "out of reach. Correct it in ServiceNow: letters, digits, dots, dashes and underscores, 32 at most",
                code="InternalServerError",
            )
        if any(loose(row[field]) not in values for field, values in asked) or not all(
            each.is_asked_for(row) for each in updated
        ):
            raise Unavailable(
                f"{host} returned rows of {scan.table} that nobody asked for: it dropped a condition. Nothing was done "
                "with them. Let the integration user query the field; set glide.invalid_query.returns_no_rows to true",
                code="InternalServerError",
            )
    return rows


_PUNCTUATION_FIRST = str.maketrans("_-.", "\x01\x02\x03")
# sys_ids are not always hexadecimal, and how a database orders the others depends on its collation: these are the
# orders that occur. For hexadecimal ones they are all the same.
_ORDERS = (str, str.lower, str.upper, lambda text: text.translate(_PUNCTUATION_FIRST).lower())
