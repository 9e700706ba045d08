"""The enumerations of Microsoft's schema: by name in any case, or by number as copies in PascalCase have them. Knows no
document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE_TYPES = ("Attribute", "Constant", "Function")
FLOW_TYPES = ("Always", "ObjectAddOnly", "MultiValueAddOnly", "ValueAddOnly", "AttributeAddOnly")
FLOW_BEHAVIORS = ("FlowWhenChanged", "FlowAlways")
MUTABILITIES = ("ReadWrite", "ReadOnly", "Immutable", "WriteOnly")
OBJECT_MAPPING_METADATA = (
    "EscrowBehavior", "DisableMonitoringForChanges", "OriginalJoiningProperty", "Disposition", "IsCustomerDefined",
    "ExcludeFromReporting", "Unsynchronized",
)  # fmt: skip
OBJECT_FLOWS = {"Add": 1, "Update": 2, "Delete": 4}


def choice(value: Any, names: tuple[str, ...]) -> str | None:
    """The name that is meant, or None."""
    number = whole(value)
    if number is not None:
        return names[number] if 0 <= number < len(names) else None
    if not isinstance(value, str):
        return None
    wanted = value.strip().lower()
    return next((name for name in names if name.lower() == wanted), None)


def flags(value: Any, names: Mapping[str, int]) -> frozenset[str] | None:
    """`"Add, Update"`, a list of names, or the sum of their numbers; `"None"` and 0 are the empty set."""
    number = whole(value)
    if number is not None:
        if not 0 <= number <= sum(names.values()):
            return None
        return frozenset(name for name, bit in names.items() if number & bit)
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(each, str) for each in parts):
        return None
    wanted = [part for each in parts if (part := each.strip()) and part.lower() != "none"]
    found = [choice(part, tuple(names)) for part in wanted]
    return None if None in found else frozenset(each for each in found if each is not None)


def truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def whole(value: Any) -> int | None:
    """A whole number, also one written as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (text := value.strip()).isascii() and text.removeprefix("-").isdigit():
        return int(text) if len(text) < 12 else None  # noqa: PLR2004 - longer than any 32-bit number
    return None
