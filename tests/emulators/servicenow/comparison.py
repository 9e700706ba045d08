"""What each operator of the query language says about one stored value. Knows a column's type and nothing of rows,
indexes or grammar.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt

from tests.emulators.servicenow.dictionary import Column
from tests.emulators.servicenow.folding import fold

Test = Callable[[str], bool]

_RELATIONS = {">": gt, ">=": ge, "<": lt, "<=": le}
_NEGATIVE = {"!=": "=", "NOT IN": "IN", "NOT LIKE": "LIKE", "ISEMPTY": "ISNOTEMPTY", "EMPTYSTRING": "ISNOTEMPTY"}
_OF_TEXT: dict[str, Callable[[str, str], bool]] = {
    "STARTSWITH": str.startswith,
    "ENDSWITH": str.endswith,
    "LIKE": str.__contains__,
    "ISNOTEMPTY": lambda stored, _: stored != "",
    "ANYTHING": lambda *_: True,
}
FIELD_RELATIONS = {
    "SAMEAS": lambda a, b: a == b,
    "NSAMEAS": lambda a, b: a != b,
    "GT_FIELD": gt,
    "LT_FIELD": lt,
    "GT_OR_EQUALS_FIELD": ge,
    "LT_OR_EQUALS_FIELD": le,
}


def test_for(operator: str, value: str, column: Column) -> Test:
    """A predicate over a stored value. The negative operators also match an empty one (`!=true` matches NULL)."""
    if operator in _NEGATIVE:
        positive = test_for(_NEGATIVE[operator], value, column)
        return lambda stored: not positive(stored)
    wanted = fold(value)
    if operator in _OF_TEXT:
        holds = _OF_TEXT[operator]
        return lambda stored: holds(fold(stored), wanted)
    match operator:
        case "=":
            return _equals(wanted, column)
        case "IN":
            among = frozenset(fold(one) for one in value.split(","))
            return lambda stored: fold(stored) in among
        case "BETWEEN":
            low, _, high = value.partition("@")
            from_low, to_high = _relates(">=", low, column), _relates("<=", high, column)
            return lambda stored: from_low(stored) and to_high(stored)
    return _relates(operator, value, column)


def sort_key(column: Column) -> Callable[[str], tuple[float, str]]:
    if column.is_number:
        return lambda stored: (number(stored), "")
    return lambda stored: (0.0, fold(stored))


def number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("-inf")


def _equals(wanted: str, column: Column) -> Test:
    if wanted in {"", "null"}:  # `manager=NULL` is what GlideRecord makes of an empty value
        return lambda stored: not stored
    if column.type == "boolean":
        # A boolean that was never written reads as false.
        wanted = "true" if wanted in {"true", "1"} else "false"
        return lambda stored: (stored or "false") == wanted
    if column.is_number:
        return lambda stored: stored == wanted or (stored != "" and number(stored) == number(wanted))
    return lambda stored: fold(stored) == wanted


def _relates(operator: str, value: str, column: Column) -> Test:
    relation = _RELATIONS[operator]
    if column.is_number:
        than = number(value)
        return lambda stored: stored != "" and relation(number(stored), than)
    folded = fold(value)
    return lambda stored: stored != "" and relation(fold(stored), folded)
