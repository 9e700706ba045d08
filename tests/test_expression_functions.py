"""What cases in a table cannot say: chance, laziness, candidates, and what an expression tells about itself."""

from __future__ import annotations

import string
import threading
import uuid
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest

from provisioning.errors import ConfigError
from provisioning.expressions import (
    FUNCTIONS,
    ExpressionError,
    Flow,
    compile,  # noqa: A004 - as in the package
    evaluate,
    from_tree,
    read_date,
    to_tree,
)
from provisioning.expressions.signatures import Scope

SPECIAL = "~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/"


class Attributes(dict):
    """Remembers what was asked for."""

    def __init__(self, **values):
        super().__init__(values)
        self.asked = []

    def get(self, name, default=None):
        self.asked.append(name)
        return super().get(name, default)


def test_a_random_text_has_its_length_and_its_minimums():
    for _ in range(50):
        drawn = evaluate("RandomString(20, 3, 4, 5, 6)", {})
        assert len(drawn) == 20
        counts = [sum(each in kind for each in drawn) for kind in (string.digits, SPECIAL)]
        assert counts[0] >= 3
        assert counts[1] >= 4
        assert sum(each.isupper() for each in drawn) >= 5
        assert sum(each.islower() for each in drawn) >= 6


def test_a_random_text_has_only_the_kinds_that_were_asked_for():
    drawn = "".join(evaluate("RandomString(6, 3, 0, 0, 3)", {}) for _ in range(100))
    assert set(drawn) <= set(string.digits + string.ascii_lowercase)
    assert set(drawn) & set(string.digits)
    assert set(drawn) & set(string.ascii_lowercase)


def test_without_minimums_every_kind_may_occur_but_never_what_is_avoided():
    drawn = "".join(evaluate('RandomString(256, 0, 0, 0, 0, "aA0%")', {}) for _ in range(8))
    assert not set(drawn) & set("aA0%")
    assert all(set(drawn) & set(kind) for kind in (string.digits, SPECIAL, string.ascii_letters))


def test_a_random_text_is_another_at_every_evaluation_and_its_minimums_stand_anywhere():
    expression = compile("RandomString(8, 1, 0, 0, 1)")
    drawn = {expression.evaluate({}) for _ in range(50)}
    assert len(drawn) > 40
    assert len({each[0].isdigit() for each in drawn}) == 2


def test_a_guid_is_new_lower_case_and_hyphenated():
    first, second = evaluate("Guid()", {}), evaluate("Guid()", {})
    assert first != second
    assert str(uuid.UUID(first)) == first
    assert uuid.UUID(first).version == 4


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ('IIF([a] = "1", [b], [c])', ["a", "b"]),
        ('Switch([a], [d], "1", [b], "2", [c])', ["a", "b"]),
        ('Switch([a], [d], [k], [b], "2", [c])', ["a", "k", "d"]),
        ("Coalesce([a], [b])", ["a"]),
    ],
)
def test_a_branch_that_is_not_chosen_is_not_evaluated(text, asked):
    attributes = Attributes(a="1", b="x", c="y", d="z", k="0")
    compile(text).evaluate(attributes)
    assert attributes.asked == asked


def test_candidates_are_evaluated_when_they_are_asked_for():
    attributes = Attributes(a="1", b="2")
    candidates = compile("SelectUniqueValue([a], [b], Error([c]))").candidates(attributes)
    assert (next(candidates), attributes.asked) == ("1", ["a"])
    assert (next(candidates), attributes.asked) == ("2", ["a", "b"])
    with pytest.raises(ExpressionError, match="Error"):
        next(candidates)


def test_any_other_expression_has_one_candidate():
    assert list(compile("[a]").candidates({"a": "x"})) == ["x"]


def test_the_value_of_unique_rules_is_the_first():
    expression = compile('SelectUniqueValue([a], "b")')
    assert expression.unique
    assert expression.evaluate({"a": "x"}) == "x"
    assert not compile("[a]").unique


def test_the_current_time_is_the_clocks_when_it_is_not_given():
    before = datetime.now(UTC).replace(microsecond=0)
    found = datetime.strptime(evaluate("Now()", {}), "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC)
    assert before <= found <= datetime.now(UTC)


def test_the_current_time_is_the_same_throughout_an_evaluation():
    scope = Scope({}, None, None)
    assert scope.moment() is scope.moment()


def test_an_expression_knows_what_it_is_made_of():
    expression = compile(' join("", Redact([a]), ToLower([b]), [a]) ')
    assert expression.source == ' join("", Redact([a]), ToLower([b]), [a]) '
    assert expression.text == 'Join("", Redact([a]), ToLower([b]), [a])'
    assert expression.attributes == {"a", "b"}
    assert expression.functions == {"Join", "Redact", "ToLower"}
    assert expression.redacted
    assert not compile("[a]").redacted
    assert (expression.direct, expression.constant) == (None, None)
    assert expression == compile(expression.text)
    assert len({expression, compile(expression.text)}) == 1


@pytest.mark.parametrize(
    ("text", "direct", "constant"),
    [
        ("[mail]", "mail", None),
        ("[ mail ]", "mail", None),
        ('[emails[type eq "work"].value]', 'emails[type eq "work"].value', None),
        ('"x"', None, "x"),
        ('""', None, ""),
        ("7", None, "7"),
        ("&HF", None, "15"),
        ("Trim([mail])", None, None),
    ],
)
def test_a_bare_attribute_and_a_bare_literal_are_told(text, direct, constant):
    expression = compile(text)
    assert (expression.direct, expression.constant) == (direct, constant)


def test_an_expression_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        compile("[a]").text = "[b]"  # type: ignore[misc]


def test_an_expression_error_is_an_error_of_the_configuration():
    with pytest.raises(ConfigError):
        compile("(")


def test_flow_results_are_no_values_of_functions():
    assert evaluate('IIF([a] = "", IgnoreObjectFlow, [a])', {}) is Flow.IGNORE_OBJECT
    assert evaluate("IgnoreFlowIfNullOrEmpty([a])", {}) is Flow.IGNORE_ATTRIBUTE


def test_threads_share_an_expression():
    expression = compile('Join("-", Replace([a], , "(?<n>\\d+)", , "<${n}>"), ToUpper([a]), DateAdd("d", 1, [d]))')
    wrong = []

    def work(number):
        expected = f"<{number}>-{number}-1/2/2020 12:00:00 AM"
        for _ in range(100):
            found = expression.evaluate({"a": str(number), "d": "2020-01-01"})
            if found != expected:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-03-16", datetime(2020, 3, 16)),  # noqa: DTZ001 - the text names no zone
        ("2020-03-16T01:02:03Z", datetime(2020, 3, 16, 1, 2, 3, tzinfo=UTC)),
        ("today", None),
        ("", None),
        ("2020-03-16" + " " * 100, None),
    ],
)
def test_a_date_is_read_with_a_zone_only_where_it_names_one(text, expected):
    assert read_date(text) == expected


def test_there_are_fifty_four_functions_in_graphs_words():
    assert len(FUNCTIONS) == 54
    assert FUNCTIONS["Append"].as_graph() == {
        "name": "Append",
        "parameters": [
            {"name": "source", "type": "String", "required": True, "allowMultipleOccurrences": False},
            {"name": "suffix", "type": "String", "required": True, "allowMultipleOccurrences": False},
        ],
    }


def parameters(name):
    return [
        (each.name, each.type, each.required, each.allow_multiple_occurrences) for each in FUNCTIONS[name].parameters
    ]


def test_parameters_are_named_as_graph_names_them():
    assert parameters("Switch") == [
        ("source", "String", True, False),
        ("defaultValue", "String", False, False),
        ("switchValue", "String", False, True),
    ]
    assert parameters("Join") == [("separator", "String", True, False), ("source", "String", True, True)]
    assert parameters("Split") == [("source", "String", True, False), ("delimiter", "String", False, False)]
    assert parameters("DefaultDomain") == []
    assert [each[0] for each in parameters("Replace")] == [
        "source",
        "Find",
        "RegularExpression",
        "RegularExpressionGroupName",
        "Replacement",
        "ReplacementPropertyName",
        "Template",
    ]


def constant(text):
    return {"type": "Constant", "name": text, "expression": f'"{text}"', "parameters": []}


def attribute(name):
    return {"type": "Attribute", "name": name, "expression": f"[{name}]", "parameters": []}


def function(name, *pairs):
    return {"type": "Function", "name": name, "parameters": [{"key": key, "value": value} for key, value in pairs]}


def test_a_tree_is_written_as_graph_writes_it():
    assert to_tree(compile('Replace([preferredLanguage], "-", , , "_", , )')) == {
        "type": "Function",
        "name": "Replace",
        "expression": 'Replace([preferredLanguage], "-", , , "_", , )',
        "parameters": [
            {"key": "source", "value": attribute("preferredLanguage")},
            {"key": "Find", "value": constant("-")},
            {"key": "Replacement", "value": constant("_")},
        ],
    }
    assert to_tree(compile("Mid([a], 1, 3)"))["parameters"][1] == {"key": "start", "value": constant("1")}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (attribute("mail"), "[mail]"),
        ({"type": 0, "name": "mail"}, "[mail]"),
        ({"type": "ATTRIBUTE", "expression": "[mail]"}, "[mail]"),
        ({"type": "1", "name": "x"}, '"x"'),
        ({"type": 1, "expression": '"a \\"b\\""'}, '"a \\"b\\""'),
        ({"type": "constant", "expression": "bare"}, '"bare"'),
        (
            function("Mid", ("source", attribute("a")), ("start", constant("1")), ("length", constant("2"))),
            'Mid([a], "1", "2")',
        ),
        (
            function("mid", ("length", constant("2")), ("START", constant("1")), ("source", attribute("a"))),
            'Mid([a], "1", "2")',
        ),
        (
            function("Mid", ("one", attribute("a")), ("two", constant("1")), ("three", constant("2"))),
            'Mid([a], "1", "2")',
        ),
        (function("Mid", ("x", attribute("a")), ("y", constant("1")), ("z", constant("2"))), 'Mid([a], "1", "2")'),
        (
            function("Replace", ("source", attribute("a")), ("Find", constant("-")), ("Replacement", constant("_"))),
            'Replace([a], "-", , , "_")',
        ),
        (
            function("Replace", ("one", attribute("a")), ("two", constant("-")), ("five", constant("_"))),
            'Replace([a], "-", , , "_")',
        ),
        (
            function(
                "Switch", ("source", attribute("a")), ("switchValue", constant("k")), ("switchValue", constant("v"))
            ),
            'Switch([a], , "k", "v")',
        ),
        (function("Switch", ("source", attribute("a"))), "Switch([a], )"),
        (
            function("Join", ("separator", constant("-")), ("source", attribute("a")), ("source", attribute("b"))),
            'Join("-", [a], [b])',
        ),
        (
            function(
                "FormatDateTime",
                ("source", attribute("a")),
                ("inputFormat", constant("yyyy")),
                ("outputFormat", constant("yy")),
            ),
            'FormatDateTime([a], , "yyyy", "yy")',
        ),
        (function("Now"), "Now()"),
        ({"type": 2, "name": "Now", "parameters": None}, "Now()"),
    ],
)
def test_a_tree_without_text_is_read(source, text):
    assert from_tree(source).text == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "type None is not one of Attribute, Constant, Function"),
        ({"type": 7}, "type 7 is not one of"),
        ({"type": "Function"}, "a source of type Function has no name"),
        ({"type": "Attribute", "name": " "}, "a source of type Attribute has no name"),
        ({"type": "Constant"}, "a source of type Constant has no text"),
        (function("Lower", ("source", attribute("a"))), "there is no function Lower"),
        (function("Len"), "Len takes 1 argument and has 0"),
        (function("Left", ("numChars", constant("1"))), "cannot be left empty"),
        (function("Len", ("source", "a")), "expected an object with type, name and parameters, not str"),
        ({"type": "Function", "name": "Len", "parameters": "x"}, "the parameters of Len are no list"),
        ({"type": "Function", "name": "Len", "parameters": ["x"]}, "a parameter of Len is no pair of key and value"),
        (function("=", ("left", attribute("a"))), "compares two values, and 1 are given"),
        ({"type": "Attribute", "name": "a] = [b"}, "'a] = [b' cannot be the name of an attribute"),
        ({"type": "Attribute", "name": "a[b"}, "this '[' is never closed"),
        ("[a]", "expected an object"),
    ],
)
def test_a_tree_that_makes_no_sense_is_refused(source, message):
    with pytest.raises(ExpressionError) as caught:
        from_tree(source)
    assert message in caught.value.message


def test_a_tree_that_is_too_deep_is_refused():
    source = attribute("a")
    for _ in range(3_000):
        source = function("Not", ("source", source))
    with pytest.raises(ExpressionError, match="nested more than 128 deep"):
        from_tree(source)
