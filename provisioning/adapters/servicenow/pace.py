"""How many writes a batch should hold: few enough that the instance ends it well before its limit of about 30
seconds, many enough that little time goes into round trips. Plain arithmetic; the clock is elsewhere.
"""

from __future__ import annotations

AIM = 10.0
SMALLEST, FIRST, LARGEST = 1, 20, 100
GROWTH = 2


class Pace:
    """Follows the time per item: at once when it gets slower, half way at a time when it gets faster."""

    def __init__(self) -> None:
        self.size = FIRST
        self._seconds_per_item: float | None = None

    def measured(self, items: int, seconds: float) -> None:
        """A batch of so many serviced items took so long."""
        if items < 1:
            return
        now = seconds / items
        before = self._seconds_per_item
        self._seconds_per_item = now if before is None or now > before else (now + before) / 2
        fitting = int(AIM / self._seconds_per_item) if self._seconds_per_item > 0 else LARGEST
        self.size = max(SMALLEST, min(fitting, self.size * GROWTH, LARGEST))

    def overran(self, serviced: int) -> None:
        """The instance gave up after so many items."""
        self.size = max(SMALLEST, min(self.size, serviced))
