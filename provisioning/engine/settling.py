"""Stores the outcome of decisions: link, indexes, what waits, what is due again, journal, and last the plan row.

In this order, so that a process that dies anywhere leaves a row in the plan for whatever is not stored yet, and every
part may be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_item
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec.structs import replace

from provisioning.engine.edges import display_value
from provisioning.engine.keys import change_id, ends
from provisioning.engine.leavers import stage_their_memberships
from provisioning.engine.plan import PlanRow, home_lane
from provisioning.engine.replaced import stage_behind_the_times, stage_what_refers
from provisioning.engine.tally import kind_of, tense
from provisioning.engine.work import Work
from provisioning.errors import RowConflict
from provisioning.model import (
    Create,
    Decision,
    Disable,
    Edge,
    Escrow,
    Fail,
    Link,
    ObjectType,
    Pending,
    Refused,
    Remove,
    Skip,
    Unsettled,
    Update,
    WriteOutcome,
    Written,
)
from provisioning.rules.drift import UPDATED_ON, remembered, untold
from provisioning.rules.echo import altered, warnings_of
from provisioning.rules.error_codes import advice_for
from provisioning.rules.escrow import DAY, following, is_forgotten, next_attempt, persistence
from provisioning.rules.instance import Ended
from provisioning.rules.membership import is_disabled
from provisioning.rules.neighbours import MANAGED, afterwards, given_over
from provisioning.rules.protection import PROTECTED
from provisioning.rules.redaction import masking
from provisioning.rules.review import REJECTED
from provisioning.rules.scope import in_scope
from provisioning.rules.summary import Occurrence, Origin, in_milliseconds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision and what came of it: `outcome` is None where nothing had to be sent. `known` is the link as it is
    stored now, with its ETag; memberships have none. `alike` is what failed for the same reason as another one, which
    counts for both. `spent` is how many seconds it took to read, decide and write.
    """

    row: PlanRow
    decision: Decision
    outcome: WriteOutcome | None = None
    link: Link | None = None
    etag: str = ""
    retry: Retry | None = None
    alike: bool = False
    spent: float = 0.0


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure: how it is remembered, and when it is tried again (None: not any more). `repeated` when the object had
    failed before.
    """

    escrow: Escrow
    at: float | None
    repeated: bool


async def settle(work: Work, items: Sequence[Settled]) -> None:
    """Settles users, groups and memberships alike; counts what was settled."""
    at = work.context.now()
    items = await _with_retries(work, items)
    # What is told once is told before it is remembered as told.
    once = [_occurrence(item, work.origin, at) for item in items if _is_told_once(item.decision)]
    await work.context.journal.add([each for each in once if not each.decision.told], work.origin)
    if once:
        logger.info("records were left as they are", extra={"job": work.context.job.id, "records": len(once)})
    people = [item for item in items if item.link is not None]
    settled = [item for item in items if item.link is None]
    # What was rejected leaves a membership known as it was; who was put in by others does not become ours by that.
    await _settle_edges(work, [item for item in settled if not _is_rejected(item.decision)])
    if work.context.job.policy.departures.memberships == "remove":
        await stage_their_memberships(work, [item.link for item in people if item.link and _is_leaver(item)])
    linked, arrived = await _settle_links(work, people)
    settled += linked
    await _remember_neighbours(work, linked)
    await _remember_waiting(work, settled)
    await _call_waiting(work, arrived | await _arrived_meanwhile(work, settled))
    await stage_behind_the_times(work, _written_with_managers(settled))
    await _remember_due(work, settled)
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
    await _call_waiting(work, {item.link.id for item in items if item.link and item.link.announce})
    changes = [(item, _link_after(item, at)) for item in items]
    forgotten = [item.link for item, link in changes if link is None and item.link is not None]
    lost = [item.link for item, link in changes if item.link and item.link.sys_id and link and not link.sys_id]
    await work.context.links.unclaim(lost)
    kept = [(item, link) for item, link in changes if link is not None]
    await stage_what_refers(work, [link for item, link in kept if _is_new(item, link)])
    if forgotten:
        await work.context.links.forget(forgotten)
        for link in forgotten:
            work.tally.count_managed(link, None)
    fresh = [link for item, link in kept if _is_new(item, link)]
    holders = dict(zip((link.id for link in fresh), await work.context.links.claim(fresh), strict=True))
    holders |= await _retake(work, [link for item, link in kept if not _is_new(item, link) and _retakes(item, link)])
    taken = [item.row for item, link in kept if holders.get(link.id)]
    kept = [(item, link) for item, link in kept if not holders.get(link.id)]
    results = await work.context.links.save([(link, item.etag) for item, link in kept if _is_kept(item, link)])
    outcomes = iter(results)
    settled = [item for item, link in changes if link is None]
    released: list[Link] = []
    arrived: set[str] = set()
    conflicts: list[PlanRow] = taken
    for item, link in kept:
        result = next(outcomes) if _is_kept(item, link) else ""
        if isinstance(result, RowConflict):
            conflicts.append(item.row)
            continue
        settled.append(item)
        work.tally.count_managed(item.link, link)
        released += [link] if link.released else []
        if _is_new(item, link) or _returns(item.link, link) or _becomes_known(item.link, link):
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


def _is_kept(item: Settled, link: Link) -> bool:
    """An object that was never in scope leaves no trace; one that is assigned but disabled is remembered, so that its
    enabling is noticed.
    """
    return bool(item.etag or link.grants or link.sys_id or link.escrow or link.foreign)


def _link_after(item: Settled, at: float) -> Link | None:
    """The link as it is to be remembered, or None to forget it."""
    if item.link is None:
        return None
    base = replace(
        item.link,
        grants=item.decision.grants,
        manager=item.decision.manager,
        drifted=remembered(item.decision, item.link),
        escrow=None,
        announce=False,
        **_state_after(item.link, item.decision, at),
    )
    if item.decision.neighbour is not None:
        link: Link | None = given_over(base, item.decision.neighbour)
    else:
        link = _link_after_outcome(item, base, at)
    if link is None:
        return None
    link = afterwards(link, item.decision, failed=item.retry is not None)
    if not isinstance(item.outcome, Unsettled):
        link = replace(link, disabling=False)
    if _is_new(item, link) or _returns(item.link, link) or _becomes_known(item.link, link):
        return replace(link, announce=True)
    return link


def _state_after(before: Link, decision: Decision, at: float) -> dict[str, Any]:
    changed = decision.state is not None and decision.state != before.state
    return {"state": decision.state, "since": at} if changed else {}


def _is_new(item: Settled, link: Link) -> bool:
    """Whether the object has a record now that it had not before: its first, or one in place of one that vanished."""
    before = item.link
    return link.linked and not (before is not None and before.linked and before.sys_id == link.sys_id)


def _returns(before: Link | None, after: Link) -> bool:
    return before is not None and is_disabled(before) and after.enabled


def _retakes(item: Settled, after: Link) -> bool:
    """Whether an object is back in scope whose record another job could have taken over, or is compared with both
    sides, which mends a claim that is missing.
    """
    before = item.link
    was_free = before is not None and (before.released or item.row.pending.reconciles)
    return was_free and after.linked and not after.released


def _becomes_known(before: Link | None, after: Link) -> bool:
    """Whether others may refer to the record that another job manages for the object, and could not before."""
    known = before.reference if before is not None else None
    return not after.linked and after.reference is not None and after.reference != known


def _is_leaver(item: Settled) -> bool:
    """A user whose account is inactive now because of leaving the scope."""
    if item.link is None or item.link.type != "user" or in_scope(item.decision.scope):
        return False
    match item.decision.action, item.outcome:
        case (Disable(), Written()) | (Skip(reason="RedundantExport"), None):
            return True
        case _:
            return False


def _link_after_outcome(item: Settled, base: Link, at: float) -> Link | None:
    match item.outcome:
        case Written(record=record):
            if isinstance(item.decision.action, Remove):
                return _link_after_removal(base, restorable=item.row.pending.gone != "permanent")
            return _link_after_write(base, item.decision, record)
        case Refused(code=code) if isinstance(item.decision.action, Create):
            # Nothing was created, so nothing is there to be found.
            generation = base.generation + (code == "Conflict")
            return _escrowed(replace(base, sys_id=None, intended=False, generation=generation), item)
        case Refused() | Unsettled():
            return _escrowed(base, item)
        case None if isinstance(item.decision.action, Fail):
            return _escrowed(base, item)
        case None if isinstance(item.decision.action, Skip) and _is_protected(item.decision):
            if not base.linked and base.origin == "adopted":  # an adoption that had begun is given up
                base = replace(base, sys_id=None, intended=False, origin=None)
            before, text = item.link.escrow if item.link else None, item.decision.action.description
            return replace(base, escrow=following(before, PROTECTED, text, "passing", at))
        case None:
            return _link_after_skip(base, item.decision)


def _link_after_write(base: Link, decision: Decision, record: dict[str, str]) -> Link | None:
    match decision.action:
        case Create(sys_id=sys_id, generation=generation, fields=fields):
            made = replace(with_keys(base, decision), generation=generation, origin="created")
            return _written(made, record.get("sys_id", sys_id), fields, record)
        case Update(sys_id=sys_id, fields=fields):
            known = _written(_found(base, decision), sys_id, fields, record)
            return replace(known, enabled=known.enabled and in_scope(decision.scope))
        case Disable(sys_id=sys_id, fields=fields):
            known = _found(base, decision) if in_scope(decision.scope) else _agreeing(base, decision)
            return replace(_written(known, sys_id, fields, record), enabled=False)
        case _:
            return None


def _link_after_removal(base: Link, *, restorable: bool) -> Link | None:
    """The grants are remembered of who may be restored: nothing tells them again. No sys_id is used twice."""
    if not restorable or not base.grants:
        return None
    link = Link(base.type, base.id, grants=base.grants, generation=base.generation + 1, manager=base.manager)
    return replace(link, state=base.state, since=base.since)


def _link_after_skip(base: Link, decision: Decision) -> Link:
    if isinstance(decision.action, Skip) and decision.action.reason == "ImportSkipped":
        return base
    found = decision.match.sys_ids[0] if decision.match is not None and decision.match.sys_ids else None
    if in_scope(decision.scope):
        if not found:
            return base
        if isinstance(decision.action, Skip) and decision.action.reason in {"NotPermitted", REJECTED}:
            return base
        return replace(
            in_place_of(_found(base, decision), found), sys_id=found, former=None, intended=False, enabled=True
        )
    if found is None:  # whatever record there was is gone as well
        return replace(
            base, sys_id=None, former=None, intended=False, enabled=False, written={}, altered={}, updated=""
        )
    return replace(_agreeing(base, decision), enabled=False, intended=False)


def _origin(decision: Decision) -> Literal["created", "adopted"]:
    return "adopted" if decision.match is not None and decision.match.how == "attribute" else "created"


def _found(link: Link, decision: Decision) -> Link:
    return replace(with_keys(_agreeing(link, decision), decision), origin=link.origin or _origin(decision))


def _agreeing(link: Link, decision: Decision) -> Link:
    return replace(link, written={**link.written, **decision.agreed})


def in_place_of(link: Link, sys_id: str) -> Link:
    """The link with the generation that a record has which takes the place of another one."""
    if link.sys_id is None or link.sys_id == sys_id:
        return link
    return replace(link, generation=link.generation + 1, updated="")


def with_keys(link: Link, decision: Decision) -> Link:
    """The link with the keys that the object has now, where the decision tells them."""
    if decision.match is None or not decision.match.value:
        return link
    return replace(link, match_value=decision.match.value, other_keys=decision.match.others)


def _written(link: Link, sys_id: str, fields: dict[str, str], record: dict[str, str]) -> Link:
    """The link after a write: what was sent, and what the instance made of it where that differs."""
    made = altered(fields, record)
    kept = {name: value for name, value in link.altered.items() if name not in fields}
    return replace(
        link,
        sys_id=sys_id,
        former=None,
        intended=False,
        enabled=True,
        written={**link.written, **fields},
        altered={**kept, **made},
        updated=record.get(UPDATED_ON, ""),
    )


def _escrowed(link: Link, item: Settled) -> Link:
    """With its failure, unless that is not tried any more: then only a change of the object tries it again."""
    return replace(link, escrow=item.retry.escrow if item.retry is not None and item.retry.at is not None else None)


def _written_with_managers(items: Sequence[Settled]) -> dict[str, tuple[str, Collection[str]]]:
    return {
        item.link.id: (item.decision.manager, item.decision.action.fields.values())
        for item in items
        if isinstance(item.outcome, Written) and isinstance(item.decision.action, Create | Update)
        if item.link is not None and item.decision.manager
    }


async def _arrived_meanwhile(work: Work, items: Sequence[Settled]) -> set[str]:
    """Objects that got their record after it was decided to wait for them, and called before anybody waited."""
    objects: set[tuple[ObjectType, str]] = {
        ("group" if missing.attribute == "group" else "user", missing.wanted)
        for item in items
        for missing in item.decision.missing
        if missing.table is None
    }
    links = await work.context.links.load(objects) if objects else {}
    return {
        source_id for (_, source_id), known in links.items() if known.link.reference and not is_disabled(known.link)
    }


async def _call_waiting(work: Work, arrived: Collection[str]) -> None:
    """Stages everything that waited for the objects that now have a record."""
    pairs = await work.context.waiting.arrived(arrived)
    memberships = [ends(waiting) for _, waiting in pairs if waiting.startswith("member:")]
    edges = await work.context.edges.load(memberships) if memberships else {}
    staged: list[Pending] = []
    for _, waiting in pairs:
        if waiting.startswith("member:") and ends(waiting) not in edges:
            continue  # it ended while it waited
        if waiting.startswith("user:"):
            staged.append(Pending(waiting, "users", refresh=True))
        elif waiting.startswith("group:"):
            staged.append(Pending(waiting, "groups", refresh=True))
        else:
            staged.append(Pending(waiting, "memberships"))
    work.tally.add_staged(await work.plan.stage(staged))
    await work.context.waiting.remove(pairs)


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
            case None, Skip() if _is_protected(item.decision):
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


async def _remember_waiting(work: Work, items: Sequence[Settled]) -> None:
    await work.context.waiting.add(
        [
            (display_value(missing.table, missing.wanted) if missing.table else missing.wanted, item.decision.object)
            for item in items
            for missing in item.decision.missing
        ]
    )


async def _remember_neighbours(work: Work, items: Sequence[Settled]) -> None:
    """Who waits until another job lets go of a record that is known."""
    waiting = {
        item.decision.object: item.decision.neighbour.sys_id
        for item in items
        if _is_managed_elsewhere(item.decision) and item.decision.neighbour and item.decision.neighbour.sys_id
    }
    await work.context.waiters.add(waiting)
    await work.context.waiters.remove(
        [
            item.decision.object
            for item in items
            if item.link is not None
            and item.link.foreign is not None
            and item.decision.object not in waiting
            and not isinstance(item.decision.action, Fail)
        ]
    )


async def _remember_due(work: Work, items: Sequence[Settled]) -> None:
    """Doubtful losses are looked at again in the next cycle, failures when their time has come."""
    at = work.context.now()
    again = []
    for item in items:
        pending = item.row.pending
        blank = Pending(
            pending.object,
            home_lane(pending.object),
            refresh=True,
            withdrawn=pending.withdrawn,
            gone=pending.gone,
            owned=pending.owned,
        )
        if item.decision.recheck:
            again.append((at, replace(blank, unproven=True)))
        elif _is_managed_elsewhere(item.decision):
            if item.decision.neighbour is not None and not item.decision.neighbour.sys_id:
                again.append((at, blank))  # it is being made
        elif _is_protected(item.decision):  # until somebody allows it, or the account loses its rights
            again.append((at, replace(blank, unproven=pending.withdrawn)))
        elif item.retry is not None and item.retry.at is not None:
            # By the time it is due the member may be one again: that a membership has ended is to be read once more.
            again.append((item.retry.at, replace(blank, escrow=item.retry.escrow, unproven=pending.withdrawn)))
    await work.context.due.add(again)


def _is_worth_an_entry(item: Settled) -> bool:
    action = item.decision.action
    if not isinstance(action, Skip):
        return True
    if _is_told_once(item.decision) or _is_rejected(item.decision):
        return False  # it has one already
    if untold(item.decision, item.link):
        return True
    adopted = item.decision.match is not None and item.decision.match.how == "attribute" and item.link is not None
    remembered = bool(item.etag or item.decision.grants)
    return adopted or bool(item.decision.missing) or (action.reason == "NotEffectivelyEntitled" and remembered)


def _is_told_once(decision: Decision) -> bool:
    return _is_protected(decision) or _is_managed_elsewhere(decision)


def _is_managed_elsewhere(decision: Decision) -> bool:
    return isinstance(decision.action, Skip) and decision.action.reason == MANAGED


def _is_protected(decision: Decision) -> bool:
    return isinstance(decision.action, Skip) and decision.action.reason == PROTECTED


def _is_rejected(decision: Decision) -> bool:
    return isinstance(decision.action, Skip) and decision.action.reason == REJECTED


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
