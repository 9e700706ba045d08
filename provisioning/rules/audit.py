"""The audit trail: who changed the job's configuration, ordered something or approved removals, and what the job did by
itself. Pure.

An entry names settings, mappings, plans and ids of objects; it never holds a secret, and no personal data but the name
of whoever gave the order. Activities have Entra's names where Entra's own provisioning has the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from provisioning.rules.redaction import REDACTED
from provisioning.rules.summary import timestamp

Activity = Literal[
    "Add provisioning configuration",
    "Update provisioning setting or credentials",
    "Update attribute mappings or scope",
    "Enable/start provisioning configuration",
    "Disable/pause provisioning configuration",
    "Enable/restart provisioning configuration",
    "Delete provisioning configuration",
    "Quarantine",
    "Resync",
    "Approve held removals",
    "Reject held removals",
    "Force held removals",
    "Carry out ruling on held removals",
    "Relink",
    "Unlink",
    "Accept instance",
    "Reconcile",
]
"""Those from `Resync` on are this product's own: Entra has no such orders, or does not audit them."""
SYSTEM = "Provisioning Service"
"""The actor of what the job does by itself."""
SERVICE, CATEGORY = "Account Provisioning", "ProvisioningManagement"

Changes = dict[str, tuple[str | None, str | None]]
"""What was changed: its name, with the old and the new value. None is for nothing."""


class Subject(Struct, frozen=True):
    """The one object that an order is about, by its id in Entra."""

    kind: Literal["User", "Group"]
    id: str


class Audited(Struct, frozen=True, omit_defaults=True):
    """One entry. `at` is in seconds since 1970; `reason` says more where the activity alone does not."""

    id: str
    activity: Activity
    actor: str
    at: float
    changes: Changes = {}
    reason: str = ""
    subject: Subject | None = None


def differences(old: Mapping[str, str], new: Mapping[str, str], hidden: frozenset[str]) -> Changes:
    """What differs between two sets of values. The values of `hidden` names are told apart and not shown."""

    def told(name: str, values: Mapping[str, str]) -> str | None:
        return REDACTED if name in hidden and name in values else values.get(name)

    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return {name: (told(name, old), told(name, new)) for name in names}


def directory_audit(entry: Audited, *, job: str, principal: str) -> dict[str, Any]:
    """The entry as Graph's directoryAudit. `principal` is the id of the enterprise application."""
    app: dict[str, Any] | None = None
    user: dict[str, Any] | None = None
    if entry.actor == SYSTEM:
        app = {"appId": None, "displayName": SYSTEM, "servicePrincipalId": None, "servicePrincipalName": None}
    else:
        user = {"id": None, "displayName": entry.actor, "userPrincipalName": None, "ipAddress": None}
    return {
        "id": entry.id,
        "category": CATEGORY,
        "correlationId": entry.id,
        "result": "success",
        "resultReason": entry.reason,
        "activityDisplayName": entry.activity,
        "activityDateTime": timestamp(entry.at),
        "loggedByService": SERVICE,
        "operationType": _operation(entry.activity),
        "initiatedBy": {"app": app, "user": user},
        "targetResources": [
            _resource("ServicePrincipal", principal, entry.changes),
            *([_resource(entry.subject.kind, entry.subject.id, {})] if entry.subject is not None else []),
        ],
        "additionalDetails": [{"key": "JobId", "value": job}],
    }


def _resource(kind: str, id_: str, changes: Changes) -> dict[str, Any]:
    modified = [{"displayName": name, "oldValue": old, "newValue": new} for name, (old, new) in changes.items()]
    return {
        "id": id_,
        "displayName": None,
        "type": kind,
        "userPrincipalName": None,
        "groupType": None,
        "modifiedProperties": modified,
    }


def _operation(activity: Activity) -> str:
    word = activity.partition(" ")[0]
    return word if word in {"Add", "Update", "Delete"} else "Other"
