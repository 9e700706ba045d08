"""The expression language of Entra's attribute mappings: `compile` reads an expression, `evaluate` gives its value.

    text -> tokens -> parser -> checks -> evaluator -> Expression
    tree of Graph's JSON -> trees -> text ...

Whatever is wrong, when read or when evaluated, is an `ExpressionError`. Knows neither Graph nor ServiceNow.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from provisioning.errors import ExpressionError
from provisioning.expressions.dates import read_date
from provisioning.expressions.expression import Expression, compile  # noqa: A004 - as in re.compile
from provisioning.expressions.functions import LIBRARY
from provisioning.expressions.signatures import Parameter, Signature, Tenant
from provisioning.expressions.trees import from_tree, to_tree
from provisioning.expressions.values import Flow, Value

__all__ = [
    "FUNCTIONS",
    "Expression",
    "ExpressionError",
    "Flow",
    "Parameter",
    "Signature",
    "Tenant",
    "Value",
    "compile",
    "evaluate",
    "from_tree",
    "read_date",
    "to_tree",
]

FUNCTIONS: Mapping[str, Signature] = {name: function.signature for name, function in LIBRARY.items()}
"""Every function's parameters, as Graph's `schema/functions` lists them."""


def evaluate(
    text: str, attributes: Mapping[str, Any], *, now: datetime | None = None, tenant: Tenant | None = None
) -> Value:
    """Reads and evaluates at once. What was read is remembered."""
    return compile(text).evaluate(attributes, now=now, tenant=tenant)
