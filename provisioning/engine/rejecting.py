"""How a rejection is made, minded and taken back. A person made it of what a plan listed as held; it is minded wherever
something is decided; it ends when it has nothing left to be about, or when a person wants the object looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from provisioning.engine.jobs import Ruling
from provisioning.engine.keys import change_id, identity
from provisioning.engine.outcomes import Settled
from provisioning.engine.ownership import stranger
from provisioning.engine.plan import home_lane
from provisioning.engine.rejections import Rejection
from provisioning.engine.settling import settle
from provisioning.engine.surveying import Removal
from provisioning.engine.work import Work
from provisioning.model import Decision, Pending
from provisioning.rules.review import is_moot, is_same, spared
from provisioning.rules.summary import Occurrence


async def reject(work: Work, ruled: Sequence[Removal], ruling: Ruling) -> None:
    """Logged first, then remembered, then taken out of the plan: whoever dies on the way leaves it in the plan, and
    what is remembered is not logged again. What is known of the object is brought up to date, so that its next change
    is decided rightly; a membership stays known as ours.
    """
    at = work.context.now()
    people = [removal for removal in ruled if not removal.decision.object.startswith("member:")]
    links = await work.context.links.load([identity(r.decision.object) for r in people]) if people else {}
    decisions = [spared(removal.decision, ruling.plan) for removal in ruled]
    told = [Occurrence(d, None, change_id("rejected", work.origin.cycle, d.object), at) for d in decisions]
    await work.context.journal.add(told, work.origin)
    await work.context.rejections.add([_rejection(removal, ruling, at) for removal in ruled])
    items = []
    for removal, decision in zip(ruled, decisions, strict=True):
        known = links.get(identity(decision.object))
        link, etag = (known.link, known.etag) if known is not None else (None, "")
        items.append(Settled(removal.row, replace(decision, told=True), None, link, etag))
    await settle(work, items)


def _rejection(removal: Removal, ruling: Ruling, at: float) -> Rejection:
    pending = removal.row.pending
    return Rejection(
        pending.object,
        removal.harm.kind,
        removal.version,
        ruling.plan,
        ruling.by,
        at,
        withdrawn=pending.withdrawn,
        owned=pending.owned,
    )


async def mind(work: Work, decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions without what was rejected, which the log has already; forgets the rejections that are moot."""
    known = await work.context.rejections.load([decision.object for decision in decisions])
    if not known:
        return list(decisions)
    result: list[Decision] = []
    moot: list[Rejection] = []
    for decision in decisions:
        rejection = known.get(decision.object)
        if rejection is not None and is_same(rejection.version, decision):
            result.append(replace(spared(decision, rejection.plan), told=True))
            continue
        if rejection is not None and is_moot(rejection.version, decision):
            moot.append(rejection)
        result.append(decision)
    await work.context.rejections.remove(moot)
    return result


def offered_again(rejections: Sequence[Rejection]) -> list[Pending]:
    """The memberships among what was rejected, to be decided again. By then the member may be one again, which no
    change tells a second time: that a membership has ended is to be read once more. Accounts that Entra does not know
    are found again with their group.
    """
    return [
        Pending(
            each.object,
            home_lane(each.object),
            refresh=True,
            withdrawn=each.withdrawn,
            unproven=each.withdrawn,
            owned=each.owned,
        )
        for each in rejections
        if each.object.startswith("member:") and stranger(each.object.split(":")[2]) is None
    ]
