"""Reads an expression's text into a tree. Each function's docstring is its rule of the grammar. Knows no function by
name: whether a call makes sense is decided in `checks`.
"""

from __future__ import annotations

from provisioning.errors import ExpressionError
from provisioning.expressions.syntax import (
    MAX_DEPTH,
    MAX_LENGTH,
    Attribute,
    Call,
    Comparison,
    Node,
    Number,
    Span,
    Text,
    Word,
)
from provisioning.expressions.tokens import Token, tokens, unquoted

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
LONGEST_NUMBER = 30
CONNECTIVES = {"and", "or", "not", "xor", "mod", "like", "is", "in"}


def parse(source: str) -> Node:
    """`start = expression end`"""
    if len(source) > MAX_LENGTH:
        raise ExpressionError(
            f"an expression has at most {MAX_LENGTH:,} characters, and this one has {len(source):,}",
            source=source,
            span=(MAX_LENGTH, len(source)),
        )
    parser = Parser(source)
    if parser.current.kind == "end":
        raise parser.error("the expression is empty")
    node = parser.expression("as the expression")
    if parser.current.kind != "end":
        raise parser.error("expected the end of the expression")
    return node


def ordinal(index: int) -> str:
    """How a person counts the argument with this index."""
    return ORDINALS[index] if index < len(ORDINALS) else f"{index + 1}th"


class Parser:
    """Walks along the tokens of one text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.at = 0
        self.depth = 0

    @property
    def current(self) -> Token:
        return self.tokens[self.at]

    def error(self, message: str, span: Span | None = None) -> ExpressionError:
        return ExpressionError(message, source=self.source, span=span or self.current.span)

    def take(self) -> Token:
        token = self.current
        self.at += 1
        return token

    def expression(self, place: str) -> Node:
        """`expression = operand [("=" | "<>" | ">" | ">=" | "<" | "<=") operand]`"""
        left = self.operand(place)
        if self.current.kind != "operator":
            return left
        operator = self.take()
        right = self.operand(f"after '{operator.text}'")
        if self.current.kind == "operator":
            raise self.error("comparisons do not chain; nest IIF instead")
        return Comparison(left, operator.text, right, (left.span[0], right.span[1]))

    def operand(self, place: str) -> Node:
        """`operand = text | number | hexadecimal | attribute | call | word`"""
        token = self.current
        match token.kind:
            case "text":
                self.take()
                return Text(unquoted(token.text), token.span)
            case "number" | "hexadecimal":
                return self.number()
            case "attribute":
                self.take()
                name = token.text[1:-1].strip()
                if not name:
                    raise self.error("the brackets name no attribute", token.span)
                return Attribute(name, token.span)
            case "name":
                return self.call() if self.tokens[self.at + 1].kind == "(" else self.word()
            case "end":
                raise self.error(f"expected a value {place}, and the expression ends here")
            case _:
                raise self.error(f"expected a value {place}, not '{token.text}'")

    def number(self) -> Number:
        """`number = ["-"] digits ["." digits]; hexadecimal = "&H" hexadecimal-digits`"""
        token = self.take()
        if len(token.text) > LONGEST_NUMBER:
            raise self.error(f"a number has at most {LONGEST_NUMBER} characters", token.span)
        if token.kind == "hexadecimal":
            _, _, digits = token.text.upper().partition("H")
            return Number(int(digits, 16), token.text, token.span)
        value = float(token.text) if "." in token.text else int(token.text)
        return Number(value, token.text, token.span)

    def word(self) -> Word:
        """`word = name, not followed by "("`"""
        token = self.take()
        if self.current.kind in {"text", "number", "hexadecimal", "attribute", "name"}:
            raise self.error(f"expected '(' after {token.text}")
        return Word(token.text, token.span)

    def call(self) -> Call:
        """`call = name "(" [slot {"," slot}] ")"; slot = [expression]`"""
        name = self.take()
        self.take()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"functions are nested more than {MAX_DEPTH} deep", name.span)
        arguments: list[Node | None] = []
        if self.current.kind != ")":
            arguments.append(self.slot(name.text, 0))
            while self.current.kind == ",":
                self.take()
                arguments.append(self.slot(name.text, len(arguments)))
        if self.current.kind != ")":
            raise self.unclosed(name.text, arguments)
        self.depth -= 1
        end = self.take().span[1]
        return Call(name.text, tuple(arguments), (name.span[0], end), name.span)

    def slot(self, function: str, index: int) -> Node | None:
        """`slot = [expression]`"""
        if self.current.kind in {",", ")"}:
            return None
        return self.expression(f"as the {ordinal(index)} argument of {function}")

    def unclosed(self, function: str, arguments: list[Node | None]) -> ExpressionError:
        last = len(arguments) - 1
        after = f"after the {ordinal(last)} argument of {function}"
        if self.current.kind == "name" and self.current.text.lower() in CONNECTIVES:
            return self.error(f"there is no {self.current.text} between conditions; nest IIF instead")
        return self.error(f"expected ',' or ')' {after}")
