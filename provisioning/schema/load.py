"""Loads a synchronizationSchema document into typed mappings, or refuses it with the place that is wrong.

Knows the JSON of Microsoft's synchronization API, not the directory or the instance that it is used with.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import resources
from typing import Any, Literal, cast

from provisioning.errors import ConfigError
from provisioning.model import ObjectType
from provisioning.schema.mappings import AttributeMapping, AttributeSource, ConstantSource, ObjectMapping, Schema
from provisioning.schema.names import graph_path

OBJECT_TYPES: dict[str, ObjectType] = {"User": "user", "Group": "group"}
ATTRIBUTE_FLOWS = ("Always", "ObjectAddOnly")
OBJECT_FLOWS = ("Add", "Update", "Delete")
FILTERS = ("groups", "inputFilterGroups", "categoryFilterGroups")
PATH = re.compile(r"\w+(\[\d+\])?(\.\w+(\[\d+\])?)*")
MEMBERS = "members"
ANCHOR = "sys_id"


def default_schema() -> Schema:
    """The mappings that ship with the product, for ServiceNow's users and groups."""
    text = resources.files("provisioning.schema").joinpath("default_servicenow.json").read_text("utf-8")
    return load_schema(json.loads(text))


def load_schema(document: Any) -> Schema:
    """Raises `ConfigError` naming the object mapping and attribute that cannot be used, whatever JSON is given."""
    if not isinstance(document, dict):
        raise ConfigError("a schema is a JSON object as GET .../synchronization/jobs/{id}/schema answers it")
    mappings: dict[ObjectType, ObjectMapping] = {}
    for rule in _objects("synchronizationRules", document.get("synchronizationRules")):
        for entry in _objects("objectMappings", rule.get("objectMappings")):
            kind = OBJECT_TYPES.get(str(entry.get("sourceObjectName")))
            if kind is None:
                continue
            mapping = _object_mapping(kind, entry)
            if kind in mappings and mappings[kind].enabled and mapping.enabled:
                raise ConfigError(f"{_where(kind, entry)}: {kind}s are mapped already; switch one of the mappings off")
            if kind not in mappings or mapping.enabled:
                mappings[kind] = mapping
    for name, required in OBJECT_TYPES.items():
        if required not in mappings:
            raise ConfigError(
                f"the schema has no object mapping from {name}; add one, or leave the schema out to use "
                "the default one (switch off what is not wanted with enabled: false)"
            )
    return Schema(user=mappings["user"], group=mappings["group"])


def _objects(where: str, value: Any) -> list[dict[str, Any]]:
    """A list of JSON objects; null and absent are an empty one."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ConfigError(f"{where} must be a list of JSON objects")
    return value


def _text(where: str, entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {name} is {value!r}; it must be a name")
    return value


def _where(kind: ObjectType, entry: dict[str, Any]) -> str:
    return f"object mapping {entry.get('name') or kind}"


def _object_mapping(kind: ObjectType, entry: dict[str, Any]) -> ObjectMapping:
    where = _where(kind, entry)
    attributes = tuple(
        _attribute_mapping(where, attribute)
        for attribute in _objects(f"{where}: attributeMappings", entry.get("attributeMappings"))
        if attribute.get("targetAttributeName") != MEMBERS  # memberships are rows of their own table, not a column
    )
    twice = [target for target, number in Counter(a.target for a in attributes).items() if number > 1]
    if twice:
        raise ConfigError(f"{where}: {', '.join(twice)} is mapped more than once; keep one mapping for each column")
    if not any(a.matching_priority > 0 for a in attributes):
        raise ConfigError(
            f"{where}: no attribute has a matchingPriority above 0; mark the one that identifies an object"
        )
    table = _text(where, entry, "targetObjectName")
    if not entry.get("enabled", True):
        return ObjectMapping(kind, table, attributes, frozenset())
    scope = entry.get("scope") or {}
    if not isinstance(scope, dict) or any(scope.get(name) for name in FILTERS):
        raise ConfigError(
            f"{where}: scoping filters cannot be evaluated by this version, and without them more would be "
            "provisioned than is meant to be; remove them and narrow the scope by assignment"
        )
    return ObjectMapping(kind, table, attributes, _flow_types(where, entry.get("flowTypes")))


def _flow_types(where: str, text: Any) -> frozenset[str]:
    if not text:
        return frozenset(OBJECT_FLOWS)
    parts = {part.strip() for part in str(text).split(",")} - {"", "None"}
    if unknown := parts.difference(OBJECT_FLOWS):
        raise ConfigError(
            f"{where}: flowTypes holds {', '.join(sorted(unknown))}; it may hold {', '.join(OBJECT_FLOWS)}"
        )
    return frozenset(parts)


def _attribute_mapping(where: str, entry: dict[str, Any]) -> AttributeMapping:
    target = _text(where, entry, "targetAttributeName")
    where = f"{where}, attribute {target}"
    if target == ANCHOR:
        raise ConfigError(f"{where}: a record's own id cannot be written; remove the mapping")
    flow = entry.get("flowType") or "Always"
    if flow not in ATTRIBUTE_FLOWS:
        raise ConfigError(f"{where}: flowType {flow!r} is not one of {', '.join(ATTRIBUTE_FLOWS)}")
    default = entry.get("defaultValue") or None
    if not isinstance(default, str | None):
        raise ConfigError(f"{where}: defaultValue is {default!r}; it must be a string")
    priority = entry.get("matchingPriority") or 0
    if not isinstance(priority, int):
        raise ConfigError(f"{where}: matchingPriority is {priority!r}; it must be a whole number")
    source = _source(where, entry.get("source"), default)
    if priority > 0 and isinstance(source, ConstantSource):
        raise ConfigError(f"{where}: a constant identifies nobody; match on an attribute")
    return AttributeMapping(target, source, default, priority, cast("Literal['Always', 'ObjectAddOnly']", flow))


def _source(where: str, source: Any, default: str | None) -> AttributeSource | ConstantSource:
    match source:
        case None:
            return ConstantSource(default or "")  # Entra writes a constant as a null source with a default
        case {"type": "Attribute", "name": str(name)} if PATH.fullmatch(graph_path(name)):
            return AttributeSource(graph_path(name))
        case {"type": "Attribute", "name": name}:
            raise ConfigError(f"{where}: {name!r} is not the name of a source attribute")
        case {"type": "Constant", "name": str(value)}:
            return ConstantSource(value)
        case _:
            kind = source.get("type") if isinstance(source, dict) else source
            raise ConfigError(
                f"{where}: a source of type {kind!r} cannot be evaluated by this version; "
                "map an attribute or a constant"
            )
