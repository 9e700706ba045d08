"""Scoping filters: the 14 operators of Entra, what null does to them, and how filters and clauses combine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ObjectError
from provisioning.rules.attributes import Facts
from provisioning.rules.filters import failed_filters
from tests.mappings import clause, person, scope


def passes(attribute: str, operator: str, *values: str, facts: dict | None = None, **attributes) -> bool:
    """Whether a person with these attributes passes a filter of this one clause."""
    groups = scope([clause(attribute, operator, *values)]).groups
    return failed_filters(groups, Facts(person(**attributes), **(facts or {}))) is None


@pytest.mark.parametrize(
    ("operator", "value", "given", "expected"),
    [
        ("EQUALS", "Sales", "Sales", True),
        ("EQUALS", "sales", "Sales", False),  # exact, and case counts
        ("NOT EQUALS", "Sales", "Support", True),
        ("NOT EQUALS", "Sales", "Sales", False),
        ("NOT EQUALS", "sales", "Sales", True),
        ("Includes", "ale", "Sales", True),
        ("Includes", "Ale", "Sales", False),
        ("ENDS_WITH", "es", "Sales", True),
        ("ENDS_WITH", "Sal", "Sales", False),
        ("&", "Sales;Support", "Sales", True),  # the given text is the haystack
        ("&", "Sal", "Sales", False),
        ("!&", "Sales;Support", "Legal", True),
        ("!&", "Sales;Support", "Sales", False),
        ("REGEX MATCH", "^S.*s$", "Sales", True),
        ("REGEX MATCH", "ale", "Sales", True),  # not anchored
        ("REGEX MATCH", "ALE", "Sales", False),
        ("REGEX MATCH", r"(?<word>S\w+)", "Sales", True),  # .NET's way to name a group
        ("NOT REGEX MATCH", "^L", "Sales", True),
        ("NOT REGEX MATCH", "^S", "Sales", False),
        ("Greater_Than", "10", "11", True),
        ("Greater_Than", "10", "10", False),
        ("Greater_Than", "9", "10", True),  # numbers, not texts
        ("Greater_Than", "10", "ten", False),
        ("Greater_Than", "10", "10.5", False),
        ("Greater_Than_OR_EQUALS", "10", "10", True),
        ("Greater_Than_OR_EQUALS", "10", "9", False),
    ],
)
def test_an_operator_compares_as_in_entra(operator, value, given, expected):
    assert passes("department", operator, value, department=given) is expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("IS TRUE", True, True),
        ("IS TRUE", False, False),
        ("IS TRUE", "True", True),
        ("IS FALSE", False, True),
        ("IS FALSE", True, False),
        ("IS FALSE", "no", False),
    ],
)
def test_truth_is_asked_for_without_a_value(operator, value, expected):
    assert passes("onPremisesSyncEnabled", operator, onPremisesSyncEnabled=value) is expected


def test_a_boolean_equals_its_name():
    assert passes("dirSyncEnabled", "EQUALS", "True", onPremisesSyncEnabled=True)
    assert not passes("dirSyncEnabled", "EQUALS", "true", onPremisesSyncEnabled=True)


NOTHING = [None, "", [], "absent"]
UNARY = ["IS TRUE", "IS FALSE"]
BINARY = ["EQUALS", "NOT EQUALS", "Includes", "ENDS_WITH", "&", "!&", "REGEX MATCH", "NOT REGEX MATCH"]


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize("operator", [*UNARY, *BINARY, "Greater_Than", "Greater_Than_OR_EQUALS"])
def test_a_clause_about_nothing_is_false_also_a_negated_one(operator, value):
    attributes = {} if value == "absent" else {"department": value}
    values = () if operator in UNARY else ("1",)
    assert not passes("department", operator, *values, **attributes)


@pytest.mark.parametrize("value", NOTHING)
def test_only_is_null_is_true_of_nothing(value):
    attributes = {} if value == "absent" else {"department": value}
    assert passes("department", "IS NULL", **attributes)
    assert not passes("department", "IS NOT NULL", **attributes)


def test_is_null_is_false_of_something():
    assert not passes("department", "IS NULL", department="Sales")
    assert passes("department", "IS NOT NULL", department="Sales")
    assert passes("onPremisesSyncEnabled", "IS NOT NULL", onPremisesSyncEnabled=False)


# --- Beyond Entra ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("EQUALS", "b", True),
        ("EQUALS", "z", False),
        ("NOT EQUALS", "z", True),
        ("NOT EQUALS", "b", False),  # one of them violates it
        ("REGEX MATCH", "^c", True),
        ("NOT REGEX MATCH", "^c", False),
        ("NOT REGEX MATCH", "^z", True),
        ("Includes", "a", True),
        ("!&", "a b c", False),
    ],
)
def test_one_of_several_values_satisfies_and_one_violates(operator, value, expected):
    assert passes("otherMails", operator, value, otherMails=["a", "b", "c"]) is expected


@pytest.mark.parametrize(
    ("given", "value", "expected"),
    [
        ("2026-03-02", "2026-03-01", True),
        ("2026-03-01", "2026-03-01", False),
        ("2026-03-01T00:00:01Z", "2026-03-01", True),
        ("2026-03-01T00:00:00+02:00", "2026-03-01", False),
        ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", False),
        ("soon", "2026-01-01", False),
    ],
)
def test_dates_are_compared_as_dates(given, value, expected):
    assert passes("employeeHireDate", "Greater_Than", value, employeeHireDate=given) is expected


def test_user_type_manager_and_membership_can_be_asked_for():
    assert passes("userType", "EQUALS", "Member", userType="Member")
    assert passes("manager", "IS NOT NULL", manager={"id": "m1"})
    assert passes("manager", "EQUALS", "m1", manager={"id": "m1"})
    assert passes("manager", "IS NULL", manager=None)
    assert passes("memberOf", "EQUALS", "g1", facts={"member_of": ("g1", "g2")})
    assert not passes("memberOf", "EQUALS", "g3", facts={"member_of": ("g1", "g2")})
    assert not passes("memberOf", "NOT EQUALS", "g1", facts={"member_of": ("g1", "g2")})
    assert passes("memberOf", "NOT EQUALS", "g1", facts={"member_of": ()})
    assert not passes("memberOf", "EQUALS", "g1", facts={"member_of": ()})


def test_a_role_is_asked_for_by_its_value():
    roles = ({"id": "r1", "value": "itil", "displayName": "ITIL"}, {"id": "r2", "value": None, "displayName": "Plain"})
    assert passes("appRoleAssignments", "EQUALS", "itil", facts={"roles": roles})
    assert passes("appRoleAssignments", "EQUALS", "Plain", facts={"roles": roles})


def test_a_guest_is_compared_by_the_name_they_have_at_home():
    guest = {"userPrincipalName": "eve_partner.com#EXT#@contoso.com"}
    assert passes("userPrincipalName", "EQUALS", "eve@partner.com", **guest)
    assert passes("originalUserPrincipalName", "Includes", "#EXT#", **guest)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("mobile", {"mobilePhone": "1"}),
        ("telephoneNumber", {"businessPhones": ["1", "2"]}),
        ("extensionAttribute7", {"onPremisesExtensionAttributes": {"extensionAttribute7": "1"}}),
        ("costCenter", {"employeeOrgData": {"costCenter": "1"}}),
        ("extension_0a_badge", {"extension_0a_badge": "1"}),
    ],
)
def test_attributes_are_named_as_the_schema_names_them(name, attributes):
    assert passes(name, "EQUALS", "1", **attributes)


# --- Filters together -----------------------------------------------------------------------------


def test_without_a_filter_everybody_passes():
    assert failed_filters((), Facts(person())) is None


def test_all_clauses_of_one_filter_must_hold_and_one_filter_is_enough():
    groups = scope(
        [clause("department", "EQUALS", "Sales"), clause("country", "EQUALS", "NO")],
        [clause("jobTitle", "Includes", "Chief")],
    ).groups
    assert failed_filters(groups, Facts(person(department="Sales", country="NO"))) is None
    assert failed_filters(groups, Facts(person(jobTitle="Chief Cook"))) is None
    assert failed_filters(groups, Facts(person(department="Sales", country="SE"))) == (
        "filter 1 country EQUALS NO or filter 2 jobTitle Includes Chief"
    )


def test_a_filter_that_cannot_be_evaluated_is_an_error_and_never_out_of_scope():
    groups = scope([clause("department", "REGEX MATCH", "(a+)+(b|c)*$x")]).groups
    slow = scope([clause("department", "REGEX MATCH", "(x+x+)+y")]).groups
    assert failed_filters(groups, Facts(person(department="a"))) is not None
    with pytest.raises(ObjectError) as raised:
        failed_filters(slow, Facts(person(department="x" * 5000)))
    assert raised.value.code == "ScopingFilterFailed"
    assert "department REGEX MATCH" in str(raised.value)
    assert "x" * 20 not in str(raised.value)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.lists(st.text(max_size=3), max_size=3)
)


@given(value=VALUES, operand=st.text(max_size=3))
def test_a_negated_operator_is_the_opposite_wherever_there_is_a_value(value, operand):
    facts = Facts(person(department=value))
    for positive, negative in (("EQUALS", "NOT EQUALS"), ("&", "!&")):
        one = failed_filters(scope([clause("department", positive, operand)]).groups, facts) is None
        other = failed_filters(scope([clause("department", negative, operand)]).groups, facts) is None
        there = failed_filters(scope([clause("department", "IS NOT NULL")]).groups, facts) is None
        assert (one != other) if there else not (one or other)
