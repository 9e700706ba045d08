"""The scoping filters of an object mapping. A filter that cannot be read is an error, never left out: without it more
would be provisioned than is meant to be. Knows no object and no directory.

Beyond Entra: Greater_Than compares dates too, `memberOf` names groups, and a clause may hold several values, of which
one is enough.
"""

from __future__ import annotations

import difflib
import re
from datetime import datetime
from typing import Any, get_args

from provisioning.errors import ConfigError, ExpressionError
from provisioning.expressions.regexes import Pattern, compile_pattern
from provisioning.model import ObjectType
from provisioning.schema import enums
from provisioning.schema.document import Entry, shown
from provisioning.schema.findings import Report
from provisioning.schema.mappings import Clause, FilterGroup, Operator, ScopeFilter
from provisioning.schema.names import COMPUTED, MEMBER_OF, graph_path
from provisioning.schema.source_names import BOOLEANS, check_name

OPERATORS: dict[str, Operator] = {re.sub(r"[\s_]", "", each).lower(): each for each in get_args(Operator)}
TYPES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("EQUALS", "NOT EQUALS", "REGEX MATCH", "NOT REGEX MATCH"), ("String", "Integer")),
    **dict.fromkeys(("IS TRUE", "IS FALSE"), ("Boolean",)),
    **dict.fromkeys(("IS NULL", "IS NOT NULL"), ("String", "Integer", "Binary", "Boolean")),
    **dict.fromkeys(("Greater_Than", "Greater_Than_OR_EQUALS"), ("Integer", "DateTime")),
    **dict.fromkeys(("Includes", "ENDS_WITH", "&", "!&"), ("String",)),
}
"""The attributes that an operator is for."""
UNARY = {"IS TRUE", "IS FALSE", "IS NULL", "IS NOT NULL"}
REGEX = {"REGEX MATCH", "NOT REGEX MATCH"}
ORDERED = {"Greater_Than", "Greater_Than_OR_EQUALS"}
EQUAL = {"EQUALS", "NOT EQUALS"}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
WITHOUT = "without it more would be provisioned than is meant to be"


def read_scope(mapping: Entry, kind: ObjectType, *, strict: bool) -> ScopeFilter:
    scope = mapping.entry("scope")
    if scope is None:
        return ScopeFilter()
    scope = scope.at(f"{mapping.where}, scope")
    scope.leftovers(("groups", "inputFilterGroups", "categoryFilterGroups", "name"))
    if scope.get("categoryFilterGroups"):
        scope.report.error(
            scope.where,
            f"categoryFilterGroups cannot be evaluated: Microsoft has not published what they mean; {WITHOUT}",
            "write them as scoping filters in `groups`, or remove them",
        )
    return ScopeFilter(
        _groups(mapping.where, scope, "groups", "filter", kind, strict=strict),
        _groups(mapping.where, scope, "inputFilterGroups", "input filter", kind, strict=strict),
    )


def operators() -> list[dict[str, Any]]:
    """As Graph's `schema/filterOperators` lists them."""
    return [
        {
            "name": name,
            "arity": "Unary" if name in UNARY else "Binary",
            "multivaluedComparisonType": "All",
            "supportedAttributeTypes": list(TYPES[name]),
        }
        for name in get_args(Operator)
    ]


def read_clause(text: str, kind: ObjectType) -> Clause:
    """A clause as people write it: `department EQUALS Sales`. Raises `ConfigError`."""
    attribute, _, rest = text.strip().partition(" ")
    operator = next((each for each in sorted(get_args(Operator), key=len, reverse=True) if _begins(rest, each)), "")
    value = rest.strip()[len(operator) :].strip()
    if not operator:
        raise ConfigError(
            f"{text!r} is no clause: write ATTRIBUTE OPERATOR VALUE with one of {', '.join(get_args(Operator))}"
        )
    if attribute in COMPUTED:
        raise ConfigError(f"{attribute} is computed and no property to filter by here: name the user or the group")
    report = Report()
    entry = {
        "operatorName": operator,
        "sourceOperandName": attribute,
        "targetOperand": {"values": [value] if value else []},
    }
    clause = _clause(Entry(entry, f"the clause {text!r}", report), kind, strict=False)
    if clause is None or report.failed:
        raise ConfigError("; ".join(str(each) for each in report.findings if each.severity == "error"))
    return clause


def _begins(text: str, operator: str) -> bool:
    return f"{text.strip()} ".casefold().startswith(f"{operator} ".casefold())


def _groups(
    where: str, scope: Entry, member: str, title: str, kind: ObjectType, *, strict: bool
) -> tuple[FilterGroup, ...]:
    """A filter without a name is called by its place."""
    groups: list[FilterGroup] = []
    for number, entry in enumerate(scope.entries(member), 1):
        given = entry.get("name")
        name = given.strip() if isinstance(given, str) and given.strip() else f"{title} {number}"
        group = entry.at(f"{where}, scoping filter {name}")
        group.leftovers(("clauses", "name"))
        clauses = group.entries("clauses")
        if not clauses and isinstance(group.get("clauses"), list | None):
            group.report.warning(
                group.where,
                "it has no clauses, so everything passes it, and one filter that passes is enough",
                "add a clause, or remove the filter",
            )
        read = (
            _clause(clause.at(f"{group.where}, clause {place}"), kind, strict=strict)
            for place, clause in enumerate(clauses, 1)
        )
        groups.append(FilterGroup(name, tuple(clause for clause in read if clause is not None)))
    return tuple(groups)


def _clause(entry: Entry, kind: ObjectType, *, strict: bool) -> Clause | None:
    """None when the report took an error."""
    entry.leftovers(("operatorName", "sourceOperandName", "targetOperand", "multiValuedComparisonType"))
    attribute = entry.name("sourceOperandName")
    operator = _operator(entry)
    if attribute is None or operator is None:
        return None
    check_name(attribute, kind, entry.where, entry.report)
    values = _values(entry, operator)
    if values is None:
        return None
    if attribute == MEMBER_OF:
        return Clause(attribute, operator, _groups_named(entry, operator, values))
    pattern = None
    if operator in REGEX:
        pattern = _pattern(entry, values)
    elif operator in ORDERED:
        _check_ordered(entry, operator, values, strict=strict)
    elif operator in EQUAL and graph_path(attribute) in BOOLEANS:
        _check_truth(entry, attribute, values)
    return Clause(attribute, operator, values, pattern)


def _operator(entry: Entry) -> Operator | None:
    given = entry.get("operatorName")
    found = OPERATORS.get(re.sub(r"[\s_]", "", given).lower()) if isinstance(given, str) else None
    if found is None:
        near = difflib.get_close_matches(str(given).upper(), [each.upper() for each in get_args(Operator)], 1)
        names = near or get_args(Operator)
        entry.report.error(
            entry.where,
            f"there is no operator {shown(given)}; {WITHOUT}",
            f"use {'one of ' if len(names) > 1 else ''}{', '.join(names)}",
        )
    return found


def _values(entry: Entry, operator: Operator) -> tuple[str, ...] | None:
    operand = entry.entry("targetOperand")
    given = operand.get("values") if operand is not None else None
    if given is not None and not isinstance(given, list):
        entry.report.error(entry.where, f"targetOperand.values is {shown(given)}; it must be a list of strings")
        return None
    texts = [_text(each) for each in given or ()]
    if operator in UNARY:
        if any(text != "" for text in texts):
            entry.report.warning(
                entry.where, f"{operator} compares with nothing; its value {shown(given)} has no effect", "remove it"
            )
        return ()
    values = tuple(text for text in texts if text is not None)
    if not values or len(values) < len(texts):
        entry.report.error(
            entry.where, f"{operator} needs a value to compare with, as text; targetOperand.values is {shown(given)}"
        )
        return None
    if "" in values:
        entry.report.warning(
            entry.where, f"{operator} compares with an empty text, which no attribute ever equals", "use IS NULL"
        )
    if len(values) > 1 and operator not in REGEX and entry.get("sourceOperandName") != MEMBER_OF:
        entry.report.warning(
            entry.where,
            f"{operator} has {len(values)} values, of which here one is enough; Entra compares with all of them",
            "write a clause with REGEX MATCH, or several filters",
        )
    return values


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, int) and enums.whole(value) is not None:
        return str(value)
    return value if isinstance(value, str) else None


def _pattern(entry: Entry, values: tuple[str, ...]) -> Pattern | None:
    if len(values) > 1:
        entry.report.error(entry.where, f"a regular expression is one value, not {len(values)}", "join them with |")
        return None
    try:
        return compile_pattern(values[0])
    except ExpressionError as error:
        entry.report.error(
            entry.where, f"the regular expression cannot be used: {error}", "correct it; .NET's syntax counts"
        )
        return None


def _check_ordered(entry: Entry, operator: Operator, values: tuple[str, ...], *, strict: bool) -> None:
    for value in values:
        if re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
            continue
        dated = _is_date(value)
        if strict or not dated:
            expected = "a whole number" if strict else "a whole number or a date as 2026-12-31"
            entry.report.error(entry.where, f"{operator} compares with {shown(value)}; it must be {expected}")
        else:
            entry.report.note(entry.where, f"{operator} compares dates here; Entra compares whole numbers only")


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _check_truth(entry: Entry, attribute: str, values: tuple[str, ...]) -> None:
    for value in values:
        if value not in {"True", "False"}:
            entry.report.warning(
                entry.where,
                f"{attribute} is compared with {shown(value)}, and its texts are True and False; case counts",
                "use IS TRUE or IS FALSE",
            )


def _groups_named(entry: Entry, operator: Operator, values: tuple[str, ...]) -> tuple[str, ...]:
    """Graph writes ids in lower case."""
    if operator not in EQUAL:
        entry.report.error(
            entry.where,
            f"memberOf cannot be compared by {operator}",
            "use EQUALS or NOT EQUALS with a group's object id",
        )
    for value in values:
        if not GUID.fullmatch(value):
            entry.report.error(
                entry.where,
                f"memberOf is compared with {shown(value)}; it must be the object id of a group, such as "
                "01234567-89ab-cdef-0123-456789abcdef",
            )
    entry.report.note(entry.where, "memberOf is evaluated here, by direct membership; Entra has no such clause")
    return tuple(value.lower() for value in values)
