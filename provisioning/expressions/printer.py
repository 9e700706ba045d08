"""Prints a tree as text, in one spelling: what is printed reads back as the same tree."""

from __future__ import annotations

from provisioning.expressions.syntax import Attribute, Call, Comparison, Node, Number, Text, Word
from provisioning.expressions.tokens import quoted


def printed(node: Node | None) -> str:
    match node:
        case None:
            return ""
        case Text(value=value):
            return quoted(value)
        case Number(written=written):
            return written
        case Attribute(name=name):
            return f"[{name}]"
        case Word(name=name):
            return name
        case Comparison(left=left, operator=operator, right=right):
            return f"{printed(left)} {operator} {printed(right)}"
        case Call(function=function, arguments=arguments):
            # A loop, because a comprehension would cost a second frame at each level.
            texts: list[str] = []
            for argument in arguments:
                texts.append(printed(argument))  # noqa: PERF401 - see above
            return f"{function}({', '.join(texts)})"
