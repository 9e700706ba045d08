"""Turns a source object into the values that its record should have. Pure: knows no record, no link, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from provisioning.errors import ObjectError
from provisioning.model import Column, SourceObject
from provisioning.schema import ORIGINAL_NAME, AttributeMapping, AttributeSource, ObjectMapping

Columns = Mapping[str, Column]
T = TypeVar("T")

USER_TABLE = "sys_user"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference by display value: `value` is looked up as the name of a record of `table`."""

    table: str
    value: str


@dataclass(frozen=True, slots=True)
class Desired:
    """What the record should hold. `values` are plain, `references` need a lookup, `people` name a source user.

    `on_create` names the columns that are written at creation only: ObjectAddOnly mappings and defaults for null.
    """

    match_value: str
    values: dict[str, str] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    on_create: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    def for_update(self) -> Desired:
        """Without what is written at creation only."""
        return replace(
            self,
            values=_without(self.values, self.on_create),
            references=_without(self.references, self.on_create),
            people=_without(self.people, self.on_create),
        )


def _without(columns: dict[str, T], omitted: frozenset[str]) -> dict[str, T]:
    return {name: value for name, value in columns.items() if name not in omitted}


def evaluate(source: SourceObject, mapping: ObjectMapping, columns: Columns) -> Desired:
    """Every mapping against the full source object, never against a delta alone.

    Null is never sent (Entra's outbound rule): an attribute without a value leaves its column alone. A value longer
    than a column is cut as ServiceNow would cut it, with a warning, except for the matching attribute, where a cut
    value would be somebody else's key. Raises `ObjectError`.
    """
    values: dict[str, str] = {}
    on_create: set[str] = set()
    references: dict[str, Reference] = {}
    people: dict[str, str] = {}
    warnings: list[str] = []
    for attribute in mapping.attributes:
        column = columns.get(attribute.target)
        if column is None:
            raise ObjectError(
                "SchemaAttributeNotFound",
                f"the mapping writes {mapping.table}.{attribute.target}, which the instance does not have",
                "correct the target attribute, or create the column",
            )
        value = source_value(source, attribute)
        if attribute.flow_type == "ObjectAddOnly":
            on_create.add(attribute.target)
        if column.reference == USER_TABLE and isinstance(value, Mapping):
            people[attribute.target] = str(value["id"])
            continue
        text = as_text(value, attribute.target)
        if not text:
            text = attribute.default or ""
            on_create.add(attribute.target)
        if not text:
            continue
        if column.reference is not None:
            references[attribute.target] = Reference(column.reference, text)
            continue
        if len(text) > column.max_length and attribute is not mapping.matching:
            warnings.append(
                f"{attribute.target} holds {column.max_length} characters; the value has {len(text)} and is cut"
            )
            text = text[: column.max_length]
        values[attribute.target] = text
    match_value = _match_value(source, mapping, columns)
    return Desired(match_value, values, references, people, frozenset(on_create), tuple(warnings))


def _match_value(source: SourceObject, mapping: ObjectMapping, columns: Columns) -> str:
    """The matching attribute's own value; a default would be everybody's key."""
    target = mapping.matching.target
    value = as_text(source_value(source, mapping.matching), target)
    if not value:
        raise ObjectError(
            "EntryJoiningPropertyValueIsMissing",
            f"the matching attribute {target} has no value for this object",
            "give the source attribute a value, or match on another attribute",
        )
    if len(value) > columns[target].max_length:
        raise ObjectError(
            "InvalidAttributeValue",
            f"{target} has {len(value)} characters; ServiceNow keeps {columns[target].max_length} and would cut the "
            "rest without an error, so that the key could become somebody else's",
            f"map {target} to a value of at most {columns[target].max_length} characters",
        )
    return value


def source_value(source: SourceObject, attribute: AttributeMapping) -> Any:
    """The mapped source value as Graph's JSON holds it; None where there is none."""
    if not isinstance(attribute.source, AttributeSource):
        return attribute.source.value
    if attribute.source.path == "id":
        return source.id
    if attribute.source.path == "userPrincipalName":
        return sign_in_name(source)
    if attribute.source.path == ORIGINAL_NAME:
        return source.attributes.get("userPrincipalName")
    value: Any = source.attributes
    for part in attribute.source.path.split("."):
        name, _, index = part.partition("[")
        value = value.get(name) if isinstance(value, Mapping) else None
        if index:
            position = int(index.rstrip("]"))
            value = value[position] if isinstance(value, list) and position < len(value) else None
    return value


def sign_in_name(source: SourceObject) -> str | None:
    """The user principal name; a guest's `alias_theirdomain#EXT#@tenant` becomes `alias@theirdomain`, as in Entra."""
    name = source.attributes.get("userPrincipalName")
    if isinstance(name, str) and "#EXT#@" in name:
        alias, _, domain = name.split("#EXT#@", 1)[0].rpartition("_")
        return f"{alias}@{domain}" if alias else name
    return name if isinstance(name, str) else None


def as_text(value: Any, target: str) -> str:
    """A value as the Table API takes it; "" for null. Raises `ObjectError` for several values in one column."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value.strip()
        case int() | float():
            return str(value)
        case [single]:
            return as_text(single, target)
        case []:
            return ""
        case _:
            raise ObjectError(
                "SchemaPropertyCanOnlyAcceptValue",
                f"{target} takes one value and the source attribute holds several",
                "map one of them, for example with an index: businessPhones[0]",
            )
