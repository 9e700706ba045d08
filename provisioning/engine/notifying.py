"""Stores the notices that a job's state asks for, in one commit with what was told then. The rule is in `rules`, the
way to people is the outbox, and without a channel nothing is told and nothing is remembered as told.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from provisioning.engine.context import Context
from provisioning.engine.jobs import HeldRemovals, JobState
from provisioning.engine.outbox import deliver, insertions, notices_of
from provisioning.errors import Unavailable
from provisioning.rows import Operation
from provisioning.rules.notices import Due, Holding, Standing, due_after_cycle, due_between

logger = logging.getLogger(__name__)


def with_notices(context: Context, instance: str, state: JobState, due: Due) -> tuple[JobState, Sequence[Operation]]:
    """The state that remembers what is told now, and the rows to be stored with it."""
    if not context.channels:
        return state, ()
    told, events = due
    notices = notices_of(context.job.id, instance, context.now(), events)
    return replace(state, told=told), insertions(notices, context.channels)


def after_end(context: Context, instance: str, state: JobState) -> tuple[JobState, Sequence[Operation]]:
    """What a cycle's end gives to tell; `state` is the one after it."""
    due = due_after_cycle(state.told, standing_of(state, runs=False), context.now(), context.job.patience)
    return with_notices(context, instance, state, due)


async def notify(context: Context, instance: str) -> int:
    """Stores what is due at any moment, sends what waits, and answers how many notices were taken. Raises nothing: no
    cycle depends on it.
    """
    if not context.channels:
        return 0
    try:
        found = await context.rows.progress()
        runs = found is not None and not found[0].at_rest
        await context.rows.change_with_rows(lambda state: _between(context, instance, state, runs=runs))
    except Unavailable as error:
        logger.warning("notices could not be looked for", extra={"job": context.job.id, "code": error.code})
        return 0
    return await deliver(context)


def _between(context: Context, instance: str, state: JobState, *, runs: bool) -> tuple[JobState, Sequence[Operation]]:
    if not state.expected_since and not state.paused and not state.disabled:
        state = replace(state, expected_since=context.now())
    due = due_between(state.told, standing_of(state, runs=runs), context.now(), context.job.patience)
    return with_notices(context, instance, state, due)


def standing_of(state: JobState, *, runs: bool) -> Standing:
    """The job's state as far as people are told of it."""
    return Standing(
        quarantine=state.in_quarantine,
        held=_holding(state.held) if state.held is not None else None,
        disabled=state.disabled,
        pruned=state.escrows_cleared if state.escrows_pruned else 0.0,
        succeeded=state.last_succeeded,
        expected_since=state.expected_since,
        code=state.last_code,
        failed=bool(state.last_failure),
        waits=bool(state.paused or state.disabled),
        runs=runs,
    )


def _holding(held: HeldRemovals) -> Holding:
    return Holding(held.plan, held.counts, held.allowed, held.managed)
