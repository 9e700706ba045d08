"""Groups of .NET's regular expressions: what may open one, and how they are numbered."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from provisioning.expressions.regex_classes import read_class, wrong

NAMED = re.compile(r"\(\?(?:<(?P<angle>\w*(?:-\w*)?)>|'(?P<quote>\w*(?:-\w*)?)')")
INLINE = re.compile(r"\(\?(?P<on>[imnsx]*)(?:-(?P<off>[imnsx]*))?(?P<end>[:)])")
CONDITION = re.compile(r"\(\?\((?P<name>\w+)\)")
LOOKAROUNDS = ("(?=", "(?!", "(?<=", "(?<!")
PLAIN = ("(?:", "(?>", *LOOKAROUNDS)


@dataclass(frozen=True, slots=True)
class Options:
    """.NET's inline options: ignore case, multiline, explicit capture, single line, ignore blanks."""

    i: bool = False
    m: bool = False
    n: bool = False
    s: bool = False
    x: bool = False

    def changed(self, on: str, off: str) -> Options:
        return Options(*((getattr(self, each) or each in on) and each not in off for each in "imnsx"))


@dataclass(frozen=True, slots=True)
class Groups:
    """Which groups a pattern has: .NET's numbers, and the names with theirs."""

    numbers: frozenset[int]
    named: tuple[tuple[str, int], ...]

    @property
    def last(self) -> str:
        """The library's name of the group with the highest number."""
        return f"g{max(self.numbers)}" if self.numbers else ""

    def name_of(self, group: str) -> str | None:
        """The library's name of a group that is asked for by name or number."""
        if group.isdecimal() and group.isascii():
            number = int(group[:9])
            return f"g{number}" if number in self.numbers else None
        return next((f"g{number}" for name, number in self.named if name == group), None)


@dataclass(frozen=True, slots=True)
class Opening:
    """What an opening parenthesis begins. Nothing is emitted for comments and for options that stand alone."""

    end: int
    emitted: str = ""
    options: Options | None = None
    unnamed: bool = False
    conditional: bool = False
    condition_follows: bool = False


def read_opening(source: str, at: int, options: Options, groups: Groups) -> Opening:
    """`at` is at the parenthesis."""
    if not source.startswith("(?", at):
        if options.n:
            return Opening(at + 1, "(?:", options)
        return Opening(at + 1, "(", options, unnamed=True)
    if source.startswith("(?#", at):
        return Opening(_after_comment(source, at))
    for plain in PLAIN:
        if source.startswith(plain, at):
            return Opening(at + len(plain), plain, options)
    if found := NAMED.match(source, at):
        return Opening(found.end(), f"(?P<{groups.name_of(_name(source, found))}>", options)
    if source.startswith("(?(", at):
        return _conditional(source, at, options, groups)
    if found := INLINE.match(source, at):
        changed = options.changed(found["on"], found["off"] or "")
        return Opening(found.end(), "(?:" if found["end"] == ":" else "", changed)
    raise wrong("this is no group that .NET's regular expressions have", source, at, min(at + 3, len(source)))


def find_groups(source: str) -> Groups:
    """Numbers the groups as .NET does: unnamed ones first, then names, each in their order and around taken numbers.

    A walk of its own over the pattern, because a pattern may refer to groups that come later.
    """
    walk = _Numbering(source)
    while walk.at < len(source):
        walk.step()
    return walk.groups()


@dataclass(slots=True)
class _Numbering:
    source: str
    at: int = 0
    options: Options = field(default_factory=Options)
    stack: list[Options] = field(default_factory=list)
    unnamed: int = 0
    numbers: set[int] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    is_condition: bool = False
    """The next parenthesis holds the condition of a conditional, and captures nothing."""

    def step(self) -> None:
        sign = self.source[self.at]
        if sign == "\\":
            self.at += 2
        elif sign == "[":
            self.at = read_class(self.source, self.at + 1)[1]
        elif sign == "#" and self.options.x:
            self.at = self.source.find("\n", self.at) + 1 or len(self.source)
        elif sign == "(":
            self._open()
        else:
            if sign == ")" and self.stack:
                self.options = self.stack.pop()
            self.at += 1

    def _open(self) -> None:
        captures, self.is_condition = not self.is_condition, self.source.startswith("(?(", self.at)
        if self.is_condition:
            self.stack.append(self.options)
            self.at += 2
        elif found := NAMED.match(self.source, self.at):
            self._named(_name(self.source, found))
            self.stack.append(self.options)
            self.at = found.end()
        else:
            opening = read_opening(self.source, self.at, self.options, Groups(frozenset(), ()))
            self.at = opening.end
            if opening.unnamed and captures:
                self.unnamed += 1
                self.numbers.add(self.unnamed)
            if opening.emitted:
                self.stack.append(self.options)
            self.options = opening.options or self.options

    def _named(self, name: str) -> None:
        if name.isdecimal():
            self.numbers.add(int(name))
        elif name not in self.names:
            self.names.append(name)

    def groups(self) -> Groups:
        taken, named, number = set(self.numbers), list[tuple[str, int]](), self.unnamed + 1
        for name in self.names:
            while number in taken:
                number += 1
            taken.add(number)
            named.append((name, number))
        return Groups(frozenset(taken), tuple(named))


def _name(source: str, found: re.Match[str]) -> str:
    name: str = found["angle"] or found["quote"] or ""
    if "-" in name:
        raise wrong("balancing groups (?<a-b>...) are not supported", source, *found.span())
    if not name or (name[0].isdigit() and not (name.isdecimal() and name.isascii() and len(name) < 10)):  # noqa: PLR2004
        raise wrong("a group's name begins with a letter, or is a number", source, *found.span())
    if name.isdecimal() and int(name) == 0:
        raise wrong("group 0 is the whole match", source, *found.span())
    return name


def _conditional(source: str, at: int, options: Options, groups: Groups) -> Opening:
    found = CONDITION.match(source, at)
    if found:
        name = groups.name_of(found["name"])
        if name is not None:
            return Opening(found.end(), f"(?({name})", options, conditional=True)
        if found["name"][0].isdigit():
            raise wrong(f"there is no group {found['name']!r} to ask for", source, at, found.end())
    if source.startswith("(?(?", at) and not source.startswith(LOOKAROUNDS, at + 2):
        raise wrong("a condition is a group's name or number, a plain group or a lookaround", source, at, at + 4)
    return Opening(at + 2, "(?", options, conditional=True, condition_follows=True)


def _after_comment(source: str, at: int) -> int:
    end = source.find(")", at)
    if end < 0:
        raise wrong("this comment is never closed by ')'", source, at, at + 3)
    return end + 1
