"""The decision for one membership: add, remove, adopt or wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from provisioning.model import (
    Create,
    Decision,
    Drifted,
    DriftPolicy,
    Edge,
    Link,
    Match,
    Missing,
    Record,
    Remove,
    Skip,
)
from provisioning.rules.drift import TARGET_CHANGED
from provisioning.rules.mapping import ACTIVE
from provisioning.rules.protection import Protection, Rights, protected_account, protected_membership

REMOVED = "the membership ended"
LEFT_BEHIND = "the group is out of scope"
DISABLED = "the user's account is disabled; it is a member again when it returns"
TAKEN_AWAY = "the membership was removed in ServiceNow after we had made it; it is left as it is"
UNMAPPED = "the members of groups are not mapped"
NOTHING_NAMED = Protection()


@dataclass(frozen=True, slots=True)
class MembershipSeen:
    """What was observed of one membership. `rows` are the sys_ids of its rows in ServiceNow; `group_in_scope` and
    `wanted` say what the source says now. An end that is `planned` is created by this same plan; the group `returns`
    where the plan brings it back into scope. `reconciling` is true where only a comparison brought it up,
    `owned` where the group has no members but those in Entra. `account` is the user's record, where something may have
    to be written. `group_names` are the group's object id and the names that it has or is about to get.
    """

    key: str
    group_id: str
    member_id: str
    wanted: bool
    group: Link | None
    member: Link | None
    group_planned: bool
    member_planned: bool
    edge: Edge | None
    rows: tuple[str, ...]
    candidate_sys_id: str
    account: Record | None = None
    rights: Rights = field(default_factory=Rights)
    returns: bool = False
    reconciling: bool = False
    owned: bool = False
    group_names: tuple[str, ...] = ()


def decide_membership(
    seen: MembershipSeen,
    *,
    mapped: bool = True,
    only_enabled: bool = False,
    protection: Protection = NOTHING_NAMED,
    drift: DriftPolicy = "enforce",
) -> Decision:
    """What the source asks for, unless the user's account is protected, or others removed the row and the job leaves
    that. With `only_enabled` an account that we disabled has no memberships until it returns.
    """
    decision = _decide(seen, mapped=mapped, only_enabled=only_enabled)
    if isinstance(decision.action, Create) and "user" not in decision.awaits and seen.account is None:
        return Decision(
            seen.key,
            Skip("UnableToResolveReferenceAttributeValue", "waits for another record of the user: this one is gone"),
            match=Match("none", None),
            recheck=True,
        )
    decision = _with_drift(seen, decision, drift)
    if seen.account is None or seen.member is None or not isinstance(decision.action, Create | Remove):
        return decision
    why = protected_account(seen.account, seen.member, protection, seen.rights)
    if why is None:
        return decision
    told = seen.edge is not None and seen.edge.protected
    return replace(decision, action=protected_membership(why), awaits={}, told=told)


def _with_drift(seen: MembershipSeen, decision: Decision, policy: DriftPolicy) -> Decision:
    edge = seen.edge
    if edge is None or edge.sys_id is None or not isinstance(decision.action, Create) or decision.awaits:
        return decision
    left = policy == "adopt" or (policy == "report" and seen.reconciling)
    drifted = (Drifted("members", seen.member_id, "", policy, left=left),)
    if not left:
        return replace(decision, drifted=drifted)
    return replace(decision, action=Skip(TARGET_CHANGED, TAKEN_AWAY), drifted=drifted, told=edge.drifted)


def is_disabled(user: Link) -> bool:
    """Whether the account is inactive by our own last write."""
    return user.linked and not user.enabled and user.written.get(ACTIVE) == "false"


def _decide(seen: MembershipSeen, *, mapped: bool, only_enabled: bool) -> Decision:
    """Removed is only what the source had and whose row we made or found; a row that others made anew in its place
    goes with it, since the source says that the user is no member. Where members are not `mapped` nothing is written.
    """
    if not mapped:
        return Decision(seen.key, Skip("NotPermitted", UNMAPPED))
    if seen.wanted and seen.group is not None and seen.group.linked and not seen.group.enabled and not seen.returns:
        return _decide_remove(seen, LEFT_BEHIND)
    if only_enabled and seen.wanted and seen.member is not None and is_disabled(seen.member):
        return replace(_decide_remove(seen, DISABLED), missing=(Missing("user", seen.member_id),))
    return _decide_add(seen) if seen.wanted else _decide_remove(seen, REMOVED)


def _decide_add(seen: MembershipSeen) -> Decision:
    group = _sys_id(seen.group)
    member = _sys_id(seen.member)
    if group is None or member is None:
        awaits = {}
        missing = []
        for column, source_id, planned, sys_id in (
            ("group", seen.group_id, seen.group_planned, group),
            ("user", seen.member_id, seen.member_planned, member),
        ):
            if sys_id is None and planned:
                awaits[column] = source_id
            elif sys_id is None:
                missing.append(Missing(column, source_id))
        if missing:
            skip = Skip("UnableToResolveReferenceAttributeValue", "waits until both the user and the group exist")
            match = Match("attribute", None, seen.rows) if seen.rows else Match("none", None)
            return Decision(seen.key, skip, match=match, missing=tuple(missing))
        return Decision(seen.key, _create(seen, group, member), match=Match("none", None), awaits=awaits)
    if seen.rows:
        skip = Skip("RedundantExport", "the user is a member already")
        return Decision(seen.key, skip, match=Match("attribute", None, seen.rows))
    return Decision(seen.key, _create(seen, group, member), match=Match("none", None))


def _create(seen: MembershipSeen, group: str | None, member: str | None) -> Create:
    ends = {"group": group, "user": member}
    return Create(seen.candidate_sys_id, 0, {column: end for column, end in ends.items() if end is not None})


def _decide_remove(seen: MembershipSeen, why: str) -> Decision:
    ours = seen.edge.sys_id if seen.edge is not None else None
    if not seen.rows or (ours is None and not seen.owned):
        return Decision(seen.key, Skip("RedundantExport", f"{why}; ServiceNow holds none of ours"))
    before = {"group": _record(seen.group), "user": _record(seen.member)}
    sys_id = ours if ours is not None and ours in seen.rows else seen.rows[0]
    return Decision(seen.key, Remove(sys_id, before), match=Match("link", None, seen.rows))


def _sys_id(link: Link | None) -> str | None:
    return link.reference if link is not None else None


def _record(link: Link | None) -> str:
    return (link.reference or link.former or "") if link is not None else ""
