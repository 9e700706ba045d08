"""An event loop whose clock jumps to the next timer whenever nothing else is left to do: a cycle that would take six
days of ServiceNow's time runs in seconds, with the real code and in the real order.

Only for programs that do all their waiting through asyncio; a socket or a thread would be waited for in vain.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EPOCH = 1_790_000_000.0
"""Virtual time begins here, in seconds since 1970 (a day in September 2026)."""


class _JumpingSelector(selectors.DefaultSelector):
    """Answers at once; the time that the loop wanted to wait has passed then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class _WaitingSelector(_JumpingSelector):
    """Waits for sockets while `in_flight` says that somebody speaks over one: no time passes meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = 0

    def select(self, timeout=None):
        if timeout is None or (self.in_flight and timeout > 0):
            return selectors.DefaultSelector.select(self, None)
        return super().select(timeout)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self, jumping: _JumpingSelector | None = None) -> None:
        self._jumping = jumping or _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def wall_clock(self) -> float:
        """Seconds since 1970, by the same clock."""
        return EPOCH + self._jumping.now

    def pass_time(self, seconds: float) -> None:
        self._jumping.now += seconds


class SpokenTimeLoop(VirtualTimeLoop):
    """For programs that speak to another process: what they do `speaking` takes no time, only what they sleep does."""

    def __init__(self) -> None:
        self._waiting = _WaitingSelector()
        super().__init__(self._waiting)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        self._waiting.in_flight += 1
        try:
            yield
        finally:
            self._waiting.in_flight -= 1


@contextmanager
def virtual_time() -> Iterator[tuple[asyncio.Runner, Callable[[], float], Callable[[float], None]]]:
    """A runner, its wall clock, and the means to let time pass."""
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        yield runner, loop.wall_clock, loop.pass_time
