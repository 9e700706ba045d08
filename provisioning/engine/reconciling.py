"""The steps that look for what others changed in ServiceNow: the records that were updated since the last cycle, at the
cost of those, and a few bins of everything that is managed, compared with both sides. They only stage; what becomes of
a difference is decided as always.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from provisioning.engine.context import Context
from provisioning.engine.keys import BINS, bin_of
from provisioning.engine.plan import home_lane
from provisioning.engine.progress import Compare, ReadChanges, StepResult
from provisioning.engine.work import Work
from provisioning.errors import ConfigError, Unauthorized
from provisioning.model import Link, ObjectType, Pending, Record, group_key, user_key
from provisioning.rules.drift import UPDATED_BY, UPDATED_ON, drift_of_record

logger = logging.getLogger(__name__)

OVERLAP = 900.0
"""Seconds that are read twice: the clocks of both sides differ, and a record may become visible late."""


async def read_changes(work: Work, step: ReadChanges) -> StepResult:
    """Stages the managed records in which others have changed what we wrote, once for each change.

    An instance that does not let us read when a record was updated is no reason to stop a cycle: the operators' log
    and the cycle's counters say so, and only the comparison of everything finds changes then.
    """
    context = work.context
    deadline = context.now() + context.time_box
    cursor = step.after
    try:
        fields = await compared_fields(context, step.type_)
        table = context.job.schema.mapping(step.type_).table
        while True:
            page = await context.target.changed_since(table, step.since - OVERLAP, fields, cursor)
            work.tally.count("changed in ServiceNow", len(page.rows))
            await _stage_changed(work, step.type_, page.rows)
            if page.next is None:
                if step.type_ == "group" and context.job.schema.group.owned:
                    await _stage_changed_members(work, step.since)
                return work.tally.result()
            cursor = page.next
            if context.now() >= deadline:
                return msgspec.structs.replace(
                    work.tally.result(), follow_up=msgspec.structs.replace(step, after=cursor)
                )
    except (Unauthorized, ConfigError) as error:
        code = error.code if isinstance(error, Unauthorized) else "ConfigError"
        logger.warning("changes by others cannot be read", extra={"job": context.job.id, "code": code})
        work.tally.count("changes unread")
        return work.tally.result()


async def compared_fields(context: Context, kind: ObjectType) -> tuple[str, ...]:
    """The columns in which a record can drift, and those that say who updated it and when."""
    mapping = context.job.schema.mapping(kind)
    columns = (await context.target.dictionary())[mapping.table]
    wanted = (*mapping.columns, "active", "locked_out", UPDATED_BY, UPDATED_ON)
    return tuple(dict.fromkeys(name for name in wanted if name in columns))


async def linked_records(context: Context, kind: ObjectType, rows: Sequence[Record]) -> list[tuple[Link, Record]]:
    """Those of the records that are linked to an object of this job."""
    owners = await context.links.owners_by_record(kind, [row["sys_id"] for row in rows]) if rows else {}
    known = await context.links.load([(kind, owner) for owner in owners.values()]) if owners else {}
    pairs = [(known[kind, owners[row["sys_id"]]].link, row) for row in rows if row["sys_id"] in owners]
    return [(link, row) for link, row in pairs if link.linked and link.sys_id == row["sys_id"]]


async def _stage_changed(work: Work, kind: ObjectType, rows: Sequence[Record]) -> None:
    mapping, policy = work.context.job.schema.mapping(kind), work.context.job.policy.drift
    staged = []
    for link, row in await linked_records(work.context, kind, rows):
        found = drift_of_record(mapping, link, row, policy)
        left = {each.column: each.theirs for each in found if each.left}
        if left != link.drifted or any(not each.left for each in found):
            key = _key(link)
            staged.append(Pending(key, home_lane(key), refresh=True, reconciles=True))
    work.tally.add_staged(await work.plan.stage(staged))


async def _stage_changed_members(work: Work, since: float) -> None:
    """Owned groups to which others have added somebody."""
    context, cursor = work.context, ""
    while True:
        page = await context.target.changed_since("sys_user_grmember", since - OVERLAP, ("group",), cursor)
        groups = {row["group"] for row in page.rows if row.get("group")}
        owners = await context.links.owners_by_record("group", groups) if groups else {}
        staged = [
            Pending(group_key(owner), "groups", refresh=True, expand=True, reconciles=True)
            for owner in dict.fromkeys(owners.values())
        ]
        work.tally.add_staged(await work.plan.stage(staged))
        if page.next is None:
            return
        cursor = page.next


async def compare_bins(work: Work, step: Compare) -> StepResult:
    """Stages the objects of some bins that have a record, for an evaluation with all reads; a group with its members.
    What fails has a time of its own.
    """
    context = work.context
    nibble, after = step.nibble or step.first[0], step.after
    links = await context.links.page(step.type_, nibble, after)
    chosen = [link for link in links if link.linked and step.first <= bin_of(_key(link)) <= step.last]
    chosen = [link for link in chosen if link.escrow is None]
    staged = [
        Pending(
            _key(link), home_lane(_key(link)), refresh=True, unproven=True, expand=link.type == "group", reconciles=True
        )
        for link in chosen
    ]
    work.tally.count("compared", len(staged))
    work.tally.add_staged(await work.plan.stage(staged))
    if links:
        return _going_on(work, step, nibble, links[-1].id)
    following = f"{int(nibble, 16) + 1:x}"
    if nibble < step.last[0]:
        return _going_on(work, step, following, "")
    return work.tally.result()


def _going_on(work: Work, step: Compare, nibble: str, after: str) -> StepResult:
    follow_up = msgspec.structs.replace(step, nibble=nibble, after=after)
    return msgspec.structs.replace(work.tally.result(), follow_up=follow_up)


def _key(link: Link) -> str:
    return user_key(link.id) if link.type == "user" else group_key(link.id)


def bins_of(first: int, behind: int) -> tuple[str, str] | None:
    """The names of the first and the last of some bins."""
    return (BINS[first], BINS[behind - 1]) if behind > first else None
