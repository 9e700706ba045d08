"""The members of fully owned groups that Entra does not know: found in ServiceNow and staged for removal. Only where
the mapping says so; everywhere else nothing is removed that we neither made nor adopted.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.engine.work import Work
from provisioning.model import Link, Pending, group_key, membership_key, user_key

RECORD = "record."
"""Before the sys_id of a user that no object in Entra is linked to, in the place of a source id."""


async def stage_strangers(work: Work, group: Link, users: Sequence[str]) -> None:
    """`users` are all members that the group has in Entra, read to the end.

    As long as one of them may still turn out to be the owner of an account that nobody is linked to (is about to be
    matched, or could not be), nothing is taken away: the group is looked at again in the next cycle. The removals pass
    the guard like all others; of whom Entra knows, each is proved by a read of that membership.
    """
    context = work.context
    again = (context.now(), Pending(group_key(group.id), "groups", refresh=True, expand=True, reconciles=True))
    if group.sys_id is None or not group.linked:
        if group.escrow is None:
            await context.due.add([again])
        return
    known = await context.links.load([("user", user) for user in users]) if users else {}
    open_ = [user for user in users if known["user", user].link.reference is None]
    planned = await work.plan.pending([user_key(user) for user in open_]) if open_ else set()
    if planned or any(known["user", user].link.escrow is not None for user in open_):
        await context.due.add([again])
        return
    wanted = {known["user", user].link.reference for user in users}
    present = (await context.target.members_of([group.sys_id])).get(group.sys_id, frozenset())
    strangers = sorted(present - wanted)
    owners = await context.links.owners_by_record("user", strangers) if strangers else {}
    staged = []
    for sys_id in strangers:
        owner = owners.get(sys_id)
        if owner is None:
            key = membership_key(group.id, f"{RECORD}{sys_id}")
            staged.append(Pending(key, "removals", withdrawn=True, owned=True))
        elif ("user", owner) not in known:
            key = membership_key(group.id, owner)
            staged.append(Pending(key, "removals", withdrawn=True, unproven=True, owned=True))
    work.tally.add_staged(await work.plan.stage(staged))


def stranger(member_id: str) -> Link | None:
    """The account that a member stands for that Entra does not know."""
    if not member_id.startswith(RECORD):
        return None
    return Link("user", member_id, sys_id=member_id.removeprefix(RECORD), enabled=True)
