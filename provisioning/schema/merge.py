"""A schema with what a PATCH of it says: members that it names replace those that there are. Of an object mapping that
was there before, members that are left out stay: Microsoft's own client drops `flowTypes` when it reads a schema, and a
schema that it sends back would else tick what nobody has ticked. Knows no meaning of any member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RULES, MAPPINGS = "synchronizationRules", "objectMappings"
STAYS = ("flowTypes", "enabled", "scope", "metadata")


def merged(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Whatever JSON they are. Neither is changed."""
    document = {**known, **given}
    rules = given.get(RULES)
    if isinstance(rules, list):
        before = {_name(rule, "id", "name"): rule for rule in _objects(known.get(RULES))}
        document[RULES] = [_rule(before.get(_name(rule, "id", "name"), {}), rule) for rule in rules]
    return document


def _rule(known: Mapping[str, Any], given: Any) -> Any:
    mappings = given.get(MAPPINGS) if isinstance(given, dict) else None
    if not isinstance(mappings, list):
        return given
    sides = ("sourceObjectName", "targetObjectName")
    before = {_name(mapping, *sides): mapping for mapping in _objects(known.get(MAPPINGS))}
    return {**given, MAPPINGS: [_mapping(before.get(_name(each, *sides), {}), each) for each in mappings]}


def _mapping(known: Mapping[str, Any], given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    return {**{name: known[name] for name in STAYS if name in known}, **given}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _name(value: Any, *members: str) -> tuple[str, ...]:
    return tuple(str(value.get(member)) for member in members) if isinstance(value, dict) else ()
