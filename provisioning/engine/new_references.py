"""Creates the records that references of a batch need and that do not exist: each once, under a sys_id that follows
from what it is, so that a repeat or another worker meets it; never more in a cycle than the job allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from provisioning.engine.batching import Ready
from provisioning.engine.jobs import CYCLE
from provisioning.engine.keys import chosen_sys_id
from provisioning.engine.work import Work
from provisioning.errors import RowConflict
from provisioning.model import Create, Decision, InsertRecord, Missing, NewReference, Update, Written
from provisioning.rows import Insert, Operation, Replace
from provisioning.rules.mapping import Reference


async def create_references(work: Work, ready: Sequence[Ready]) -> list[Ready]:
    """The rows with what was created filled in; what could not be created is left open and looked for again."""
    wanted = {_reference(each) for one in ready for each in one.decision.creates}
    if not wanted:
        return list(ready)
    made = dict((await work.context.references.resolve(wanted)).found)  # somebody may have been faster
    open_ = sorted(wanted - made.keys(), key=lambda each: (each.place, each.value))
    allowed = await _reserve(work, len(open_))
    limit = work.context.job.policy.create_limit
    refused = dict.fromkeys(open_[allowed:], f"the limit of {limit} records in a cycle is reached")
    for reference in open_[:allowed]:
        outcome = await _create(work, reference)
        if isinstance(outcome, str):
            made[reference] = outcome
            work.context.references.learn(reference, outcome)
            work.tally.count("references.created")
        else:
            refused[reference] = outcome[0]
    return [replace_decision(each, _filled(each.decision, made, refused)) for each in ready]


def replace_decision(ready: Ready, decision: Decision) -> Ready:
    return Ready(ready.row, decision, ready.link, ready.etag)


def _reference(each: NewReference) -> Reference:
    return Reference(each.table, each.value, each.column)


async def _create(work: Work, reference: Reference) -> str | tuple[str]:
    """Its sys_id, or in a tuple why it was not created."""
    context = work.context
    column = reference.column or await context.target.display_column(reference.table)
    sys_id = chosen_sys_id(context.job.tenant, reference.table, f"{column}={reference.value}", 0)
    write = InsertRecord("reference", reference.table, sys_id, {column: reference.value})
    outcome = (await context.target.write([write]))[write.key]
    if not isinstance(outcome, Written):
        return ("it could not be created: " + getattr(outcome, "message", getattr(outcome, "reason", "")),)
    stored = outcome.record.get(column, reference.value)
    if stored != reference.value:
        return (f"it was created with another value, {len(stored)} of {len(reference.value)} characters",)
    return outcome.record.get("sys_id", sys_id)


def _filled(decision: Decision, made: Mapping[Reference, str], refused: Mapping[Reference, str]) -> Decision:
    fields: dict[str, str] = {}
    missing: list[Missing] = []
    warnings = list(decision.warnings)
    action = decision.action
    for each in decision.creates:
        reference = _reference(each)
        if reference in made:
            before = action.fields.get(each.attribute, "") if isinstance(action, Create | Update) else ""
            known = fields.get(each.attribute, before)
            fields[each.attribute] = f"{known},{made[reference]}" if known else made[reference]
        else:
            missing.append(Missing(each.attribute, each.value, reference.place))
            warnings.append(f"{each.attribute} refers to a record of {reference.place}: {refused[reference]}")
    if isinstance(action, Create | Update) and fields:
        action = replace(action, fields={**action.fields, **fields})
    return replace(decision, action=action, creates=(), missing=(*decision.missing, *missing), warnings=tuple(warnings))


async def _reserve(work: Work, number: int) -> int:
    """How many of so many records may still be created in this cycle; they count as created from now on."""
    if not number:
        return 0
    store, partition, key = work.context.store, f"{work.context.job.id}|{work.origin.cycle}", "references"
    while True:
        row = await store.get(CYCLE, partition, key)
        used = int(row.data["created"]) if row else 0
        allowed = max(0, min(number, work.context.job.policy.create_limit - used))
        if not allowed:
            return 0
        data = {"created": used + allowed}
        operation: Operation = Replace(key, data, row.etag) if row else Insert(key, data)
        try:
            await store.commit(CYCLE, partition, [operation])
        except RowConflict:
            continue
        return allowed
