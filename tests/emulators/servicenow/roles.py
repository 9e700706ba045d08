"""Who holds which role: by a grant, by being in a group, by the parents of that group, and by roles that contain
others. After each write that matters the inherited rows of sys_user_has_role are made right again, as the instance
does it: whoever deletes one gets it back. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from tests.emulators.servicenow.folding import fold

if TYPE_CHECKING:
    from tests.emulators.servicenow.rows import Row
    from tests.emulators.servicenow.state import Instance

# Writes to these tables can change what somebody holds.
CONCERNED = frozenset(
    {"sys_user_grmember", "sys_group_has_role", "sys_user_group", "sys_user_has_role", "sys_user_role_contains"}
)


class Roles:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def of_group(self, group: str) -> set[str]:
        """The keys of the roles that members get: the group's own, its parents', and what these contain."""
        granted = {fold(row["role"]) for one in self._lineage(group) for row in self._granted_to(one)}
        return self._with_contained(granted)

    def names_of(self, user_name: str) -> set[str]:
        """The names of all roles of a user."""
        users, roles = self._instance.data("sys_user"), self._instance.data("sys_user_role").by_key
        return {
            roles[fold(row["role"])].get("name", "")
            for user in users.keys_where("user_name", fold(user_name))
            for row in self._rows("sys_user_has_role", "user", user)
            if fold(row.get("role", "")) in roles
        }

    def concerned(self, table: str, *rows: Mapping[str, str]) -> set[str]:
        """The users whose inherited roles these rows, old or new, may decide."""
        match table:
            case "sys_user_grmember":
                return {fold(row.get("user", "")) for row in rows if self.of_group(row.get("group", ""))}
            case "sys_user_has_role":
                return {fold(row.get("user", "")) for row in rows}
            case "sys_group_has_role":
                return self._members(row.get("group", "") for row in rows)
            case "sys_user_group":
                return self._members(row.get("sys_id", "") for row in rows)
            case "sys_user_role_contains":
                return {fold(row.get("user", "")) for row in self._instance.data("sys_user_has_role").by_key.values()}
        return set()

    def settle(self, users: Iterable[str]) -> None:
        """Makes the inherited rows of these users what their groups and roles say."""
        for user in users:
            if user in self._instance.data("sys_user").by_key:
                self._settle(user)

    def _settle(self, user: str) -> None:
        present: dict[str, str] = {}
        direct: set[str] = set()
        for row in self._rows("sys_user_has_role", "user", user):
            if row.get("inherited") == "true":
                present[fold(row.get("role", ""))] = fold(row["sys_id"])
            else:
                direct.add(fold(row.get("role", "")))
        wanted = dict.fromkeys(self._with_contained(direct) - direct, "")
        for membership in self._rows("sys_user_grmember", "user", user):
            group = membership.get("group", "")
            wanted |= {role: group for role in self.of_group(group) if not wanted.get(role)}
        known = self._instance.data("sys_user_role").by_key
        for role in wanted.keys() - present.keys():
            if role in known:
                self._inherit(user, known[role]["sys_id"], wanted[role])
        for role in present.keys() - wanted.keys():
            self._instance.data("sys_user_has_role").remove(present[role])
            self._instance.version += 1

    def _inherit(self, user: str, role: str, group: str) -> None:
        sys_id = hashlib.md5(f"inherited:{user}:{role}".encode(), usedforsecurity=False).hexdigest()
        fields = {"user": self._instance.data("sys_user").by_key[user]["sys_id"], "role": role, "granted_by": group}
        self._instance.writing.store("sys_user_has_role", sys_id, fields | {"inherited": "true", "state": "active"})

    def _members(self, groups: Iterable[str]) -> set[str]:
        """Everybody in these groups and in the groups below them."""
        below: set[str] = set()
        waiting = [fold(group) for group in groups]
        while waiting:
            group = waiting.pop()
            if group and group not in below:
                below.add(group)
                waiting += [fold(row["sys_id"]) for row in self._rows("sys_user_group", "parent", group)]
        return {fold(row.get("user", "")) for one in below for row in self._rows("sys_user_grmember", "group", one)}

    def _lineage(self, group: str) -> Iterator[str]:
        """The group and its parents; a circle is walked once."""
        groups, seen = self._instance.data("sys_user_group").by_key, set()
        key = fold(group)
        while key in groups and key not in seen:
            seen.add(key)
            yield key
            key = fold(groups[key].get("parent", ""))

    def _granted_to(self, group: str) -> Iterator[Row]:
        return (row for row in self._rows("sys_group_has_role", "group", group) if row.get("role"))

    def _with_contained(self, roles: set[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(roles)
        while waiting:
            role = waiting.pop()
            if role not in found:
                found.add(role)
                waiting += [fold(row.get("contains", "")) for row in self._rows("sys_user_role_contains", "role", role)]
        return found - {""}

    def _rows(self, table: str, column: str, key: str) -> Iterator[Row]:
        rows = self._instance.data(table)
        return (rows.by_key[one] for one in list(rows.keys_where(column, key)))
