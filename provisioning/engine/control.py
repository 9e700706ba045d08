"""What a person orders the job to do: start, pause, restart, resync, delete. Each order is a change of the job's state
that a cycle meets at its next move; nothing is sent to either side here.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from msgspec.structs import replace

from provisioning.engine.engine import Engine
from provisioning.engine.jobs import JobState, Restart
from provisioning.engine.plan import home_lane
from provisioning.engine.resetting import forget_job
from provisioning.errors import LeaseLost
from provisioning.model import ObjectType, Pending, SourceObject, group_key, user_key
from provisioning.rules.attributes import Facts
from provisioning.rules.filters import failed_filters
from provisioning.rules.restart import ResetScope
from provisioning.schema import Clause, FilterGroup

PARTITIONS = "0123456789abcdef"


async def start(engine: Engine) -> JobState:
    """Lets cycles run again: after a pause, after 28 days in quarantine, and at once where a quarantine has slowed the
    job down; the next one then tries all that has failed. Where the job had stopped it goes on.
    """
    now = engine.context.now()
    return await engine.context.rows.change_state(lambda state: _started(state, now))


def _started(state: JobState, now: float) -> JobState:
    slowed = state.quarantine is not None and state.quarantine.slows
    lifted = None if slowed else state.quarantine
    eager = state.eager or slowed
    return replace(_allowed(state, now), escrows_pruned=False, quarantine=lifted, eager=eager)


def _allowed(state: JobState, now: float) -> JobState:
    """Cycles may begin; if none was to succeed before, it is now that one is expected to."""
    since = now if state.paused or state.disabled else state.expected_since
    return replace(state, paused=0.0, disabled=0.0, expected_since=since)


async def pause(engine: Engine) -> JobState:
    """A running cycle completes; no other begins."""
    now = engine.context.now()
    return await engine.context.rows.change_state(lambda state: replace(state, paused=state.paused or now))


async def restart(engine: Engine, scopes: tuple[ResetScope, ...], *, by: str) -> JobState:
    """Starts the job, and lets it begin anew as far as `scopes` say. A running cycle finishes its steps in flight and
    ends; its plan is the next one's. ForceDeletes approves what is held now, in the name of `by`.
    """
    if "ForceDeletes" in scopes and (await engine.context.rows.state())[0].held is not None:
        await engine.force_deletes(by=by)
    now, order = engine.context.now(), str(uuid.uuid4())

    def restarted(state: JobState) -> JobState:
        lifts = {"None", "QuarantineState"} & {*scopes}
        state = _started(state, now) if lifts else _allowed(state, now)
        if "Escrows" in scopes:
            state = replace(state, escrows_cleared=now, escrows_pruned=False)
        if {"Watermark", "ForceDeletes"} & {*scopes}:
            earlier = state.restart.scopes if state.restart is not None else ()
            state = replace(state, restart=Restart(order, tuple(dict.fromkeys((*earlier, *scopes))), now))
        return state

    return await engine.context.rows.change_state(restarted)


async def delete(engine: Engine) -> None:
    """Drops all that is stored of the job; the accounts stay as they are. Raises `LeaseLost` while a cycle runs."""
    rows, now, holder = engine.context.rows, engine.context.now(), f"delete-{uuid.uuid4()}"
    found = await rows.progress()
    if found is not None and found[0].at_rest:
        await rows.release_lease(found[0].driver)
    try:
        await rows.take_lease(holder, now)
    except LeaseLost as error:
        raise LeaseLost(f"a cycle of job {engine.context.job.id} runs: pause the job, and delete it then") from error
    try:
        await forget_job(engine.context)
        await engine.registry.leave(engine.context.job.id)
        await engine.shares.release(engine.context.job.id)
    finally:
        await rows.release_lease(holder)


async def resync(engine: Engine, kind: ObjectType, source_id: str) -> None:
    """The next cycle evaluates the object, and all members of a group, as if it had changed."""
    key = user_key(source_id) if kind == "user" else group_key(source_id)
    await _stage(engine, [Pending(key, home_lane(key), refresh=True, unproven=True, expand=kind == "group")])


async def resync_filter(engine: Engine, clauses: Sequence[Clause]) -> int:
    """As `resync`, for those of the users under the job's care who pass a scoping filter now; answers how many. The
    engine's source must read the attributes that the clauses are about.
    """
    context, number = engine.context, 0
    groups = (FilterGroup("resync", tuple(clauses)),)
    for nibble in PARTITIONS:
        after = ""
        while links := await context.links.page("user", nibble, after):
            found = await context.source.users([link.id for link in links])
            keys = [user_key(each.id) for each in found.values() if _passes(groups, each)]
            await _stage(engine, [Pending(key, "users", refresh=True, unproven=True) for key in keys])
            number += len(keys)
            after = links[-1].id
    return number


def _passes(groups: Sequence[FilterGroup], source: SourceObject) -> bool:
    return failed_filters(groups, Facts(source)) is None


async def _stage(engine: Engine, pendings: Sequence[Pending]) -> None:
    now = engine.context.now()
    await engine.context.due.add([(now, pending) for pending in pendings])
