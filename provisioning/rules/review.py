"""The removal guard: whether the removals of a plan may be carried out. Pure; counts come from the whole plan, never
from a page of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Held above the smaller of an absolute and a relative limit, but never below `floor`."""

    absolute: int = 500
    share: float = 0.05
    floor: int = 3

    def allowed(self, managed: int) -> int:
        """How many of `managed` objects may be removed at once."""
        relative = math.ceil(round(self.share * managed, 6))  # 0.07 * 100 is a little more than 7
        return max(self.floor, min(self.absolute, relative))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`held` is true when the removals wait for a person."""

    kind: str
    removals: int
    managed: int
    allowed: int

    @property
    def held(self) -> bool:
        return self.removals > self.allowed

    def __str__(self) -> str:
        share = self.removals / self.managed if self.managed else 1.0
        return f"{self.removals} of {self.managed} {self.kind} ({share:.1%}) would be removed; {self.allowed} may be"


def review(kind: str, removals: int, managed: int, limits: Limits) -> Verdict:
    return Verdict(kind, removals, managed, limits.allowed(managed))
