"""Progress of work that is counted as it goes: a live bar on a terminal, a plain line every few seconds elsewhere.
Knows numbers only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from provisioning.cli.console import moves_its_cursor
from provisioning.cli.shell import Shell
from provisioning.cli.watching import NARROW_BAR, PLAIN_EVERY
from provisioning.rules.durations import duration

Counted = Callable[[str, int, int | None], None]
"""What is counted, how many are done, and of how many, where anybody knows."""


@contextmanager
def counting(shell: Shell) -> Iterator[Counted]:
    """The block calls what it is given whenever it has got further."""
    if not moves_its_cursor(shell.err):
        yield _Lines(shell, time.monotonic())
        return
    columns: tuple[ProgressColumn, ...] = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=NARROW_BAR),
        _Figures(),
    )
    with Progress(*columns, console=shell.err, transient=True) as bar:
        tasks = {"": bar.add_task("connecting", total=None)}

        def count(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                bar.remove_task(tasks.popitem()[1])
                tasks[what] = bar.add_task(f"reading {what}", total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield count


@dataclass(slots=True)
class _Lines:
    shell: Shell
    told: float

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if time.monotonic() - self.told >= PLAIN_EVERY:
            self.told = time.monotonic()
            self.shell.note(f"read {done:,}{f' of {total:,}' if total else ''} {what}")


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = f" of {task.total:,.0f}" if task.total else ""
        parts = [f"{task.completed:,.0f}{total}"]
        if task.speed:
            parts.append(f"{task.speed:,.0f}/s")
        if task.time_remaining:
            parts.append(f"about {duration(task.time_remaining)} left")
        return Text(", ".join(parts), no_wrap=True)
