"""Searches the log for a page, in bounded time however long the log is, and for an export."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from provisioning.dashboard.reading import names_of
from provisioning.dashboard.views.log_search import TIME, Search
from provisioning.dashboard.views.logs import Found, memberships_of
from provisioning.engine import linking
from provisioning.engine.context import Context
from provisioning.engine.journal import Journal
from provisioning.rules.log_query import Condition, LogQuery, milliseconds
from provisioning.rules.log_tables import COLUMNS, Table, rows_of
from provisioning.rules.summary import IDENTITY_TYPES

SHOWN = 50
"""Entries on a page."""
SEEN = 1500
"""Entries that one page looks at: what is rare is found by looking further back, page by page."""
EXPORTED = 10_000
CYCLES = 200


async def search_page(context: Context, search: Search, token: str) -> Found:
    """Raises `QueryError`."""
    query = search.query(await _meant(context, search), SHOWN, token)
    page = await Journal(context.store, context.job.id, searched=SEEN).search(query)
    looked = SEEN if page.next_token is not None and len(page.entries) < SHOWN else 0
    return Found(page.entries, page.next_token, looked, await names_of(context, memberships_of(page.entries)))


async def exported(context: Context, search: Search) -> list[dict[str, Any]]:
    """The newest entries that are asked for, `EXPORTED` at most. Raises `QueryError`."""
    query = search.query(await _meant(context, search), EXPORTED, "")
    return [entry async for entry in context.journal.entries(query)]


async def find_entry(context: Context, change: str, at: str) -> Mapping[str, Any] | None:
    """One entry by its change and its time: an hour's entries are not read for it. Raises ValueError for no time."""
    moment = milliseconds(at)
    conditions = (Condition("changeId", "eq", change), Condition(TIME, "ge", moment), Condition(TIME, "le", moment))
    found: AsyncIterator[Mapping[str, Any]] = context.journal.entries(LogQuery(conditions, top=1))
    async for entry in found:
        return entry
    return None


async def _meant(context: Context, search: Search) -> tuple[Condition, ...]:
    """Who is meant by a name or an id, and when a cycle was: what a query need not look through."""
    conditions: list[Condition] = []
    if search.cycle:
        cycles = await context.rows.cycles(limit=CYCLES)
        found = next((each for each in cycles if each["cycle"] == search.cycle), None)
        if found is not None:
            conditions.append(Condition(TIME, "ge", int(found["began"] * 1000)))
            conditions.append(Condition(TIME, "le", int(found["ended"] * 1000) + 1))
    if search.who:
        known = await linking.remembered(context, search.who)
        if known is not None:
            conditions.append(Condition("sourceIdentity/id", "eq", known.link.id))
            conditions.append(Condition("sourceIdentity/identityType", "eq", IDENTITY_TYPES[known.link.type]))
        elif linking.GUID.fullmatch(search.who.lower()):
            conditions.append(Condition("sourceIdentity/id", "eq", search.who.lower()))
        else:
            conditions.append(Condition("sourceIdentity/displayName", "contains", search.who))
    return tuple(conditions)


def as_json(entries: list[dict[str, Any]]) -> str:
    return json.dumps(entries, ensure_ascii=False, indent=1)


def as_csv(entries: list[dict[str, Any]], table: Table) -> str:
    """One of Microsoft's three tables, with the mark by which spreadsheets know the encoding."""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(COLUMNS[table])
    for entry in entries:
        writer.writerows(row for name, row in rows_of(entry) if name == table)
    return text.getvalue()
