"""What the instance says about rights, remembered for a while: it changes seldom, and is asked for with every chunk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from provisioning.engine.links import Links
from provisioning.engine.ports import Target
from provisioning.errors import Unauthorized
from provisioning.rules.elevation import Verdict
from provisioning.rules.protection import Administrators, Rights

KEEP_SECONDS = 300.0
MOST_GROUPS = 50_000
CYCLES_KEPT = 8  # runs on demand are cycles too, and go on beside the job's own

logger = logging.getLogger(__name__)


class KnownRights:
    """`of_accounts` and `of_groups` answer the part of `Rights` that decisions about users, or about groups, need."""

    def __init__(self, target: Target, links: Links, now: Callable[[], float]) -> None:
        self._target = target
        self._links = links
        self._now = now
        self._accounts = Rights()
        self._accounts_until = float("-inf")
        self._shown: frozenset[str] = frozenset()
        self._groups: dict[str, tuple[bool, float]] = {}
        self._reading = asyncio.Lock()

    async def of_accounts(self) -> Rights:
        """Raises `Unavailable` when the instance does not answer; that it may not tell is an answer."""
        async with self._reading:
            if self._accounts_until <= self._now():
                self._accounts = await self._read_accounts()
                self._accounts_until = self._now() + KEEP_SECONDS
            return self._accounts

    async def _read_accounts(self) -> Rights:
        own = await self._target.own_account()
        if own is None:
            logger.warning("the integration's own account cannot be told: name it in PROTECTED_ACCOUNTS")
        found = await self._target.administrators()
        holders = frozenset(found.ways)
        if not found.complete:
            # Who was seen to be one stays one until all can be seen again.
            holders |= self._shown
            logger.warning(
                "holders of admin roles cannot all be read: only those seen and the account admin are protected",
                extra={"tables": "sys_user_role, sys_user_has_role", "seen": len(holders)},
            )
        self._shown = holders
        return Rights(own or "", holders, await self._through_entra(found), found.complete)

    async def _through_entra(self, found: Administrators) -> frozenset[str]:
        """Administrators by nothing but membership of groups that are linked to groups of Entra."""
        groups = {group for ways in found.ways.values() for group in ways if group}
        managed = (await self._links.owners_by_record("group", groups)).keys() if groups else set()
        return frozenset(user for user, ways in found.ways.items() if ways <= managed)

    async def of_groups(self, sys_ids: Collection[str]) -> Rights:
        """Which of these groups carry roles. As above."""
        now = self._now()
        wanted = set(sys_ids)
        if len(self._groups) + len(wanted) > MOST_GROUPS:
            self._groups.clear()
        missing = {each for each in wanted if each not in self._groups or self._groups[each][1] <= now}
        if missing:
            try:
                carrying = await self._target.groups_with_roles(missing)
            except Unauthorized as error:
                if error.code != "InsufficientRights":
                    raise
                logger.warning("roles of groups cannot be read", extra={"tables": "sys_group_has_role, sys_user_group"})
                return Rights(groups_known=False)
            self._groups |= {each: (each in carrying, now + KEEP_SECONDS) for each in missing}
        return Rights(groups=frozenset(each for each in wanted if self._groups[each][0]))


class KnownVerdicts:
    """What was found out, in each of the latest cycles, of groups that refused a membership: by the group's sys_id.
    Whoever is about to find out more holds `finding`, so that nobody else asks the same meanwhile.
    """

    def __init__(self) -> None:
        self._by_cycle: dict[str, dict[str, Verdict]] = {}
        self.finding = asyncio.Lock()

    def of(self, cycle: str) -> dict[str, Verdict]:
        if cycle not in self._by_cycle:
            self._by_cycle[cycle] = {}
            for old in list(self._by_cycle)[:-CYCLES_KEPT]:
                del self._by_cycle[old]
        return self._by_cycle[cycle]
