"""The encoded query language, from text to frozen values: `^` and, `^OR` or, `^NQ` a new independent group, `^^` a
literal caret, ORDERBY. Knows the grammar only: whether a field exists is for the evaluation to say, and what this
module cannot read it reports as dropped, because the instance drops it without an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tests.emulators.servicenow.related import Related, split_off


@dataclass(frozen=True, slots=True)
class Condition:
    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Order:
    field: str
    descending: bool = False


Clause = tuple[Condition, ...]  # any of
Group = tuple[Clause, ...]  # all of


@dataclass(frozen=True, slots=True)
class Query:
    """Any of the groups; in each all clauses; in each clause any condition. Beside them all related rows."""

    groups: tuple[Group, ...] = ()
    order: tuple[Order, ...] = ()
    dropped: tuple[str, ...] = ()
    related: tuple[Related, ...] = ()


class NotEmulated(Exception):
    """The instance knows this part of the language and the emulator does not: better loud than wrong."""


EVERYTHING = Query()

# Longest first, so that `>=` is not read as `>` and a value of `=`.
OPERATORS = (
    "GT_OR_EQUALS_FIELD",
    "LT_OR_EQUALS_FIELD",
    "DOES NOT CONTAIN",
    "EMPTYSTRING",
    "ISNOTEMPTY",
    "STARTSWITH",
    "ENDSWITH",
    "GT_FIELD",
    "LT_FIELD",
    "NOT LIKE",
    "CONTAINS",
    "ANYTHING",
    "BETWEEN",
    "ISEMPTY",
    "NSAMEAS",
    "NOT IN",
    "SAMEAS",
    "LIKE",
    "IN",
    "!=",
    "<=",
    ">=",
    "!*",
    "=",
    "<",
    ">",
    "*",
    "%",
)
_SYNONYMS = {"CONTAINS": "LIKE", "*": "LIKE", "!*": "NOT LIKE", "DOES NOT CONTAIN": "NOT LIKE", "%": "ENDSWITH"}
_UNARY = frozenset({"ISEMPTY", "ISNOTEMPTY", "ANYTHING", "EMPTYSTRING"})
_FOREIGN = ("RELATIVE", "DATEPART", "DYNAMIC", "ON", "MORETHAN", "LESSTHAN", "VALCHANGES", "CHANGES")
_FOREIGN_TERMS = ("JOIN", "RLQUERY", "SUBQUERY", "123TEXTQUERY321", "ENDRLQUERY", "IR_AND_OR_QUERY")

_TERM = re.compile(
    r"([a-z_][a-z0-9_.]*)(" + "|".join(re.escape(operator) for operator in OPERATORS) + r")(.*)", re.DOTALL
)
_FOREIGN_TERM = re.compile(r"[a-z_][a-z0-9_.]*(?:" + "|".join(_FOREIGN) + r")[A-Za-z\d@]")
_SEPARATOR = re.compile(r"\^\^|\^")


def escape(value: str) -> str:
    """A literal caret is doubled (GlideStringUtil.escapeQueryTermSeparator)."""
    return value.replace("^", "^^")


@lru_cache(maxsize=256)
def parse(text: str) -> Query:
    """Query = part *( "^" part ); part = ["OR" / "NQ"] term / "EQ" / ("ORDERBY" / "ORDERBYDESC") field"""
    whole = text
    text, related = split_off(text)
    groups: list[list[list[Condition]]] = [[]]
    order: list[Order] = []
    dropped: list[str] = []
    after_or = False  # an `^OR` whose left side was dropped begins a clause of its own
    for part in split(text):
        if part.startswith("ORDERBYDESC"):
            order.append(Order(part[11:], descending=True))
        elif part.startswith("ORDERBY"):
            order.append(Order(part[7:]))
        elif part in {"", "EQ"} or part.startswith("GROUPBY"):
            continue
        else:
            if part.startswith("NQ"):
                groups.append([])
                part = part[2:]  # noqa: PLW2901
            either = part.startswith("OR")
            if either:
                part = part[2:]  # noqa: PLW2901
            if not part:
                continue
            condition = term(part)
            if condition is None:
                dropped.append(part)
                after_or = not either
            elif either and groups[-1] and not after_or:
                groups[-1][-1].append(condition)
            else:
                groups[-1].append([condition])
                after_or = False
    kept = tuple(tuple(tuple(clause) for clause in group) for group in groups if group)
    if related and len(kept) > 1:
        raise NotEmulated(whole)  # to which of the groups the related rows belong is not known
    return Query(kept, tuple(order), tuple(dropped), related)


def split(text: str) -> Iterator[str]:
    """The parts between single carets, with doubled ones made single."""
    if "^^" not in text:
        yield from text.split("^")
        return
    part, at = "", 0
    for separator in _SEPARATOR.finditer(text):
        part += text[at : separator.start()]
        at = separator.end()
        if separator[0] == "^^":
            part += "^"
        else:
            yield part
            part = ""
    yield part + text[at:]


def term(text: str) -> Condition | None:
    """Term = field operator value"""
    if text.startswith(_FOREIGN_TERMS):
        raise NotEmulated(text)
    found = _TERM.match(text)
    if found is None:
        if _FOREIGN_TERM.match(text):
            raise NotEmulated(text)
        return None
    field, operator, value = found.groups()
    operator = _SYNONYMS.get(operator, operator)
    if operator in _UNARY and value:
        return None
    return Condition(field, operator, value)
