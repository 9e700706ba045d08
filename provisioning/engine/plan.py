"""The plan: durable rows of changes that were read and not yet settled, in lanes, one row an object.

A newer change of an object merges into its row, whatever lane it is in; a row goes only when its outcome is stored
elsewhere. This module knows rows and lanes, not what a change means for ServiceNow.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from provisioning.engine.keys import AFTER_ALL, BINS, NIBBLES, bin_of
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.errors import RowConflict, Unavailable
from provisioning.model import REMOVING, Decision, Lane, Pending, Update, membership_key
from provisioning.rows import Delete, Insert, Operation, Put, Replace, Row

TABLE = "plan"
CYCLE_PLAN = "cycle"
OBJECTS_AT_ONCE = 33  # an object may stand in three lanes at worst, and a transaction takes 100 rows
TRIES = 10

Bins = dict[str, dict[str, int]]
"""Rows by lane and bin."""


class PlanRow(Struct, frozen=True):
    pending: Pending
    partition: str
    key: str
    etag: str


def merge(old: Pending, new: Pending) -> Pending:
    """The row after a newer change of the same object: the newer tells the state, both together what happened."""
    gone = new.gone or (old.gone if new.attributes is None else None)
    attributes = None
    if gone is None and (old.attributes is not None or new.attributes is not None):
        attributes = {**(old.attributes or {}), **(new.attributes or {})}
    return replace(
        new,
        attributes=attributes,
        gone=gone,
        grants={**old.grants, **new.grants},
        refresh=old.refresh or new.refresh,
        unproven=_is_unproven(old, new),
        expand=old.expand or new.expand,
        reconciles=old.reconciles and new.reconciles,
        owned=old.owned or new.owned,
        hold=new.hold or old.hold,
        clearance=new.clearance or old.clearance,
        decision=None,
        decided_at=0.0,
        spent=0.0,
        link_etag="",
    )


def _is_unproven(old: Pending, new: Pending) -> bool:
    """A user or group is looked at again if either asks for it. Of a membership's end one proof is enough."""
    if not new.object.startswith("member:"):
        return old.unproven or new.unproven
    return new.withdrawn and new.unproven and (old.unproven or not old.withdrawn)


def unread(row: Pending) -> Pending | None:
    """What is left of a row when everything is read anew, which tells the state: of users and groups that they are to
    be decided and what people and tries have said of that, of memberships those that have ended.
    """
    if row.object.startswith("member:"):
        return row if row.withdrawn else None
    return Pending(row.object, row.lane, escrow=row.escrow, hold=row.hold, clearance=row.clearance)


class Plan:
    """The plan `name` of a job: `cycle` for its cycles, another name for each on-demand run."""

    def __init__(self, store: Store, job: str, name: str) -> None:
        self._store = store
        self._prefix = f"{job}|{name}"

    def _partition(self, bin_name: str) -> str:
        return f"{self._prefix}|{bin_name[0]}"

    async def stage(self, changes: Iterable[Pending], *, earlier: bool = False) -> Bins:
        """Stores changes, merged with what is pending of the same objects; answers the new rows by lane and bin. A bin
        whose rows all waited there to be decided before is named with 0: whoever staged them may not have told. With
        `earlier` they were read before what the plan holds, which then tells the state.

        Several steps may stage the same object at the same time: a conflict reads again and merges again.
        """
        merged: dict[str, Pending] = {}
        for change in changes:
            known = merged.get(change.object)
            merged[change.object] = merge(known, change) if known else change
        by_partition: dict[str, list[Pending]] = defaultdict(list)
        for change in merged.values():
            by_partition[self._partition(bin_of(change.object))].append(change)
        bins: Bins = {}
        for partition, group in by_partition.items():
            for start in range(0, len(group), OBJECTS_AT_ONCE):
                some = group[start : start + OBJECTS_AT_ONCE]
                for staged, is_new in await self._stage_some(partition, some, earlier=earlier):
                    counts, name = bins.setdefault(staged.lane, {}), bin_of(staged.object)
                    counts[name] = counts.get(name, 0) + is_new
        return bins

    async def _stage_some(
        self, partition: str, changes: Sequence[Pending], *, earlier: bool
    ) -> list[tuple[Pending, bool]]:
        """The rows as they are stored now, and whether each is one more to be decided in its lane."""
        for _ in range(TRIES):
            staged, operations = await self._merging(partition, changes, earlier=earlier)
            try:
                await self._store.commit(TABLE, partition, operations)
            except RowConflict:
                continue
            return staged
        raise Unavailable(f"{len(changes)} changes could not be staged in {TRIES} tries: others write the same rows")

    async def _merging(
        self, partition: str, changes: Sequence[Pending], *, earlier: bool
    ) -> tuple[list[tuple[Pending, bool]], list[Operation]]:
        present = await self._store.get_many(
            TABLE, [(partition, _key(lane, c.object)) for c in changes for lane in _lanes(c.object)]
        )
        staged: list[tuple[Pending, bool]] = []
        operations: list[Operation] = []
        for change in changes:
            keys = [(partition, _key(lane, change.object)) for lane in _lanes(change.object)]
            rows = [_plan_row(present[key]) for key in keys if key in present]
            merged = change
            for row in rows:
                merged = merge(merged, row.pending) if earlier else merge(row.pending, merged)
            merged = replace(merged, lane=_lane_to_be_decided_in(merged))
            key = _key(merged.lane, change.object)
            operations.extend(Delete(row.key, row.etag) for row in rows if row.key != key)
            same = next((row for row in rows if row.key == key), None)
            staged.append((merged, same is None or same.pending.decision is not None))
            operations.append(Replace(key, merged, same.etag) if same else Insert(key, merged))
        return staged, operations

    async def rows(self, lane: Lane, first: str, last: str, *, after: str = "", limit: int = 1000) -> list[PlanRow]:
        """Up to `limit` rows of a lane in the bins first..last, in key order, behind the row key `after`."""
        found: list[PlanRow] = []
        for nibble in sorted({name[0] for name in BINS if first <= name <= last}):
            if len(found) >= limit:
                break
            partition = self._partition(nibble)
            start = max(f"{lane}|{first}", after)
            stop = f"{lane}|{min(last, nibble + 'f')}{AFTER_ALL}"
            if start >= stop:
                continue
            rows = await self._store.scan(TABLE, partition, after=start, before=stop, limit=limit - len(found))
            found.extend(_plan_row(row) for row in rows)
        return found

    async def left(self) -> list[PlanRow]:
        """Some of the rows that are in the plan, whatever their lane; none when the plan is empty."""
        scans = await asyncio.gather(*(self._store.scan(TABLE, self._partition(nibble)) for nibble in NIBBLES))
        return [_plan_row(row) for rows in scans for row in rows]

    async def unread(self) -> AsyncIterator[list[Pending]]:
        """Takes back, in pages, what was read and decided before everything is read anew: who is in the plan has not
        turned up for that. Answers the rows that stay.
        """
        for nibble in NIBBLES:
            partition, after = self._partition(nibble), ""
            while rows := await self._store.scan(TABLE, partition, after=after):
                stays: list[Pending] = []
                writes: list[tuple[str, Operation]] = []
                for row in rows:
                    known = row.decode(Pending)
                    left = unread(known)
                    if left is not None:
                        stays.append(left)
                        writes += [(partition, Replace(row.key, left, row.etag))] * (left != known)
                    else:
                        writes.append((partition, Delete(row.key, row.etag)))
                await commit_each(self._store, TABLE, writes)
                after = rows[-1].key
                yield stays

    async def clear(self) -> None:
        """Drops all rows, whatever is decided."""
        await asyncio.gather(*(self._empty(self._partition(nibble)) for nibble in NIBBLES))

    async def _empty(self, partition: str) -> None:
        while rows := await self._store.scan(TABLE, partition):
            await commit_each(self._store, TABLE, [(partition, Delete(row.key)) for row in rows])

    async def planned(self, object_keys: Collection[str]) -> set[str]:
        """Those of the objects that are to be created or updated, not to be removed."""
        return {pending.object for pending in await self._all_lanes(object_keys) if _stays(pending)}

    async def decisions(self, object_keys: Collection[str]) -> dict[str, Decision]:
        """What was decided of those of the objects that wait to be written."""
        found = await self._all_lanes(object_keys)
        return {pending.object: pending.decision for pending in found if pending.decision is not None}

    async def pending(self, object_keys: Collection[str]) -> set[str]:
        """Those of the objects that have a row, whatever is decided."""
        return {pending.object for pending in await self._all_lanes(object_keys)}

    async def evaluated(self, object_keys: Collection[str]) -> set[str]:
        """Those of the objects that have turned up, or that are read before they are decided. A row that knows no more
        than a grant that was lost is neither: who has others besides would stay as they are, deleted or not.
        """
        return {
            pending.object
            for pending in await self._all_lanes(object_keys)
            if pending.attributes is not None or pending.gone or pending.refresh or pending.unproven
        }

    async def memberships(self, group: str) -> set[str]:
        """The keys of a group's memberships that have a row; they all stand in one bin."""
        first = membership_key(group, "")
        found: set[str] = set()
        for lane in _lanes(first):
            after = _key(lane, first)
            stop = after + AFTER_ALL
            while rows := await self._store.scan(TABLE, self._partition(bin_of(first)), after=after, before=stop):
                found.update(_plan_row(row).pending.object for row in rows)
                after = rows[-1].key
        return found

    async def _all_lanes(self, object_keys: Collection[str]) -> list[Pending]:
        keys = [(self._partition(bin_of(key)), _key(lane, key)) for key in object_keys for lane in _lanes(key)]
        rows = await self._store.get_many(TABLE, keys)
        return [row.decode(Pending) for row in rows.values()]

    async def record(self, rows: Sequence[tuple[PlanRow, Pending]]) -> list[PlanRow]:
        """Stores decisions in the rows they belong to, moving a row when its lane changed; answers the rows as they
        now are. Rows that were superseded meanwhile are left out.
        """
        writes: list[tuple[str, Operation]] = []
        for row, pending in rows:
            key = _key(pending.lane, pending.object)
            if key == row.key:
                writes.append((row.partition, Replace(key, pending, row.etag)))
        results = iter(await commit_each(self._store, TABLE, writes))
        recorded: list[PlanRow] = []
        for row, pending in rows:
            key = _key(pending.lane, pending.object)
            if key == row.key:
                result = next(results)
                if isinstance(result, str):
                    recorded.append(PlanRow(pending, row.partition, key, result))
            elif (moved := await self._move(row, key, pending)) is not None:
                recorded.append(moved)
        return recorded

    async def _move(self, row: PlanRow, key: str, pending: Pending) -> PlanRow | None:
        operations: list[Operation] = [Delete(row.key, row.etag), Put(key, pending)]
        try:
            _, etag = await self._store.commit(TABLE, row.partition, operations)
        except RowConflict:
            return None
        return PlanRow(pending, row.partition, key, etag or "")

    async def settle(self, rows: Sequence[PlanRow]) -> None:
        """Removes rows whose outcome is stored. A row that was superseded meanwhile stays: its change is still open."""
        await commit_each(self._store, TABLE, [(row.partition, Delete(row.key, row.etag)) for row in rows])


def home_lane(object_key: str) -> Lane:
    """The lane of an object that is not to be removed."""
    match object_key.split(":", 1)[0]:
        case "user":
            return "users"
        case "group":
            return "groups"
        case _:
            return "memberships"


def _lanes(object_key: str) -> tuple[Lane, ...]:
    """The lanes in which a row of this object may stand: its type's own, and those of removals."""
    home = home_lane(object_key)
    return (home, *REMOVING) if home == "users" else (home, "removals")


def _lane_to_be_decided_in(change: Pending) -> Lane:
    """Users who may have left come first, whatever else is known to have changed about them."""
    if home_lane(change.object) != "users":
        return change.lane
    disabled = change.attributes is not None and change.attributes.get("accountEnabled") is False
    leaves = change.gone is not None or change.unproven or disabled or False in change.grants.values()
    return "leavers" if leaves else change.lane


def _stays(pending: Pending) -> bool:
    """Whether the object is not to be removed; who may have left and is not decided yet stays unless it is deleted."""
    if pending.lane not in REMOVING:
        return True
    if pending.decision is None:
        return pending.lane == "leavers" and pending.gone is None
    return isinstance(pending.decision.action, Update)


def _key(lane: Lane, object_key: str) -> str:
    return f"{lane}|{bin_of(object_key)}|{object_key}"


def _plan_row(row: Row) -> PlanRow:
    return PlanRow(row.decode(Pending), row.partition, row.key, row.etag)
