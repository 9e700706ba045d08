"""When a job goes into quarantine, how often it is tried there, and when it comes out: Entra's rules and numbers.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

Reason = Literal[
    "EncounteredBaseEscrowThreshold",
    "EncounteredEscrowProportionThreshold",
    "EncounteredTotalEscrowThreshold",
    "EncounteredQuarantineException",
    "QuarantinedOnDemand",
    "TooManyDeletes",
]
DAY = 24 * 3600.0
DISABLED_AFTER = 28 * DAY
CRITICAL = frozenset(
    (
        *("ServiceNowCredentialsValidation", "ServiceNowInstanceInvalid"),
        *("InsufficientRights", "Unauthorized", "ConfigError"),
    )
)
"""Codes of failures that no object causes: the whole job cannot be done."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many failures of one cycle are too many: from `base` on a `share` of all objects that were dealt with, and
    `most` whatever the share; `total` with references that could not be written, which do not count elsewhere.
    """

    base: int = 5_000
    share: float = 0.4
    most: int = 40_000
    total: int = 60_000


class Quarantine(Struct, frozen=True, omit_defaults=True):
    """Times are seconds since 1970: of the present reason `began`, of the first one without a good cycle in between
    `series_began`, with `series_count` cycles since.
    """

    reason: Reason
    began: float
    next_attempt: float
    series_began: float
    series_count: int
    code: str = ""
    message: str = ""

    def expired(self, now: float) -> bool:
        """Whether it has lasted so long that the job is switched off."""
        return now - self.series_began > DISABLED_AFTER


def reason_of(counts: Mapping[str, int], thresholds: Thresholds = Thresholds()) -> Reason | None:
    """By what a cycle counted ("users.failed", "users.created", "references.waiting")."""
    failures = sum(number for name, number in counts.items() if name.endswith(".failed"))
    events = failures + sum(
        number
        for name, number in counts.items()
        if name.endswith((".created", ".updated", ".disabled", ".deleted")) and name != "references.created"
    )
    if failures + counts.get("references.waiting", 0) > thresholds.total:
        return "EncounteredTotalEscrowThreshold"
    if failures > thresholds.most:
        return "EncounteredBaseEscrowThreshold"
    if failures >= thresholds.base and events and failures / events > thresholds.share:
        return "EncounteredEscrowProportionThreshold"
    return None


def after_cycle(
    before: Quarantine | None,
    reason: Reason | None,
    now: float,
    interval: float,
    code: str = "",
    message: str = "",
) -> Quarantine | None:
    """The job's quarantine after a cycle; None out of it. Each further bad cycle doubles the pause, up to a day."""
    if reason is None:
        return None
    count = before.series_count + 1 if before is not None else 1
    pause = min(DAY, interval * 2 ** min(count - 1, 20))
    return Quarantine(
        reason,
        before.began if before is not None and before.reason == reason else now,
        now + pause,
        before.series_began if before is not None else now,
        count,
        code,
        message,
    )
