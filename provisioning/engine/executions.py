"""What is kept of a cycle that came to rest, with the counters of Graph's synchronizationTaskExecution. Pure.

A cycle counts entries as it goes on, so each counter is a sum of what the steps have counted; entries that were looked
at again count again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from provisioning.engine.progress import Progress

KINDS = ("users", "groups", "memberships")
EXPORTS = ("created", "updated", "disabled", "deleted")

State = Literal["Succeeded", "Failed", "EntryLevelErrors"]
NEVER = "0001-01-01T00:00:00Z"


class ExecutionError(Struct, frozen=True):
    """Why a cycle stopped; `actionable` says that a person of the customer must act."""

    code: str
    message: str
    actionable: bool


class Execution(Struct, frozen=True, omit_defaults=True):
    """One cycle. Times are seconds since 1970.

    `imported` are users and groups that were looked at, `deltas` changes that a delta round reported and
    `reference_deltas` those of members and managers. `entitled` are the imported ones that are assigned, `in_scope` the
    ones that filters and states let through as well. `exports` are the planned writes, `exported` the ones done.
    `escrowed` failed; `escrowed_raw` are also those that wait for somebody else's record, or for proof of a loss.
    """

    cycle: str
    kind: Literal["initial", "incremental"]
    state: State
    began: float
    ended: float
    imported: int = 0
    deltas: int = 0
    reference_deltas: int = 0
    entitled: int = 0
    in_scope: int = 0
    exports: int = 0
    exported: int = 0
    escrowed: int = 0
    escrowed_raw: int = 0
    error: ExecutionError | None = None


class History(Struct, frozen=True, omit_defaults=True):
    """A job's executions that matter: `last`, the last one without any error, and the last one that wrote and did not
    fail. `failures` counts those that failed since one did not. A job is in the steady state when a cycle has caught
    up. `counted` names the end of a cycle that was added last.
    """

    last: Execution | None = None
    last_successful: Execution | None = None
    last_with_exports: Execution | None = None
    failures: int = 0
    steady_first: float = 0.0
    steady_last: float = 0.0
    counted: str = ""


def execution_of(progress: Progress, ended: float) -> Execution:
    counts, halted = progress.counts, progress.halted
    escrowed = _sum(counts, "", ("failed",))
    return Execution(
        cycle=progress.cycle,
        kind=progress.kind,
        state="Failed" if halted else "EntryLevelErrors" if escrowed else "Succeeded",
        began=progress.began,
        ended=ended,
        imported=counts.get("imported", 0),
        deltas=counts.get("read.users", 0) + counts.get("read.groups", 0),
        reference_deltas=counts.get("read.references", 0),
        entitled=counts.get("entitled", 0),
        in_scope=counts.get("in scope", 0),
        exports=_sum(counts, "planned ", EXPORTS),
        exported=_sum(counts, "", EXPORTS),
        escrowed=escrowed,
        escrowed_raw=escrowed + counts.get("waiting", 0),
        error=ExecutionError(halted.code, halted.message, halted.halts) if halted else None,
    )


def add_execution(history: History, execution: Execution, mark: str) -> History:
    """The history with one more; the same end of a cycle (`mark`) counts once. A cycle that halted, went on and came to
    its end takes the place of its own halt.
    """
    if mark == history.counted:
        return history
    history = replace(history, last=execution, counted=mark)
    if execution.state == "Failed":
        return replace(history, failures=history.failures + 1)
    caught_up = execution.ended
    return replace(
        history,
        failures=0,
        last_successful=execution if execution.state == "Succeeded" else history.last_successful,
        last_with_exports=execution if execution.exported else history.last_with_exports,
        steady_first=history.steady_first or caught_up,
        steady_last=caught_up,
    )


def task_execution(execution: Execution) -> dict[str, Any]:
    """As Graph's synchronizationTaskExecution."""
    error = execution.error
    return {
        "activityIdentifier": execution.cycle,
        "countEntitled": execution.entitled,
        "countEntitledForProvisioning": execution.in_scope,
        "countEscrowed": execution.escrowed,
        "countEscrowedRaw": execution.escrowed_raw,
        "countExported": execution.exported,
        "countExports": execution.exports,
        "countImported": execution.imported,
        "countImportedDeltas": execution.deltas,
        "countImportedReferenceDeltas": execution.reference_deltas,
        "error": {"code": error.code, "message": error.message, "tenantActionable": error.actionable}
        if error
        else None,
        "state": execution.state,
        "timeBegan": time_of(execution.began),
        "timeEnded": time_of(execution.ended),
    }


def time_of(seconds: float) -> str:
    """Graph's form: UTC with seven digits of a second; 0 is never."""
    if not seconds:
        return NEVER
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _sum(counts: Mapping[str, int], prefix: str, names: tuple[str, ...]) -> int:
    return sum(counts.get(f"{prefix}{kind}.{name}", 0) for kind in KINDS for name in names)
