"""Log entries in words: what happened to whom, why, and what to do. From an entry in the form of Microsoft Graph's
provisioningObjectSummary. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]

SHOWN = 4
RESULT, ASSIGNED = "ScopeEvaluationResult", "Assigned"
VERBS = {"create": "created", "update": "updated", "disable": "disabled", "delete": "deleted"}
_RECORD = re.compile(r"[0-9a-f]{32}")
NOUNS = {"User": "user", "Group": "group", "GroupMembership": "membership"}


def sentence(entry: Entry) -> str:
    """One sentence, with the reason and the values that changed."""
    who, action, status = who_is_it(entry), entry["provisioningAction"], entry["provisioningStatusInfo"]["status"]
    error = entry["provisioningStatusInfo"]["errorInformation"] or {}
    if action == "stagedDelete":
        verb = VERBS.get(entry["provisioningSteps"][-1]["details"].get("StagedAction"), "removed")
        return f"{who} is to be {verb}{_changed(entry)}, and the guard against accidental removal holds it."
    if status == "failure":
        what = f"could not be {VERBS[action]}" if action in VERBS else "could not be provisioned"
        way_out = f" {error['recommendedAction']}." if error.get("recommendedAction") else ""
        return f"{who} {what}: {error.get('reason')} ({error.get('errorCode')}).{way_out}"
    if action not in VERBS:
        return f"{who} was left as it is: {error.get('reason') or 'nothing to change'}."
    because = {"create": _created, "disable": _disabled}.get(action, _changed)(entry)
    waiting = [step["description"] for step in entry["provisioningSteps"] if step["status"] == "warning"]
    note = f" Note: {'; '.join(waiting)}." if waiting else ""
    return f"{who} was {VERBS[action]}{because}.{note}"


def who_is_it(entry: Entry) -> str:
    """A name where there is one; memberships are known by their two ids."""
    identity = entry["sourceIdentity"]
    kind = NOUNS.get(identity["identityType"], "object")
    name = identity["displayName"]
    if not name and kind == "membership":
        group, _, member = str(identity["id"]).partition(":")
        return f"membership of user {member} in group {group}"
    return f"{kind} {name} ({identity['id']})" if name else f"{kind} {identity['id']}"


def _created(entry: Entry) -> str:
    assigned = [detail for name, _, detail in _checks(entry) if name == ASSIGNED]
    if not assigned:  # a membership: it is there because both its ends are
        return " in ServiceNow"
    return f" in ServiceNow with {len(entry['modifiedProperties'])} values, because it is {assigned[0]}"


def _disabled(entry: Entry) -> str:
    reasons = [detail for _, passed, detail in _checks(entry) if not passed]
    because = f", because it is {' and '.join(reasons)}" if reasons else ""
    return f" in ServiceNow ({_values(entry)}){because}"


def _changed(entry: Entry) -> str:
    values = _values(entry)
    return f" in ServiceNow: {values}" if values else " in ServiceNow"


def _values(entry: Entry) -> str:
    shown = [
        _change(value["displayName"], value["oldValue"], value["newValue"])
        for value in entry["modifiedProperties"][:SHOWN]
    ]
    more = len(entry["modifiedProperties"]) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more > 0 else shown)


def _change(name: str, old: str | None, new: str | None) -> str:
    """A reference is an id that says nothing to a person; that it is another one now does."""
    if _RECORD.fullmatch(new or "") or _RECORD.fullmatch(old or ""):
        return f"{name} {'points to another record' if old and new else 'is set' if new else 'is emptied'}"
    return f"{name} {_quoted(old)} -> {_quoted(new)}"


def _quoted(value: str | None) -> str:
    return f"'{value}'" if value else "empty"


def _checks(entry: Entry) -> Iterator[tuple[str, bool, str]]:
    """Each scoping check, whether it passed and what it says; what they say stands in the result, in their order."""
    for step in entry["provisioningSteps"]:
        if step["provisioningStepType"] == "scoping":
            passed = {name: value == "True" for name, value in step["details"].items() if name != RESULT}
            details = str(step["details"].get(RESULT, "")).split("; ", maxsplit=len(passed) - 1)
            yield from ((name, value, detail) for (name, value), detail in zip(passed.items(), details, strict=False))
