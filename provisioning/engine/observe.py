"""Gathers, for a chunk of plan rows of users or groups, everything that `rules.decide` needs from both sides.

Reads only. The number of requests grows with the chunk divided by the batch sizes of Graph and ServiceNow.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from provisioning.engine.context import Context
from provisioning.engine.keys import chosen_sys_id, identity
from provisioning.engine.links import Known
from provisioning.engine.plan import Plan
from provisioning.errors import ObjectError
from provisioning.model import Assignment, ObjectType, Pending, Record, SourceObject, user_key
from provisioning.rules.decide import Person, Seen
from provisioning.rules.mapping import Columns, Desired, evaluate
from provisioning.schema import ObjectMapping

ACCOUNT_STATE = ("active", "locked_out")


@dataclass(slots=True)
class Draft:
    """One object while it is being observed."""

    pending: Pending
    known: Known
    grants: set[str]
    source: SourceObject | None = None
    unread: bool = False
    gone: str | None = None
    desired: Desired | None = None
    error: ObjectError | None = None
    own: Record | None = None
    hits: tuple[Record, ...] = ()
    rival: str | None = None
    recheck: bool = False
    people: dict[str, Person] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.known.link.id

    @property
    def settled(self) -> bool:
        """True when only the grants changed and some are left: nothing has to be read for that."""
        return self.unread and bool(self.grants)

    @property
    def evaluated(self) -> bool:
        """True when the object is to be provisioned as far as was seen: it exists, is granted and was read."""
        return self.gone is None and self.source is not None and self.desired is not None


def grants_of(kind: ObjectType, assignments: Collection[Assignment]) -> set[str]:
    """The grants that a user's or group's own assignments give; a user's come through groups as well."""
    return {
        f"group:{a.principal_id}" if kind == "user" and a.principal_type == "Group" else f"role:{a.role_id}"
        for a in assignments
    }


async def observe(context: Context, plan: Plan, pendings: Sequence[Pending], kind: ObjectType) -> list[Seen]:
    """What is known of each pending object now, in the same order."""
    mapping = context.job.schema.mapping(kind)
    columns = (await context.target.dictionary())[mapping.table]
    links = await context.links.load([identity(pending.object) for pending in pendings])
    drafts = [_draft(pending, links[identity(pending.object)]) for pending in pendings]
    await _confirm_losses(context, drafts, kind)
    await _read_sources(context, drafts, kind, mapping)
    for draft in drafts:
        _evaluate(context, draft, mapping, columns)
    await _read_records(context, drafts, mapping, columns)
    await _find_rivals(context, drafts, kind)
    await _resolve(context, plan, drafts)
    return [_seen(context, draft, kind) for draft in drafts]


def _draft(pending: Pending, known: Known) -> Draft:
    grants = set(known.link.grants)
    grants |= {grant for grant, given in pending.grants.items() if given}
    grants -= {grant for grant, given in pending.grants.items() if not given}
    return Draft(pending, known, grants, gone=pending.gone)


async def _confirm_losses(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """A lost grant, and an absence from a list, are only candidates until the object's own assignments were read.

    What that read contradicts is looked at again in the next cycle: Graph's replicas may lag behind each other.
    """
    if context.job.policy.everyone:
        return
    suspects = [d for d in drafts if d.gone is None and (d.pending.unproven or (_remembered(d) and not d.grants))]
    if not suspects:
        return
    answers = await context.source.grants(kind, [d.id for d in suspects])
    vanished = [d for d in suspects if answers.get(d.id) is None]
    await _tell_gone(context, vanished, kind)
    for draft in suspects:
        assignments = answers.get(draft.id)
        if assignments is not None:
            found = grants_of(kind, assignments)
            draft.recheck = bool(found) and not draft.grants
            draft.grants = found


def _remembered(draft: Draft) -> bool:
    link = draft.known.link
    return bool(link.grants) or link.sys_id is not None


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
    to_read: list[Draft] = []
    for draft in drafts:
        if draft.gone is not None:
            continue
        link, attributes = draft.known.link, draft.pending.attributes
        if attributes is None:
            if not (draft.grants or context.job.policy.everyone):
                draft.unread = True
            elif draft.pending.refresh or draft.pending.unproven or not (link.linked and link.enabled) or link.escrow:
                to_read.append(draft)
            else:
                draft.unread = True
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


async def _explain_absence(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """Absent from a list proves nothing: 404 on the object itself does."""
    if not drafts:
        return
    answers = await context.source.grants(kind, [d.id for d in drafts])
    await _tell_gone(context, [d for d in drafts if answers.get(d.id) is None], kind)
    for draft in drafts:
        if draft.gone is None:
            draft.error = ObjectError(
                "InternalError",
                "Graph did not return this object in a list, yet it exists",
                "it is tried again in the next cycle; report it if it stays",
            )


def _evaluate(context: Context, draft: Draft, mapping: ObjectMapping, columns: Columns) -> None:
    if draft.gone is not None or draft.source is None:
        return
    try:
        desired = evaluate(draft.source, mapping, columns)
    except ObjectError as error:
        draft.error = error
        return
    reason = context.target.refusal(desired.match_value)
    if reason is None:
        draft.desired = desired
    else:
        way_out = "change the source value, or match on another attribute"
        draft.error = ObjectError("InvalidAttributeValue", reason, way_out)


async def _read_records(context: Context, drafts: Sequence[Draft], mapping: ObjectMapping, columns: Columns) -> None:
    state = [name for name in ACCOUNT_STATE if name in columns] if mapping.type == "user" else []
    fields = ["sys_id", *dict.fromkeys([*mapping.columns, *state])]
    linked = {d.known.link.sys_id: d for d in drafts if d.known.link.sys_id and not d.settled}
    if linked:
        records = await context.target.read(mapping.table, list(linked), fields)
        for sys_id, draft in linked.items():
            draft.own = records.get(sys_id)
    key = mapping.matching.target
    searched: dict[str, list[Draft]] = {}
    for draft in drafts:
        if draft.own is None and draft.desired is not None and draft.gone is None:
            searched.setdefault(draft.desired.match_value, []).append(draft)
    if searched:
        hits = await context.target.find(mapping.table, key, list(searched), fields)
        for value, seekers in searched.items():
            for draft in seekers:
                draft.hits = hits.get(value, ())


async def _find_rivals(context: Context, drafts: Sequence[Draft], kind: ObjectType) -> None:
    """Another source object that already holds the key or the record that this one would take."""
    seekers = [d for d in drafts if d.evaluated and d.desired and (d.own is None or not d.known.link.linked)]
    if not seekers:
        return
    by_key = await context.links.owners_by_key(kind, {d.desired.match_value for d in seekers if d.desired})
    by_record = await context.links.owners_by_record(kind, {hit["sys_id"] for d in seekers for hit in d.hits})
    first: dict[str, str] = {}
    for draft in seekers:
        value = draft.desired.match_value if draft.desired else ""
        owners = [by_key.get(value), *(by_record.get(hit["sys_id"]) for hit in draft.hits)]
        owners.append(first.setdefault(value.casefold(), draft.id))
        draft.rival = next((owner for owner in owners if owner is not None and owner != draft.id), None)


async def _resolve(context: Context, plan: Plan, drafts: Sequence[Draft]) -> None:
    evaluated = [draft for draft in drafts if draft.evaluated]
    references = {ref for d in evaluated if d.desired for ref in d.desired.references.values()}
    named = await context.references.resolve(references) if references else {}
    wanted = {person for d in evaluated if d.desired for person in d.desired.people.values()}
    links = await context.links.load([("user", person) for person in wanted]) if wanted else {}
    unlinked = {person for person in wanted if not links["user", person].link.linked}
    planned = await plan.planned([user_key(person) for person in unlinked]) if unlinked else set()
    people = {
        person: Person(
            person,
            links["user", person].link.sys_id if person not in unlinked else None,
            planned=user_key(person) in planned,
        )
        for person in wanted
    }
    for draft in evaluated:
        if draft.desired is not None:
            draft.people = {person: people[person] for person in draft.desired.people.values()}
            draft.resolved = {
                column: sys_id
                for column, reference in draft.desired.references.items()
                if (sys_id := named[reference]) is not None
            }


def _seen(context: Context, draft: Draft, kind: ObjectType) -> Seen:
    link = draft.known.link
    generation = link.generation
    if link.linked and draft.own is None:
        generation += 1  # the record was deleted by others; its sys_id is not used twice
    return Seen(
        key=draft.pending.object,
        link=link,
        grants=tuple(sorted(draft.grants)),
        link_etag=draft.known.etag,
        source=draft.source,
        unread=draft.unread,
        gone="restorable" if draft.gone == "restorable" else "permanent" if draft.gone else None,
        desired=draft.desired,
        error=draft.error,
        own=draft.own,
        hits=draft.hits,
        rival=draft.rival,
        candidate_sys_id=chosen_sys_id(context.job.tenant, kind, draft.id, generation),
        candidate_generation=generation,
        resolved=draft.resolved,
        people=draft.people,
        recheck=draft.recheck,
    )
