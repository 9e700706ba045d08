"""Brings back to mind what the job has forgotten because it was settled, after the instance was set back to a time
before it: memberships that were ended and records that were deleted are there again, and nothing else leads to them.

The log tells which they were. Only rows and records with the very sys_ids that we had deleted count: what somebody made
anew is others'. Nothing is written to ServiceNow here, and nothing is staged: a restarted job looks at all that it
remembers, proves each and decides it as always.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from provisioning.engine.context import Context
from provisioning.engine.journal import KINDS
from provisioning.engine.keys import ends, identity
from provisioning.model import MEMBERSHIPS, Edge, Link, ObjectType
from provisioning.rules.log_query import Condition, LogQuery

MARGIN = 3600.0
"""Seconds by which the clocks of both sides may differ."""
EVERYTHING = 10**9
DONE = frozenset({"success", "warning"})


async def recall(context: Context, since: str) -> None:
    """`since` is a time before all that is lost, as ServiceNow writes times; "" for the whole log."""
    last = await _last_writes(context, since)
    members = {key: found for key, found in last.items() if key.startswith("member:")}
    rows = [sys_id for _, sys_id in members.values()]
    present = await context.target.read(MEMBERSHIPS, rows, ("sys_id",)) if rows else {}
    await _recall_memberships(context, members, frozenset(present))
    kinds: tuple[ObjectType, ...] = ("user", "group")
    for kind in kinds:
        deleted = {
            key: sys_id for key, (action, sys_id) in last.items() if action == "delete" and key.startswith(f"{kind}:")
        }
        table = context.job.schema.mapping(kind).table
        found = await context.target.read(table, list(deleted.values()), ("sys_id",)) if deleted else {}
        await _recall_records(context, {key: sys_id for key, sys_id in deleted.items() if sys_id in found})


async def _last_writes(context: Context, since: str) -> dict[str, tuple[str, str]]:
    """What was last done to each object since then, of creations and deletions, with the sys_id."""
    conditions: tuple[Condition, ...] = ()
    if since:
        moment = datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp()
        conditions = (Condition("activityDateTime", "ge", round((moment - MARGIN) * 1000)),)
    last: dict[str, tuple[str, str]] = {}
    async with aclosing(context.journal.entries(LogQuery(conditions, top=EVERYTHING))) as entries:
        async for entry in entries:
            if _is_done(entry):
                source, target = entry["sourceIdentity"], entry["targetIdentity"]
                key = f"{KINDS[source['identityType']]}:{source['id']}"
                last.setdefault(key, (entry["provisioningAction"], target["id"]))
    return last


def _is_done(entry: Mapping[str, Any]) -> bool:
    done = entry["provisioningStatusInfo"]["status"] in DONE
    return done and entry["provisioningAction"] in {"create", "delete"} and bool(entry["targetIdentity"]["id"])


async def _recall_memberships(context: Context, last: Mapping[str, tuple[str, str]], present: frozenset[str]) -> None:
    """One that was ended is ours again, until it is proved that it has ended. Of one that was made, the row was not
    taken away by others.
    """
    edges = await context.edges.load([ends(key) for key in last]) if last else {}
    saved = []
    for key, (action, sys_id) in last.items():
        group, member = ends(key)
        edge = edges.get((group, member)) or Edge(group, member)
        if action == "delete" and sys_id in present and edge.sys_id is None:
            saved.append(replace(edge, sys_id=sys_id, origin="created"))
        elif action == "create" and sys_id not in present and edge.sys_id == sys_id:
            saved.append(replace(edge, sys_id=None, origin=None, drifted=False))
    await context.edges.save(saved)


async def _recall_records(context: Context, deleted: Mapping[str, str]) -> None:
    known = await context.links.load([identity(key) for key in deleted]) if deleted else {}
    for key, sys_id in deleted.items():
        link, etag = known[identity(key)].link, known[identity(key)].etag
        if link.sys_id is not None:
            continue
        again = replace(_before(link), sys_id=sys_id, intended=False, origin="created")
        (holder,) = await context.links.claim([Link(link.type, link.id, sys_id=sys_id)])
        if holder is None:
            await context.links.save([(again, etag)])


def _before(link: Link) -> Link:
    """With the generation that the deleted record had."""
    return replace(link, generation=max(0, link.generation - 1))
