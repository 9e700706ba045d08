"""What is written to columns that refer to other records: the record where there is one, else what the mapping's policy
says. Pure: knows what was found, and looks nothing up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from provisioning.errors import ObjectError
from provisioning.model import Missing, NewReference
from provisioning.rules.mapping import USER_TABLE, Desired, Reference
from provisioning.schema import ObjectMapping
from provisioning.schema.mappings import Lookup

NONE_THERE = "there is none"


@dataclass(frozen=True, slots=True)
class Person:
    """Who a reference to a user points to: their record, or that this plan creates it, or neither."""

    source_id: str
    sys_id: str | None
    planned: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking references up came to: the sys_id of each that was found, and why not of each that was not."""

    found: Mapping[Reference, str] = field(default_factory=dict)
    absent: Mapping[Reference, str] = field(default_factory=dict)


@dataclass(slots=True)
class Referred:
    """`fields` can be written now, `missing` wait for a record, `awaits` for one that this plan creates, `creates` are
    made first.
    """

    fields: dict[str, str] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    awaits: dict[str, str] = field(default_factory=dict)
    creates: list[NewReference] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def refer(
    desired: Desired,
    looked: Looked,
    people: Mapping[str, Person],
    mapping: ObjectMapping,
    creatable: Collection[str],
) -> Referred:
    """`creatable` are the tables in which records may be created. Raises `ObjectError` (InvalidLookupReference) where
    the policy of a mapping is `fail`; what cannot be written never fails the object otherwise.
    """
    lookups = {each.target: each.lookup for each in mapping.attributes}
    referred = Referred()
    for column, references in desired.references.items():
        found = [looked.found[each] for each in references if each in looked.found]
        for each in references:
            if each not in looked.found:
                instead = _without(column, each, lookups.get(column, Lookup()), desired, looked, creatable, referred)
                found += [instead] if instead else []
        if found:
            referred.fields[column] = ",".join(dict.fromkeys(found))
    for column, source_id in desired.people.items():
        person = people.get(source_id)
        if person is not None and person.sys_id is not None:
            referred.fields[column] = person.sys_id
        elif person is not None and person.planned:
            referred.awaits[column] = source_id
        else:
            referred.missing.append(Missing(column, source_id))
    return referred


def _without(  # noqa: PLR0913, PLR0917 - one reference, the rules for it, and where the outcome goes
    column: str,
    reference: Reference,
    lookup: Lookup,
    desired: Desired,
    looked: Looked,
    creatable: Collection[str],
    referred: Referred,
) -> str:
    """The sys_id that stands in for a reference that was not found; "" for none."""
    why = looked.absent.get(reference, NONE_THERE)
    where = f"{column} refers to a record of {reference.place}"
    match lookup.policy:
        case "fail":
            raise ObjectError(
                "InvalidLookupReference",
                f"{where} with the value '{reference.value}', and {why}",
                "ServiceNow administrator: create the record, or make its name unique. Entra administrator: correct "
                "the attribute, or let the mapping omit what does not exist",
            )
        case "default":
            fallback = desired.fallbacks[column]
            if fallback in looked.found:
                referred.warnings.append(f"{where} that cannot be told ({why}); the default is written instead")
                referred.missing.append(Missing(column, reference.value, reference.place))
                return looked.found[fallback]
            referred.warnings.append(f"{where} that cannot be told ({why}), nor can the default be")
        case "create" if why == NONE_THERE and reference.table in creatable and reference.table != USER_TABLE:
            referred.creates.append(NewReference(column, reference.table, reference.column, reference.value))
            referred.warnings.append(f"{where} that does not exist: '{reference.value}' is created there")
            return ""
        case "create" if why == NONE_THERE:
            referred.warnings.append(
                f"{where} that does not exist, and none may be created in {reference.table}: name the table in "
                "REFERENCE_CREATE_TABLES, or change the mapping's policy"
            )
        case _:
            if why != NONE_THERE:
                referred.warnings.append(f"{where} that cannot be told: {why}")
    referred.missing.append(Missing(column, reference.value, reference.place))
    return ""
