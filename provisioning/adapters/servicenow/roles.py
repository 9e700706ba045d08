"""What an instance tells of rights: who holds administrators' roles, which groups carry roles, and which account is our
own. What cannot be read is told apart from what is not there. Does not know what is done about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from provisioning.adapters.servicenow import dictionary
from provisioning.adapters.servicenow.answers import records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.query import lookups
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.adapters.servicenow.scanning import Among, Scan, pages
from provisioning.adapters.servicenow.writing import SYS_ID
from provisioning.errors import ConfigError, Unauthorized
from provisioning.model import Record
from provisioning.rules.comparison import loose
from provisioning.rules.protection import ADMIN_ROLES, SECURITY_ADMIN, Administrators

_GROUPS, _ROLES = "sys_user_group", "sys_user_role"
_HAS_ROLE, _GROUP_HAS_ROLE = "sys_user_has_role", "sys_group_has_role"
_ROLE_NAME = "role.name"
_GROUPS_AT_ONCE = 30  # so many sys_ids fit into an address with room to spare
TABLES = (_GROUPS, _ROLES, _HAS_ROLE, _GROUP_HAS_ROLE)
# The one script that we ever send, a constant: the documented way to ask who one is.
_WHO_AM_I = (
    "/api/now/table/sys_user?sysparm_query=sys_id%3Djavascript:gs.getUserID()&sysparm_fields=sys_id"
    "&sysparm_display_value=false&sysparm_suppress_pagination_header=true&sysparm_limit=2"
)


class Roles:
    def __init__(self, calls: Calls, reader: Reader) -> None:
        self._calls = calls
        self._reader = reader
        self._columns: dictionary.Columns | None = None
        self._learning = asyncio.Lock()

    async def own_account(self) -> str | None:
        """The sys_id of the account that we are logged in with; None where the instance does not tell."""
        rows = records_of(await self._calls.get(_WHO_AM_I))
        if isinstance(rows, Fault):
            if rows.kind == "refused":
                return None
            raise rows.error(self._calls.session.host)
        return rows[0].get("sys_id") if len(rows) == 1 else None  # more: it dropped the condition

    async def administrators(self) -> Administrators:
        """All holders of the roles admin and security_admin, as far as the instance shows them. There always is one, so
        that to see nobody is to see not all.
        """
        try:
            await self._require(_ROLES, ("name",))
            columns = await self._require(_HAS_ROLE, ("user", "role"))
            found = await self._reader.rows(lookups(_ROLES, "name", ADMIN_ROLES, ("name",)))
            roles = {row["sys_id"]: row["name"] for _, rows in found for row in rows}
            if ADMIN_ROLES[0] not in map(loose, roles.values()):
                return Administrators()
            fields = ("user", *(name for name in ("inherited", "granted_by") if name in columns))
            rows, complete = await self._all(Scan(_HAS_ROLE, (Among("role", tuple(sorted(roles))),), fields))
        except (Unauthorized, ConfigError) as error:
            _require_lack_of_rights(error)
            return Administrators()
        ways: dict[str, set[str]] = {}
        for row in rows:
            inherited = row.get("inherited") == "true"
            ways.setdefault(row.get("user", ""), set()).add(row.get("granted_by", "") if inherited else "")
        ways.pop("", None)
        return Administrators({user: frozenset(some) for user, some in ways.items()}, complete and bool(ways))

    async def carrying(self, groups: Collection[str]) -> frozenset[str]:
        """Those of the groups that carry a role, their own or that of a parent, a parent's parent and so on. The rows
        of sys_group_has_role show only a group's own. Raises `Unauthorized` when that cannot be read.
        """
        asked = [sys_id for sys_id in dict.fromkeys(groups) if SYS_ID.fullmatch(sys_id)]
        try:
            await self._require(_GROUPS, ("parent",))
            await self._require(_GROUP_HAS_ROLE, ("group", "role"))
        except ConfigError as error:
            raise self._unreadable() from error
        parents = await self._parents(asked)
        with_roles = await self._with_own_roles(parents)
        return frozenset(group for group in asked if not with_roles.isdisjoint(_lineage(group, parents)))

    async def with_security_admin(self, groups: Collection[str] | None) -> frozenset[str]:
        """Those of the groups, or of all, that the role security_admin is assigned to: what guards a group's members is
        its own role. Raises `Unauthorized` when that cannot be read.
        """
        try:
            await self._require(_GROUP_HAS_ROLE, ("group", _ROLE_NAME))
        except ConfigError as error:
            raise self._unreadable() from error
        role = Among(_ROLE_NAME, (SECURITY_ADMIN,))
        if groups is None:
            rows, complete = await self._all(Scan(_GROUP_HAS_ROLE, (role,), ("group",)))
            if not complete or any("group" not in row for row in rows):
                raise self._unreadable()
            return frozenset(row["group"] for row in rows) - {""}
        asked = [sys_id for sys_id in dict.fromkeys(groups) if SYS_ID.fullmatch(sys_id)]
        found: set[str] = set()
        for start in range(0, len(asked), _GROUPS_AT_ONCE):
            some = tuple(asked[start : start + _GROUPS_AT_ONCE])
            rows, complete = await self._all(Scan(_GROUP_HAS_ROLE, (Among("group", some), role), ()))
            found |= {row["group"] for row in rows}
            if not complete and not found.issuperset(some):
                raise self._unreadable()
        return frozenset(found)

    async def _parents(self, groups: Iterable[str]) -> dict[str, str]:
        """The parent of each group and of each group above; "" for none."""
        parents: dict[str, str] = {}
        unknown = set(groups)
        while unknown:
            found = await self._reader.rows(lookups(_GROUPS, "sys_id", sorted(unknown), ("parent",)))
            rows = [row for _, some in found for row in some]
            if any("parent" not in row for row in rows):
                raise self._unreadable()
            parents |= dict.fromkeys(unknown, "") | {row["sys_id"]: row["parent"] for row in rows}
            unknown = {parent for parent in parents.values() if SYS_ID.fullmatch(parent)} - parents.keys()
        return parents

    async def _with_own_roles(self, groups: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for each in lookups(_GROUP_HAS_ROLE, "group", sorted(groups), ("role",)):
            rows, complete = await self._all(Scan(each.table, (Among(each.field, each.values),), ("role",)))
            if not complete:
                raise self._unreadable()
            found |= {row["group"] for row in rows}
        return found

    async def _all(self, scan: Scan) -> tuple[list[Record], bool]:
        """The rows, and whether they are all: access rules hide rows without a word, but the count has them."""
        rows: list[Record] = []
        total: int | None = None
        doubt = ""
        async for page in pages(self._calls, scan):
            rows += page.rows
            total, doubt = page.total, page.doubt
        return rows, not doubt and total is not None and len(rows) >= total

    async def _require(self, table: str, fields: Collection[str]) -> Collection[str]:
        """The table's columns. Raises `ConfigError` when it lacks one of the fields, or cannot be read."""
        async with self._learning:
            if self._columns is None:
                self._columns = await dictionary.load(self._calls, self._reader, TABLES)
        dictionary.require(self._columns, self._calls.session.host, table, fields)
        return self._columns[table].keys()

    def _unreadable(self) -> Unauthorized:
        return Unauthorized(
            f"{self._calls.session.host}: which groups carry roles cannot be read. Let the integration user read "
            f"{_GROUP_HAS_ROLE}, and parent of {_GROUPS}",
            code="InsufficientRights",
        )


def _lineage(group: str, parents: dict[str, str]) -> set[str]:
    """The group and all above it; a circle is walked once."""
    line: set[str] = set()
    while group and group not in line:
        line.add(group)
        group = parents.get(group, "")
    return line


def _require_lack_of_rights(error: Unauthorized | ConfigError) -> None:
    """Raises what is wrong with the log-in, which says nothing about this table."""
    if isinstance(error, Unauthorized) and error.code not in {"InsufficientRights", "NotPermitted"}:
        raise error
