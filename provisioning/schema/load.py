"""Loads a synchronizationSchema document into typed mappings, or refuses it with the place that is wrong.

Knows the JSON of Microsoft's synchronization API, not the directory or the instance that it is used with.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Literal, cast

from provisioning.errors import ConfigError
from provisioning.model import ObjectType
from provisioning.schema.mappings import AttributeMapping, AttributeSource, ConstantSource, ObjectMapping, Schema
from provisioning.schema.names import graph_path

OBJECT_TYPES: dict[str, ObjectType] = {"User": "user", "Group": "group"}
FLOW_TYPES = ("Always", "ObjectAddOnly")
MEMBERS = "members"


def default_schema() -> Schema:
    """The mappings that ship with the product, for ServiceNow's users and groups."""
    text = resources.files("provisioning.schema").joinpath("default_servicenow.json").read_text("utf-8")
    return load_schema(json.loads(text))


def load_schema(document: dict[str, Any]) -> Schema:
    """Raises `ConfigError` naming the rule, object and attribute that cannot be used."""
    mappings: dict[ObjectType, ObjectMapping] = {}
    for rule in document.get("synchronizationRules", []):
        for entry in rule.get("objectMappings", []):
            kind = OBJECT_TYPES.get(entry.get("sourceObjectName") or "")
            if kind:
                mappings[kind] = _object_mapping(kind, entry)
    for name, required in OBJECT_TYPES.items():
        if required not in mappings:
            raise ConfigError(
                f"the schema has no object mapping from {name}; add one, or leave the schema out to use "
                "the default one (switch off what is not wanted with enabled: false)"
            )
    return Schema(user=mappings["user"], group=mappings["group"])


def _object_mapping(kind: ObjectType, entry: dict[str, Any]) -> ObjectMapping:
    where = f"object mapping {entry.get('name') or kind}"
    attributes = tuple(
        _attribute_mapping(where, a)
        for a in entry.get("attributeMappings", [])
        if a["targetAttributeName"] != MEMBERS  # memberships are rows of their own table, not a column
    )
    if not any(a.matching_priority > 0 for a in attributes):
        raise ConfigError(
            f"{where}: no attribute has a matchingPriority above 0; mark the one that identifies an object"
        )
    flow_types = frozenset(part.strip() for part in (entry.get("flowTypes") or "Add,Update,Delete").split(","))
    if not entry.get("enabled", True):
        flow_types = frozenset()
    return ObjectMapping(kind, entry["targetObjectName"], attributes, flow_types)


def _attribute_mapping(where: str, entry: dict[str, Any]) -> AttributeMapping:
    target = entry["targetAttributeName"]
    flow = entry.get("flowType", "Always")
    if flow not in FLOW_TYPES:
        raise ConfigError(f"{where}, attribute {target}: flowType {flow!r} is not one of {', '.join(FLOW_TYPES)}")
    return AttributeMapping(
        target=target,
        source=_source(f"{where}, attribute {target}", entry.get("source"), entry.get("defaultValue")),
        default=entry.get("defaultValue") or None,
        matching_priority=int(entry.get("matchingPriority", 0)),
        flow_type=cast("Literal['Always', 'ObjectAddOnly']", flow),
    )


def _source(where: str, source: dict[str, Any] | None, default: str | None) -> AttributeSource | ConstantSource:
    match source:
        case None:
            return ConstantSource(default or "")  # Entra writes a constant as a null source with a default
        case {"type": "Attribute", "name": str(name)}:
            return AttributeSource(graph_path(name))
        case {"type": "Constant", "name": str(value)}:
            return ConstantSource(value)
        case _:
            raise ConfigError(
                f"{where}: a source of type {source.get('type')!r} cannot be evaluated by this version; "
                "map an attribute or a constant"
            )
