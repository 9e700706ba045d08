"""Which columns of a record have to be written so that it holds what is desired. Pure.

Flow types decide as Microsoft Graph describes them (attributeMapping resource): AttributeAddOnly and a mapping without
a source write while the column is empty; MultiValueAddOnly and ValueAddOnly add values to a list and remove none.
FlowAlways sends a value with every update of the object, without causing one.
"""

from __future__ import annotations

from provisioning.model import Link, Record
from provisioning.rules.mapping import Desired
from provisioning.schema.mappings import AttributeMapping, ObjectMapping

ADDING = frozenset({"MultiValueAddOnly", "ValueAddOnly"})


def changed_fields(
    mapping: ObjectMapping, desired: Desired, fields: dict[str, str], record: Record, link: Link
) -> dict[str, str]:
    """The values to send, by column: those that differ, those that are to be cleared, and with them those that always
    flow.
    """
    mapped = {each.target: each for each in mapping.attributes}
    wanted = {name: _merged(mapped.get(name), value, record) for name, value in fields.items()}
    wanted |= {name: "" for name in desired.cleared if name not in fields}
    changed = {name: value for name, value in wanted.items() if _differs(name, value, record, link, mapped.get(name))}
    if not changed:
        return {}
    always = {name: value for name, value in wanted.items() if (found := mapped.get(name)) and found.flow_always}
    return {**always, **changed}


def _merged(attribute: AttributeMapping | None, value: str, record: Record) -> str:
    """What a list holds already stays in it where values are only added."""
    if attribute is None or attribute.flow_type not in ADDING:
        return value
    present = [item for item in record.get(attribute.target, "").split(",") if item]
    return ",".join(dict.fromkeys((*present, *value.split(","))))


def _differs(name: str, value: str, record: Record, link: Link, attribute: AttributeMapping | None) -> bool:
    """Whether sending the value would change the record.

    What the instance did not store as sent (cut, refused as a choice, dropped by an ACL) is not sent again as long as
    both the value and what the instance made of it stay the same; a column that may not be read is compared with what
    was last written.
    """
    present = record.get(name)
    if present is None:
        return bool(value or link.written.get(name)) and link.written.get(name) != value
    if present == value:
        return False
    if attribute is not None and not attribute.case_exact and present.casefold() == value.casefold():
        return False
    return not (link.written.get(name) == value and link.altered.get(name) == present)
