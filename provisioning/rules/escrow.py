"""When an object that failed is tried again. Pure.

Entra's pauses for what fails until somebody changes something: 6, 12 and 24 hours after the first failure, then daily,
and after 28 days no more. What may succeed as it is, and a removal that failed, is tried in each cycle for as long as
it takes: a leaver who is still in cannot wait until tomorrow. So is what another object stands in the way of, since no
change of the failed one tells that the other has moved; a value that is taken may be given free by the same cycle's or
the next one's writes, a record that has vanished is matched again: both are tried twice before the pauses.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from provisioning.model import Create, Decision, Disable, Escrow, Fail, Refused, Remove, Unsettled, Update, WriteOutcome
from provisioning.rules.error_codes import is_passing
from provisioning.rules.scope import in_scope

HOUR, DAY = 3600.0, 86400.0

Persistence = Literal["passing", "lasting", "clash", "removal"]
"""What a failure is: it may pass without a change of the object, lasts until it changes, finds records other than they
were decided on, or leaves somebody in who should be out.
"""
ELSEWHERE = frozenset({"DuplicateSourceEntries", "InvalidLookupReference"})
"""Codes whose cause lies in another object."""
CLASHES = frozenset({"Conflict", "EntryConflict", "InvalidAnchor"})
CLASHES_AT_ONCE = 2
"""Cycles that try a clash again before the pauses begin."""


class RetryPolicy(Struct, frozen=True):
    """Seconds after the first failure of a series: each of `pauses`, then every `interval`, the last time no later than
    `lifetime`.
    """

    pauses: tuple[float, ...] = (6 * HOUR, 12 * HOUR, DAY)
    interval: float = DAY
    lifetime: float = 28 * DAY


def persistence(decision: Decision, outcome: WriteOutcome | None) -> Persistence | None:
    """None when the object did not fail."""
    match decision.action, outcome:
        case ((Disable() | Remove()), (Refused() | Unsettled())):
            return "removal"
        case _, Unsettled():
            return "passing"
        case ((Create() | Update()), Refused(code=code, transient=transient)):
            return "passing" if transient else _persistence_of(code)
        case Fail(code=code), None:
            if decision.scope and not in_scope(decision.scope):
                return "removal"
            return _persistence_of(code)
        case _:
            return None


def _persistence_of(code: str) -> Persistence:
    if code in CLASHES:
        return "clash"
    return "passing" if code in ELSEWHERE or is_passing(code) else "lasting"


def next_attempt(escrow: Escrow | None, outcome: Persistence, now: float, policy: RetryPolicy) -> float | None:
    """The time from which the object is tried again: at or before `now` means in the next cycle, None never again.
    `escrow` is that of the series which this failure goes on with, this failure included, None where it is the first.
    """
    attempts = escrow.attempts if escrow is not None else 1
    if outcome in {"passing", "removal"} or (outcome == "clash" and attempts <= CLASHES_AT_ONCE):
        return now
    since = escrow.since if escrow is not None else now
    passed = now - since
    following = next((pause for pause in policy.pauses if pause > passed), None)
    if following is None:
        last = policy.pauses[-1] if policy.pauses else 0.0
        following = last + policy.interval * (int((passed - last) // policy.interval) + 1)
    return since + following if following <= policy.lifetime else None


def following(escrow: Escrow | None, code: str, message: str, outcome: Persistence, now: float) -> Escrow:
    """The failure as it is remembered. Another code begins another series: somebody has changed something."""
    removal = outcome == "removal"
    if escrow is None or escrow.code != code:
        return Escrow(code, message, now, 1, now, removal)
    return Escrow(code, message, escrow.since, escrow.attempts + 1, now, removal)


def is_forgotten(escrow: Escrow | None, cleared: float) -> bool:
    """Whether a restart at `cleared` has dropped the failure. One that leaves somebody in who should be out stays."""
    return escrow is not None and escrow.since < cleared and not escrow.removal
