"""provisionOnDemand: Graph's request, and its answer of two JSON documents inside strings.

Graph documents the answer for a user. That for a group has the same form, and in it, which is ours, `members`: one such
document for everything else that was looked at, so that nothing fails unseen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from provisioning.api.answers import Refusal, bad_request, read_json
from provisioning.api.callers import initiator
from provisioning.api.routing import Host, Request, job_of
from provisioning.engine.on_demand import provision_on_demand as provision

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
KINDS = ("User", "Group")
RESULTS = {"success": "Success", "warning": "Success", "skipped": "Skipped", "failure": "Failure"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One user or group, and of a group's members those that are named: None for all, () for none."""

    id: str
    members: tuple[str, ...] | None = None


async def provision_on_demand(request: Request, host: Host) -> dict[str, Any]:
    """Provisions one user or group now."""
    engine, asked = await job_of(request, host), asked_object(request.body)
    found = await provision(engine, asked.id, write=True, members=asked.members, by=initiator(request.by))
    if not found.entries:
        raise Refusal(409, "Conflict", "The object was changed elsewhere at the same moment; ask again.")
    return on_demand_answer(found.entries)


def asked_object(body: bytes) -> Asked:
    """The one user or group that a request names. Raises `Refusal`.

    {"parameters": [{"ruleId": "...", "subjects": [{"objectId": "...", "objectTypeName": "Group",
                     "links": {"members": [{"objectId": "...", "objectTypeName": "User"}]}}]}]}
    """
    try:
        document = read_json(body or b"null")
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
    return Asked(_guid(object_id), _members(subject, kind))


def _members(subject: Mapping[str, Any], kind: str) -> tuple[str, ...] | None:
    try:
        members = (subject.get("links") or {}).get("members")
        if members is None:
            return None
        named = [(member["objectId"], member["objectTypeName"]) for member in members]
    except (AttributeError, KeyError, TypeError) as error:
        raise bad_request('links.members must be [{"objectId": "<id>", "objectTypeName": "User"}, ...].') from error
    if kind != "Group":
        raise bad_request("links.members are those of a Group; a User has none.")
    if any(of_kind != "User" for _, of_kind in named):
        raise bad_request("objectTypeName of each of links.members must be User: groups within groups are not taken.")
    return tuple(_guid(object_id) for object_id, _ in named)


def _guid(object_id: object) -> str:
    if not isinstance(object_id, str) or not GUID.fullmatch(object_id):
        raise bad_request("objectId must be the object ID (a GUID) of a user or group in Microsoft Entra ID.")
    return object_id


def on_demand_answer(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Graph's stringKeyStringValuePair of log entries (provisioningObjectSummary): of the object, and of what else was
    looked at because of it. For a group the result is the gravest of all of them.
    """
    own, *others = entries
    key, value = _key(own), _value(own)
    if own["sourceIdentity"]["identityType"] == "Group":
        told = [_key(other) for other in others]
        value["members"] = [{**each, **_value(other)} for each, other in zip(told, others, strict=True)]
        key = _of_all(key, told)
    return {
        "@odata.type": "#microsoft.graph.stringKeyStringValuePair",
        "key": json.dumps(key, ensure_ascii=False),
        "value": json.dumps(value, ensure_ascii=False),
    }


def _key(entry: Mapping[str, Any]) -> dict[str, Any]:
    error = entry["provisioningStatusInfo"]["errorInformation"]
    details = {"errorCode": error["errorCode"], "errorMessage": error["reason"]} if error else {}
    return {"result": RESULTS[entry["provisioningStatusInfo"]["status"]], "details": details}


def _of_all(own: dict[str, Any], others: Sequence[dict[str, Any]]) -> dict[str, Any]:
    failed = [each for each in others if each["result"] == "Failure"]
    if own["result"] == "Failure":
        return own
    if failed:
        first = failed[0]["details"]
        text = f"{len(failed)} of {len(others)} members and memberships failed; the first: {first['errorMessage']}"
        return {"result": "Failure", "details": {**first, "errorMessage": text}}
    if any(each["result"] == "Success" for each in others) and own["result"] == "Skipped":
        return {"result": "Success", "details": {}}
    return own


def _value(entry: Mapping[str, Any]) -> dict[str, Any]:
    info = entry["provisioningStatusInfo"]
    status, error = RESULTS[info["status"]], info["errorInformation"] or {}
    end = entry["activityDateTime"]
    ended = datetime.fromisoformat(end)
    start = ended - timedelta(milliseconds=entry["durationInMilliseconds"])
    began = start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first, *later = entry["provisioningSteps"]  # reading the source is what begins
    return {
        "action": _capital(entry["provisioningAction"]),
        "changeId": entry["changeId"],
        "startTime": began,
        "endTime": end,
        "reportableIdentifier": entry["sourceIdentity"]["id"],
        "modifiedProperties": entry["modifiedProperties"],
        "provisioningSteps": [_step(first, began), *(_step(step, end) for step in later)],
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
