"""The job's state after a cycle has come to rest: last results, quarantine, and what follows from either. Pure."""

from __future__ import annotations

import math

from msgspec.structs import replace

from provisioning.engine.audit import entry_of
from provisioning.engine.context import Job
from provisioning.engine.jobs import JobState, Tell
from provisioning.engine.progress import Failure, Progress
from provisioning.rules.audit import SYSTEM, Audited
from provisioning.rules.quarantine import Quarantine, Record, SynchronizationError, escrow_reason, is_expired, judge

KINDS = ("users", "groups", "memberships")
DONE = ("created", "updated", "disabled", "deleted", "skipped")
RESTARTED = Failure("Restarted", "the job was restarted; the next cycle begins anew", halts=True)
UNJUDGED = frozenset({RESTARTED.code, "LeaseLost"})
"""Ends that say nothing about the job's health."""


def after_cycle(state: JobState, progress: Progress, now: float, job: Job, failing: int) -> JobState:
    """The same however often it is applied: a driver may die after it has stored this and before the progress.
    `failing` objects fail now, whichever cycle they began in.
    """
    failure = progress.halted.message if progress.halted else ""
    succeeded = state.last_succeeded if failure else now
    code = progress.halted.code if progress.halted else ""
    ended = replace(state, last_ended=now, last_failure=failure, last_code=code, last_succeeded=succeeded)
    round_ = f"{progress.cycle}|{progress.round}"
    if state.judged == round_ or (progress.halted is not None and progress.halted.code in UNJUDGED):
        return ended
    record = record_of(progress, failing, weigh_all=state.tries_all)
    ended = replace(ended, judged=round_, eager=state.eager and not progress.finished)
    if progress.finished and progress.kind == "initial" and escrow_reason(record, job.thresholds) is not None:
        return _pruned(ended, now)
    quarantine = judge(state.quarantine, record, job.thresholds, now=now, interval=job.pace.interval)
    return replace(ended, quarantine=quarantine, disabled=now if is_expired(quarantine, now) else state.disabled)


def told_after_cycle(progress: Progress, now: float) -> Tell:
    """What the job has done to itself: paused or disabled itself, gone into quarantine or come out of it."""
    stopped = entry_of("Disable/pause provisioning configuration", SYSTEM, now)
    quarantined = entry_of("Quarantine", SYSTEM, now)

    def told(before: JobState, after: JobState) -> Audited | None:
        cycle: tuple[None, str] = (None, progress.cycle)
        if after.paused and not before.paused:
            return replace(stopped, reason="too much failed in the initial cycle", changes={"cycle": cycle})
        if after.disabled and not before.disabled:
            return replace(stopped, reason="four weeks in quarantine", changes={"cycle": cycle})
        old, new = _in_words(before.quarantine), _in_words(after.quarantine)
        if old == new:
            return None
        return replace(quarantined, changes={"quarantine": (old, new), "cycle": cycle})

    return told


def _in_words(quarantine: Quarantine | None) -> str | None:
    """Its reason and the code of its error; an error's message may name more than an audit trail should hold."""
    if quarantine is None:
        return None
    return f"{quarantine.reason} ({quarantine.error.code})" if quarantine.error is not None else quarantine.reason


def _pruned(state: JobState, now: float) -> JobState:
    """Too much failed in an initial cycle: it was finished, its failures are dropped, and a person must start it."""
    until = math.nextafter(now, math.inf)  # what failed at this very moment is dropped as well
    return replace(state, quarantine=None, escrows_pruned=True, escrows_cleared=until, paused=state.paused or now)


def record_of(progress: Progress, failing: int, *, weigh_all: bool) -> Record:
    """What a cycle came to. What failed for the same reason counts once. What had failed before is a part of the share
    only where all of it was tried at once, to see whether the job is healthy: else a few old failures on a quiet day
    would be most of what happens.
    """
    counts = progress.counts
    failures = sum(counts.get(f"{kind}.failed", 0) for kind in KINDS) - counts.get("failed alike", 0)
    if not weigh_all:
        failures = max(0, failures - counts.get("failed again", 0))
    halted = progress.halted
    return Record(
        failures,
        sum(counts.get(f"{kind}.{done}", 0) for kind in KINDS for done in DONE),
        counts.get("failed references", 0),
        SynchronizationError(halted.code, halted.message, halted.halts) if halted is not None else None,
        progress.held,
        failing,
    )
