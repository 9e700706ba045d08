"""What the deletion of a record takes along: the link rows at either end of it, and every reference to it, which is
left empty. Knows no business rules and no HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.servicenow.schema_tables import SCHEMA_TABLES

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

# Link tables: the rows go with either end. For other tables a deleted record leaves an empty reference.
LINKS = {
    "sys_user_grmember": ("user", "group"),
    "sys_user_has_role": ("user", "role"),
    "sys_group_has_role": ("group", "role"),
    "sys_user_role_contains": ("role", "contains"),
}


def follow(instance: Instance, table: str, key: str) -> None:
    """Called after the row with this key has gone from the table."""
    for other in instance.dictionary.values():
        if other.name in SCHEMA_TABLES:
            continue
        for column, target in other.references.items():
            if target == table and column != "sys_domain":
                _let_go(instance, other.name, column, key)


def _let_go(instance: Instance, table: str, column: str, key: str) -> None:
    rows = instance.data(table)
    kept = instance.switches.membership_cascade if table == "sys_user_grmember" else "deleted"
    for holder in list(rows.keys_where(column, key)):
        if column not in LINKS.get(table, ()) or kept == "cleared":
            rows.change(holder, {column: ""})
        elif kept == "deleted":
            rows.remove(holder)
