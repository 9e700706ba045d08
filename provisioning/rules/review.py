"""The removal guard: what counts as harm, and how much of it may be done without a person's word. Pure; counts come
from the whole plan and from the last 24 hours, never from a page of the plan.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from provisioning.model import Clearance, Create, Decision, Disable, Fail, Pending, Remove, Skip, Update
from provisioning.rules.protection import PROTECTED
from provisioning.rules.scope import in_scope

HarmKind = Literal["users", "groups", "memberships", "wipes", "recreations", "additions"]
Grouped = tuple[HarmKind, str]
Part = HarmKind | Grouped
"""All harm of a kind, or what of it concerns the members of one group, which is named by its source id."""
WINDOW_SECONDS = 24 * 3600.0
ABSOLUTE, SHARE, FLOOR = 500, 0.05, 3
ACTIVE = "active"
REJECTED = "RemovalRejected"
"""The skip reason of what a person did not let through."""
LEFT_FOR_NOW = frozenset({PROTECTED, "NotPermitted", "ImportSkipped"})
"""Skip reasons that keep us from an object, whatever we would do to it."""
OF_OBJECT: Mapping[str, HarmKind] = {"user": "users", "group": "groups", "member": "memberships"}
WHAT: Mapping[str, str] = {
    "users": "users to be disabled or deleted",
    "groups": "groups to be deactivated or deleted",
    "memberships": "memberships to be removed",
    "wipes": "records whose values would be emptied or, where others made them, overwritten",
    "recreations": "records to be created anew, because those that were linked are gone",
    "additions": "memberships to be added",
}
"""Each kind in words for a person."""
OF_A_GROUP: Mapping[str, str] = {
    "memberships": "more than their groups may lose at once",
    "additions": "more than their groups may gain at once",
}
"""Why a kind is held that is within the limits of all groups together."""
WOULD_BE = {"wipes": "overwritten or emptied", "recreations": "created anew because their records are gone"}


@dataclass(frozen=True, slots=True)
class Harm:
    """`deletes` is what cannot be undone by the next cycle: a decision that becomes that is reviewed again."""

    kind: HarmKind
    deletes: bool = False


def harm_of(decision: Decision) -> Harm | None:
    """What a decision takes away, or None. Whoever leaves the scope and gets other values counts as removed, whatever
    the mapping makes of it. To create what is gone anew takes nothing away, but many records that are gone at once say
    that something is wrong with the instance. A member that is added is counted where its group has a limit.
    """
    kind = OF_OBJECT[decision.object.split(":", 1)[0]]
    match decision.action:
        case Remove():
            return Harm(kind, deletes=True)
        case Disable():
            return Harm(kind)
        case Create() if decision.lost:
            return Harm("recreations")
        case Create() if is_addition(decision):
            return Harm("additions")
        case Update() if decision.scope and not in_scope(decision.scope):
            return Harm(kind)
        case Update(fields=fields) if kind == "groups" and fields.get(ACTIVE) == "false":
            return Harm(kind)
        case Update(fields=fields, before=before) if wiped(fields, before, found=_is_found(decision)):
            return Harm("wipes")
        case _:
            return None


def is_addition(decision: Decision) -> bool:
    """Whether it adds a member to a group that may not get as many as it likes."""
    return isinstance(decision.action, Create) and decision.group_limit is not None


def parts_of(decision: Decision, kind: HarmKind) -> tuple[Part, ...]:
    """What a decision that does harm of a kind counts against: the limits of the kind, and those of its group."""
    if decision.group_limit is None:
        return (kind,)
    return kind, (kind, decision.object.split(":")[1])


def _is_found(decision: Decision) -> bool:
    """Whether the record was there before us: it was found by a key, now or by a try that did not come to its end."""
    return decision.match is not None and decision.match.how in {"attribute", "intent"}


def wiped(fields: Mapping[str, str], before: Mapping[str, str], *, found: bool) -> tuple[str, ...]:
    """The columns that lose what they held: emptied or, in a record that was `found`, overwritten. What differs in
    letter case or blanks only is not lost.
    """
    return tuple(
        column
        for column, value in fields.items()
        if before.get(column, "")
        and (not value or (found and value.strip().casefold() != before[column].strip().casefold()))
    )


def version_of(decision: Decision) -> str:
    """Identifies what would be done: the object, the action, the record, the values before and after. The rows of a
    membership are not told apart: it is gone when the last of them is. One to be added is named by its two ends alone,
    whose records may not exist yet.
    """
    action = decision.action
    parts = [decision.object, type(action).__name__]
    if isinstance(action, Create | Update | Disable) and not is_addition(decision):
        parts += [f"{name}={value}" for name, value in sorted(action.fields.items())]
    if isinstance(action, Update | Disable | Remove):
        parts += [f"was {name}={value}" for name, value in sorted(action.before.items())]
        parts += [] if decision.object.startswith("member:") else [action.sys_id]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def is_cleared(pending: Pending) -> bool:
    """Whether nothing stands against carrying the decision out: it does no harm, or just this harm was let through.
    What a person approved goes through as it was shown to them, and not otherwise.
    """
    decision = pending.decision
    harm = harm_of(decision) if decision is not None else None
    if decision is None or harm is None:
        return True
    match pending.clearance:
        case Clearance(version=""):
            return pending.clearance == clearance_of(harm)
        case Clearance(version=version):
            return version == version_of(decision)
        case None:
            return False


def clearance_of(harm: Harm) -> Clearance:
    """What the limits let through: harm of this kind, whatever the values are."""
    return Clearance(harm.kind, harm.deletes)


def is_same(rejected: str, decision: Decision) -> bool:
    """Whether a decision would do what a person rejected under this version: what binds an approval binds that too."""
    return harm_of(decision) is not None and version_of(decision) == rejected


def is_moot(rejected: str, decision: Decision) -> bool:
    """Whether a rejection has nothing left to be about: the object is not to be harmed any more, or it is another harm.
    A failure, a doubt, and what keeps us from the object for now say nothing of that.
    """
    match decision.action:
        case Fail():
            return False
        case Skip(reason=reason) if reason in LEFT_FOR_NOW:
            return False
        case _:
            return not decision.recheck and not is_same(rejected, decision)


def spared(decision: Decision, plan: str) -> Decision:
    """In place of a decision that was rejected with a plan."""
    text = f"what was to be done was rejected with plan {plan}; a resync of the user or group offers it again"
    return replace(decision, action=Skip(REJECTED, text), awaits={}, creates=())


@dataclass(frozen=True, slots=True)
class Limits:
    """Held above the smaller of an absolute and a relative limit, but never below `floor`."""

    absolute: int = ABSOLUTE
    share: float = SHARE
    floor: int = FLOOR

    def allowed(self, managed: int) -> int:
        """How many of `managed` objects may be removed at once."""
        relative = math.ceil(round(self.share * managed, 6))  # 0.07 * 100 is a little more than 7
        return max(self.floor, min(self.absolute, relative))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`held` is true when the removals wait for a person. `executed` of them are past: those of the last 24 hours."""

    kind: HarmKind
    removals: int
    managed: int
    allowed: int
    executed: int = 0

    @property
    def held(self) -> bool:
        return self.removals > self.allowed

    def __str__(self) -> str:
        share = self.removals / self.managed if self.managed else 1.0
        past = f" ({self.executed} of them in the last 24 hours)" if self.executed else ""
        return (
            f"{self.removals} of {self.managed} {self.kind} ({share:.1%}) would be "
            f"{WOULD_BE.get(self.kind, 'removed')}{past}; {self.allowed} may be"
        )


def review(kind: HarmKind, removals: int, managed: int, limits: Limits, *, executed: int = 0) -> Verdict:
    """`removals` includes the `executed` ones."""
    return Verdict(kind, removals, managed, limits.allowed(managed), executed)
