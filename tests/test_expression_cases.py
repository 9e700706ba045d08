"""The language by example: `cases/expressions.json` holds what Microsoft documents and what is decided here. It needs
no Python to be read, and any other implementation can be held against it.

A case gives the `expected` value, its `text`, or a part of the `error`. `taken` lists what the target uses already, so
that the expected value is the first candidate that is free. Flow results are written as their keywords.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from provisioning.expressions import FUNCTIONS, ExpressionError, Flow, Tenant, compile, from_tree, to_tree  # noqa: A004
from provisioning.expressions.values import text

CASES = json.loads((Path(__file__).parent / "cases" / "expressions.json").read_text(encoding="utf-8"))
VALUES = [case for case in CASES if "error" not in case]
ERRORS = [case for case in CASES if "error" in case]
DOCUMENTED = 109
NUMBERS_ALONE = {"7", "-10", "2.5", "&HfF", "Coalesce(0, 1)", 'CBool("007" = 7)'}


def ident(case):
    return case["expression"][:60]


def circumstances(case):
    now = datetime.fromisoformat(case["now"]) if "now" in case else None
    return {"now": now, "tenant": Tenant(default_domain=case.get("domain"))}


def outcome(expression, case):
    """The value, as JSON writes it."""
    candidates = expression.candidates(case["attributes"], **circumstances(case))
    value = next((each for each in candidates if each not in case.get("taken", ())), None)
    if isinstance(value, Flow):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def check(value, case):
    if "text" in case:
        assert text(value) == case["text"]
    else:
        assert (type(value), value) == (type(case["expected"]), case["expected"])


@pytest.mark.parametrize("case", VALUES, ids=ident)
def test_an_expression_has_the_expected_value(case):
    check(outcome(compile(case["expression"], strict=case.get("strict", False)), case), case)


@pytest.mark.parametrize("case", VALUES, ids=ident)
def test_its_canonical_text_means_the_same(case):
    expression = compile(case["expression"])
    again = compile(expression.text)
    assert (again.tree, again.text) == (expression.tree, expression.text)
    if "strict" not in case:
        check(outcome(again, case), case)


@pytest.mark.parametrize("case", [case for case in VALUES if "strict" not in case], ids=ident)
def test_its_tree_means_the_same(case):
    """In Graph's trees a number is a text, which makes no difference wherever one is expected."""
    value = outcome(from_tree(json.loads(json.dumps(to_tree(compile(case["expression"]))))), case)
    if case["expression"] not in NUMBERS_ALONE:
        check(value, case)


@pytest.mark.parametrize("case", ERRORS, ids=ident)
def test_an_expression_fails_with_the_expected_message(case):
    with pytest.raises(ExpressionError) as caught:
        compile(case["expression"], strict=case.get("strict", False)).evaluate(
            case["attributes"], **circumstances(case)
        )
    assert case["error"] in caught.value.message
    assert caught.value.source == case["expression"]


def test_every_documented_pair_is_here():
    assert sum(case.get("documented", False) for case in CASES) == DOCUMENTED


def test_every_function_has_a_case_of_its_own():
    tried = {name for case in CASES for name in _functions(case)}
    assert set(FUNCTIONS) - tried == {"Guid"}  # its value cannot be foreseen; see test_expression_functions


def _functions(case):
    return {name for name in FUNCTIONS if f"{name}(" in case["expression"].replace(" (", "(")}
