"""What the directory keeps: objects and assignments, the errors of changing them, and how a change of
attributes is merged. Plain records; the rules between them are in state.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .sequenced import Sequenced

DEFAULT_ACCESS = "00000000-0000-0000-0000-000000000000"
# A complex property is updated member by member, as PATCH does.
_COMPLEX = frozenset({"onPremisesExtensionAttributes", "employeeOrgData"})


_NOBODY = Sequenced()


class TenantError(Exception):
    """The directory refuses this change."""


class UnknownObject(TenantError):
    pass


@dataclass(slots=True)
class DirectoryObject:
    """One user, group, device or service principal, alive or soft-deleted."""

    id: str
    type: str
    attributes: dict[str, Any]
    deleted_at: float | None = None
    manager: str | None = None
    members: Sequenced = field(default=_NOBODY)
    """Direct members of a group, the soft-deleted included."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One appRoleAssignment: a principal has one row for each role that it was given."""

    id: str
    principal_id: str
    principal_type: str
    principal_name: str
    """A copy made when it was granted; a later rename does not reach it."""
    resource_id: str
    role_id: str
    created_at: float


def merge(current: dict[str, Any], changes: dict[str, Any]) -> frozenset[str]:
    """Write the changes into the attributes; the names of those that really changed."""
    changed = set()
    for name, value in changes.items():
        new = value
        if name in _COMPLEX and isinstance(value, dict):
            new = (current.get(name) or {}) | value
        if current.get(name) == new:
            # Clearing what was never set leaves it absent: delta shows null only for what had a value.
            continue
        current[name] = new
        changed.add(name)
    return frozenset(changed)
