"""When a job is put into quarantine, how seldom it then runs, and when it leaves. Pure; Entra's rules and numbers.

A critical error (credentials, an instance that is none) counts at once, so that a wrong password is not tried every
few minutes until the account is locked. Else failures are weighed: those of a cycle as a share of what it did, and all
that fail now, in whichever cycle they began, against absolute numbers. Knows no store and no cycle: numbers are given.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

DAY = 86400.0
SLOWEST = DAY
LONGEST = 28 * DAY
"""After so many seconds in quarantine the job is disabled until somebody starts it."""

Reason = Literal[
    "EncounteredBaseEscrowThreshold",
    "EncounteredTotalEscrowThreshold",
    "EncounteredEscrowProportionThreshold",
    "EncounteredQuarantineException",
    "QuarantinedOnDemand",
    "TooManyDeletes",
]
STATUSES = ("NotConfigured", "NotRun", "Active", "Paused", "Quarantine")
Status = Literal["NotConfigured", "NotRun", "Active", "Paused", "Quarantine"]
CRITICAL = frozenset(
    {
        "ServiceNowCredentialsValidation",
        "ServiceNowInstanceInvalid",
        "InsufficientRights",
        "NotPermitted",
        "Unauthorized",
        "ConfigError",
    }
)


class SynchronizationError(Struct, frozen=True):
    """Graph's shape: `tenant_actionable` says that a person of the customer can mend it."""

    code: str
    message: str
    tenant_actionable: bool = True


class Quarantine(Struct, frozen=True):
    """Times are seconds since 1970. `series_began` is when the job was first put into this quarantine, `current_began`
    when it was last found to belong there, `series_count` how often that was.
    """

    reason: Reason
    current_began: float
    next_attempt: float
    series_began: float
    series_count: int = 0
    error: SynchronizationError | None = None

    @property
    def slows(self) -> bool:
        """Removals that are held wait by themselves; the rest of the job goes on as usual."""
        return self.reason != "TooManyDeletes"


class Thresholds(Struct, frozen=True):
    """Below `least` failures of a cycle none of them matters to it; `share` is of its events; `most` and `most_in_all`
    are how many objects may fail at a time. Only the last one counts the cycle's unresolved references as well.
    """

    least: int = 5_000
    share: float = 0.4
    most: int = 40_000
    most_in_all: int = 60_000

    def scaled(self, scale: float) -> Thresholds:
        """For small tenants, in which 5,000 failures are more than everybody there is. The share stays."""
        least, most, in_all = (max(1, round(n * scale)) for n in (self.least, self.most, self.most_in_all))
        return Thresholds(least, self.share, most, in_all)


class Record(Struct, frozen=True):
    """What a cycle came to: `failures` and `successes` of objects, `references` that could not be resolved, the error
    that stopped it if one did, and the id of the plan whose removals it holds. `failing` objects fail after it, those
    of earlier cycles included.
    """

    failures: int = 0
    successes: int = 0
    references: int = 0
    error: SynchronizationError | None = None
    held: str | None = None
    failing: int = 0

    @property
    def in_all(self) -> int:
        return max(self.failing, self.failures)


def escrow_reason(record: Record, thresholds: Thresholds) -> Reason | None:
    """Whether too much has failed."""
    if record.in_all + record.references > thresholds.most_in_all:
        return "EncounteredTotalEscrowThreshold"
    if record.in_all > thresholds.most:
        return "EncounteredBaseEscrowThreshold"
    if record.failures < thresholds.least:
        return None
    if record.failures > thresholds.share * (record.failures + record.successes):
        return "EncounteredEscrowProportionThreshold"
    return None


def judge(
    before: Quarantine | None, record: Record, thresholds: Thresholds, *, now: float, interval: float
) -> Quarantine | None:
    """The quarantine after a cycle, None when the job is healthy."""
    if record.error is not None and record.error.code in CRITICAL:
        return _imposed(before, "EncounteredQuarantineException", record.error, now, interval)
    if record.error is not None:  # the cycle has not come far enough to tell whether the job is healthy again
        return _imposed(before, before.reason, before.error, now, interval) if before is not None else None
    if (reason := escrow_reason(record, thresholds)) is not None:
        events = record.failures + record.successes
        told = f"{record.failures:,} of {events:,} objects failed"
        told += f", {record.failing:,} fail in all" if record.failing > record.failures else ""
        told += f", and {record.references:,} references could not be resolved" if record.references else ""
        return _imposed(before, reason, SynchronizationError(reason, told), now, interval)
    if record.held is not None:
        told = f"removals are held above the limit, as plan {record.held}"
        return _imposed(before, "TooManyDeletes", SynchronizationError("TooManyDeletes", told), now, interval)
    return None


def _imposed(
    before: Quarantine | None, reason: Reason, error: SynchronizationError | None, now: float, interval: float
) -> Quarantine:
    """A series goes on while the job is quarantined, for whatever reason; held removals are a series of their own."""
    found = Quarantine(reason, now, now + interval, now, 0, error)
    if before is not None and before.slows == found.slows:
        found = replace(found, series_began=before.series_began, series_count=before.series_count + 1)
    return replace(found, next_attempt=now + _pause(found, interval))


def _pause(found: Quarantine, interval: float) -> float:
    """Twice the job's own interval, then twice that, until it is once a day."""
    if not found.slows:
        return interval
    return max(interval, min(SLOWEST, interval * 2.0 ** min(found.series_count + 1, 20)))


def is_expired(quarantine: Quarantine | None, now: float) -> bool:
    """Whether the job has been in quarantine for so long that it is disabled."""
    return quarantine is not None and quarantine.slows and now - quarantine.series_began > LONGEST
