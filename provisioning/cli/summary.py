"""What a cycle did, as a table for people. Knows counts, not objects."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from provisioning.engine.executions import KINDS
from provisioning.engine.summary import COLUMNS, Summary
from provisioning.rules.durations import duration

STATUS_STYLES = {"success": "green", "warning": "yellow", "skipped": "cyan", "failure": "red"}
"""Of the statuses of log entries."""
STYLES = {"created": "green", "updated": "cyan", "disabled": "yellow", "deleted": "yellow", "held": "magenta"} | {
    "failed": "red"
}


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
