"""The mappings of a job as the rules use them: which source value goes to which column. Knows no JSON and no values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from provisioning.model import ObjectType

ORIGINAL_NAME = "originalUserPrincipalName"
"""Entra's name for a guest's whole user principal name; `userPrincipalName` means the one they have at home."""


@dataclass(frozen=True, slots=True)
class AttributeSource:
    """A path into the Graph object: `surname`, `businessPhones[0]`, `employeeOrgData.costCenter`."""

    path: str

    @property
    def property_name(self) -> str:
        """The top-level Graph property, as `$select` wants it."""
        return "userPrincipalName" if self.path == ORIGINAL_NAME else self.path.split(".", 1)[0].split("[", 1)[0]


@dataclass(frozen=True, slots=True)
class ConstantSource:
    value: str


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """One column. `matching_priority` above 0 marks a matching attribute, tried in rising order; `flow_type`
    ObjectAddOnly writes at creation only; `default` stands in for null at creation only.
    """

    target: str
    source: AttributeSource | ConstantSource
    default: str | None = None
    matching_priority: int = 0
    flow_type: Literal["Always", "ObjectAddOnly"] = "Always"


@dataclass(frozen=True, slots=True)
class ObjectMapping:
    """All columns of one object type. `flow_types` are the target object actions that the administrator allows: none
    where the mapping is switched off.
    """

    type: ObjectType
    table: str
    attributes: tuple[AttributeMapping, ...]
    flow_types: frozenset[str] = frozenset({"Add", "Update", "Delete"})

    @property
    def enabled(self) -> bool:
        return bool(self.flow_types)

    @property
    def matching(self) -> AttributeMapping:
        """The matching attribute of the highest precedence; a loaded schema always has one."""
        return min((a for a in self.attributes if a.matching_priority > 0), key=lambda a: a.matching_priority)

    @property
    def source_properties(self) -> tuple[str, ...]:
        """The Graph properties that the mappings read, for `$select`."""
        return tuple(sorted({a.source.property_name for a in self.attributes if isinstance(a.source, AttributeSource)}))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(a.target for a in self.attributes)


@dataclass(frozen=True, slots=True)
class Schema:
    """The object mappings of a job."""

    user: ObjectMapping
    group: ObjectMapping

    def mapping(self, kind: ObjectType) -> ObjectMapping:
        return self.user if kind == "user" else self.group
