"""From a source object to the values that its record should have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ObjectError
from provisioning.model import Column, SourceObject
from provisioning.rules.attributes import Facts, sign_in_name
from provisioning.rules.columns import column_texts
from provisioning.rules.mapping import Desired, Key, Mapper, Reference
from provisioning.schema import AttributeMapping, ObjectMapping, default_schema
from tests.columns import columns_of
from tests.mappings import NOW, desired_of, of, person

USER = default_schema().user
COLUMNS = columns_of(*USER.columns)
UPN = of("userPrincipalName", "user_name", matching_priority=1)
TITLE = Column("title", "string", 60)


def evaluated(*mappings: AttributeMapping, **attributes) -> Desired:
    """What a mapping of these columns, and the user name, makes of a person with these attributes."""
    mapping = ObjectMapping("user", "sys_user", (UPN, *mappings))
    return desired_of(mapping, person(**attributes))


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
    assert desired.for_update({}).values == {"user_name": "ada@contoso.com"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (["1", "2"], "SchemaPropertyCanOnlyAcceptValue"),
        ([["1", "2"]], "SchemaPropertyCanOnlyAcceptValue"),
        ({"a": 1}, "InvalidAttributeValue"),
    ],
)
def test_several_values_for_one_column_are_an_error(value, code):
    with pytest.raises(ObjectError) as raised:
        evaluated(of("businessPhones"), businessPhones=value)
    assert raised.value.code == code
    assert "title" in str(raised.value)


def test_a_constant_is_written_as_it_is():
    assert evaluated(of('"Staff"')).values["title"] == "Staff"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=5,
    )
)
def test_any_json_is_text_or_an_error_of_this_object(value):
    try:
        texts = column_texts(value, TITLE)
    except ObjectError:
        assert isinstance(value, list | dict)
    else:
        assert len(texts) <= 1
        assert all(text == text.strip() != "" for text in texts)


# --- What is written at creation only -------------------------------------------------------------


def test_a_default_stands_in_for_null_at_creation_only():
    desired = evaluated(of("jobTitle", default="Employee"))
    assert desired.values["title"] == "Employee"
    assert "title" not in desired.for_update({}).values


def test_a_default_gives_way_to_a_value():
    desired = evaluated(of("jobTitle", default="Employee"), jobTitle="Analyst")
    assert desired.for_update({}).values["title"] == "Analyst"


def test_a_column_that_is_mapped_at_creation_only_is_left_out_of_updates():
    desired = evaluated(of("jobTitle", flow_type="ObjectAddOnly"), jobTitle="Analyst")
    assert desired.values["title"] == "Analyst"
    assert "title" not in desired.for_update({}).values


def test_what_holds_for_plain_columns_at_creation_holds_for_references():
    desired = evaluated(
        of("department", "department", flow_type="ObjectAddOnly"),
        of("officeLocation", "location", default="Head office"),
        of("manager", "manager", flow_type="ObjectAddOnly"),
        department="Sales",
        manager={"id": "m1"},
    )
    assert desired.references == {
        "department": (Reference("cmn_department", "Sales"),),
        "location": (Reference("cmn_location", "Head office"),),
    }
    assert desired.people == {"manager": "m1"}
    assert (desired.for_update({}).references, desired.for_update({}).people) == ({}, {})


# --- References -----------------------------------------------------------------------------------


def test_references_are_looked_up_by_display_value_and_people_by_their_source_id():
    desired = evaluated(of("department", "department"), of("manager", "manager"), department="R&D", manager={"id": "m"})
    assert desired.references == {"department": (Reference("cmn_department", "R&D"),)}
    assert desired.people == {"manager": "m"}
    assert desired.values == {"user_name": "ada@contoso.com"}


def test_no_manager_leaves_the_column_alone():
    assert evaluated(of("manager", "manager"), manager=None).people == {}
    assert evaluated(of("manager", "manager")).people == {}


def test_text_in_a_column_that_refers_to_a_person_is_looked_up_by_display_value():
    desired = evaluated(of("jobTitle", "manager"), jobTitle="Grace Hopper")
    assert desired.references == {"manager": (Reference("sys_user", "Grace Hopper"),)}


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
        assert len(desired_of(USER, source).match_value) == characters
        return
    with pytest.raises(ObjectError) as raised:
        desired_of(USER, source)
    assert raised.value.code == "InvalidAttributeValue"
    assert f"{characters} characters; ServiceNow keeps 40" in str(raised.value)


def test_no_matching_attribute_is_ever_cut():
    with pytest.raises(ObjectError) as raised:
        evaluated(of("jobTitle", matching_priority=2), jobTitle="x" * 61)
    assert raised.value.code == "InvalidAttributeValue"


# --- The matching attribute -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "", "  "])
def test_an_object_without_a_key_cannot_be_provisioned(name):
    with pytest.raises(ObjectError) as raised:
        desired_of(USER, person(userPrincipalName=name))
    assert raised.value.code == "EntryJoiningPropertyValueIsMissing"


def test_a_default_is_never_a_key():
    mapping = ObjectMapping("user", "sys_user", (replace(UPN, default="everybody"),))
    with pytest.raises(ObjectError) as raised:
        desired_of(mapping, person(userPrincipalName=None))
    assert raised.value.code == "EntryJoiningPropertyValueIsMissing"


def test_the_matching_attribute_of_the_lowest_priority_is_the_key():
    desired = evaluated(of("employeeId", "employee_number", matching_priority=5), employeeId="7")
    assert desired.keys == (
        Key((("user_name", "ada@contoso.com"),)),
        Key((("employee_number", "7"),), ranked=True),
    )
    assert desired.match_value == "ada@contoso.com"


def test_a_key_without_a_value_gives_way_to_the_next():
    second = of("employeeId", "employee_number", matching_priority=5)
    desired = evaluated(second, employeeId="7", userPrincipalName=None)
    assert [key.text for key in desired.keys] == ["employee_number=7"]
    with pytest.raises(ObjectError) as raised:
        evaluated(second, employeeId=None, userPrincipalName=" ")
    assert raised.value.code == "EntryJoiningPropertyValueIsMissing"
    assert "user_name or employee_number" in str(raised.value)


def test_equal_priorities_make_one_key_of_several_columns():
    composite = (
        of("employeeId", "employee_number", matching_priority=1),
        of("companyName", "title", matching_priority=1),
    )
    mapping = ObjectMapping("user", "sys_user", composite)
    desired = desired_of(mapping, person(employeeId="7", companyName="Fabrikam"))
    assert desired.keys == (Key((("employee_number", "7"), ("title", "Fabrikam"))),)
    assert desired.match_value == "employee_number=7, title=Fabrikam"
    with pytest.raises(ObjectError, match="employee_number with title"):
        desired_of(mapping, person(employeeId="7"))


def test_a_key_that_is_written_at_creation_only_still_matches():
    mapping = ObjectMapping("user", "sys_user", (replace(UPN, flow_type="ObjectAddOnly"),))
    desired = desired_of(mapping, person())
    assert (desired.match_value, desired.for_update({}).values) == ("ada@contoso.com", {})


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
    assert ObjectMapping("user", "sys_user", (mapping,)).source_properties == ("userPrincipalName",)


def test_a_column_that_the_instance_does_not_have_is_named():
    with pytest.raises(ObjectError) as raised:
        desired_of(USER, person(), columns_of("user_name"))
    assert raised.value.code == "SchemaAttributeNotFound"
    assert f"sys_user.{USER.columns[1]}" in str(raised.value)


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
    desired = desired_of(USER, SourceObject("user", "u1", attributes))
    assert all(0 < len(value) <= COLUMNS[name].max_length for name, value in desired.values.items())
    assert all(each.value for references in desired.references.values() for each in references)
    parts = [*desired.values, *desired.references, *desired.people]
    assert len(parts) == len(set(parts))


# --- Expressions ----------------------------------------------------------------------------------


def test_an_expression_is_evaluated_against_the_whole_object():
    desired = evaluated(of('Join(" ", [givenName], [surname])'), givenName="Ada", surname="Byron")
    assert desired.values["title"] == "Ada Byron"


def test_now_is_the_moment_of_the_decision():
    assert evaluated(of('FormatDateTime(Now(), , "M/d/yyyy h:mm:ss tt", "yyyy-MM-dd")')).values["title"] == "2026-11-26"


def test_an_expression_that_fails_is_an_error_of_this_object_with_the_reason():
    with pytest.raises(ObjectError) as raised:
        evaluated(of("CDate([birthday])"), birthday="some day")
    assert raised.value.code == "ExpressionEvaluationFailed"
    assert "title" in str(raised.value)
    assert raised.value.way_out


def test_the_error_of_a_redacted_expression_tells_no_value():
    with pytest.raises(ObjectError) as raised:
        evaluated(of("Redact(CDate([birthday]))"), birthday="topsecret")
    assert "topsecret" not in str(raised.value)


@pytest.mark.parametrize(
    "expression", ["IgnoreFlowIfNullOrEmpty([jobTitle])", 'IIF([city]="x","y",IgnoreAttributeFlow)']
)
def test_an_ignored_flow_leaves_the_column_alone_and_uses_no_default(expression):
    desired = evaluated(of(expression, default="Employee", clears=True), jobTitle="")
    assert "title" not in desired.values
    assert desired.cleared == frozenset()


def test_ignore_object_flow_skips_the_object():
    skip = of('IIF([city]="Oslo", IgnoreObjectFlow, "")', "objectFilter")
    assert evaluated(skip, city="Oslo").ignored
    assert evaluated(skip, city="Bergen").ignored is None
    assert "objectFilter" not in evaluated(skip, city="Bergen").values


def test_the_roles_of_a_user_can_be_mapped():
    mapping = ObjectMapping("user", "sys_user", (UPN, of("SingleAppRoleAssignment([appRoleAssignments])")))
    roles = ({"id": "r1", "value": "itil", "displayName": "ITIL user"},)
    assert desired_of(mapping, person(), roles=roles).values["title"] == "itil"
    assert "title" not in desired_of(mapping, person()).values


# --- Columns that have a form of their own --------------------------------------------------------


def in_column(column: Column, *mappings: AttributeMapping, **attributes) -> Desired:
    mapping = ObjectMapping("user", "sys_user", (UPN, *mappings))
    return desired_of(mapping, person(**attributes), {**columns_of("user_name"), column.name: column})


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, "true"),
        ("True", "true"),
        ("1", "true"),
        ("yes", "true"),
        (False, "false"),
        ("FALSE", "false"),
        ("0", "false"),
    ],
)
def test_a_boolean_column_takes_every_spelling_of_truth(value, stored):
    desired = in_column(Column("vip", "boolean", 40), of("extension_1_vip", "vip"), extension_1_vip=value)
    assert desired.values["vip"] == stored


def test_a_boolean_column_takes_nothing_else():
    with pytest.raises(ObjectError) as raised:
        in_column(Column("vip", "boolean", 40), of("extension_1_vip", "vip"), extension_1_vip="perhaps")
    assert raised.value.code == "InvalidAttributeValue"


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("glide_date", "2026-03-01T22:30:00Z", "2026-03-01"),
        ("glide_date", "2026-03-01", "2026-03-01"),
        ("glide_date_time", "2026-03-01T22:30:00Z", "2026-03-01 22:30:00"),
        ("glide_date_time", "2026-03-01T22:30:00+02:00", "2026-03-01 20:30:00"),
        ("glide_date_time", "3/1/2026 10:30:00 PM", "2026-03-01 22:30:00"),
        ("glide_date_time", "soon", "soon"),
    ],
)
def test_a_date_is_written_as_servicenow_writes_dates(kind, value, stored):
    desired = in_column(Column("u_hired", kind, 40), of("employeeHireDate", "u_hired"), employeeHireDate=value)
    assert desired.values["u_hired"] == stored


def test_a_list_column_takes_several_values_each_once():
    column = Column("u_tags", "glide_list", 4000)
    desired = in_column(column, of("otherMails", "u_tags"), otherMails=["a", "b", "a"])
    assert desired.values["u_tags"] == "a,b"


def test_each_name_in_a_list_of_references_is_looked_up():
    column = Column("type", "glide_list", 1024, "sys_user_group_type")
    desired = in_column(column, of('Split("itil,hr", ",")', "type"))
    assert desired.references["type"] == (
        Reference("sys_user_group_type", "itil"),
        Reference("sys_user_group_type", "hr"),
    )


# --- What a mapping asks for besides --------------------------------------------------------------


def test_a_mapping_without_a_source_fills_an_empty_column_only():
    desired = evaluated(of(None, default="Staff"))
    assert desired.values["title"] == "Staff"
    assert desired.for_update({"title": ""}).values["title"] == "Staff"
    assert "title" not in desired.for_update({"title": "Chief"}).values


def test_attribute_add_only_writes_while_there_is_no_value():
    desired = evaluated(of("jobTitle", flow_type="AttributeAddOnly"), jobTitle="Analyst")
    assert "title" in desired.for_update({}).values
    assert "title" not in desired.for_update({"title": "Chief"}).values


def test_null_clears_only_where_the_mapping_clears():
    assert evaluated(of("jobTitle", clears=True)).cleared == {"title"}
    assert evaluated(of("jobTitle")).cleared == frozenset()
    assert evaluated(of("jobTitle", clears=True), jobTitle="Analyst").cleared == frozenset()
    assert evaluated(of("manager", "manager", clears=True), manager=None).cleared == {"manager"}


def test_a_required_column_without_value_and_default_is_told():
    assert evaluated(of("jobTitle", required=True)).absent == ("title",)
    assert evaluated(of("jobTitle", required=True, default="Staff")).absent == ()


def test_the_candidates_of_a_unique_value_are_offered_in_their_order_without_those_that_would_be_cut():
    rules = 'SelectUniqueValue([jobTitle], Join("", [jobTitle], "2"), Join("", [jobTitle], "3"))'
    assert evaluated(of(rules), jobTitle="x" * 60).unique == {"title": ("x" * 60,)}
    assert evaluated(of(rules), jobTitle="ada").unique == {"title": ("ada", "ada2", "ada3")}


# --- Leaving --------------------------------------------------------------------------------------

ACTIVE = of('Switch([IsSoftDeleted], , "False", "1", "True", "0")', "active")
FREED = of('IIF([IsSoftDeleted]="True", Join("_", "left", [mail]), [mail])', "email")


def leaving(*mappings: AttributeMapping, source: SourceObject | None) -> tuple[dict, tuple]:
    mapping = ObjectMapping("user", "sys_user", (UPN, *mappings))
    columns = {**columns_of(*mapping.columns), "active": Column("active", "boolean", 40)}
    facts = Facts(source, soft_deleted=True) if source else None
    found = Mapper(mapping, columns).on_leaving(facts, NOW)
    return dict(found.values), found.warnings


def test_what_depends_on_soft_deletion_is_written_when_somebody_leaves():
    values, _ = leaving(ACTIVE, FREED, of("jobTitle"), source=person(mail="ada@c.com", jobTitle="Analyst"))
    assert values == {"active": "false", "email": "left_ada@c.com"}


def test_of_somebody_who_is_gone_only_the_deletion_is_known():
    assert leaving(ACTIVE, FREED, source=None)[0] == {"active": "false"}


def test_without_a_mapping_of_soft_deletion_nothing_is_written():
    assert leaving(of("jobTitle"), source=person(jobTitle="Analyst"))[0] == {}


def test_a_column_that_fails_does_not_keep_a_leaver_in():
    broken = of('IIF([IsSoftDeleted]="True", CDate([mail]), [mail])', "email")
    values, warnings = leaving(ACTIVE, broken, source=person(mail="no date"))
    assert values == {"active": "false"}
    assert "email" in warnings[0]
