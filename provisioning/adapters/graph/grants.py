"""Which assignments to the application give an object access: its own and, for a user, those of the groups that it is a
direct member of. This read proves a loss of access, so an answer that could be incomplete raises instead.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from provisioning.adapters.graph import decode
from provisioning.adapters.graph.batch import EVENTUAL, PAGE, Batches, relative
from provisioning.adapters.graph.calls import GRANTS, GROUPS, USERS
from provisioning.adapters.graph.memberships import Memberships
from provisioning.errors import Unauthorized
from provisioning.model import Assignment, ObjectType

logger = logging.getLogger(__name__)

PAIRWISE_UP_TO = 20
PROPERTIES = "principalId,principalType,appRoleId"
Granted = dict[str, tuple[Assignment, ...] | None]


class Grants:
    """Asks each object for its own list, which takes Directory.Read.All. Without that permission the same is found out
    from the application's list, read anew by `list_all`, and the object's membership in the groups that it names.
    """

    def __init__(
        self, batches: Batches, memberships: Memberships, list_all: Callable[[], Awaitable[Sequence[Assignment]]]
    ) -> None:
        self._batches = batches
        self._memberships = memberships
        self._list_all = list_all
        self._may_ask_each = True

    async def of(
        self, kind: ObjectType, ids: Collection[str], resource: str
    ) -> Mapping[str, tuple[Assignment, ...] | None]:
        """The grants by object; None for an object that does not exist."""
        once = tuple(dict.fromkeys(ids))
        if self._may_ask_each:
            try:
                return await self._each(kind, once, resource)
            except Unauthorized as error:
                if error.code != "InsufficientRights":
                    raise
                logger.info("own assignments may not be read; using the application's list", extra={"kind": kind})
                self._may_ask_each = False
        return await self._listed(kind, once)

    async def _each(self, kind: ObjectType, ids: Sequence[str], resource: str) -> Granted:
        only = f"resourceId eq {resource}"
        # Microsoft asks for an advanced query where the rows through groups have to be complete:
        # https://learn.microsoft.com/graph/api/user-list-approleassignments
        complete = {"count": "true"} if kind == "user" else {}
        urls = [
            relative(f"{kind}s", one, "appRoleAssignments", filter=only, select=PROPERTIES, top=PAGE, **complete)
            for one in ids
        ]
        lists = await self._batches.collections(urls, GRANTS, headers=EVENTUAL if kind == "user" else None)
        return {
            one: None if rows is None else tuple(map(decode.assignment, rows))
            for one, rows in zip(ids, lists, strict=True)
        }

    async def _listed(self, kind: ObjectType, ids: Sequence[str]) -> Granted:
        urls = [relative(f"{kind}s", one, select="id") for one in ids]
        present = await self._batches.objects(urls, USERS if kind == "user" else GROUPS)
        known = [one for one, body in zip(ids, present, strict=True) if body is not None]
        if not known:
            return dict.fromkeys(ids)
        rows = await self._list_all()
        if not rows:
            raise Unauthorized(
                "the list of assignments to the enterprise application is empty, which alone proves nobody's loss of "
                f"access: grant this application {GRANTS.permission} with admin consent, so that each can be asked",
                code="InsufficientRights",
            )
        given: dict[str, list[Assignment]] = {}
        for row in rows:
            given.setdefault(row.principal_id, []).append(row)
        groups = [row.principal_id for row in rows if row.principal_type == "Group"] if kind == "user" else []
        held = await self._held(tuple(dict.fromkeys(groups)), known)
        granted = {
            one: tuple(row for principal in (one, *held[one]) for row in given.get(principal, ())) for one in known
        }
        return {one: granted.get(one) for one in ids}

    async def _held(self, groups: Sequence[str], users: Sequence[str]) -> dict[str, list[str]]:
        """The groups that each user is a direct member of: few are asked for one by one, many by whole lists."""
        if len(users) <= PAIRWISE_UP_TO:
            held = await self._memberships.are_members([(group, user) for group in groups for user in users])
            return {user: [group for group in groups if held[group, user]] for user in users}
        lists = await self._memberships.members(groups)
        members = {group: {member.id for member in lists[group] or ()} for group in groups}
        return {user: [group for group in groups if user in members[group]] for user in users}
