"""Carries out the decisions of a range of the plan: intent, ServiceNow, link, journal, plan row, in this order.

Decisions that are old, or whose link changed since, are made again first; one that does harm and that the review has
not let through as it is now is left to it. The job's lease is renewed before each
batch; a worker that lost it sends nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from provisioning.engine.batching import Ready, run_batches
from provisioning.engine.circles import holder_of_name, untangle
from provisioning.engine.deciding import decide_rows
from provisioning.engine.keys import identity
from provisioning.engine.links import Known
from provisioning.engine.new_references import create_references
from provisioning.engine.outcomes import Settled, in_place_of, with_keys
from provisioning.engine.plan import PlanRow
from provisioning.engine.progress import Act
from provisioning.engine.refusing import with_reasons, without_guarded
from provisioning.engine.settling import decide_again, settle
from provisioning.engine.work import Work
from provisioning.errors import RowConflict
from provisioning.model import (
    MEMBERSHIPS,
    Create,
    Decision,
    DeleteRecord,
    Disable,
    InsertRecord,
    Link,
    Missing,
    ObjectType,
    PatchRecord,
    Refused,
    Remove,
    Skip,
    Update,
    Write,
    WriteOutcome,
    Written,
    group_key,
    user_key,
)
from provisioning.rules.review import is_cleared

ACCOUNT = ("active", "locked_out")
HOLDS_ALL = "the record already holds every mapped value"


async def act_range(work: Work, step: Act, *, tick: float = 0.0) -> Act | None:
    """Works on up to a chunk of rows until the time box ends, or at `tick`, when who has left is to be looked for
    again; answers the step that goes on, if there are more.
    """
    now = work.context.now()
    deadline = min(now + work.context.time_box, tick if tick > now else math.inf)
    limit = work.context.job.pace.chunk
    rows = await work.plan.rows(step.lane, step.first, step.last, after=step.after, limit=limit)
    known = await _known(work, rows)
    adopted = await _awaiting_adopted(work, rows)
    stale = [row for row in rows if row.key in adopted or _is_stale(work, row, known)]
    fresh = [row for row in rows if row.key not in adopted and not _is_stale(work, row, known)]
    if stale:
        renewed = await decide_rows(work, stale)
        fresh = sorted([*fresh, *(row for row in renewed if row.pending.lane == step.lane)], key=lambda row: row.key)
        known = await _known(work, fresh)
    for row in fresh:
        if not is_cleared(row.pending):
            work.tally.add_decided(row.pending.lane, row.pending.object)
    fresh = [row for row in fresh if is_cleared(row.pending)]
    ready = await create_references(work, await _resolve_awaited(work, fresh, known, patient=step.patient))
    left = await run_batches(work, ready, step.slots, deadline, partial(_run_batch, patient=step.patient))
    if left:
        last = min(left)
        return replace(step, after=max((row.key for row in rows if row.key < last), default=step.after))
    return replace(step, after=rows[-1].key) if len(rows) == limit else None


def _is_stale(work: Work, row: PlanRow, known: Mapping[str, Known]) -> bool:
    pending = row.pending
    if pending.decision is None or work.context.now() - pending.decided_at > work.context.fresh:
        return True
    found = known.get(pending.object)
    return found is not None and found.etag != pending.link_etag


async def _awaiting_adopted(work: Work, rows: Sequence[PlanRow]) -> set[str]:
    """Memberships that were decided before their user or group was found in ServiceNow: those may exist already. What
    we created in this cycle has no memberships yet.
    """
    ends_of = {
        row.key: [_awaited(column, source_id) for column, source_id in row.pending.decision.awaits.items()]
        for row in rows
        if row.pending.decision is not None and row.pending.object.startswith("member:") and row.pending.decision.awaits
    }
    links = await work.context.links.load({end for ends in ends_of.values() for end in ends}) if ends_of else {}
    return {key for key, ends in ends_of.items() if all(_was_there(links[end].link) for end in ends)}


def _was_there(link: Link) -> bool:
    """Whether the record is one that we have found."""
    return link.reference is not None and (not link.linked or link.origin == "adopted")


def _awaited(column: str, source_id: str) -> tuple[ObjectType, str]:
    return ("group" if column == "group" else "user", source_id)


async def _known(work: Work, rows: Sequence[PlanRow]) -> dict[str, Known]:
    objects: dict[str, tuple[ObjectType, str]] = {
        row.pending.object: identity(row.pending.object) for row in rows if not row.pending.object.startswith("member:")
    }
    links = await work.context.links.load(list(objects.values()))
    return {key: links[obj] for key, obj in objects.items()}


async def _resolve_awaited(
    work: Work,
    rows: Sequence[PlanRow],
    known: Mapping[str, Known],
    *,
    patient: bool,
) -> list[Ready]:
    """Fills in references to objects that this plan creates. A row that still waits for one is left for the next wave;
    once no wave gets further (managers in a circle) it is written without, and the reference follows later.
    """
    awaited = {
        _awaited(column, source_id)
        for row in rows
        if row.pending.decision
        for column, source_id in row.pending.decision.awaits.items()
    }
    links = await work.context.links.load(awaited)
    pending = {obj for obj, found in links.items() if found.link.reference is None}
    keys = {obj: group_key(obj[1]) if obj[0] == "group" else user_key(obj[1]) for obj in pending}
    planned = await work.plan.planned(list(keys.values())) if pending and patient else set()
    ready: list[Ready] = []
    parked: list[Settled] = []
    for row in rows:
        decision = row.pending.decision
        if decision is None:
            continue
        fields: dict[str, str] = {}
        missing: list[Missing] = []
        deferred = False
        for column, source_id in decision.awaits.items():
            obj = _awaited(column, source_id)
            record = links[obj].link.reference
            if record is not None:
                fields[column] = record
            elif keys[obj] in planned:
                deferred = True
            else:
                missing.append(Missing(column, source_id))
        if deferred:
            work.tally.deferred += 1
            continue
        found = known.get(row.pending.object)
        link_now = found.link if found else None
        etag = found.etag if found else ""
        complete = _complete(decision, fields, missing)
        if missing and link_now is None:
            skip = Skip("UnableToResolveReferenceAttributeValue", "waits until both the user and the group exist")
            parked.append(Settled(row, replace(complete, action=skip), spent=row.pending.spent))
        elif isinstance(complete.action, Update) and not complete.action.fields and not complete.creates:
            text = "only a reference is open, and it cannot be written yet" if complete.missing else HOLDS_ALL
            skip = Skip("RedundantExport", text)
            waited = row.pending.spent
            parked.append(Settled(row, replace(complete, action=skip), None, link_now, etag, spent=waited))
        else:
            ready.append(Ready(row, complete, link_now, etag))
    await settle(work, parked)
    return ready


def _complete(decision: Decision, fields: Mapping[str, str], missing: Sequence[Missing]) -> Decision:
    action = decision.action
    if isinstance(action, Update):
        fields = {column: value for column, value in fields.items() if action.before.get(column) != value}
    if isinstance(action, Create | Update) and fields:
        action = replace(action, fields={**action.fields, **fields})
    return replace(decision, action=action, missing=(*decision.missing, *missing), awaits={})


async def _run_batch(work: Work, batch: Sequence[Ready], *, patient: bool) -> None:
    began = work.context.now()
    intended = await _intend(work, await without_guarded(work, batch))
    if not intended:
        return
    tables = {
        "user": work.context.job.schema.user.table,
        "group": work.context.job.schema.group.table,
        "member": MEMBERSHIPS,
    }

    async def write_all(some: Sequence[Ready]) -> Mapping[str, WriteOutcome]:
        """The outcome of each row."""
        writes = {each.row.key: _writes(each.decision, tables[each.decision.object.split(":", 1)[0]]) for each in some}
        outcomes = await work.context.target.write([write for group in writes.values() for write in group])
        return {key: _together([outcomes[write.key] for write in group]) for key, group in writes.items()}

    untangled = await untangle(work, intended, await write_all(intended), write_all)
    outcomes, alike = await with_reasons(work, intended, untangled)
    items = []
    for ready in intended:
        outcome = _effect(ready.decision, outcomes[ready.row.key])
        holder = await holder_of_name(work, ready, outcome)
        if patient and holder is not None and holder.may_give_it_up:
            work.tally.deferred += 1  # for the next wave, when the other one is through
            continue
        if holder is not None and holder.ours and isinstance(outcome, Refused):
            outcome = replace(outcome, transient=True)  # it passes when the other one has got another name
        same = ready.row.key in alike
        spent = ready.row.pending.spent + work.context.now() - began
        items.append(
            Settled(
                ready.row,
                ready.decision,
                outcome,
                ready.link,
                ready.etag,
                alike=same,
                spent=spent,
                claimed_at=ready.claimed_at,
            )
        )
    await settle(work, items)


def _writes(decision: Decision, table: str) -> list[Write]:
    """One write, except for a membership that ServiceNow holds several times: all its rows go, or it would last."""
    match decision.action:
        case Create(sys_id=sys_id, fields=fields):
            return [InsertRecord(decision.object, table, sys_id, fields)]
        case Update(sys_id, fields, before) | Disable(sys_id, fields, before):
            return [PatchRecord(decision.object, table, sys_id, fields, before)]
        case Remove(sys_id=sys_id):
            found = decision.match.sys_ids if table == MEMBERSHIPS and decision.match else ()
            rows = dict.fromkeys([sys_id, *found])
            return [DeleteRecord(f"{decision.object}#{number}", table, row) for number, row in enumerate(rows)]
        case action:
            raise TypeError(f"{type(action).__name__} is not written")


def _together(outcomes: Sequence[WriteOutcome]) -> WriteOutcome:
    """The outcome of an object's writes: carried out only when all of them were."""
    return next((outcome for outcome in outcomes if not isinstance(outcome, Written)), outcomes[0])


def _effect(decision: Decision, outcome: WriteOutcome) -> WriteOutcome:
    """A disablement that the instance accepted and dropped (a field ACL: 200, value unchanged) is a failure: the
    leaver is still in.
    """
    match decision.action, outcome:
        case Disable(fields=fields), Written(record=record):
            left = [name for name in ACCOUNT if name in fields and record.get(name, fields[name]) != fields[name]]
            if left:
                return Refused(
                    "InsufficientRights",
                    f"ServiceNow answered success and left {' and '.join(left)} as it was: the account is not disabled",
                    f"let the integration user write {' and '.join(left)} of sys_user (a field ACL forbids it)",
                )
    return outcome


async def _intend(work: Work, batch: Sequence[Ready]) -> list[Ready]:
    """Stores what is about to be done, on the condition that nobody touched the link since the decision.

    A create reserves its key and its sys_id first, and so does what another job may have taken over. What conflicts
    goes back to be observed and decided again.
    """
    people = [ready for ready in batch if ready.link is not None]
    intents = [_intent(ready) for ready in people]
    pairs = list(zip(people, intents, strict=True))
    new = [(ready, intent) for ready, intent in pairs if intent.intended or intent.released]
    at = work.context.now()
    holders = dict(zip((r.row.key for r, _ in new), await work.context.links.claim([i for _, i in new]), strict=True))
    clear = [(ready, intent) for ready, intent in pairs if not holders.get(ready.row.key)]
    results = await work.context.links.save([(intent, ready.etag) for ready, intent in clear])
    intended = [ready for ready in batch if ready.link is None]
    again = [ready.row for ready in people if holders.get(ready.row.key)]
    for (ready, intent), result in zip(clear, results, strict=True):
        if isinstance(result, RowConflict):
            again.append(ready.row)
            continue
        work.tally.count_managed(ready.link, intent)
        # While a link names another record, its claims of a new one may be taken over until the intent is stored.
        firm = ready.row.key in holders and not (ready.link is not None and ready.link.linked)
        intended.append(Ready(ready.row, ready.decision, intent, result, at if firm else None))
    await decide_again(work, again)
    return intended


def _intent(ready: Ready) -> Link:
    link, decision = ready.link or Link("user", ""), ready.decision
    match decision.action:
        case Create(sys_id=sys_id, generation=generation):
            return replace(with_keys(link, decision), sys_id=sys_id, generation=generation, intended=True)
        case Disable(sys_id=sys_id) | Update(sys_id=sys_id) | Remove(sys_id=sys_id) if _adopts(link, decision, sys_id):
            found = in_place_of(with_keys(link, decision), sys_id)
            disabling = isinstance(decision.action, Disable)
            return replace(found, sys_id=sys_id, origin="adopted", intended=True, disabling=disabling)
        case Disable():
            return replace(link, disabling=True)
        case _:
            return link


def _adopts(link: Link, decision: Decision, sys_id: str) -> bool:
    """Whether the write makes a record ours that was found by its key. What an interrupted run had begun to write is
    told by the link's own intent.
    """
    found = decision.match is not None and decision.match.how == "attribute"
    return link.sys_id != sys_id or (found and not link.linked)
