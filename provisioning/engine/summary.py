"""What a cycle did, or a dry run of one would do: in numbers, with the failures by name and with what is held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, to_builtins

from provisioning.engine.context import Context
from provisioning.engine.executions import KINDS
from provisioning.engine.jobs import HeldRemovals
from provisioning.engine.progress import Progress
from provisioning.rules.log_query import LogQuery
from provisioning.rules.summary import timestamp

COLUMNS = ("created", "updated", "disabled", "deleted", "skipped", "held", "failed")
FAILURES_KEPT = 1000

Counts = dict[str, dict[str, int]]
"""Objects by kind and by what became of them; every kind and column is there."""


class Failed(Struct, frozen=True):
    """An object that could not be provisioned, and what to do about it."""

    name: str
    code: str
    reason: str
    way_out: str


class Summary(Struct, frozen=True):
    """The end of a cycle, or of a dry run of one (`planned`). `held` is the id under which held removals can be
    approved, `guard` how many they are and why, `rejected` how many of each kind are left alone because a person has
    rejected them, `halted` why the cycle stopped early.
    """

    cycle: str
    kind: str
    planned: bool
    counts: Counts
    graph_requests: int
    servicenow_requests: int
    seconds: float
    held: str | None = None
    guard: HeldRemovals | None = None
    rejected: dict[str, int] = {}
    halted: str | None = None
    failures: tuple[Failed, ...] = ()

    @property
    def changes(self) -> int:
        names = ("created", "updated", "disabled", "deleted")
        return sum(self.counts[kind][name] for kind in KINDS for name in names)

    @property
    def failed(self) -> int:
        return sum(self.counts[kind]["failed"] for kind in KINDS)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = to_builtins(self)
        return document


def no_counts() -> Counts:
    return {kind: dict.fromkeys(COLUMNS, 0) for kind in KINDS}


def counts_of(counts: Mapping[str, int]) -> Counts:
    """The counts of a cycle ("users.created": 3) by kind and column."""
    return {kind: {name: counts.get(f"{kind}.{name}", 0) for name in COLUMNS} for kind in KINDS}


async def failures_of(context: Context, progress: Progress, counts: Counts) -> tuple[Failed, ...]:
    """From the journal: the failures of this cycle, newest first."""
    found: list[Failed] = []
    wanted = min(FAILURES_KEPT, sum(of_kind["failed"] for of_kind in counts.values()))
    if not wanted:
        return ()
    began = timestamp(progress.began)
    asked = (
        f"activityDateTime ge {began} and cycleId eq '{progress.cycle}' and provisioningStatusInfo/status eq 'failure'"
    )
    async for entry in context.journal.entries(LogQuery.parse(filter_=asked, top=wanted)):
        error = entry["provisioningStatusInfo"]["errorInformation"]
        identity = entry["sourceIdentity"]
        name = identity["displayName"] or identity["id"]
        found.append(Failed(name, error["errorCode"], error["reason"], error["recommendedAction"]))
    return tuple(found)
