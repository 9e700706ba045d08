"""Memberships of groups that ServiceNow guards because they carry security_admin. What the instance tells of a group is
asked for when it has refused one of its memberships, once in a cycle; the group's other memberships are then not sent
any more, and fail alike. Does not know how memberships are decided.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from provisioning.engine.batching import Ready
from provisioning.engine.keys import ends
from provisioning.engine.outcomes import Settled
from provisioning.engine.settling import settle
from provisioning.engine.work import Work
from provisioning.errors import ConfigError, Unavailable
from provisioning.model import Refused, WriteOutcome
from provisioning.rules.elevation import Verdict, explained, group_of, guarded, may_be_guarded

logger = logging.getLogger(__name__)


async def without_guarded(work: Work, batch: Sequence[Ready]) -> list[Ready]:
    """The rows that may be sent; memberships of groups that are known to be guarded are settled as refused."""
    verdicts = work.context.verdicts.of(work.origin.cycle)
    found = [(ready, verdicts.get(group_of(ready.decision))) for ready in batch]
    unsent = [
        Settled(ready.row, ready.decision, verdict, alike=True)
        for ready, verdict in found
        if isinstance(verdict, Refused)
    ]
    if unsent:
        await settle(work, unsent)
    return [ready for ready, verdict in found if not isinstance(verdict, Refused)]


async def with_reasons(
    work: Work, sent: Sequence[Ready], outcomes: Mapping[str, WriteOutcome]
) -> tuple[dict[str, WriteOutcome], frozenset[str]]:
    """The outcomes by row, those that a group's role explains with that explanation; and the rows that failed for the
    same reason as another one.
    """
    groups = {
        group: ends(ready.decision.object)[0]
        for ready in sent
        if may_be_guarded(outcomes[ready.row.key]) and (group := group_of(ready.decision))
    }
    if not groups:
        return dict(outcomes), frozenset()
    verdicts = work.context.verdicts.of(work.origin.cycle)
    async with work.context.verdicts.finding:
        first = {group: each for group, each in groups.items() if group not in verdicts}
        if first:
            verdicts |= await _found_out(work, first)
    told: dict[str, WriteOutcome] = dict(outcomes)
    alike: set[str] = set()
    counted = groups.keys() - first.keys()
    for ready in sent:
        key, group = ready.row.key, group_of(ready.decision)
        told[key] = explained(outcomes[key], group, verdicts)
        if isinstance(verdict := verdicts.get(group), Refused) and told[key] is verdict:
            if group in counted:
                alike.add(key)
            counted |= {group}
    return told, frozenset(alike)


async def _found_out(work: Work, groups: Mapping[str, str]) -> dict[str, Verdict]:
    """Of groups by sys_id, with the ids that they have in Entra."""
    try:
        carrying = await work.context.target.security_admin_groups(groups)
    except (Unavailable, ConfigError) as error:
        # The writes have been answered: whatever stops this read must not cost what they came to.
        logger.warning("why memberships are refused cannot be read", extra={"table": "sys_group_has_role"})
        return dict.fromkeys(groups, str(error).partition(". ")[0])
    found: dict[str, Verdict] = dict.fromkeys(groups)
    for group in carrying & groups.keys():
        waiting = await _waiting(work, groups[group])
        logger.warning(
            "a group takes no members from us because it carries security_admin",
            extra={"job": work.context.job.id, "group": group, "memberships": waiting},
        )
        found[group] = guarded(group, waiting)
    return found


async def _waiting(work: Work, group: str) -> int:
    """How many memberships of a group are not written yet: those in the plan and those that wait for their next try."""
    return len(await work.plan.memberships(group) | await work.context.due.memberships(group))
