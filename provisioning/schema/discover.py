"""An instance's dictionary as a directoryDefinition in Microsoft's JSON, so that a schema can be made with the columns
that the instance really has. Knows no mapping and asks no instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.model import Column

TYPES = {
    "boolean": "Boolean",
    **dict.fromkeys(("integer", "longint", "auto_increment"), "Integer"),
    **dict.fromkeys(("glide_date", "glide_date_time", "due_date", "calendar_date_time"), "DateTime"),
    **dict.fromkeys(("reference", "glide_list", "domain_id", "document_id"), "Reference"),
    **dict.fromkeys(("image", "user_image", "binary", "file_attachment"), "Binary"),
}
LISTS = frozenset({"glide_list", "user_roles"})
ANCHOR = "sys_id"
SYSTEM = "sys_"
CUSTOM = "u_"


def discover(columns: Mapping[str, Mapping[str, Column]]) -> dict[str, Any]:
    """Custom columns are among them; tables and columns are sorted, so that two discoveries can be compared."""
    return {
        "id": "ServiceNow",
        "name": "ServiceNow",
        "discoverabilities": "AttributeNames, AttributeDataTypes, AttributeReadOnly, ReferenceAttributes",
        "discoveryDateTime": None,
        "readOnly": False,
        "version": None,
        "objects": [
            {
                "name": table,
                "supportedApis": [],
                "attributes": [_attribute(found[name]) for name in sorted(found)],
                "metadata": [],
            }
            for table, found in sorted(columns.items())
        ],
    }


def _attribute(column: Column) -> dict[str, Any]:
    """A reference without a known table is a text."""
    kind = TYPES.get(column.type, "String")
    if column.reference is not None:
        kind = "Reference"
    elif kind == "Reference":
        kind = "String"
    read_only = column.read_only or column.name.startswith(SYSTEM)
    return {
        "anchor": column.name == ANCHOR,
        "apiExpressions": [],
        "caseExact": False,
        "defaultValue": None,
        "flowNullValues": False,
        "metadata": [{"key": key, "value": value} for key, value in _metadata(column, kind)],
        "multivalued": column.type in LISTS,
        "mutability": "ReadOnly" if read_only else "ReadWrite",
        "name": column.name,
        "referencedObjects": _referenced(column),
        "required": False,
        "type": kind,
    }


def _metadata(column: Column, kind: str) -> list[tuple[str, str]]:
    found = [("MaximumLength", str(column.max_length))] if kind == "String" and column.max_length > 0 else []
    return [*found, ("IsCustomerDefined", "true")] if column.name.startswith(CUSTOM) else found


def _referenced(column: Column) -> list[dict[str, str]]:
    if column.reference is None:
        return []
    return [{"referencedObjectName": column.reference, "referencedProperty": ANCHOR}]
