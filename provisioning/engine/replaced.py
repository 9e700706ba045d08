"""What refers to a user or group that gets another record in place of one that is gone: memberships went with the old
one, and whoever has the user as manager still names it. Staged before the link names the new record, so that nothing
is forgotten when the process dies in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from provisioning.engine.work import Work
from provisioning.model import Link, Pending, membership_key, user_key


async def stage_what_refers(work: Work, links: Sequence[Link]) -> None:
    """Of those who had a record before this one: memberships, and who has one of them as manager. What was taken from a
    disabled account waits for it like for somebody who does not exist yet, and is called back by that.
    """
    again = [link for link in links if link.generation]
    if not again:
        return
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
            await _stage_members(work, link.id)
    await _stage_reports(work, {link.id for link in again if link.type == "user"})


async def _stage_members(work: Work, group: str) -> None:
    """No row of theirs was taken away by somebody: it went with the group's record."""
    after = ""
    while edges := await work.context.edges.page(group, after):
        staged = [Pending(membership_key(group, edge.member), "memberships") for edge in edges]
        work.tally.add_staged(await work.plan.stage(staged))
        held = [edge for edge in edges if edge.sys_id]
        await work.context.edges.save([replace(edge, sys_id=None, drifted=False) for edge in held])
        work.tally.count("managed.member", -len(held))
        after = edges[-1].member


async def _stage_reports(work: Work, managers: Collection[str]) -> None:
    """No index leads from a manager to the reports: all links are read, and no side is asked."""
    if not managers:
        return
    async for links in work.context.links.pages("user"):
        reports = [link for link in links if link.manager in managers and link.linked]
        staged = [Pending(user_key(link.id), "users", refresh=True) for link in reports]
        work.tally.add_staged(await work.plan.stage(staged))


async def stage_behind_the_times(work: Work, written: Mapping[str, tuple[str, Collection[str]]]) -> None:
    """Users who were written with a manager and certain values, by their ids, and whose manager has got another record
    since that was decided: who is created in the same cycle has no link by which the manager could find them.
    """
    managers = {manager for manager, _ in written.values()}
    known = await work.context.links.load([("user", manager) for manager in managers]) if managers else {}
    late = [
        user
        for user, (manager, values) in written.items()
        if (link := known["user", manager].link).linked and link.generation and link.sys_id not in values
    ]
    work.tally.add_staged(await work.plan.stage([Pending(user_key(user), "users", refresh=True) for user in late]))
