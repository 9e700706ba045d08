"""Where two synchronizationSchema documents differ, in words: which attribute of which object is mapped otherwise, and
whose scope changed. It tells places and never values, because constants and filters may hold what is not for a log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from provisioning.schema.document import Entry
from provisioning.schema.findings import Report

MOST = 50


def changed_parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Each place that was added, removed or changed, 50 at most."""
    found = _changed(old, new)
    shown = tuple(islice(found, MOST))
    left = sum(1 for _ in found)
    return (*shown, f"and {left} more") if left else shown


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = _objects(old), _objects(new)
    for name in dict.fromkeys((*before, *after)):
        if name not in after or name not in before:
            yield f"{name} {'added' if name in after else 'removed'}"
            continue
        one, two = before[name], after[name]
        yield from _differing(name, _attributes(one), _attributes(two))
        parts = [{key.lower(): part for key, part in each.value.items()} for each in (one, two)]
        for part in ("scope", "enabled", "flowtypes", "metadata"):
            if parts[0].get(part) != parts[1].get(part):
                yield f"{name}: {'flowTypes' if part == 'flowtypes' else part} changed"
    if _rest(old) != _rest(new):
        yield "directories, metadata or other members changed"


def _differing(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*old, *new)):
        if name not in old:
            yield f"{where}: {name} added"
        elif name not in new:
            yield f"{where}: {name} removed"
        elif old[name] != new[name]:
            yield f"{where}: {name} changed"


def _objects(document: Mapping[str, Any]) -> dict[str, Entry]:
    schema = Entry(document, "the schema", Report())
    return {
        f"{mapping.get('sourceObjectName')} to {mapping.get('targetObjectName')}": mapping
        for rule in schema.entries("synchronizationRules")
        for mapping in rule.entries("objectMappings")
    }


def _attributes(mapping: Entry) -> dict[str, Any]:
    return {str(each.get("targetAttributeName")): each.value for each in mapping.entries("attributeMappings")}


def _rest(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is neither a mapping nor a version, which changes with each edit."""
    kept = {name: part for name, part in document.items() if name.lower() not in {"synchronizationrules", "version"}}
    rules = Entry(document, "the schema", Report()).entries("synchronizationRules")
    mapped = [{name: part for name, part in rule.value.items() if name.lower() != "objectmappings"} for rule in rules]
    return {**kept, "rules": mapped}
