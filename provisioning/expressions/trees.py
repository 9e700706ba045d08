"""Expressions as Graph's attributeMappingSource: a tree of {type, name, expression, parameters: [{key, value}]}.

Comparisons and bare words, which Graph's types do not have, are a Function named by its operator, and a Constant whose
expression has no quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.errors import ExpressionError
from provisioning.expressions.checks import unknown
from provisioning.expressions.expression import Expression, compile  # noqa: A004 - ours
from provisioning.expressions.functions import LIBRARY
from provisioning.expressions.printer import printed
from provisioning.expressions.signatures import Signature, literal_text
from provisioning.expressions.syntax import MAX_DEPTH, Attribute, Call, Comparison, Node, Number, Text, Word
from provisioning.expressions.tokens import quoted, tokens, unquoted
from provisioning.expressions.values import Flow

TYPES = {"attribute": "Attribute", "constant": "Constant", "function": "Function", "0": "Attribute", "1": "Constant",
         "2": "Function"}  # fmt: skip
OPERATORS = {"=", "<>", ">", ">=", "<", "<="}
SIDES = ("left", "right")
WORDS = {each.value for each in Flow} | {
    word for function in LIBRARY.values() for parameter in function.signature.parameters for word in parameter.words
}
POSITIONS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def to_tree(expression: Expression) -> dict[str, Any]:
    return _tree(expression.tree)


def from_tree(source: Mapping[str, Any]) -> Expression:
    """The expression that a tree spells out, whatever texts stand beside it. Raises `ExpressionError`."""
    return compile(printed(_node(source, 0)))


def _tree(node: Node) -> dict[str, Any]:
    match node:
        case Attribute(name=name):
            return _entry("Attribute", name, printed(node))
        case Text(value=value):
            return _entry("Constant", value, printed(node))
        case Number():
            return _entry("Constant", literal_text(node), quoted(literal_text(node)))
        case Word(name=name):
            return _entry("Constant", name, name)
        case Comparison(left=left, operator=operator, right=right):
            pairs = zip(SIDES, (left, right), strict=True)
            return _entry("Function", operator, printed(node), [_pair(key, side) for key, side in pairs])
        case Call(function=function, arguments=arguments):
            signature = LIBRARY[function].signature
            parameters = []
            for index, argument in enumerate(arguments):
                # Left out among the keys and values of a Switch, it would shift all that follow.
                shifts = argument is None and function == "Switch" and 1 < index < len(arguments) - 1
                placed = Text("") if shifts else argument
                if placed is not None:
                    parameters.append(_pair(_key(signature, index, len(arguments)), placed))
            return _entry("Function", function, printed(node), parameters)


def _entry(kind: str, name: str, expression: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
    return {"type": kind, "name": name, "expression": expression, "parameters": list(parameters)}


def _pair(key: str, node: Node) -> dict[str, Any]:
    return {"key": key, "value": _tree(node)}


def _key(signature: Signature, index: int, count: int) -> str:
    """FormatDateTime with three arguments has no dateTimeStyles."""
    shift = signature.name == "FormatDateTime" and count == signature.least and index > 0
    return signature.parameter(index + shift).name


def _node(source: Any, depth: int) -> Node:
    if not isinstance(source, Mapping):
        raise ExpressionError(f"expected an object with type, name and parameters, not {type(source).__name__}")
    if depth > MAX_DEPTH:
        raise ExpressionError(f"functions are nested more than {MAX_DEPTH} deep")
    name, written = source.get("name"), source.get("expression")
    match TYPES.get(str(source.get("type")).lower()):
        case "Attribute":
            return _attribute(name, written)
        case "Constant":
            return _constant(name, written)
        case "Function" if isinstance(name, str) and name:
            return _function(name, source.get("parameters") or (), depth)
        case "Function":
            raise ExpressionError("a source of type Function has no name")
    raise ExpressionError(f"type {source.get('type')!r} is not one of Attribute, Constant, Function")


def _attribute(name: Any, written: Any) -> Attribute:
    found = name if isinstance(name, str) and name.strip() else written
    if not isinstance(found, str) or not found.strip():
        raise ExpressionError("a source of type Attribute has no name")
    found = found.strip()
    if found.startswith("[") and found.endswith("]"):
        found = found[1:-1].strip()
    if [each.kind for each in tokens(f"[{found}]")] != ["attribute", "end"]:
        raise ExpressionError(f"{found!r} cannot be the name of an attribute")
    return Attribute(found)


def _constant(name: Any, written: Any) -> Text | Word:
    if isinstance(written, str) and written == name and name in WORDS:
        return Word(name)
    if name is None and isinstance(written, str):
        return Text(unquoted(written) if QUOTED.fullmatch(written) else written)
    if not isinstance(name, str | int | float):
        raise ExpressionError("a source of type Constant has no text")
    return Text(str(name))


def _function(name: str, parameters: Any, depth: int) -> Node:
    if not isinstance(parameters, Sequence) or isinstance(parameters, str):
        raise ExpressionError(f"the parameters of {name} are no list")
    pairs: list[tuple[str, Node]] = []
    for each in parameters:
        if not isinstance(each, Mapping) or "value" not in each:
            raise ExpressionError(f"a parameter of {name} is no pair of key and value")
        if each["value"] is not None:
            pairs.append((str(each.get("key") or ""), _node(each["value"], depth + 1)))
    if name in OPERATORS:
        if len(pairs) != len(SIDES):
            raise ExpressionError(f"'{name}' compares two values, and {len(pairs)} are given")
        return Comparison(pairs[0][1], name, pairs[1][1])
    canonical = next((each for each in LIBRARY if each.lower() == name.lower()), None)
    if canonical is None:
        raise ExpressionError(unknown(name, LIBRARY))
    return Call(canonical, _places(LIBRARY[canonical].signature, pairs))


def _places(signature: Signature, pairs: list[tuple[str, Node]]) -> tuple[Node | None, ...]:
    """Where each argument belongs: by the parameters' names; by words for positions; else in the order given."""
    names = [each.name.lower() for each in signature.parameters]
    keys = [key.lower() for key, _ in pairs]
    if keys and all(key in names for key in keys) and _fits(signature, keys):
        indexes = _by_name(signature, names, keys)
    elif keys and all(key in POSITIONS for key in keys) and len(set(keys)) == len(keys):
        indexes = [POSITIONS.index(key) for key in keys]
    else:
        indexes = list(range(len(pairs)))
    places: list[Node | None] = [None] * max(signature.least, max(indexes, default=-1) + 1)
    if signature.name == "Switch" and len(places) % 2:
        places.append(None)
    for index, (_, node) in zip(indexes, pairs, strict=True):
        places[index] = node
    return tuple(places)


def _fits(signature: Signature, keys: list[str]) -> bool:
    """Only the parameter that repeats may be named more than once."""
    once = {each.name.lower() for each in signature.parameters if not each.allow_multiple_occurrences}
    return all(keys.count(key) == 1 for key in once & set(keys))


def _by_name(signature: Signature, names: list[str], keys: list[str]) -> list[int]:
    last, indexes = len(names) - 1, []
    repeated = 0
    for key in keys:
        index = names.index(key)
        if signature.parameters[index].allow_multiple_occurrences:
            index = last + repeated
            repeated += 1
        indexes.append(index)
    return indexes
