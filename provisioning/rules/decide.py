"""The decision for one user or group: scope, match, difference, action. Pure: no await, no clock, no environment.

Everything that a decision needs is in `Seen`; the same function serves cycles, dry runs and on-demand runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from provisioning.errors import ObjectError
from provisioning.model import (
    Action,
    Create,
    Decision,
    Disable,
    Fail,
    Link,
    Match,
    Missing,
    Record,
    Remove,
    ScopeCheck,
    Skip,
    SourceObject,
    Update,
)
from provisioning.rules.mapping import Desired
from provisioning.rules.matching import choose_match
from provisioning.rules.scope import in_scope, reasons, scope_checks
from provisioning.schema import ObjectMapping

DISABLED = {"active": "false", "locked_out": "true"}
ENABLED = {"active": "true", "locked_out": "false"}


@dataclass(frozen=True, slots=True)
class Policy:
    """What the job says about scope and removal."""

    everyone: bool = False
    hard_delete: Literal["disable", "delete"] = "disable"


@dataclass(frozen=True, slots=True)
class Person:
    """Who a reference to a user points to: their record, or that this plan creates it, or neither."""

    source_id: str
    sys_id: str | None
    planned: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of one object on both sides.

    `source` is None when the object is gone, `unread` when it was not needed. `own` is the record under the link's
    sys_id, `hits` what a search for the match value returned. `candidate_sys_id` is the sys_id for a new record.
    """

    key: str
    link: Link
    grants: tuple[str, ...]
    link_etag: str = ""
    source: SourceObject | None = None
    unread: bool = False
    gone: Literal["restorable", "permanent"] | None = None
    desired: Desired | None = None
    error: ObjectError | None = None
    own: Record | None = None
    hits: tuple[Record, ...] = ()
    rival: str | None = None
    candidate_sys_id: str = ""
    candidate_generation: int = 0
    resolved: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, Person] = field(default_factory=dict)
    recheck: bool = False


def decide(seen: Seen, mapping: ObjectMapping, policy: Policy) -> Decision:
    """Raises nothing: what cannot be provisioned becomes a `Fail` that says why and what to do."""
    checks = scope_checks(None if seen.gone else seen.source or _unread(seen), seen.grants, everyone=policy.everyone)
    decision = Decision(
        object=seen.key,
        action=Skip("RedundantExport", "nothing to change"),
        name=_display_name(seen),
        scope=checks,
        grants=seen.grants,
        manager=_manager(seen),
        recheck=seen.recheck,
    )
    try:
        if in_scope(checks):
            return _decide_in_scope(seen, mapping, decision)
        return _with(decision, *_leave_scope(seen, mapping, policy, checks))
    except ObjectError as error:
        return _with(decision, Fail(error.code, str(error), error.way_out), Match("none", None))


def _with(decision: Decision, action: Action, match: Match) -> Decision:
    return replace(decision, action=action, match=match)


def _unread(seen: Seen) -> SourceObject | None:
    """An object that did not have to be read stands for an active one: only its grants changed."""
    return SourceObject(seen.link.type, seen.link.id, {}) if seen.unread else None


def _display_name(seen: Seen) -> str:
    if seen.source is not None:
        return str(seen.source.attributes.get("displayName") or "")
    return seen.link.match_value or ""


def _manager(seen: Seen) -> str | None:
    if seen.source is None or "manager" not in seen.source.attributes:
        return seen.link.manager
    manager = seen.source.attributes["manager"]
    return str(manager["id"]) if isinstance(manager, Mapping) else None


def _leave_scope(
    seen: Seen, mapping: ObjectMapping, policy: Policy, checks: tuple[ScopeCheck, ...]
) -> tuple[Action, Match]:
    """A user that has a record is disabled; a group keeps its record and loses only its memberships."""
    link, own = seen.link, seen.own
    match = (
        Match("link" if link.linked else "intent", link.match_value, (link.sys_id,)) if own and link.sys_id else None
    )
    if own is None or match is None or link.sys_id is None:
        return Skip("NotEffectivelyEntitled", reasons(checks)), Match("none", None)
    if mapping.type == "group":
        return Skip("NotEffectivelyEntitled", f"{reasons(checks)}; the group's record stays as it is"), match
    if seen.gone == "permanent" and policy.hard_delete == "delete" and "Delete" in mapping.flow_types:
        return Remove(link.sys_id, {mapping.matching.target: own.get(mapping.matching.target, "")}), match
    if "Update" not in mapping.flow_types:
        return Skip("NotPermitted", f"{reasons(checks)}; the Update action is switched off"), match
    fields = {name: value for name, value in DISABLED.items() if own.get(name, "") != value}
    if not fields:
        return Skip("RedundantExport", f"{reasons(checks)}; the account is already inactive and locked"), match
    return Disable(link.sys_id, fields, {name: own.get(name, "") for name in fields}), match


def _decide_in_scope(seen: Seen, mapping: ObjectMapping, decision: Decision) -> Decision:
    if not mapping.enabled:
        return _with(decision, Skip("NotPermitted", "the object mapping is switched off"), Match("none", None))
    if seen.unread:
        return _with(decision, decision.action, Match("link", seen.link.match_value, (seen.link.sys_id or "",)))
    if seen.error is not None:
        raise seen.error
    desired = seen.desired
    if desired is None:
        raise ObjectError("InternalError", "the source object was not read", "run again; report it if it stays")
    record, match = _find_record(seen, mapping, desired)
    if seen.rival is not None:
        raise ObjectError(
            "DuplicateSourceEntries",
            f"another source object, {seen.rival}, already has the {mapping.matching.target} that this one maps to",
            f"give each object its own {mapping.matching.target}; the first one keeps the account",
        )
    fields, missing, awaits = _resolve(seen, desired if record is None else desired.for_update())
    decision = replace(decision, missing=missing, awaits=awaits, warnings=desired.warnings)
    if record is None:
        return _with(decision, *_create(seen, mapping, fields, match))
    return _update(seen, mapping, fields, record, match, decision)


def _resolve(seen: Seen, desired: Desired) -> tuple[dict[str, str], tuple[Missing, ...], dict[str, str]]:
    """Plain values plus the references that can be written now; what cannot be written never fails the object."""
    fields = dict(desired.values)
    missing: list[Missing] = []
    awaits: dict[str, str] = {}
    for column, reference in desired.references.items():
        if column in seen.resolved:
            fields[column] = seen.resolved[column]
        else:
            missing.append(Missing(column, reference.value, reference.table))
    for column, source_id in desired.people.items():
        person = seen.people.get(source_id)
        if person is not None and person.sys_id is not None:
            fields[column] = person.sys_id
        elif person is not None and person.planned:
            awaits[column] = source_id
        else:
            missing.append(Missing(column, source_id))
    return fields, tuple(missing), awaits


def _find_record(seen: Seen, mapping: ObjectMapping, desired: Desired) -> tuple[Record | None, Match]:
    """The link's record, else the one that the match value finds. A vanished record is searched for again."""
    if seen.own is not None:
        how: Literal["link", "intent"] = "link" if seen.link.linked else "intent"
        return seen.own, Match(how, desired.match_value, (seen.own["sys_id"],))
    record = choose_match(mapping.matching.target, desired.match_value, seen.hits)
    if record is None:
        return None, Match("none", desired.match_value)
    return record, Match("attribute", desired.match_value, (record["sys_id"],))


def _create(seen: Seen, mapping: ObjectMapping, fields: dict[str, str], match: Match) -> tuple[Action, Match]:
    if "Add" not in mapping.flow_types:
        return Skip("NotPermitted", "the Create action is switched off"), match
    if mapping.type == "user":
        fields = {**fields, "active": "true"}
    return Create(seen.candidate_sys_id, seen.candidate_generation, fields), match


def _update(
    seen: Seen, mapping: ObjectMapping, fields: dict[str, str], record: Record, match: Match, decision: Decision
) -> Decision:
    warnings = decision.warnings
    if mapping.type == "user":
        inactive = record.get("active") == "false"
        adopting = match.how == "attribute" or (match.how == "intent" and seen.link.origin == "adopted")
        rehired = adopting and inactive
        returned = not adopting and not seen.link.enabled
        if rehired or returned:
            fields = {**fields, **ENABLED}
        elif inactive:
            warnings += ("the account was deactivated in ServiceNow after our last write; it is left as it is",)
    changed = {name: value for name, value in fields.items() if _differs(name, value, record, seen.link)}
    decision = replace(decision, warnings=warnings)
    if not changed and not decision.awaits:
        return _with(decision, Skip("RedundantExport", "the record already holds every mapped value"), match)
    if "Update" not in mapping.flow_types:
        return _with(decision, Skip("NotPermitted", "the Update action is switched off"), match)
    before = {name: record.get(name, "") for name in changed}
    return _with(decision, Update(record["sys_id"], changed, before), match)


def _differs(name: str, value: str, record: Record, link: Link) -> bool:
    """Whether sending the value would change the record.

    What the instance did not store as sent (cut, refused as a choice, dropped by an ACL) is not sent again as long as
    both the value and what the instance made of it stay the same; a column that may not be read is compared with what
    was last written.
    """
    present = record.get(name)
    if present is None:
        return link.written.get(name) != value
    if present == value:
        return False
    return not (link.written.get(name) == value and link.altered.get(name) == present)
