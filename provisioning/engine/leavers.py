"""What becomes of memberships when an account is disabled, where the job takes them away, and when a user or group
gets another record in place of one that is gone, whose memberships went with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

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


async def stage_memberships_again(work: Work, links: Sequence[Link]) -> None:
    """Of those who had a record before this one. What was taken from a disabled account waits for it like for somebody
    who does not exist yet, and is called back by that.
    """
    again = [link for link in links if link.generation]
    staged = [
        Pending(membership_key(grant.removeprefix("group:"), link.id), "memberships")
        for link in again
        if link.type == "user"
        for grant in link.grants
        if grant.startswith("group:")
    ]
    work.tally.add_staged(await work.plan.stage(staged))
    for link in again:
        if link.type == "group":
            await _stage_members_again(work, link.id)


async def _stage_members_again(work: Work, group: str) -> None:
    """No row of theirs was taken away by somebody: it went with the group's record."""
    after = ""
    while edges := await work.context.edges.page(group, after):
        staged = [Pending(membership_key(group, edge.member), "memberships") for edge in edges]
        work.tally.add_staged(await work.plan.stage(staged))
        held = [edge for edge in edges if edge.sys_id]
        await work.context.edges.save([replace(edge, sys_id=None, drifted=False) for edge in held])
        work.tally.count("managed.member", -len(held))
        after = edges[-1].member
