"""Log entries as the three tables that the Entra admin center downloads as CSV, joined by the change id. Pure.

Microsoft names the files and what they hold, and documents no columns: those here are called as Graph calls the
properties of provisioningObjectSummary.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Table = Literal["ProvisioningLogs", "ProvisioningLogs_ProvisioningSteps", "ProvisioningLogs_ModifiedProperties"]

_SUMMARY = (
    *("id", "activityDateTime", "tenantId", "jobId", "cycleId", "changeId", "provisioningAction"),
    *("durationInMilliseconds", "provisioningStatusInfo/status"),
    *(
        f"provisioningStatusInfo/errorInformation/{name}"
        for name in ("errorCode", "errorCategory", "reason", "recommendedAction", "additionalDetails")
    ),
    *(f"sourceIdentity/{name}" for name in ("id", "displayName", "identityType")),
    *(f"targetIdentity/{name}" for name in ("id", "displayName", "identityType")),
    *("sourceSystem/id", "sourceSystem/displayName", "targetSystem/id", "targetSystem/displayName"),
    *("servicePrincipal/id", "servicePrincipal/displayName"),
    *("initiatedBy/id", "initiatedBy/displayName", "initiatedBy/initiatorType"),
)
_STEP = ("name", "provisioningStepType", "status", "description", "details")
_PROPERTY = ("displayName", "oldValue", "newValue")
COLUMNS: Mapping[Table, tuple[str, ...]] = {
    "ProvisioningLogs": tuple(name.replace("/", ".") for name in _SUMMARY),
    "ProvisioningLogs_ProvisioningSteps": ("changeId", *_STEP),
    "ProvisioningLogs_ModifiedProperties": ("changeId", *_PROPERTY),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings, their full-width forms included, by which a spreadsheet takes a cell for a formula."""


def rows_of(entry: Mapping[str, Any]) -> Iterator[tuple[Table, tuple[str, ...]]]:
    """The entry's row of the first table, and its rows of the others in their order."""
    yield "ProvisioningLogs", tuple(cell(_value(entry, path)) for path in _SUMMARY)
    change = cell(entry["changeId"])
    for step in entry["provisioningSteps"]:
        yield "ProvisioningLogs_ProvisioningSteps", (change, *(cell(step[name]) for name in _STEP))
    for modified in entry["modifiedProperties"]:
        yield "ProvisioningLogs_ModifiedProperties", (change, *(cell(modified[name]) for name in _PROPERTY))


def cell(value: Any) -> str:
    """A value as text. People choose their own names, so whatever a spreadsheet would calculate gets an apostrophe
    before it, which makes it a text.
    """
    match value:
        case None:
            return ""
        case dict():
            text = json.dumps(value, ensure_ascii=False) if value else ""
        case _:
            text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _value(entry: Mapping[str, Any], path: str) -> Any:
    value: Any = entry
    for name in path.split("/"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
