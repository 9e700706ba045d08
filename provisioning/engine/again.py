"""What is looked at again: who waits for an object that has a record now, who waits for another job, what failed and
what is in doubt. Stores and stages only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from provisioning.engine.edges import display_value
from provisioning.engine.keys import ends
from provisioning.engine.outcomes import Settled, is_managed_elsewhere, is_protected
from provisioning.engine.plan import home_lane
from provisioning.engine.work import Work
from provisioning.model import (
    Create,
    Fail,
    ObjectType,
    Pending,
    Update,
    Written,
)
from provisioning.rules.membership import is_disabled


def written_with_managers(items: Sequence[Settled]) -> dict[str, tuple[str, Collection[str]]]:
    return {
        item.link.id: (item.decision.manager, item.decision.action.fields.values())
        for item in items
        if isinstance(item.outcome, Written) and isinstance(item.decision.action, Create | Update)
        if item.link is not None and item.decision.manager
    }


async def arrived_meanwhile(work: Work, items: Sequence[Settled]) -> set[str]:
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


async def call_waiting(work: Work, arrived: Collection[str]) -> None:
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


async def remember_waiting(work: Work, items: Sequence[Settled]) -> None:
    await work.context.waiting.add(
        [
            (display_value(missing.table, missing.wanted) if missing.table else missing.wanted, item.decision.object)
            for item in items
            for missing in item.decision.missing
        ]
    )


async def remember_neighbours(work: Work, items: Sequence[Settled]) -> None:
    """Who waits until another job lets go of a record that is known."""
    waiting = {
        item.decision.object: item.decision.neighbour.sys_id
        for item in items
        if is_managed_elsewhere(item.decision) and item.decision.neighbour and item.decision.neighbour.sys_id
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


async def remember_due(work: Work, items: Sequence[Settled]) -> None:
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
        elif is_managed_elsewhere(item.decision):
            if item.decision.neighbour is not None and not item.decision.neighbour.sys_id:
                again.append((at, blank))  # it is being made
        elif is_protected(item.decision):  # until somebody allows it, or the account loses its rights
            again.append((at, replace(blank, unproven=pending.withdrawn)))
        elif item.retry is not None and item.retry.at is not None:
            # By the time it is due the member may be one again: that a membership has ended is to be read once more.
            again.append((item.retry.at, replace(blank, escrow=item.retry.escrow, unproven=pending.withdrawn)))
    await work.context.due.add(again)
