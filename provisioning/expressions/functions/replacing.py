"""Replace, whose five ways of working follow from which of its places are filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioning.errors import ExpressionError
from provisioning.expressions.regexes import MAX_OUTPUT, Pattern, compile_pattern
from provisioning.expressions.signatures import Run, Scope, Site, built
from provisioning.expressions.values import Unfit, each, is_blank, text

SOURCE, FIND, REGEX, GROUP, REPLACEMENT, OTHER, TEMPLATE = range(7)


def replace(site: Site) -> Run:
    """1. Find and Replacement, or 2. Find and Template; 3. RegularExpression and Replacement, 4. with a group too; or
    5. RegularExpression, group and ReplacementPropertyName. An empty text fills a place, an empty place does not.
    """
    filled = {index for index in range(1, 7) if site.filled(index)}
    match sorted(filled):
        case [1, 4]:
            return _changing(site, _literal)
        case [1, 6]:
            return _into_template(site)
        case [2, 4]:
            return _by_pattern(site)
        case [2, 3, 4]:
            return _by_group(site)
        case [2, 3, 5]:
            return _from_other(site)
    raise site.error(
        "Replace takes oldValue with replacementValue or template, or regexPattern with replacementValue, or "
        "regexPattern and regexGroupName with replacementValue or replacementAttributeName; all other places stay empty"
    )


def literally(value: str, sought: str, replacement: str) -> str:
    if not sought:
        raise Unfit("cannot look for an empty text")
    if len(value) + value.count(sought) * (len(replacement) - len(sought)) > MAX_OUTPUT:
        raise Unfit(f"would make more than {MAX_OUTPUT:,} characters")
    return value.replace(sought, replacement)


def _literal(site: Site) -> Callable[[Scope], Callable[[str], str]]:
    find, replacement = site.run(FIND), site.run(REPLACEMENT)

    def prepare(scope: Scope) -> Callable[[str], str]:
        sought, new = text(find(scope)), text(replacement(scope))
        return lambda value: literally(value, sought, new)

    return prepare


def _changing(site: Site, prepared: Callable[[Site], Callable[[Scope], Callable[[str], str]]]) -> Run:
    source, change = site.run(SOURCE), prepared(site)

    def run(scope: Scope) -> Any:
        value = source(scope)
        return None if value is None else each(value, change(scope))

    return run


def _into_template(site: Site) -> Run:
    source, find, template = site.run(SOURCE), site.run(FIND), site.run(TEMPLATE)
    return lambda scope: literally(text(template(scope)), text(find(scope)), text(source(scope)))


def _by_pattern(site: Site) -> Run:
    pattern, replacement = site.prepared(REGEX, compile_pattern, EMPTY), site.run(REPLACEMENT)

    def prepare(scope: Scope) -> Callable[[str], str]:
        regex, new = pattern(scope), text(replacement(scope))
        return lambda value: regex.replace(value, new)

    return _changing(site, lambda _: prepare)


def _by_group(site: Site) -> Run:
    pattern, group = _pattern_and_group(site)
    replacement = site.run(REPLACEMENT)

    def prepare(scope: Scope) -> Callable[[str], str]:
        regex, name, new = pattern(scope), group(scope), text(replacement(scope))
        return lambda value: regex.replace_group(value, name, new)

    return _changing(site, lambda _: prepare)


def _from_other(site: Site) -> Run:
    """The source when it has a value; else the group of the first match in the other attribute, "" without a match."""
    pattern, group = _pattern_and_group(site)
    source, other = site.run(SOURCE), site.run(OTHER)

    def run(scope: Scope) -> Any:
        value = source(scope)
        if not is_blank(value):
            return value
        return pattern(scope).group_of_first(text(other(scope)), group(scope)) or ""

    return run


def _pattern_and_group(site: Site) -> tuple[Callable[[Scope], Pattern], Callable[[Scope], str]]:
    pattern, group = site.prepared(REGEX, compile_pattern, EMPTY), site.prepared(GROUP, str, "")
    if (written := site.written(REGEX)) is not None and (name := site.written(GROUP)) is not None:
        try:
            compile_pattern(written).require(name)
        except ExpressionError as error:
            raise site.error(f"Replace: {error.message}", site.span_of(GROUP)) from error
    return pattern, group


EMPTY = compile_pattern("")

FUNCTIONS = (
    built(
        "Replace(source: String, Find: String?, RegularExpression: String?, RegularExpressionGroupName: String?, "
        "Replacement: String?, ReplacementPropertyName: String?, Template: String?)",
        replace,
    ),
)
