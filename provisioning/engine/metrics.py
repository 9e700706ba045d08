"""The job in numbers, for a monitor that asks again and again: from its state alone, and of no person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from provisioning.engine.engine import Engine
from provisioning.engine.executions import EXPORTS, KINDS, History
from provisioning.engine.jobs import JobState
from provisioning.engine.waiting_list import MOST_WAITING

HELP: Mapping[str, str] = {
    "provisioning_job_status": "1 for the status that the job has.",
    "provisioning_cycle_running": "Whether a cycle has begun and not come to its end.",
    "provisioning_cycle_writes_planned": "Writes that the unfinished cycle has planned.",
    "provisioning_cycle_writes_done": "Writes that the unfinished cycle has done, or failed to do.",
    "provisioning_objects_managed": "Linked objects by type.",
    "provisioning_objects_in_state": "Linked objects by type and state of their life.",
    "provisioning_references_waiting": "References that wait for a record that is not there yet.",
    "provisioning_removals_held": "Removals that the guard holds until a person says so.",
    "provisioning_removals_rejected": "Removals that a person has rejected.",
    "provisioning_quarantine": "Whether the job is in quarantine.",
    "provisioning_failures_in_a_row": "Cycles that failed since one did not.",
    "provisioning_last_cycle_began_seconds": "When the last cycle began, in seconds since 1970.",
    "provisioning_last_success_seconds": "When a cycle last succeeded, in seconds since 1970.",
    "provisioning_next_cycle_seconds": "When the next cycle is due, in seconds since 1970.",
    "provisioning_last_cycle_duration_seconds": "How long the last cycle took.",
    "provisioning_last_cycle_writes": "Writes of the last cycle.",
    "provisioning_last_cycle_failures": "Objects that failed in the last cycle.",
    "provisioning_last_cycle_imported": "Users and groups that the last cycle looked at.",
}
STATUSES = ("NotRun", "Active", "Paused", "Quarantine")


class Sample(Struct, frozen=True):
    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


async def samples(engine: Engine) -> list[Sample]:
    """Those of one name stand together."""
    rows = engine.context.rows
    state, _ = await rows.state()
    history = await rows.history()
    found = await rows.progress()
    waiting = len(await engine.context.waiting.everything(MOST_WAITING))
    rejected = await engine.context.rejections.count()
    running = found is not None and not found[0].finished
    counts = found[0].counts if found is not None and running else {}
    interval = engine.context.job.pace.interval
    return [
        *(Sample("provisioning_job_status", float(state.status == s), (("status", s),)) for s in STATUSES),
        Sample("provisioning_cycle_running", float(running)),
        *_writes(counts),
        *_of_objects(state),
        Sample("provisioning_references_waiting", waiting),
        *_by_kind("provisioning_removals_held", state.held.counts if state.held is not None else {}),
        *_by_kind("provisioning_removals_rejected", rejected),
        Sample("provisioning_quarantine", float(state.in_quarantine is not None)),
        Sample("provisioning_failures_in_a_row", history.failures),
        Sample("provisioning_last_cycle_began_seconds", state.last_began),
        Sample("provisioning_last_success_seconds", state.last_succeeded),
        Sample("provisioning_next_cycle_seconds", state.last_began + interval if state.last_began else 0.0),
        *_of_last(history),
    ]


def _writes(counts: Mapping[str, int]) -> Iterator[Sample]:
    for what, prefix, names in (("planned", "planned ", EXPORTS), ("done", "", (*EXPORTS, "failed"))):
        number = sum(counts.get(f"{prefix}{kind}.{name}", 0) for kind in KINDS for name in names)
        yield Sample(f"provisioning_cycle_writes_{what}", number)


def _of_objects(state: JobState) -> Iterator[Sample]:
    yield from _by_kind("provisioning_objects_managed", state.managed)
    for name, number in sorted(state.states.items()):
        kind, _, life = name.partition(".")
        yield Sample("provisioning_objects_in_state", number, (("type", kind), ("state", life)))


def _by_kind(name: str, counts: Mapping[str, int]) -> Iterator[Sample]:
    for kind, number in sorted(counts.items()):
        yield Sample(name, number, (("type", kind),))


def _of_last(history: History) -> Iterator[Sample]:
    last = history.last
    if last is None:
        return
    yield Sample("provisioning_last_cycle_duration_seconds", max(0.0, last.ended - last.began))
    yield Sample("provisioning_last_cycle_writes", last.exported)
    yield Sample("provisioning_last_cycle_failures", last.escrowed)
    yield Sample("provisioning_last_cycle_imported", last.imported)
