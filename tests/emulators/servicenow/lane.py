"""Some slots and a queue before them, first come first served. The number of slots may change while they are in use.
Knows neither nodes nor work.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Lane:
    def __init__(self, slots: int, queue: int) -> None:
        self.slots, self.queue = slots, queue
        self.busy = self.peak_busy = self.peak_waiting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def enter(self) -> bool:
        """Takes a slot, perhaps after a wait; False when the queue is full."""
        if self.busy < self.slots:
            self._take()
            return True
        if len(self._waiting) >= self.queue:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.peak_waiting = max(self.peak_waiting, len(self._waiting))
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Gives the slot to the next in the queue, or frees it."""
        self.busy -= 1
        self._admit()

    def resize(self, slots: int) -> None:
        """Who is inside may finish; who waits comes in as soon as there is room."""
        self.slots = slots
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.busy < self.slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)

    def _take(self) -> None:
        self.busy += 1
        self.peak_busy = max(self.peak_busy, self.busy)
