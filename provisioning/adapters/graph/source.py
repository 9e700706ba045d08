"""The engine's questions about users, groups and assignments, put to Graph. Which properties are asked for is given by
the caller; who is in scope and what follows from it is not known here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from provisioning.adapters.graph import decode
from provisioning.adapters.graph.answers import Call, NotThere, values_of
from provisioning.adapters.graph.batch import EVENTUAL, JSON, Batches, literal, relative
from provisioning.adapters.graph.session import GraphSession, Query, Where
from provisioning.errors import ConfigError, ObjectError, Unauthorized, Unavailable
from provisioning.model import (
    Assignment,
    AssignmentPage,
    DeltaPage,
    Member,
    ObjectType,
    ServicePrincipal,
    SourceObject,
)

logger = logging.getLogger(__name__)

PAGE = 999
IDS_IN_FILTER = 15
PAIRWISE_UP_TO = 20
USER_BASICS = ("id", "accountEnabled", "userPrincipalName", "displayName")
GROUP_BASICS = ("id", "displayName", "securityEnabled")
APPLICATION_PROPERTIES = ("id", "appId", "displayName", "appRoles", "appRoleAssignmentRequired", "accountEnabled")
ASSIGNMENT_PROPERTIES = ("principalId", "principalType", "appRoleId")
MANAGER_ID = "manager($select=id)"

USERS = Call("users", "User.Read.All")
GROUPS = Call("groups", "GroupMember.Read.All")
CHANGES: Mapping[ObjectType, Call] = {
    "user": Call("changes of users", "User.Read.All"),
    "group": Call("changes of groups", "GroupMember.Read.All"),
}
MEMBERS = Call("members of groups", "GroupMember.Read.All")
APPLICATION = Call("the enterprise application", "Application.Read.All")
ASSIGNMENTS = Call("assignments to the enterprise application", "Application.Read.All")
GRANTS = Call("app role assignments of users and groups", "Directory.Read.All")
DELETED: Mapping[ObjectType, Call] = {
    "user": Call("deleted users", "User.Read.All"),
    "group": Call("deleted groups", "Group.Read.All"),
}
_DELTA: Mapping[ObjectType, Where] = {
    "user": lambda graph: graph.users.delta,
    "group": lambda graph: graph.groups.delta,
}
_COLLECTION: Mapping[ObjectType, Where] = {"user": lambda graph: graph.users, "group": lambda graph: graph.groups}
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class GraphSource:
    """`Source` of the engine on Microsoft Graph. `service_principal_id` is the enterprise application's object id, or
    its application id. The attributes are names of Graph's properties; `manager` among those of users reads managers.
    """

    def __init__(
        self,
        session: GraphSession,
        *,
        service_principal_id: str,
        user_attributes: Sequence[str],
        group_attributes: Sequence[str],
        concurrency: int = 4,
    ) -> None:
        self._session = session
        self._batches = Batches(session, concurrency=concurrency)
        self._principal = service_principal_id
        self._resource: str | None = None
        self._with_manager = "manager" in user_attributes
        self._select: Mapping[ObjectType, tuple[str, ...]] = {
            "user": _names(USER_BASICS, user_attributes),
            "group": _names(GROUP_BASICS, group_attributes),
        }
        self._may_read_grants = True

    async def aclose(self) -> None:
        await self._session.aclose()

    def tracked(self, kind: ObjectType) -> tuple[str, ...]:
        """The `$select` that delta links are made with: another one needs another link."""
        relation = ("members",) if kind == "group" else ("manager",) if self._with_manager else ()
        return self._select[kind] + relation

    async def service_principal(self) -> ServicePrincipal:
        if not _GUID.fullmatch(self._principal):
            raise ConfigError(
                f"ENTRA_SERVICE_PRINCIPAL_ID is {self._principal!r}; it must be the Object ID (a GUID) that the Entra "
                "admin center shows under Enterprise applications, your ServiceNow application, Properties"
            )
        query = Query(select=APPLICATION_PROPERTIES)
        try:
            body = await self._session.read(
                lambda graph: graph.service_principals.by_service_principal_id(self._principal), APPLICATION, query
            )
        except NotThere:
            body = await self._by_app_id(query)
        found = decode.service_principal(body)
        self._resource = found.id
        return found

    async def latest_link(self, kind: ObjectType) -> str:
        select = ",".join(self.tracked(kind))
        link = self._session.root + relative(f"{kind}s", "delta", select=select, deltatoken="latest")
        while True:
            page = await self.delta(kind, link)
            if page.delta_link:
                return page.delta_link
            link = page.next_link or link

    async def delta(self, kind: ObjectType, link: str | None) -> DeltaPage:
        call = CHANGES[kind]
        if link is None:
            body = await self._session.read(_DELTA[kind], call, Query(select=self.tracked(kind)))
        else:
            body = await self._session.follow(_DELTA[kind], link, call)
        next_link, delta_link = body.get("@odata.nextLink"), body.get("@odata.deltaLink")
        if not next_link and not delta_link:
            raise Unavailable(
                f"a page of {call.what} from Microsoft Graph says neither how to go on nor that it is the last"
            )
        found = tuple(decode.changes(kind, values_of(body, call)))
        logger.debug("delta page read", extra={"kind": kind, "changes": len(found), "last": not next_link})
        return DeltaPage(found, next_link or None, None if next_link else delta_link)

    async def assignments(self, link: str | None) -> AssignmentPage:
        resource = await self._resource_id()

        def assigned_to(graph: Any) -> Any:
            return graph.service_principals.by_service_principal_id(resource).app_role_assigned_to

        if link is None:
            body = await self._session.read(assigned_to, ASSIGNMENTS, Query(top=PAGE))
        else:
            body = await self._session.follow(assigned_to, link, ASSIGNMENTS)
        rows = tuple(decode.assignment(row) for row in values_of(body, ASSIGNMENTS))
        return AssignmentPage(rows, body.get("@odata.nextLink") or None)

    async def members(self, groups: Collection[str]) -> Mapping[str, tuple[Member, ...] | None]:
        ids = _once(groups)
        # No cast to users: nested groups have to be seen, to be warned about.
        urls = [relative("groups", group, "members", select="id", top=PAGE) for group in ids]
        lists = await self._batches.collections(urls, MEMBERS)
        return {
            group: None if found is None else tuple(decode.member(body, MEMBERS) for body in found)
            for group, found in zip(ids, lists, strict=True)
        }

    async def users(self, ids: Collection[str]) -> Mapping[str, SourceObject]:
        expand = {"expand": MANAGER_ID} if self._with_manager else {}
        bodies = await self._by_ids("user", ids, USERS, expand)
        found = map(decode.user_with_manager, bodies) if self._with_manager else _objects("user", bodies)
        return {user.id: user for user in found}

    async def groups(self, ids: Collection[str]) -> Mapping[str, SourceObject]:
        bodies = await self._by_ids("group", ids, GROUPS, {})
        return {group.id: group for group in _objects("group", bodies)}

    async def grants(self, kind: ObjectType, ids: Collection[str]) -> Mapping[str, tuple[Assignment, ...] | None]:
        """Reads each object's own list, which takes Directory.Read.All. Without that permission the same is found out
        from the application's list, read anew, and each object's membership in the groups that it names.
        """
        if self._may_read_grants:
            try:
                return await self._own_grants(kind, ids)
            except Unauthorized as error:
                if error.code != "InsufficientRights":
                    raise
                logger.info("own assignments may not be read; using the application's list", extra={"kind": kind})
                self._may_read_grants = False
        return await self._listed_grants(kind, ids)

    async def are_members(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
        """Asks each group's members for the one id. That filter works on the live list; the same question from the
        member's side takes ConsistencyLevel: eventual, an index that lags behind and so proves nothing.
        """
        once = tuple(dict.fromkeys(pairs))
        urls = [
            relative("groups", group, "members", filter=f"id eq {literal(member)}", select="id")
            for group, member in once
        ]
        lists = await self._batches.collections(urls, MEMBERS)
        return {
            pair: found is not None and any(body.get("id") == pair[1] for body in found)
            for pair, found in zip(once, lists, strict=True)
        }

    async def deleted(self, kind: ObjectType, ids: Collection[str]) -> frozenset[str]:
        once = _once(ids)
        urls = [relative("directory", "deletedItems", one, select="id") for one in once]
        found = await self._batches.objects(urls, DELETED[kind])
        return frozenset(one for one, body in zip(once, found, strict=True) if body is not None)

    async def find(self, kind: ObjectType, key: str) -> SourceObject | None:
        if _GUID.fullmatch(key):
            found = await (self.users([key]) if kind == "user" else self.groups([key]))
            return next(iter(found.values()), None)
        name = "userPrincipalName" if kind == "user" else "displayName"
        call = USERS if kind == "user" else GROUPS
        query = Query(
            select=self._select[kind],
            filter=f"{name} eq {literal(key)}",
            expand=(MANAGER_ID,) if kind == "user" and self._with_manager else None,
        )
        bodies = values_of(await self._session.read(_COLLECTION[kind], call, query), call)
        if len(bodies) > 1:
            raise ObjectError(
                "DuplicateSourceEntries",
                f"{len(bodies)} {kind}s in Entra have the {name} {key!r}",
                f"give the Object ID of the {kind} that you mean",
            )
        if kind == "user" and self._with_manager:
            return next(map(decode.user_with_manager, bodies), None)
        return next(iter(_objects(kind, bodies)), None)

    # Inside

    async def _by_app_id(self, query: Query) -> JSON:
        try:
            return await self._session.read(
                lambda graph: graph.service_principals_with_app_id(self._principal), APPLICATION, query
            )
        except NotThere as error:
            raise ConfigError(
                f"ENTRA_SERVICE_PRINCIPAL_ID is {self._principal}, and the tenant has no enterprise application "
                "with that id: copy the Object ID that the Entra admin center shows under Enterprise applications, "
                "your ServiceNow application, Properties (not that under App registrations). Check ENTRA_TENANT_ID"
            ) from error

    async def _resource_id(self) -> str:
        return self._resource or (await self.service_principal()).id

    async def _by_ids(self, kind: ObjectType, ids: Collection[str], call: Call, more: Mapping[str, str]) -> list[JSON]:
        """Objects by `id in (...)`, as many in a filter as Graph takes; those that do not exist are left out."""
        once, select = _once(ids), ",".join(self._select[kind])
        urls = [
            relative(f"{kind}s", filter=f"id in ({','.join(map(literal, once[start : start + IDS_IN_FILTER]))})",
                     select=select, **more)
            for start in range(0, len(once), IDS_IN_FILTER)
        ]  # fmt: skip
        lists = await self._batches.collections(urls, call)
        if any(found is None for found in lists):
            raise Unavailable(f"Microsoft Graph says that the list of {call.what} does not exist: check GRAPH_BASE_URL")
        return [body for found in lists for body in found or ()]

    async def _own_grants(self, kind: ObjectType, ids: Collection[str]) -> dict[str, tuple[Assignment, ...] | None]:
        resource, once = await self._resource_id(), _once(ids)
        only, select = f"resourceId eq {resource}", ",".join(ASSIGNMENT_PROPERTIES)
        # Microsoft asks for an advanced query where rows through groups have to be complete:
        # https://learn.microsoft.com/graph/api/user-list-approleassignments
        complete = {"count": "true"} if kind == "user" else {}
        urls = [
            relative(f"{kind}s", one, "appRoleAssignments", filter=only, select=select, top=PAGE, **complete)
            for one in once
        ]
        lists = await self._batches.collections(urls, GRANTS, headers=EVENTUAL if kind == "user" else None)
        return {
            one: None if rows is None else tuple(map(decode.assignment, rows))
            for one, rows in zip(once, lists, strict=True)
        }

    async def _listed_grants(self, kind: ObjectType, ids: Collection[str]) -> dict[str, tuple[Assignment, ...] | None]:
        once = _once(ids)
        call = USERS if kind == "user" else GROUPS
        present = await self._batches.objects([relative(f"{kind}s", one, select="id") for one in once], call)
        known = [one for one, body in zip(once, present, strict=True) if body is not None]
        rows = await self._all_assignments() if known else []
        through: dict[str, list[Assignment]] = {}
        for row in rows:
            through.setdefault(row.principal_id, []).append(row)
        assigned = [row.principal_id for row in rows if row.principal_type == "Group"] if kind == "user" else []
        memberships = await self._memberships(_once(assigned), known)
        granted = {
            one: tuple(through.get(one, ())) + tuple(row for group in memberships[one] for row in through[group])
            for one in known
        }
        return {one: granted.get(one) for one in once}

    async def _all_assignments(self) -> list[Assignment]:
        rows: list[Assignment] = []
        link = None
        while True:
            page = await self.assignments(link)
            rows += page.assignments
            link = page.next_link
            if link is None:
                break
        if not rows:
            raise Unauthorized(
                "the list of assignments to the enterprise application is empty, which alone proves nobody's loss of "
                f"access: grant this application {GRANTS.permission} with admin consent, so that each can be asked for",
                code="InsufficientRights",
            )
        return rows

    async def _memberships(self, groups: Sequence[str], users: Sequence[str]) -> dict[str, list[str]]:
        """Which of the groups each user is a direct member of."""
        if len(users) <= PAIRWISE_UP_TO:
            held = await self.are_members([(group, user) for group in groups for user in users])
            return {user: [group for group in groups if held[group, user]] for user in users}
        lists = await self.members(groups)
        members = {group: {member.id for member in lists[group] or ()} for group in groups}
        return {user: [group for group in groups if user in members[group]] for user in users}


def _names(basics: Iterable[str], mapped: Iterable[str]) -> tuple[str, ...]:
    """Properties for `$select`, each once; relationships are asked for in other ways."""
    return tuple(name for name in dict.fromkeys((*basics, *mapped)) if name not in {"manager", "members"})


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _objects(kind: ObjectType, bodies: Iterable[JSON]) -> list[SourceObject]:
    return [decode.source_object(kind, body) for body in bodies]
