"""What becomes of memberships when an account is disabled, where the job takes them away."""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.engine.work import Work
from provisioning.model import Link, Pending, membership_key


async def stage_their_memberships(work: Work, users: Sequence[Link]) -> None:
    """All that ServiceNow holds in groups under our care: who left the scope for good has no grants that would name
    them. Staged before the link says that the user is disabled, so that nobody is forgotten when the process dies in
    between; decided after it.
    """
    by_record = {link.sys_id: link.id for link in users if link.sys_id}
    if not by_record:
        return
    groups = await work.context.target.groups_of(by_record)
    ours = await work.context.links.owners_by_record("group", {group for some in groups.values() for group in some})
    staged = [
        Pending(membership_key(ours[group], by_record[user]), "memberships")
        for user, some in groups.items()
        for group in some
        if group in ours
    ]
    work.tally.add_staged(await work.plan.stage(staged))
