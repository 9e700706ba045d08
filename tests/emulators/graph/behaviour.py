"""How the emulator behaves beyond its data: permissions, limits, replication lag, and faults to come.
A fault is a value with a kind of request that it waits for (the names that the counts use, wildcards
allowed) and a number of times. It knows neither HTTP nor the tenant; the modules that answer
requests take the faults that are meant for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

LEAST_PERMISSIONS = frozenset({"User.Read.All", "GroupMember.Read.All", "Application.Read.All"})


@dataclass(frozen=True, slots=True)
class Throttle:
    """429. `retry_after` is the header's text: seconds, "2.128" as in Microsoft's sample, or None."""

    retry_after: str | None = "1"


@dataclass(frozen=True, slots=True)
class Fail:
    """An error answer; `code` is Graph's own for the status unless given."""

    status: int = 503
    retry_after: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ResetConnection:
    """The connection breaks before an answer."""


@dataclass(frozen=True, slots=True)
class Slow:
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class ExpireDelta:
    """The next request with a delta token finds it expired, in one of the three observed shapes."""

    shape: Literal["gone", "sync-state-not-found", "too-old"] = "too-old"


@dataclass(frozen=True, slots=True)
class ExpirePage:
    """The next request with a skip token gets Directory_ExpiredPageToken."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The next incremental round begins with the changes of the round before."""


@dataclass(frozen=True, slots=True)
class Late:
    """The next incremental round tells nothing yet: its replica is behind, and the round after it tells all."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Objects occur twice in one page."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class UnknownRemoved:
    """A page carries @removed entries of ids that the client never saw."""

    count: int = 3


@dataclass(frozen=True, slots=True)
class EmptyPage:
    """A page without objects that has a nextLink."""


@dataclass(frozen=True, slots=True)
class EmptyList:
    """A list (appRoleAssignedTo, members ...) answers 200 with nothing in it."""


Effect = (
    Throttle
    | Fail
    | ResetConnection
    | Slow
    | ExpireDelta
    | ExpirePage
    | Replay
    | Late
    | Duplicate
    | UnknownRemoved
    | EmptyPage
    | EmptyList
)
EFFECTS: dict[str, type[Effect]] = {
    "throttle": Throttle,
    "fail": Fail,
    "reset-connection": ResetConnection,
    "slow": Slow,
    "expire-delta": ExpireDelta,
    "expire-page": ExpirePage,
    "replay": Replay,
    "late": Late,
    "duplicate": Duplicate,
    "unknown-removed": UnknownRemoved,
    "empty-page": EmptyPage,
    "empty-list": EmptyList,
}
_E = TypeVar("_E", bound=Effect)


@dataclass(slots=True)
class Fault:
    effect: Effect
    kind: str
    times: int
    after: int


class Faults:
    """Faults in the order they were asked for; each is used up by matching requests."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, effect: Effect, kind: str = "*", *, times: int = 1, after: int = 0) -> None:
        """Let the effect happen to `times` requests of the kind, once `after` of them were spared."""
        self.waiting.append(Fault(effect, kind, times, after))

    def take(self, effect: type[_E], kind: str) -> _E | None:
        """The effect if a fault of this type waits for this kind of request; uses it up."""
        for fault in self.waiting:
            if isinstance(fault.effect, effect) and fnmatchcase(kind, fault.kind):
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault.effect
        return None

    def clear(self) -> None:
        self.waiting.clear()


@dataclass(slots=True)
class Behaviour:
    permissions: frozenset[str] = LEAST_PERMISSIONS
    faults: Faults = field(default_factory=Faults)
    replication_lag: float = 0.0
    """Seconds until a change is seen by reads."""
    delta_page_size: int = 200
    members_per_delta_page: int = 1000
    delta_token_lifetime: float = 7 * 86400.0
    page_token_lifetime: float = 86400.0
    resource_units: int | Literal["by-size"] | None = "by-size"
    """Limit per 10 seconds; "by-size" is Graph's own, which grows with the tenant; None is no limit."""
    soft_deleted_in_first_round: bool = True
    """Whether members@delta and manager@delta of a first round name the soft-deleted, who keep both."""
    soft_deleted_in_assignments: bool = True
    """Whether appRoleAssignedTo lists the rows of soft-deleted principals, which are kept."""
