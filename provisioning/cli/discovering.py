"""`discover`: what every account and group of the instance is to provisioning, as a table, as CSV or as JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from rich import box
from rich.table import Table

from provisioning.app import App
from provisioning.cli.listing import refuse_unwritable, whole, write_csv, write_json
from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.discovery import Discovered, Discovery, discover
from provisioning.errors import ConfigError
from provisioning.model import ObjectType
from provisioning.rules.discovery import ATTENTION, STATES, State
from provisioning.rules.durations import duration

Form = Literal["table", "csv", "json"]
KINDS: tuple[ObjectType, ...] = ("user", "group")
COLUMNS = ("type", "sysId", "name", "state", "active", "job", "sourceIds", "lastLogin", "reason")
SHOWN = 20
TOLD_EVERY = 3.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person has asked for. No `states` means all of them."""

    kinds: Sequence[ObjectType] = KINDS
    states: Collection[State] = ()
    stale_days: int = 90
    form: Form = "table"
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how it was read."""

    found: Sequence[Discovery]
    wanted: Wanted
    head: dict[str, Any]
    counts: dict[str, dict[State, int]] = field(default_factory=dict)

    def records(self, states: Collection[State]) -> Iterator[Discovered]:
        for each in self.found:
            for record in each.records(self.wanted.stale_days):
                if not states or record.state in states:
                    yield record


def form_of(out: Path | None, *, csv: bool, as_json: bool) -> Form:
    """The form that was asked for, else the one that the name of the file says. Raises `ConfigError`."""
    if csv or as_json:
        return "csv" if csv else "json"
    if out is None:
        return "table"
    match out.suffix.lower():
        case ".csv":
            return "csv"
        case ".json":
            return "json"
        case _:
            raise ConfigError(f"--out {out}: add --csv or --json, or name a file that ends in .csv or .json")


async def run_discovery(shell: Shell, wanted: Wanted) -> Exit:
    """Writes to neither side and not to the state. Output begins when everything was read."""
    if wanted.out is not None:
        refuse_unwritable(wanted.out)
    async with opened(shell, dry_run=True) as app:
        report = await _report(app, shell, wanted)
    if wanted.out is not None:
        with whole(wanted.out) as file:
            _write(report, file)
    elif wanted.form != "table":
        _write(report, shell.out.file)
        return Exit.OK
    _show(report, shell)
    return Exit.OK


async def _report(app: App, shell: Shell, wanted: Wanted) -> Report:
    began = time.monotonic()
    jobs = sorted(await app.engine.registry.jobs())
    watch = _watch(shell)
    found = [await discover(app.engine.context, kind, jobs, watch) for kind in wanted.kinds]
    head = {
        "job": app.settings.job_id,
        "source": app.settings.tenant_id,
        "target": app.settings.instance_host,
        "staleDays": wanted.stale_days,
        "graphRequests": app.graph_requests,
        "serviceNowRequests": app.servicenow_requests,
        "seconds": round(time.monotonic() - began, 3),
        "notes": [note for each in found for note in _notes(each)],
    }
    report = Report(found, wanted, head)
    for each in found:
        states = Counter(record.state for record in each.records(wanted.stale_days))
        report.counts[f"{each.kind}s"] = {state: states[state] for state in STATES}
    head["counts"] = report.counts
    return report


def _watch(shell: Shell) -> Callable[[str, int, int | None], None]:
    told = time.monotonic()

    def watch(what: str, done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told >= TOLD_EVERY:
            told = time.monotonic()
            shell.note(f"read {done:,}{f' of {total:,}' if total else ''} {what}")

    return watch


def _notes(found: Discovery) -> Iterator[str]:
    kind = found.kind
    yield from found.notes
    if found.dangling:
        yield f"links whose {kind} is not in ServiceNow any more: {found.dangling:,}"
    if found.keyless:
        yield f"{kind}s in Entra without a key that a record could be found by: {found.keyless:,}"


def _write(report: Report, file: IO[str]) -> None:
    records = report.records(report.wanted.states)
    if report.wanted.form == "csv":
        write_csv(file, COLUMNS, (_cells(record) for record in records))
    else:
        write_json(file, report.head, "objects", (_as_json(record) for record in records))


def _as_json(record: Discovered) -> dict[str, Any]:
    return {
        "type": record.kind,
        "sysId": record.sys_id,
        "name": record.name,
        "state": record.state,
        "active": record.active,
        "job": record.job or None,
        "sourceIds": list(record.sources),
        "lastLogin": record.last_login.isoformat() if record.last_login else None,
        "reason": record.reason,
    }


def _cells(record: Discovered) -> list[str]:
    return [
        record.kind,
        record.sys_id,
        record.name,
        record.state,
        "true" if record.active else "false",
        record.job,
        " ".join(record.sources),
        record.last_login.isoformat() if record.last_login else "",
        record.reason,
    ]


def _show(report: Report, shell: Shell) -> None:
    shell.show(_table(report))
    head = report.head
    shell.say(
        f"{head['graphRequests']:,} requests to Graph, {head['serviceNowRequests']:,} to ServiceNow, "
        f"{duration(head['seconds'])}"
    )
    for note in head["notes"]:
        shell.say(f"Note: {note}")
    wanted = report.wanted
    if wanted.out is not None:
        shell.say(f"Written to {wanted.out}")
        return
    states = [state for state in ATTENTION if not wanted.states] or [s for s in STATES if s in wanted.states]
    number = sum(counts[state] for counts in report.counts.values() for state in states)
    left = SHOWN
    for state in states:
        for record in islice(report.records((state,)), left):
            left -= 1
            who = f"{record.kind} {record.name or '(without a name)'} ({record.sys_id})"
            shell.say(f"{record.state:<11}{who}: {record.reason}")
        if not left:
            break
    if number > SHOWN:
        shell.say(f"and {number - SHOWN:,} more; --csv or --json shows all, --state some")


def _table(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for state in STATES:
        table.add_column(state, justify="right", no_wrap=True)
    for kind, counts in report.counts.items():
        table.add_row(kind, *(f"{counts[state]:,}" for state in STATES))
    return table
