r"""Translates .NET's regular expressions into the syntax of the `regex` library. Pure text; compiles nothing.

The library matches by backtracking as .NET does, so that translation is about spelling: how groups are numbered, what
options reach, what stands for itself. Every group becomes a named one, `g<number in .NET>`;
options are put around each thing they concern. What .NET lacks is refused even where the library has it. Deviations:
balancing groups are refused, `\w` is Unicode's definition, characters are code points and not UTF-16 units.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from provisioning.expressions.regex_classes import SHORTHANDS, escaped, read_class, read_escape, read_property, wrong
from provisioning.expressions.regex_groups import Groups, Options, find_groups, read_opening

MAX_PATTERN = 10_000
MAX_DEPTH = 50
"""Groups inside one another."""
MAX_SIZE = 100_000
"""How often things may be repeated, repetitions inside repetitions multiplied: compiling takes time in proportion."""
GROUP_SIZE = 20
"""A group is that much more work than a character."""

QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\})(?P<lazy>\??)", re.ASCII)
NAMED_REFERENCE = re.compile(r"k(?:<(?P<angle>\w+)>|'(?P<quote>\w+)')")
OLD_REFERENCE = re.compile(r"(?:<(?P<angle>\w+)>|'(?P<quote>\w+)')")
NUMBER = re.compile(r"[1-9]\d*", re.ASCII)
ANCHORS = {"b": r"\b", "B": r"\B", "A": r"\A", "Z": "$", "z": r"\Z", "G": r"\G"}


def translate(source: str) -> tuple[str, Groups]:
    if len(source) > MAX_PATTERN:
        raise wrong(f"a pattern has at most {MAX_PATTERN:,} characters", source, MAX_PATTERN, len(source))
    groups = find_groups(source)
    return _Translation(source, groups).translated(), groups


@dataclass(slots=True)
class _Open:
    """A group that is being read. `size` counts what it repeats, `branches` the branches of a conditional."""

    at: int
    options: Options
    size: int = 0
    branches: int | None = None
    start: int = 0
    is_condition: bool = False


@dataclass(slots=True)
class _Translation:
    source: str
    groups: Groups
    at: int = 0
    options: Options = field(default_factory=Options)
    out: list[str] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    atom: int | None = None
    """Where in `out` the thing begins that a quantifier would repeat; None when there is none."""
    atom_size: int = 0
    unnamed: int = 0

    def translated(self) -> str:
        self.stack.append(_Open(0, self.options))
        while self.at < len(self.source):
            self._next()
        if len(self.stack) > 1:
            raise wrong("this '(' is never closed by ')'", self.source, self.stack[-1].at)
        return "".join(self.out)

    def _next(self) -> None:
        sign = self.source[self.at]
        if self.options.x and (sign.isspace() or sign == "#"):
            end = self.source.find("\n", self.at) if sign == "#" else self.at
            self.at = len(self.source) if end < 0 else end + 1
            return
        found = QUANTIFIER.match(self.source, self.at)
        if found:
            self._quantifier(found)
            return
        self.at += 1
        match sign:
            case "(":
                self._open()
            case ")":
                self._close()
            case "|":
                self._alternative()
            case "[":
                found_class, self.at = read_class(self.source, self.at)
                self._add(found_class)
            case "\\":
                self._escape()
            case ".":
                self._add("(?s:.)" if self.options.s else r"[^\n]")
            case "^":
                self._add("(?m:^)" if self.options.m else r"\A")
            case "$":
                self._add("(?m:$)" if self.options.m else "$")
            case _:
                self._add(escaped(sign))

    def _add(self, piece: str) -> None:
        self.atom, self.atom_size = len(self.out), 1
        self.stack[-1].size += 1
        self.out.append(f"(?i:{piece})" if self.options.i else piece)

    def _quantifier(self, found: re.Match[str]) -> None:
        if self.atom is None:
            raise wrong(f"there is nothing that '{found[0]}' could repeat", self.source, *found.span())
        least = int(found["least"][:9]) if found["least"] else 0
        most = int(found["most"][:9]) if found["most"] else least
        if found["most"] and least > most:
            raise wrong(f"'{found[0]}' says less at most than at least", self.source, *found.span())
        top = self.stack[-1]
        size = self.atom_size * max(least, most, 1)
        top.size += size - self.atom_size
        if size > MAX_SIZE or top.size > MAX_SIZE:
            raise wrong(f"'{found[0]}' repeats more than {MAX_SIZE:,} things in all", self.source, *found.span())
        self.out[self.atom :] = ["(?:", *self.out[self.atom :], ")", found[0]]
        self.atom = None
        self.at = found.end()
        self._refuse_second_quantifier()

    def _refuse_second_quantifier(self) -> None:
        found = QUANTIFIER.match(self.source, self.at)
        if found:
            raise wrong(f"'{found[0]}' repeats a repetition; put a group around it", self.source, *found.span())

    def _alternative(self) -> None:
        top = self.stack[-1]
        if top.branches is not None:
            top.branches += 1
            if top.branches > 2:  # noqa: PLR2004 - yes and no
                raise wrong("a conditional has two branches", self.source, self.at - 1)
        self.atom = None
        self.out.append("|")

    def _open(self) -> None:
        opening = read_opening(self.source, self.at - 1, self.options, self.groups)
        self.at = opening.end
        if opening.options is not None and not opening.emitted:
            # `(?i)`: the options hold to the end of the group that is open already.
            self.options = opening.options
            self.atom = None
            return
        if not opening.emitted:
            return
        if len(self.stack) > MAX_DEPTH:
            raise wrong(f"groups are nested more than {MAX_DEPTH} deep", self.source, self.at - 1)
        emitted = opening.emitted
        if opening.unnamed:
            self.unnamed += 1
            emitted = f"(?P<g{self.unnamed}>"
        self.stack.append(
            _Open(
                self.at - 1,
                self.options,
                branches=1 if opening.conditional else None,
                start=len(self.out),
                is_condition=opening.condition_follows,
            )
        )
        self.options = opening.options or self.options
        self.atom = None
        self.out.append(emitted)
        if opening.condition_follows:
            self._condition()

    def _condition(self) -> None:
        """`(?(expression)yes|no)`: what stands in the inner parentheses is looked for ahead, and captures nothing."""
        plain = not self.source.startswith("(?", self.at)
        top = self.stack[-1]
        if plain:
            self.at += 1
            self.stack.append(_Open(self.at - 1, self.options, start=len(self.out)))
            self.out.append("(?=")
        else:
            top.is_condition = True

    def _close(self) -> None:
        if len(self.stack) == 1:
            raise wrong("this ')' closes nothing", self.source, self.at - 1)
        closed = self.stack.pop()
        self.options = closed.options
        self.out.append(")")
        size = closed.size + GROUP_SIZE
        self.stack[-1].size += size
        if self.stack[-1].is_condition:
            self.stack[-1].is_condition = False
            self.atom = None
            return
        self.atom, self.atom_size = closed.start, size

    def _escape(self) -> None:
        if self.at >= len(self.source):
            raise wrong("the pattern ends with a backslash", self.source, self.at - 1)
        sign = self.source[self.at]
        if sign in ANCHORS:
            self.at += 1
            self._add(ANCHORS[sign])
        elif sign in SHORTHANDS:
            self.at += 1
            self._add(f"\\{sign}")
        elif sign in "pP":
            piece, self.at = read_property(self.source, self.at)
            self._add(piece)
        elif not self._reference(sign):
            character, self.at = read_escape(self.source, self.at)
            self._add(escaped(character))

    def _reference(self, sign: str) -> bool:
        r"""`\1`, `\k<name>`, `\k'name'` and the old `\<name>`. False when it is some other escape."""
        start = self.at - 1
        if sign == "k":
            found = NAMED_REFERENCE.match(self.source, self.at)
            if found is None:
                raise wrong("\\k needs the name of a group: \\k<name>", self.source, start, start + 2)
            return self._refer(found["angle"] or found["quote"], start, found.end())
        if sign in "<'":
            old = OLD_REFERENCE.match(self.source, self.at)
            name = old and self.groups.name_of(old["angle"] or old["quote"])
            return bool(old and name and self._refer(old["angle"] or old["quote"], start, old.end()))
        number = NUMBER.match(self.source, self.at)
        if number is None:
            return False
        # A number of several digits that is no group is an octal escape.
        if len(number[0]) > 1 and self.groups.name_of(number[0]) is None:
            return False
        return self._refer(number[0], start, number.end())

    def _refer(self, group: str, start: int, end: int) -> bool:
        name = self.groups.name_of(group)
        if name is None:
            raise wrong(f"there is no group {group!r} to refer to", self.source, start, end)
        self.at = end
        self._add(rf"\g<{name}>")
        return True
