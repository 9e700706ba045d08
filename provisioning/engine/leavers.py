"""What becomes of memberships when an account is disabled, where the job takes them away, and when somebody gets
another record in place of one that is gone, whose memberships went with it.
"""

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


async def stage_memberships_again(work: Work, users: Sequence[Link]) -> None:
    """Of those who had a record before this one. What was taken from a disabled account waits for it like for somebody
    who does not exist yet, and is called back by that.
    """
    staged = [
        Pending(membership_key(grant.removeprefix("group:"), link.id), "memberships")
        for link in users
        if link.type == "user" and link.generation
        for grant in link.grants
        if grant.startswith("group:")
    ]
    work.tally.add_staged(await work.plan.stage(staged))
