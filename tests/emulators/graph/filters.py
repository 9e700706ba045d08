"""The part of OData's $filter that directory objects support: comparisons, `in`, startswith and endsWith,
joined by and, or, not. Parsing gives a tree of frozen values; matching reads properties through a
plain function, so it serves users, groups and assignments alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .messages import bad_request, unsupported_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_CLAUSES = 15
_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>[(),])|(?P<word>[^\s(),']+))")


@dataclass(frozen=True, slots=True)
class Compare:
    name: str
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Not:
    inner: Filter


@dataclass(frozen=True, slots=True)
class Join:
    word: str
    parts: tuple[Filter, ...]


Filter = Compare | Not | Join


def parse(text: str) -> Filter:
    """Filter = term *(("and" / "or") term); "and" binds closer."""
    tokens = list(_tokens(text))
    found, rest = _join(tokens, "or")
    if rest:
        raise bad_request(f"Invalid filter clause: Syntax error at '{rest[0]}' in '{text}'.")
    clauses = _alternatives(found)
    if clauses > MAX_CLAUSES:
        raise unsupported_query(
            "Too many child clauses specified in search filter expression containing 'OR' operators: "
            f"{clauses}. Max allowed: {MAX_CLAUSES}."
        )
    return found


def matches(node: Filter, value_of: Callable[[str], Any]) -> bool:
    match node:
        case Not(inner):
            return not matches(inner, value_of)
        case Join("and", parts):
            return all(matches(part, value_of) for part in parts)
        case Join(_, parts):
            return any(matches(part, value_of) for part in parts)
        case Compare(name, operator, values):
            return _compare(operator, _folded(value_of(name)), [_folded(value) for value in values])


def _compare(operator: str, found: Any, wanted: list[Any]) -> bool:
    match operator:
        case "startswith":
            return str(found or "").startswith(wanted[0])
        case "endswith":
            return str(found or "").endswith(wanted[0])
        case "ne":
            return bool(found != wanted[0])
        case _:
            return found in wanted


def equal_to(node: Filter, name: str) -> tuple[str, ...] | None:
    """The values if the filter is nothing but `name eq x or name eq y ...` or `name in (...)`."""
    match node:
        case Compare(found, "eq" | "in", values) if found == name:
            return tuple(dict.fromkeys(values))
        case Join("or", parts):
            lists = [equal_to(part, name) for part in parts]
            if all(values is not None for values in lists):
                return tuple(dict.fromkeys(value for values in lists for value in values or ()))
    return None


def beginnings(node: Filter) -> tuple[tuple[str, str], ...] | None:
    """(name, beginning) pairs if the filter is nothing but `startswith(a, 'x') or startswith(b, 'y') ...`."""
    match node:
        case Compare(name, "startswith", (str(value),)) if "/" not in name and name != "id":
            return ((name, value),)
        case Join("or", parts):
            lists = [beginnings(part) for part in parts]
            if all(pairs is not None for pairs in lists):
                return tuple(pair for pairs in lists for pair in pairs or ())
    return None


def is_advanced(node: Filter) -> bool:
    """Whether it needs ConsistencyLevel: eventual and $count=true."""
    match node:
        case Not():
            return True
        case Join(_, parts):
            return any(is_advanced(part) for part in parts)
        case Compare(_, operator, _):
            return operator in {"ne", "endswith"}


def delta_ids(text: str) -> tuple[str, ...]:
    """`id eq 'a' or id eq 'b' ...`, all that delta query takes, at most 50."""
    ids = re.findall(r"id\s+eq\s+'([^']+)'", text)
    if not ids or re.sub(r"id\s+eq\s+'[^']+'|\s+or\s+|\s", "", text):
        raise unsupported_query("Unsupported or invalid query filter clause specified for delta query.")
    if len(ids) > 50:
        raise unsupported_query(f"Too many ids in the filter of a delta query: {len(ids)}. Max allowed: 50.")
    return tuple(dict.fromkeys(ids))


def _tokens(text: str) -> Iterator[str]:
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise bad_request(
                f"Invalid filter clause: There is an unterminated literal at position {position} in '{text}'."
            )
        yield match.group().strip()
        position = match.end()


def _join(tokens: list[str], word: str) -> tuple[Filter, list[str]]:
    parts = []
    while True:
        part, tokens = _join(tokens, "and") if word == "or" else _term(tokens)
        parts.append(part)
        if not tokens or tokens[0].lower() != word:
            return (parts[0] if len(parts) == 1 else Join(word, tuple(parts))), tokens
        tokens = tokens[1:]


def _term(tokens: list[str]) -> tuple[Filter, list[str]]:
    match [token.lower() for token in tokens[:2]] + tokens[2:]:
        case ["not", *_]:
            inner, rest = _term(tokens[1:])
            return Not(inner), rest
        case ["(", *_]:
            inner, rest = _join(tokens[1:], "or")
            if rest[:1] != [")"]:
                raise bad_request("Invalid filter clause: ')' expected.")
            return inner, rest[1:]
        case ["startswith" | "endswith" as function, "(", name, ",", value, ")", *rest]:
            return Compare(name, function, (_literal(value),)), rest
        case [_, "eq" | "ne" as operator, value, *rest]:
            return Compare(tokens[0], operator, (_literal(value),)), rest
        case [_, "in", "(", *rest]:
            if ")" not in rest:
                raise bad_request("Invalid filter clause: ')' expected.")
            end = rest.index(")")
            values = tuple(_literal(token) for token in rest[:end] if token != ",")
            return Compare(tokens[0], "in", values), rest[end + 1 :]
    raise unsupported_query("Unsupported or invalid query filter clause specified for property.")


def _literal(token: str) -> Any:
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    constants = {"true": True, "false": False, "null": None}
    return constants.get(token.lower(), token)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _alternatives(node: Filter) -> int:
    match node:
        case Compare(_, _, values):
            return len(values)
        case Not(inner):
            return _alternatives(inner)
        case Join("or", parts):
            return sum(_alternatives(part) for part in parts)
        case Join(_, parts):
            return max(_alternatives(part) for part in parts)
