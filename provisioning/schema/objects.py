"""One object mapping of a schema: its table, its columns, its actions and filters, and whether they fit together. Knows
no other object mapping and no instance.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from provisioning.model import ObjectType
from provisioning.schema import enums
from provisioning.schema.attributes import Surroundings, maps_members, read_attribute, read_drift, read_owned
from provisioning.schema.definitions import definitions
from provisioning.schema.document import Entry, shown
from provisioning.schema.enums import OBJECT_FLOWS, OBJECT_MAPPING_METADATA
from provisioning.schema.findings import Report
from provisioning.schema.mappings import AttributeMapping, ObjectMapping, ScopeFilter
from provisioning.schema.scope import read_scope

KNOWN = (
    "id", "name", "enabled", "flowTypes", "metadata", "scope", "sourceObjectName", "targetObjectName",
    "attributeMappings", "internal", *OBJECT_MAPPING_METADATA,
)  # fmt: skip
TABLE = re.compile(r"[a-z]\w{0,79}", re.ASCII | re.IGNORECASE)
TABLES = {"user": "sys_user", "group": "sys_user_group"}
"""What the object names of other gallery applications mean here."""
PREFERRED = "PreferredMatch"
ACTIVE_FIRST = (("active", "true"),)
USUAL = {
    "DisableMonitoringForChanges": {"false", "0"},
    "Disposition": {"normal", "0"},
    "ExcludeFromReporting": {"false", "0"},
    "EscrowBehavior": {"default", "0", "1"},
    "Unsynchronized": {"false", "0"},
}
"""Metadata that would mean something else in Entra with other values; these are the defaults."""
IMMATERIAL = {"OriginalJoiningProperty", "IsCustomerDefined"}


def read_object(entry: Entry, kind: ObjectType, document: Entry, rule: Entry, *, strict: bool) -> ObjectMapping | None:
    """None when the report took an error that leaves nothing to map."""
    entry.leftovers(KNOWN)
    flow_types = read_flow_types(entry)
    if not flow_types and entry.truth("enabled", default=True):
        entry.report.note(entry.where, "none of its actions is ticked, so that it is switched off")
    named = entry.name("targetObjectName")
    table = TABLES.get((named or "").lower(), named)
    if table is not None and not TABLE.fullmatch(table):
        entry.error("targetObjectName", "the name of a table of ServiceNow, such as sys_user")
        return None
    if named is not None and table != named:
        entry.report.note(entry.where, f"targetObjectName {named} is read as the table {table}")
    around = Surroundings(
        kind=kind,
        source=definitions(document, rule.text("sourceDirectoryName") or "Microsoft Entra ID", kind),
        target=definitions(document, rule.text("targetDirectoryName"), named or ""),
        strict=strict,
    )
    entries = entry.entries("attributeMappings")
    attributes = _attributes(entry, entries, around, enabled=bool(flow_types))
    _check_together(entry, attributes)
    preferred = _metadata(entry, table or "")
    if table is None:
        return None
    return ObjectMapping(
        type=kind,
        table=table,
        attributes=attributes,
        flow_types=flow_types,
        scope=_scope(entry, kind, enabled=bool(flow_types), strict=strict),
        members=any(maps_members(each, kind) for each in entries),
        owned=next((read_owned(each) for each in entries if maps_members(each, kind)), False),
        members_drift=next((read_drift(each) for each in entries if maps_members(each, kind)), None),
        preferred=preferred,
    )


def read_flow_types(entry: Entry) -> frozenset[str]:
    """The actions that are ticked; none where the mapping is switched off."""
    given = entry.get("flowTypes")
    found = frozenset(OBJECT_FLOWS) if given is None or given == "" else enums.flags(given, OBJECT_FLOWS)
    if found is None:
        entry.error("flowTypes", f"some of {', '.join(OBJECT_FLOWS)}, or their sum as a number")
    return found or frozenset() if entry.truth("enabled", default=True) else frozenset()


def _attributes(
    entry: Entry, entries: list[Entry], around: Surroundings, *, enabled: bool
) -> tuple[AttributeMapping, ...]:
    """In a mapping that is switched off, an attribute with an error is left out with a warning."""
    attributes: list[AttributeMapping] = []
    for number, each in enumerate(entries, 1):
        target = each.get("targetAttributeName")
        report = Report()
        place = target if isinstance(target, str) and target.strip() else f"mapping {number}"
        read = read_attribute(Entry(each.value, f"{entry.where}, attribute {place}", report), around)
        if enabled or not report.failed:
            entry.report.add(report.findings)
        else:
            entry.report.add_without_errors(report.findings)
            read = None
        if read is not None:
            attributes.append(read)
    return tuple(attributes)


def _scope(entry: Entry, kind: ObjectType, *, enabled: bool, strict: bool) -> ScopeFilter:
    """Nobody is in the scope of a mapping that is switched off, whatever its filters."""
    if enabled:
        return read_scope(entry, kind, strict=strict)
    report = Report()
    found = read_scope(Entry(entry.value, entry.where, report), kind, strict=strict)
    entry.report.add_without_errors(report.findings)
    return ScopeFilter() if report.failed else found


def _check_together(entry: Entry, attributes: tuple[AttributeMapping, ...]) -> None:
    targets = Counter(each.target.lower() for each in attributes)
    for target, number in targets.items():
        if number > 1:
            entry.report.error(
                f"{entry.where}, attribute {target}", f"it is mapped {number} times", "keep one mapping for each column"
            )
    priorities = Counter(each.matching_priority for each in attributes if each.matching_priority > 0)
    if not priorities:
        entry.report.error(
            entry.where,
            "no attribute has a matchingPriority above 0, so that no record can be found",
            "mark the one that identifies an object",
        )
    for priority, number in priorities.items():
        if number > 1:
            key = " with ".join(each.target for each in attributes if each.matching_priority == priority)
            entry.report.note(
                entry.where,
                f"{key} have the same matchingPriority {priority} and match together, as one key; Entra knows single "
                "attributes only",
            )


def _metadata(entry: Entry, table: str) -> tuple[tuple[str, str], ...]:
    """Reports what would mean something in Entra, and gives what tells the records with one key apart."""
    preferred: tuple[tuple[str, str], ...] = ACTIVE_FIRST if table == TABLES["user"] else ()
    for key, value in _pairs(entry):
        name = enums.choice(key, OBJECT_MAPPING_METADATA) or shown(key)
        if key == PREFERRED:
            preferred = _preferred(entry, value)
        elif name not in IMMATERIAL and _plain(value) not in USUAL.get(name, ()):
            entry.report.note(entry.where, f"metadata {name} {shown(value)}: kept in the schema, without effect here")
    return preferred


def _pairs(entry: Entry) -> list[tuple[Any, Any]]:
    """The metadata as keys and values; copies in PascalCase have them as members of the mapping, or as an object."""
    given = entry.get("metadata")
    pairs = [(name, entry.get(name)) for name in OBJECT_MAPPING_METADATA if entry.get(name) is not None]
    if isinstance(given, dict):
        return [*pairs, *given.items()]
    return [*pairs, *((each.get("key"), each.get("value")) for each in entry.entries("metadata"))]


def _plain(value: Any) -> str:
    """Values are JSON in strings, a text with quotes of its own."""
    return value.strip().strip('"').lower() if isinstance(value, str) else str(value).lower()


def _preferred(entry: Entry, value: Any) -> tuple[tuple[str, str], ...]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        entry.report.error(
            entry.where,
            f"metadata {PREFERRED} is {shown(value)}; it must be a JSON object of columns and values",
            'write {"active": "true"}, or {} to prefer no record',
        )
        return ()
    return tuple(found.items())
