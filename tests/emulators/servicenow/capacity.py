"""How much the instance can do at once: nodes with a few API slots and a short queue each, and how long each kind of
work takes. Waits only through asyncio.sleep, so that a loop with virtual time makes it instant. Knows no HTTP and
no records.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Work = Literal["insert", "update", "delete", "read", "request"]


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Mean seconds by kind of work, spread lognormally around the mean. `request` is the toll of every call: a batch
    pays it once.
    """

    insert: float = 0.0
    update: float = 0.0
    delete: float = 0.0
    read: float = 0.0
    request: float = 0.0
    spread: float = 0.0  # sigma of the lognormal distribution

    def draw(self, work: Work, rng: random.Random) -> float:
        mean = getattr(self, work)
        if mean <= 0.0 or self.spread <= 0.0:
            return mean
        return rng.lognormvariate(math.log(mean) - self.spread**2 / 2, self.spread)


class Lane:
    """Some slots and a queue before them, first come first served."""

    def __init__(self, slots: int, queue: int) -> None:
        self.slots, self.queue = slots, queue
        self.busy = self.peak_busy = self.peak_waiting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> bool:
        """Takes a slot, perhaps after a wait; False when the queue is full."""
        if self.busy < self.slots:
            self.busy += 1
            self.peak_busy = max(self.peak_busy, self.busy)
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
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1


class Capacity:
    """API_INT normally has 4 threads and a queue of 50 on each node; beyond that a call is refused with 429."""

    def __init__(
        self,
        *,
        nodes: int = 1,
        slots_per_node: int = 4,
        queue: int = 50,
        times: ServiceTimes | None = None,
        seed: int = 1,
    ) -> None:
        self.nodes, self.slots_per_node, self.queue = nodes, slots_per_node, queue
        self.times = times or ServiceTimes()
        self._seed = seed
        self.forget()

    def forget(self) -> None:
        """Measures and draws from the beginning; settings stay."""
        self._lanes = [Lane(self.slots_per_node, self.queue) for _ in range(self.nodes)]
        self._rng = random.Random(self._seed)
        self._turn = 0
        self.busy_seconds = 0.0
        self.refused = 0
        self.peak_busy = 0

    def set(self, **settings: int) -> None:
        """Changes nodes, slots_per_node or queue, and starts measuring anew."""
        for name, value in settings.items():
            if name not in {"nodes", "slots_per_node", "queue"}:
                raise KeyError(name)
            setattr(self, name, value)
        self.forget()

    def set_times(self, **seconds: float) -> None:
        self.times = replace(self.times, **seconds)

    def draw(self, work: Work) -> float:
        return self.times.draw(work, self._rng)

    async def enter(self) -> Lane | None:
        """A slot on the next node in turn, or None: refused. Without a session cookie calls go round the nodes."""
        lane = self._lanes[self._turn % len(self._lanes)]
        self._turn += 1
        if not await lane.enter():
            self.refused += 1
            return None
        self.peak_busy = max(self.peak_busy, sum(one.busy for one in self._lanes))
        return lane

    async def spend(self, seconds: float) -> None:
        """Passes service time in an occupied slot."""
        if seconds > 0.0:
            self.busy_seconds += seconds
            await asyncio.sleep(seconds)

    def measures(self) -> dict[str, Any]:
        return {
            "nodes": self.nodes,
            "slots_per_node": self.slots_per_node,
            "queue": self.queue,
            "busy_seconds": self.busy_seconds,
            "busy": sum(lane.busy for lane in self._lanes),
            "peak_busy": self.peak_busy,
            "peak_waiting": max(lane.peak_waiting for lane in self._lanes),
            "refused": self.refused,
            "service_times": asdict(self.times),
        }
