"""Turns a checked tree into closures, once; what they return when they are called is the value. Never sees text: that
which it was given to quote in errors, it only passes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.errors import ExpressionError
from provisioning.expressions.signatures import Function, Run, Scope, Site
from provisioning.expressions.syntax import Attribute, Call, Comparison, Node, Number, Span, Text, Word
from provisioning.expressions.values import Flow, Unfit, compare, frozen

FLOWS = {each.value: each for each in Flow}


class Compiler:
    """Compiles the nodes of one expression."""

    def __init__(self, source: str, library: Mapping[str, Function], *, strict: bool) -> None:
        self.source = source
        self.library = library
        self.strict = strict

    def run(self, node: Node, *, result: bool = True) -> Run:
        match node:
            case Text(value=value) | Number(value=value):
                return lambda _: value
            case Attribute(name=name):
                return lambda scope: frozen(scope.attributes.get(name))
            case Word(name=name):
                word = FLOWS.get(name, name)
                return lambda _: word
            case Comparison():
                return self._comparison(node)
            case Call():
                return self._call(node, result=result)

    def _comparison(self, node: Comparison) -> Run:
        left, right = self.run(node.left, result=False), self.run(node.right, result=False)
        operator = node.operator
        return self._guarded(f"'{operator}'", node.span, lambda scope: compare(left(scope), operator, right(scope)))

    def _call(self, call: Call, *, result: bool) -> Run:
        function = self.library[call.function]
        count = len(call.arguments)
        runs: list[Run | None] = []
        for index, argument in enumerate(call.arguments):
            may_result = result and function.may_result(index, count)
            runs.append(None if argument is None else self.run(argument, result=may_result))
        missing = () if function.signature.most is None else (None,) * (function.signature.most - count)
        nodes, places = (*call.arguments, *missing), (*runs, *missing)
        site = Site(call, function.signature, nodes, places, self.source, strict=self.strict, result=result)
        name = "" if call.function == "Error" else call.function
        return self._guarded(name, call.span, function.build(site))

    def _guarded(self, name: str, span: Span, run: Run) -> Run:
        """An evaluation that fails says in which call."""
        source = self.source

        def guarded(scope: Scope) -> Any:
            try:
                return run(scope)
            except Unfit as error:
                raise ExpressionError(f"{name} {error}".strip(), source=source, span=span) from error
            except ExpressionError as error:
                # A pattern knows only itself; anything else was placed further in already.
                if error.source == source:
                    raise
                raise ExpressionError(f"{name}: {error.message}", source=source, span=span) from error

        return guarded
