"""The dictionary told as rows: sys_dictionary, sys_db_object and sys_choice, as a client reads them to learn the
schema. Knows definitions and nothing of how rows are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from tests.emulators.servicenow.dictionary import Table
from tests.emulators.servicenow.rows import Row

SCHEMA_TABLES = frozenset({"sys_dictionary", "sys_db_object", "sys_choice"})


def rows_of(schema_table: str, dictionary: Mapping[str, Table]) -> Iterator[Row]:
    describe = {"sys_dictionary": _columns, "sys_db_object": _tables, "sys_choice": _choices}[schema_table]
    for definition in dictionary.values():
        yield from describe(definition)


def _tables(table: Table) -> Iterator[Row]:
    yield _row("sys_db_object", table.name, {"name": table.name, "label": table.label, "ws_access": "true"})


def _columns(table: Table) -> Iterator[Row]:
    entry = {"name": table.name, "internal_type": "collection", "column_label": table.label, "active": "true"}
    yield _row("sys_dictionary", table.name, entry)
    for column in table.columns.values():
        yield _row(
            "sys_dictionary",
            f"{table.name}.{column.name}",
            {
                "name": table.name,
                "element": column.name,
                "column_label": column.label,
                "internal_type": column.type,
                "max_length": str(column.max_length),
                "reference": column.reference,
                "mandatory": str(column.mandatory).lower(),
                "unique": str(column.unique).lower(),
                "default_value": column.default,
                "read_only": str(column.read_only).lower(),
                "choice": "0" if column.choices is None else "1",
                "active": "true",
                "display": str(column.name == table.display).lower(),
            },
        )


def _choices(table: Table) -> Iterator[Row]:
    for column in table.columns.values():
        for sequence, (value, label) in enumerate((column.choices or {}).items()):
            fields = {"name": table.name, "element": column.name, "value": value, "label": label}
            fields |= {"language": "en", "inactive": "false", "sequence": str(sequence)}
            yield _row("sys_choice", f"{table.name}.{column.name}.{value}", fields)


def _row(schema_table: str, identity: str, fields: Row) -> Row:
    digest = hashlib.md5(f"{schema_table}:{identity}".encode(), usedforsecurity=False).hexdigest()
    return {"sys_id": digest, "sys_mod_count": "0", **{name: value for name, value in fields.items() if value}}
