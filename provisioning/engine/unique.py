"""Chooses a free value for each object that SelectUniqueValue offers several: free in ServiceNow, and in this plan. A
chosen value is reserved in the state, so that two steps that decide side by side never choose the same one.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.engine.context import Context
from provisioning.engine.keys import digest
from provisioning.engine.links import KEY
from provisioning.engine.plan import CYCLE_PLAN, Plan
from provisioning.errors import RowConflict
from provisioning.model import ObjectType, Record, group_key, user_key
from provisioning.rows import Insert, Operation, Replace
from provisioning.rules.comparison import loose
from provisioning.schema import ObjectMapping

FRESH = 900.0
"""Seconds for which a reservation holds whatever became of its holder."""


async def choose_unique(
    context: Context,
    plan: Plan,
    mapping: ObjectMapping,
    column: str,
    candidates: Mapping[str, tuple[str, ...]],
    own: Mapping[str, Record],
) -> dict[str, str]:
    """The value of each source id; one whose candidates are all taken is absent. `own` are the records that objects
    have already: a value that one of them holds stays what it is.
    """
    wanted = {value for values in candidates.values() for value in values if context.target.refusal(value) is None}
    found = await context.target.find(mapping.table, column, wanted, ["sys_id", column]) if wanted else {}
    chosen: dict[str, str] = {}
    for source_id, values in candidates.items():
        record = own.get(source_id, {})
        present = record.get(column, "")
        if present in values:
            chosen[source_id] = present
            continue
        for value in values:
            others = [hit for hit in found.get(value, ()) if hit["sys_id"] != record.get("sys_id")]
            if value in wanted and not others and await _reserve(context, plan, mapping.type, column, value, source_id):
                chosen[source_id] = value
                break
    return chosen


async def _reserve(context: Context, plan: Plan, kind: ObjectType, column: str, value: str, source_id: str) -> bool:
    """Whether the value is now this object's. An old reservation is given up by a holder that is neither in a plan
    nor has written the value.
    """
    partition = f"{context.job.id}|unique|{kind}"
    key = digest(column, loose(value))[:40]
    now = context.now()
    data = {"id": source_id, "column": column, "at": now}
    while True:
        row = await context.store.get(KEY, partition, key)
        if row is not None and row.data["id"] == source_id:
            return True
        if row is not None:
            fresh = now - float(row.data["at"]) < FRESH  # another run, with a plan of its own, may be about to write it
            if fresh or await _holds(context, plan, kind, str(row.data["id"]), column, value):
                return False
        operation: Operation = Insert(key, data) if row is None else Replace(key, data, row.etag)
        try:
            await context.store.commit(KEY, partition, [operation])
        except RowConflict:
            continue  # somebody was faster, or the reply was lost: the row tells
        return True


async def _holds(context: Context, plan: Plan, kind: ObjectType, holder: str, column: str, value: str) -> bool:
    link = (await context.links.load([(kind, holder)]))[kind, holder].link
    if loose(link.written.get(column, "")) == loose(value) or link.intended:
        return True
    key = user_key(holder) if kind == "user" else group_key(holder)
    return bool(await plan.pending([key]) or await context.plan(CYCLE_PLAN).pending([key]))
