"""The mappings of a job as the rules use them: which source value goes to which column, and who is in scope. Compiled
once from the schema's JSON; knows no JSON and no values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from provisioning.expressions import Expression
from provisioning.expressions.regexes import Pattern
from provisioning.model import DriftPolicy, ObjectType
from provisioning.schema.names import IS_SOFT_DELETED, MEMBER_OF, OBJECT_FILTER, ROLES, select_name

FlowType = Literal["Always", "ObjectAddOnly", "MultiValueAddOnly", "ValueAddOnly", "AttributeAddOnly"]
Operator = Literal[
    "EQUALS",
    "NOT EQUALS",
    "IS TRUE",
    "IS FALSE",
    "IS NULL",
    "IS NOT NULL",
    "REGEX MATCH",
    "NOT REGEX MATCH",
    "Greater_Than",
    "Greater_Than_OR_EQUALS",
    "Includes",
    "ENDS_WITH",
    "&",
    "!&",
]


ReferencePolicy = Literal["omit", "fail", "create", "default"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """How the record is found that a reference column points to, and what happens where there is none. `column` is the
    one that is searched, by default the table's display column. `default` is the value that is searched for instead.
    """

    policy: ReferencePolicy = "omit"
    column: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """One column.

    `source` is None for Entra's mapping type None: the column is left alone, and gets `default` while it is empty.
    Elsewhere `default` stands in for null at creation only. `matching_priority` above 0 marks a matching attribute,
    tried in rising order; equal numbers make a composite key. `flow_always` (FlowAlways) sends the value with every
    update of the object. `clears` is true when both gates for clearing are open: null then empties the column.
    `required` (of the target's attribute definition) refuses to create without a value. `case_exact` tells whether a
    change of case alone is a change. `lookup` is for a column that refers to a record by a value of it. `drift` says
    what becomes of a value that others changed in ServiceNow (None: what the job says).
    """

    target: str
    source: Expression | None
    default: str | None = None
    matching_priority: int = 0
    flow_type: FlowType = "Always"
    flow_always: bool = False
    clears: bool = False
    required: bool = False
    case_exact: bool = True
    lookup: Lookup = Lookup()
    drift: DriftPolicy | None = None

    @property
    def attributes(self) -> frozenset[str]:
        """The source attributes that it reads, by the names that the schema uses."""
        return self.source.attributes if self.source is not None else frozenset()

    @property
    def redacted(self) -> bool:
        """True when its value may stand in no log."""
        return self.source is not None and self.source.redacted


@dataclass(frozen=True, slots=True)
class Clause:
    """A source attribute, one of Entra's 14 operators, and the values to compare with (none for a unary operator).
    `pattern` is the compiled value of the two REGEX operators.
    """

    attribute: str
    operator: Operator
    values: tuple[str, ...] = ()
    pattern: Pattern | None = None

    def __str__(self) -> str:
        return " ".join((self.attribute, self.operator, *self.values))


@dataclass(frozen=True, slots=True)
class FilterGroup:
    """Clauses that must all hold."""

    name: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """Filters of which one must hold, if there are any. Who falls out of `groups` is deprovisioned; who falls out of
    `input_groups` is dropped before anything else and left as it is.
    """

    groups: tuple[FilterGroup, ...] = ()
    input_groups: tuple[FilterGroup, ...] = ()

    def clauses(self) -> Iterator[Clause]:
        for group in (*self.groups, *self.input_groups):
            yield from group.clauses


@dataclass(frozen=True)
class ObjectMapping:
    """All columns of one object type. `flow_types` are the target object actions that the administrator allows: none
    where the mapping is switched off. `members` tells whether a group's members are mapped. `preferred` holds the
    columns and values by which one of several records with the same key is the object's own: an active account before
    an inactive one. `members_drift` is the drift policy of memberships. `owned` groups have no members in ServiceNow
    but those that they have in Entra: all groups, or those with these names or ids.
    """

    type: ObjectType
    table: str
    attributes: tuple[AttributeMapping, ...]
    flow_types: frozenset[str] = frozenset({"Add", "Update", "Delete"})
    scope: ScopeFilter = field(default_factory=ScopeFilter)
    members: bool = True
    preferred: tuple[tuple[str, str], ...] = ()
    members_drift: DriftPolicy | None = None
    owned: bool | frozenset[str] = False

    @property
    def enabled(self) -> bool:
        return bool(self.flow_types)

    @cached_property
    def matching(self) -> tuple[tuple[AttributeMapping, ...], ...]:
        """The keys in their precedence, each of one attribute or several; a loaded schema always has one."""
        marked = sorted((a for a in self.attributes if a.matching_priority > 0), key=_priority)
        return tuple(tuple(same) for _, same in groupby(marked, key=_priority))

    @cached_property
    def identifying(self) -> ObjectMapping:
        """The same with nothing but what tells an object's keys and whether it is skipped or in scope."""
        return replace(self, attributes=tuple(filter(_identifies, self.attributes)))

    @cached_property
    def reads(self) -> frozenset[str]:
        """The source attributes that mappings and filters read, by the names that the schema uses."""
        mapped = (name for attribute in self.attributes for name in attribute.attributes)
        return frozenset((*mapped, *(clause.attribute for clause in self.scope.clauses())))

    @cached_property
    def source_properties(self) -> tuple[str, ...]:
        """The Graph properties that these attributes are in, for `$select`."""
        return tuple(sorted({name for each in self.reads if (name := select_name(each))}))

    @property
    def reads_roles(self) -> bool:
        return ROLES in self.reads

    @cached_property
    def soft_delete(self) -> tuple[AttributeMapping, ...]:
        """The mappings that change when an object goes out of scope."""
        return tuple(a for a in self.attributes if IS_SOFT_DELETED in a.attributes)

    @cached_property
    def watched_groups(self) -> frozenset[str]:
        """The groups whose membership decides about scope."""
        clauses = (clause for clause in self.scope.clauses() if clause.attribute == MEMBER_OF)
        return frozenset(value for clause in clauses for value in clause.values)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(a.target for a in self.attributes)

    def owns(self, source_id: str, name: str) -> bool:
        """Whether the group's members in ServiceNow are only those that it has in Entra."""
        if isinstance(self.owned, bool):
            return self.owned and self.writes_members
        return self.writes_members and not self.owned.isdisjoint({source_id, name})

    def drift_of(self, column: str, default: DriftPolicy) -> DriftPolicy:
        """What becomes of a value of this column that others changed."""
        return next((a.drift for a in self.attributes if a.target == column and a.drift is not None), default)

    @property
    def writes_members(self) -> bool:
        """Whether memberships may be written: they are mapped, and to change them is to update the group."""
        return self.members and "Update" in self.flow_types

    @cached_property
    def redacted(self) -> frozenset[str]:
        """The columns whose values may stand in no log."""
        return frozenset(a.target for a in self.attributes if a.redacted)


def _identifies(attribute: AttributeMapping) -> bool:
    skips = attribute.source is not None and "IgnoreObjectFlow" in attribute.source.functions
    return attribute.matching_priority > 0 or attribute.target == OBJECT_FILTER or skips


def _priority(attribute: AttributeMapping) -> int:
    return attribute.matching_priority


@dataclass(frozen=True)
class Schema:
    """The object mappings of a job, and the document that they come from, as it was read. `delete_threshold` is the
    job setting QuarantineTooManyDeletesThreshold, where the document brings it along.
    """

    user: ObjectMapping
    group: ObjectMapping
    document: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    delete_threshold: int | None = None

    def mapping(self, kind: ObjectType) -> ObjectMapping:
        return self.user if kind == "user" else self.group

    @property
    def functions(self) -> frozenset[str]:
        """The functions that some mapping uses."""
        mappings = (*self.user.attributes, *self.group.attributes)
        return frozenset(name for a in mappings if a.source is not None for name in a.source.functions)
