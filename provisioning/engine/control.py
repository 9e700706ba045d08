"""What a person orders the job to do: start, pause, restart, resync, delete. Each order is a change of the job's state
that a cycle meets at its next move; nothing is sent to either side here.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from provisioning.engine.audit import entry_of
from provisioning.engine.engine import Engine
from provisioning.engine.instance import accept
from provisioning.engine.jobs import JobState, Restart, Tell
from provisioning.engine.lost_writes import recall
from provisioning.engine.on_demand import is_remembered
from provisioning.engine.plan import home_lane
from provisioning.engine.rejecting import offered_again
from provisioning.engine.rejections import Rejection, owners_of
from provisioning.engine.resetting import forget_job
from provisioning.errors import LeaseLost, ObjectError
from provisioning.model import ObjectType, Pending, SourceObject, group_key, user_key
from provisioning.rules.attributes import Facts
from provisioning.rules.audit import Activity, Audited, Changes, Subject
from provisioning.rules.filters import failed_filters
from provisioning.rules.instance import Acceptance
from provisioning.rules.restart import ResetScope, parse_scopes
from provisioning.schema import Clause, FilterGroup


async def start(engine: Engine, *, by: str) -> JobState:
    """Lets cycles run again: after a pause, after 28 days in quarantine, and at once where a quarantine has slowed the
    job down; the next one then tries all that has failed. Where the job had stopped it goes on.
    """
    now = engine.context.now()
    return await engine.context.rows.change_state(
        lambda state: _started(state, now), _tells(engine, "Enable/start provisioning configuration", by)
    )


def _started(state: JobState, now: float) -> JobState:
    slowed = state.quarantine is not None and state.quarantine.slows
    lifted = None if slowed else state.quarantine
    eager = state.eager or slowed
    return replace(_allowed(state, now), escrows_pruned=False, quarantine=lifted, eager=eager)


def _allowed(state: JobState, now: float) -> JobState:
    """Cycles may begin; if none was to succeed before, it is now that one is expected to."""
    since = now if state.paused or state.disabled else state.expected_since
    return replace(state, paused=0.0, disabled=0.0, expected_since=since)


def _tells(engine: Engine, activity: Activity, by: str, changes: Changes | None = None) -> Tell:
    """That an order was given, and what the job's status became by it."""
    entry = entry_of(activity, by, engine.context.now())

    def told(before: JobState, after: JobState) -> Audited:
        statuses: Changes = {} if before.status == after.status else {"status": (before.status, after.status)}
        return replace(entry, changes={**(changes or {}), **statuses})

    return told


async def pause(engine: Engine, *, by: str) -> JobState:
    """A running cycle completes; no other begins."""
    now = engine.context.now()
    return await engine.context.rows.change_state(
        lambda state: replace(state, paused=state.paused or now),
        _tells(engine, "Disable/pause provisioning configuration", by),
    )


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

    scope: Changes = {"resetScope": (None, ", ".join(scopes))}
    return await engine.context.rows.change_state(
        restarted, _tells(engine, "Enable/restart provisioning configuration", by, scope)
    )


async def accept_instance(engine: Engine, *, by: str) -> Acceptance | None:
    """A person's word that the instance is the right one, as it is now: the job begins anew with it, out of quarantine,
    and everybody is matched again. Where it was set back to an earlier state of itself, what was settled since then is
    called to mind again. None when nothing about the instance is in doubt.
    """
    known, _ = await engine.context.rows.instance()
    if not known.doubt:
        return None
    await engine.context.audit.add(entry_of("Accept instance", by, engine.context.now()))
    await restart(engine, ("Watermark", "QuarantineState"), by=by)
    if known.since is not None:
        await recall(engine.context, known.since)
    return await accept(engine.context.rows, by=by, at=engine.context.now())


async def delete(engine: Engine, *, by: str) -> None:
    """Drops all that is stored of the job but its log and its audit trail, which go with their retention, and leaves
    it paused: `start` begins anew with an initial cycle. The accounts stay as they are. Raises `LeaseLost` while a
    cycle runs.

    A process that dies on the way leaves a paused job of which some is forgotten; whoever starts it before another
    `delete` starts it as a restart with Full does. Another delete goes on at once, also beside one that lives: both
    drop the same.
    """
    rows, now, holder = engine.context.rows, engine.context.now(), "delete"
    found = await rows.progress()
    if found is not None and found[0].at_rest:
        await rows.release_lease(found[0].driver)
    try:
        await rows.take_lease(holder, now)
    except LeaseLost as error:
        job = engine.context.job.id
        raise LeaseLost(f"a cycle of job {job} runs: pause it, and delete it when that has ended ({error})") from error
    order = Restart(str(uuid.uuid4()), parse_scopes("Full"), now)
    try:
        await rows.change_state(
            lambda state: replace(state, paused=now, restart=order),
            _tells(engine, "Delete provisioning configuration", by),
        )
        await forget_job(engine.context)
        await rows.change_state(lambda _: JobState(paused=now))
        await engine.registry.leave(engine.context.job.id)
        await engine.shares.release(engine.context.job.id)
    finally:
        await rows.release_lease(holder)


async def resync(engine: Engine, kind: ObjectType, source_id: str, *, by: str) -> int:
    """The next cycle evaluates the object, and all members of a group, as if it had changed. What was rejected of it
    and its memberships is offered again; answers how much that is.
    """
    rejected = await engine.context.rejections.of(kind, source_id)
    changes: Changes = {"rejected removals": (str(len(rejected)), None)} if rejected else {}
    entry = entry_of("Resync", by, engine.context.now(), changes, subject=_subject(kind, source_id))
    await engine.context.audit.add(entry)
    await _offer(engine, [_evaluation(kind, source_id)], rejected)
    return len(rejected)


class Resynced(Struct, frozen=True):
    """Whom it was ordered of, and how many rejected removals are offered again."""

    kind: ObjectType
    id: str
    rejected: int


async def resync_named(engine: Engine, key: str, *, by: str) -> Resynced:
    """As `resync`, by an id, a user principal name or a group's name. Raises `ObjectError` for somebody whom Entra does
    not know; whom the job remembers may be gone from there.
    """
    kinds: tuple[ObjectType, ...] = ("user", "group")
    for kind in kinds:
        found = await engine.context.source.find(kind, key)
        source_id = found.id if found is not None else key
        if found is not None or await is_remembered(engine.context, kind, source_id):
            return Resynced(kind, source_id, await resync(engine, kind, source_id, by=by))
    raise ObjectError(
        "NotFound",
        f"no user or group in Microsoft Entra ID answers to {key!r}",
        "give an object id, a user principal name, or the exact display name of a group",
    )


async def order_evaluation(
    engine: Engine,
    activity: Literal["Relink", "Unlink"],
    kind: ObjectType,
    source_id: str,
    changes: Changes | None = None,
    *,
    by: str,
) -> None:
    """Records what was ordered of one object, and lets the next cycle evaluate it."""
    entry = entry_of(activity, by, engine.context.now(), changes or {}, subject=_subject(kind, source_id))
    await engine.context.audit.add(entry)
    await _stage(engine, [_evaluation(kind, source_id)])


def _subject(kind: ObjectType, source_id: str) -> Subject:
    return Subject("User" if kind == "user" else "Group", source_id)


def _evaluation(kind: ObjectType, source_id: str) -> Pending:
    key = user_key(source_id) if kind == "user" else group_key(source_id)
    return Pending(key, home_lane(key), refresh=True, unproven=True, expand=kind == "group")


async def resync_filter(engine: Engine, clauses: Sequence[Clause], *, by: str) -> int:
    """As `resync`, for those of the users under the job's care who pass a scoping filter now; answers how many users
    that is. The engine's source must read the attributes that the clauses are about.
    """
    context, number = engine.context, 0
    shape = " AND ".join(f"{clause.attribute} {clause.operator}" for clause in clauses)  # values may be personal data
    await context.audit.add(entry_of("Resync", by, context.now(), {"filter": (None, shape)}))
    groups = (FilterGroup("resync", tuple(clauses)),)
    rejected: dict[str, list[Rejection]] = defaultdict(list)
    async for page in context.rejections.pages():
        for each in page:
            for user in owners_of(each.object, "user"):
                rejected[user].append(each)
    async for links in context.links.pages("user"):
        found = await context.source.users([link.id for link in links])
        passing = [each.id for each in found.values() if _passes(groups, each)]
        pendings = [Pending(user_key(user), "users", refresh=True, unproven=True) for user in passing]
        await _offer(engine, pendings, [each for user in passing for each in rejected.get(user, ())])
        number += len(passing)
    return number


def _passes(groups: Sequence[FilterGroup], source: SourceObject) -> bool:
    return failed_filters(groups, Facts(source)) is None


async def _offer(engine: Engine, pendings: Sequence[Pending], rejected: Sequence[Rejection]) -> None:
    """Staged again once the rejections are gone: a cycle may have met what was staged while they stood. Before that as
    well: whoever dies in between and repeats the order would not find the memberships any more.
    """
    again = [*pendings, *offered_again(rejected)]
    await _stage(engine, again)
    if rejected:
        await engine.context.rejections.remove(rejected)
        await _stage(engine, again)


async def _stage(engine: Engine, pendings: Sequence[Pending]) -> None:
    now = engine.context.now()
    await engine.context.due.add([(now, pending) for pending in pendings])


async def reconcile(engine: Engine, *, by: str) -> JobState:
    """Lets the next cycle compare everything that is managed with both sides."""
    now = engine.context.now()
    return await engine.context.rows.change_state(
        lambda state: replace(state, compare_all=now), _tells(engine, "Reconcile", by)
    )
