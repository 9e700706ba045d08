"""The synchronizationJob resource: what is known of the job, in the shape of Microsoft Graph's API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from provisioning.api.answers import bad_request
from provisioning.engine.jobs import JobState
from provisioning.engine.progress import Progress
from provisioning.errors import ConfigError
from provisioning.rules.quarantine import Quarantine
from provisioning.rules.restart import ResetScope, parse_scopes

TEMPLATE = "ServiceNowOutDelta"
NEVER = "0001-01-01T00:00:00Z"
KINDS = ("users", "groups", "memberships")
EXPORTS = ("created", "updated", "disabled", "deleted")
TYPES = {"user": "user to User", "group": "group to Group", "member": "member to GroupMember"}

Cycle = Mapping[str, Any]
"""A row of the job's cycles, as `JobRows.record_cycle` writes it."""


def job_resource(
    job: str,
    interval: float,
    state: JobState,
    progress: Progress | None,
    cycles: Sequence[Cycle],
) -> dict[str, Any]:
    """`cycles` are the newest ones, newest first. `interval` is in seconds."""
    done = [each for each in cycles if not each["failure"]]
    failures = next((n for n, each in enumerate(cycles) if not each["failure"]), len(cycles))
    latest, earliest = (done[0], done[-1]) if done else (None, None)
    return {
        "@odata.type": "#microsoft.graph.synchronizationJob",
        "id": job,
        "templateId": TEMPLATE,
        "schedule": {"expiration": None, "interval": duration(interval), "state": _schedule(state)},
        "status": {
            "code": state.status,
            "countSuccessiveCompleteFailures": failures,
            "escrowsPruned": state.escrows_pruned,
            "lastExecution": _execution(cycles[0], progress) if cycles else None,
            "lastSuccessfulExecution": _execution(latest, None) if latest else None,
            "lastSuccessfulExecutionWithExports": next((_execution(e, None) for e in done if _exported(e)), None),
            "progress": _running(progress),
            "quarantine": _quarantine(state.in_quarantine),
            "steadyStateFirstAchievedTime": _time(earliest["ended"]) if earliest else NEVER,
            "steadyStateLastAchievedTime": _time(latest["ended"]) if latest else NEVER,
            "synchronizedEntryCountByType": [
                {"key": TYPES.get(kind, kind), "value": number} for kind, number in sorted(state.managed.items())
            ],
            "troubleshootingUrl": None,
        },
        "synchronizationJobSettings": [],
    }


def reset_criteria(body: bytes) -> tuple[ResetScope, ...]:
    """What {"criteria": {"resetScope": "Watermark, Escrows"}} asks for; an empty body asks for the default. Raises
    `Refusal`.
    """
    try:
        document = json.loads(body or b"{}")
        return parse_scopes(document.get("criteria", {}).get("resetScope") or "")
    except (AttributeError, TypeError, ValueError) as error:
        raise bad_request('The body must be {"criteria": {"resetScope": "..."}}, or empty.') from error
    except ConfigError as error:
        raise bad_request(str(error)) from error


def _schedule(state: JobState) -> str:
    return "Disabled" if state.disabled else "Paused" if state.paused else "Active"


def _quarantine(quarantine: Quarantine | None) -> dict[str, Any] | None:
    if quarantine is None:
        return None
    error = quarantine.error
    return {
        "currentBegan": _time(quarantine.current_began),
        "error": {"code": error.code, "message": error.message, "tenantActionable": error.tenant_actionable}
        if error is not None
        else None,
        "nextAttempt": _time(quarantine.next_attempt),
        "reason": quarantine.reason,
        "seriesBegan": _time(quarantine.series_began),
        "seriesCount": quarantine.series_count,
    }


def duration(seconds: float) -> str:
    """ISO 8601, in the largest units that fit: PT40M, PT1H30M, P1D."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if number)
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "") if seconds else "PT0S"


def _execution(cycle: Cycle, progress: Progress | None) -> dict[str, Any]:
    counts: Mapping[str, int] = cycle["counts"]
    failed = sum(counts.get(f"{kind}.failed", 0) for kind in KINDS)
    read = {kind: counts.get(f"read.{kind}", 0) for kind in ("users", "groups", "assignments")}
    return {
        "activityIdentifier": cycle["cycle"],
        "countEntitled": read["assignments"],
        "countEntitledForProvisioning": read["assignments"],
        "countEscrowed": failed,
        "countEscrowedRaw": failed,
        "countExported": _exported(cycle),
        "countExports": sum(counts.get(f"planned {kind}.{name}", 0) for kind in KINDS for name in EXPORTS),
        "countImported": sum(read.values()),
        "countImportedDeltas": 0 if cycle["kind"] == "initial" else read["users"] + read["groups"],
        "countImportedReferenceDeltas": 0,
        "error": _error(cycle, progress),
        "state": "Failed" if cycle["failure"] else "EntryLevelErrors" if failed else "Succeeded",
        "timeBegan": _time(cycle["began"]),
        "timeEnded": _time(cycle["ended"]),
    }


def _exported(cycle: Cycle) -> int:
    return sum(cycle["counts"].get(f"{kind}.{name}", 0) for kind in KINDS for name in EXPORTS)


def _error(cycle: Cycle, progress: Progress | None) -> dict[str, Any] | None:
    """`tenantActionable` says whether a person of the customer must act; the engine halts for nothing else at once."""
    if not cycle["failure"]:
        return None
    halted = progress.halted if progress is not None and progress.cycle == cycle["cycle"] else None
    return {
        "code": halted.code if halted else "InternalError",
        "message": cycle["failure"],
        "tenantActionable": bool(halted and halted.halts),
    }


def _running(progress: Progress | None) -> list[dict[str, Any]]:
    """Writes carried out of those planned so far, while a cycle runs."""
    if progress is None or progress.at_rest:
        return []
    counts = progress.counts
    done = sum(counts.get(f"{kind}.{name}", 0) for kind in KINDS for name in (*EXPORTS, "failed"))
    planned = sum(counts.get(f"planned {kind}.{name}", 0) for kind in KINDS for name in EXPORTS)
    return [
        {
            "completedUnits": done,
            "progressObservationDateTime": _time(max(progress.began, progress.collected)),
            "totalUnits": max(done, planned),
            "units": "objects",
        }
    ]


def _time(seconds: float) -> str:
    """Graph's form: UTC with seven digits of a second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
