"""Replacement texts of .NET's regular expressions: `$1 ${1} ${name} $$ $& $` $' $+ $_`; any other `$` is itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from provisioning.expressions.regex_groups import Groups

SUBSTITUTION = re.compile(r"\$(?:(?P<number>\d+)|\{(?P<name>\w+)\}|(?P<sign>[$&`'+_]))")


@dataclass(frozen=True, slots=True)
class Replacement:
    """Literal pieces and what stands between them, in turns. `parts` are (literal, group, sign)."""

    parts: tuple[tuple[str, str, str], ...]

    def expanded(self, match: Any, value: str) -> str:
        return "".join([literal or self._taken(match, value, group, sign) for literal, group, sign in self.parts])

    @staticmethod
    def _taken(match: Any, value: str, group: str, sign: str) -> str:
        if group:
            return match[group] or ""
        match sign:
            case "&":
                return str(match[0])
            case "`":
                return value[: match.start()]
            case "'":
                return value[match.end() :]
            case _:
                return value


def read_replacement(text: str, groups: Groups) -> Replacement:
    parts: list[tuple[str, str, str]] = []
    at = 0
    for found in SUBSTITUTION.finditer(text):
        parts.append((text[at : found.start()], "", ""))
        parts.append(_part(found, groups))
        at = found.end()
    parts.append((text[at:], "", ""))
    return Replacement(tuple(part for part in parts if part != ("", "", "")))


def _part(found: re.Match[str], groups: Groups) -> tuple[str, str, str]:
    sign = found["sign"]
    if sign == "$":
        return ("$", "", "")
    if sign == "+":
        return ("", groups.last, "") if groups.last else ("", "", "&")
    if sign:
        return ("", "", sign)
    wanted = found["number"] or found["name"]
    if wanted.isdecimal() and not wanted.strip("0"):
        return ("", "", "&")
    name = groups.name_of(wanted)
    return ("", name, "") if name else (found[0], "", "")
