"""Stores the outcome of decisions: link, indexes, what waits, what is due again, journal, and last the plan row.

In this order, so that a process that dies anywhere leaves a row in the plan for whatever is not stored yet, and every
part may be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace as replace_item
from datetime import UTC, datetime

from msgspec.structs import replace

from provisioning.engine.again import (
    arrived_meanwhile,
    call_waiting,
    remember_due,
    remember_neighbours,
    remember_waiting,
    written_with_managers,
)
from provisioning.engine.keys import change_id, ends
from provisioning.engine.leavers import stage_their_memberships
from provisioning.engine.outcomes import (
    Retry,
    Settled,
    becomes_known,
    is_kept,
    is_leaver,
    is_new,
    is_protected,
    is_rejected,
    is_told_once,
    link_after,
    retakes,
    returns,
)
from provisioning.engine.plan import PlanRow
from provisioning.engine.replaced import stage_behind_the_times, stage_what_refers
from provisioning.engine.tally import kind_of, tense
from provisioning.engine.work import Work
from provisioning.errors import RowConflict
from provisioning.model import (
    Create,
    Disable,
    Edge,
    Fail,
    Link,
    Refused,
    Remove,
    Skip,
    Unsettled,
    Update,
    Written,
)
from provisioning.rules.drift import UPDATED_ON, untold
from provisioning.rules.echo import warnings_of
from provisioning.rules.error_codes import advice_for
from provisioning.rules.escrow import DAY, following, is_forgotten, next_attempt, persistence
from provisioning.rules.instance import Ended
from provisioning.rules.protection import PROTECTED
from provisioning.rules.redaction import masking
from provisioning.rules.summary import Occurrence, Origin, in_milliseconds

logger = logging.getLogger(__name__)


async def settle(work: Work, items: Sequence[Settled]) -> None:
    """Settles users, groups and memberships alike; counts what was settled."""
    at = work.context.now()
    items = await _with_retries(work, items)
    # What is told once is told before it is remembered as told.
    once = [_occurrence(item, work.origin, at) for item in items if is_told_once(item.decision)]
    await work.context.journal.add([each for each in once if not each.decision.told], work.origin)
    if once:
        logger.info("records were left as they are", extra={"job": work.context.job.id, "records": len(once)})
    people = [item for item in items if item.link is not None]
    settled = [item for item in items if item.link is None]
    # What was rejected leaves a membership known as it was; who was put in by others does not become ours by that.
    await _settle_edges(work, [item for item in settled if not is_rejected(item.decision)])
    if work.context.job.policy.departures.memberships == "remove":
        leavers = [(item.link, item.decision.grants) for item in people if item.link and is_leaver(item)]
        await stage_their_memberships(work, leavers)
    linked, arrived = await _settle_links(work, people)
    settled += linked
    await remember_neighbours(work, linked)
    await remember_waiting(work, settled)
    await call_waiting(work, arrived | await arrived_meanwhile(work, settled))
    await stage_behind_the_times(work, written_with_managers(settled))
    await remember_due(work, settled)
    await _count_executed(work, settled, at)
    _note_written(work, settled, at)
    occurrences = [(item, _occurrence(item, work.origin, at)) for item in settled]
    await work.context.journal.add([o for item, o in occurrences if _is_worth_an_entry(item)], work.origin)
    if work.tally.occurrences is not None:
        work.tally.occurrences.extend(occurrence for _, occurrence in occurrences)
    await work.plan.settle([item.row for item in settled])
    for item in settled:
        _count(work, item)
        failed = isinstance(item.outcome, Refused | Unsettled)
        work.tally.count("waiting", int(not failed and bool(item.decision.missing or item.decision.recheck)))
    work.tally.done += len(settled)


def _count(work: Work, item: Settled) -> None:
    """For the summary, and for whoever judges whether the job must be quarantined."""
    kind = kind_of(item.decision)
    work.tally.count(f"{kind}.{tense(item.decision.action, failed=isinstance(item.outcome, Refused | Unsettled))}")
    if isinstance(item.outcome, Written) and item.link is not None and item.decision.missing:
        work.tally.count("failed references", len(item.decision.missing))
    if item.alike:
        work.tally.count("failed alike")
    elif item.retry is not None and item.retry.repeated:
        work.tally.count("failed again")
    if item.retry is not None and item.retry.at is None:
        work.tally.count(f"{kind}.given up")


async def _with_retries(work: Work, items: Sequence[Settled]) -> list[Settled]:
    """What failed, with when it is tried again. Failures that a restart has forgotten count as none."""
    found = [(item, persistence(item.decision, item.outcome)) for item in items]
    if not any(kind for _, kind in found):
        return list(items)
    state, _ = await work.context.rows.state()
    at, policy = work.context.now(), work.context.job.retries
    result = []
    for item, kind in found:
        if kind is None:
            result.append(item)
            continue
        before = item.link.escrow if item.link is not None else item.row.pending.escrow
        if before is not None and (is_forgotten(before, state.escrows_cleared) or before.code == PROTECTED):
            before = None
        code, message = _failure(item)
        escrow = following(before, code, message, kind, at)
        again = next_attempt(escrow, kind, at, policy)
        escrow = replace(escrow, next_attempt=at if again is None else again)
        result.append(replace_item(item, retry=Retry(escrow, again, repeated=before is not None)))
    return result


def _failure(item: Settled) -> tuple[str, str]:
    mask = masking(item.decision, item.outcome)
    match item.outcome, item.decision.action:
        case Refused(code=code, message=message), _:
            return code, mask(message)
        case Unsettled(reason=reason), _:
            return "Timeout", mask(reason)
        case _, Fail(code=code, message=message):
            return code, mask(message)
        case _:
            raise TypeError(f"{type(item.decision.action).__name__} has not failed")


async def _settle_links(work: Work, items: Sequence[Settled]) -> tuple[list[Settled], set[str]]:
    """Saves the links; answers the items that are settled, and which objects have a record now that had none. An item
    whose link somebody else changed meanwhile stays in the plan, to be observed and decided again.
    """
    at = work.context.now()
    await call_waiting(work, {item.link.id for item in items if item.link and item.link.announce})
    changes = [(item, link_after(item, at)) for item in items]
    forgotten = [item.link for item, link in changes if link is None and item.link is not None]
    lost = [item.link for item, link in changes if item.link and item.link.sys_id and link and not link.sys_id]
    await work.context.links.unclaim(lost)
    kept = [(item, link) for item, link in changes if link is not None]
    await stage_what_refers(work, [link for item, link in kept if is_new(item, link)])
    if forgotten:
        await work.context.links.forget(forgotten)
        for link in forgotten:
            work.tally.count_managed(link, None)
    fresh = [link for item, link in kept if is_new(item, link) and not item.has_claimed(link, at)]
    holders = dict(zip((link.id for link in fresh), await work.context.links.claim(fresh), strict=True))
    holders |= await _retake(work, [link for item, link in kept if not is_new(item, link) and retakes(item, link)])
    taken = [item.row for item, link in kept if holders.get(link.id)]
    kept = [(item, link) for item, link in kept if not holders.get(link.id)]
    results = await work.context.links.save([(link, item.etag) for item, link in kept if is_kept(item, link)])
    outcomes = iter(results)
    settled = [item for item, link in changes if link is None]
    released: list[Link] = []
    arrived: set[str] = set()
    conflicts: list[PlanRow] = taken
    for item, link in kept:
        result = next(outcomes) if is_kept(item, link) else ""
        if isinstance(result, RowConflict):
            conflicts.append(item.row)
            continue
        settled.append(item)
        work.tally.count_managed(item.link, link)
        released += [link] if link.released else []
        if is_new(item, link) or returns(item.link, link) or becomes_known(item.link, link):
            arrived.add(link.id)
    await work.context.records.release(released)
    await decide_again(work, conflicts)
    return settled, arrived


async def _retake(work: Work, links: Sequence[Link]) -> dict[str, str | None]:
    """Claims records for links that have them already; answers the other job that has one meanwhile. Within the job
    nothing is claimed anew: whoever swapped names with another one holds its own by the link.
    """
    claimed = await work.context.records.claim(links)
    await work.context.records.confirm([link for link, each in zip(links, claimed, strict=True) if not each.holder])
    return {link.id: each.holder for link, each in zip(links, claimed, strict=True)}


async def decide_again(work: Work, rows: Sequence[PlanRow]) -> None:
    """Sends rows back to be observed and decided. One that has no decision stays as it is: whoever was faster may be
    about to settle it.
    """
    decided = [(row, replace(row.pending, decision=None)) for row in rows if row.pending.decision is not None]
    undecided = [row for row in rows if row.pending.decision is None]
    for row in (*undecided, *await work.plan.record(decided)):
        work.tally.add_row(row.pending)


async def _settle_edges(work: Work, items: Sequence[Settled]) -> None:
    known = await work.context.edges.load([ends(item.decision.object) for item in items]) if items else {}
    after: dict[tuple[str, str], Edge | None] = {}
    for item in items:
        pair = group, member = ends(item.decision.object)
        match item.outcome, item.decision.action:
            case Written(record=record), Create(sys_id=sys_id):
                after[pair] = Edge(group, member, record.get("sys_id", sys_id), "created")
            case Written(), Remove():
                # The source may still have a membership whose group was left behind.
                after[pair] = None if item.row.pending.withdrawn else Edge(group, member)
            case None, Skip() if is_protected(item.decision):
                after[pair] = replace(known.get(pair) or Edge(group, member), protected=True)
            case None, Skip() if item.decision.drifted:
                after[pair] = replace(known.get(pair) or Edge(group, member), drifted=True)
            case None, Skip() if item.row.pending.withdrawn and not item.decision.recheck:
                after[pair] = None
            case None, Skip(reason="NotPermitted"):  # what was made while members were mapped is still known as ours
                after[pair] = known.get(pair) or Edge(group, member)
            case None, Skip() if item.decision.match is not None and item.decision.match.sys_ids:
                if pair not in known or known[pair].sys_id is None or known[pair].drifted:
                    after[pair] = Edge(group, member, item.decision.match.sys_ids[0], "adopted")
            case None, Skip() | Fail():
                after[pair] = Edge(group, member)
            case _:
                continue
    saved = [edge for edge in after.values() if edge is not None]
    before = [known[pair] for pair in after if pair in known]
    work.tally.count("managed.member", sum(1 for e in saved if e.sys_id) - sum(1 for e in before if e.sys_id))
    await work.context.edges.save(saved)
    await work.context.edges.forget([pair for pair, edge in after.items() if edge is None])


async def _count_executed(work: Work, items: Sequence[Settled], at: float) -> None:
    """What was taken away without a person's word, for the removal guard's 24 hours. Where nothing is left to do of
    what was let through, a worker has died that had done it, or somebody else did: that counts rather than be missed.
    """
    done = []
    for item in items:
        clearance = item.row.pending.clearance
        if clearance is None or clearance.version:
            continue
        if isinstance(item.outcome, Written) or (item.outcome is None and isinstance(item.decision.action, Skip)):
            done.append((clearance.kind, item.decision.object))
    await work.context.executed.add(done, at)


def _note_written(work: Work, items: Sequence[Settled], at: float) -> None:
    """By what was written last it is told later whether ServiceNow still holds it. New records do not count: when they
    are gone, people may have deleted them.
    """
    written: dict[str, str] = {}
    ended = []
    for item in items:
        match item.decision.action, item.outcome:
            case Update(sys_id=sys_id) | Disable(sys_id=sys_id), Written(record=record) if item.link is not None:
                written[f"{item.link.type}:{sys_id}"] = record.get(UPDATED_ON, "")
            case Remove(sys_id=sys_id), Written() if item.link is None:
                moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
                ended.append(Ended(*ends(item.decision.object), sys_id, moment))
    work.tally.add_written({record: moment for record, moment in written.items() if moment}, ended)


def _is_worth_an_entry(item: Settled) -> bool:
    action = item.decision.action
    if not isinstance(action, Skip):
        return True
    if is_told_once(item.decision) or is_rejected(item.decision):
        return False  # it has one already
    if untold(item.decision, item.link):
        return True
    adopted = item.decision.match is not None and item.decision.match.how == "attribute" and item.link is not None
    remembered = bool(item.etag or item.decision.grants)
    return adopted or bool(item.decision.missing) or (action.reason == "NotEffectivelyEntitled" and remembered)


def _occurrence(item: Settled, origin: Origin, at: float) -> Occurrence:
    """The change id is the same when a step is repeated, so that its entry is not written twice under two ids."""
    change = change_id(origin.cycle, item.decision.object, item.row.etag)
    told = replace(item.decision, warnings=item.decision.warnings + warnings_of(item.decision, item.outcome))
    outcome = item.outcome
    if item.retry is not None and item.retry.at is None:
        days = (at - item.retry.escrow.since) / DAY
        last = f"It has failed for {days:.0f} days and is not tried again by itself: change the object, or resync it"
        if isinstance(outcome, Refused):
            outcome = replace(outcome, way_out=f"{outcome.way_out or advice_for(outcome.code)}. {last}")
        elif isinstance(told.action, Fail):
            action = told.action
            told = replace(told, action=replace(action, way_out=f"{action.way_out or advice_for(action.code)}. {last}"))
    return Occurrence(told, outcome, change, at, in_milliseconds(item.spent))
