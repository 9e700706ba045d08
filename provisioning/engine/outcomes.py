"""What a decision and its outcome make of an object's link. Pure: knows no store, of the plan no more than the row that
was decided, and no side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from msgspec.structs import replace

from provisioning.engine.plan import PlanRow
from provisioning.model import (
    Create,
    Decision,
    Disable,
    Escrow,
    Fail,
    Link,
    Refused,
    Remove,
    Skip,
    Unsettled,
    Update,
    WriteOutcome,
    Written,
)
from provisioning.rules.drift import UPDATED_ON, remembered
from provisioning.rules.echo import altered
from provisioning.rules.escrow import following
from provisioning.rules.membership import is_disabled
from provisioning.rules.neighbours import MANAGED, UNDER_WAY, afterwards, given_over
from provisioning.rules.protection import PROTECTED
from provisioning.rules.review import REJECTED
from provisioning.rules.scope import in_scope


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision and what came of it: `outcome` is None where nothing had to be sent. `known` is the link as it is
    stored now, with its ETag; memberships have none. `alike` is what failed for the same reason as another one, which
    counts for both. `spent` is how many seconds it took to read, decide and write, `claimed_at` when the batch has
    claimed what `link` names.
    """

    row: PlanRow
    decision: Decision
    outcome: WriteOutcome | None = None
    link: Link | None = None
    etag: str = ""
    retry: Retry | None = None
    alike: bool = False
    spent: float = 0.0
    claimed_at: float | None = None

    def has_claimed(self, link: Link, at: float) -> bool:
        """Whether the keys and the record of the link were claimed a moment ago: nobody can have taken them since,
        because the stored link bears the claim out.
        """
        before = self.link
        if before is None or self.claimed_at is None or not 0.0 <= at - self.claimed_at < UNDER_WAY / 3:
            return False
        return (before.match_value, before.other_keys, before.sys_id) == (
            link.match_value,
            link.other_keys,
            link.sys_id,
        )


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure: how it is remembered, and when it is tried again (None: not any more). `repeated` when the object had
    failed before.
    """

    escrow: Escrow
    at: float | None
    repeated: bool


def is_kept(item: Settled, link: Link) -> bool:
    """An object that was never in scope leaves no trace; one that is assigned but disabled is remembered, so that its
    enabling is noticed.
    """
    return bool(item.etag or link.grants or link.sys_id or link.escrow or link.foreign)


def link_after(item: Settled, at: float) -> Link | None:
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
    if is_new(item, link) or returns(item.link, link) or becomes_known(item.link, link):
        return replace(link, announce=True)
    return link


def _state_after(before: Link, decision: Decision, at: float) -> dict[str, Any]:
    changed = decision.state is not None and decision.state != before.state
    return {"state": decision.state, "since": at} if changed else {}


def is_new(item: Settled, link: Link) -> bool:
    """Whether the object has a record now that it had not before: its first, or one in place of one that vanished."""
    before = item.link
    return link.linked and not (before is not None and before.linked and before.sys_id == link.sys_id)


def returns(before: Link | None, after: Link) -> bool:
    return before is not None and is_disabled(before) and after.enabled


def retakes(item: Settled, after: Link) -> bool:
    """Whether an object is back in scope whose record another job could have taken over, or is compared with both
    sides, which mends a claim that is missing.
    """
    before = item.link
    was_free = before is not None and (before.released or item.row.pending.reconciles)
    return was_free and after.linked and not after.released


def becomes_known(before: Link | None, after: Link) -> bool:
    """Whether others may refer to the record that another job manages for the object, and could not before."""
    known = before.reference if before is not None else None
    return not after.linked and after.reference is not None and after.reference != known


def is_leaver(item: Settled) -> bool:
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
            return _escrowed(_without_lost_keys(base, item.decision.action), item)
        case None if isinstance(item.decision.action, Skip) and is_protected(item.decision):
            if not base.linked and base.origin == "adopted":  # an adoption that had begun is given up
                base = replace(base, sys_id=None, intended=False, origin=None)
            before, text = item.link.escrow if item.link else None, item.decision.action.description
            return replace(base, escrow=following(before, PROTECTED, text, "passing", at))
        case None:
            return _link_after_skip(base, item.decision)


def _without_lost_keys(base: Link, fail: Fail) -> Link:
    """Who has lost the record, and maps to the key that another one holds, holds its own former key for nobody: two who
    have swapped names would wait for each other for ever.
    """
    if fail.code == "DuplicateSourceEntries" and base.linked:
        return replace(base, match_value=None, other_keys=())
    return base


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


def is_told_once(decision: Decision) -> bool:
    return is_protected(decision) or is_managed_elsewhere(decision)


def is_managed_elsewhere(decision: Decision) -> bool:
    return isinstance(decision.action, Skip) and decision.action.reason == MANAGED


def is_protected(decision: Decision) -> bool:
    return isinstance(decision.action, Skip) and decision.action.reason == PROTECTED


def is_rejected(decision: Decision) -> bool:
    return isinstance(decision.action, Skip) and decision.action.reason == REJECTED
