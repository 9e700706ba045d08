"""provisionOnDemand: Graph's request, and its answer of two JSON documents inside strings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from provisioning.api.answers import bad_request

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
KINDS = ("User", "Group")
RESULTS = {"success": "Success", "warning": "Success", "skipped": "Skipped", "failure": "Failure"}


def asked_object(body: bytes) -> str:
    """The id of the one user or group that a request names. Raises `Refusal`.

    {"parameters": [{"ruleId": "...", "subjects": [{"objectId": "...", "objectTypeName": "User"}]}]}
    """
    try:
        document = json.loads(body or b"null")
        parameters = document["parameters"]
        (subject,) = [each for parameter in parameters for each in parameter["subjects"]]
        object_id, kind = subject["objectId"], subject["objectTypeName"]
    except (KeyError, TypeError, ValueError) as error:
        raise bad_request(
            "The body must name exactly one subject: "
            '{"parameters": [{"ruleId": "...", "subjects": [{"objectId": "<id>", "objectTypeName": "User"}]}]}.'
        ) from error
    if kind not in KINDS:
        raise bad_request("objectTypeName must be User or Group.")
    if not isinstance(object_id, str) or not GUID.fullmatch(object_id):
        raise bad_request("objectId must be the object ID (a GUID) of a user or group in Microsoft Entra ID.")
    return object_id


def on_demand_answer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Graph's stringKeyStringValuePair of one log entry (a provisioningObjectSummary)."""
    info = entry["provisioningStatusInfo"]
    error = info["errorInformation"] or {}
    status = RESULTS[info["status"]]
    key = {
        "result": status,
        "details": {"errorCode": error.get("errorCode"), "errorMessage": error.get("reason")} if error else None,
    }
    return {
        "@odata.type": "#microsoft.graph.stringKeyStringValuePair",
        "key": json.dumps(key, ensure_ascii=False),
        "value": json.dumps(_value(entry, status, error), ensure_ascii=False),
    }


def _value(entry: Mapping[str, Any], status: str, error: Mapping[str, Any]) -> dict[str, Any]:
    end = entry["activityDateTime"]
    ended = datetime.fromisoformat(end)
    began = ended - timedelta(milliseconds=entry["durationInMilliseconds"])
    return {
        "action": _capital(entry["provisioningAction"]),
        "changeId": entry["changeId"],
        "startTime": began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "endTime": end,
        "reportableIdentifier": entry["sourceIdentity"]["id"],
        "modifiedProperties": entry["modifiedProperties"],
        "provisioningSteps": [_step(step, end) for step in entry["provisioningSteps"]],
        "statusInfo": {
            "status": status,
            "errorCode": error.get("errorCode"),
            "reason": error.get("reason"),
            "additionalDetails": error.get("additionalDetails"),
            "errorCategory": _capital(error["errorCategory"]) if error else None,
            "recommendedAction": error.get("recommendedAction"),
        },
        "sourceIdentity": _identity(entry["sourceIdentity"]),
        "sourceSystem": _system(entry["sourceSystem"]),
        "targetIdentity": _identity(entry["targetIdentity"]),
        "targetSystem": _system(entry["targetSystem"]),
    }


def _step(step: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {
        "name": step["name"],
        "type": _capital(step["provisioningStepType"]),
        "status": _capital(step["status"]),
        "description": step["description"],
        "timestamp": at,
        "details": step["details"],
    }


def _identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": identity["id"],
        "type": identity["identityType"],
        "displayName": identity["displayName"],
        "details": identity["details"],
    }


def _system(system: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": system["id"], "name": system["displayName"], "details": system["details"]}


def _capital(word: str) -> str:
    """Here the values of enums begin with a capital, in the log they do not."""
    return word[:1].upper() + word[1:]
