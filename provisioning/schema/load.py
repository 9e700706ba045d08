"""Examines a synchronizationSchema document: the typed mappings that it makes, and everything in it that is wrong or
works otherwise than in Entra. The document itself stays as it was read, whatever is in it.

Knows the JSON of Microsoft's synchronization API, not the directory or the instance that it is used with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from provisioning.errors import ConfigError
from provisioning.model import ObjectType
from provisioning.schema import enums
from provisioning.schema.definitions import ENTRA
from provisioning.schema.document import Entry, shown
from provisioning.schema.findings import Finding, Report
from provisioning.schema.mappings import ObjectMapping, Schema
from provisioning.schema.objects import read_flow_types, read_object

KINDS: dict[str, ObjectType] = {"user": "user", "group": "group"}
KNOWN = (
    "id", "version", "synchronizationRules", "directories", "provisioningTaskIdentifier", "synchronizationJobSettings",
)  # fmt: skip
SETTINGS, THRESHOLD = "synchronizationJobSettings", "QuarantineTooManyDeletesThreshold"
MOST_DIGITS = 10
RULE = (
    "id", "name", "editable", "priority", "sourceDirectoryName", "targetDirectoryName", "metadata", "objectMappings",
    "containerFilter", "groupFilter",
)  # fmt: skip
RULE_METADATA = {"defaultsourceobjectmappings", "supportsprovisionondemand"}
FILTERS = {"containerFilter": "includedContainers", "groupFilter": "includedGroups"}


@dataclass(frozen=True, slots=True)
class Examination:
    """`schema` is None when there is an error among the findings."""

    schema: Schema | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    entry: Entry
    rule: Entry
    enabled: bool


def default_schema() -> Schema:
    """The mappings that ship with the product, for ServiceNow's users and groups."""
    text = resources.files("provisioning.schema").joinpath("default_servicenow.json").read_text("utf-8")
    return load_schema(json.loads(text))


def load_schema(document: Any, *, strict: bool = False) -> Schema:
    """Raises `ConfigError` with the first error and the number of the others, whatever JSON is given."""
    examination = examine(document, strict=strict)
    if examination.schema is not None:
        return examination.schema
    first, *others = (each for each in examination.findings if each.severity == "error")
    more = f"\n(and {len(others)} more error{'s' if len(others) > 1 else ''}; `schema validate` lists all)"
    raise ConfigError(f"{first}{more if others else ''}")


def dump(schema: Schema) -> dict[str, Any]:
    """The document that the schema was loaded from: every member, in its order. It is the schema's own, not a copy."""
    return schema.document


def examine(document: Any, *, strict: bool = False) -> Examination:
    """Never raises, whatever JSON is given. `strict` is compatibility with Entra's quirks."""
    report = Report()
    threshold = None
    try:
        mappings = _mappings(document, report, strict=strict)
        if isinstance(document, dict):
            threshold = _threshold(Entry(document, "the schema", report))
    except RecursionError:
        report.error("the schema", "it is nested too deeply to be read", "export it anew from the portal")
        mappings = {}
    if report.failed or not isinstance(document, dict):
        return Examination(None, report.findings)
    return Examination(Schema(mappings["user"], mappings["group"], document, threshold), report.findings)


def _threshold(whole: Entry) -> int | None:
    """From the job's settings, where somebody has put them beside the rules."""
    found = None
    for each in whole.entries(SETTINGS):
        name, text = each.get("name"), str(each.get("value")).strip()
        if str(name).lower() != THRESHOLD.lower():
            whole.report.note(whole.where, f"job setting {shown(name)}: kept in the schema, without effect here")
        elif text.isascii() and text.isdigit() and len(text) < MOST_DIGITS:
            found = int(text)
        else:
            whole.report.error(
                whole.where, f"{THRESHOLD} is {shown(each.get('value'))}", "give it a whole number such as 500"
            )
    return found


def _mappings(document: Any, report: Report, *, strict: bool) -> dict[ObjectType, ObjectMapping]:
    if not isinstance(document, dict):
        report.error(
            "the schema",
            f"it is {shown(document)}; a schema is a JSON object",
            "give it as GET .../synchronization/jobs/{id}/schema answers, or as the portal downloads it",
        )
        return {}
    whole = Entry(document, "the schema", report)
    whole.leftovers(KNOWN)
    if whole.get("synchronizationRules") is None and isinstance(whole.get("schema"), dict):
        report.error("the schema", "it is the member `schema` of this document", "give the value of that member alone")
        return {}
    candidates = [each for rule in whole.entries("synchronizationRules") for each in _candidates(rule)]
    found: dict[ObjectType, ObjectMapping] = {}
    for kind in KINDS.values():
        chosen = _chosen(kind, [each for each in candidates if _kind(each.entry) == kind], report)
        if chosen is not None:
            mapping = read_object(chosen.entry, kind, whole, chosen.rule, strict=strict)
            found |= {kind: mapping} if mapping is not None else {}
    return found


def _candidates(rule: Entry) -> list[_Candidate]:
    """The object mappings of a rule that leads out of Entra."""
    rule = rule.at(f"synchronization rule {rule.get('name') or rule.get('id')}")
    directory = rule.text("sourceDirectoryName")
    if directory is not None and directory.strip().lower() not in ENTRA:
        rule.report.note(rule.where, f"it reads from {directory}, not from Microsoft Entra ID: ignored")
        return []
    rule.leftovers(RULE)
    _check_filters(rule)
    metadata = rule.get("metadata")
    for each in rule.entries("metadata") if isinstance(metadata, list) else ():
        if str(each.get("key")).lower() not in RULE_METADATA:
            rule.report.note(rule.where, f"metadata {shown(each.get('key'))}: kept in the schema, without effect here")
    found = []
    for number, entry in enumerate(rule.entries("objectMappings"), 1):
        name = entry.get("name") or entry.get("sourceObjectName") or number
        place = entry.at(f"object mapping {name if isinstance(name, str | int) else shown(name)}")
        if _kind(place) is not None:
            found.append(_Candidate(place, rule, _enabled(place)))
        elif place.get("sourceObjectName") or enums.truth(place.get("enabled")) is not False:
            source = place.get("sourceObjectName")
            rule.report.note(place.where, f"it maps {shown(source)} and not User or Group: kept, without effect here")
    return found


def _kind(entry: Entry) -> ObjectType | None:
    name = entry.get("sourceObjectName")
    return KINDS.get(name.strip().lower()) if isinstance(name, str) else None


def _enabled(entry: Entry) -> bool:
    """What is wrong with these members is reported when the mapping is read."""
    return bool(read_flow_types(Entry(entry.value, "", Report())))


def _check_filters(rule: Entry) -> None:
    for member, names in FILTERS.items():
        found = rule.entry(member)
        if found is None:
            continue
        content = found.get(names)
        if content or any(value for name, value in found.value.items() if "@" not in name):
            rule.report.error(
                rule.where,
                f"{member} holds {shown(content or found.value)} and cannot be evaluated; without it more would be "
                "provisioned than is meant to be",
                "use scoping filters or assignment instead, and remove it",
            )


def _chosen(kind: ObjectType, candidates: list[_Candidate], report: Report) -> _Candidate | None:
    """The one that is switched on; of several that are off, the first."""
    enabled = [each for each in candidates if each.enabled]
    if len(enabled) > 1:
        report.error(enabled[1].entry.where, f"{kind}s are mapped already", "switch one of the mappings off")
    if not candidates:
        report.error(
            "the schema",
            f"it has no object mapping from {kind.capitalize()}",
            "add one (enabled: false if it is not wanted), or leave the schema out to use the default one",
        )
        return None
    chosen = (enabled or candidates)[0]
    for each in candidates:
        if each is not chosen and not each.enabled:
            report.note(each.entry.where, f"it is switched off, and {chosen.entry.where} is used")
    return chosen
