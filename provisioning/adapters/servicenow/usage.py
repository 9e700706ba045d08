"""What a job needs of each table of an instance: the columns that it reads, those that it searches by, what it may do
to records. Follows from the job's schema and the instance's dictionary; asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from provisioning.model import Column
from provisioning.schema import ObjectMapping, Schema
from provisioning.schema.names import OBJECT_FILTER

MEMBERSHIPS = "sys_user_grmember"
DISPLAY = "name"

Columns = Mapping[str, Mapping[str, Column]]


class Usage(Struct, frozen=True):
    """`reads` begins with sys_id and contains `searches`; `writes` are columns. `adds`, `changes` and `removes` tell
    what may happen to records; what is only referred to is none of these.
    """

    table: str
    reads: tuple[str, ...]
    searches: tuple[str, ...]
    writes: tuple[str, ...] = ()
    adds: bool = False
    changes: bool = False
    removes: bool = False

    @property
    def changes_records(self) -> bool:
        return self.adds or self.changes or self.removes


def usages(schema: Schema, columns: Columns) -> tuple[Usage, ...]:
    """Mappings that are switched off need nothing. Of tables that are referred to only the display field is read."""
    found: dict[str, Usage] = {}
    for mapping in (schema.user, schema.group):
        if mapping.enabled:
            found[mapping.table] = _of_mapping(mapping)
    if schema.group.enabled and schema.group.writes_members:
        both = ("group", "user")
        found[MEMBERSHIPS] = Usage(MEMBERSHIPS, ("sys_id", *both), both, both, adds=True, removes=True)
    for mapping in (schema.user, schema.group):
        if mapping.enabled:
            for table in _referred(mapping, columns):
                found.setdefault(table, Usage(table, ("sys_id", DISPLAY), (DISPLAY,)))
    return tuple(found.values())


def _of_mapping(mapping: ObjectMapping) -> Usage:
    mapped = [name for name in mapping.columns if name != OBJECT_FILTER]
    keys = [attribute.target for key in mapping.matching for attribute in key]
    return Usage(
        mapping.table,
        _unique("sys_id", *keys, *mapped, *(name for name, _ in mapping.preferred)),
        _unique("sys_id", *keys),
        _unique(*mapped),
        adds="Add" in mapping.flow_types,
        changes="Update" in mapping.flow_types,
        removes="Delete" in mapping.flow_types,
    )


def _referred(mapping: ObjectMapping, columns: Columns) -> Iterable[str]:
    known = columns.get(mapping.table, {})
    for name in mapping.columns:
        if (column := known.get(name)) is not None and column.reference:
            yield column.reference


def _unique(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
