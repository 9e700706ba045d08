"""What becomes of memberships when an account is disabled, where the job takes them away."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from provisioning.engine.work import Work
from provisioning.model import Link, Pending, membership_key


async def stage_their_memberships(work: Work, users: Sequence[tuple[Link, Collection[str]]]) -> None:
    """Of users with their grants: all that ServiceNow holds in groups under our care, since who left the scope for good
    has no grants that would name them, and all that the grants name, since one may just be about to be added. Staged
    before the link says that the user is disabled, so that nobody is forgotten when the process dies in between;
    decided after it.
    """
    by_record = {link.sys_id: link.id for link, _ in users if link.sys_id}
    if not by_record:
        return
    groups = await work.context.target.groups_of(by_record)
    ours = await work.context.links.owners_by_record("group", {group for some in groups.values() for group in some})
    found = {(ours[group], by_record[user]) for user, some in groups.items() for group in some if group in ours}
    found |= {
        (grant.removeprefix("group:"), link.id)
        for link, grants in users
        for grant in grants
        if grant.startswith("group:")
    }
    staged = [Pending(membership_key(group, user), "memberships") for group, user in sorted(found)]
    work.tally.add_staged(await work.plan.stage(staged))
