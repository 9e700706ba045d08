"""An attribute mapping's source as an expression. Microsoft writes it twice, as text and as a tree of parameters: the
text counts where both are there, since it is what people read and edit. Knows no column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioning.errors import ExpressionError
from provisioning.expressions import Expression, compile, from_tree, to_tree  # noqa: A004 - as in re.compile
from provisioning.expressions.syntax import MAX_DEPTH
from provisioning.schema import enums
from provisioning.schema.document import Entry, shown
from provisioning.schema.enums import SOURCE_TYPES

CORRECT = "correct the expression; `expression` on the command line tries it on an object"
MEMBERS = ("type", "name", "expression", "parameters")


def read_source(source: Entry, *, strict: bool) -> Expression | None:
    """None when the report took an error."""
    report, where = source.report, source.where
    source.leftovers(MEMBERS)
    kind = _kind(source)
    if kind is None:
        report.error(
            where,
            f"the source's type {shown(source.get('type'))} is not one of {', '.join(SOURCE_TYPES)}; values that a "
            "Lifecycle Workflows extension (Logic App) computes are not computed here",
            "map an attribute, a constant or an expression",
        )
        return None
    text = source.text("expression")
    written = text.strip() if text else ""
    try:
        if kind == "Constant":
            return _constant(source, written, strict=strict)
        if not written:
            return compile(from_tree(_tree(source.value)).text, strict=strict)
        found = compile(written, strict=strict)
    except ExpressionError as error:
        report.error(where, f"the expression cannot be read: {error}", CORRECT)
        return None
    if kind == "Attribute":
        _compare_name(source, found)
    else:
        _compare_tree(source, found)
    return found


def _kind(source: Entry) -> str | None:
    """Without a type, which has no null in Microsoft's schema, the other members tell."""
    given = source.get("type")
    if given is None or given == "":
        if source.get("expression") or source.get("parameters"):
            return "Function"
        return "Attribute"
    return enums.choice(given, SOURCE_TYPES)


def _constant(source: Entry, written: str, *, strict: bool) -> Expression:
    """The name is the text itself, the expression has it in quotes."""
    name = source.get("name")
    named = (
        None if name is None else compile(from_tree(_tree({**source.value, "type": "Constant"})).text, strict=strict)
    )
    if named is None:
        return compile(from_tree({"type": "Constant", "expression": written or None}).text, strict=strict)
    if not written or written == name:
        return named
    try:
        found = compile(written, strict=strict)
    except ExpressionError:
        _differ(source, f"the constant {shown(name)}", written, "the constant")
        return named
    if found.constant != str(name):
        _differ(source, f"the constant {shown(name)}", written, "the expression")
        return found
    return named


def _compare_name(source: Entry, found: Expression) -> None:
    name = source.get("name")
    if name is None or name == "":
        return
    if not isinstance(name, str) or name.strip().removeprefix("[").removesuffix("]") != found.direct:
        _differ(source, f"the attribute {shown(name)}", found.source, "the expression")


def _compare_tree(source: Entry, found: Expression) -> None:
    given = source.get("parameters")
    outermost = to_tree(found)
    if not given:
        name = source.get("name")
        if isinstance(name, str) and name and name.lower() != outermost["name"].lower():
            _differ(source, f"the function {shown(name)}", found.source, "the expression")
        return
    try:
        tree = _tree(source.value)
        if list(_walk(tree)) == list(_walk(outermost)):
            return
        read = from_tree(tree)
    except ExpressionError as error:
        source.report.note(
            source.where, f"the parameters of the source are not understood ({error.message}); the expression is used"
        )
        return
    if to_tree(read) != outermost:
        _differ(source, f"the parameters, which say {read.text}", found.source, "the expression")


def _differ(source: Entry, other: str, written: str, winner: str) -> None:
    source.report.warning(
        source.where,
        f"the source's expression {written} and {other} differ; {winner} is used",
        "make both say the same, or leave one of them out",
    )


def _walk(tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Types and names in their order, without empty places."""
    kind, name = tree["type"], str(tree["name"])
    if name:
        yield kind, name.lower() if kind == "Function" else name
    for pair in tree["parameters"]:
        yield from _walk(pair["value"])


def _tree(source: Any, depth: int = 0) -> dict[str, Any]:
    """A source with its members in camelCase and its types by name. Raises `ExpressionError`."""
    if not isinstance(source, dict):
        raise ExpressionError("a parameter's value is no JSON object")
    if depth > MAX_DEPTH:
        raise ExpressionError(f"functions are nested more than {MAX_DEPTH} deep")
    members = {name.lower(): value for name, value in source.items()}
    kind = enums.choice(members.get("type"), SOURCE_TYPES) if members.get("type") is not None else "Attribute"
    given = members.get("parameters") or []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise ExpressionError("parameters are no list of keys and values")
    parameters = []
    for each in given:
        pair = {name.lower(): value for name, value in each.items()}
        if pair.get("value") is not None:
            parameters.append({"key": str(pair.get("key") or ""), "value": _tree(pair["value"], depth + 1)})
    return {
        "type": kind or members.get("type"),
        "name": members.get("name"),
        "expression": members.get("expression"),
        "parameters": parameters,
    }
