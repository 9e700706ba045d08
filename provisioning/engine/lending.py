"""The calls that a step may make at once: its own share, and with it those of the steps of its round that have ended.
Whoever of a round is still at work divides the whole grant in the same way that it was first divided, so that no call
is given to two steps, however late one of them notices that another has ended. Knows no row of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from provisioning.engine.cycle import divided
from provisioning.engine.jobs import JobRows
from provisioning.engine.ports import Target
from provisioning.engine.progress import Progress
from provisioning.errors import Unavailable


class Lending:
    """The calls of the step `number` of a round, for as long as the block runs; `granted` are those of each step."""

    def __init__(self, rows: JobRows, target: Target, progress: Progress, number: int, granted: Sequence[int]) -> None:
        self._rows = rows
        self._target = target
        self._progress = progress
        self._number = number
        self._steps = range(len(granted))
        self._taken = ExitStack()
        self.slots = granted[number]
        self.most = sum(granted)
        """What the steps of the round have together."""

    def __enter__(self) -> Self:
        self._taken.enter_context(self._target.share(self.slots))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._taken.close()

    async def more(self) -> int:
        """How many calls there are for the step beyond those that it had."""
        try:
            ended = await self._rows.reported(self._progress)
        except Unavailable:
            return 0
        at_work = [each for each in self._steps if each not in ended or each == self._number]
        more = divided(self.most, len(at_work))[at_work.index(self._number)] - self.slots
        if more > 0:
            self._taken.enter_context(self._target.share(more))
            self.slots += more
        return max(0, more)
