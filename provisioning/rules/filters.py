"""Scoping filters: whether an object's attributes pass, and which clause they failed, in Entra's words. Pure.

The clauses of a filter must all hold, and one filter must pass; without filters everything passes. A clause about an
attribute without a value is false, only `IS NULL` is true (customize scoping filters, "null or empty attributes").
Beyond Entra: an attribute with several values satisfies a clause when one of them does, and a negated clause (NOT
EQUALS, NOT REGEX MATCH, !&) when none violates it; dates compare like numbers; `manager` and `memberOf` are attributes
like others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from provisioning.errors import ExpressionError, ObjectError
from provisioning.rules.attributes import Facts, reader
from provisioning.schema.mappings import Clause, FilterGroup
from provisioning.schema.names import MEMBER_OF

NEGATED = {"NOT EQUALS": "EQUALS", "NOT REGEX MATCH": "REGEX MATCH", "!&": "&"}
Test = Callable[[str, Clause], bool]


def failed_filters(groups: Sequence[FilterGroup], facts: Facts) -> str | None:
    """None when the object passes; else each filter with the first of its clauses that does not hold, as Entra writes
    them: `{filter title} {attribute} {operator} {value}`. Raises `ObjectError` when a clause cannot be evaluated: that
    must never look like "not in scope".
    """
    failed: list[str] = []
    for group in groups:
        clause = next((clause for clause in group.clauses if not _holds(clause, facts)), None)
        if clause is None:
            return None
        failed.append(f"{group.name} {clause}")
    return " or ".join(failed) if failed else None


def _holds(clause: Clause, facts: Facts) -> bool:
    try:
        values = _values(reader(clause.attribute)(facts))
    except RecursionError as error:
        raise ObjectError(
            "ScopingFilterFailed",
            f"the scoping filter clause {clause} could not be evaluated: the value is nested too deeply",
            "correct the value in Microsoft Entra ID; until then the object is left as it is",
        ) from error
    match clause.operator:
        case "IS NULL":
            return not values
        case "IS NOT NULL":
            return bool(values)
        case _ if not values and clause.attribute != MEMBER_OF:  # who is in no group is known not to be in this one
            return False
        case "NOT EQUALS" | "NOT REGEX MATCH" | "!&":
            test = TESTS[NEGATED[clause.operator]]
            return not any(_satisfies(test, value, clause) for value in values)
        case operator:
            test = TESTS[operator]
            return any(_satisfies(test, value, clause) for value in values)


def _satisfies(test: Test, value: str, clause: Clause) -> bool:
    try:
        return test(value, clause)
    except ExpressionError as error:
        raise ObjectError(
            "ScopingFilterFailed",
            f"the scoping filter clause {clause} could not be evaluated: {error.message}",
            "simplify the regular expression; until then the object is left as it is",
        ) from error


def _values(value: Any) -> list[str]:
    """The texts of a value; nothing for null, "" and an empty list."""
    match value:
        case None | "":
            return []
        case bool():
            return ["True" if value else "False"]
        case str():
            return [value]
        case list() | tuple():
            return [text for item in value for text in _values(item)]
        case {"value": str(name)} | {"displayName": str(name)}:
            return [name]
        case _:
            return [str(value)]


def _is_equal(value: str, clause: Clause) -> bool:
    return value in clause.values


def _occurs_in(value: str, clause: Clause) -> bool:
    """Reversed containment: the attribute's value is looked for in the given text."""
    return any(value in given for given in clause.values)


def _matches(value: str, clause: Clause) -> bool:
    return clause.pattern is not None and clause.pattern.found(value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Test:
    def test(value: str, clause: Clause) -> bool:
        return any(_compared(value, given, compare) for given in clause.values)

    return test


def _compared(value: str, given: str, compare: Callable[[Any, Any], bool]) -> bool:
    """Whole numbers, or dates; anything else satisfies no comparison."""
    numbers = _integer(value), _integer(given)
    if numbers[0] is not None and numbers[1] is not None:
        return compare(*numbers)
    moments = moment(value), moment(given)
    return moments[0] is not None and moments[1] is not None and compare(*moments)


def _integer(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None  # noqa: PLR2004 - 64 bits


def moment(text: str) -> datetime | None:
    """An ISO 8601 date or date-time; without a zone it is in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


TESTS: dict[str, Test] = {
    "EQUALS": _is_equal,
    "IS TRUE": lambda value, _: value.lower() == "true",
    "IS FALSE": lambda value, _: value.lower() == "false",
    "REGEX MATCH": _matches,
    "Greater_Than": _ordered(lambda value, given: value > given),
    "Greater_Than_OR_EQUALS": _ordered(lambda value, given: value >= given),
    "Includes": lambda value, clause: any(given in value for given in clause.values),
    "ENDS_WITH": lambda value, clause: any(value.endswith(given) for given in clause.values),
    "&": _occurs_in,
}
