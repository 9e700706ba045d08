"""How many calls may be at one instance at once. Never more than were granted; fewer for a while when the instance
refuses calls, fails or lets them queue up; all of them again when it recovers. Knows statuses and seconds, and not what
a call asks for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import httpx
from httpx import codes

from provisioning.adapters.http import retry_after
from provisioning.errors import Throttled
from provisioning.rules.measures import Measures

HOLD = 30.0
"""Seconds after a refusal until one more call is tried: doubled each time that it is refused again."""
LONGEST_HOLD = 480.0
LONGEST_WAIT = 60.0
"""Seconds that a call waits for the end of a pause that the instance asked for; longer ones park the cycle."""
SECONDS = "provisioning.seconds"
"""The extension of a response that tells the seconds from sending to the last byte, without the wait for a slot."""

_OVERLOADED = frozenset({codes.INTERNAL_SERVER_ERROR, codes.BAD_GATEWAY, codes.SERVICE_UNAVAILABLE, 504})
_MEMORY = 0.3  # weight of the newest call in the mean of how long calls queue
_CONGESTED, _CLEAR = 1.0, 0.5  # seconds in the instance's queue for each second of work


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call under way: how many there were with it, and after which cut it began."""

    busy: int
    cuts: int


class Budget:
    """Additive increase, multiplicative decrease. A 429 without a time means that a semaphore's queue was full: half
    of the calls, and after a pause one more as a trial. A failing instance (5xx, no answer in time) gets one call
    fewer until it answers again. One that lets our calls wait longer than it works on them gets one fewer until they
    do not. Of the calls that were under way together only the first to fail counts.
    """

    def __init__(
        self,
        slots: int,
        *,
        now: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._slots = slots
        self._shares: list[int] = []
        self._now = now or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._cut: int | None = None
        self._cuts = 0
        self._ceiling: int | None = None
        self._held_until = 0.0
        self._hold = HOLD
        self._closed_until = 0.0
        self._queueing = 0.0
        self.refused = 0

    @property
    def most(self) -> int:
        """What the steps that run here were granted together; without a step, the calls granted to this process."""
        return max(1, sum(self._shares)) if self._shares else self._slots

    @property
    def allowed(self) -> int:
        return self.most if self._cut is None else min(self.most, self._cut)

    @contextmanager
    def share(self, slots: int) -> Iterator[None]:
        """So many calls more while the block runs."""
        self._shares.append(slots)
        self._admit()
        try:
            yield
        finally:
            self._shares.remove(slots)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A slot for the block. Above the login, so that no call waits for a slot with credentials that are refused or
        expire meanwhile. Raises as `enter`.
        """
        place = _Place(self)
        outer = _PLACE.set(place)
        try:
            await place.take()
            yield
        finally:
            place.give_up()
            _PLACE.reset(outer)

    async def pause(self, seconds: float) -> None:
        """For who waits to send again: the slot is somebody else's meanwhile."""
        place = _PLACE.get()
        if place is not None:
            place.give_up()
        await self._sleep(seconds)
        if place is not None:
            await place.take()

    async def enter(self) -> Ticket:
        """Waits for a slot. Raises `Throttled` when the instance asked for a pause that is too long to wait for."""
        pause = self._closed_until - self._now()
        if pause > LONGEST_WAIT:
            raise Throttled(
                f"the instance asked for a pause that lasts another {pause:.0f} s; nothing was sent. It goes on by "
                "itself then; if it happens often, raise the rate limit rule of the integration user",
                retry_after=pause,
            )
        if pause > 0:
            await self._sleep(pause)
        if self._waiting or self._busy >= self.allowed:
            await self._turn()
        else:
            self._busy += 1
        return Ticket(self._busy, self._cuts)

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        self._busy -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._busy < self.allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

    def answered(self, ticket: Ticket, response: httpx.Response) -> None:
        if response.status_code == codes.TOO_MANY_REQUESTS:
            pause = retry_after(response)
            if pause is not None:
                self._closed_until = max(self._closed_until, self._now() + pause)
            else:
                self._be_refused(ticket)
        elif response.status_code in _OVERLOADED:
            self.failed(ticket)
        else:
            self._succeed(ticket)

    def failed(self, ticket: Ticket) -> None:
        """The instance was in trouble, or did not answer in time."""
        if ticket.cuts == self._cuts:
            self._cut_to(self.allowed - 1)

    def queued(self, waited: float, worked: float) -> None:
        """A call stood in the instance's queue for so many seconds beside those that were spent on it."""
        share = waited / max(worked, 0.1)
        self._queueing += _MEMORY * (share - self._queueing)
        if self._queueing > _CONGESTED:
            self._queueing = (_CONGESTED + _CLEAR) / 2  # the next cut needs more than one slow call
            self._cut_to(self.allowed - 1)

    def _be_refused(self, ticket: Ticket) -> None:
        self.refused += 1
        if ticket.cuts != self._cuts:
            return
        if self._ceiling is not None and self.allowed > self._ceiling:
            self._hold = min(self._hold * 2, LONGEST_HOLD)
            self._cut_to(self._ceiling)
        else:
            self._cut_to(self.allowed // 2)
        self._ceiling = self._cut
        self._held_until = self._now() + self._hold

    def _cut_to(self, calls: int) -> None:
        self._cut = max(1, calls)
        self._cuts += 1

    def _succeed(self, ticket: Ticket) -> None:
        if ticket.cuts != self._cuts:
            return  # it was sent when more were allowed, and says nothing about now
        if self._ceiling is not None and ticket.busy > self._ceiling:
            self._ceiling, self._hold = None, HOLD
        if self._cut is None or self._queueing > _CLEAR or self._is_held():
            return
        self._cut = min(self._cut + 1, self.most)
        if self._cut == self.most and self._ceiling is None:
            self._cut = None
        self._admit()

    def _is_held(self) -> bool:
        """One call more than was refused is a trial: until it has shown what it shows, no further one."""
        if self._ceiling is None or self.allowed < self._ceiling:
            return False
        return self.allowed > self._ceiling or self._now() < self._held_until


class _Place:
    """The slot of one call, which it may give up and take again."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.ticket: Ticket | None = None

    async def take(self) -> None:
        self.ticket = await self._budget.enter()

    def give_up(self) -> None:
        if self.ticket is not None:
            self.ticket = None
            self._budget.leave()


_PLACE: ContextVar[_Place | None] = ContextVar("place", default=None)


_MEASURES: ContextVar[Measures | None] = ContextVar("measures", default=None)


@contextmanager
def measured() -> Iterator[Measures]:
    """Counts the calls of what is done inside the block, also in tasks that begin there."""
    measures = Measures()
    outer = _MEASURES.set(measures)
    try:
        yield measures
    finally:
        _MEASURES.reset(outer)


class MeasuringTransport(httpx.AsyncBaseTransport):
    """Tells the budget how each attempt went, and the answer how long it took. `inner` reads answers to their end."""

    def __init__(self, inner: httpx.AsyncBaseTransport, budget: Budget) -> None:
        self._inner = inner
        self._budget = budget

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place = _PLACE.get()
        ticket = place.ticket if place is not None else None
        measures = _MEASURES.get() or Measures()
        began = asyncio.get_running_loop().time()
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TimeoutException:
            measures.add(asyncio.get_running_loop().time() - began, in_trouble=True)
            if ticket is not None:
                self._budget.failed(ticket)
            raise
        seconds = asyncio.get_running_loop().time() - began
        refused = response.status_code == codes.TOO_MANY_REQUESTS
        measures.add(seconds, refused=refused, in_trouble=response.status_code in _OVERLOADED)
        response.extensions[SECONDS] = seconds
        if ticket is not None:
            self._budget.answered(ticket, response)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
