"""Cuts an expression's text into tokens. Knows how things are spelled, not what they mean or where they may stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioning.errors import ExpressionError
from provisioning.expressions.syntax import Span

RULES = {
    "text": re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL),
    "number": re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?!\w)", re.ASCII),
    "hexadecimal": re.compile(r"&[Hh][0-9A-Fa-f]+(?!\w)"),
    "name": re.compile(r"[A-Za-z_]\w*", re.ASCII),
    "operator": re.compile(r"<>|<=|>=|[=<>]"),
    "(": re.compile(r"\("),
    ")": re.compile(r"\)"),
    ",": re.compile(r","),
}
BLANK = re.compile(r"\s*")
BRACKET = re.compile(r"[\[\]\r\n]")
ESCAPE = re.compile(r'\\(["\\])')

# What people write that is not part of the language, and what to write instead.
FOREIGN = {
    "'": 'a text stands in double quotes: "..."',
    "“": 'a text stands in straight double quotes: "..."',
    "”": 'a text stands in straight double quotes: "..."',
    "‘": 'a text stands in straight double quotes: "..."',  # noqa: RUF001 - the character that word processors put in
    "’": 'a text stands in straight double quotes: "..."',  # noqa: RUF001 - as above
    "&": "'&' does not join texts here; write Join(\"\", first, second)",
    "+": 'there is no arithmetic; texts are joined by Join("", first, second)',
    ";": "arguments are separated by ','",
    "{": "expected an attribute in brackets, a text in double quotes, a number or a function",
    "!": "not equal is written '<>'",
    "]": "this ']' closes nothing",
    "[": "this '[' is never closed by ']'",
    '"': "this text is never closed by '\"'",
}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a name of RULES, "attribute" or "end"; `text` is as written."""

    kind: str
    text: str
    span: Span


def tokens(source: str) -> list[Token]:
    """All tokens, the last of which is "end"."""
    found: list[Token] = []
    at = _after_blanks(source, 0)
    while at < len(source):
        token = _token(source, at)
        found.append(token)
        at = _after_blanks(source, token.span[1])
    return [*found, Token("end", "", (len(source), len(source)))]


def unquoted(written: str) -> str:
    """A quoted text's value. A backslash escapes a backslash or a quote; before anything else it stands for itself."""
    return ESCAPE.sub(r"\1", written[1:-1])


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def position_in_quotes(written: str, index: int) -> int:
    """Where the character `index` of a quoted text's value stands in what was written."""
    at = 1
    for _ in range(index):
        at += 2 if ESCAPE.match(written, at) else 1
    return min(at, len(written) - 1)


def _after_blanks(source: str, at: int) -> int:
    found = BLANK.match(source, at)
    return found.end() if found else at


def _token(source: str, at: int) -> Token:
    if source[at] == "[":
        return _attribute(source, at)
    for kind, rule in RULES.items():
        if found := rule.match(source, at):
            return Token(kind, found[0], found.span())
    foreign = FOREIGN.get(source[at], f"unexpected {source[at]!r}")
    length = len(source) - at if source[at] == '"' else 1
    raise ExpressionError(foreign, source=source, span=(at, at + length))


def _attribute(source: str, at: int) -> Token:
    """Brackets inside the name are part of it when they pair: `[businessPhones[0]]`."""
    depth = 0
    for found in BRACKET.finditer(source, at):
        if found[0] not in "[]":
            break
        depth += 1 if found[0] == "[" else -1
        if depth == 0:
            return Token("attribute", source[at : found.end()], (at, found.end()))
    raise ExpressionError(FOREIGN["["], source=source, span=(at, at + 1))
