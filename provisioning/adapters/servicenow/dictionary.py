"""Learns the instance's columns: from sys_dictionary with the tables that each table extends, or where that cannot be
read from the form metadata, which ordinary table access suffices for. Knows no mapping and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from provisioning.adapters.servicenow.answers import body_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.query import Lookup, lookups
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.errors import ConfigError, Unauthorized
from provisioning.model import Column, Record

_FIELDS = ("element", "internal_type", "max_length", "reference", "read_only", "active", "choice", "display")
_MOST_COLUMNS = 2_000
_DEEPEST = 10
"""Steps from a table to the root of its family; a guard against a ring."""

Columns = Mapping[str, Mapping[str, Column]]


async def load(calls: Calls, reader: Reader, tables: Sequence[str]) -> Columns:
    """Columns by table and name. A table that this user cannot learn about is absent; none at all is an error."""
    columns = await _from_dictionary(reader, tables)
    for table in tables:
        if not columns.get(table):
            columns[table] = await _from_metadata(calls, table)
    known = {table: found for table, found in columns.items() if found}
    if not known:
        raise Unauthorized(
            f"{calls.session.host}: no table's columns can be read. Give the integration user the role "
            "personalize_dictionary, or a role that reads the tables",
            code="InsufficientRights",
        )
    return known


def require(columns: Columns, host: str, table: str, fields: Iterable[str]) -> None:
    """Raises `ConfigError` for what the instance lacks: names that it does not know it ignores, in a filter too, and
    then answers with everybody.
    """
    known = columns.get(table)
    if known is None:
        raise ConfigError(
            f"SchemaAttributeNotFound: {host} has no table {table}, or hides it. Entra administrator: correct the "
            "mapping. ServiceNow administrator: let the integration user read the table"
        )
    for name in fields:
        if name != "sys_id" and name.partition(".")[0] not in known:
            raise ConfigError(
                f"SchemaAttributeNotFound: table {table} of {host} has no field {name}. Entra administrator: correct "
                "the mapping. ServiceNow administrator: create the field in ServiceNow"
            )


async def _from_dictionary(reader: Reader, tables: Sequence[str]) -> dict[str, dict[str, Column]]:
    try:
        families = await _families(reader, tables)
        names = {name for family in families.values() for name in family}
        rows = await _rows(reader, "sys_dictionary", names, _FIELDS)
    except (Unauthorized, ConfigError):
        return {}
    by_table: dict[str, list[Record]] = {}
    for row in rows:
        by_table.setdefault(row["name"], []).append(row)
    return {
        # A table's own entry comes last: it overrides the one it inherits.
        table: {
            row["element"]: _column(row)
            for name in reversed(family)
            for row in by_table.get(name, ())
            if _is_column(row)
        }
        for table, family in families.items()
        if table in by_table
    }


async def _families(reader: Reader, tables: Iterable[str]) -> dict[str, list[str]]:
    """Each table with those it extends, nearest first."""
    extends: dict[str, str] = {}
    unknown = set(tables)
    for _ in range(_DEEPEST):
        rows = await _rows(reader, "sys_db_object", unknown, ("super_class.name",))
        extends |= dict.fromkeys(unknown, "") | {row["name"]: row.get("super_class.name", "") for row in rows}
        unknown = {parent for parent in extends.values() if parent} - extends.keys()
        if not unknown:
            break
    families = {}
    for table in tables:
        family = [table]
        while (parent := extends.get(family[-1], "")) and parent not in family:
            family.append(parent)
        families[table] = family
    return families


async def _rows(reader: Reader, table: str, names: Iterable[str], fields: Sequence[str]) -> list[Record]:
    asked: list[Lookup] = list(lookups(table, "name", sorted(names), fields, rows_each=_MOST_COLUMNS))
    return [row for _, rows in await reader.rows(asked) for row in rows]


async def _from_metadata(calls: Calls, table: str) -> dict[str, Column]:
    body = body_of(await calls.get(f"/api/now/ui/meta/{table}"))
    if isinstance(body, Fault):
        if body.kind in {"refused", "missing", "no table"}:
            return {}
        raise body.error(calls.session.host)
    result = body.get("result")
    described = result.get("columns") if isinstance(result, dict) else None
    if not isinstance(described, dict):
        return {}
    return {name: _described(name, each) for name, each in described.items() if isinstance(each, dict)}


def _is_column(row: Record) -> bool:
    return bool(row.get("element")) and row.get("internal_type") != "collection" and row.get("active") != "false"


def _column(row: Record) -> Column:
    return Column(
        row["element"],
        row.get("internal_type", "string"),
        _length(row.get("max_length")),
        row.get("reference") or None,
        row.get("read_only") == "true",
        row.get("choice", "") not in {"", "0"},
        row.get("display") == "true",
    )


def _described(name: str, each: Mapping[str, Any]) -> Column:
    return Column(
        name,
        str(each.get("type") or "string"),
        _length(each.get("max_length")),
        str(each.get("reference") or "") or None,
        each.get("read_only") in {True, "true"},
        bool(each.get("choices")),
    )


def _length(value: Any) -> int:
    """A column without a length is one whose length does not bind us."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
