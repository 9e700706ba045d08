"""When what is compared with ServiceNow: all of a job's objects once in an interval, a few bins of them in each cycle,
so that no cycle pays for all. Pure.
"""

from __future__ import annotations

from msgspec import Struct

BINS = 256
SOONEST = 86_400.0
"""Seconds within which everything is compared for the first time."""


class Reconciliation(Struct, frozen=True, omit_defaults=True):
    """How far the present round has come: `bins` of 256 since `began`. `last` is when a round last came to its end.
    Times are seconds since 1970, 0 for never.
    """

    began: float = 0.0
    bins: int = 0
    last: float = 0.0


def due(known: Reconciliation, now: float, interval: float) -> tuple[int, int]:
    """The first bin that is due and the one behind the last; equal when none is. `interval` is in seconds, 0 for
    never.
    """
    if not interval or not known.began:
        return known.bins, known.bins
    length = interval if known.last else min(interval, SOONEST)
    upto = min(BINS, int(BINS * max(0.0, now - known.began) / length))
    return known.bins, max(known.bins, upto)


def compared(known: Reconciliation, upto: int, now: float) -> Reconciliation:
    """After all bins below `upto` were compared in this round."""
    if upto >= BINS:
        return Reconciliation(began=now, last=now)
    return Reconciliation(known.began, max(upto, known.bins), known.last)


def evaluated_anew(known: Reconciliation, now: float) -> Reconciliation:
    """After a cycle that has read everything on both sides: it leaves nothing to compare before the next round."""
    return Reconciliation(began=now, last=now if known.began else 0.0)
