"""Provisions one user or group at once, by the same path as a cycle: import, scope, match, decide, act.

Works on a plan of its own and without the job's lease, so that it does not wait for a cycle that runs for days: each
write is conditional on the link that it was decided on, and what conflicts is decided again by whoever comes second.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from provisioning.engine.acting import act_range
from provisioning.engine.deciding import decide_range
from provisioning.engine.engine import Engine
from provisioning.engine.jobs import counting
from provisioning.engine.observe import grants_of
from provisioning.engine.plan import home_lane
from provisioning.engine.progress import Act, Decide
from provisioning.engine.reviewing import review_plan
from provisioning.engine.tally import Tally
from provisioning.engine.work import Work
from provisioning.errors import ObjectError, Unavailable
from provisioning.model import Lane, ObjectType, Pending, group_key, user_key
from provisioning.rules.summary import Occurrence, summarize

DECIDING: tuple[Lane, ...] = ("groups", "removals", "users", "memberships")
ACTING: tuple[Lane, ...] = ("removals", "users", "groups", "memberships")
FIRST, LAST = "00", "ff"
MOST_WAVES = 50
POLL, LONGEST_WAIT = 0.5, 150.0  # longer than the claim of a dead process lasts


class Answer(Struct, frozen=True):
    """What was found, decided and done: log entries in Graph's form, the object's own first, then its members'."""

    object: str
    name: str
    entries: tuple[dict[str, Any], ...]
    held: str | None = None


async def provision_on_demand(engine: Engine, key: str, *, write: bool) -> Answer:
    """`key` is an id, a user principal name or a group's display name. Raises `ObjectError` when there is no such
    object, or more than one, and `InstanceChanged`. Without `write` nothing is sent; run it on an overlay so that
    nothing is stored either.
    """
    pending, name = await _find(engine, key)
    cycle = f"on-demand-{uuid.uuid4()}"
    tally = Tally(occurrences=[])
    work = Work(engine.context, engine.context.plan(cycle), await engine.origin(cycle), tally, holder=None)
    await work.plan.stage([pending])
    async with _slot(engine, cycle, alone=not write):
        await engine.context.instance.require_same(cycle, engine.instance)
        await _decide(work)
        held = (await review_plan(work)).held
        if write:
            held = await _act(work) or held
            await engine.context.rows.change_state(partial(counting, tally.counts))
        else:
            await _record_planned(work)
    entries = [summarize(occurrence, work.origin) for occurrence in tally.occurrences or ()]
    first = [e for o, e in zip(tally.occurrences or (), entries, strict=True) if o.decision.object == pending.object]
    others = [e for o, e in zip(tally.occurrences or (), entries, strict=True) if o.decision.object != pending.object]
    return Answer(pending.object, name, (*first, *others), held)


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
                code="TooManyRequests",
            )
        await asyncio.sleep(POLL)
        waited += POLL
    try:
        with context.target.share(1):
            yield
    finally:
        if not alone:
            await engine.shares.release(holder)


async def _find(engine: Engine, key: str) -> tuple[Pending, str]:
    """The object as a change that asks for a full evaluation, with the grants that it has now."""
    context = engine.context
    kinds: tuple[ObjectType, ...] = ("user", "group")
    for kind in kinds:
        found = await context.source.find(kind, key)
        if found is None:
            known = (await context.links.load([(kind, key)]))[kind, key] if _is_id(key) else None
            if known is None or not known.etag:
                continue  # neither in Entra nor remembered from an earlier cycle
        object_key = user_key(found.id if found else key) if kind == "user" else group_key(found.id if found else key)
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
                    work.tally.occurrences.append(Occurrence(row.pending.decision, None, change, work.context.now()))
            after = rows[-1].key
