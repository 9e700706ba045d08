"""Escapes and character classes of .NET's regular expressions, in the syntax of the `regex` library."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from functools import cache

import regex  # type: ignore[import-untyped]  # the library has no types

from provisioning.errors import ExpressionError

SHORTHANDS = frozenset("dDsSwW")
CONTROLS = {"a": "\a", "b": "\b", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "n": "\n", "e": "\x1b"}
HEX_DIGITS = {"x": 2, "u": 4}
OCTAL = re.compile(r"[0-7]{1,3}")
PROPERTY = re.compile(r"\{([\w-]+)\}", re.ASCII)
CATEGORIES = frozenset(
    [
        *("L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe"),
        *("Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Cs", "Co", "Cn"),
    ]
)
DEEPEST_SUBTRACTION = 16


def wrong(message: str, source: str, start: int, end: int | None = None) -> ExpressionError:
    return ExpressionError(message, source=source, span=(start, start + 1 if end is None else end))


def escaped(character: str) -> str:
    """A character that stands for itself, inside a class and outside."""
    if character.isascii() and character.isalnum():
        return character
    return f"\\U{ord(character):08X}"


def read_escape(source: str, at: int) -> tuple[str, int]:
    """The character that an escape stands for; `at` is behind its backslash."""
    if at >= len(source):
        raise wrong("the pattern ends with a backslash", source, at - 1)
    sign = source[at]
    if sign in HEX_DIGITS:
        digits = source[at + 1 : at + 1 + HEX_DIGITS[sign]]
        if len(digits) < HEX_DIGITS[sign] or not set(digits) <= set(string.hexdigits):
            raise wrong(f"\\{sign} needs {HEX_DIGITS[sign]} hexadecimal digits", source, at - 1, at + 1)
        return chr(int(digits, 16)), at + 1 + len(digits)
    if sign == "c":
        letter = source[at + 1 : at + 2].upper()
        if not letter or not "@" <= letter <= "_":
            raise wrong("\\c needs the letter of a control character", source, at - 1, at + 1)
        return chr(ord(letter) - 64), at + 2
    if found := OCTAL.match(source, at):
        return chr(int(found[0], 8) & 0xFF), found.end()
    if sign in CONTROLS:
        return CONTROLS[sign], at + 1
    if sign == "_" or sign.isalnum():
        raise wrong(f"\\{sign} is no escape of .NET's regular expressions", source, at - 1, at + 1)
    return sign, at + 1


def read_property(source: str, at: int) -> tuple[str, int]:
    r"""`\p{Lu}` and `\P{IsGreek}`; `at` is at the letter."""
    found = PROPERTY.match(source, at + 1)
    if found is None:
        raise wrong(f"\\{source[at]} needs a name in braces", source, at - 1, at + 1)
    name = found[1]
    known = name if name in CATEGORIES else _block(name.removeprefix("Is")) if name.startswith("Is") else None
    if known is None:
        raise wrong(f"{name} is no Unicode category and no block (IsCyrillic) of .NET's", source, at - 1, found.end())
    return f"\\{source[at]}{{{known}}}", found.end()


@cache
def _block(name: str) -> str | None:
    try:
        regex.compile(rf"\p{{Block={name}}}", regex.VERSION0)
    except regex.error:
        return None
    return f"Block={name}"


def read_class(source: str, at: int, depth: int = 0) -> tuple[str, int]:
    """A whole class; `at` is behind its opening bracket. Subtraction, `[a-z-[aeiou]]`, becomes a lookahead."""
    if depth > DEEPEST_SUBTRACTION:
        raise wrong("classes are subtracted from one another too deeply", source, at - 1)
    reader = _Class(source, at)
    return reader.read(depth), reader.at


@dataclass(slots=True)
class _Class:
    """Reads as .NET's RegexParser.ScanCharClass does, whose order of questions decides what a '-' or '[' means."""

    source: str
    at: int
    items: list[str] = field(default_factory=list)
    low: str | None = None
    """The lower end of a range whose upper end comes next; `low_at` is where it stands."""
    low_at: int = 0
    subtracted: str = ""

    def read(self, depth: int) -> str:
        start = self.at
        negated = self.source.startswith("^", self.at)
        self.at += negated
        first = self.at
        while True:
            if self.at >= len(self.source):
                raise wrong("this '[' is never closed by ']'", self.source, start - 1)
            if self.source[self.at] == "]" and self.at > first:
                break
            self._item(depth, is_first=self.at == first)
        self.at += 1
        # A '-' before the closing bracket never opens a range, so no range is left half read.
        found = f"[{'^' if negated else ''}{''.join(self.items)}]"
        return f"(?:(?!{self.subtracted}){found})" if self.subtracted else found

    def _item(self, depth: int, *, is_first: bool) -> None:
        sign, was_escaped, began = self.source[self.at], False, self.at
        self.at += 1
        if sign == "\\" and self.at < len(self.source):
            letter = self.source[self.at]
            if letter in SHORTHANDS or letter in "pP":
                self._shorthand(letter)
                return
            sign, self.at = read_escape(self.source, self.at)
            was_escaped = True
            if sign == letter == "-" and self.low is None:
                self.items.append(escaped(sign))  # it never begins a range
                return
        if self.low is not None:
            self._range_end(sign, depth, opens=sign == "[" and not was_escaped and not is_first)
        elif self._next() == "-" and self._next(1) not in {"", "]"}:
            self.low, self.low_at = sign, began
            self.at += 1
        elif sign == "-" and not was_escaped and self._next() == "[" and not is_first:
            self.at += 1
            self._subtract(depth)
        else:
            self.items.append(escaped(sign))

    def _shorthand(self, letter: str) -> None:
        if self.low is not None:
            raise wrong(f"a range cannot end with \\{letter}", self.source, self.at - 1, self.at + 1)
        if letter in "pP":
            found, self.at = read_property(self.source, self.at)
        else:
            found, self.at = f"\\{letter}", self.at + 1
        self.items.append(found)

    def _range_end(self, sign: str, depth: int, *, opens: bool) -> None:
        low, self.low = self.low or "", None
        if opens:
            self.items.append(escaped(low))
            self._subtract(depth)
        elif low > sign:
            raise wrong(f"the range from {low!r} to {sign!r} is in reverse order", self.source, self.low_at, self.at)
        else:
            self.items.append(f"{escaped(low)}-{escaped(sign)}")

    def _subtract(self, depth: int) -> None:
        self.subtracted, self.at = read_class(self.source, self.at, depth + 1)
        if self._next() not in {"", "]"}:
            raise wrong("a subtraction must be the last thing in a class", self.source, self.at)

    def _next(self, ahead: int = 0) -> str:
        return self.source[self.at + ahead : self.at + ahead + 1]
