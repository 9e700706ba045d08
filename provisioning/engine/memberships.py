"""Gathers, for a chunk of membership rows, what `rules.membership` needs from both sides. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioning.engine.context import Context
from provisioning.engine.keys import chosen_sys_id, ends
from provisioning.engine.links import Known
from provisioning.engine.ownership import stranger
from provisioning.engine.plan import Plan
from provisioning.model import Create, Edge, Link, ObjectType, Pending, Record, group_key, user_key
from provisioning.rules.membership import MembershipSeen, is_disabled
from provisioning.rules.protection import ACCOUNT_FIELDS, Rights
from provisioning.rules.scope import in_scope

MEMBERSHIPS = "sys_user_grmember"
NAME = "name"
"""The column of a group's name."""


async def observe_memberships(context: Context, plan: Plan, pendings: Sequence[Pending]) -> list[MembershipSeen]:
    """What is known of each pending membership now, in the same order.

    A membership that only an absence ends is read by itself first; a tombstone of Graph needs no second proof.
    """
    pairs = [ends(pending.object) for pending in pendings]
    objects: set[tuple[ObjectType, str]] = {("group", group) for group, _ in pairs}
    objects |= {("user", member) for _, member in pairs}
    known = await context.links.load(objects)
    known |= {("user", member): Known(link) for _, member in pairs if (link := stranger(member)) is not None}
    edges = await context.edges.load(pairs)
    suspects = [pair for pair, pending in zip(pairs, pendings, strict=True) if pending.withdrawn and pending.unproven]
    still = await context.nesting.hold(suspects) if suspects else {}
    last = await _last_records(context, [found.link for found in known.values()])
    both = {
        # Of a record that a restart has made us forget the memberships are still known as ours, and taken away there.
        (group, member): (last["group", group], last["user", member])
        for group, member in pairs
        if last["group", group] and last["user", member]
    }
    rows = await context.target.memberships(list(both.values())) if both else {}
    ended = [pair for pair, pending in zip(pairs, pendings, strict=True) if pending.withdrawn and pair in both]
    unlisted = {both[pair]: edges[pair] for pair in ended if both[pair] not in rows and pair in edges}
    rows = {**rows, **await _unlisted(context, unlisted)}
    unsettled = [
        both[pair][1]
        for pair, pending in zip(pairs, pendings, strict=True)
        if pair in both
        and (
            pending.withdrawn
            or both[pair] not in rows
            or not known["group", pair[0]].link.enabled
            or is_disabled(known["user", pair[1]].link)
        )
    ]
    joining = [last["user", member] for group, member in pairs if not last["group", group] and last["user", member]]
    accounts, rights = await _accounts(context, [*unsettled, *joining])
    unlinked = [
        user_key(source_id) if kind == "user" else group_key(source_id)
        for (kind, source_id), found in known.items()
        if found.link.reference is None
    ]
    planned = await plan.planned(unlinked) if unlinked else set()
    named = await _names(context, plan, [known["group", group].link for group in {group for group, _ in pairs}])
    left = [group_key(group) for group, _ in pairs if _is_left(known["group", group].link)]
    returning = {key for key, each in (await plan.decisions(left)).items() if in_scope(each.scope)} if left else set()
    return [
        MembershipSeen(
            key=pending.object,
            group_id=pair[0],
            member_id=pair[1],
            wanted=not pending.withdrawn or still.get(pair, False),
            group=known["group", pair[0]].link,
            member=known["user", pair[1]].link,
            group_planned=group_key(pair[0]) in planned,
            member_planned=user_key(pair[1]) in planned,
            edge=edges.get(pair),
            rows=rows.get(both[pair], ()) if pair in both else (),
            candidate_sys_id=chosen_sys_id(
                context.job.tenant,
                "member",
                f"{pair[0]}:{pair[1]}",
                _generation(known["group", pair[0]].link, known["user", pair[1]].link),
            ),
            account=accounts.get(last["user", pair[1]]),
            rights=rights,
            returns=group_key(pair[0]) in returning,
            reconciling=pending.reconciles,
            owned=pending.owned,
            group_names=named.get(pair[0], ()),
        )
        for pair, pending in zip(pairs, pendings, strict=True)
    ]


async def _unlisted(context: Context, edges: Mapping[tuple[str, str], Edge]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The rows of ended memberships that we know and no list showed, read by their ids. Of a row that is taken to be
    gone nothing is remembered, so it would be left behind for good.
    """
    known = {edge.sys_id: pair for pair, edge in edges.items() if edge.sys_id}
    found = await context.target.read(MEMBERSHIPS, known, ("group", "user")) if known else {}
    return {known[sys_id]: (sys_id,) for sys_id, row in found.items() if (row["group"], row["user"]) == known[sys_id]}


async def _last_records(context: Context, links: Collection[Link]) -> dict[tuple[ObjectType, str], str]:
    """The record of each, or the one that it had before a restart, unless another object has that by now."""
    found = {(link.type, link.id): link.reference or link.former or "" for link in links}
    for kind in ("user", "group"):
        former = {link.former for link in links if link.type == kind and not link.reference and link.former}
        taken = await context.links.owners_by_record(kind, former) if former else {}
        found |= {obj: "" for obj, sys_id in found.items() if obj[0] == kind and taken.get(sys_id, obj[1]) != obj[1]}
    return found


async def _names(context: Context, plan: Plan, groups: Sequence[Link]) -> dict[str, tuple[str, ...]]:
    """What a limit of a group may be set by, where there are any: its object id, its name and its key in ServiceNow. Of
    a group that this plan creates the plan tells.
    """
    if not context.job.group_limits.any:
        return {}
    coming = await plan.decisions([group_key(link.id) for link in groups if not link.linked])
    named = {}
    for link in groups:
        names = [link.written.get(NAME), link.match_value]
        if (decision := coming.get(group_key(link.id))) is not None:
            names += [decision.action.fields.get(NAME)] if isinstance(decision.action, Create) else []
            names += [decision.match.value] if decision.match is not None else []
        named[link.id] = (link.id, *(name for name in names if name))
    return named


def _generation(group: Link, member: Link) -> int:
    """Grows whenever either end gets another record: the row of the one before may still be there."""
    return group.generation + member.generation


def _is_left(group: Link) -> bool:
    return group.linked and not group.enabled


async def _accounts(context: Context, sys_ids: Collection[str]) -> tuple[Mapping[str, Record], Rights]:
    """The users' records, as far as they tell who is protected, and what else tells it."""
    if not sys_ids:
        return {}, Rights()
    table = context.job.schema.user.table
    columns = (await context.target.dictionary())[table]
    fields = ["sys_id", *(name for name in ACCOUNT_FIELDS if name in columns)]
    return await context.target.read(table, sys_ids, fields), await context.rights.of_accounts()
