"""What becomes of a value that others changed in ServiceNow after our last write. Pure: knows the decision, the record
and what was last written; not how the change was noticed.

Entra never looks, and overwrites such a value the next time that the object changes. Here each column has a policy:
`report` tells it and leaves the value until the object changes in Entra, `enforce` writes Entra's value again, and
`adopt` leaves the value until Entra's own value of that column changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from provisioning.model import Action, Decision, Disable, Drifted, DriftPolicy, Link, Record, Skip, Update
from provisioning.rules.mapping import ACTIVE, LOCKED
from provisioning.rules.scope import in_scope
from provisioning.schema import ObjectMapping

TARGET_CHANGED = "TargetChanged"
"""Our own SkipReason: what differs is others' doing, and the job leaves it."""
UPDATED_BY, UPDATED_ON = "sys_updated_by", "sys_updated_on"
LOST = "ServiceNow has the record as it was before our last write, which is made again"


def with_drift(
    decision: Decision,
    mapping: ObjectMapping,
    link: Link,
    record: Record | None,
    default: DriftPolicy,
    *,
    reconciling: bool,
) -> Decision:
    """The decision without the values that the policy leaves as they are, and with what others changed.

    Only a record that is linked can drift. `reconciling` is true where nothing but the comparison with ServiceNow
    brought the object up: only then `report` leaves a value. No policy leaves what a backup brought back.
    """
    if record is None or not link.linked or decision.match is None or decision.match.how != "link":
        return decision
    fields = decision.action.fields if isinstance(decision.action, Update | Disable) else {}
    found: list[Drifted] = []
    if is_set_back(record, link):
        if any(is_drift(name, value, record, link) for name, value in fields.items()):
            decision = replace(decision, warnings=(*decision.warnings, LOST))
        fields = {}
    for name, value in fields.items():
        if is_drift(name, value, record, link):
            policy = mapping.drift_of(ACTIVE if name == LOCKED else name, default)
            left = policy == "adopt" or (policy == "report" and reconciling)
            found.append(_drifted(name, value, record, policy, left=left))
    if in_scope(decision.scope) and mapping.type == "user":
        revived = isinstance(decision.action, Update) and decision.action.fields.get(ACTIVE) == "true"
        found += [] if revived else _of_account(link, record)
    left_alone = {each.column for each in found if each.left}
    return replace(decision, action=_without(decision, left_alone, record, found), drifted=tuple(found))


def is_drift(name: str, value: str, record: Record, link: Link) -> bool:
    """Whether others made the difference: Entra's value is the one that was last written, the record's is not."""
    theirs = record.get(name)
    return theirs is not None and theirs != value and link.written.get(name) == value


def is_set_back(record: Record, link: Link) -> bool:
    """Whether the record is from before our last write to it: then that write is lost, and nobody has changed anything.
    A time of update only ever grows, so only a backup brings an earlier one back.
    """
    return bool(link.updated) and record.get(UPDATED_ON, link.updated) < link.updated


def drift_of_record(mapping: ObjectMapping, link: Link, record: Record, default: DriftPolicy) -> list[Drifted]:
    """What others changed of a record, as far as the last written values tell, which needs no read of Entra."""
    found = []
    for name, value in sorted(link.written.items()):
        theirs = record.get(name)
        if theirs is None or theirs in {value, link.altered.get(name)}:
            continue
        policy = mapping.drift_of(ACTIVE if name == LOCKED else name, default)
        if not (link.enabled and mapping.type == "user" and name in {ACTIVE, LOCKED}):
            found.append(_drifted(name, value, record, policy, left=policy != "enforce"))
    return found + (_of_account(link, record) if mapping.type == "user" else [])


def untold(decision: Decision, link: Link | None) -> bool:
    """Whether something that is left as it is was not in the log yet."""
    if decision.told:
        return False
    known: Mapping[str, str] = link.drifted if link is not None else {}
    return any(each.left and known.get(each.column) != each.theirs for each in decision.drifted or ())


def remembered(decision: Decision, link: Link) -> dict[str, str]:
    """What the link tells from now on of values that others changed and that were left."""
    if decision.drifted is None:
        return link.drifted
    return {each.column: each.theirs for each in decision.drifted if each.left}


def told(drifted: Iterable[Drifted]) -> str:
    """One sentence, without values: those may be redacted."""
    columns = ", ".join(sorted(each.column for each in drifted))
    return f"changed in ServiceNow after our last write and left as it is: {columns}"


def _drifted(name: str, ours: str, record: Record, policy: DriftPolicy, *, left: bool) -> Drifted:
    by, at = record.get(UPDATED_BY, ""), record.get(UPDATED_ON, "")
    return Drifted(name, ours, record.get(name, ""), policy, by, at, left)


def _of_account(link: Link, record: Record) -> list[Drifted]:
    """An account in scope that ServiceNow's own people deactivated or locked: that is never undone."""
    if not link.enabled:
        return []
    state = ((ACTIVE, "true", "false"), (LOCKED, "false", "true"))
    return [
        _drifted(name, ours, record, "report", left=True)
        for name, ours, theirs in state
        if record.get(name) == theirs and link.written.get(name) != theirs
    ]


def _without(decision: Decision, left: set[str], record: Record, found: list[Drifted]) -> Action:
    action = decision.action
    if not left:
        return action
    match action:
        case Update(fields=fields) | Disable(fields=fields):
            kept = {name: value for name, value in fields.items() if name not in left}
        case Skip(reason="RedundantExport"):
            kept = {}
        case _:
            return action
    open_ = bool(decision.awaits or decision.creates)
    if not open_ and all(record.get(name) == value for name, value in kept.items()):
        return Skip(TARGET_CHANGED, told(each for each in found if each.left))
    match action:
        case Disable(sys_id, _, before) if ACTIVE not in kept:
            return Update(sys_id, kept, before)
        case Update() | Disable():
            return replace(action, fields=kept)
        case _:
            return action
