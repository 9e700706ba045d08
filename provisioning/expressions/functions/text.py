"""Functions that take texts apart and put them together."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from provisioning.expressions.signatures import Run, Site, built, eager
from provisioning.expressions.values import Unfit, Value, each, integer, text

IGNORING_CASE = {"vbbinarycompare": False, "vbtextcompare": True, "0": False, "1": True}


def append(source: Any, suffix: Any) -> Value:
    """Null counts as ""."""
    end = text(suffix)
    return each("" if source is None else source, lambda value: value + end)


def prepend(prefix: Any, source: Any) -> Value:
    start = text(prefix)
    return each("" if source is None else source, lambda value: start + value)


def left(source: Any, count: Any) -> str:
    """A negative count gives the whole text."""
    value, size = text(source), integer(count)
    return value if size < 0 else value[:size]


def mid(source: Any, start: Any, length: Any) -> str:
    """From the 1-based start; what lies beyond the end is "". A start below 1 or a negative length is an error."""
    value, first, size = text(source), integer(start), integer(length)
    if first < 1:
        raise Unfit(f"counts from 1 and was given the start {first}")
    if size < 0:
        raise Unfit(f"takes a length of at least 0 and was given {size}")
    return value[first - 1 : first - 1 + size]


def length(source: Any) -> int:
    """Numbers are measured as text. Characters are Unicode's, so an emoji is one; .NET counts two."""
    return len(text(source))


def ignores_case(compare_type: str) -> bool:
    found = IGNORING_CASE.get(compare_type.strip().lower())
    if found is None:
        raise Unfit(f"compares by vbBinaryCompare or vbTextCompare, not {compare_type!r}")
    return found


def in_str(site: Site) -> Run:
    """Searches from `start`, yet counts from the beginning."""
    value1, value2, start = site.run(0), site.run(1), site.run(2)
    has_start = site.filled(2)
    folded = site.prepared(3, ignores_case, default=False)

    def run(scope: Any) -> int:
        value, sought = text(value1(scope)), text(value2(scope))
        first = integer(start(scope)) if has_start else 1
        if first < 1:
            raise Unfit(f"counts from 1 and was given the start {first}")
        if not value or first > len(value):
            return 0
        if folded(scope):
            value, sought = _folded(value), _folded(sought)
        return value.find(sought, first - 1) + 1

    return run


def split_at_any(delimiters: str) -> Callable[[str], list[str]]:
    """Cuts at each run of delimiters."""
    return _splitter(delimiters)


@lru_cache(maxsize=256)
def _splitter(delimiters: str) -> Callable[[str], list[str]]:
    if not delimiters:
        return lambda value: [value] if value else []
    found = re.compile(f"[^{re.escape(delimiters)}]+")
    return found.findall


def word(site: Site) -> Run:
    """The n-th of the pieces between runs of delimiters; "" when there are fewer, or for a number below 1."""
    source, which = site.run(0), site.run(1)
    cut = site.prepared(2, split_at_any, split_at_any(" "))

    def run(scope: Any) -> str:
        value, at = text(source(scope)), integer(which(scope))
        words = cut(scope)(value)
        return words[at - 1] if 1 <= at <= len(words) else ""

    return run


def trim(source: Any) -> Value:
    return each(source, str.strip)


def strip_spaces(source: Any) -> Value:
    """Only U+0020, wherever it stands."""
    return each(source, lambda value: value.replace(" ", ""))


def _folded(value: str) -> str:
    """Without case, character by character: positions stay what they were."""
    if value.isascii():
        return value.lower()
    return "".join(low if len(low := one.lower()) == 1 else one for one in value)


FUNCTIONS = (
    eager("Append(source: String, suffix: String)", append),
    eager("Prepend(prefix: String, source: String)", prepend),
    eager("Left(source: String, numChars: Integer)", left),
    eager("Mid(source: String, start: Integer, length: Integer)", mid),
    eager("Len(source: String)", length),
    built(
        "InStr(value1: String, value2: String, start: Integer?, compareType: String?[vbBinaryCompare|vbTextCompare])",
        in_str,
    ),
    built("Word(source: String, wordNumber: Integer, delimiters: String)", word),
    eager("Trim(source: String)", trim),
    eager("StripSpaces(source: String)", strip_spaces),
)
