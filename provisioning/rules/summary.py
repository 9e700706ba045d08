"""The log entry of one decision, in the shape of Microsoft Graph's provisioningObjectSummary (v1.0). Pure.

Steps are named as in Entra's logs: import, scoping, matching, what is determined to be done, (reference resolution,)
export.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from provisioning.model import (
    Action,
    Create,
    Decision,
    Disable,
    Drifted,
    Fail,
    Refused,
    Remove,
    Skip,
    Unsettled,
    Update,
    Written,
)
from provisioning.rules.error_codes import advice_for
from provisioning.rules.redaction import as_it_is, masked, masking, shown
from provisioning.rules.review import is_addition
from provisioning.rules.scope import ACTIVE, DELETED, in_scope, reasons

Status = Literal["success", "failure", "skipped", "warning"]
IDENTITY_TYPES = {"user": "User", "group": "Group", "member": "GroupMembership"}
EXPORTS = {
    Create: ("EntryExportAdd", "created"),
    Update: ("EntryExportUpdate", "updated"),
    Disable: ("EntryExportUpdate", "disabled"),
    Remove: ("EntryExportDelete", "deleted"),
}
DETERMINED = {
    Create: "EntrySynchronizationAdd",
    Update: "EntrySynchronizationUpdate",
    Disable: "EntrySynchronizationUpdate",
    Remove: "EntrySynchronizationDelete",
}
MATCHED = {
    "link": "The record that is linked to this object was read from ServiceNow",
    "intent": "A record that an interrupted run had begun to write was found in ServiceNow",
    "attribute": "{count} record(s) of ServiceNow match '{value}'",
    "none": "No record of ServiceNow matches '{value}'",
}
CONNECTION = "TestConnection"
"""The step of a run on demand that Entra shows only when it fails, and whose name it does not document."""
TEXTS = frozenset({"description", "details", "reason", "recommendedAction"})
TARGETS = {"user": "sys_user", "group": "sys_user_group", "member": "sys_user_grmember"}


@dataclass(frozen=True, slots=True)
class Initiator:
    """Who has asked for it: the schedule of the job, a person, or a program."""

    kind: Literal["user", "application", "system"]
    name: str


SERVICE = Initiator("system", "Provisioning Service")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts for whom: what is the same in every entry of a cycle. `service_principal` is the object id of the
    enterprise application, `application` its application (client) id.
    """

    tenant: str
    job: str
    cycle: str
    service_principal: str
    service_principal_name: str
    instance: str
    application: str = ""
    by: Initiator = SERVICE


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One decision and what came of it. `at` is in seconds since 1970; `staged` marks what the removal guard holds."""

    decision: Decision
    outcome: Written | Refused | Unsettled | None
    change: str
    at: float
    milliseconds: int = 0
    staged: bool = False

    @property
    def status(self) -> Status:
        match self.outcome:
            case Written():
                return "warning" if self.decision.missing or self.decision.warnings else "success"
            case Refused() | Unsettled():
                return "failure"
        match self.decision.action:
            case Fail():
                return "failure"
            case Skip():
                return "skipped"
            case _:
                return "success" if self.is_staged_delete else "skipped"

    @property
    def is_staged_delete(self) -> bool:
        """A membership that is not added yet takes nothing away: Entra's word for what is held does not fit."""
        return self.staged and not is_addition(self.decision)


def summarize(occurrence: Occurrence, origin: Origin) -> dict[str, Any]:
    """The entry as Graph's JSON. Values are those of the mapped attributes, nothing else of the person, and redacted
    ones nowhere.
    """
    decision = occurrence.decision
    kind, _, source_id = decision.object.partition(":")
    mask = masking(decision, occurrence.outcome)
    name = mask(decision.name)
    return {
        "id": occurrence.change,
        "activityDateTime": timestamp(occurrence.at),
        "tenantId": origin.tenant,
        "jobId": origin.job,
        "cycleId": origin.cycle,
        "changeId": occurrence.change,
        "provisioningAction": "stagedDelete" if occurrence.is_staged_delete else _action(decision.action),
        "durationInMilliseconds": occurrence.milliseconds,
        "provisioningStatusInfo": {"status": occurrence.status, "errorInformation": _told(_error(occurrence), mask)},
        "provisioningSteps": [_told(step, mask) for step in _steps(occurrence, kind, source_id)],
        "modifiedProperties": _modified(decision),
        "servicePrincipal": {"id": origin.service_principal, "displayName": origin.service_principal_name},
        "sourceSystem": {"id": origin.tenant, "displayName": "Microsoft Entra ID", "details": {}},
        "targetSystem": {
            "id": origin.instance,
            "displayName": "ServiceNow",
            "details": {
                "ApplicationId": origin.application,
                "ServicePrincipalId": origin.service_principal,
                "ServicePrincipalDisplayName": origin.service_principal_name,
            },
        },
        "initiatedBy": {"id": "", "displayName": origin.by.name, "initiatorType": origin.by.kind},
        "sourceIdentity": {
            "id": source_id,
            "displayName": name,
            "identityType": IDENTITY_TYPES[kind],
            "details": {},
        },
        "targetIdentity": {
            "id": _target_id(occurrence),
            "displayName": name,
            "identityType": TARGETS[kind],
            "details": {},
        },
    }


def unconnected(key: str, name: str, fail: Fail, change: str, at: float, origin: Origin) -> dict[str, Any]:
    """The entry of an object for which nothing was done because ServiceNow did not let us in: one step, which is shown
    only then.
    """
    entry = summarize(Occurrence(Decision(key, fail, name), None, change, at), origin)
    return {**entry, "provisioningSteps": [_step(CONNECTION, "processing", "failure", fail.message)]}


def _told(part: dict[str, Any] | None, mask: Callable[[str], str]) -> dict[str, Any] | None:
    """Masks what is written for people; the rest are names and codes."""
    if not part or mask is as_it_is:
        return part
    return {name: masked(text, mask) if name in TEXTS else text for name, text in part.items()}


def in_milliseconds(seconds: float) -> int:
    """A duration. Clocks are set back at times, and nothing takes less than no time."""
    return max(0, round(seconds * 1000))


@lru_cache(maxsize=256)
def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC as Graph writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _action(action: Action) -> str:
    match action:
        case Create():
            return "create"
        case Update():
            return "update"
        case Disable():
            return "disable"
        case Remove():
            return "delete"
        case _:
            return "other"


def _target_id(occurrence: Occurrence) -> str:
    match occurrence:
        case Occurrence(outcome=Written(record=record)) if "sys_id" in record:
            return record["sys_id"]
        case Occurrence(decision=Decision(action=Update() | Disable() | Remove() as action)):
            return action.sys_id
        case Occurrence(decision=Decision(match=found)) if found is not None and found.sys_ids:
            return found.sys_ids[0]
        case Occurrence(decision=Decision(neighbour=other)) if other is not None:
            return other.sys_id
        case _:
            return ""


def _error(occurrence: Occurrence) -> dict[str, Any] | None:
    match occurrence:
        case Occurrence(outcome=Refused(code=code, message=message, way_out=way_out)):
            category = "failure" if code == "InternalServerError" else "nonServiceFailure"
        case Occurrence(outcome=Unsettled(reason=reason)):
            code, message, category = "Timeout", reason, "failure"
            way_out = "the record is read again before anything else is sent; nothing has to be done"
        case Occurrence(decision=Decision(action=Fail(code=code, message=message, way_out=way_out))):
            category = "nonServiceFailure"
        case Occurrence(outcome=Written(), decision=Decision(missing=missing)) if missing:
            # Partial success: the object is written, and what it refers to is not there yet.
            code, category, way_out = "UnableToResolveReferenceAttributeValue", "nonServiceFailure", ""
            message = f"written without {' and '.join(sorted({each.attribute for each in missing}))}"
        case Occurrence(decision=Decision(action=Skip(reason=code, description=message))):
            category, way_out = "success", ""
        case _:
            return None
    return {
        "errorCategory": category,
        "errorCode": code,
        "reason": message,
        "recommendedAction": way_out or advice_for(code),
        "additionalDetails": None,
    }


def _modified(decision: Decision) -> list[dict[str, Any]]:
    match decision.action:
        case Create(fields=fields):
            return [_property(decision, name, None, value) for name, value in sorted(fields.items())]
        case Update(fields=fields, before=before) | Disable(fields=fields, before=before):
            return [
                _property(decision, name, before.get(name) or None, value) for name, value in sorted(fields.items())
            ]
        case _:
            return []


def _property(decision: Decision, name: str, old: str | None, new: str) -> dict[str, Any]:
    old_value, new_value = shown(decision, name, old), shown(decision, name, new)
    return {"displayName": name, "oldValue": old_value, "newValue": new_value}


def _steps(occurrence: Occurrence, kind: str, source_id: str) -> list[dict[str, Any]]:
    decision = occurrence.decision
    title = IDENTITY_TYPES[kind]
    steps = [_import_step(decision, title, source_id)]
    if decision.scope:
        passed = in_scope(decision.scope)
        details = {check.name: str(check.passed) for check in decision.scope}
        details["ScopeEvaluationResult"] = "; ".join(check.detail for check in decision.scope)
        steps.append(
            _step(
                "EntrySynchronizationScoping",
                "scoping",
                "success" if passed else "skipped",
                f"{title} '{source_id}' is {'in' if passed else 'not in'} the scope of the job",
                details,
            )
        )
    if decision.lost:
        text = f"The record {decision.lost} that was linked to this object is gone (InvalidAnchor): it is matched again"
        steps.append(_step("EntryImport", "matching", "warning", text))
    if decision.match is not None:
        how, count = decision.match.how, len(decision.match.sys_ids)
        name = "EntryImportByJoiningProperty" if how in {"attribute", "none"} else "EntryImport"
        found = MATCHED[how].format(count=count, value=decision.match.value or source_id)
        steps.append(_step(name, "matching", "success", found))
    if type(decision.action) in DETERMINED:
        steps.append(_determined(decision, title, source_id))
    steps.extend(
        _step(
            "UnableToResolveReferenceAttributeValue",
            "referenceResolution",
            "warning",
            f"{missing.attribute} refers to '{missing.wanted}', which is not there yet; it is written when it appears",
        )
        for missing in decision.missing
    )
    steps.extend(_drift_step(decision, each) for each in decision.drifted or ())
    steps.extend(_step("AttributeValueAltered", "processing", "warning", text) for text in decision.warnings)
    steps.append(_last_step(occurrence, title, source_id))
    return steps


def _import_step(decision: Decision, title: str, source_id: str) -> dict[str, Any]:
    """A change is one of the source: what nothing but ServiceNow's side brought up was read there, and no more."""
    change = _source_change(decision)
    if not change:
        return _step("EntryImport", "import", "success", f"Retrieved {title} '{source_id}' from Microsoft Entra ID")
    text = f"Received {title} '{source_id}' change of type ({change}) from Microsoft Entra ID"
    return _step(f"EntryImport{change}", "import", "success", text)


def _source_change(decision: Decision) -> Literal["Add", "Update", "Delete", ""]:
    """What happened in Entra, as far as the decision tells: a record that is gone or that others changed tells nothing
    of it.
    """
    if any(check.name == ACTIVE and check.detail == DELETED for check in decision.scope):
        return "Delete"
    if decision.drifted or decision.lost:
        return ""
    adopting = decision.match is not None and decision.match.how == "attribute"
    match decision.action:
        case Create():
            return "Add"
        case Update() | Disable():
            return "Add" if adopting else "Update"
        case Remove() if not decision.scope:  # a membership
            return "Delete"
        case Remove():
            return "Update"
        case _:
            return ""


def _determined(decision: Decision, title: str, source_id: str) -> dict[str, Any]:
    """Entra counts it among the steps of matching: whether there is a record decides what is done."""
    action, entitled = decision.action, in_scope(decision.scope)
    there = f"{title} is active and in scope in Microsoft Entra ID"
    match action:
        case _ if not entitled:
            why = f"{title} is not in scope: {reasons(decision.scope)}"
        case Create():
            why = f"{there}, but no matching {title} was found in ServiceNow"
        case Update():
            why = f"{there}, and the matching {title} in ServiceNow differs"
        case Disable():
            why = f"{there}, and the mapping makes the account inactive"
        case _:
            why = f"{title} is in ServiceNow, and is to be there no longer"
    text = f"{title} '{source_id}' will be {EXPORTS[type(action)][1]} in ServiceNow ({why})"
    return _step(DETERMINED[type(action)], "matching", "success", text)


def _drift_step(decision: Decision, drifted: Drifted) -> dict[str, Any]:
    """`LastUpdatedBy` is who last updated the record: whether it was this column, only ServiceNow's audit tells."""
    what = "left as it is" if drifted.left else "overwritten"
    details = {
        "Attribute": drifted.column,
        "EntraValue": shown(decision, drifted.column, drifted.ours) or "",
        "ServiceNowValue": shown(decision, drifted.column, drifted.theirs) or "",
        "Policy": drifted.policy,
        "LastUpdatedBy": drifted.by,
        "LastUpdatedOn": drifted.at,
    }
    text = f"{drifted.column} was changed in ServiceNow after our last write; it is {what}"
    return _step("TargetAttributeChanged", "processing", "warning", text, details)


def _last_step(occurrence: Occurrence, title: str, source_id: str) -> dict[str, Any]:
    action = occurrence.decision.action
    if isinstance(action, Skip):
        details = {"SkipReason": action.reason}
        return _step("EntrySynchronizationSkip", "export", "skipped", action.description, details)
    if isinstance(action, Fail):
        return _step("EntrySynchronizationError", "processing", "failure", action.message, {"ErrorCode": action.code})
    if occurrence.staged:
        verb = EXPORTS[type(action)][1]
        guard = "limit of its group" if is_addition(occurrence.decision) else "accidental-deletion guard"
        text = f"{title} '{source_id}' is to be {verb}; held by the {guard}"
        return _step("EntryExportStagedDelete", "export", "skipped", text, {"StagedAction": _action(action)})
    name, verb = EXPORTS[type(action)]
    status = occurrence.status
    match occurrence.outcome:
        case Written():
            text, status = f"{title} '{source_id}' was {verb} in ServiceNow", "success"
        case Refused():
            text = f"{title} '{source_id}' could not be {verb} in ServiceNow"
        case Unsettled():
            text = f"nobody knows yet whether {title} '{source_id}' was {verb} in ServiceNow"
        case None:
            text = f"{title} '{source_id}' is to be {verb} in ServiceNow; nothing was sent"
    details = {"ReportableIdentifier": _target_id(occurrence)}
    if isinstance(occurrence.outcome, Refused):
        details["ErrorCode"] = occurrence.outcome.code
    return _step(name, "export", status, text, details)


def _step(
    name: str, kind: str, status: Status, description: str, details: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "provisioningStepType": kind,
        "status": status,
        "description": description,
        "details": details or {},
    }
