"""How calls to the instance went, counted by who makes them. Arithmetic only; the clock is elsewhere."""

from __future__ import annotations


class Measures:
    """Calls to the instance, as they are counted: how many, the seconds that they took together, how many of them the
    instance refused because there were too many (429), and how many it could not answer (5xx, or not in time).
    """

    __slots__ = ("calls", "in_trouble", "refused", "seconds")

    def __init__(self) -> None:
        self.calls = self.refused = self.in_trouble = 0
        self.seconds = 0.0

    def add(self, seconds: float, *, refused: bool = False, in_trouble: bool = False) -> None:
        self.calls += 1
        self.seconds += seconds
        self.refused += refused
        self.in_trouble += in_trouble

    def counts(self) -> dict[str, int]:
        """Sums that can be added to those of others; what is 0 is left out."""
        found = {
            "calls": self.calls,
            "calls.milliseconds": round(self.seconds * 1000),
            "calls.refused": self.refused,
            "calls.in trouble": self.in_trouble,
        }
        return {name: number for name, number in found.items() if number}
