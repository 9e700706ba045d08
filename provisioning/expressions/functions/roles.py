"""Functions of `[appRoleAssignments]`, whose value is a list of objects {"id", "value", "displayName"}.

Multi-valued results are JSON objects as texts, one for each role: what a target takes as one item of its list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provisioning.expressions.signatures import eager
from provisioning.expressions.values import Unfit

DEFAULT_ROLE = "00000000-0000-0000-0000-000000000000"
DEFAULT_NAMES = {"Default Access", "Default Assignment", "msiam_access"}
TYPE = "WindowsAzureActiveDirectoryRole"


def single(source: Any) -> str | None:
    """One role's name: its value, or its display name when it has none.

    Entra's choice among several is unpredictable. Here a role wins over Default Access, then the alphabet decides.
    """
    roles = _roles(source)
    if not roles:
        return None
    return _name(min(roles, key=lambda role: (_is_default(role), _name(role))))


def complex_roles(source: Any) -> tuple[str, ...] | None:
    """Roles to add: `{"id", "value", "displayName"}`. Roles that the user no longer has stay in the target."""
    roles = _roles(source)
    return (
        tuple(
            _json({"id": role.get("id"), "value": _name(role), "displayName": role.get("displayName") or _name(role)})
            for role in roles
        )
        or None
    )


def assertive_roles(source: Any) -> tuple[str, ...] | None:
    """All roles that the target should hold, and no others: `{"primary", "type", "display", "value"}`."""
    roles = _roles(source)
    return (
        tuple(
            _json(
                {
                    "primary": False,
                    "type": TYPE,
                    "display": role.get("displayName") or _name(role),
                    "value": _name(role),
                }
            )
            for role in roles
        )
        or None
    )


def _roles(source: Any) -> list[Mapping[str, Any]]:
    if source is None:
        return []
    found = source if isinstance(source, tuple | list) else (source,)
    roles = [{"displayName": each} if isinstance(each, str) else each for each in found if each]
    if not all(isinstance(each, Mapping) and _is_plain(each) for each in roles):
        raise Unfit("takes [appRoleAssignments] and was given something else")
    return roles


def _is_plain(role: Mapping[str, Any]) -> bool:
    return all(isinstance(role.get(key), str | None) for key in ("id", "value", "displayName"))


def _name(role: Mapping[str, Any]) -> str:
    return str(role.get("value") or role.get("displayName") or "Default Access")


def _is_default(role: Mapping[str, Any]) -> bool:
    return role.get("id") == DEFAULT_ROLE or (not role.get("value") and role.get("displayName") in DEFAULT_NAMES)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


FUNCTIONS = (
    eager("SingleAppRoleAssignment(source: String)", single),
    eager("AppRoleAssignments(source: String)", complex_roles),
    eager("AppRoleAssignmentsComplex(source: String)", complex_roles),
    eager("AssertiveAppRoleAssignmentsComplex(source: String)", assertive_roles),
)
