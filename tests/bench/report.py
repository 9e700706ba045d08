"""What was measured, as a table on the terminal and as a document."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"
MILLION = DOCUMENT.with_name("benchmarks-million.md")
Measure = tuple[str, str, str]

_HEAD = """# Benchmarks

Written by `make bench`; every number was measured by one run of it. The code is the real one and both sides are the
emulators of this repository. Rows that say so are in virtual time: ServiceNow's time passes at once, so that shares of
slot-seconds are exact. Service times are 50 ms an insert and 5 ms a read, lognormal, 0.3 to 2 times the mean; 2 nodes
of 4 API slots, 4 granted. Nothing here was measured on a real instance or a real tenant, and how fast an emulator is
says nothing about them.
"""
_APART = f"A million users are measured apart: [{MILLION.name}]({MILLION.name}).\n"
_HEAD_OF_MILLION = """# A million users

Written by `make bench-million`, which takes more than an hour; every number was measured by one run of it. The first
cycle of a company that nobody was provisioned of before: everybody is read, matched, decided, created and put into a
group. Engine, adapters and SQLite are the real ones, in a process of their own; the emulators are in another one. Only
the time that ServiceNow works (50 ms a write, 5 ms a read, 4 slots) passes at once. Nothing here was measured on a real
instance or a real tenant.
"""


def publish(sections: Iterable[tuple[str, list[Measure]]]) -> None:
    _write(DOCUMENT, _HEAD + _APART * MILLION.exists(), sections)


def publish_million(sections: Iterable[tuple[str, list[Measure]]]) -> None:
    _write(MILLION, _HEAD_OF_MILLION, sections)


def _write(document: Path, head: str, sections: Iterable[tuple[str, list[Measure]]]) -> None:
    lines = [head, f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, Python {platform.python_version()}.", ""]
    for title, measures in sections:
        table = Table("measure", "value", "bar", "", title=title)
        lines += [f"## {title}", "", "| measure | value | bar | |", "|---|---|---|---|"]
        for name, value, bar in measures:
            table.add_row(name, value, bar, verdict(value, bar))
            lines.append(f"| {name.strip()} | {value} | {bar} | {verdict(value, bar)} |")
        lines.append("")
        Console().print(table)
    document.write_text("\n".join(lines), encoding="utf-8")


def verdict(value: str, bar: str) -> str:
    """Whether a bar is met, where it names a limit; of a value that shows how it comes about the last part counts."""
    limit = re.match(r"(at most|at least|above) ([\d.,]+)", bar)
    found = re.match(r"[\d.,]+", value.rpartition("= ")[2])
    if limit is None or found is None:
        return ""
    number, bound = (float(text.replace(",", "")) for text in (found.group(), limit.group(2)))
    met = {"at most": number <= bound, "at least": number >= bound, "above": number > bound}[limit.group(1)]
    return "met" if met else "**missed**"


def _machine() -> str:
    """Kind and number of processors, without the machine's name."""
    try:
        model = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout  # noqa: S607 - as found
    except (OSError, subprocess.CalledProcessError):
        return platform.machine()
    facts = dict(line.split(":", 1) for line in model.splitlines() if ":" in line)
    return f"{facts.get('Model name', platform.machine()).strip()}, {facts.get('CPU(s)', '?').strip()} processors"
