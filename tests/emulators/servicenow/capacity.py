"""How much the instance can do at once: nodes with a few API slots and a short queue each, and how long each kind of
work takes. Waits only through asyncio.sleep, so that a loop with virtual time makes it instant. Knows no HTTP and
no records.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tests.emulators.servicenow.lane import Lane

Work = Literal["insert", "update", "delete", "read", "request"]


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Mean seconds by kind of work, spread lognormally around the mean and never outside `least` and `most` times it.
    `request` is the toll of every call: a batch pays it once.
    """

    insert: float = 0.0
    update: float = 0.0
    delete: float = 0.0
    read: float = 0.0
    request: float = 0.0
    spread: float = 0.0  # sigma of the lognormal distribution
    least: float = 0.0
    most: float = 1000.0

    def draw(self, work: Work, rng: random.Random) -> float:
        mean = getattr(self, work)
        if mean <= 0.0 or self.spread <= 0.0:
            return mean
        drawn = rng.lognormvariate(math.log(mean) - self.spread**2 / 2, self.spread)
        return min(max(drawn, self.least * mean), self.most * mean)


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
        self.occupied = 0
        self.granted: int | None = None
        self.forget()

    def forget(self) -> None:
        """Measures and draws from the beginning; settings stay."""
        self._lanes = [Lane(slots, self.queue) for slots in self._free_by_node()]
        self._rng = random.Random(self._seed)
        self._turn = 0
        self.busy_seconds = 0.0
        self.usable_seconds = 0.0
        self._measured_at: float | None = None
        self.refused = 0
        self.peak_busy = 0

    def set(self, **settings: int) -> None:
        """Changes nodes, slots_per_node or queue; others return what they occupied, and measuring starts anew."""
        for name, value in settings.items():
            if name not in {"nodes", "slots_per_node", "queue"}:
                raise KeyError(name)
            setattr(self, name, value)
        self.occupied = 0
        self.forget()

    def set_times(self, **seconds: float) -> None:
        self.times = replace(self.times, **seconds)

    def occupy(self, slots: int) -> None:
        """Other callers hold that many slots from now on, spread over the nodes. Calls that run are not disturbed."""
        if not 0 <= slots <= self.nodes * self.slots_per_node:
            raise ValueError(f"there are {self.nodes * self.slots_per_node} slots")
        self._measure()
        self.occupied = slots
        for lane, free in zip(self._lanes, self._free_by_node(), strict=True):
            lane.resize(free)

    def grant(self, calls: int | None) -> None:
        """So many calls may be on their way at once, waiting ones included; one more is refused with 429. None: no
        limit but slots and queue.
        """
        self._measure()
        self.granted = calls

    def draw(self, work: Work) -> float:
        return self.times.draw(work, self._rng)

    async def enter(self) -> Lane | None:
        """A slot on the next node in turn, or None: refused. Without a session cookie calls go round the nodes."""
        self._measure()
        lane = self._lanes[self._turn % len(self._lanes)]
        self._turn += 1
        if self._is_beyond_grant() or not await lane.enter():
            self.refused += 1
            return None
        self.peak_busy = max(self.peak_busy, sum(one.busy for one in self._lanes))
        return lane

    async def spend(self, seconds: float) -> None:
        """Passes service time in an occupied slot."""
        if seconds > 0.0:
            self.busy_seconds += seconds
            await asyncio.sleep(seconds)
            self._measure()

    def measures(self) -> dict[str, Any]:
        self._measure()
        return {
            "nodes": self.nodes,
            "slots_per_node": self.slots_per_node,
            "queue": self.queue,
            "occupied": self.occupied,
            "granted": self.granted,
            "busy_seconds": self.busy_seconds,
            "usable_seconds": self.usable_seconds,
            "busy": sum(lane.busy for lane in self._lanes),
            "peak_busy": self.peak_busy,
            "peak_waiting": max(lane.peak_waiting for lane in self._lanes),
            "refused": self.refused,
            "service_times": asdict(self.times),
        }

    def _is_beyond_grant(self) -> bool:
        return self.granted is not None and sum(lane.busy + lane.waiting for lane in self._lanes) >= self.granted

    def _free_by_node(self) -> list[int]:
        return [
            self.slots_per_node - self.occupied // self.nodes - (node < self.occupied % self.nodes)
            for node in range(self.nodes)
        ]

    def _measure(self) -> None:
        """Adds up the slot-seconds that callers could have used since the first call: free of others, and granted."""
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:  # asked between two calls: nothing has passed since the last event
            return
        if self._measured_at is not None:
            usable = self.nodes * self.slots_per_node - self.occupied
            if self.granted is not None:
                usable = min(usable, self.granted)
            self.usable_seconds += usable * (now - self._measured_at)
        self._measured_at = now
