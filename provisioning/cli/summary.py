"""What a cycle did, as a table for people and as JSON for programs. Knows counts, not objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, to_builtins
from rich import box
from rich.table import Table
from rich.text import Text

from provisioning.engine.jobs import HeldRemovals

KINDS = ("users", "groups", "memberships")
COLUMNS = ("created", "updated", "disabled", "deleted", "skipped", "held", "failed")
STYLES = {"created": "green", "updated": "cyan", "disabled": "yellow", "deleted": "yellow", "held": "magenta"} | {
    "failed": "red"
}

Counts = dict[str, dict[str, int]]
"""Objects by kind and by what became of them; every kind and column is there."""


class Failed(Struct, frozen=True):
    """An object that could not be provisioned, and what to do about it."""

    name: str
    code: str
    reason: str
    way_out: str


class Summary(Struct, frozen=True):
    """The end of a cycle, or of a dry run of one (`planned`). `held` is the id under which held removals can be
    approved, `guard` how many they are and why, `rejected` how many of each kind are left alone because a person has
    rejected them, `halted` why the cycle stopped early.
    """

    cycle: str
    kind: str
    planned: bool
    counts: Counts
    graph_requests: int
    servicenow_requests: int
    seconds: float
    held: str | None = None
    guard: HeldRemovals | None = None
    rejected: dict[str, int] = {}
    halted: str | None = None
    failures: tuple[Failed, ...] = ()

    @property
    def changes(self) -> int:
        names = ("created", "updated", "disabled", "deleted")
        return sum(self.counts[kind][name] for kind in KINDS for name in names)

    @property
    def failed(self) -> int:
        return sum(self.counts[kind]["failed"] for kind in KINDS)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = to_builtins(self)
        return document


def no_counts() -> Counts:
    return {kind: dict.fromkeys(COLUMNS, 0) for kind in KINDS}


def counts_of(counts: Mapping[str, int]) -> Counts:
    """The counts of a cycle ("users.created": 3) by kind and column."""
    return {kind: {name: counts.get(f"{kind}.{name}", 0) for name in COLUMNS} for kind in KINDS}


def table_of(summary: Summary) -> Table:
    title = f"{summary.kind} cycle, {'planned' if summary.planned else 'done'}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for kind in KINDS:
        cells = [_cell(name, summary.counts[kind][name]) for name in COLUMNS]
        table.add_row(kind, *cells)
    return table


def _cell(name: str, number: int) -> Text:
    return Text(f"{number:,}", style=STYLES.get(name, "") if number else "dim")


def footer_of(summary: Summary) -> str:
    return (
        f"{summary.graph_requests:,} requests to Graph, {summary.servicenow_requests:,} to ServiceNow, "
        f"{duration(summary.seconds)}"
    )


def duration(seconds: float) -> str:
    if seconds < 10:  # noqa: PLR2004 - below ten seconds a tenth is worth showing
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return " ".join([*parts, f"{rest} s"] if not days else parts)
