"""When an object that failed is tried again by itself. Pure. What changes in Entra is tried at once all the same: the
change brings the object into the plan.
"""

from __future__ import annotations

from itertools import chain, count

from provisioning.model import Decision, Disable, Refused, Remove, Unsettled, WriteOutcome
from provisioning.rules.scope import in_scope

HOUR, DAY = 3600.0, 24 * 3600.0
PAUSES = (6 * HOUR, 12 * HOUR, 24 * HOUR)
"""Entra's: after the first failure, and from the last on once a day."""
LONGEST = 28 * DAY
"""Since the first failure: after it nobody tries any more, until the object changes."""


def is_deterministic(decision: Decision, outcome: WriteOutcome | None) -> bool:
    """Whether trying the same again is of little use: ServiceNow refused the write as it is. What fails in passing, is
    in doubt, or keeps somebody in who is to go, is tried in each cycle; so is what was never sent, which costs reads.
    """
    match outcome:
        case Refused(transient=False):
            leaves = isinstance(decision.action, Disable | Remove) or not in_scope(decision.scope)
            return not leaves
        case Refused() | Unsettled() | None:
            return False
        case _:
            return False


def next_attempt(since: float, now: float, pauses: tuple[float, ...] = PAUSES) -> float | None:
    """The first time after `now`, in seconds since 1970; None when it has failed for too long."""
    if not pauses:
        return now
    for pause in chain(pauses, count(pauses[-1] + DAY, DAY)):
        if pause > LONGEST:
            return None
        if since + pause > now:
            return since + pause
    return None
