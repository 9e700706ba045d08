"""Regular expressions in .NET's syntax, each operation within a time limit. Scoping filters use them too.

The matching is done by the `regex` library, into whose syntax `regex_translation` turns a pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

import regex  # type: ignore[import-untyped]  # the library has no types

from provisioning.errors import ExpressionError
from provisioning.expressions.regex_groups import Groups
from provisioning.expressions.regex_replacements import Replacement, read_replacement
from provisioning.expressions.regex_translation import translate

TIME_LIMIT = 0.25
"""Seconds for one operation."""
MAX_OUTPUT = 1_000_000
"""Characters that a replacement may make."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. Every method raises `ExpressionError` when it takes too long."""

    text: str
    groups: Groups
    _compiled: Any

    def search(self, value: str) -> Any | None:
        """The first match, as a match of the `regex` library, or None."""
        return self._first(value, 0, TIME_LIMIT)

    def found(self, value: str) -> bool:
        return self.search(value) is not None

    def replace(self, value: str, replacement: str) -> str:
        """Every match replaced; `$1`, `${name}`, `$&` and their relatives mean what they do in .NET."""
        new = _replacement(replacement, self.groups)
        return self._rewritten(value, lambda match: new.expanded(match, value))

    def replace_group(self, value: str, group: str, literal: str) -> str:
        """In every match, what the group captured is replaced by the literal text; a match without it stays."""
        name = self.require(group)

        def rewritten(match: Any) -> str:
            start, end = match.span(name)
            whole: str = match[0]
            # A group in a lookahead can capture what lies outside of the match: that is not replaced.
            if start < match.start() or end > match.end():
                return whole
            return whole[: start - match.start()] + literal + whole[end - match.start() :]

        return self._rewritten(value, rewritten)

    def group_of_first(self, value: str, group: str) -> str | None:
        """What the group captured in the first match; None without a match, or when the group took no part in it."""
        name = self.require(group)
        match = self.search(value)
        return None if match is None else match[name]

    def require(self, group: str) -> str:
        """The library's name of a group, by its name or number."""
        name = self.groups.name_of(group)
        if name is None:
            raise ExpressionError(f"the pattern has no group {group!r}", source=self.text, span=(0, len(self.text)))
        return name

    def _rewritten(self, value: str, rewrite: Callable[[Any], str]) -> str:
        pieces: list[str] = []
        at = size = 0
        for match in self._matches(value):
            piece = value[at : match.start()] + rewrite(match)
            at = match.end()
            pieces.append(piece)
            size += len(piece)
            if size > MAX_OUTPUT:
                raise ExpressionError(f"the replacement makes more than {MAX_OUTPUT:,} characters", source=self.text)
        pieces.append(value[at:])
        return "".join(pieces)

    def _matches(self, value: str) -> Iterator[Any]:
        """All matches within one time limit. After an empty one .NET goes on a character later, unlike the library."""
        deadline, at = monotonic() + TIME_LIMIT, 0
        while at <= len(value):
            remaining = deadline - monotonic()
            if remaining <= 0:
                raise self._too_long()
            match = self._first(value, at, remaining)
            if match is None:
                return
            yield match
            at = match.end() + (match.start() == match.end())

    def _first(self, value: str, at: int, limit: float) -> Any | None:
        try:
            return self._compiled.search(value, at, timeout=limit)
        except TimeoutError as error:
            raise self._too_long() from error

    def _too_long(self) -> ExpressionError:
        return ExpressionError(
            f"the regular expression took longer than {TIME_LIMIT} s", source=self.text, span=(0, len(self.text))
        )


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """Compiles a pattern. What .NET would refuse is refused, with the place in the pattern."""
    translated, groups = translate(text)
    try:
        compiled = regex.compile(translated, regex.VERSION0, cache_pattern=False)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ExpressionError(
            f"the regular expression is not supported: {error}", source=text, span=(0, len(text))
        ) from error
    return Pattern(text, groups, compiled)


@lru_cache(maxsize=512)
def _replacement(text: str, groups: Groups) -> Replacement:
    return read_replacement(text, groups)
