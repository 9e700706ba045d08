"""Gathers, for a chunk of plan rows of users or groups, everything that `rules.decide` needs from both sides.

Reads only, but for the reservation of unique values. The number of requests grows with the chunk divided by the batch
sizes of Graph and ServiceNow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from provisioning.engine.context import Context
from provisioning.engine.keys import chosen_sys_id, identity
from provisioning.engine.links import Known
from provisioning.engine.plan import Plan
from provisioning.engine.source_facts import facts_of
from provisioning.engine.unique import choose_unique
from provisioning.errors import ObjectError
from provisioning.model import Assignment, Link, ObjectType, Pending, Record, SourceObject, group_key, user_key
from provisioning.rules.assessment import Assessment, assess, assess_gone
from provisioning.rules.attributes import Facts
from provisioning.rules.decide import Seen
from provisioning.rules.drift import UPDATED_BY, UPDATED_ON
from provisioning.rules.mapping import Columns, Desired, Key
from provisioning.rules.matching import choose_match, resembling
from provisioning.rules.neighbours import is_the_same
from provisioning.rules.protection import ACCOUNT_FIELDS, GROUP_FIELDS, Rights
from provisioning.rules.referring import Looked, Person
from provisioning.rules.scope import DEFAULT_GRANT, confers, entitles, in_scope, unfiltered_checks
from provisioning.schema import ObjectMapping

ACCOUNT_STATE = ("active", "locked_out")


@dataclass(slots=True)
class Draft:
    """One object while it is being observed."""

    pending: Pending
    known: Known
    grants: set[str]
    entitled: bool = True
    source: SourceObject | None = None
    facts: Facts | None = None
    unread: bool = False
    gone: str | None = None
    assessment: Assessment = field(default_factory=Assessment)
    own: Record | None = None
    searched: int = 0
    hits: tuple[Record, ...] = ()
    owners: dict[str, str] = field(default_factory=dict)
    rival: str | None = None
    neighbours: dict[str, str] = field(default_factory=dict)
    passed_over: int = 0
    recheck: bool = False
    people: dict[str, Person] = field(default_factory=dict)
    looked: Looked = field(default_factory=Looked)
    chosen: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.known.link.id

    @property
    def settled(self) -> bool:
        """True when only the grants changed and some are left that entitle: nothing has to be read for that."""
        return self.unread and self.entitled

    @property
    def desired(self) -> Desired | None:
        """What the record should hold, where the object is to be provisioned as far as was seen."""
        desired = self.assessment.desired
        return desired if desired is not None and desired.ignored is None and not self.elsewhere else None

    @property
    def elsewhere(self) -> bool:
        """Whether the record that is remembered as another job's still is."""
        foreign = self.known.link.foreign
        return foreign is not None and foreign.sys_id in self.neighbours and self.own is None

    @property
    def generation(self) -> int:
        """Of the record that is to be made, if one is: no sys_id is used twice."""
        link = self.known.link
        return link.generation + (link.linked and self.own is None) + self.passed_over


def grants_of(kind: ObjectType, assignments: Collection[Assignment], *, default_access: bool) -> set[str]:
    """The grants that a user's or group's own assignments give; a user's come through groups as well. A group that is
    assigned with Default Access only, where that does not entitle, passes on just that.
    """
    grants: set[str] = set()
    for assignment in assignments:
        role = f"role:{assignment.role_id}"
        if kind == "user" and assignment.principal_type == "Group":
            entitling = entitles(role, default_access=default_access)
            grants.add(f"group:{assignment.principal_id}" if entitling else DEFAULT_GRANT)
        else:
            grants.add(role)
    return grants


async def observe(context: Context, plan: Plan, pendings: Sequence[Pending], kind: ObjectType) -> list[Seen]:
    """What is known of each pending object now, in the same order."""
    mapping = context.job.schema.mapping(kind)
    columns = (await context.target.dictionary())[mapping.table]
    links = await context.links.load([identity(pending.object) for pending in pendings])
    drafts = [_draft(pending, links[identity(pending.object)]) for pending in pendings]
    await _drop_void_grants(context, plan, drafts)
    await _confirm_losses(context, plan, drafts, kind)
    default_access = await context.default_access()
    for draft in drafts:
        draft.entitled = context.job.policy.everyone or _is_entitled(draft.grants, default_access=default_access)
    await _read_sources(context, drafts, kind, mapping)
    await _assess(context, plan, drafts, kind)
    await _ask_neighbours(context, drafts, kind, {draft.id: _uncertain(draft) for draft in drafts})
    await _read_records(context, drafts, mapping, columns)
    await _ask_neighbours(context, drafts, kind, {d.id: {hit["sys_id"] for hit in d.hits} for d in drafts})
    await _find_free_sys_ids(context, drafts, kind)
    await _find_rivals(context, drafts, kind)
    await _resolve(context, plan, drafts)
    await _choose_unique(context, plan, drafts, mapping)
    rights = await _rights(context, drafts, kind)
    return [_seen(context, draft, kind, rights) for draft in drafts]


def _draft(pending: Pending, known: Known) -> Draft:
    grants = set(known.link.grants)
    grants |= {grant for grant, given in pending.grants.items() if given}
    grants -= {grant for grant, given in pending.grants.items() if not given}
    return Draft(pending, known, grants, gone=pending.gone)


async def _drop_void_grants(context: Context, plan: Plan, drafts: Sequence[Draft]) -> None:
    """Who joined a group gets what the group gives now: it may have lost its own access, long ago or in this cycle."""
    if context.job.policy.everyone:
        return
    joined = {
        grant.removeprefix("group:")
        for draft in drafts
        for grant, given in draft.pending.grants.items()
        if given and grant.startswith("group:")
    }
    void = {f"group:{group}" for group in joined - await _giving(context, plan, joined)}
    for draft in drafts:
        draft.grants -= void


async def _giving(context: Context, plan: Plan, groups: Collection[str]) -> set[str]:
    """Those of the groups that give access themselves: as this cycle has decided, or else as is remembered."""
    if not groups:
        return set()
    decided = await plan.decisions([group_key(group) for group in groups])
    links = await context.links.load([("group", group) for group in groups])
    default_access = await context.default_access()
    return {
        group
        for group in groups
        if (
            confers(decided[group_key(group)].scope)
            if group_key(group) in decided
            else _is_entitled(links["group", group].link.grants, default_access=default_access)
        )
    }


async def _confirm_losses(context: Context, plan: Plan, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """A lost grant, and an absence from a list, are only candidates until the object's own assignments were read.

    What that read contradicts is looked at again in the next cycle: Graph's replicas may lag behind each other.
    """
    if context.job.policy.everyone:
        return
    default_access = await context.default_access()
    suspects = [
        d for d in drafts if d.gone is None and (d.pending.unproven or _lost_access(d, default_access=default_access))
    ]
    if not suspects:
        return
    answers = await context.source.grants(kind, [d.id for d in suspects])
    vanished = [d for d in suspects if answers.get(d.id) is None]
    await _tell_gone(context, vanished, kind)
    present = [d for d in suspects if d.gone is None]
    nested = await _nested(context, plan, [d.id for d in present], kind=kind)
    for draft in present:
        found = grants_of(kind, answers.get(draft.id) or (), default_access=default_access)
        found |= {f"group:{group}" for group in nested.get(draft.id, ())}
        lost = not _is_entitled(draft.grants, default_access=default_access)
        draft.recheck = lost and _is_entitled(found, default_access=default_access)
        draft.grants = found


async def _nested(context: Context, plan: Plan, users: Collection[str], *, kind: ObjectType) -> dict[str, set[str]]:
    """The groups that users belong to through groups within, as far as those groups give access themselves: a tree that
    is remembered is never a grant.
    """
    found = await context.nesting.groups_of(users) if kind == "user" else {}
    giving = await _giving(context, plan, {root for some in found.values() for root in some})
    return {user: some & giving for user, some in found.items()}


def _lost_access(draft: Draft, *, default_access: bool) -> bool:
    """Whether an object that was remembered as entitled, or has a record, has no grant left that entitles it."""
    link = draft.known.link
    had = link.record is not None or _is_entitled(link.grants, default_access=default_access)
    return had and not _is_entitled(draft.grants, default_access=default_access)


def _is_entitled(grants: Collection[str], *, default_access: bool) -> bool:
    return any(entitles(grant, default_access=default_access) for grant in grants)


async def _tell_gone(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """A user may still be restored; for a group it makes no difference, and asking takes one more permission."""
    if drafts:
        ids = [draft.id for draft in drafts]
        restorable = await context.source.deleted(kind, ids) if kind == "user" else frozenset(ids)
        for draft in drafts:
            draft.gone = "restorable" if draft.id in restorable else "permanent"


async def _read_sources(context: Context, drafts: Sequence[Draft], kind: ObjectType, mapping: ObjectMapping) -> None:
    """Reads the objects whose attributes the plan row does not hold. What delta reported wins over the read: another
    replica may not have it yet.
    """
    needs_manager = "manager" in mapping.source_properties
    leaving_reads = _leaving_reads(context, kind, mapping)
    to_read: list[Draft] = []
    for draft in drafts:
        if draft.gone is not None:
            continue
        link, attributes = draft.known.link, draft.pending.attributes
        if attributes is None:
            if not draft.entitled:
                draft.unread = not (leaving_reads and link.record)
            else:
                known = link.linked and link.enabled and not link.escrow
                draft.unread = known and not (draft.pending.refresh or draft.pending.unproven or mapping.reads_roles)
            if not draft.unread:
                to_read.append(draft)
        elif needs_manager and "manager" not in attributes:
            if link.linked:
                manager = {"id": link.manager} if link.manager else None
                draft.source = SourceObject(kind, draft.id, {**attributes, "manager": manager})
            else:
                to_read.append(draft)
        else:
            draft.source = SourceObject(kind, draft.id, attributes)
    if not to_read:
        return
    read = context.source.users if kind == "user" else context.source.groups
    found = await read([draft.id for draft in to_read])
    for draft in to_read:
        source = found.get(draft.id)
        if source is not None:
            draft.source = SourceObject(kind, draft.id, {**source.attributes, **(draft.pending.attributes or {})})
    await _explain_absence(context, [d for d in to_read if d.source is None], kind)


def _leaving_reads(context: Context, kind: ObjectType, mapping: ObjectMapping) -> bool:
    """Whether what becomes of somebody who is not entitled any more depends on more than that: on attributes that the
    mapping of the account's state reads, or on whether Entra has disabled somebody whom the job would leave as is.
    """
    ways = context.job.policy.departures
    told_apart = kind == "user" and ways.unassigned == "leave" and ways.disabled != "leave"
    return told_apart or any(len(each.attributes) > 1 for each in mapping.soft_delete)


async def _explain_absence(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """Absent from a list proves nothing: 404 on the object itself does."""
    if not drafts:
        return
    answers = await context.source.grants(kind, [d.id for d in drafts])
    await _tell_gone(context, [d for d in drafts if answers.get(d.id) is None], kind)
    for draft in drafts:
        if draft.gone is None:
            draft.assessment = Assessment(
                error=ObjectError(
                    "InternalError",
                    "Graph did not return this object in a list, yet it exists",
                    "it is tried again in the next cycle; report it if it stays",
                )
            )


async def _assess(context: Context, plan: Plan, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """Scope and mappings of every object that was read or is gone; one that was not read is as it was."""
    mapper = await context.mapper(kind)
    everyone, default_access = context.job.policy.everyone, await context.default_access()
    now = datetime.fromtimestamp(context.now(), UTC)
    read = {draft.id: (draft.source, draft.grants) for draft in drafts if draft.source is not None and not draft.gone}
    facts = await facts_of(context, plan, kind, read)
    for draft in drafts:
        if draft.gone is not None:
            draft.assessment = assess_gone(mapper, draft.grants, now, everyone=everyone, default_access=default_access)
        elif draft.source is not None:
            draft.facts = facts[draft.id]
            draft.assessment = _searchable(
                context,
                assess(mapper, draft.facts, draft.grants, now, everyone=everyone, default_access=default_access),
            )
        elif draft.unread:
            active = Facts(SourceObject(kind, draft.id, {}))
            checks = unfiltered_checks(active, draft.grants, everyone=everyone, default_access=default_access)
            gone = assess_gone(mapper, draft.grants, now, everyone=everyone, default_access=default_access)
            draft.assessment = Assessment(
                checks,
                leaving=gone.leaving,
                error=None if draft.entitled or not draft.known.link.record else gone.error,
            )


def _searchable(context: Context, assessment: Assessment) -> Assessment:
    """A key that cannot be searched for is an error of its object."""
    for key in assessment.desired.keys if assessment.desired is not None else ():
        for _, value in key.parts:
            if (reason := context.target.refusal(value)) is not None:
                way_out = "change the source value, or match on another attribute"
                return Assessment(assessment.checks, error=ObjectError("InvalidAttributeValue", reason, way_out))
    return assessment


async def _read_records(context: Context, drafts: Sequence[Draft], mapping: ObjectMapping, columns: Columns) -> None:
    needed = (*ACCOUNT_STATE, *ACCOUNT_FIELDS) if mapping.type == "user" else GROUP_FIELDS
    state = [name for name in needed if name in columns]
    preferred = [name for name, _ in mapping.preferred]
    mapped = [name for name in mapping.columns if name in columns]
    updated = [name for name in (UPDATED_BY, UPDATED_ON) if name in columns]
    fields = ["sys_id", *dict.fromkeys([*mapped, *state, *preferred, *updated])]
    linked = {d.known.link.sys_id: d for d in drafts if d.known.link.sys_id and not d.settled}
    if linked:
        records = await context.target.read(mapping.table, list(linked), fields)
        for sys_id, draft in linked.items():
            draft.own = records.get(sys_id)
    await _read_former(context, drafts, mapping, fields)
    for rank in range(len(mapping.matching)):
        await _search(context, drafts, mapping.table, fields, rank)
    await _search_begun(context, drafts, mapping, fields)


async def _read_former(
    context: Context, drafts: Sequence[Draft], mapping: ObjectMapping, fields: Sequence[str]
) -> None:
    """For who is out of scope and whose link a restart dropped: the record that it had, unless another object has it by
    now. Who is in scope is matched by a key.
    """
    left = {
        draft.known.link.former: draft
        for draft in drafts
        if draft.known.link.sys_id is None and draft.known.link.former and not in_scope(draft.assessment.checks)
    }
    if not left:
        return
    wanted = [former for former in left if former is not None]
    owners = await context.links.owners_by_record(mapping.type, wanted)
    records = await context.target.read(mapping.table, [former for former in wanted if former not in owners], fields)
    for former, draft in left.items():
        draft.own = records.get(former or "")


async def _search(context: Context, drafts: Sequence[Draft], table: str, fields: Sequence[str], rank: int) -> None:
    """The records that have an object's key of this rank, for those without a record so far."""
    seekers: dict[str, dict[str, list[tuple[Draft, Key]]]] = defaultdict(lambda: defaultdict(list))
    for draft in drafts:
        desired = draft.desired
        if draft.own is None and not draft.hits and desired is not None and rank < len(desired.keys):
            key = desired.keys[rank]
            field_, value = key.parts[0]
            seekers[field_][value].append((draft, key))
            draft.searched = rank + 1
    for field_, values in seekers.items():
        hits = await context.target.find(table, field_, list(values), fields)
        for value, sought in values.items():
            for draft, key in sought:
                draft.hits = resembling(key, hits.get(value, ()))


async def _search_begun(
    context: Context, drafts: Sequence[Draft], mapping: ObjectMapping, fields: Sequence[str]
) -> None:
    """For whom a run that broke off had begun to create, and who was renamed since: an instance that takes no sys_id of
    ours has the account under the key that was stored with the intent, and under a sys_id that nobody knows yet.
    """
    seekers: dict[str, dict[str, Draft]] = defaultdict(dict)
    for draft in drafts:
        link, desired = draft.known.link, draft.desired
        if draft.own is None and not draft.hits and desired is not None and desired.keys and _is_begun(link):
            former, parts = link.match_value or "", desired.keys[0].parts
            if len(parts) == 1 and former and former.casefold() not in {key.text.casefold() for key in desired.keys}:
                seekers[parts[0][0]][former] = draft
    for field_, drafts_by_key in seekers.items():
        hits = await context.target.find(mapping.table, field_, list(drafts_by_key), fields)
        owners = await context.links.owners_by_record(
            mapping.type, [h["sys_id"] for some in hits.values() for h in some]
        )
        for value, draft in drafts_by_key.items():
            exact = [hit for hit in hits.get(value, ()) if hit.get(field_) == value and hit["sys_id"] not in owners]
            if len(exact) == 1:
                draft.own = exact[0]
                draft.known = replace(draft.known, link=replace(draft.known.link, sys_id=exact[0]["sys_id"]))


def _is_begun(link: Link) -> bool:
    """Whether a record was to be made, and nobody knows whether it was."""
    return link.intended and link.origin is None


def _uncertain(draft: Draft) -> set[str]:
    """Records that are remembered and that another job may have by now. A record that is linked is asked about when it
    is compared with both sides: links are older than claims, or a claim may be lost.
    """
    link = draft.known.link
    own = link.sys_id if not link.linked or link.released or draft.pending.reconciles else None
    foreign = link.foreign.sys_id if link.foreign is not None else None
    return {each for each in (own, foreign, link.former) if each}


async def _ask_neighbours(
    context: Context, drafts: Sequence[Draft], kind: ObjectType, asked: Mapping[str, Collection[str]]
) -> None:
    """Which of the records that an object may be about are another job's; `asked` by the objects' ids."""
    held = await context.records.holders(kind, {sys_id for some in asked.values() for sys_id in some})
    for draft in drafts:
        draft.neighbours |= {sys_id: held[sys_id].job for sys_id in asked[draft.id] if sys_id in held}


async def _find_free_sys_ids(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """The id that we would choose for a new record is the one that another job has chosen for the same person: it is
    being made at this moment, or it is another account of that person, under another key.
    """
    makers = [d for d in drafts if d.desired is not None and d.own is None and not d.hits]
    while makers:
        chosen = {draft.id: chosen_sys_id(context.job.tenant, kind, draft.id, draft.generation) for draft in makers}
        held = await context.records.holders(kind, chosen.values())
        others: list[Draft] = []
        for draft in makers:
            holder, desired = held.get(chosen[draft.id]), draft.desired
            if holder is None or desired is None:
                continue
            if is_the_same(holder, chosen[draft.id], [key.text for key in desired.keys]):
                draft.neighbours[chosen[draft.id]] = holder.job
            else:
                draft.passed_over += 1
                others.append(draft)
        makers = others


async def _find_rivals(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """Another source object that already holds a key or the record that this one would take."""
    seekers = [d for d in drafts if d.desired is not None and (d.own is None or not d.known.link.linked)]
    if not seekers:
        return
    by_key = await context.links.owners_by_key(kind, {value for d in seekers for value in _sought(d)})
    by_record = await context.links.owners_by_record(kind, {hit["sys_id"] for d in seekers for hit in d.hits})
    first: dict[str, str] = {}
    for draft in seekers:
        draft.owners = {
            hit["sys_id"]: owner
            for hit in draft.hits
            if (owner := by_record.get(hit["sys_id"])) is not None and owner != draft.id
        }
        owners = [owner for value in _sought(draft) for owner in (by_key.get(value), first.get(value.casefold()))]
        draft.rival = next((owner for owner in owners if owner is not None and owner != draft.id), None)
        for value in _sought(draft):
            first.setdefault(value.casefold(), draft.id)


def _sought(draft: Draft) -> tuple[str, ...]:
    """The keys that were searched for; those of lower precedence than the one that found something say nothing."""
    return tuple(key.text for key in draft.desired.keys[: max(1, draft.searched)]) if draft.desired is not None else ()


async def _resolve(context: Context, plan: Plan, drafts: Sequence[Draft]) -> None:
    """Finds the records that references point to, by name or by the source user."""
    evaluated = [(draft, desired) for draft in drafts if (desired := draft.desired) is not None]
    references = {ref for _, desired in evaluated for refs in desired.references.values() for ref in refs}
    references |= {fallback for _, desired in evaluated for fallback in desired.fallbacks.values()}
    looked = await context.references.resolve(references) if references else Looked()
    wanted = {person for _, desired in evaluated for person in desired.people.values()}
    links = await context.links.load([("user", person) for person in wanted]) if wanted else {}
    unlinked = {person for person in wanted if links["user", person].link.reference is None}
    planned = await plan.planned([user_key(person) for person in unlinked]) if unlinked else set()
    people = {
        person: Person(
            person,
            links["user", person].link.reference,
            planned=user_key(person) in planned,
        )
        for person in wanted
    }
    for draft, desired in evaluated:
        draft.people = {person: people[person] for person in desired.people.values()}
        draft.looked = looked


async def _choose_unique(context: Context, plan: Plan, drafts: Sequence[Draft], mapping: ObjectMapping) -> None:
    """A value that is free for each object whose record is still to get one."""
    wanted: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    own: dict[str, Record] = {}
    for draft in drafts:
        desired = draft.desired
        if desired is None or not desired.unique:
            continue
        record = draft.own or _found(draft, desired, mapping)
        unique = desired.unique if record is None else desired.for_update(record).unique
        for column, candidates in unique.items():
            wanted[column][draft.id] = candidates
        if record is not None:
            own[draft.id] = record
    by_id = {draft.id: draft for draft in drafts}
    for column, offered in wanted.items():
        for source_id, value in (await choose_unique(context, plan, mapping, column, offered, own)).items():
            by_id[source_id].chosen[column] = value


def _found(draft: Draft, desired: Desired, mapping: ObjectMapping) -> Record | None:
    """The record that deciding will take for the object's own; where it takes none, it writes nothing either."""
    try:
        chosen = choose_match(desired.keys[max(draft.searched, 1) - 1], draft.hits, mapping.preferred)
    except ObjectError:
        return None
    return chosen.record if chosen is not None else None


async def _rights(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> Rights:
    """What tells which of the records that were found are protected; asked for only where there are any."""
    found = {record["sys_id"] for d in drafts for record in ((d.own, *d.hits) if d.own is not None else d.hits)}
    if not found:
        return Rights()
    return await (context.rights.of_accounts() if kind == "user" else context.rights.of_groups(found))


def _seen(context: Context, draft: Draft, kind: ObjectType, rights: Rights) -> Seen:
    link = draft.known.link
    return Seen(
        key=draft.pending.object,
        link=link,
        grants=tuple(sorted(draft.grants)),
        link_etag=draft.known.etag,
        source=draft.source,
        unread=draft.unread,
        gone="restorable" if draft.gone == "restorable" else "permanent" if draft.gone else None,
        assessment=draft.assessment,
        own=draft.own,
        searched=draft.searched,
        hits=draft.hits,
        owners=draft.owners,
        rival=draft.rival,
        neighbours=draft.neighbours,
        candidate_sys_id=chosen_sys_id(context.job.tenant, kind, draft.id, draft.generation),
        candidate_generation=draft.generation,
        looked=draft.looked,
        people=draft.people,
        chosen=draft.chosen,
        recheck=draft.recheck,
        rights=rights,
        reconciling=draft.pending.reconciles,
    )
