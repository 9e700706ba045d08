"""An expression: read and checked once, evaluated for every object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from provisioning.errors import ExpressionError
from provisioning.expressions.checks import Checker
from provisioning.expressions.evaluator import Compiler
from provisioning.expressions.functions import LIBRARY
from provisioning.expressions.parser import parse
from provisioning.expressions.printer import printed
from provisioning.expressions.signatures import Run, Scope, Tenant
from provisioning.expressions.syntax import MAX_LENGTH, Attribute, Call, Node, Number, Text, walk
from provisioning.expressions.values import Value, text


@dataclass(frozen=True, slots=True)
class Expression:
    """Immutable, and safe to evaluate from several threads at once. Two are equal when their trees are.

    `text` is the canonical spelling. `attributes` and `functions` are what occurs anywhere in it. `redacted` says that
    logs must not show the value, `unique` that there are candidates of which a free one is to be taken. `direct` is the
    attribute's name when there is nothing else, `constant` the text when there is nothing but a literal. `notes` are
    things that were accepted and that a person should hear of.
    """

    source: str = field(compare=False)
    tree: Node
    text: str = field(compare=False)
    attributes: frozenset[str] = field(compare=False)
    functions: frozenset[str] = field(compare=False)
    redacted: bool = field(compare=False)
    unique: bool = field(compare=False)
    direct: str | None = field(compare=False)
    constant: str | None = field(compare=False)
    notes: tuple[str, ...] = field(compare=False)
    strict: bool
    _runs: tuple[Run, ...] = field(compare=False, repr=False)

    def evaluate(
        self, attributes: Mapping[str, Any], *, now: datetime | None = None, tenant: Tenant | None = None
    ) -> Value:
        """The value for an object, of SelectUniqueValue that of its first rule. Raises `ExpressionError`."""
        return self._value(self._runs[0], Scope(attributes, now, tenant))

    def candidates(
        self, attributes: Mapping[str, Any], *, now: datetime | None = None, tenant: Tenant | None = None
    ) -> Iterator[Value]:
        """The value of each rule of SelectUniqueValue, evaluated when it is asked for; of any other, its one value."""
        scope = Scope(attributes, now, tenant)
        return (self._value(run, scope) for run in self._runs)

    def _value(self, run: Run, scope: Scope) -> Value:
        try:
            found: Value = run(scope)
        except RecursionError as error:
            raise ExpressionError(
                "a value is nested too deeply to be worked with", source=self.source, span=(0, len(self.source))
            ) from error
        return found


def compile(text: str, *, strict: bool = False) -> Expression:  # noqa: A001 - as in re.compile
    """Reads an expression. Raises `ExpressionError`. `strict` is Entra compatibility: see `checks`."""
    return _compiled(text, strict)


@lru_cache(maxsize=1024)
def _compiled(text: str, strict: bool) -> Expression:  # noqa: FBT001 - a cached function's key
    checker = Checker(text, LIBRARY, strict)
    tree = checker.checked(parse(text))
    compiler = Compiler(text, LIBRARY, strict=strict)
    unique = isinstance(tree, Call) and tree.function == "SelectUniqueValue"
    runs: tuple[Run, ...] = (compiler.run(tree),)
    if unique and isinstance(tree, Call):
        runs = tuple(compiler.run(rule) for rule in tree.arguments if rule is not None)
    nodes = tuple(walk(tree))
    functions = frozenset(each.function for each in nodes if isinstance(each, Call))
    spelled = printed(tree)
    return Expression(
        source=text,
        tree=tree,
        # The canonical spelling has a blank after each comma, and may be too long where the written one is not.
        text=spelled if len(spelled) <= MAX_LENGTH else text.strip(),
        attributes=frozenset(each.name for each in nodes if isinstance(each, Attribute)),
        functions=functions,
        redacted="Redact" in functions,
        unique=unique,
        direct=tree.name if isinstance(tree, Attribute) else None,
        constant=_constant(tree),
        notes=tuple(dict.fromkeys(checker.notes)),
        strict=strict,
        _runs=runs,
    )


def _constant(tree: Node) -> str | None:
    return text(tree.value) if isinstance(tree, Text | Number) else None
