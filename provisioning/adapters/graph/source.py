"""The engine's questions about users, groups and assignments, put to Graph. Which properties are asked for is given by
the caller; who is in scope and what follows from it is not known here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from provisioning.adapters.graph import decode
from provisioning.adapters.graph.answers import Call, NotThere, link_of, next_of, values_of
from provisioning.adapters.graph.batch import JSON, PAGE, Batches, literal, relative
from provisioning.adapters.graph.calls import (
    APPLICATION,
    ASSIGNMENTS,
    CHANGES,
    DELETED,
    GROUPS,
    ORGANIZATION,
    USERS,
)
from provisioning.adapters.graph.grants import Grants
from provisioning.adapters.graph.memberships import Memberships
from provisioning.adapters.graph.session import GraphSession, Query, Where
from provisioning.errors import ConfigError, ObjectError, Unavailable
from provisioning.model import (
    Assignment,
    AssignmentPage,
    DeltaPage,
    Member,
    ObjectPage,
    ObjectType,
    ServicePrincipal,
    SourceObject,
)

logger = logging.getLogger(__name__)

IDS_IN_FILTER = 15
USER_BASICS = ("id", "accountEnabled", "userPrincipalName", "displayName")
GROUP_BASICS = ("id", "displayName", "securityEnabled")
SEARCHED: Mapping[ObjectType, tuple[str, ...]] = {
    "user": ("displayName", "givenName", "surname", "userPrincipalName", "mail"),
    "group": ("displayName", "mailNickname"),
}
"""What a name may be. Of these Graph tells the beginning without an index that lags behind, the end of none."""
APPLICATION_PROPERTIES = ("id", "appId", "displayName", "appRoles", "appRoleAssignmentRequired", "accountEnabled")
MANAGER_ID = "manager($select=id)"

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
        self._memberships = Memberships(self._batches)
        self._grants = Grants(self._batches, self._memberships, self._all_assignments)

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
        next_link, delta_link = next_of(body, link, call), link_of(body, "@odata.deltaLink", call)
        if not next_link and not delta_link:
            raise Unavailable(
                f"a page of {call.what} from Microsoft Graph says neither how to go on nor that it is the last"
            )
        found = tuple(decode.changes(kind, values_of(body, call)))
        logger.debug("delta page read", extra={"kind": kind, "changes": len(found), "last": not next_link})
        return DeltaPage(found, next_link, None if next_link else delta_link)

    async def assignments(self, link: str | None) -> AssignmentPage:
        """Raises `CursorExpired` for a link kept too long: read the list from its beginning."""
        resource = await self._resource_id()

        def assigned_to(graph: Any) -> Any:
            return graph.service_principals.by_service_principal_id(resource).app_role_assigned_to

        if link is None:
            body = await self._session.read(assigned_to, ASSIGNMENTS, Query(top=PAGE))
        else:
            body = await self._session.follow(assigned_to, link, ASSIGNMENTS)
        rows = tuple(decode.assignment(row) for row in values_of(body, ASSIGNMENTS))
        return AssignmentPage(rows, next_of(body, link, ASSIGNMENTS))

    async def members(self, groups: Collection[str]) -> Mapping[str, tuple[Member, ...] | None]:
        return await self._memberships.members(groups)

    async def users(self, ids: Collection[str]) -> Mapping[str, SourceObject]:
        expand = {"expand": MANAGER_ID} if self._with_manager else {}
        bodies = await self._by_ids("user", ids, USERS, expand)
        found = map(decode.user_with_manager, bodies) if self._with_manager else _objects("user", bodies)
        return {user.id: user for user in found}

    async def groups(self, ids: Collection[str]) -> Mapping[str, SourceObject]:
        bodies = await self._by_ids("group", ids, GROUPS, {})
        return {group.id: group for group in _objects("group", bodies)}

    async def objects(self, kind: ObjectType, properties: Collection[str], link: str | None) -> ObjectPage:
        call = USERS if kind == "user" else GROUPS
        with_manager = kind == "user" and "manager" in properties
        if link is None:
            basics = USER_BASICS if kind == "user" else GROUP_BASICS
            expand = (MANAGER_ID,) if with_manager else None
            query = Query(select=_names(basics, properties), top=PAGE, expand=expand)
            body = await self._session.read(_COLLECTION[kind], call, query)
        else:
            body = await self._session.follow(_COLLECTION[kind], link, call)
        bodies = values_of(body, call)
        found = map(decode.user_with_manager, bodies) if with_manager else _objects(kind, bodies)
        return ObjectPage(tuple(found), next_of(body, link, call))

    async def grants(self, kind: ObjectType, ids: Collection[str]) -> Mapping[str, tuple[Assignment, ...] | None]:
        return await self._grants.of(kind, ids, await self._resource_id())

    async def are_members(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
        return await self._memberships.are_members(pairs)

    async def deleted(self, kind: ObjectType, ids: Collection[str]) -> frozenset[str]:
        once = _once(ids)
        urls = [relative("directory", "deletedItems", one, select="id") for one in once]
        found = await self._batches.objects(urls, DELETED[kind])
        return frozenset(one for one, body in zip(once, found, strict=True) if body is not None)

    async def default_domain(self) -> str | None:
        query = Query(select=("id", "verifiedDomains"))
        body = await self._session.read(lambda graph: graph.organization, ORGANIZATION, query)
        domains = [name for found in values_of(body, ORGANIZATION) for name in decode.default_domains(found)]
        return next(iter(domains), None)

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

    async def search(self, kind: ObjectType, text: str, top: int) -> Sequence[SourceObject]:
        call, names = (USERS, SEARCHED["user"]) if kind == "user" else (GROUPS, SEARCHED["group"])
        query = Query(
            select=_names(USER_BASICS if kind == "user" else GROUP_BASICS, ("mail",)),
            filter=" or ".join(f"startswith({name},{literal(text)})" for name in names),
            top=top,
        )
        return _objects(kind, values_of(await self._session.read(_COLLECTION[kind], call, query), call))

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

    async def _all_assignments(self) -> list[Assignment]:
        rows: list[Assignment] = []
        link = None
        while True:
            page = await self.assignments(link)
            rows += page.assignments
            link = page.next_link
            if link is None:
                return rows


def _names(basics: Iterable[str], mapped: Iterable[str]) -> tuple[str, ...]:
    """Properties for `$select`, each once; relationships are asked for in other ways."""
    return tuple(name for name in dict.fromkeys((*basics, *mapped)) if name not in {"manager", "members"})


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _objects(kind: ObjectType, bodies: Iterable[JSON]) -> list[SourceObject]:
    return [decode.source_object(kind, body) for body in bodies]
