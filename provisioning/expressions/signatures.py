"""What a function is: its name, its parameters, and how a call of it becomes something that can be run.

A function is `eager` (a plain Python function of the arguments' values) or `built` (given the call, it returns what is
to be run: it may leave arguments unevaluated, and prepare literal ones once).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from provisioning.errors import ExpressionError
from provisioning.expressions.syntax import Call, Node, Number, Span, Text, Word
from provisioning.expressions.tokens import position_in_quotes
from provisioning.expressions.values import Unfit, text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tenant:
    """What expressions can ask of the tenant. `default_domain` is the verified domain that is flagged default."""

    default_domain: str | None = None


@dataclass(slots=True)
class Scope:
    """What one evaluation reads. `moment` is the same wherever the expression asks for it."""

    attributes: Mapping[str, Any]
    now: datetime | None
    tenant: Tenant | None

    def moment(self) -> datetime:
        if self.now is None:
            self.now = datetime.now(UTC)
        elif self.now.tzinfo is not UTC:
            self.now = self.now.replace(tzinfo=UTC) if self.now.tzinfo is None else self.now.astimezone(UTC)
        return self.now


Run = Callable[[Scope], Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, under Graph's name and type. `words` are the bare names that may stand for it."""

    name: str
    type: str
    required: bool = True
    allow_multiple_occurrences: bool = False
    may_be_empty: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """A function as `schema/functions` lists it."""

    name: str
    parameters: tuple[Parameter, ...]
    least: int
    """How many places a call has at least."""

    @property
    def most(self) -> int | None:
        """How many arguments it takes at most; None without a limit."""
        repeats = any(each.allow_multiple_occurrences for each in self.parameters)
        return None if repeats else len(self.parameters)

    def parameter(self, index: int) -> Parameter:
        """The parameter of the argument with this index; the last one repeats."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    def as_graph(self) -> dict[str, Any]:
        """An entry of Graph's `schema/functions`."""
        return {
            "name": self.name,
            "parameters": [
                {
                    "name": each.name,
                    "type": each.type,
                    "required": each.required,
                    "allowMultipleOccurrences": each.allow_multiple_occurrences,
                }
                for each in self.parameters
            ],
        }


@dataclass(frozen=True, slots=True)
class Site:
    """A call that is being compiled. `runs` and `nodes` have a place for every parameter; None is a missing argument.

    `result` says that the call's value is, or may become, the value of the whole expression.
    """

    call: Call
    signature: Signature
    nodes: tuple[Node | None, ...]
    runs: tuple[Run | None, ...]
    source: str
    strict: bool
    result: bool

    def error(self, message: str, span: Span | None = None) -> ExpressionError:
        return ExpressionError(message, source=self.source, span=span or self.call.span)

    def run(self, index: int) -> Run:
        """The argument at this place; null when it is missing."""
        return self.runs[index] or null

    def filled(self, index: int) -> bool:
        return index < len(self.nodes) and self.nodes[index] is not None

    def prepared(self, index: int, prepare: Callable[[str], T], default: T) -> Callable[[Scope], T]:
        """The argument at this place, prepared: once and for all when it is a literal, else at each evaluation."""
        node = self.nodes[index] if index < len(self.nodes) else None
        if node is None:
            return lambda _: default
        if isinstance(node, Text | Number | Word):
            ready = self.literal(node, prepare)
            return lambda _: ready
        run = self.run(index)
        return lambda scope: prepare(text(run(scope)))

    def written(self, index: int) -> str | None:
        """The literal at this place as text; None for anything else."""
        node = self.nodes[index] if index < len(self.nodes) else None
        return literal_text(node) if isinstance(node, Text | Number | Word) else None

    def span_of(self, index: int) -> Span:
        node = self.nodes[index] if index < len(self.nodes) else None
        return self.call.span if node is None else node.span

    def literal(self, node: Text | Number | Word, prepare: Callable[[str], T]) -> T:
        """Prepares a literal; what is wrong with it is reported where it stands in the expression."""
        try:
            return prepare(literal_text(node))
        except ExpressionError as error:
            raise self.error(f"{self.call.function}: {error.message}", self._within(node, error.span)) from error
        except Unfit as error:
            raise self.error(f"{self.call.function} {error}", node.span) from error

    def _within(self, node: Text | Number | Word, span: Span) -> Span:
        if not isinstance(node, Text) or not node.value:
            return node.span
        written, at = self.source[slice(*node.span)], node.span[0]
        start = at + position_in_quotes(written, min(span[0], len(node.value)))
        return start, max(start + 1, at + position_in_quotes(written, min(span[1], len(node.value))))


@dataclass(frozen=True, slots=True)
class Function:
    """A signature, how a call is built, and which arguments may become its result, by index and count of arguments.

    Only where a value may become the result of the whole expression can a flow keyword stand. `function` is what an
    eager function calls: the evaluator takes a shorter way with those.
    """

    signature: Signature
    build: Callable[[Site], Run]
    may_result: Callable[[int, int], bool] = lambda _index, _count: False
    function: Callable[..., Any] | None = None


def literal_text(node: Text | Number | Word) -> str:
    match node:
        case Text(value=value):
            return value
        case Number(value=number):
            return text(number)
        case Word(name=name):
            return name


def null(_: Scope) -> None:
    return None


def signature(declared: str, least: int | None = None) -> Signature:
    """Reads `Name(first: String, second: Integer?, third: String*)`.

    After the type: `?` may be missing, `~` may be an empty place, `*` repeats from none, `+` repeats from one. Bare
    names that may stand for a parameter follow in brackets: `compareType: String?[vbTextCompare|vbBinaryCompare]`.
    """
    name, _, rest = declared.partition("(")
    parameters = tuple(_parameter(each.strip()) for each in rest[:-1].split(",") if each.strip())
    last = max((at for at, each in enumerate(parameters, 1) if each.required), default=0)
    return Signature(name, parameters, last if least is None else least)


DECLARED = re.compile(r"(\w+): (\w+)([?~*+]?)(?:\[([\w|]+)\])?")


def _parameter(declared: str) -> Parameter:
    found = DECLARED.fullmatch(declared)
    if found is None:
        raise ValueError(declared)
    name, kind, mark, words = found.groups()
    return Parameter(
        name,
        kind,
        required=mark not in {"?", "*"},
        allow_multiple_occurrences=mark in {"*", "+"},
        may_be_empty=mark == "~",
        words=tuple((words or "").split("|")) if words else (),
    )


def eager(declared: str, function: Callable[..., Any]) -> Function:
    """A function of its arguments' values; a missing argument is None."""

    def build(site: Site) -> Run:
        return applied(function, tuple(run or null for run in site.runs))

    return Function(signature(declared), build, function=function)


def built(
    declared: str,
    build: Callable[[Site], Run],
    may_result: Callable[[int, int], bool] = lambda _index, _count: False,
    *,
    least: int | None = None,
) -> Function:
    return Function(signature(declared, least), build, may_result)


def applied(function: Callable[..., Any], runs: tuple[Run, ...]) -> Run:
    match runs:
        case ():
            return lambda _: function()
        case (first,):
            return lambda scope: function(first(scope))
        case (first, second):
            return lambda scope: function(first(scope), second(scope))
        case (first, second, third):
            return lambda scope: function(first(scope), second(scope), third(scope))
        case _:
            return lambda scope: function(*[run(scope) for run in runs])
