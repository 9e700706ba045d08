"""JOIN and RLQUERY: rows that have, or have not, so many related rows in another table that match a query of their own.
Grammar only; which rows these are is for the evaluation to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt

RELATIONS: dict[str, Callable[[int, int], bool]] = {"=": eq, ">": gt, ">=": ge, "<": lt, "<=": le}

_JOIN = re.compile(r"(?:^|\^)JOIN([a-z_0-9]+)\.([a-z_0-9.]+)=([a-z_0-9]+)\.([a-z_0-9.]+)!(.*)$", re.DOTALL)
_LIST = re.compile(
    r"(?:^|\^)RLQUERY([a-z_0-9]+)\.([a-z_0-9.]+),(<=|>=|=|<|>)(\d+)(?:,m2m)?(?:\^(.*?))?\^ENDRLQUERY", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Related:
    """`field` of the row is counted among the values of `other_field` in the rows of `other` that match `query`."""

    field: str
    other: str
    other_field: str
    query: str
    relation: str
    number: int


def split_off(text: str) -> tuple[str, tuple[Related, ...]]:
    """RLQUERY = "RLQUERY" table "." field "," relation number [ ",m2m" ] [ "^" query ] "^ENDRLQUERY"
    JOIN = "JOIN" table "." field "=" other "." field "!" query

    A JOIN's query ends with the whole: PySNC writes joins last, and nothing marks their end. [U]
    """
    if "RLQUERY" not in text and "JOIN" not in text:
        return text, ()
    found: list[Related] = []

    def of_list(match: re.Match[str]) -> str:
        other, field, relation, number, query = match.groups()
        found.append(Related("sys_id", other, field, query or "", relation, int(number)))
        return ""

    def of_join(match: re.Match[str]) -> str:
        _, field, other, other_field, query = match.groups()
        found.append(Related(field, other, other_field, query, ">", 0))
        return ""

    text = _LIST.sub(of_list, text)
    return _JOIN.sub(of_join, text), tuple(found)
