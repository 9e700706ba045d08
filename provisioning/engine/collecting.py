"""The collecting steps: read what changed in Entra and store it as plan rows. Nothing is decided here.

Every step may be repeated: what is staged twice merges with itself. A watermark leaves a step only after every
change read with it is a stored row.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from provisioning.engine.deciding import stage_members
from provisioning.engine.keys import ends
from provisioning.engine.plan import home_lane
from provisioning.engine.progress import (
    CompareAssignments,
    ReadAssignments,
    ReadDelta,
    StageWaiting,
    StepResult,
    Sweep,
)
from provisioning.engine.work import Work
from provisioning.errors import CursorExpired
from provisioning.model import (
    Assignment,
    Change,
    DeltaPage,
    MembersChanged,
    ObjectType,
    Pending,
    Removed,
    Upserted,
    group_key,
    membership_key,
    user_key,
)
from provisioning.rows import MAX_TRANSACTION_ROWS, Delete, Put
from provisioning.rules.escrow import is_forgotten
from provisioning.rules.mapping import Reference

ASSIGNMENT = "assignment"
END_OF_TIME = 10.0**11
KINDS: dict[str, ObjectType] = {"User": "user", "Group": "group"}


async def open_tokens(work: Work) -> StepResult:
    """Delta tokens first: what changes while everything is read is reported by the next round."""
    source = work.context.source
    return StepResult(watermarks={"user": await source.latest_link("user"), "group": await source.latest_link("group")})


async def read_delta(work: Work, step: ReadDelta) -> StepResult:
    """Pages until the round ends or the time box does."""
    deadline = work.context.now() + work.context.time_box
    link = step.link
    while True:
        page = await work.context.source.delta(step.type_, link)
        await _stage_page(work, page)
        work.tally.count(f"read.{step.type_}s", sum(not isinstance(each, MembersChanged) for each in page.changes))
        work.tally.count("read.references", sum(_references(each) for each in page.changes))
        if page.delta_link is not None:
            return msgspec.structs.replace(work.tally.result(), watermarks={step.type_: page.delta_link})
        link = page.next_link
        if work.context.now() >= deadline:
            return msgspec.structs.replace(work.tally.result(), follow_up=ReadDelta(step.type_, link))


async def _stage_page(work: Work, page: DeltaPage) -> None:
    """Delta reports the whole tenant; only what is or was in scope, or is already in the plan, is staged."""
    ours = await _ours(work, page)
    staged: list[Pending] = await _through_other_groups(work, page)
    for change in page.changes:
        match change:
            case Upserted(object=found) if _key(found.type, found.id) in ours:
                key = _key(found.type, found.id)
                staged.append(Pending(key, home_lane(key), attributes=found.attributes))
            case Removed(type=kind, id=source_id, permanent=permanent) if _key(kind, source_id) in ours:
                staged.append(
                    Pending(_key(kind, source_id), "removals", gone="permanent" if permanent else "restorable")
                )
            case MembersChanged(group=group, added=added, removed=removed) if group_key(group) in ours:
                if work.context.nesting.enabled and await _is_nesting(work, change):
                    staged.append(Pending(group_key(group), "groups", refresh=True, expand=True))
                    continue
                users = [member.id for member in added if member.type == "user"]
                await stage_members(work, group, users, given=True)
                await stage_members(work, group, removed, given=False)
            case _:
                continue
    work.tally.add_staged(await work.plan.stage(staged))


def _references(change: Change) -> int:
    """How many references a change is about: members who came or went, a manager."""
    match change:
        case MembersChanged(added=added, removed=removed):
            return len(added) + len(removed)
        case Upserted(object=found):
            return int("manager" in found.attributes)
        case Removed():
            return 0


async def _is_nesting(work: Work, change: MembersChanged) -> bool:
    """Whether the members of an assigned group are not just those that a change names: it holds other groups."""
    return any(member.type == "group" for member in change.added) or bool(
        await work.context.nesting.within(change.group)
    )


async def _through_other_groups(work: Work, page: DeltaPage) -> list[Pending]:
    """What a group's change means for others: for the assigned groups that it is within, and for the objects whose
    scope depends on being its member.
    """
    changed = [c for c in page.changes if isinstance(c, MembersChanged)]
    gone = [c.id for c in page.changes if isinstance(c, Removed) and c.type == "group"]
    roots = await work.context.nesting.roots_of({*(c.group for c in changed), *gone})
    outer = sorted({root for found in roots.values() for root in found})
    staged = [Pending(group_key(root), "groups", refresh=True, expand=True) for root in outer]
    schema = work.context.job.schema
    watched = schema.user.watched_groups | schema.group.watched_groups
    if concerned := [c for c in changed if c.group in watched]:
        staged += await _dependent(work, concerned)
    if watched.intersection(gone):
        # Nobody says any more who its members were: every link is evaluated again by the next cycle.
        now = work.context.now()
        await work.context.rows.change_state(lambda state: msgspec.structs.replace(state, unclear_since=now))
    return staged


async def _dependent(work: Work, changes: Sequence[MembersChanged]) -> list[Pending]:
    """The objects of which something is remembered, or all where the whole tenant is in scope."""
    users = {m.id for c in changes for m in c.added if m.type == "user"} | {one for c in changes for one in c.removed}
    groups = {m.id for c in changes for m in c.added if m.type == "group"} | {o for c in changes for o in c.removed}
    objects: set[tuple[ObjectType, str]] = {*(("user", user) for user in users), *(("group", one) for one in groups)}
    links = await work.context.links.load(objects)
    everyone = work.context.job.policy.everyone
    keys = [_key(*obj) for obj, known in links.items() if known.etag or everyone]
    return [Pending(key, home_lane(key), refresh=True) for key in sorted(keys)]


def _key(kind: ObjectType, source_id: str) -> str:
    return user_key(source_id) if kind == "user" else group_key(source_id)


async def _ours(work: Work, page: DeltaPage) -> set[str]:
    """The objects of a page that concern this job."""
    objects: set[tuple[ObjectType, str]] = set()
    upserted: set[str] = set()
    for change in page.changes:
        match change:
            case Upserted(object=found):
                objects.add((found.type, found.id))
                upserted.add(_key(found.type, found.id))
            case Removed(type=kind, id=source_id):
                objects.add((kind, source_id))
            case MembersChanged(group=group):
                objects.add(("group", group))
    links = await work.context.links.load(objects)
    known = {_key(*obj) for obj, found in links.items() if found.etag}
    if work.context.job.policy.everyone:
        return known | upserted | {_key(*obj) for obj in objects if obj[0] == "group"}
    unknown = [key for obj in objects if (key := _key(*obj)) not in known]
    return known | (await work.plan.pending(unknown) if unknown else set())


async def read_assignments(work: Work, step: ReadAssignments) -> StepResult:
    """Stores the list of assignments page by page; the list counts only once it is complete."""
    deadline = work.context.now() + work.context.time_box
    link, number = step.link, step.page
    partition = f"{work.context.job.id}|{step.generation}"
    while True:
        page = await work.context.source.assignments(link)
        data = {"assignments": msgspec.to_builtins(page.assignments)}
        await work.context.store.commit(ASSIGNMENT, partition, [Put(f"{number:06d}", data)])
        work.tally.count("read.assignments", len(page.assignments))
        link, number = page.next_link, number + 1
        if link is None:
            return work.tally.result()
        if work.context.now() >= deadline:
            follow_up = ReadAssignments(step.generation, link, number)
            return msgspec.structs.replace(work.tally.result(), follow_up=follow_up)


async def compare_assignments(work: Work, step: CompareAssignments) -> StepResult:
    """Stages who was assigned and who no longer is. An absence from the list only names a candidate: deciding reads
    that object's own assignments before anything is taken away. Raises `CursorExpired` when the application's roles
    decide otherwise about everybody than they did.
    """
    access = await work.context.access()
    if step.access not in {"", access}:
        raise CursorExpired("the roles of the enterprise application have changed: everybody is evaluated again")
    old, new = await _load(work, step.old), await _load(work, step.new)
    old_principals = {assignment.principal_id for assignment in old}
    staged: list[Pending] = []
    for assignment in new if step.refresh else new - old:
        first = step.refresh or assignment.principal_id not in old_principals
        staged.append(_pending(assignment, given=True, refresh=step.refresh, expand=first))
    staged += [_pending(assignment, given=False, refresh=False, expand=False) for assignment in old - new]
    work.tally.add_staged(await work.plan.stage(staged))
    return msgspec.structs.replace(work.tally.result(), access=access)


async def _load(work: Work, generation: str) -> set[Assignment]:
    """The users' and groups' assignments of one complete list; service principals are not provisioned."""
    found: set[Assignment] = set()
    after = ""
    partition = f"{work.context.job.id}|{generation}"
    while generation and (rows := await work.context.store.scan(ASSIGNMENT, partition, after=after, limit=100)):
        for row in rows:
            page = msgspec.convert(row.data["assignments"], tuple[Assignment, ...])
            found.update(assignment for assignment in page if assignment.principal_type in KINDS)
        after = rows[-1].key
    return found


def _pending(assignment: Assignment, *, given: bool, refresh: bool, expand: bool) -> Pending:
    key = _key(KINDS[assignment.principal_type], assignment.principal_id)
    return Pending(
        key,
        home_lane(key),
        grants={f"role:{assignment.role_id}": given},
        refresh=refresh,
        expand=expand and key.startswith("group:"),
    )


async def stage_waiting(work: Work, step: StageWaiting) -> StepResult:
    """Stages what an earlier cycle left for this one."""
    context = work.context
    now = context.now()
    state, _ = await context.rows.state()
    until = END_OF_TIME if state.tries_all else now
    while due := await context.due.page(until):
        kept = [pending for _, pending in due if not is_forgotten(pending.escrow, state.escrows_cleared)]
        work.tally.add_staged(await work.plan.stage(kept))
        await context.due.remove([row for row, _ in due])
    while held := await context.held.page():
        offered = [msgspec.structs.replace(pending, decision=None) for _, pending in held]
        work.tally.add_staged(await work.plan.stage(offered, earlier=True))
        await context.held.remove([row for row, _ in held])
    await _stage_found_names(work)
    await _stage_released(work)
    if step.discard:
        await _discard(work, step.discard)
    return work.tally.result()


async def _stage_found_names(work: Work) -> None:
    """Objects that wait for a record by its display value: once it is there they are evaluated again."""
    context = work.context
    waiting = [pair for pair in await context.waiting.everything() if pair[0].startswith("name:")]
    if not waiting:
        return
    wanted = {missing: Reference.at(*missing.split(":", 2)[1:]) for missing, _ in waiting}
    context.references.forget_missing()
    looked = await context.references.resolve(wanted.values())
    arrived = [(missing, key) for missing, key in waiting if wanted[missing] in looked.found]
    staged = [Pending(key, home_lane(key), refresh=True) for _, key in arrived]
    work.tally.add_staged(await work.plan.stage(staged))
    await context.waiting.remove(arrived)


async def _stage_released(work: Work) -> None:
    """Objects whose record no other job manages any more. Asks the state alone, for those who wait and nobody else."""
    context, after = work.context, ""
    kinds: tuple[ObjectType, ...] = ("user", "group")
    while waiting := await context.waiters.page(after):
        after = waiting[-1].key
        held = {
            sys_id
            for kind in kinds
            for sys_id in await context.records.holders(kind, [each.sys_id for each in waiting if each.kind == kind])
        }
        free = [each.object for each in waiting if each.sys_id not in held]
        work.tally.add_staged(await work.plan.stage([Pending(key, home_lane(key), refresh=True) for key in free]))
        await context.waiters.remove(free)


async def _discard(work: Work, generation: str) -> None:
    partition = f"{work.context.job.id}|{generation}"
    while rows := await work.context.store.scan(ASSIGNMENT, partition, limit=MAX_TRANSACTION_ROWS):
        await work.context.store.commit(ASSIGNMENT, partition, [Delete(row.key) for row in rows])


async def sweep(work: Work, step: Sweep) -> StepResult:
    """After everything was read anew: what is remembered and did not turn up is looked at by itself."""
    links = await work.context.links.page(step.type_, step.nibble, step.after)
    if step.edges:
        for link in links:
            await _sweep_edges(work, link.id)
    else:
        keys = [_key(link.type, link.id) for link in links]
        present = await work.plan.evaluated(keys)
        absent = [key for key in keys if key not in present]
        staged = [Pending(key, home_lane(key), refresh=True, unproven=True) for key in absent]
        work.tally.add_staged(await work.plan.stage(staged))
    if not links:
        return work.tally.result()
    return msgspec.structs.replace(work.tally.result(), follow_up=msgspec.structs.replace(step, after=links[-1].id))


async def _sweep_edges(work: Work, group: str) -> None:
    after = ""
    while edges := await work.context.edges.page(group, after):
        keys = [membership_key(group, edge.member) for edge in edges]
        present = await work.plan.pending(keys)
        await _stage_unproven(work, [key for key in keys if key not in present])
        after = edges[-1].member


async def _stage_unproven(work: Work, keys: Sequence[str]) -> None:
    """Memberships that were not found, and their users: whoever left a group has lost what it gave, which no list of
    changes will tell any more.
    """
    staged = [Pending(key, "removals", withdrawn=True, unproven=True) for key in keys]
    members = dict.fromkeys(user_key(ends(key)[1]) for key in keys)
    staged += [Pending(member, home_lane(member), unproven=True) for member in members]
    work.tally.add_staged(await work.plan.stage(staged))
