"""Scoping filters of a schema: which are understood, and that none is dropped without a word."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from provisioning.schema import Finding, ScopeFilter, examine
from provisioning.schema.mappings import Operator
from tests.test_schema_load import Json, document, mapping

GROUP = "7f3a2c10-5b7d-4e0e-9c55-0b1f6b0e6a01"


def clause(attribute: Any, operator: Any, *values: Any, **other: Any) -> Json:
    operand = {"values": list(values)}
    return {"sourceOperandName": attribute, "operatorName": operator, "targetOperand": operand, **other}


def scoped(*clauses: Json) -> Json:
    """A scope with one filter."""
    return {"groups": [{"name": "only sales", "clauses": list(clauses)}]}


def read(scope: Any, *, strict: bool = False) -> ScopeFilter:
    schema = examine(document(mapping(scope=scope)), strict=strict).schema
    assert schema is not None
    return schema.user.scope


def told(scope: Any, *, strict: bool = False) -> list[Finding]:
    return list(examine(document(mapping(scope=scope)), strict=strict).findings)


def only(scope: Any, *, strict: bool = False) -> Finding:
    findings = told(scope, strict=strict)
    assert len(findings) == 1, findings
    return findings[0]


VALUES = {"Greater_Than": "3", "Greater_Than_OR_EQUALS": "3"}


@pytest.mark.parametrize("operator", get_args(Operator))
def test_each_of_entras_operators_is_understood(operator):
    values = () if operator.startswith("IS ") else (VALUES.get(operator, "x"),)
    scope = scoped(clause("department", operator, *values))
    [found] = read(scope).clauses()
    assert (found.attribute, found.operator, found.values) == ("department", operator, values)
    assert (found.pattern is not None) is ("REGEX" in operator)
    assert told(scope) == []


@pytest.mark.parametrize(
    ("spelled", "operator"),
    [
        ("equals", "EQUALS"),
        ("NOT_EQUALS", "NOT EQUALS"),
        ("NotEquals", "NOT EQUALS"),
        ("is  not_null", "IS NOT NULL"),
        ("GREATER THAN OR EQUALS", "Greater_Than_OR_EQUALS"),
        ("Ends With", "ENDS_WITH"),
        ("includes", "Includes"),
        ("not regex_match", "NOT REGEX MATCH"),
    ],
)
def test_operators_count_in_any_case_with_blanks_or_underscores(spelled, operator):
    values = () if operator.startswith("IS ") else ("1",)
    assert [each.operator for each in read(scoped(clause("department", spelled, *values))).clauses()] == [operator]


def test_groups_deprovision_and_input_groups_only_drop():
    scope = {
        "groups": [{"name": "a", "clauses": [clause("city", "EQUALS", "Bern"), clause("mail", "IS NOT NULL")]}],
        "InputFilterGroups": [{"Name": "b", "Clauses": [clause("country", "EQUALS", "CH")]}],
    }
    found = read(scope)
    assert [(group.name, len(group.clauses)) for group in found.groups] == [("a", 2)]
    assert [(group.name, str(group.clauses[0])) for group in found.input_groups] == [("b", "country EQUALS CH")]


def test_a_filter_without_a_name_is_called_by_its_place():
    clauses = {"clauses": [clause("mail", "IS NOT NULL")]}
    scope = {"groups": [{"name": "named", **clauses}, {"name": " ", **clauses}], "inputFilterGroups": [clauses]}
    found = read(scope)
    assert [group.name for group in (*found.groups, *found.input_groups)] == ["named", "filter 2", "input filter 1"]


@pytest.mark.parametrize("scope", [None, {}, {"groups": []}, {"groups": None, "categoryFilterGroups": None}])
def test_without_filters_everybody_is_in_scope(scope):
    assert read(scope) == ScopeFilter()
    assert told(scope) == []


@pytest.mark.parametrize("group", [{"name": "x", "clauses": []}, {"name": "x"}, {"name": "x", "clauses": None}])
def test_a_filter_without_clauses_lets_everybody_pass_and_is_told(group):
    scope = {"groups": [group]}
    assert [each.clauses for each in read(scope).groups] == [()]
    assert only(scope).severity == "warning"
    assert "everything passes it" in only(scope).text


@pytest.mark.parametrize("operand", [None, {}, {"values": None}, {"values": []}, {"values": [""]}])
def test_a_unary_operator_needs_no_operand(operand):
    assert told(scoped({**clause("mail", "IS NULL"), "targetOperand": operand})) == []


def test_the_old_names_of_attributes_stay_and_ids_of_groups_are_in_lower_case():
    found = read(scoped(clause("dirSyncEnabled", "EQUALS", "True"), clause("memberOf", "EQUALS", GROUP.upper(), GROUP)))
    assert [(each.attribute, each.values) for each in found.clauses()] == [
        ("dirSyncEnabled", ("True",)),
        ("memberOf", (GROUP, GROUP)),
    ]


@pytest.mark.parametrize(("value", "text"), [(True, "True"), (False, "False"), (7, "7"), ("7", "7")])
def test_values_are_texts_as_entra_compares_them(value, text):
    assert [each.values for each in read(scoped(clause("accountName_x", "EQUALS", value))).clauses()] == [(text,)]


@pytest.mark.parametrize(
    ("entry", "severity", "says"),
    [
        (clause("department", "EQUALS", "a", "b"), "warning", "2 values, of which here one is enough"),
        (clause("department", "EQUALS", ""), "warning", "an empty text"),
        (clause("department", "IS NULL", "x"), "warning", "has no effect"),
        (clause("accountEnabled", "EQUALS", "true"), "warning", "its texts are True and False"),
        (clause("jobtitle", "EQUALS", "x"), "warning", "no attribute of a user"),
        (clause("employeeHireDate", "Greater_Than", "2026-01-31"), "note", "Entra compares whole numbers only"),
        (clause("employeeHireDate", "Greater_Than", "2026-01-31T10:00:00Z"), "note", "compares dates"),
        (clause("memberOf", "NOT EQUALS", GROUP), "note", "direct membership"),
        (clause("department", "EQUALS", "a", caseSensitive=True), "note", "'caseSensitive'"),
    ],
)
def test_what_differs_from_entra_or_is_probably_not_meant_is_told(entry, severity, says):
    found = only(scoped(entry))
    assert (found.severity, found.where) == (severity, "object mapping My users, scoping filter only sales, clause 1")
    assert says in found.text
    assert len(list(read(scoped(entry)).clauses())) == 1


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (clause("department", "LIKE", "x"), "there is no operator 'LIKE'"),
        (clause("department", None, "x"), "there is no operator None"),
        (clause("department", "EQUAL", "x"), "use EQUALS"),
        (clause("department", "EQUALS"), "EQUALS needs a value"),
        (clause("department", "EQUALS", None), "EQUALS needs a value"),
        (clause("department", "EQUALS", "x", ["y"]), "EQUALS needs a value"),
        ({**clause("department", "EQUALS"), "targetOperand": None}, "EQUALS needs a value"),
        ({**clause("department", "EQUALS"), "targetOperand": "x"}, "targetOperand is 'x'"),
        ({**clause("department", "EQUALS"), "targetOperand": {"values": "x"}}, "targetOperand.values is 'x'"),
        (clause("department", "REGEX MATCH", "(a"), "(a\n    ^"),
        (clause("department", "NOT REGEX MATCH", "a", "b"), "a regular expression is one value"),
        (clause("department", "Greater_Than", "many"), "Greater_Than compares with 'many'"),
        (clause("department", "Greater_Than_OR_EQUALS", "1.5"), "compares with '1.5'"),
        (clause("memberOf", "EQUALS", "Sales"), "must be the object id of a group"),
        (clause("memberOf", "Includes", GROUP), "memberOf cannot be compared by Includes"),
        (clause("memberOf", "IS NULL"), "memberOf cannot be compared by IS NULL"),
        (clause("passwordProfile.password", "IS NULL"), "never gives a password out"),
        (clause("a b", "IS NULL"), "'a b' is not the name of an attribute"),
        (clause("", "IS NULL"), "sourceOperandName is ''"),
        (clause(5, "IS NULL"), "sourceOperandName is 5"),
    ],
)
def test_a_clause_that_cannot_be_evaluated_is_an_error_with_its_place(entry, says):
    errors = [each for each in told(scoped(entry)) if each.severity == "error"]
    assert errors[0].where == "object mapping My users, scoping filter only sales, clause 1"
    assert says in str(errors[0])


def test_entras_own_comparison_takes_whole_numbers_only():
    assert only(scoped(clause("employeeHireDate", "Greater_Than", "2026-01-31")), strict=True).severity == "error"
    assert told(scoped(clause("extensionAttribute1", "Greater_Than", "-7")), strict=True) == []


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        ({"categoryFilterGroups": [{"name": "x", "clauses": []}]}, "categoryFilterGroups cannot be evaluated"),
        ({"groups": "x"}, "groups must be a list"),
        ({"groups": ["x"]}, "groups must be a list"),
        ({"groups": [{"name": "x", "clauses": "y"}]}, "clauses must be a list"),
        ([], "scope is []"),
    ],
)
def test_filters_that_cannot_be_read_are_errors_for_without_them_more_would_be_provisioned(scope, says):
    assert [each.severity for each in told(scope)] == ["error"]
    assert says in only(scope).text
