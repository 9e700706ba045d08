"""`drift`: what others changed of the records that are managed, as a table, as CSV or as JSON. Compares what ServiceNow
holds with what was last written; reads neither Entra nor changes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from provisioning.cli.counting import Counted, counting
from provisioning.cli.discovering import Form
from provisioning.cli.listing import refuse_unwritable, whole, write_csv, write_json
from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.context import Context
from provisioning.engine.reconciling import compared_fields, linked_records
from provisioning.model import Drifted, Link, ObjectType, Record
from provisioning.rules.drift import drift_of_record
from provisioning.rules.redaction import REDACTED

DAY = 86_400.0
KINDS: tuple[ObjectType, ...] = ("user", "group")
COLUMNS = (
    "type",
    "sourceId",
    "sysId",
    "attribute",
    "entraValue",
    "serviceNowValue",
    "policy",
    "updatedBy",
    "updatedOn",
)
SHOWN = 20
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """One value that others changed."""

    link: Link
    drifted: Drifted
    redacted: bool

    def cells(self) -> tuple[str, ...]:
        each = self.drifted
        ours, theirs = (REDACTED if self.redacted and value else value for value in (each.ours, each.theirs))
        ends = (self.link.type, self.link.id, self.link.sys_id or "")
        return (*ends, each.column, ours, theirs, each.policy, each.by, each.at)


async def run_drift(shell: Shell, days: int | None, form: Form, out: Path | None) -> Exit:
    """Of the last days, at the cost of what was updated in them; without days, of everything that is managed."""
    if out is not None:
        refuse_unwritable(out)
    async with opened(shell, dry_run=True) as app:
        context = app.engine.context
        with counting(shell) as count:
            found = [each for kind in KINDS async for each in _found(context, kind, days, count)]
        head: dict[str, Any] = {
            "job": app.settings.job_id,
            "target": app.settings.instance_host,
            "days": days,
            "serviceNowRequests": app.servicenow_requests,
        }
    if out is not None:
        with whole(out) as file:
            _write(found, head, form, file)
    elif form != "table":
        _write(found, head, form, shell.out.file)
        return Exit.OK
    _show(found, shell)
    return Exit.OK


async def _found(context: Context, kind: ObjectType, days: int | None, count: Counted) -> AsyncIterator[Found]:
    mapping, policy = context.job.schema.mapping(kind), context.job.policy.drift
    fields = await compared_fields(context, kind)
    pages = _managed(context, kind, fields) if days is None else _updated(context, kind, fields, days)
    compared = 0
    async for pairs in pages:
        compared += len(pairs)
        count(f"records of {kind}s", compared, None)
        for link, row in pairs:
            for drifted in drift_of_record(mapping, link, row, policy):
                yield Found(link, drifted, drifted.column in mapping.redacted)


async def _updated(
    context: Context, kind: ObjectType, fields: Sequence[str], days: int
) -> AsyncIterator[list[tuple[Link, Record]]]:
    table, since = context.job.schema.mapping(kind).table, context.now() - days * DAY
    cursor: str | None = ""
    while cursor is not None:
        page = await context.target.changed_since(table, since, fields, cursor)
        yield await linked_records(context, kind, page.rows)
        cursor = page.next


async def _managed(
    context: Context, kind: ObjectType, fields: Sequence[str]
) -> AsyncIterator[list[tuple[Link, Record]]]:
    table = context.job.schema.mapping(kind).table
    async for links in context.links.pages(kind):
        linked = {link.sys_id: link for link in links if link.linked and link.sys_id}
        records = await context.target.read(table, list(linked), ("sys_id", *fields)) if linked else {}
        yield [(linked[sys_id], record) for sys_id, record in records.items()]


def _write(found: Sequence[Found], head: dict[str, Any], form: Form, file: Any) -> None:
    if form == "csv":
        write_csv(file, COLUMNS, (each.cells() for each in found))
    else:
        write_json(file, head, "changes", _objects(found))


def _objects(found: Sequence[Found]) -> Iterator[dict[str, Any]]:
    for each in found:
        yield dict(zip(COLUMNS, each.cells(), strict=True))


def _show(found: Sequence[Found], shell: Shell) -> None:
    if not found:
        shell.say("Nothing that we wrote was changed by others")
        return
    columns = Counter((each.link.type, each.drifted.column, each.drifted.policy) for each in found)
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(found):,} values were changed by others", title_justify="left")
    for name in ("type", "attribute", "policy", "changed"):
        table.add_column(name, justify="right" if name == "changed" else "left")
    for (kind, column, policy), number in sorted(columns.items()):
        table.add_row(kind, column, policy, f"{number:,}")
    shell.show(table)
    for each in found[:SHOWN]:
        type_, source_id, _, column, ours, theirs, how, by, at = each.cells()
        who = f" (record last updated by {by} on {at} UTC)" if by else ""
        shell.say(f"  {type_} {source_id}: {column} was {ours or '(empty)'} and is {theirs or '(empty)'}{who}, {how}")
    if len(found) > SHOWN:
        shell.say(f"  and {len(found) - SHOWN:,} more; --csv or --json shows all")
