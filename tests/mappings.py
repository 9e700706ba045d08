"""Short forms of mappings and filters, for tests of pure rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from provisioning.expressions import compile as compiled
from provisioning.expressions.regexes import compile_pattern
from provisioning.model import ScopeCheck, SourceObject
from provisioning.rules.assessment import Assessment, assess, assess_gone
from provisioning.rules.attributes import Facts
from provisioning.rules.mapping import Desired, Mapper
from provisioning.schema.mappings import AttributeMapping, Clause, FilterGroup, ObjectMapping, ScopeFilter
from tests.columns import columns_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def of(source: str | None, target: str = "title", **options: Any) -> AttributeMapping:
    """A mapping of an attribute by its name, or of an expression by its text."""
    if source is None:
        return AttributeMapping(target, None, **options)
    return AttributeMapping(target, compiled(source if "(" in source or '"' in source else f"[{source}]"), **options)


def clause(attribute: str, operator: str, *values: str) -> Clause:
    pattern = compile_pattern(values[0]) if "REGEX" in operator else None
    return Clause(attribute, operator, values, pattern)  # type: ignore[arg-type]


def scope(*groups: list[Clause], inputs: tuple[list[Clause], ...] = ()) -> ScopeFilter:
    """Filters named after their places: the first is `filter 1`."""
    return ScopeFilter(
        tuple(FilterGroup(f"filter {n}", tuple(clauses)) for n, clauses in enumerate(groups, 1)),
        tuple(FilterGroup(f"input {n}", tuple(clauses)) for n, clauses in enumerate(inputs, 1)),
    )


def person(source_id: str = "u1", **attributes: Any) -> SourceObject:
    return SourceObject("user", source_id, {"userPrincipalName": "ada@contoso.com", **attributes})


def desired_of(mapping: ObjectMapping, source: SourceObject, columns: Any = None, **facts: Any) -> Desired:
    mapper = Mapper(mapping, columns or columns_of(*mapping.columns))
    return mapper.evaluate(Facts(source, **facts), NOW)


def assessed(
    mapping: ObjectMapping,
    source: SourceObject | None,
    grants: tuple[str, ...],
    columns: Any = None,
    *,
    everyone: bool = False,
    default_access: bool = True,
) -> Assessment:
    """The assessment of an object that was read; without a source, of one that is gone."""
    mapper = Mapper(mapping, columns or columns_of(*mapping.columns))
    if source is None:
        return assess_gone(mapper, grants, NOW, everyone=everyone, default_access=default_access)
    return assess(mapper, Facts(source), grants, NOW, everyone=everyone, default_access=default_access)


def failed(checks: tuple[ScopeCheck, ...]) -> list[str]:
    return [check.name for check in checks if not check.passed]
