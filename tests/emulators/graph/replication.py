"""Reads are served by replicas, which follow after a while. Changes wait here until their lag is over and are
applied in order; a change whose object is gone by then is dropped, for nobody is left to be told.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from .records import TenantError

if TYPE_CHECKING:
    from collections.abc import Callable


class Replication:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pending: deque[tuple[float, Callable[[], None]]] = deque()

    def commit(self, change: Callable[[], None], lag: float) -> None:
        """Apply the change now, or after the lag; never before an earlier one."""
        self.catch_up()
        if lag <= 0 and not self._pending:
            change()
            return
        due = self._clock() + lag
        if self._pending:
            due = max(due, self._pending[-1][0])
        self._pending.append((due, change))

    def catch_up(self) -> None:
        while self._pending and self._pending[0][0] <= self._clock():
            self._apply()

    def settle(self) -> None:
        while self._pending:
            self._apply()

    def _apply(self) -> None:
        _, change = self._pending.popleft()
        with suppress(TenantError):
            change()
