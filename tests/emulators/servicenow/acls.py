"""Access control rules by role: records of sys_security_acl and the roles that sys_security_acl_role ties to them, for
a table (`sys_user`) or a column (`sys_user.email`, `sys_user.*`). A table and an operation without a rule are open
here; where there are rules, one role of any of them is enough, and `admin` always is. Knows names and no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from tests.emulators.servicenow.folding import fold

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

Operation = Literal["read", "write", "create", "delete"]

RULES, RULE_ROLES = "sys_security_acl", "sys_security_acl_role"
GUARDED = frozenset({RULES, RULE_ROLES})
ELEVATED = "security_admin"


class Acls:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def add(self, name: str, operation: Operation, roles: Iterable[str]) -> None:
        """One rule that asks for one of these roles, which are made where the instance does not have them."""
        instance = self._instance
        rule = instance.insert(RULES, {"name": name, "operation": operation, "type": "record"}, by="system")
        for role in roles:
            known = instance.find("sys_user_role", name=role)
            (found,) = known or [instance.insert("sys_user_role", {"name": role}, by="system")]
            instance.insert(
                RULE_ROLES, {"sys_security_acl": rule["sys_id"], "sys_user_role": found["sys_id"]}, by="system"
            )

    def allow(self, user: str, table: str, operation: Operation) -> bool:
        if table not in GUARDED and not self._any:
            return True
        held = self._instance.roles.names_of(user)
        if "admin" in held:
            return True
        if table in GUARDED:
            return operation == "read" and "security_admin" in held
        return self._passes(held, table, operation)

    def forbidden(self, user: str, table: str, operation: Operation) -> frozenset[str]:
        """The columns that this caller may not read or write. The most specific rule decides."""
        if not self._any:
            return frozenset()
        held = self._instance.roles.names_of(user)
        if "admin" in held:
            return frozenset()
        columns = self._instance.table(table).columns
        return frozenset(
            column
            for column in columns
            if not self._passes(
                held,
                f"{table}.{column}" if self._roles_of(f"{table}.{column}", operation) is not None else f"{table}.*",
                operation,
            )
        )

    def guards_members(self, user: str, group: str) -> bool:
        """A rule of the base system, by script (KB0758037): members of a group with this role of its own are changed by
        nobody but who holds it and has elevated to it. `admin` is not enough.
        """
        instance = self._instance
        if instance.switches.elevation == "held" and ELEVATED in instance.roles.names_of(user):
            return False
        roles = instance.data("sys_user_role").by_key
        rows = instance.data("sys_group_has_role")
        carried = {fold(rows.by_key[key].get("role", "")) for key in rows.keys_where("group", fold(group))}
        return any(roles[role].get("name") == ELEVATED for role in carried if role in roles)

    @property
    def _any(self) -> bool:
        return bool(self._instance.data(RULES).by_key)

    def _passes(self, held: set[str], name: str, operation: Operation) -> bool:
        wanted = self._roles_of(name, operation)
        return wanted is None or bool(wanted & held)

    def _roles_of(self, name: str, operation: Operation) -> set[str] | None:
        """Any of these is enough; None where no rule of that name and operation exists."""
        instance = self._instance
        rules = {
            key
            for key in instance.data(RULES).keys_where("name", fold(name))
            if instance.data(RULES).by_key[key].get("operation") == operation
            and instance.data(RULES).by_key[key].get("active") == "true"
        }
        if not rules:
            return None
        roles, ties = instance.data("sys_user_role").by_key, instance.data(RULE_ROLES)
        return {
            roles[fold(ties.by_key[tie].get("sys_user_role", ""))].get("name", "")
            for rule in rules
            for tie in ties.keys_where("sys_security_acl", rule)
        }
