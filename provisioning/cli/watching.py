"""Progress of a long cycle while it runs: a live bar on a terminal, a plain line every few seconds elsewhere.

Where the cycle stands its counts tell; this draws it, and does not know what a step does.
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
from provisioning.engine.positions import Position, position_of
from provisioning.engine.progress import Progress as Cycle
from provisioning.rules.durations import duration

PLAIN_EVERY = 3.0
LIVE_EVERY = 0.25


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
