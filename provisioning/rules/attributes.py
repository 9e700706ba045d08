"""The attributes of a source object under the names that Entra's schemas use: old Azure AD Graph names, paths into
Graph's JSON, and those that no side stores but that follow from scope. Pure: reads what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from provisioning.model import SourceObject
from provisioning.schema.names import IS_SOFT_DELETED, MEMBER_OF, ORIGINAL_NAME, ROLES, graph_path

MANAGER = "manager"


class Facts(Mapping[str, Any]):
    """One object's attributes, for expressions and scoping filters.

    `roles` are the app roles that give it access, `member_of` those of the watched groups that it belongs to.
    `soft_deleted` is Entra's IsSoftDeleted: out of scope for whatever reason.
    """

    __slots__ = ("member_of", "roles", "soft_deleted", "source")

    def __init__(
        self,
        source: SourceObject,
        *,
        soft_deleted: bool = False,
        roles: tuple[Mapping[str, Any], ...] = (),
        member_of: tuple[str, ...] = (),
    ) -> None:
        self.source = source
        self.soft_deleted = soft_deleted
        self.roles = roles
        self.member_of = member_of

    def get(self, name: str, default: Any = None) -> Any:
        found = reader(name)(self)
        return default if found is None else found

    def __getitem__(self, name: str) -> Any:
        return reader(name)(self)

    def __iter__(self) -> Any:
        return iter(self.source.attributes)

    def __len__(self) -> int:
        return len(self.source.attributes)


@cache
def reader(name: str) -> Callable[[Facts], Any]:
    """How an attribute of this name is read; the answer is None where there is no value."""
    match name:
        case "objectId" | "id":
            return lambda facts: facts.source.id
        case "userPrincipalName":
            return lambda facts: sign_in_name(facts.source)
        case _ if name == ORIGINAL_NAME:
            return lambda facts: facts.source.attributes.get("userPrincipalName")
        case _ if name == IS_SOFT_DELETED:
            return lambda facts: facts.soft_deleted
        case _ if name == ROLES:
            return lambda facts: facts.roles or None
        case _ if name == MEMBER_OF:
            return lambda facts: facts.member_of or None
        case _ if name == MANAGER:
            return _manager_id
    path = graph_path(name)
    if "." in path or "[" in path:
        steps = tuple(_steps(path))
        return lambda facts: _walk(facts.source.attributes, steps)
    return lambda facts: facts.source.attributes.get(path)


def sign_in_name(source: SourceObject) -> str | None:
    """The user principal name; a guest's `alias_theirdomain#EXT#@tenant` becomes `alias@theirdomain`, as in Entra."""
    name = source.attributes.get("userPrincipalName")
    if isinstance(name, str) and "#EXT#@" in name:
        alias, _, domain = name.split("#EXT#@", 1)[0].rpartition("_")
        return f"{alias}@{domain}" if alias else name
    return name if isinstance(name, str) else None


def _manager_id(facts: Facts) -> str | None:
    manager = facts.source.attributes.get(MANAGER)
    return str(manager["id"]) if isinstance(manager, Mapping) else None


def _steps(path: str) -> list[str | int]:
    """`businessPhones[0]` is a name and a position."""
    steps: list[str | int] = []
    for part in path.split("."):
        name, _, rest = part.partition("[")
        steps.append(name)
        steps += [int(index) for index in rest.rstrip("]").split("][") if index]
    return steps


def _walk(value: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list | tuple) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value
