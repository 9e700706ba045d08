"""Users who take each other's names: ServiceNow refuses each of the writes, because the name is taken. Somebody in a
circle that is proven takes another name in between, and then all of them can be written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from provisioning.engine.batching import Ready
from provisioning.engine.work import Work
from provisioning.model import PatchRecord, Refused, Update, Write, WriteOutcome, Written, user_key

LONGEST = 50
"""Members of a circle; a longer one is left for a person."""


@dataclass(frozen=True, slots=True)
class Holder:
    """`ours` is another user under the job's care. It may be about to give the name up, by the plan; or, nobody's of
    ours, it may have been given up since.
    """

    ours: bool
    may_give_it_up: bool


WriteAll = Callable[[Sequence[Ready]], Awaitable[Mapping[str, WriteOutcome]]]


async def untangle(
    work: Work, batch: Sequence[Ready], outcomes: Mapping[str, WriteOutcome], write_all: WriteAll
) -> dict[str, WriteOutcome]:
    """The outcomes by row, after what clashed with a name was tried again: first behind those of the same batch that
    gave the name up, then with one of each circle out of the way. `write_all` writes rows again.
    """
    settled = dict(outcomes)
    column = _key_column(work)
    if column is None:
        return settled
    stuck = [each for each in batch if _clashes(each, settled[each.row.key], column)]
    moved = set[str]()
    while stuck:
        settled |= await write_all(stuck)
        left = [each for each in stuck if _clashes(each, settled[each.row.key], column)]
        if len(left) == len(stuck) and not await _give_way(work, left, column, moved):
            break
        stuck = left
    return settled


async def holder_of_name(work: Work, ready: Ready, outcome: WriteOutcome) -> Holder | None:
    """Who has the name that was refused; None when it was no name that was refused."""
    column = _key_column(work)
    if column is None or not _clashes(ready, outcome, column) or not isinstance(ready.decision.action, Update):
        return None
    value = ready.decision.action.fields[column]
    owner = (await work.context.links.owners_by_key("user", [value])).get(value)
    if owner is None or user_key(owner) == ready.decision.object:  # it is this user's, and a stranger's record has it
        return Holder(ours=False, may_give_it_up=True)
    decision = (await work.plan.decisions([user_key(owner)])).get(user_key(owner))
    moves = decision is not None and isinstance(decision.action, Update) and column in decision.action.fields
    return Holder(ours=True, may_give_it_up=moves)


def _key_column(work: Work) -> str | None:
    """The column that tells users apart, where it is one."""
    mapping = work.context.job.schema.user
    first = mapping.matching[0] if mapping.matching else ()
    return first[0].target if len(first) == 1 else None


def _clashes(ready: Ready, outcome: WriteOutcome, column: str) -> bool:
    action = ready.decision.action
    return (
        isinstance(outcome, Refused)
        and outcome.code == "Conflict"
        and isinstance(action, Update)
        and column in action.fields
        and ready.decision.object.startswith("user:")
    )


async def _give_way(work: Work, stuck: Sequence[Ready], column: str, moved: set[str]) -> bool:
    """Lets the first of each circle take its own sys_id for a name: nobody else has it, and it fits."""
    writes: list[Write] = []
    for ready in stuck:
        action = ready.decision.action
        circle = await _circle(work, ready, column)
        if isinstance(action, Update) and circle and min(circle) == ready.decision.object and not circle & moved:
            moved |= circle
            before = {column: action.before.get(column, "")}
            writes.append(
                PatchRecord(
                    ready.row.key, work.context.job.schema.user.table, action.sys_id, {column: action.sys_id}, before
                )
            )
    if not writes:
        return False
    outcomes = await work.context.target.write(writes)
    written = sum(isinstance(outcome, Written) for outcome in outcomes.values())
    work.tally.done += written  # others get on by it, so that another wave is worth its while
    return written > 0


async def _circle(work: Work, ready: Ready, column: str) -> set[str]:
    """The objects of the circle, or nothing: each wants the name of the next, by what the plan has decided for it."""
    found = {ready.decision.object}
    action = ready.decision.action
    for _ in range(LONGEST):
        if not isinstance(action, Update) or column not in action.fields:
            return set()
        value = action.fields[column]
        owner = (await work.context.links.owners_by_key("user", [value])).get(value)
        if owner is None:
            return set()
        key = user_key(owner)
        if key == ready.decision.object:
            return found if len(found) > 1 else set()
        if key in found:
            return set()
        found.add(key)
        decision = (await work.plan.decisions([key])).get(key)
        if decision is None:
            return set()
        action = decision.action
    return set()
