"""An expression tried on given attributes: its values as text, or what is wrong with it, and both as Microsoft Graph's
parseExpression answers. Pure: the caller brings attributes, time and tenant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from provisioning import expressions
from provisioning.errors import ExpressionError
from provisioning.expressions import Expression, Flow, Tenant, to_tree

FLOWS = {
    Flow.IGNORE_ATTRIBUTE: "(the attribute is left alone)",
    Flow.IGNORE_OBJECT: "(the whole object is skipped)",
}
CODE = "ExpressionError"


class Tried(Struct, frozen=True):
    """`compiled` is None for what cannot be read, `values` for what was not evaluated or could not be."""

    compiled: Expression | None
    values: tuple[str, ...] | None = None
    error: ExpressionError | None = None


def read(text: str, *, strict: bool = False) -> Tried:
    try:
        return Tried(expressions.compile(text, strict=strict))
    except ExpressionError as error:
        return Tried(None, error=error)


def evaluated(compiled: Expression, facts: Mapping[str, Any], now: datetime, tenant: Tenant) -> Tried:
    """The values as text, one for each; all candidates of SelectUniqueValue, in their order."""
    try:
        if compiled.unique:
            found: tuple[Any, ...] = tuple(compiled.candidates(facts, now=now, tenant=tenant))
        else:
            value = compiled.evaluate(facts, now=now, tenant=tenant)
            found = tuple(value) if isinstance(value, list | tuple) else (value,)
    except ExpressionError as error:
        return Tried(compiled, error=error)
    return Tried(compiled, tuple(_text(each) for each in found))


def _text(value: Any) -> str:
    match value:
        case Flow():
            return FLOWS[value]
        case None:
            return "(null)"
        case bool() | str() | int() | float():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def as_response(tried: Tried) -> dict[str, Any]:
    """Graph's parseExpressionResponse."""
    return {
        "parsingSucceeded": tried.compiled is not None,
        "evaluationSucceeded": tried.values is not None,
        "evaluationResult": list(tried.values or ()),
        "parsedExpression": to_tree(tried.compiled) if tried.compiled is not None else None,
        "error": {"code": CODE, "message": tried.error.message} if tried.error is not None else None,
    }
