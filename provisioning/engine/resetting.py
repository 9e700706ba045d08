"""Forgets what a job remembers of its objects, or which records they have. In pieces, each of which may be repeated:
what is gone is not found again. The log stays: it is the record of what was done, and goes when its own time is up.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

from msgspec.structs import replace

from provisioning.engine.audit import PREFIX
from provisioning.engine.collecting import ASSIGNMENT
from provisioning.engine.context import Context
from provisioning.engine.due import DUE, HELD
from provisioning.engine.edges import EDGE, WAITING
from provisioning.engine.jobs import CYCLE, JOB
from provisioning.engine.keys import AFTER_ALL, NIBBLES, partition_of
from provisioning.engine.links import KEY, LINK, TARGET
from provisioning.engine.neighbours import WAITER
from provisioning.engine.nesting import NESTED
from provisioning.engine.plan import CYCLE_PLAN, TABLE
from provisioning.engine.previews import Previews
from provisioning.engine.progress import Reset, StepResult
from provisioning.engine.rejections import TABLE as REJECTED
from provisioning.engine.transactions import commit_each
from provisioning.engine.work import Work
from provisioning.rows import Delete
from provisioning.rules.linkage import loosened
from provisioning.rules.restart import drops_links

PAGE = 1000


async def reset(work: Work, step: Reset) -> StepResult:
    """Until nothing is left or the time box ends. Everybody is matched again where links are dropped, and nothing is
    written that does not differ. What is still in the plan was read before, and who has left since then does not turn
    up any more.
    """
    deadline = work.context.now() + work.context.time_box
    if drops_links(step.scopes):
        async for _ in drop_links(work.context):
            if work.context.now() >= deadline:
                return StepResult(follow_up=step)
    async for rows in work.plan.unread():
        for row in rows:
            work.tally.add_row(row)
        if work.context.now() >= deadline:
            return replace(work.tally.result(), follow_up=step)
    return work.tally.result()


async def drop_links(context: Context) -> AsyncIterator[None]:
    """Everybody is matched again. Of each link stays what finds the record of somebody who is out of scope, also one
    who left today: no match by key would ever bring them up. So do the memberships, and what the removal guard holds:
    it is offered again. Stops after each page that it changed.
    """
    job = context.job.id
    async for links in context.links.pages("user", "group"):
        loose = {link.id: loosened(link) for link in links}
        changed = [found for link in links if (found := loose[link.id]) is not None and found != link]
        await context.records.release(links)
        await context.links.put(changed)
        await context.links.forget([link for link in links if loose[link.id] is None])
        if changed:
            yield
    for table, partition in _partitions(job):
        if table not in {LINK, NESTED, HELD}:
            async for _ in _empty(context, table, partition):
                yield
    async for _ in _forget_lists(context):
        yield


async def forget_objects(context: Context) -> AsyncIterator[None]:
    """Links, memberships, indexes, plan, and what waits, is due or was rejected. Stops after each page for whoever
    counts time.

    Memberships go before the links of their groups, which are the way to them.
    """
    job = context.job.id
    async for groups in context.links.pages("group"):
        for group in groups:
            async for _ in _empty(context, EDGE, f"{job}|{group.id}"):
                yield
            async for _ in _empty(context, NESTED, f"{job}|in|{group.id}"):
                yield
        yield
    async for _ in _forget_links(context):
        yield
    for partition in _partitions(job):
        async for _ in _empty(context, *partition):
            yield
    async for _ in _forget_lists(context):
        yield


async def _forget_lists(context: Context) -> AsyncIterator[None]:
    """The lists of assignments."""
    state, _ = await context.rows.state()
    found = await context.rows.progress()
    lists = {state.generation} | ({found[0].generation, found[0].discard} if found is not None else set())
    for generation in sorted(lists - {""}):
        async for _ in _empty(context, ASSIGNMENT, f"{context.job.id}|{generation}"):
            yield


def _partitions(job: str) -> list[tuple[str, str]]:
    """Table and partition of all that does not have to be looked for."""
    spread = [(WAITING, f"{job}|{nibble}") for nibble in NIBBLES]
    spread += [(TABLE, f"{job}|{CYCLE_PLAN}|{nibble}") for nibble in NIBBLES]
    indexes = [(table, f"{job}|{kind}") for table in (KEY, TARGET) for kind in ("user", "group")]
    return [*spread, *indexes, (NESTED, f"{job}|above"), (DUE, job), (HELD, job), (REJECTED, job), (WAITER, job)]


async def _forget_links(context: Context) -> AsyncIterator[None]:
    """With each page its records are released: no other job is to wait for a job that is gone."""
    job = context.job.id
    async for links in context.links.pages("user", "group"):
        await context.records.release(links)
        deletions = [(partition_of(job, link.type, link.id), Delete(link.id)) for link in links]
        await commit_each(context.store, LINK, deletions)
        yield


async def forget_job(context: Context) -> None:
    """All that is stored of the job but its log, its audit trail, its lease and its state."""
    async for _ in forget_objects(context):
        pass
    job = context.job.id
    cycles = [cycle["cycle"] for cycle in await context.rows.cycles(limit=PAGE)]
    found = await context.rows.progress()
    for cycle in {*cycles, *([found[0].cycle] if found is not None else [])}:
        async for _ in _empty(context, CYCLE, f"{job}|{cycle}"):
            pass
    async for _ in _empty(context, CYCLE, job):
        pass
    async for _ in _empty(context, JOB, job, spare=("lease", "state", PREFIX)):
        pass
    for candidate in (False, True):
        await Previews(context.store, job, candidate=candidate).forget(math.inf)


async def _empty(context: Context, table: str, partition: str, *, spare: tuple[str, ...] = ()) -> AsyncIterator[None]:
    """`spare` are beginnings of keys."""
    after = ""
    while rows := await context.store.scan(table, partition, after=after, before=AFTER_ALL, limit=PAGE):
        await commit_each(
            context.store, table, [(partition, Delete(row.key)) for row in rows if not row.key.startswith(spare)]
        )
        after = rows[-1].key
        yield
