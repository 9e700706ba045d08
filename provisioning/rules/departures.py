"""Where a user or group stands: in scope, or how it left, and what the job says is to become of its record then. Pure:
knows no record.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from provisioning.model import Lifecycle, ScopeCheck
from provisioning.rules.scope import ACTIVE, ASSIGNED, ENTITLED, in_scope

Departure = Literal["unassigned", "filtered", "disabled", "soft-deleted", "hard-deleted"]
Leave = Literal["disable", "delete", "leave"]
GroupLeave = Literal["leave", "deactivate", "delete"]


@dataclass(frozen=True, slots=True)
class Departures:
    """What is done to the account of a user for each way to leave; what is done to the record of a group, however it
    left; whether a disabled account keeps its memberships. The defaults are Entra's, but that nothing is deleted.
    """

    unassigned: Leave = "disable"
    filtered: Leave = "disable"
    disabled: Leave = "disable"
    soft_deleted: Leave = "disable"
    hard_deleted: Leave = "disable"
    groups: GroupLeave = "leave"
    memberships: Literal["keep", "remove"] = "keep"

    def of(self, departure: Departure) -> Leave:
        match departure:
            case "unassigned":
                return self.unassigned
            case "filtered":
                return self.filtered
            case "disabled":
                return self.disabled
            case "soft-deleted":
                return self.soft_deleted
            case "hard-deleted":
                return self.hard_deleted


def departure(checks: Collection[ScopeCheck], gone: Literal["restorable", "permanent"] | None) -> Departure:
    """Of several ways at once the gravest: who was unassigned and is then deleted is deleted."""
    failed = {check.name for check in checks if not check.passed}
    if gone is not None:
        return "hard-deleted" if gone == "permanent" else "soft-deleted"
    if ACTIVE in failed:
        return "disabled"
    return "unassigned" if failed & {ASSIGNED, ENTITLED} else "filtered"


def lifecycle(
    before: Lifecycle | None, checks: Collection[ScopeCheck], gone: Literal["restorable", "permanent"] | None
) -> Lifecycle:
    """The state after an evaluation. Who was restored stays that until they leave again."""
    if gone is not None or not in_scope(checks):
        return departure(checks, gone)
    return "restored" if before in {"soft-deleted", "restored"} else "in scope"
