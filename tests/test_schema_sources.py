"""An attribute mapping's source: written as text, as a tree, as both; and what becomes of it where they differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.expressions import compile as compiled
from provisioning.expressions import to_tree
from provisioning.schema import Examination, examine
from provisioning.schema.mappings import AttributeMapping
from tests.test_schema_load import document, mapping


def examined(source: Any, **other: Any) -> Examination:
    return examine(document(mapping({"targetAttributeName": "title", "source": source, **other})))


def read(source: Any, **other: Any) -> AttributeMapping:
    schema = examined(source, **other).schema
    assert schema is not None, examined(source).findings
    return schema.user.attributes[-1]


def told(source: Any) -> list[tuple[str, str]]:
    return [(each.severity, each.text) for each in examined(source).findings]


def constant(name: Any, **other: Any) -> dict[str, Any]:
    return {"type": "Constant", "name": name, **other}


JOIN = 'Join(" ", [givenName], [surname])'
TREE = to_tree(compiled(JOIN))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"type": "Attribute", "name": "mail"}, "[mail]"),
        ({"type": 0, "name": "mail"}, "[mail]"),
        ({"name": "mail"}, "[mail]"),
        ({"Type": "attribute", "Name": "mail", "Expression": "[mail]", "Parameters": []}, "[mail]"),
        ({"type": "Attribute", "expression": "[mail]"}, "[mail]"),
        ({"type": "Function", "expression": JOIN}, JOIN),
        ({"type": 2, "name": "Join", "expression": JOIN, "parameters": None}, JOIN),
        ({"expression": JOIN}, JOIN),
        (TREE, JOIN),
        ({**TREE, "expression": None}, JOIN),
        ({**TREE, "expression": "", "type": "2"}, JOIN),
        (constant("Staff"), '"Staff"'),
        (constant("Staff", expression='"Staff"'), '"Staff"'),
        (constant("Staff", expression="Staff"), '"Staff"'),
        (constant(None, expression='"a \\"b\\""'), '"a \\"b\\""'),
        (constant(None, expression="Staff"), '"Staff"'),
        (constant("1", expression="1"), '"1"'),
        (constant("IgnoreAttributeFlow", expression="IgnoreAttributeFlow"), "IgnoreAttributeFlow"),
        (constant('Join("x")'), '"Join(\\"x\\")"'),
    ],
)
def test_every_way_to_write_a_source_becomes_an_expression(source, text):
    found = read(source)
    assert found.source is not None
    assert found.source == compiled(text)
    assert told(source) == []


def test_without_a_source_the_column_gets_the_default_while_it_is_empty():
    found = read(None, defaultValue="Staff")
    assert (found.source, found.default) == (None, "Staff")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_constant_is_the_text_that_it_is(text):
    found = read(constant(text))
    assert found.source is not None
    assert found.source.constant == text


@pytest.mark.parametrize(
    "text", [JOIN, 'Switch([city], , "a", "1")', 'Replace([mail], "-", , , "_", , )', "Left([mail], 5)"]
)
def test_a_tree_and_its_text_agree(text):
    tree = to_tree(compiled(text))
    assert told({**tree, "expression": text}) == []
    without_texts = {**tree, "expression": None}
    found = read(without_texts)
    assert found.source is not None
    assert [each["value"] for each in to_tree(found.source)["parameters"]] == [
        each["value"] for each in tree["parameters"]
    ]


def test_a_tree_as_microsoft_writes_it_is_understood_without_its_text():
    argument = {"expression": "[preferredLanguage]", "name": "preferredLanguage", "parameters": [], "type": "Attribute"}
    source = {
        "Name": "Replace",
        "Type": 2,
        "Parameters": [
            {"Key": "source", "Value": argument},
            {"Key": "Find", "Value": {"Expression": '"-"', "Name": "-", "Parameters": [], "Type": 1}},
            {"Key": "Replacement", "Value": {"Expression": '"_"', "Name": "_", "Parameters": [], "Type": 1}},
        ],
    }
    found = read(source)
    assert found.source is not None
    assert found.source.evaluate({"preferredLanguage": "en-US"}) == "en_US"
    assert told({**source, "Expression": 'Replace([preferredLanguage], "-", , , "_", , )'}) == []


@pytest.mark.parametrize(
    ("source", "used", "other"),
    [
        ({**TREE, "expression": "[mail]"}, "[mail]", JOIN),
        ({**TREE, "expression": 'Join("-", [givenName], [surname])'}, 'Join("-", [givenName], [surname])', JOIN),
        ({"type": "Attribute", "name": "city", "expression": "[mail]"}, "[mail]", "'city'"),
        ({"type": "Attribute", "name": "mail", "expression": "ToLower([mail])"}, "ToLower([mail])", "'mail'"),
        ({"type": "Function", "name": "Join", "expression": "ToLower([mail])"}, "ToLower([mail])", "'Join'"),
        (constant("a", expression='"b"'), '"b"', "'a'"),
        (constant("a", expression="not quoted"), '"a"', "'a'"),
    ],
)
def test_where_the_two_ways_differ_a_warning_shows_both(source, used, other):
    found = read(source)
    assert found.source == compiled(used)
    [(severity, text)] = told(source)
    assert severity == "warning"
    assert other in text
    assert source["expression"] in text


def test_parameters_that_are_not_understood_are_told_and_the_text_is_used():
    source = {
        "type": "Function",
        "name": "IIF",
        "expression": 'IIF([a_b]="x", "y", "z")',
        "parameters": [{"key": "one"}, 5],
    }
    [(severity, text)] = told(source)
    assert severity == "note"
    assert "the expression is used" in text
    assert read(source).source == compiled('IIF([a_b]="x", "y", "z")')


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"type": "Function", "expression": "Jion([mail])"}, "did you mean Join?\n    Jion([mail])\n    ^^^^"),
        ({"type": "Function", "expression": 'Join(" ", [mail]'}, "^"),
        ({"type": "Function", "name": "Jion", "parameters": []}, "there is no function Jion; did you mean Join?"),
        ({"type": "Function"}, "has no name"),
        ({"type": "Function", "name": "Join", "parameters": "all"}, "parameters are no list"),
        ({"type": "Function", "name": "Not", "parameters": [{"key": "source", "value": 1}]}, "no JSON object"),
        ({"type": "Constant"}, "has no text"),
        ({"type": "Constant", "name": ["x"]}, "has no text"),
        ({"type": "ExtensibilityWorkflow", "name": "x"}, "type 'ExtensibilityWorkflow' is not one of"),
        ({"type": 3, "name": "x"}, "type 3 is not one of"),
        ({"type": "Attribute", "name": "a]b"}, "this ']' closes nothing"),
        ({"type": "Attribute", "expression": 7}, "expression is 7"),
    ],
)
def test_a_source_that_cannot_be_read_is_an_error_with_its_place(source, says):
    errors = [each for each in examined(source).findings if each.severity == "error"]
    assert errors[0].where == "object mapping My users, attribute title"
    assert says in str(errors[0])


def test_a_tree_that_is_nested_too_deeply_is_refused():
    source: dict[str, Any] = {"type": "Attribute", "name": "mail"}
    for _ in range(200):
        source = {"type": "Function", "name": "ToLower", "parameters": [{"key": "source", "value": source}]}
    [(severity, text)] = told(source)
    assert severity == "error"
    assert "128" in text
