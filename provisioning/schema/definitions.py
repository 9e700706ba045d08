"""The attribute definitions of a schema's directories: which attributes are required, may be written, hold several
values. Knows no mapping; a definition is read when a mapping asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.schema.document import Entry
from provisioning.schema.enums import MUTABILITIES
from provisioning.schema.findings import Report
from provisioning.schema.names import graph_path

ENTRA = frozenset({"azure active directory", "microsoft entra id"})


@dataclass(frozen=True, slots=True)
class Definition:
    """What a mapping needs of an attributeDefinition."""

    anchor: bool
    required: bool
    case_exact: bool
    multivalued: bool
    flows_null: bool
    mutability: str
    default: str | None


class Definitions:
    """The attributes of one object of one directory; none where the schema lists none. Names count in any case."""

    def __init__(self, entries: list[Entry], where: str) -> None:
        self._where = where
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            name = entry.get("name")
            if isinstance(name, str):
                self._entries.setdefault(name.lower(), entry)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def of(self, name: str, report: Report) -> Definition | None:
        """Looked for under the name that the schema uses, then under Graph's."""
        entry = self._entries.get(name.lower()) or self._entries.get(graph_path(name).lower())
        if entry is None:
            return None
        place = Entry(entry.value, f"{self._where}, attribute {name}", report)
        default = place.get("defaultValue")
        if default is not None and not isinstance(default, str):
            place.error("defaultValue", "a string")
        return Definition(
            anchor=place.truth("anchor", default=False),
            required=place.truth("required", default=False),
            case_exact=place.truth("caseExact", default=False),
            multivalued=place.truth("multivalued", default=False),
            flows_null=place.truth("flowNullValues", default=False),
            mutability=place.choice("mutability", MUTABILITIES),
            default=default if isinstance(default, str) and default else None,
        )


NOTHING = Definitions([], "")


def definitions(document: Entry, directory: str | None, name: str) -> Definitions:
    """Those of an object. Entra goes by both of its names; without a directory's name the only other one is meant."""
    wanted = (directory or "").strip().lower()
    for entry in document.entries("directories"):
        own = str(entry.get("name")).strip().lower()
        same = own == wanted or (own in ENTRA and wanted in ENTRA) or (not wanted and own not in ENTRA)
        found = _object(entry, name) if same else None
        if found is not None:
            return Definitions(found.entries("attributes"), f"directory {entry.get('name')}, object {name}")
    return NOTHING


def _object(directory: Entry, name: str) -> Entry | None:
    for entry in directory.at(f"directory {directory.get('name')}").entries("objects"):
        if str(entry.get("name")).lower() == name.lower():
            return entry.at(f"directory {directory.get('name')}, object {name}")
    return None
