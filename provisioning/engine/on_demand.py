"""Provisions one user or group at once, by the same path as a cycle: import, scope, match, decide, act.

Works on a plan of its own and without the job's lease, so that it does not wait for a cycle that runs for days: each
write is conditional on the link that it was decided on, and what conflicts is decided again by whoever comes second.
Of a group, some of the members may be named: the others are left to the cycles.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from provisioning.engine.abandoned import OnDemandPlans
from provisioning.engine.acting import act_range
from provisioning.engine.context import Context
from provisioning.engine.deciding import decide_range, stage_members
from provisioning.engine.engine import Engine
from provisioning.engine.group_part import PartOfGroup, group_id
from provisioning.engine.jobs import counting
from provisioning.engine.observe import grants_of
from provisioning.engine.plan import home_lane
from provisioning.engine.progress import Act, Decide
from provisioning.engine.reviewing import review_plan
from provisioning.engine.tally import Tally
from provisioning.engine.work import Work
from provisioning.errors import ObjectError, Unavailable
from provisioning.model import Fail, Lane, ObjectType, Pending, group_key, membership_key, user_key
from provisioning.rules.scope import entitles
from provisioning.rules.summary import SERVICE, Initiator, Occurrence, in_milliseconds, summarize, unconnected

DECIDING: tuple[Lane, ...] = ("groups", "leavers", "removals", "users", "memberships")
ACTING: tuple[Lane, ...] = ("leavers", "removals", "users", "groups", "memberships")
FIRST, LAST = "00", "ff"
MOST_WAVES = 50
BUSY = "TooManyRequests"
NOBODY = "0" * 32
"""The sys_id of no record."""
POLL, LONGEST_WAIT = 0.5, 150.0  # longer than the claim of a dead process lasts


class Answer(Struct, frozen=True):
    """What was found, decided and done: log entries in Graph's form, the object's own first, then its members'."""

    object: str
    name: str
    entries: tuple[dict[str, Any], ...]
    held: str | None = None


async def provision_on_demand(
    engine: Engine, key: str, *, write: bool, members: Collection[str] | None = None, by: Initiator = SERVICE
) -> Answer:
    """`key` is an id, a user principal name or a group's display name; `members` are users by id or user principal
    name, and of a group's members only these are looked at then (None: all). Raises `ObjectError` when there is no such
    object, or more than one, and `InstanceChanged`; a ServiceNow that does not let us in is an answer. Without `write`
    nothing is sent; run it on an overlay so that nothing is stored either. `by` is who has asked for it.
    """
    context = engine.context
    pending, name = await pending_of(engine, key)
    named = await _named(engine, pending, members) if members is not None else None
    cycle = f"on-demand-{uuid.uuid4()}"
    tally = Tally(occurrences=[])
    plan = context.plan(cycle)
    if named is not None:
        group = group_id(pending.object)
        plan = PartOfGroup(context.store, context.job.id, cycle, context.now, group, named)
        pending = replace(pending, expand=False)
    work = Work(context, plan, await engine.origin(cycle, by), tally, holder=None)
    plans = OnDemandPlans(context.store, context.job.id)
    async with _slot(engine, cycle, alone=not write):
        if (failed := await _test_connection(work, pending.object, name)) is not None:
            return failed
        await context.instance.require_same(cycle, engine.instance)
        await plans.announce(cycle, context.now())
        await work.plan.stage([pending])
        if named:
            await _stage_named(work, pending, sorted(named))
        await _decide(work)
        held = (await review_plan(work)).held
        if write:
            held = await _act(work) or held
            await context.instance.remember(tally.written, tally.ended)
            await context.rows.change_state(partial(counting, tally.counts))
        else:
            await _record_planned(work)
        await plans.end(cycle)
    entries = [summarize(occurrence, work.origin) for occurrence in tally.occurrences or ()]
    first = [e for o, e in zip(tally.occurrences or (), entries, strict=True) if o.decision.object == pending.object]
    others = [e for o, e in zip(tally.occurrences or (), entries, strict=True) if o.decision.object != pending.object]
    return Answer(pending.object, name, (*first, *others), held)


async def _test_connection(work: Work, key: str, name: str) -> Answer | None:
    """As Entra does: asks for a user that nobody is, and tells of it only when that fails. An instance that only asks
    for a pause is no failed connection: that is raised, so that the caller comes back.
    """
    context = work.context
    try:
        await context.target.read(context.job.schema.user.table, [NOBODY], ["sys_id"])
    except Unavailable as error:
        if error.code == BUSY:
            raise
        fail = Fail(error.code, str(error), "")
        entry = unconnected(key, name, fail, str(uuid.uuid4()), context.now(), work.origin)
        return Answer(key, name, (entry,))
    return None


async def _named(engine: Engine, pending: Pending, members: Collection[str]) -> frozenset[str]:
    """The ids of the users that are named. One that Entra does not know is taken by its id: it may be gone."""
    if not pending.object.startswith("group:"):
        raise ObjectError("NotFound", "members were named, and the object is a user", "name a group, or no members")
    found = []
    for key in members:
        user = await engine.context.source.find("user", key)
        if user is None and not _is_id(key):
            raise ObjectError("NotFound", f"no user in Microsoft Entra ID answers to {key!r}", "give its object id")
        found.append(user.id if user is not None else key.lower())
    return frozenset(found)


async def _stage_named(work: Work, pending: Pending, named: Sequence[str]) -> None:
    """What is true of the named members now. Who is none, or is one of a group that gives no access, loses what came
    from it; the group itself is decided on without asking for the others.
    """
    context, group = work.context, group_id(pending.object)
    default_access = await context.default_access()
    gives = context.job.policy.everyone or any(entitles(each, default_access=default_access) for each in pending.grants)
    holds = await context.nesting.hold([(group, user) for user in named])
    present = [user for user in named if holds[group, user]]
    await stage_members(work, group, present, given=gives)
    lost = {f"group:{group}": False}
    absent = [user for user in named if user not in present]
    staged = [Pending(user_key(user), "users", grants=lost, unproven=True) for user in absent]
    staged += [Pending(membership_key(group, user), "removals", withdrawn=True, unproven=True) for user in absent]
    work.tally.add_staged(await work.plan.stage(staged))


@asynccontextmanager
async def _slot(engine: Engine, holder: str, *, alone: bool) -> AsyncIterator[None]:
    """One of the calls that the instance grants to all jobs together; a cycle gives one up after its present batch.
    What is `alone` on an overlay of the state sends reads only, and nobody would see its claim.
    """
    context, granted = engine.context, engine.context.job.pace.slots
    waited = 0.0
    while not alone and not await engine.shares.claim(holder, 1, granted=granted, now=context.now(), urgent=True):
        if waited >= LONGEST_WAIT:
            await engine.shares.release(holder)
            raise Unavailable(
                f"all {granted} call(s) to ServiceNow are taken by other jobs of this app and none came free within "
                f"{LONGEST_WAIT:.0f} s; nothing was read or written. Try again, or raise SERVICENOW_SLOTS if the "
                "instance has more to give",
                code=BUSY,
            )
        await asyncio.sleep(POLL)
        waited += POLL
    try:
        with context.target.share(1):
            yield
    finally:
        if not alone:
            await engine.shares.release(holder)


async def pending_of(engine: Engine, key: str) -> tuple[Pending, str]:
    """The object as a change that asks for a full evaluation, with the grants that it has now."""
    context = engine.context
    kinds: tuple[ObjectType, ...] = ("user", "group")
    for kind in kinds:
        found = await context.source.find(kind, key)
        source_id = found.id if found is not None else await remembered_id(context, kind, key)
        if source_id is None:
            continue  # neither in Entra nor remembered from an earlier cycle
        object_key = user_key(source_id) if kind == "user" else group_key(source_id)
        pending = Pending(object_key, home_lane(object_key), refresh=True, unproven=True, expand=kind == "group")
        if found is not None and not context.job.policy.everyone:
            assignments = (await context.source.grants(kind, [found.id]))[found.id] or ()
            grants = grants_of(kind, assignments, default_access=await context.default_access())
            pending = replace(pending, grants=dict.fromkeys(grants, True))
        return pending, str((found.attributes if found else {}).get("displayName") or "")
    raise ObjectError(
        "NotFound",
        f"no user or group in Microsoft Entra ID answers to {key!r}",
        "give an object id, a user principal name, or the exact display name of a group",
    )


async def remembered_id(context: Context, kind: ObjectType, key: str) -> str | None:
    """The id of an object of which an earlier cycle has left something: by that id, or by the key that it is linked
    under, since whoever has left Entra has no name there any more.
    """
    ids = [key] if _is_id(key) else (await context.links.owners_by_key(kind, [key])).values()
    for each in ids:
        if (await context.links.load([(kind, each)]))[kind, each].etag:
            return each
    return None


def _is_id(key: str) -> bool:
    try:
        uuid.UUID(key)
    except ValueError:
        return False
    return True


async def _decide(work: Work) -> None:
    for lane in DECIDING:
        step: Decide | None = Decide(lane, FIRST, LAST, 0)
        while step is not None:
            step = await decide_range(work, step)


async def _act(work: Work) -> str | None:
    """Until the plan is empty: what a cycle beside this run changed first is decided, reviewed and acted on again.
    Answers the id of what the review held on the way. The rest, if any, is the next cycle's.
    """
    held = None
    for _ in range(MOST_WAVES):
        before = work.tally.done
        await _act_on_lanes(work)
        left = await work.plan.left()
        if not left:
            return held
        if work.tally.done == before:
            break
        await _decide(work)
        held = (await review_plan(work)).held or held
    at = work.context.now()
    await work.context.due.add([(at, replace(row.pending, decision=None)) for row in left])
    await work.plan.settle(left)
    return held


async def _act_on_lanes(work: Work) -> None:
    """Each lane until a wave gets nothing more done: first with managers before their reports, then without waiting."""
    for lane in ACTING:
        patient = True
        for _ in range(MOST_WAVES):
            before = work.tally.done
            step: Act | None = Act(lane, FIRST, LAST, 0, slots=1, patient=patient)
            while step is not None:
                step = await act_range(work, step)
            if not await work.plan.rows(lane, FIRST, LAST, limit=1):
                break
            if work.tally.done == before:
                if not patient:
                    break
                patient = False


async def _record_planned(work: Work) -> None:
    for lane in ACTING:
        after = ""
        while rows := await work.plan.rows(lane, FIRST, LAST, after=after):
            for row in rows:
                if row.pending.decision is not None and work.tally.occurrences is not None:
                    change = str(uuid.uuid4())
                    took = in_milliseconds(row.pending.spent)
                    planned = Occurrence(row.pending.decision, None, change, work.context.now(), took)
                    work.tally.occurrences.append(planned)
            after = rows[-1].key
