"""The decision for one user or group: scope, match, difference, action. Pure: no await, no clock, no environment.

Everything that a decision needs is in `Seen`; the same function serves cycles, dry runs and on-demand runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_seen
from typing import Literal

from msgspec.structs import replace

from provisioning.errors import ObjectError
from provisioning.model import (
    Action,
    Create,
    Decision,
    Disable,
    Fail,
    Lifecycle,
    Link,
    Match,
    Record,
    Remove,
    Skip,
    SourceObject,
    Update,
)
from provisioning.rules.assessment import Assessment, Policy
from provisioning.rules.departures import GroupLeave, departure, lifecycle
from provisioning.rules.differences import changed_fields
from provisioning.rules.drift import is_set_back, with_drift
from provisioning.rules.linkage import restored
from provisioning.rules.mapping import ACTIVE, LOCKED, Desired, Key
from provisioning.rules.matching import choose_match
from provisioning.rules.neighbours import left_to, managed_elsewhere, taken_over
from provisioning.rules.protection import Rights, shielded
from provisioning.rules.referring import Looked, Person, refer
from provisioning.rules.scope import in_scope, reasons
from provisioning.schema import ObjectMapping

DISABLED = {ACTIVE: "false", LOCKED: "true"}
ENABLED = {ACTIVE: "true", LOCKED: "false"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of one object on both sides.

    `source` is None when the object is gone, `unread` when it was not needed. `own` is the record under the link's
    sys_id, or the former one of an object that is out of scope. `searched` says how many of its keys were searched for,
    and `hits` what the last of them found; `owners` are the other source objects that these records belong to, `rival`
    one that holds a key. `neighbours` are the other jobs that hold one of these records, or the one that was to be
    made, by its sys_id. `candidate_sys_id` is the sys_id for a new record, `looked` what looking references up came to,
    `chosen` the free value of each column that takes a unique one, `rights` what tells whether the record is protected.
    `reconciling` is true where nothing but the comparison with ServiceNow brought the object up.
    """

    key: str
    link: Link
    grants: tuple[str, ...]
    link_etag: str = ""
    source: SourceObject | None = None
    unread: bool = False
    gone: Literal["restorable", "permanent"] | None = None
    assessment: Assessment = field(default_factory=Assessment)
    own: Record | None = None
    searched: int = 0
    hits: tuple[Record, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    rival: str | None = None
    neighbours: Mapping[str, str] = field(default_factory=dict)
    candidate_sys_id: str = ""
    candidate_generation: int = 0
    looked: Looked = field(default_factory=Looked)
    people: Mapping[str, Person] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    recheck: bool = False
    rights: Rights = field(default_factory=Rights)
    reconciling: bool = False


def decide(seen: Seen, mapping: ObjectMapping, policy: Policy) -> Decision:
    """Raises nothing: what cannot be provisioned becomes a `Fail` that says why and what to do; what would touch a
    protected record, a `Skip`.
    """
    if (link := restored(seen.link, seen.own)) is not seen.link:
        seen = replace_seen(seen, link=link)
    decision = _decide(seen, mapping, policy)
    decision = with_drift(decision, mapping, seen.link, seen.own, policy.drift, reconciling=seen.reconciling)
    return shielded(decision, mapping.type, _record(seen, decision), seen.link, policy.protection, seen.rights)


def _record(seen: Seen, decision: Decision) -> Record | None:
    """The record that the decision is about."""
    found = decision.match.sys_ids[:1] if decision.match is not None else ()
    records = (seen.own, *seen.hits) if seen.own is not None else seen.hits
    return next((record for record in records if record["sys_id"] in found), None)


def _decide(seen: Seen, mapping: ObjectMapping, policy: Policy) -> Decision:
    assessment = seen.assessment
    decision = Decision(
        object=seen.key,
        action=Skip("RedundantExport", "nothing to change"),
        name=_display_name(seen),
        scope=assessment.checks,
        grants=seen.grants,
        manager=_manager(seen),
        recheck=seen.recheck,
        state=_state(seen),
        redacted=tuple(sorted(mapping.redacted)),
        secrets=_secrets(seen, mapping),
    )
    try:
        if not in_scope(assessment.checks) and (other := taken_over(seen.link, seen.neighbours)) is not None:
            return left_to(_with(decision, decision.action, _present(seen)), other, seen.link)
        nothing_to_leave = not in_scope(assessment.checks) and seen.own is None
        if assessment.error is not None and not nothing_to_leave:
            raise assessment.error
        if assessment.dropped is not None:
            text = f"dropped before scoping by the input filter {assessment.dropped}; the record is left as it is"
            return _with(decision, Skip("ImportSkipped", text), _present(seen))
        if in_scope(assessment.checks):
            return _decide_in_scope(seen, mapping, policy, decision)
        return _leave_scope(seen, mapping, policy, decision)
    except ObjectError as error:
        return _with(decision, Fail(error.code, str(error), error.way_out), Match("none", None))


def _state(seen: Seen) -> Lifecycle | None:
    """None where nobody knows: the scope could not be evaluated, or was not asked for."""
    if seen.assessment.dropped is not None or not (seen.assessment.checks or seen.gone):
        return None
    return lifecycle(seen.link.state, seen.assessment.checks, seen.gone)


def _with(decision: Decision, action: Action, match: Match) -> Decision:
    return replace(decision, action=action, match=match)


def _display_name(seen: Seen) -> str:
    if seen.source is not None:
        return str(seen.source.attributes.get("displayName") or "")
    return seen.link.match_value or ""


def _manager(seen: Seen) -> str | None:
    if seen.source is None or "manager" not in seen.source.attributes:
        return seen.link.manager
    manager = seen.source.attributes["manager"]
    return str(manager["id"]) if isinstance(manager, Mapping) else None


def _secrets(seen: Seen, mapping: ObjectMapping) -> dict[str, str]:
    """The redacted ones among the object's keys, which a log would name without sending them."""
    desired, redacted = seen.assessment.desired, mapping.redacted
    keys = desired.keys if desired is not None else ()
    secrets = {name: value for key in keys for name, value in key.parts if name in redacted}
    if desired is not None:
        for name in redacted & desired.references.keys():
            secrets |= {f"{name} {n}": each.value for n, each in enumerate(desired.references[name])}
    if any(each.target in redacted for key in mapping.matching for each in key):
        known = (seen.link.match_value or "", *seen.link.other_keys)
        secrets |= {f"key {n}": text for n, text in enumerate(known) if text}
    return secrets


def _present(seen: Seen) -> Match:
    """The record that is known by its sys_id."""
    link = seen.link
    if seen.own is None or link.sys_id is None:
        return Match("none", None)
    return Match("link" if link.linked else "intent", link.match_value, (link.sys_id,))


# --- Out of scope -----------------------------------------------------------------------------------


def _leave_scope(seen: Seen, mapping: ObjectMapping, policy: Policy, decision: Decision) -> Decision:
    """What the job says for the way in which the object left. By default a user that has a record gets the values of a
    soft-deleted one, an inactive account; a group keeps its record and loses only its memberships.
    """
    why, own, match = reasons(seen.assessment.checks), seen.own, _present(seen)
    if own is None or seen.link.sys_id is None:
        return _with(decision, Skip("NotEffectivelyEntitled", why), match)
    sys_id = seen.link.sys_id
    if mapping.type == "group":
        return _with(decision, _leave_group(seen, own, mapping, policy.departures.groups, why), match)
    how = departure(seen.assessment.checks, seen.gone)
    if policy.departures.of(how) == "leave":
        text = f"{why}; the job leaves {how} accounts as they are"
        return _with(decision, Skip("NotEffectivelyEntitled", text), match)
    if policy.departures.of(how) == "delete" and "Delete" in mapping.flow_types:
        return _with(decision, _remove(sys_id, own, mapping), match)
    if "Update" not in mapping.flow_types:
        return _with(decision, Skip("NotPermitted", f"{why}; the Update action is switched off"), match)
    leaving = seen.assessment.leaving
    if not leaving.values:
        text = f"{why}; no mapping reads IsSoftDeleted, so the account is left as it is"
        return _with(decision, Skip("NotEffectivelyEntitled", text), match)
    wanted = {**leaving.values, **_lock(leaving.values)}
    fields = {name: value for name, value in wanted.items() if own.get(name, "") != value}
    decision = replace(decision, warnings=leaving.warnings, agreed=_cut_off(seen.link, own))
    if not fields:
        text = f"{why}; the account already is as a soft-deleted one should be"
        return _with(decision, Skip("RedundantExport", text), match)
    before = {name: own.get(name, "") for name in fields}
    removes = wanted.get(ACTIVE) == "false"
    return _with(decision, Disable(sys_id, fields, before) if removes else Update(sys_id, fields, before), match)


def _leave_group(seen: Seen, own: Record, mapping: ObjectMapping, how: GroupLeave, why: str) -> Action:
    """A group that ServiceNow's own people made is never deleted: it had a life before."""
    if how == "delete" and seen.link.origin == "created" and "Delete" in mapping.flow_types:
        return _remove(own["sys_id"], own, mapping)
    if how == "leave":
        return Skip("NotEffectivelyEntitled", f"{why}; the group's record stays as it is")
    if own.get(ACTIVE, "true") == "false":
        return Skip("RedundantExport", f"{why}; the group is inactive already")
    if "Update" not in mapping.flow_types:
        return Skip("NotPermitted", f"{why}; the Update action is switched off")
    return Disable(own["sys_id"], {ACTIVE: "false"}, {ACTIVE: own.get(ACTIVE, "")})


def _remove(sys_id: str, own: Record, mapping: ObjectMapping) -> Remove:
    return Remove(sys_id, {name: own.get(name, "") for name in (each.target for each in mapping.matching[0])})


def _lock(values: Mapping[str, str]) -> dict[str, str]:
    """ServiceNow locks an account that is deactivated and does not unlock one that is activated: we send both."""
    return dict(DISABLED) if values.get(ACTIVE) == "false" else {}


# --- In scope -----------------------------------------------------------------------------------------


def _decide_in_scope(seen: Seen, mapping: ObjectMapping, policy: Policy, decision: Decision) -> Decision:
    if not mapping.enabled:
        return _with(decision, Skip("NotPermitted", "the object mapping is switched off"), Match("none", None))
    if seen.unread:
        found = Match("link", seen.link.match_value, (seen.link.sys_id or "",), seen.link.other_keys)
        return _with(decision, decision.action, found)
    other = managed_elsewhere(seen.link, None, "", seen.neighbours)
    if seen.own is None and other is not None:
        return left_to(replace(decision, match=None), other, seen.link)
    desired = seen.assessment.desired
    if desired is None:
        raise ObjectError("InternalError", "the source object was not read", "run again; report it if it stays")
    if desired.ignored is not None:
        return _with(decision, Skip("ImportSkipped", desired.ignored), _present(seen))
    record, match, passed_over = _find_record(seen, mapping, desired)
    other = managed_elsewhere(seen.link, record, seen.candidate_sys_id, seen.neighbours)
    if other is not None:
        return left_to(replace(decision, match=match if record is not None else None), other, seen.link)
    rival = seen.rival if record is None else seen.owners.get(record["sys_id"], seen.rival)
    if rival is not None:
        names = " or ".join(" with ".join(each.target for each in key) for key in mapping.matching)
        raise ObjectError(
            "DuplicateSourceEntries",
            f"another source object, {rival}, already has the {names} that this one maps to",
            f"give each object its own {names}; the first one keeps the account",
        )
    wanted = desired if record is None else desired.for_update(record)
    referred = refer(wanted, seen.looked, seen.people, mapping, policy.creatable)
    fields = {**wanted.values, **_chosen(seen, wanted), **referred.fields}
    warnings = desired.warnings
    if passed_over:
        warnings += (f"{len(passed_over)} more record(s) have the same key: {', '.join(passed_over[:5])}",)
    decision = replace(
        decision,
        missing=tuple(referred.missing),
        awaits=referred.awaits,
        creates=tuple(referred.creates),
        warnings=(*warnings, *referred.warnings),
    )
    if seen.link.linked and seen.own is None:
        decision = replace(decision, lost=seen.link.sys_id or "")
    if record is None:
        return _with(decision, *_create(seen, mapping, desired, fields, match))
    return _update(seen, mapping, desired, fields, record, match, decision)


def _chosen(seen: Seen, desired: Desired) -> dict[str, str]:
    return {column: seen.chosen[column] for column in desired.unique if column in seen.chosen}


def _find_record(seen: Seen, mapping: ObjectMapping, desired: Desired) -> tuple[Record | None, Match, tuple[str, ...]]:
    """The link's record, else the one that a key finds. A vanished record is searched for again."""
    first = desired.keys[0]
    if seen.own is not None:
        how: Literal["link", "intent"] = "link" if seen.link.linked else "intent"
        return seen.own, Match(how, first.text, (seen.own["sys_id"],), _texts(desired.keys[1:])), ()
    searched = desired.keys[: max(1, seen.searched)]
    chosen = choose_match(searched[-1], seen.hits, mapping.preferred)
    if chosen is None:
        return None, Match("none", first.text, (), _texts(searched[1:])), ()
    found = Match("attribute", searched[-1].text, (chosen.record["sys_id"],), _texts(searched[:-1]))
    return chosen.record, found, chosen.others


def _texts(keys: tuple[Key, ...]) -> tuple[str, ...]:
    return tuple(key.text for key in keys)


def _create(
    seen: Seen, mapping: ObjectMapping, desired: Desired, fields: dict[str, str], match: Match
) -> tuple[Action, Match]:
    if "Add" not in mapping.flow_types:
        return Skip("NotPermitted", "the Create action is switched off"), match
    if desired.absent:
        raise ObjectError(
            "MandatoryFieldsMissing",
            f"{', '.join(desired.absent)} of {mapping.table} must have a value and the mapping gives none",
            "give the source attribute a value, or the mapping a default",
        )
    _require_unique(seen, desired)
    fields = {**fields, **_lock(fields)} if mapping.type == "user" else fields
    return Create(seen.candidate_sys_id, seen.candidate_generation, fields), match


def _require_unique(seen: Seen, desired: Desired) -> None:
    """An object for which every candidate is taken waits for one to become free, as in Entra."""
    for column, candidates in desired.unique.items():
        if column not in seen.chosen:
            raise ObjectError(
                "EntryConflict",
                f"each of the {len(candidates)} values that SelectUniqueValue offers for {column} is taken",
                "add another rule to the expression, or free one of the values in ServiceNow",
            )


def _update(  # noqa: PLR0913, PLR0917 - what was seen, what is wanted, and what is known of the record
    seen: Seen,
    mapping: ObjectMapping,
    desired: Desired,
    fields: dict[str, str],
    record: Record,
    match: Match,
    decision: Decision,
) -> Decision:
    _require_unique(seen, desired.for_update(record))
    known: dict[str, str] = {}
    if mapping.type == "user":
        known = _regained(seen.link, record) if fields.get(ACTIVE) == "true" else _cut_off(seen.link, record)
        fields, warnings = _account_state(seen, fields, record, match)
        decision = replace(decision, warnings=decision.warnings + warnings)
    elif seen.link.written.get(ACTIVE) == "false" and not seen.link.enabled and ACTIVE not in fields:
        fields = {**fields, ACTIVE: "true"}  # it returns, and it was us who deactivated it
    changed = changed_fields(mapping, desired, fields, record, seen.link)
    decision = replace(decision, agreed={**_agreed(seen, fields, record), **known})
    if not changed and not decision.awaits and not decision.creates:
        return _with(decision, Skip("RedundantExport", "the record already holds every mapped value"), match)
    if "Update" not in mapping.flow_types:
        return _with(decision, Skip("NotPermitted", "the Update action is switched off"), match)
    # What is awaited may turn out to be there already.
    open_ = (*decision.awaits, *(each.attribute for each in decision.creates))
    before = {name: record.get(name, "") for name in (*changed, *open_)}
    if mapping.type == "user" and changed.get(ACTIVE) == "false":
        return _with(decision, Disable(record["sys_id"], changed, before), match)
    return _with(decision, Update(record["sys_id"], changed, before), match)


def _agreed(seen: Seen, fields: Mapping[str, str], record: Record) -> dict[str, str]:
    """What was not written because the record held it already: where it differs later, others did that."""
    return {
        name: value
        for name, value in fields.items()
        if name not in {ACTIVE, LOCKED} and record.get(name) == value and seen.link.written.get(name) != value
    }


def _account_state(
    seen: Seen, fields: dict[str, str], record: Record, match: Match
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What is written to `active` and `locked_out`, where `active` is mapped.

    An account is activated that we deactivated, or that is adopted (a rehire), or that was active when we wrote to it
    last and is inactive because the instance was set back to before that; it is unlocked where it was locked by us, or
    by whoever it had before. One that ServiceNow's own people deactivated or locked after our last write is reported
    and left alone, also when its owner was away meanwhile, or a restart has made us forget whose it is.
    """
    wanted = fields.get(ACTIVE)
    if wanted != "true":
        return {**fields, **_lock(fields)}, ()
    others = {name: value for name, value in fields.items() if name != ACTIVE}
    inactive = record.get(ACTIVE) == "false"
    adopting = match.how == "attribute" or (match.how == "intent" and seen.link.origin == "adopted")
    rehired = adopting and seen.link.former != record["sys_id"]
    reset = (
        is_set_back(record, seen.link) and seen.link.written.get(ACTIVE) == "true" and ACTIVE not in seen.link.drifted
    )
    if inactive and (rehired or reset):
        return {**others, **ENABLED}, ()
    known = {} if rehired else {**seen.link.written, **_cut_off(seen.link, record)}
    if known.get(ACTIVE) == "false":
        return {**others, **{name: value for name, value in ENABLED.items() if known.get(name) == DISABLED[name]}}, ()
    if inactive:
        return others, ("the account was deactivated in ServiceNow after our last write; it is left as it is",)
    return others, ()


def _cut_off(link: Link, record: Record) -> dict[str, str]:
    """What a disablement of ours has done of which no outcome was stored: a worker died, or a reply was lost."""
    if not link.disabling or record.get(ACTIVE) != "false":
        return {}
    return {name: value for name, value in DISABLED.items() if record.get(name) == value}


def _regained(link: Link, record: Record) -> dict[str, str]:
    """What of our disablement is undone already: if it is done again later, others did that."""
    return {
        name: record[name]
        for name, value in DISABLED.items()
        if link.written.get(name) == value and record.get(name, value) != value
    }
