"""From a source object to the values that its record should have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ObjectError
from provisioning.model import SourceObject
from provisioning.rules.mapping import Desired, Reference, as_text, evaluate, sign_in_name
from provisioning.schema import AttributeMapping, AttributeSource, ConstantSource, ObjectMapping, default_schema
from tests.columns import columns_of

USER = default_schema().user
COLUMNS = columns_of(*USER.columns)
UPN = AttributeMapping("user_name", AttributeSource("userPrincipalName"), matching_priority=1)


def person(**attributes) -> SourceObject:
    return SourceObject("user", "u1", {"userPrincipalName": "ada@contoso.com", **attributes})


def evaluated(*mappings: AttributeMapping, **attributes) -> Desired:
    """What a mapping of these columns, and the user name, makes of a person with these attributes."""
    mapping = ObjectMapping("user", "sys_user", (UPN, *mappings))
    return evaluate(person(**attributes), mapping, columns_of(*mapping.columns))


def of(path: str, target: str = "title", **options) -> AttributeMapping:
    return AttributeMapping(target, AttributeSource(path), **options)


# --- Values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "attributes", "value"),
    [
        ("jobTitle", {"jobTitle": "Analyst"}, "Analyst"),
        ("jobTitle", {"jobTitle": "  Analyst "}, "Analyst"),
        ("jobTitle", {"jobTitle": "Ångström 計算"}, "Ångström 計算"),
        ("id", {}, "u1"),
        ("businessPhones[0]", {"businessPhones": ["1", "2"]}, "1"),
        ("businessPhones[1]", {"businessPhones": ["1", "2"]}, "2"),
        ("businessPhones", {"businessPhones": ["1"]}, "1"),
        ("employeeOrgData.costCenter", {"employeeOrgData": {"costCenter": "CC1"}}, "CC1"),
        ("accountEnabled", {"accountEnabled": True}, "true"),
        ("accountEnabled", {"accountEnabled": False}, "false"),
        ("extension_1_level", {"extension_1_level": 0}, "0"),
        ("extension_1_level", {"extension_1_level": 2.5}, "2.5"),
    ],
)
def test_a_source_value_becomes_text(path, attributes, value):
    assert evaluated(of(path), **attributes).values["title"] == value


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        ("jobTitle", {}),
        ("jobTitle", {"jobTitle": None}),
        ("jobTitle", {"jobTitle": ""}),
        ("jobTitle", {"jobTitle": "   "}),
        ("businessPhones[0]", {"businessPhones": []}),
        ("businessPhones[0]", {"businessPhones": None}),
        ("businessPhones[0]", {"businessPhones": "1"}),
        ("businessPhones[5]", {"businessPhones": ["1"]}),
        ("businessPhones", {"businessPhones": []}),
        ("employeeOrgData.costCenter", {}),
        ("employeeOrgData.costCenter", {"employeeOrgData": None}),
        ("employeeOrgData.costCenter", {"employeeOrgData": "CC1"}),
    ],
)
def test_null_leaves_its_column_alone(path, attributes):
    desired = evaluated(of(path), **attributes)
    assert desired.values == {"user_name": "ada@contoso.com"}
    assert desired.for_update().values == {"user_name": "ada@contoso.com"}


@pytest.mark.parametrize("value", [["1", "2"], {"a": 1}, [["1", "2"]]])
def test_several_values_for_one_column_are_an_error(value):
    with pytest.raises(ObjectError) as raised:
        evaluated(of("businessPhones"), businessPhones=value)
    assert raised.value.code == "SchemaPropertyCanOnlyAcceptValue"
    assert "title" in str(raised.value)


def test_a_constant_is_written_as_it_is():
    assert evaluated(AttributeMapping("title", ConstantSource("Staff"))).values["title"] == "Staff"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=5,
    )
)
def test_any_json_is_text_or_an_error_of_this_object(value):
    try:
        text = as_text(value, "title")
    except ObjectError:
        assert isinstance(value, list | dict)
    else:
        assert text == text.strip()


# --- What is written at creation only -------------------------------------------------------------


def test_a_default_stands_in_for_null_at_creation_only():
    desired = evaluated(of("jobTitle", default="Employee"))
    assert desired.values["title"] == "Employee"
    assert "title" not in desired.for_update().values


def test_a_default_gives_way_to_a_value():
    desired = evaluated(of("jobTitle", default="Employee"), jobTitle="Analyst")
    assert desired.for_update().values["title"] == "Analyst"


def test_a_column_that_is_mapped_at_creation_only_is_left_out_of_updates():
    desired = evaluated(of("jobTitle", flow_type="ObjectAddOnly"), jobTitle="Analyst")
    assert desired.values["title"] == "Analyst"
    assert "title" not in desired.for_update().values


def test_what_holds_for_plain_columns_at_creation_holds_for_references():
    desired = evaluated(
        of("department", "department", flow_type="ObjectAddOnly"),
        of("officeLocation", "location", default="Head office"),
        of("manager", "manager", flow_type="ObjectAddOnly"),
        department="Sales",
        manager={"id": "m1"},
    )
    assert desired.references == {
        "department": Reference("cmn_department", "Sales"),
        "location": Reference("cmn_location", "Head office"),
    }
    assert desired.people == {"manager": "m1"}
    assert (desired.for_update().references, desired.for_update().people) == ({}, {})


# --- References -----------------------------------------------------------------------------------


def test_references_are_looked_up_by_display_value_and_people_by_their_source_id():
    desired = evaluated(of("department", "department"), of("manager", "manager"), department="R&D", manager={"id": "m"})
    assert desired.references == {"department": Reference("cmn_department", "R&D")}
    assert desired.people == {"manager": "m"}
    assert desired.values == {"user_name": "ada@contoso.com"}


def test_no_manager_leaves_the_column_alone():
    assert evaluated(of("manager", "manager"), manager=None).people == {}
    assert evaluated(of("manager", "manager")).people == {}


def test_text_in_a_column_that_refers_to_a_person_is_looked_up_by_display_value():
    desired = evaluated(of("jobTitle", "manager"), jobTitle="Grace Hopper")
    assert desired.references == {"manager": Reference("sys_user", "Grace Hopper")}


# --- Lengths --------------------------------------------------------------------------------------


def test_a_long_value_is_cut_as_servicenow_would_cut_it_with_a_warning():
    desired = evaluated(of("jobTitle"), jobTitle="x" * 61)
    assert desired.values["title"] == "x" * 60
    assert desired.warnings == ("title holds 60 characters; the value has 61 and is cut",)
    assert evaluated(of("jobTitle"), jobTitle="x" * 60).warnings == ()


@pytest.mark.parametrize(("characters", "fits"), [(39, True), (40, True), (41, False), (113, False)])
def test_a_user_name_longer_than_its_column_is_an_error_and_never_cut(characters, fits):
    source = person(userPrincipalName="x" * (characters - 12) + "@contoso.com")
    if fits:
        assert len(evaluate(source, USER, COLUMNS).match_value) == characters
        return
    with pytest.raises(ObjectError) as raised:
        evaluate(source, USER, COLUMNS)
    assert raised.value.code == "InvalidAttributeValue"
    assert f"{characters} characters; ServiceNow keeps 40" in str(raised.value)


def test_a_matching_attribute_that_is_not_the_first_is_cut_like_any_other_column():
    desired = evaluated(of("jobTitle", matching_priority=2), jobTitle="x" * 61)
    assert desired.values["title"] == "x" * 60


# --- The matching attribute -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "", "  "])
def test_an_object_without_a_key_cannot_be_provisioned(name):
    with pytest.raises(ObjectError) as raised:
        evaluate(person(userPrincipalName=name), USER, COLUMNS)
    assert raised.value.code == "EntryJoiningPropertyValueIsMissing"


def test_a_default_is_never_a_key():
    mapping = ObjectMapping("user", "sys_user", (replace(UPN, default="everybody"),))
    with pytest.raises(ObjectError) as raised:
        evaluate(person(userPrincipalName=None), mapping, COLUMNS)
    assert raised.value.code == "EntryJoiningPropertyValueIsMissing"


def test_the_matching_attribute_of_the_lowest_priority_is_the_key():
    desired = evaluated(of("employeeId", "employee_number", matching_priority=5), employeeId="7")
    assert desired.match_value == "ada@contoso.com"


def test_a_key_that_is_written_at_creation_only_still_matches():
    mapping = ObjectMapping("user", "sys_user", (replace(UPN, flow_type="ObjectAddOnly"),))
    desired = evaluate(person(), mapping, COLUMNS)
    assert (desired.match_value, desired.for_update().values) == ("ada@contoso.com", {})


@pytest.mark.parametrize(
    ("name", "sign_in"),
    [
        ("ada@contoso.com", "ada@contoso.com"),
        ("ada_fabrikam.com#EXT#@contoso.com", "ada@fabrikam.com"),
        ("ada_king_fabrikam.com#EXT#@contoso.com", "ada_king@fabrikam.com"),
        ("ada#EXT#@contoso.com", "ada#EXT#@contoso.com"),
        ("_fabrikam.com#EXT#@contoso.com", "_fabrikam.com#EXT#@contoso.com"),
        (None, None),
        (7, None),
    ],
)
def test_a_guest_has_the_name_they_sign_in_with_at_home(name, sign_in):
    assert sign_in_name(person(userPrincipalName=name)) == sign_in


def test_the_original_name_of_a_guest_is_a_source_attribute_of_its_own():
    guest = "ada_fabrikam.com#EXT#@contoso.com"
    mapping = of("originalUserPrincipalName")
    desired = evaluated(mapping, userPrincipalName=guest)
    assert desired.values == {"user_name": "ada@fabrikam.com", "title": guest}
    assert mapping.source.property_name == "userPrincipalName"


def test_a_column_that_the_instance_does_not_have_is_named():
    with pytest.raises(ObjectError) as raised:
        evaluate(person(), USER, columns_of("user_name"))
    assert raised.value.code == "SchemaAttributeNotFound"
    assert "sys_user.email" in str(raised.value)


ATTRIBUTES = st.fixed_dictionaries(
    {"userPrincipalName": st.sampled_from(["ada@contoso.com", "b_f.com#EXT#@c.com"])},
    optional={
        name: st.none() | st.sampled_from(["", " x ", "y" * 130])
        for name in ("jobTitle", "department", "givenName", "mail", "country")
    }
    | {"manager": st.none() | st.just({"id": "m"}), "businessPhones": st.lists(st.just("1"), max_size=2)},
)


@given(ATTRIBUTES)
def test_no_value_is_ever_empty_too_long_or_written_twice(attributes):
    desired = evaluate(SourceObject("user", "u1", attributes), USER, COLUMNS)
    assert all(0 < len(value) <= COLUMNS[name].max_length for name, value in desired.values.items())
    assert all(reference.value for reference in desired.references.values())
    parts = [*desired.values, *desired.references, *desired.people]
    assert len(parts) == len(set(parts))
