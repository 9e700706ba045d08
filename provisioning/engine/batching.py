"""Cuts rows that are ready into batches and runs them on the slots of a step, until the deadline or until somebody else
is to get a slot. Memberships of groups with roles are written one batch at a time. Knows no decision.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from provisioning.engine.keys import ends
from provisioning.engine.plan import PlanRow
from provisioning.engine.turns import Turns
from provisioning.engine.work import Work
from provisioning.model import Decision, Link

TOO_FEW_TO_SHARE = 16  # writes that go in one request although another slot is free: two would save seconds at most
POLL = 1.0


@dataclass(frozen=True, slots=True)
class Ready:
    """A row whose decision can be carried out now. Memberships have no link. `claimed_at` is when the keys and the
    record of `link` were claimed for good (seconds since 1970), None where that is still to be done.
    """

    row: PlanRow
    decision: Decision
    link: Link | None
    etag: str
    claimed_at: float | None = None


Send = Callable[[Work, Sequence[Ready]], Awaitable[None]]


async def run_batches(work: Work, ready: Sequence[Ready], slots: int, deadline: float, send: Send) -> frozenset[str]:
    """Answers the keys of the rows that were not sent; all others are settled. One batch more than there are slots is
    prepared, or settled, meanwhile. Slots of other steps that have ended are used as well.
    """
    by_group = await _of_groups_with_roles(work, ready)
    in_turn = {each.row.key for rows in by_group.values() for each in rows}
    batches = _Batches(work, slots, deadline, send)
    queue = deque(each for each in ready if each.row.key not in in_turn)
    runs = [asyncio.create_task(batches.run(queue)) for _ in range(slots + 1)]
    if by_group:
        runs.append(asyncio.create_task(batches.run_in_turn(by_group)))
    widening = asyncio.create_task(batches.widen(queue, runs))
    try:
        # A failing batch does not cut off the others.
        while left := [run for run in runs if not run.done()]:
            await asyncio.wait(left)
    finally:
        for task in (widening, *runs):  # the runs have ended, unless this one is to end before them
            task.cancel()
        await asyncio.gather(widening, *runs, return_exceptions=True)
    for run in runs:
        run.result()
    return frozenset(each.row.key for rows in (queue, *by_group.values()) for each in rows)


class _Batches:
    def __init__(self, work: Work, slots: int, deadline: float, send: Send) -> None:
        self._work, self._deadline, self._send = work, deadline, send
        # Whoever may get more slots keeps the batches small that would have to wait for one that runs.
        self._most = slots if work.lending is None else work.lending.most
        self._begun = False
        self._tried = set[str]()

    async def run(self, queue: deque[Ready]) -> None:
        while queue and await self._may_go_on():
            fair = max(TOO_FEW_TO_SHARE, -(-len(queue) // self._most))
            if batch := _taken(queue, min(self._size, fair)):  # another run may have taken the last ones meanwhile
                await self._run(batch)

    async def widen(self, queue: deque[Ready], runs: list[asyncio.Task[None]]) -> None:
        """Adds a run for each slot that becomes free elsewhere."""
        lending = self._work.lending
        while queue and lending is not None and lending.slots < lending.most:
            await asyncio.sleep(POLL)
            runs += [asyncio.create_task(self.run(queue)) for _ in range(await lending.more())]

    async def run_in_turn(self, by_group: dict[str, deque[Ready]]) -> None:
        turns = Turns(self._work.context.store, self._work.origin.instance, str(uuid.uuid4()))
        try:
            while by_group and await self._may_go_on():
                if batch := await self._next_turn(turns, by_group):
                    await self._run(batch)
                else:
                    await asyncio.sleep(POLL)
                await turns.give_back()
        finally:
            await turns.give_back()

    async def _next_turn(self, turns: Turns, by_group: dict[str, deque[Ready]]) -> list[Ready]:
        """The rows of as many groups as fill a batch, of those whose turn can be had. The first row of a group goes
        ahead of the others: what ServiceNow refuses to all of them is not to be asked for each.
        """
        size, batch = self._size, list[Ready]()
        for group, rows in list(by_group.items()):
            if len(batch) == size:
                break
            if await turns.take(group, self._work.context.now()):
                batch += _taken(rows, size - len(batch) if group in self._tried else 1)
                self._tried.add(group)
                if not rows:
                    del by_group[group]
        return batch

    @property
    def _size(self) -> int:
        return max(1, self._work.context.target.batch_size)

    async def _may_go_on(self) -> bool:
        """One batch is always sent, or a step that came late would never get on."""
        if not self._begun:
            self._begun = True
            return True
        now = self._work.context.now()
        return now < self._deadline and (self._work.share is None or await self._work.share.keep(now))

    async def _run(self, batch: Sequence[Ready]) -> None:
        if self._work.holder is not None:
            await self._work.context.rows.renew_lease(self._work.holder, self._work.context.now())
        await self._send(self._work, batch)


def _taken(queue: deque[Ready], number: int) -> list[Ready]:
    return [queue.popleft() for _ in range(min(number, len(queue)))]


async def _of_groups_with_roles(work: Work, ready: Iterable[Ready]) -> dict[str, deque[Ready]]:
    """The memberships of such groups, by the group's sys_id; of all groups where roles cannot be read."""
    memberships = [each for each in ready if each.decision.object.startswith("member:")]
    if not memberships:
        return {}
    groups = {each.row.key: ends(each.decision.object)[0] for each in memberships}
    links = await work.context.links.load({("group", group) for group in groups.values()})
    sys_ids = {group: link.link.sys_id for (_, group), link in links.items() if link.link.sys_id}
    rights = await work.context.rights.of_groups(set(sys_ids.values()))
    with_roles = rights.groups if rights.groups_known else frozenset(sys_ids.values())
    found: dict[str, deque[Ready]] = {}
    for each in memberships:
        sys_id = sys_ids.get(groups[each.row.key])
        if sys_id in with_roles:
            found.setdefault(sys_id, deque()).append(each)
    return found
