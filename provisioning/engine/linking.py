"""Links as a person sees and mends them: found, listed, verified, tied to another record, forgotten. Nothing here
writes to ServiceNow.

A link is changed on the condition that nobody else has changed it since it was read; a cycle that runs meanwhile
decides the object again, because its own condition fails then. What a change means is left to the next cycle, which
evaluates the object under the same rules as any other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from provisioning.engine.context import Context
from provisioning.engine.control import order_evaluation
from provisioning.engine.edges import Edges
from provisioning.engine.engine import Engine
from provisioning.engine.jobs import counting
from provisioning.engine.keys import NIBBLES
from provisioning.engine.links import Known
from provisioning.engine.observe import observe
from provisioning.engine.plan import CYCLE_PLAN
from provisioning.errors import ObjectError, RowConflict
from provisioning.model import Edge, Link, ObjectType, Pending, Record, group_key, user_key
from provisioning.rules.audit import Changes
from provisioning.rules.decide import Seen
from provisioning.rules.linkage import Checked, check, connection_of, relinked, unlinked
from provisioning.rules.managed import managed_as
from provisioning.rules.neighbours import WAY_OUT
from provisioning.rules.protection import ACCOUNT_FIELDS, GROUP_FIELDS, guarded_group, protected_account
from provisioning.rules.scope import in_scope, reasons

KINDS: tuple[ObjectType, ...] = ("user", "group")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SYS_ID = re.compile(r"[0-9a-f]{32}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Behind the link `after` of a partition."""

    kind: ObjectType
    nibble: str
    after: str


START = Place(KINDS[0], NIBBLES[0], "")


async def page_of_linked(
    context: Context, place: Place, top: int, kinds: Sequence[ObjectType] = KINDS
) -> tuple[Sequence[Link], Place | None]:
    """Up to `top` links that name a record, from a place on, and the place to go on from; None at the end."""
    found: list[Link] = []
    for kind in KINDS[KINDS.index(place.kind) :]:
        if kind not in kinds:
            continue
        for nibble in NIBBLES:
            if kind == place.kind and nibble < place.nibble:
                continue
            after = place.after if (kind, nibble) == (place.kind, place.nibble) else ""
            while links := await context.links.page(kind, nibble, after):
                for link in links:
                    if link.sys_id is None:
                        continue
                    if len(found) == top:
                        return found, Place(kind, nibble, after)
                    found.append(link)
                    after = link.id
                after = links[-1].id
    return found, None


async def remembered(context: Context, key: str) -> Known | None:
    """As `remembered_by_id`, and the link of the object with this key."""
    if (found := await remembered_by_id(context, key)) is not None:
        return found
    for kind in KINDS:
        if (known := await _owned(context, kind, await context.links.owners_by_key(kind, [key]))) is not None:
            return known
    return None


async def remembered_by_id(context: Context, key: str) -> Known | None:
    """The link of the object with this id, or else to the record with this sys_id. Asks neither side."""
    name = key.lower()
    found = await context.links.load([(kind, name) for kind in KINDS]) if GUID.fullmatch(name) else {}
    for known in found.values():
        if known.etag:
            return known
    for kind in KINDS if SYS_ID.fullmatch(name) else ():
        owned = await _owned(context, kind, await context.links.owners_by_record(kind, [name]))
        if owned is not None:
            return owned
    return None


async def _owned(context: Context, kind: ObjectType, owners: Mapping[str, str]) -> Known | None:
    """The link of the one owner, if it is still there."""
    for owner in owners.values():
        known = (await context.links.load([(kind, owner)]))[kind, owner]
        if known.etag:
            return known
    return None


async def find(context: Context, key: str) -> Known:
    """As `remembered`, and by the names that Entra knows; an empty link for an object that has none. Raises
    `ObjectError` for what nobody knows.
    """
    if (known := await remembered(context, key)) is not None:
        return known
    for kind in KINDS:
        if (source := await context.source.find(kind, key)) is not None:
            return (await context.links.load([(kind, source.id)]))[kind, source.id]
    raise ObjectError(
        "NotFound",
        f"neither a link nor a user or group in Microsoft Entra ID answers to {key!r}",
        "give an object id, a sys_id, a user principal name, or the exact display name of a group",
    )


async def document_of(context: Context, link: Link) -> dict[str, Any]:
    """All that is remembered of one link, with its memberships."""
    edges = [edge async for page in memberships(context.edges, link) for edge in page]
    shown = [{"group": e.group, "member": e.member, "sysId": e.sys_id, "origin": e.origin} for e in edges]
    return {**connection_of(link), "grants": list(link.grants), "manager": link.manager, "memberships": shown}


async def verify(context: Context) -> AsyncIterator[Sequence[Checked]]:
    """Every link with what the instance says of its record, in pages. Raises `Unavailable`: a record that could not be
    read has not vanished.
    """
    twice = await _linked_twice(context)
    async for links in context.links.pages(*KINDS):
        mapping = context.job.schema.mapping(links[0].type)
        columns = (await context.target.dictionary())[mapping.table]
        matched = dict.fromkeys(each.target for attributes in mapping.matching for each in attributes)
        fields = ["sys_id", *(name for name in matched if name in columns)]
        wanted = [link.sys_id for link in links if link.sys_id and link.linked]
        records = await context.target.read(mapping.table, wanted, fields) if wanted else {}
        yield [
            check(link, records.get(link.sys_id or ""), mapping, twice=(link.type, link.sys_id) in twice)
            for link in links
        ]


async def _linked_twice(context: Context) -> set[tuple[ObjectType, str]]:
    """Records that more than one object is linked to, from the links themselves: the index of records may be wrong."""
    twice: set[tuple[ObjectType, str]] = set()
    for kind in KINDS:
        seen: set[str] = set()
        async for links in context.links.pages(kind):
            for sys_id in (link.sys_id for link in links if link.sys_id and link.linked):
                if sys_id in seen:
                    twice.add((kind, sys_id))
                seen.add(sys_id)
    return twice


async def unlink_at_rest(engine: Engine, known: Known | None, *, by: str) -> bool:
    """As Graph's DELETE: only of a job that is paused or disabled and whose last cycle has come to rest; False when it
    is not. No link is no error.
    """
    state, _ = await engine.context.rows.state()
    found = await engine.context.rows.progress()
    if not (state.paused or state.disabled) or (found is not None and not found[0].at_rest):
        return False
    if known is not None:
        await unlink(engine, known, by=by)
    return True


async def relink(engine: Engine, key: str, sys_id: str, *, by: str) -> Link:
    """Ties an object to a record that exists; the next cycle brings the record in line. The record that it was linked
    to stays as it is.

    Raises `ObjectError` for an object that is not in scope (the next cycle would disable the account), for a record
    that does not exist, is protected or belongs to another object, and `RowConflict` when the link changed meanwhile.
    """
    context, sys_id = engine.context, sys_id.lower()
    await context.instance.require_same("relink", engine.instance)
    known = await find(context, key)
    link = known.link
    if link.sys_id != sys_id:
        keys = await _keys_in_scope(context, link)
        await _require_free(context, link.type, sys_id, link.id)
        after = relinked(link, sys_id, keys)
        await _require_unprotected(context, after, await _record(context, link.type, sys_id))
        (holder,) = await context.links.claim([after])
        if holder is not None:
            raise _held_by(holder, "one of its keys, or that record")
        try:
            await _save(context, after, known)
        except RowConflict:
            await context.links.unclaim([Link(link.type, link.id, sys_id=sys_id)])
            raise
        link = after
    records: Changes = {"targetAnchor": (known.link.sys_id, sys_id)}
    await order_evaluation(engine, "Relink", link.type, link.id, records, by=by)
    logger.info("relinked", extra={"job": context.job.id, "object": link.id, "record": sys_id})
    return link


async def unlink(engine: Engine, known: Known, *, by: str) -> None:
    """Forgets which record an object is linked to, and its memberships there; the record stays as it is. The next cycle
    matches the object again. Nothing to forget is no error; raises `RowConflict` when the link changed meanwhile.
    """
    link = known.link
    if link.record is None:
        return
    await _save(engine.context, unlinked(link), known)
    records: Changes = {"targetAnchor": (link.record, None)}
    await order_evaluation(engine, "Unlink", link.type, link.id, records, by=by)
    logger.info("unlinked", extra={"job": engine.context.job.id, "object": link.id, "record": link.record})


async def _keys_in_scope(context: Context, link: Link) -> tuple[str, ...]:
    """The keys that the mappings give the object now. Raises `ObjectError` unless it is in scope and can be mapped."""
    seen = await _observed(context, link)
    if seen.assessment.error is not None:
        raise seen.assessment.error
    desired = seen.assessment.desired
    if not in_scope(seen.assessment.checks) or desired is None:
        raise ObjectError(
            "NotEffectivelyEntitled",
            f"{link.type} {link.id} is not in scope: {reasons(seen.assessment.checks) or 'a filter drops it'}",
            "assign it first; linked as it is, the next cycle would take the record for a leaver's",
        )
    return tuple(key.text for key in desired.keys)


async def _observed(context: Context, link: Link) -> Seen:
    key = user_key(link.id) if link.type == "user" else group_key(link.id)
    pending = Pending(key, "users" if link.type == "user" else "groups", refresh=True, unproven=True)
    (seen,) = await observe(context, context.plan(CYCLE_PLAN), [pending], link.type)
    return seen


async def _require_free(context: Context, kind: ObjectType, sys_id: str, source_id: str) -> None:
    other = (await context.records.holders(kind, [sys_id])).get(sys_id)
    if other is not None:
        raise ObjectError(
            "ManagedByAnotherJob",
            f"job {other.job} of the same instance manages that record for {kind} {other.source}",
            WAY_OUT.format(job=other.job),
        )
    owner = (await context.links.owners_by_record(kind, [sys_id])).get(sys_id)
    if owner is not None and owner != source_id:
        raise _held_by(owner, "that record")


def _held_by(owner: str, what: str) -> ObjectError:
    return ObjectError(
        "DuplicateSourceEntries", f"another source object, {owner}, holds {what}", f"unlink {owner} first, or relink it"
    )


async def _record(context: Context, kind: ObjectType, sys_id: str) -> Record:
    table = context.job.schema.mapping(kind).table
    columns = (await context.target.dictionary())[table]
    fields = ["sys_id", *(name for name in (ACCOUNT_FIELDS if kind == "user" else GROUP_FIELDS) if name in columns)]
    record = (await context.target.read(table, [sys_id], fields)).get(sys_id)
    if record is None:
        raise ObjectError(
            "InvalidAnchor",
            f"{table} holds no record {sys_id!r} that the integration user can read",
            "copy the sys_id of the record from ServiceNow: 32 characters",
        )
    return record


async def _require_unprotected(context: Context, link: Link, record: Record) -> None:
    named = context.job.policy.protection
    if link.type == "user":
        why, setting = protected_account(record, link, named, await context.rights.of_accounts()), "ALLOWED_ACCOUNTS"
    else:
        rights = await context.rights.of_groups([record["sys_id"]])
        why, setting = guarded_group(record, named, rights), "ALLOWED_GROUPS"
    if why is not None:
        raise ObjectError(
            "ProtectedRecord", f"the record is protected: {why}", f"to let it be managed, name it in {setting}"
        )


async def _save(context: Context, after: Link, known: Known) -> None:
    """The link first: it alone decides who else sees a change. Then what finds it, its memberships, and the numbers."""
    before = known.link
    (result,) = await context.links.save([(after, known.etag)])
    if isinstance(result, RowConflict):
        raise RowConflict(
            f"the link of {before.type} {before.id} was changed by a cycle at this moment; nothing was done. Try again"
        ) from result
    kept = {value.casefold() for value in (after.match_value, *after.other_keys) if value}
    gone = [value for value in (before.match_value, *before.other_keys) if value and value.casefold() not in kept]
    await context.links.unclaim([Link(before.type, before.id, sys_id=before.sys_id, other_keys=tuple(gone))])
    newest = (await context.links.load([(before.type, before.id)]))[before.type, before.id].link
    if newest.sys_id is not None:  # relinked, or a cycle has matched it again meanwhile: what it claimed stays its own
        await context.links.claim([newest])
    forgotten = await _forget_memberships(context, before)
    counts = {**dict.fromkeys(managed_as(before), -1), "managed.member": -forgotten}
    await context.rows.change_state(partial(counting, counts))


async def _forget_memberships(context: Context, link: Link) -> int:
    """That the source has them stays known; their rows in ServiceNow are no longer ours. Answers how many were."""
    number = 0
    async for edges in memberships(context.edges, link):
        ours = [edge for edge in edges if edge.sys_id]
        await context.edges.save([Edge(edge.group, edge.member) for edge in ours])
        number += len(ours)
    return number


async def memberships(edges: Edges, link: Link) -> AsyncIterator[Sequence[Edge]]:
    """A user's in the groups by which it is in scope, or those of a group."""
    if link.type == "user":
        groups = [grant.removeprefix("group:") for grant in link.grants if grant.startswith("group:")]
        yield list((await edges.load([(group, link.id) for group in groups])).values())
        return
    after = ""
    while page := await edges.page(link.id, after):
        yield page
        after = page[-1].member
