"""A rule of sys_rate_limit_rules: so many requests an hour for one resource, enforced late because its counters are
flushed only now and then. Knows the time it is told and no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

WINDOW = 3600.0


@dataclass(slots=True)
class RateRule:
    limit: int
    resource: Literal["Table API", "Batch API"] = "Table API"
    sys_id: str = "3bb61f3a0a0a0b5600b0f8b1c5a5ee3c"
    flush_every: float = 30.0
    _window: float = field(default=-1.0, init=False)
    _made: int = field(default=0, init=False)
    _flushed: int = field(default=0, init=False)
    _last_flush: float = field(default=0.0, init=False)

    def allows(self, now: float) -> bool:
        """Counts one request. It compares with the count of the last flush: hence bursts beyond the limit."""
        window = now // WINDOW
        if window != self._window:
            self._window, self._made, self._flushed, self._last_flush = window, 0, 0, now
        if now - self._last_flush >= self.flush_every:
            self._flushed, self._last_flush = self._made, now
        counted = self._made if self.flush_every <= 0 else self._flushed
        self._made += 1
        return counted < self.limit

    def headers(self, now: float) -> list[tuple[str, str]]:
        reset = int((now // WINDOW + 1) * WINDOW)
        return [
            ("X-RateLimit-Limit", str(self.limit)),
            ("X-RateLimit-Reset", str(reset)),
            ("X-RateLimit-Rule", self.sys_id),
        ]

    def retry_after(self, now: float) -> str:
        return str(max(1, int((now // WINDOW + 1) * WINDOW - now)))

    @property
    def detail(self) -> str:
        return f"Rate limit of {self.limit} requests per hour for {self.resource} exceeded"
