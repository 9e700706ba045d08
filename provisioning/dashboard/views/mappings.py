"""Mappings and scoping filters in words. Pure: knows the schema, no object and no value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioning.dashboard.views.wording import listed
from provisioning.schema import AttributeMapping, Clause, FilterGroup, ObjectMapping, Schema
from provisioning.schema.names import OBJECT_FILTER

KINDS = {"user": "Users", "group": "Groups"}
FLOWS = {
    "Always": "",
    "ObjectAddOnly": "only when the record is created",
    "AttributeAddOnly": "only while the column is empty",
    "MultiValueAddOnly": "values are added, never taken away",
    "ValueAddOnly": "values are added, never taken away",
}
OPERATORS = {
    "EQUALS": "is",
    "NOT EQUALS": "is not",
    "IS TRUE": "is true",
    "IS FALSE": "is false",
    "IS NULL": "is empty",
    "IS NOT NULL": "is not empty",
    "REGEX MATCH": "matches the pattern",
    "NOT REGEX MATCH": "does not match the pattern",
    "Greater_Than": "is greater than",
    "Greater_Than_OR_EQUALS": "is at least",
    "Includes": "contains",
    "ENDS_WITH": "ends with",
    "&": "has one of the bits",
    "!&": "has none of the bits",
}
ACTIONS = {"Add": "create", "Update": "update", "Delete": "delete"}
DRIFT = {
    "report": "changes made in ServiceNow are told and left",
    "enforce": "changes made in ServiceNow are overwritten",
    "adopt": "changes made in ServiceNow stay",
}
POLICIES = {
    "omit": "",
    "fail": "fails where there is none",
    "create": "is created where there is none",
    "default": "else the one of {default}",
}


@dataclass(frozen=True, slots=True)
class MappingView:
    """One column: what it is made of, and when it is written."""

    column: str
    made_of: str
    when: str


@dataclass(frozen=True, slots=True)
class KindView:
    """The mappings of users or of groups."""

    title: str
    table: str
    summary: tuple[str, ...]
    scope: tuple[str, ...]
    mappings: tuple[MappingView, ...]


def schema_view(schema: Schema) -> tuple[KindView, ...]:
    return tuple(_kind(mapping) for mapping in (schema.user, schema.group))


def _kind(mapping: ObjectMapping) -> KindView:
    return KindView(
        KINDS[mapping.type],
        mapping.table,
        tuple(_summary(mapping)),
        tuple(_scope(mapping)),
        tuple(MappingView(each.target, source_words(each), "; ".join(_when(each))) for each in mapping.attributes),
    )


def _summary(mapping: ObjectMapping) -> Iterator[str]:
    noun = f"{mapping.type}s"
    if not mapping.enabled:
        yield f"Switched off: no {mapping.type} is provisioned."
        return
    allowed = [word for flow, word in ACTIONS.items() if flow in mapping.flow_types]
    yield f"The job may {listed(allowed)} records of {noun} in {mapping.table}."
    keys = [" with ".join(each.target for each in key) for key in mapping.matching]
    yield f"A record is found by {', then by '.join(keys)}."
    if mapping.type == "group":
        yield f"Members of groups are {'provisioned as well' if mapping.writes_members else 'left alone'}."


def _scope(mapping: ObjectMapping) -> Iterator[str]:
    for group in mapping.scope.input_groups:
        yield f"Before everything else, one of these must hold: {filter_words(group)}. Who does not pass is left alone."
    for number, group in enumerate(mapping.scope.groups):
        yield f"{'or ' if number else ''}{filter_words(group)}"


def filter_words(group: FilterGroup) -> str:
    clauses = " and ".join(clause_words(each) for each in group.clauses)
    return f"{group.name}: {clauses or 'everything passes'}"


def clause_words(clause: Clause) -> str:
    values = " or ".join(f"“{value}”" for value in clause.values)
    return f"{clause.attribute} {OPERATORS[clause.operator]}{f' {values}' if values else ''}"


def source_words(each: AttributeMapping) -> str:
    """What a column is made of."""
    source = each.source
    if source is None:
        return f"nothing; “{each.default}” while it is empty" if each.default else "nothing"
    if source.direct is not None:
        return source.direct
    if source.constant is not None:
        return f"always “{source.constant}”"
    return source.text


def _when(each: AttributeMapping) -> Iterator[str]:
    if each.target == OBJECT_FILTER:
        yield "no column: says whom to skip"
    if each.matching_priority > 0:
        yield f"matches records, precedence {each.matching_priority}"
    if FLOWS[each.flow_type]:
        yield FLOWS[each.flow_type]
    if each.flow_always:
        yield "sent with every update"
    if each.default is not None and each.source is not None:
        yield f"“{each.default}” if there is no value at creation"
    if each.clears:
        yield "emptied when there is no value"
    if each.required:
        yield "nothing is created without a value"
    if each.lookup.column:
        yield f"refers to a record by its {each.lookup.column}"
    if policy := POLICIES[each.lookup.policy].format(default=each.lookup.default):
        yield f"the record {policy}"
    if each.drift is not None:
        yield DRIFT[each.drift]
    if each.redacted:
        yield "never shown in a log"


def mapping_lines(schema: Schema) -> dict[str, str]:
    """Everything that a schema says, a line each by its place: what a comparison of two of them shows."""
    lines: dict[str, str] = {}
    for view in schema_view(schema):
        lines[f"{view.title}: in general"] = " ".join(view.summary)
        lines[f"{view.title}: scope"] = "; ".join(view.scope)
        for each in view.mappings:
            lines[f"{view.title}: {each.column}"] = f"{each.made_of}{f' ({each.when})' if each.when else ''}"
    return lines
