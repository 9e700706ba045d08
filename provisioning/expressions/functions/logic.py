"""Functions that choose, and those that say what a value is. Branches that are not chosen are not evaluated."""

from __future__ import annotations

from typing import Any

from provisioning.expressions.signatures import Run, Scope, Site, built, eager, literal_text, null
from provisioning.expressions.syntax import Attribute, Number, Text, walk
from provisioning.expressions.values import Flow, Unfit, Value, is_blank, one, text, truth


def iif(site: Site) -> Run:
    """In strict mode an attribute of the condition that is null or empty fails the condition, as in Entra."""
    condition, chosen, otherwise = site.run(0), site.run(1), site.run(2)
    if not site.strict or site.nodes[0] is None:
        return lambda scope: chosen(scope) if truth(condition(scope)) else otherwise(scope)
    names = tuple(dict.fromkeys(each.name for each in walk(site.nodes[0]) if isinstance(each, Attribute)))

    def run(scope: Scope) -> Any:
        for name in names:
            if is_blank(scope.attributes.get(name)):
                raise Unfit(f"fails in Entra because [{name}], which its condition uses, is null or empty")
        return chosen(scope) if truth(condition(scope)) else otherwise(scope)

    return run


def switch(site: Site) -> Run:
    """Compares texts exactly. The key "" is met by a null source."""
    source, default = site.run(0), site.run(1)
    keys, values = site.runs[2::2], [run or null for run in site.runs[3::2]]
    literals = [each for each in site.nodes[2::2] if each is None or isinstance(each, Text | Number)]
    if len(literals) == len(keys):
        table: dict[str, Run] = {}
        for node, value in zip(literals, values, strict=True):
            table.setdefault("" if node is None else literal_text(node), value)
        return lambda scope: table.get(text(source(scope)), default)(scope)
    pairs = [(key or null, value) for key, value in zip(keys, values, strict=True)]

    def run(scope: Scope) -> Any:
        sought = text(source(scope))
        for key, value in pairs:
            if text(key(scope)) == sought:
                return value(scope)
        return default(scope)

    return run


def coalesce(site: Site) -> Run:
    """The first value that is not blank; the last argument is what remains."""
    runs = [run for run in site.runs if run is not None]

    def run(scope: Scope) -> Any:
        for each in runs:
            if not is_blank(value := each(scope)):
                return value
        return None

    return run


def ignore_flow_if_null_or_empty(site: Site) -> Run:
    """Where its value cannot become the result of the expression there is nothing to ignore: the value passes."""
    inner = site.run(0)
    if not site.result:
        return inner
    return lambda scope: Flow.IGNORE_ATTRIBUTE if is_blank(value := inner(scope)) else value


def redact(site: Site) -> Run:
    """The value itself: that it must not be shown is a property of the expression."""
    return site.run(0)


def select_unique_value(site: Site) -> Run:
    """The first candidate. Which one is free only the target knows: see `Expression.candidates`."""
    return site.run(0)


def fail(message: Any) -> Value:
    raise Unfit(text(message))


def c_bool(expression: Any) -> bool:
    return truth(expression)


def negated(source: Any) -> bool:
    """Only the text True, in any case, is negated to False; everything else, null too, gives True."""
    return text(source).strip().lower() != "true"


def is_null(expression: Any) -> bool:
    return expression is None or expression in ((), [])


def is_present(expression: Any) -> bool:
    return not is_blank(expression)


def is_string(expression: Any) -> bool:
    """Texts are; numbers, booleans, null and lists of several are not, which is why this is asked before CStr."""
    several = isinstance(expression, tuple | list) and len(expression) > 1
    return not several and isinstance(one(expression), str)


FUNCTIONS = (
    built(
        "IIF(condition: Boolean, valueIfTrue: String~, valueIfFalse: String~)",
        iif,
        lambda index, _: index > 0,
    ),
    built(
        "Switch(source: String, defaultValue: String?, switchValue: String*)",
        switch,
        lambda index, _: index % 2 == 1,
        least=2,
    ),
    built("Coalesce(source: String+)", coalesce, lambda index, count: index == count - 1),
    built("IgnoreFlowIfNullOrEmpty(expression: String)", ignore_flow_if_null_or_empty, lambda _index, _count: True),
    built("Redact(value: String)", redact, lambda _index, _count: True),
    built("SelectUniqueValue(uniqueValueRule: String+)", select_unique_value, lambda _index, _count: True),
    eager("Error(message: String)", fail),
    eager("CBool(expression: Boolean)", c_bool),
    eager("Not(source: Boolean)", negated),
    eager("IsNull(expression: String)", is_null),
    eager("IsNothing(source: Boolean)", is_null),
    eager("IsNullOrEmpty(expression: String)", is_blank),
    eager("IsPresent(expression: String)", is_present),
    eager("IsString(expression: String)", is_string),
)
