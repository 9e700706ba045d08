"""One attribute mapping of a schema, with what the definitions of both sides say of it. Knows no other mapping and no
instance.

Clearing has two gates, as in Entra's preview "Flow null values" for inbound provisioning: the source attribute's
definition says `flowNullValues`, and so does the mapping. Microsoft names no member for the second gate: here it is
`flowNullValues: true` on the attributeMapping itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast, get_args

from provisioning.expressions import Expression
from provisioning.model import DriftPolicy, ObjectType
from provisioning.schema.definitions import Definition, Definitions
from provisioning.schema.document import Entry, shown
from provisioning.schema.enums import FLOW_BEHAVIORS, FLOW_TYPES
from provisioning.schema.findings import Report
from provisioning.schema.mappings import AttributeMapping, FlowType, Lookup, ReferencePolicy
from provisioning.schema.names import IS_SOFT_DELETED, MEMBER_OF, OBJECT_FILTER, ROLES
from provisioning.schema.source_names import check_name
from provisioning.schema.sources import read_source

KNOWN = (
    "targetAttributeName", "source", "defaultValue", "matchingPriority", "flowType", "flowBehavior",
    "exportMissingReferences", "flowNullValues", "referencedObjects", "reference", "drift", "owned",
)  # fmt: skip
ANCHOR = "sys_id"
MEMBERS = "members"
COLUMN = re.compile(r"[A-Za-z_]\w*", re.ASCII)
CHANGING = frozenset({"Guid", "Now", "RandomString"})
"""Functions whose result is another one at each evaluation."""
UNWRAPPED = (
    "appRoleAssignments holds objects and cannot be mapped directly",
    "map SingleAppRoleAssignment([appRoleAssignments]), or one of the other functions for app roles",
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the object mapping around an attribute mapping knows."""

    kind: ObjectType
    source: Definitions
    target: Definitions
    strict: bool


def read_attribute(entry: Entry, around: Surroundings) -> AttributeMapping | None:
    """None for a group's members, which are no column, and when the report took an error."""
    entry.leftovers(KNOWN)
    target = entry.name("targetAttributeName")
    if target is None:
        return None
    if target == MEMBERS:
        _check_members(entry, around)
        return None
    definition = around.target.of(target, entry.report)
    _check_target(entry, target, definition)
    if definition is None and around.target and target != OBJECT_FILTER:
        entry.report.note(
            entry.where, "the schema's own list of attributes lacks it; the instance's dictionary decides"
        )
    given = entry.get("source")
    source = _source(entry, around) if given is not None else None
    if given is not None and source is None:
        return None
    default = _default(entry, definition)
    flow_type = cast("FlowType", entry.choice("flowType", FLOW_TYPES))
    mapping = AttributeMapping(
        target=target,
        source=source,
        default=default,
        matching_priority=entry.whole("matchingPriority"),
        flow_type=_flow_type(entry, flow_type, definition),
        flow_always=entry.choice("flowBehavior", FLOW_BEHAVIORS) == "FlowAlways",
        clears=_clears(entry, source, definition, around),
        required=definition is not None and definition.required,
        case_exact=not around.strict or (definition is not None and definition.case_exact),
        lookup=_lookup(entry),
        drift=read_drift(entry),
    )
    if source is None and default is None:
        entry.report.warning(
            entry.where, "it has neither a source nor a defaultValue, so that nothing is ever written", "remove it"
        )
    if entry.truth("exportMissingReferences", default=False):
        entry.report.note(
            entry.where, "exportMissingReferences has no effect: references that are missing are looked for again"
        )
    _check_use(entry.where, entry.report, mapping)
    return mapping


def read_drift(entry: Entry) -> DriftPolicy | None:
    """An addition of ours to Microsoft's format."""
    if entry.get("drift") is None:
        return None
    return cast("DriftPolicy", entry.choice("drift", get_args(DriftPolicy)))


def read_owned(entry: Entry) -> bool | frozenset[str]:
    """An addition of ours to Microsoft's format, on the mapping of `members`: true, or names and object ids."""
    given = entry.get("owned")
    if given is None or isinstance(given, bool):
        return bool(given)
    if isinstance(given, list) and given and all(isinstance(each, str) and each.strip() for each in given):
        return frozenset(each.strip() for each in given)
    entry.error("owned", "true, false, or a list of names or object ids of groups")
    return False


def maps_members(entry: Entry, kind: ObjectType) -> bool:
    return kind == "group" and entry.get("targetAttributeName") == MEMBERS


def _check_members(entry: Entry, around: Surroundings) -> None:
    if around.kind == "user":
        entry.report.error(
            entry.where, "a user has no members", "map members in the object mapping of groups, or remove it"
        )
        return
    source = entry.entry("source")
    found = read_source(source, strict=around.strict) if source is not None else None
    if source is None or (found is not None and found.direct != MEMBERS):
        entry.report.warning(
            entry.where, "the members of a group are always those it has in Entra, whatever the source", "map [members]"
        )
    if entry.whole("matchingPriority"):
        entry.report.error(entry.where, "members identify no group", "set its matchingPriority to 0")


def _check_target(entry: Entry, target: str, definition: Definition | None) -> None:
    if target == ANCHOR or (definition is not None and definition.anchor):
        entry.report.error(entry.where, "a record's own id cannot be written", "remove the mapping")
    elif not COLUMN.fullmatch(target):
        entry.report.error(
            entry.where, f"{shown(target)} is not the name of a column", "write the name that the dictionary has"
        )
    if definition is not None and definition.mutability == "ReadOnly":
        entry.report.error(
            entry.where,
            "the schema's attribute definition says that it is ReadOnly",
            "remove the mapping, or correct the definition's mutability",
        )
    if definition is not None and definition.mutability == "WriteOnly":
        entry.report.note(
            entry.where, "mutability WriteOnly has no effect: the column is read to see whether it changes"
        )


def _source(entry: Entry, around: Surroundings) -> Expression | None:
    given = entry.entry("source")
    found = read_source(given, strict=around.strict) if given is not None else None
    if found is None:
        return None
    for name in sorted(found.attributes):
        check_name(name, around.kind, entry.where, entry.report)
    if found.direct == ROLES:
        entry.report.error(entry.where, *UNWRAPPED)
        return found
    for note in found.notes:
        entry.report.warning(entry.where, f"{note}: {shown(found.source)}")
    if MEMBER_OF in found.attributes:
        entry.report.warning(
            entry.where,
            "memberOf holds those groups only that the scoping filters of this object mapping name",
            "name them in a filter, or map something else",
        )
    return found


def _default(entry: Entry, definition: Definition | None) -> str | None:
    """That of the definition counts for a required attribute only, as Microsoft has it."""
    given = entry.get("defaultValue")
    if given is not None and not isinstance(given, str):
        entry.error("defaultValue", "a string")
        return None
    return given or (definition.default if definition is not None and definition.required else None)


def _flow_type(entry: Entry, given: FlowType, definition: Definition | None) -> FlowType:
    if definition is None or definition.mutability != "Immutable" or given == "ObjectAddOnly":
        return given
    entry.report.warning(
        entry.where,
        f"the attribute definition says Immutable, so that it is written at creation only; flowType is {given}",
        "set flowType to ObjectAddOnly",
    )
    return "ObjectAddOnly"


def _clears(entry: Entry, source: Expression | None, definition: Definition | None, around: Surroundings) -> bool:
    if not entry.truth("flowNullValues", default=False):
        return False
    read = [] if source is None else [around.source.of(name, entry.report) for name in sorted(source.attributes)]
    refusals: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: entry.whole("matchingPriority") > 0, "it is a matching attribute"),
        (lambda: definition is not None and definition.required, "it is required"),
        (lambda: definition is not None and definition.multivalued, "it holds several values"),
        (lambda: not read, "it reads no source attribute"),
        (
            lambda: not all(each is not None and each.flows_null for each in read),
            "the definition of a source attribute that it reads does not say flowNullValues",
        ),
    )
    reason = next((told for refuses, told in refusals if refuses()), None)
    if reason is not None:
        entry.report.warning(
            entry.where,
            f"flowNullValues has no effect: {reason}; null leaves the column as it is",
            "set flowNullValues on the source attribute's definition too, of an optional attribute with one value",
        )
    return reason is None


def _lookup(entry: Entry) -> Lookup:
    """An addition of ours to Microsoft's format: what the column's reference is looked up by, and what if it is not
    there.
    """
    given = entry.entry("reference")
    if given is None:
        return Lookup()
    given.leftovers(("policy", "column", "default"))
    policy = cast("ReferencePolicy", given.choice("policy", get_args(ReferencePolicy)))
    column, default = given.text("column") or "", given.text("default") or ""
    if column and not COLUMN.fullmatch(column):
        given.error("column", "the name of a column of the table that is referred to")
    if policy == "default" and not default:
        given.error("default", "the display value to write where the mapped one does not exist")
    if policy != "default" and default:
        entry.report.warning(entry.where, f"default of reference has no effect with policy {policy}", "remove it")
    return Lookup(policy, column, default)


def _check_use(where: str, report: Report, mapping: AttributeMapping) -> None:
    source, matching = mapping.source, mapping.matching_priority > 0
    if matching and mapping.target == OBJECT_FILTER:
        report.error(where, "objectFilter identifies nobody", "set its matchingPriority to 0")
    elif matching and (source is None or source.constant is not None or not source.attributes):
        report.error(where, "a constant identifies nobody", "match on an attribute")
    elif matching and source is not None and source.unique:
        report.error(
            where,
            "SelectUniqueValue makes a value that nobody has yet, so that it finds nobody",
            "match on an attribute",
        )
    elif matching and IS_SOFT_DELETED in mapping.attributes:
        report.warning(where, "IsSoftDeleted changes when somebody leaves; the record is then found no more")
    if source is None or mapping.flow_type == "ObjectAddOnly":
        return
    if source.unique:
        report.warning(
            where,
            f"SelectUniqueValue with flowType {mapping.flow_type} looks for another value once none of its rules gives "
            "the present one",
            "set flowType to ObjectAddOnly",
        )
    elif changing := sorted(source.functions & CHANGING):
        report.warning(
            where,
            f"{', '.join(changing)} can give another value at each evaluation, which is then written each time",
            "set flowType to ObjectAddOnly",
        )
