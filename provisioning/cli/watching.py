"""Progress of a long cycle while it runs: a live bar on a terminal, a plain line every few seconds elsewhere.

`position_of` says where a cycle stands, from its counts alone; the rest draws it. Neither knows what a step does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from provisioning.app import App
from provisioning.cli.shell import Shell
from provisioning.cli.summary import duration
from provisioning.engine.executions import KINDS
from provisioning.engine.progress import Decide
from provisioning.engine.progress import Progress as Cycle

PLAIN_EVERY = 3.0
LIVE_EVERY = 0.25
WRITTEN = ("created", "updated", "disabled", "deleted", "failed")
LABELS = {"decide": "comparing", "act": "writing", "review": "reviewing", "finish": "finishing"}


@dataclass(frozen=True, slots=True)
class Position:
    """`total` is None while nobody knows how much there is."""

    phase: str
    done: int = 0
    total: int | None = None


def position_of(cycle: Cycle) -> Position:
    """In a dry run and before writing: objects compared with ServiceNow. While writing: planned writes carried out."""
    label = LABELS.get(cycle.phase.split(" ")[0])
    planned = _sum(cycle, "planned ", WRITTEN)
    match label:
        case "comparing":
            ahead = [step.rows for step in (*cycle.steps, *cycle.todo) if isinstance(step, Decide)]
            done = planned + _sum(cycle, "", ("skipped", "failed"))
            waiting = sum(sum(bins.values()) for bins in cycle.bins.values())
            return Position(label, done, done + sum(ahead) + waiting)
        case "writing":
            total = max(0, planned - _sum(cycle, "", ("held",)))
            return Position(f"writing {cycle.phase.partition(' ')[2]}", min(total, _sum(cycle, "", WRITTEN)), total)
        case None:
            return Position("reading Microsoft Entra ID")
        case _:
            return Position(label)


def _sum(cycle: Cycle, prefix: str, names: tuple[str, ...]) -> int:
    return sum(cycle.counts.get(f"{prefix}{kind}.{name}", 0) for kind in KINDS for name in names)


@dataclass(slots=True)
class Watch:
    """Remembers where the cycle stands; between two reports of the engine, writes that went out count on."""

    app: App
    clock: Callable[[], float] = time.monotonic
    cycle: Cycle | None = None
    _began: float = 0.0
    _phase: str = ""
    _done_before: int = 0
    _written: int = field(default=0)

    def __call__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self._written = self.app.writes
        position = position_of(cycle)
        if position.phase.split(" ")[0] != self._phase:
            self._phase, self._began, self._done_before = position.phase.split(" ")[0], self.clock(), position.done

    @property
    def position(self) -> Position:
        if self.cycle is None:
            return Position("connecting")
        found = position_of(self.cycle)
        if found.total is None or not found.phase.startswith("writing"):
            return found
        return Position(found.phase, min(found.total, found.done + self.app.writes - self._written), found.total)

    @property
    def rate(self) -> float:
        """Objects a second in this phase."""
        elapsed = self.clock() - self._began
        return (self.position.done - self._done_before) / elapsed if elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        position, rate = self.position, self.rate
        return (position.total - position.done) / rate if position.total is not None and rate > 0 else None

    @property
    def requests(self) -> int:
        return self.app.graph_requests + self.app.servicenow_requests

    def line(self) -> str:
        position, left = self.position, self.seconds_left
        parts = [position.phase]
        if position.total:
            parts.append(f"{position.done:,} of {position.total:,} objects")
            parts.append(f"{self.rate:,.0f}/s")
            if left is not None:
                parts.append(f"about {duration(left)} left")
        if self.cycle is not None and self.cycle.retry_at > time.time():
            parts.append(f"waits {duration(self.cycle.retry_at - time.time())} before the next try")
        return ", ".join([*parts, f"{self.requests:,} requests"])


@contextlib.asynccontextmanager
async def watching(app: App, shell: Shell) -> AsyncIterator[Watch]:
    """Shows progress while the block runs. The watch is to be called with each progress of the cycle."""
    watch = Watch(app)
    draw = _live if shell.err.is_terminal else _plain
    drawing = asyncio.create_task(draw(watch, shell))
    try:
        yield watch
    finally:
        drawing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drawing


async def _plain(watch: Watch, shell: Shell) -> None:
    while True:
        await asyncio.sleep(PLAIN_EVERY)
        shell.note(watch.line())


async def _live(watch: Watch, shell: Shell) -> None:
    columns: tuple[ProgressColumn, ...] = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        _Figures(watch),
    )
    with Progress(*columns, console=shell.err, transient=True) as bar:
        task = bar.add_task("connecting", total=None)
        while True:
            position = watch.position
            bar.update(task, description=position.phase, completed=position.done, total=position.total)
            await asyncio.sleep(LIVE_EVERY)


class _Figures(ProgressColumn):
    """Everything that the bar itself does not say."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def render(self, task: Task) -> Text:  # noqa: ARG002 - the watch knows more than the task
        return Text(self._watch.line().partition(", ")[2])
