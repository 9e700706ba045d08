"""Decides a range of the plan: observe, decide, settle what needs no write, keep the rest as decided rows."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from provisioning.engine.links import Known
from provisioning.engine.memberships import observe_memberships
from provisioning.engine.observe import observe
from provisioning.engine.outcomes import Settled
from provisioning.engine.ownership import stage_strangers
from provisioning.engine.plan import PlanRow, home_lane
from provisioning.engine.progress import Decide
from provisioning.engine.rejecting import mind
from provisioning.engine.settling import settle
from provisioning.engine.tally import kind_of, tense
from provisioning.engine.work import Work
from provisioning.model import (
    Create,
    Decision,
    Disable,
    Lane,
    Link,
    ObjectType,
    Pending,
    Remove,
    Update,
    group_key,
    membership_key,
    user_key,
)
from provisioning.rules.decide import decide
from provisioning.rules.membership import decide_membership
from provisioning.rules.review import is_cleared
from provisioning.rules.scope import confers, entitles, in_scope

WRITES = (Create, Update, Disable, Remove)


async def decide_range(work: Work, step: Decide) -> Decide | None:
    """Decides up to a chunk of rows; answers the step that goes on, if there are more."""
    rows = await work.plan.rows(step.lane, step.first, step.last, after=step.after, limit=work.context.job.pace.chunk)
    await decide_rows(work, [row for row in rows if row.pending.decision is None])
    if len(rows) < work.context.job.pace.chunk:
        return None
    return replace(step, after=rows[-1].key)


async def decide_rows(work: Work, rows: Sequence[PlanRow]) -> list[PlanRow]:
    """Answers the rows that now hold a decision to be carried out, each in its lane."""
    decided: list[PlanRow] = []
    for kind in ("group", "user"):
        decided += await _decide_objects(work, _of_kind(rows, kind), kind)
    decided += await _decide_memberships(work, _of_kind(rows, "member"))
    return decided


def _of_kind(rows: Sequence[PlanRow], kind: str) -> list[PlanRow]:
    return [row for row in rows if row.pending.object.startswith(f"{kind}:")]


async def _decide_objects(work: Work, rows: Sequence[PlanRow], kind: ObjectType) -> list[PlanRow]:
    if not rows:
        return []
    mapping = work.context.job.schema.mapping(kind)
    began = work.context.now()
    seen = await observe(work.context, work.plan, [row.pending for row in rows], kind)
    decisions = await mind(work, [decide(each, mapping, work.context.job.policy) for each in seen])
    work.tally.count("imported", len(decisions))
    work.tally.count("entitled", sum(confers(decision.scope) for decision in decisions))
    work.tally.count("in scope", sum(in_scope(decision.scope) for decision in decisions))
    if kind == "group":
        await _spread(work, [(r.pending, d, e.link) for r, d, e in zip(rows, decisions, seen, strict=True)])
    known = [Known(each.link, each.link_etag) for each in seen]
    attributes = [
        each.source.attributes if each.source else row.pending.attributes for row, each in zip(rows, seen, strict=True)
    ]
    at = work.context.now()
    spent = at - began
    pendings = [
        replace(
            row.pending,
            lane=lane_of(row.pending, decision),
            attributes=values,
            decision=decision,
            decided_at=at,
            spent=spent,
            link_etag=link.etag,
        )
        for row, decision, values, link in zip(rows, decisions, attributes, known, strict=True)
    ]
    settled = [
        Settled(row, decision, None, link.link, link.etag, spent=spent)
        for row, decision, link in zip(rows, decisions, known, strict=True)
        if not isinstance(decision.action, WRITES)
    ]
    await settle(work, settled)
    return await _keep(work, list(zip(rows, pendings, strict=True)))


async def _decide_memberships(work: Work, rows: Sequence[PlanRow]) -> list[PlanRow]:
    if not rows:
        return []
    began = work.context.now()
    seen = await observe_memberships(work.context, work.plan, [row.pending for row in rows])
    mapped = work.context.job.schema.group.writes_members
    policy = work.context.job.policy
    drift = work.context.job.schema.group.members_drift or policy.drift
    only_enabled = policy.departures.memberships == "remove"
    decisions = [
        decide_membership(each, mapped=mapped, only_enabled=only_enabled, protection=policy.protection, drift=drift)
        for each in seen
    ]
    limits = work.context.job.group_limits
    decisions = [
        replace(decision, group_limit=limits.of(decision.action, each.group_names))
        for each, decision in zip(seen, decisions, strict=True)
    ]
    decisions = await mind(work, decisions)
    at = work.context.now()
    spent = at - began
    pendings = [
        replace(
            row.pending,
            lane=lane_of(row.pending, d),
            decision=d,
            decided_at=at,
            spent=spent,
            withdrawn=not each.wanted,
        )
        for row, d, each in zip(rows, decisions, seen, strict=True)
    ]
    settled = [
        Settled(PlanRow(pending, row.partition, row.key, row.etag), decision, spent=spent)
        for row, pending, decision in zip(rows, pendings, decisions, strict=True)
        if not isinstance(decision.action, WRITES)
    ]
    await settle(work, settled)
    return await _keep(work, list(zip(rows, pendings, strict=True)))


def lane_of(pending: Pending, decision: Decision) -> Lane:
    """Whatever does harm stands among the removals, to be counted. What was let through leaves them so that no leaver
    waits: accounts that go are written before all else, updates with the others. Who was known to leave before anything
    was decided stands with the former from the beginning.
    """
    removes, home = isinstance(decision.action, Disable | Remove), home_lane(decision.object)
    cleared = is_cleared(replace(pending, decision=decision))
    if removes and home == "users" and (cleared or pending.lane == "leavers"):
        return "leavers"
    return home if cleared and not removes else "removals"


async def _keep(work: Work, rows: Sequence[tuple[PlanRow, Pending]]) -> list[PlanRow]:
    """Stores the decisions that are to be carried out, and counts them as planned."""
    writes = [
        (row, pending) for row, pending in rows if pending.decision and isinstance(pending.decision.action, WRITES)
    ]
    kept = await work.plan.record(writes)
    for row in kept:
        decision = row.pending.decision
        if decision is not None:
            work.tally.add_decided(row.pending.lane, row.pending.object)
            if not isinstance(decision.action, Update) or decision.action.fields:  # else only a reference is open
                work.tally.count(f"planned {kind_of(decision)}.{tense(decision.action)}")
    return kept


async def _spread(work: Work, groups: Sequence[tuple[Pending, Decision, Link]]) -> None:
    """A group that gives access brings its members, one that no longer does takes its grant from them; one that a
    filter excludes gives access all the same and loses its memberships.

    Done before the group's own row is settled, so that it is repeated if the process dies in between.
    """
    default_access = await work.context.default_access()
    everyone = work.context.job.policy.everyone
    entering: list[Link] = []
    mapping = work.context.job.schema.group
    owned = {link.id for _, d, link in groups if in_scope(d.scope) and mapping.owns(link.id, d.name)}
    compared = {link.id for pending, _, link in groups if pending.reconciles and link.linked}
    for pending, decision, link in groups:
        gave = everyone or any(entitles(grant, default_access=default_access) for grant in link.grants)
        returns = in_scope(decision.scope) and not link.enabled and bool(link.sys_id or link.grants)
        if not confers(decision.scope):
            await work.context.nesting.forget(link.id)
            await _withdraw(work, link.id)
        elif pending.expand or not gave or returns or _has_other_roles(work, decision, link):
            entering.append(link)
        elif not in_scope(decision.scope) and link.enabled:
            await _look_again(work, link.id)
    trees = await work.context.nesting.expand([link.id for link in entering]) if entering else {}
    for link in entering:
        tree = trees[link.id]
        users = tree.users if tree is not None else ()
        if work.context.nesting.enabled:
            await work.context.nesting.remember(link.id, tree.groups if tree is not None else ())
        if (work.context.nesting.enabled and (link.grants or everyone)) or link.id in compared:
            await _withdraw_absent(work, link.id, users)
        if link.id in owned and tree is not None:
            await stage_strangers(work, link, users)
        if link.id in compared:
            await _compare_members(work, link.id, users)
        else:
            await stage_members(work, link.id, users, given=True)
    await _expand_later(work, [group for group, tree in trees.items() if tree is None])


async def _expand_later(work: Work, groups: Sequence[str]) -> None:
    """Groups that Graph has just shown and whose members it did not find: they were deleted a moment ago, or a replica
    does not know them yet. No change tells of the members again, so the next cycle asks for them.
    """
    at = work.context.now() - 1  # apart from what is put there of the same group when it is settled
    await work.context.due.add(
        [(at, Pending(group_key(group), "groups", refresh=True, expand=True)) for group in groups]
    )


def _has_other_roles(work: Work, decision: Decision, link: Link) -> bool:
    """Whether the group's members get other roles, and a mapping or filter of users reads them."""
    return work.context.job.schema.user.reads_roles and set(decision.grants) != set(link.grants)


async def _withdraw(work: Work, group: str) -> None:
    after = ""
    while edges := await work.context.edges.page(group, after):
        await stage_members(work, group, [edge.member for edge in edges], given=False)
        after = edges[-1].member


async def _look_again(work: Work, group: str) -> None:
    """The memberships of a group whose record is left behind: the members keep their access and lose the rows."""
    after = ""
    while edges := await work.context.edges.page(group, after):
        staged = [Pending(membership_key(group, edge.member), "memberships") for edge in edges if edge.sys_id]
        work.tally.add_staged(await work.plan.stage(staged))
        after = edges[-1].member


async def _withdraw_absent(work: Work, group: str, users: Sequence[str]) -> None:
    """Who was a member through whichever group and is not listed any more is a candidate, to be read by itself."""
    present, after = set(users), ""
    while edges := await work.context.edges.page(group, after):
        absent = [edge.member for edge in edges if edge.member not in present]
        lost = {f"group:{group}": False}
        staged = [Pending(user_key(user), "users", grants=lost, unproven=True) for user in absent]
        staged += [Pending(membership_key(group, user), "removals", withdrawn=True, unproven=True) for user in absent]
        work.tally.add_staged(await work.plan.stage(staged))
        after = edges[-1].member


async def _compare_members(work: Work, group: str, users: Sequence[str]) -> None:
    """Stages the memberships for a comparison, and the users of whom we did not know that the group gives them
    access.
    """
    grant = f"group:{group}"
    links = await work.context.links.load([("user", user) for user in users]) if users else {}
    changes = [
        Pending(user_key(user), "users", grants={grant: True}, refresh=True)
        for user in users
        if grant not in links["user", user].link.grants
    ]
    changes += [Pending(membership_key(group, user), "memberships", reconciles=True) for user in users]
    work.tally.add_staged(await work.plan.stage(changes))


async def stage_members(work: Work, group: str, users: Sequence[str], *, given: bool) -> None:
    """Stages what a membership means: the grant for the user, and the membership itself."""
    grants = {f"group:{group}": given}
    changes = [Pending(user_key(user), "users", grants=grants, refresh=given) for user in users]
    lane: Lane = "memberships" if given else "removals"
    changes += [Pending(membership_key(group, user), lane, withdrawn=not given) for user in users]
    work.tally.add_staged(await work.plan.stage(changes))
