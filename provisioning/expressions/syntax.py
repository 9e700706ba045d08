"""What an expression is made of. Nodes are immutable; two are equal when they say the same, wherever that was written.

This module knows neither text nor functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Span = tuple[int, int]
"""Where in the text something was written: start, and the position after its end."""

MAX_LENGTH = 10_000
"""Characters in an expression, as in Entra."""
MAX_DEPTH = 128
"""Calls inside one another. Entra names no limit; ours keeps every walk over a tree far from Python's."""


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text."""

    value: str
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A bare number, decimal or hexadecimal; `written` keeps how."""

    value: int | float
    written: str
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the source object: `[mail]`."""

    name: str
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Word:
    """A bare name: a flow keyword, or a choice of a parameter such as `vbTextCompare`."""

    name: str
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left = right` and its five relatives."""

    left: Node
    operator: str
    right: Node
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments; None is a place left empty."""

    function: str
    arguments: tuple[Node | None, ...]
    span: Span = field(default=(0, 0), compare=False, repr=False)
    name_span: Span = field(default=(0, 0), compare=False, repr=False)


Literal = Text | Number | Word
Node = Text | Number | Attribute | Word | Comparison | Call


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Call(arguments=arguments):
            return tuple(each for each in arguments if each is not None)
        case Comparison(left=left, right=right):
            return (left, right)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in the order of the text. Needs no stack of Python's."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += reversed(children(current))
