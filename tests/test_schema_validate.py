"""A schema against an instance's dictionary, and the dictionary as a directory of a schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ConfigError
from provisioning.model import Column
from provisioning.schema import Finding, default_schema, discover, examine, load_schema, validate
from tests.emulators.servicenow.dictionary import baseline
from tests.test_schema_load import Json, attribute, document, expression, mapping

COLUMNS = [
    Column("user_name", "string", 40),
    Column("title", "string", 10),
    Column("notes", "string", 0),
    Column("active", "boolean", 40),
    Column("locked_out", "boolean", 40),
    Column("level", "integer", 40),
    Column("rate", "decimal", 15),
    Column("since", "glide_date", 40),
    Column("department", "reference", 32, "cmn_department"),
    Column("manager", "reference", 32, "sys_user"),
    Column("lost", "reference", 32, None),
    Column("skills", "glide_list", 1024, "cmn_skill"),
    Column("sys_created_on", "glide_date_time", 40, read_only=True),
    Column("u_badge", "string", 12),
]
INSTANCE = {
    "sys_user": {each.name: each for each in COLUMNS},
    "sys_user_group": {each.name: each for each in (Column("name", "string", 80), Column("u_badge", "string", 40))},
    "sys_user_grmember": {},
}


def baseline_columns() -> dict[str, dict[str, Column]]:
    """The columns of an instance as it comes."""
    return {
        name: {
            each.name: Column(each.name, each.type, each.max_length, each.reference or None, each.read_only)
            for each in table.columns.values()
        }
        for name, table in baseline().items()
    }


def found(*attributes: Json, columns: Any = None, **other: Any) -> list[Finding]:
    """About these columns; that a schema of so few says nothing of leavers is a test of its own."""
    schema = load_schema(document(mapping(*attributes, **other)))
    findings = validate(schema, INSTANCE if columns is None else columns)
    return [finding for finding in findings if not is_about_leavers(finding)]


def is_about_leavers(finding: Finding) -> bool:
    return finding.text.startswith("no mapping of active reads IsSoftDeleted")


def constant(target: str, text: str) -> Json:
    return {"targetAttributeName": target, "source": {"type": "Constant", "name": text}}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, True),
        ("[accountEnabled]", True),
        ("Not([IsSoftDeleted])", False),
    ],
)
def test_a_schema_that_lets_leavers_keep_their_accounts_is_warned_of(source, told):
    mappings = [] if source is None else [{**expression(source), "targetAttributeName": "active"}]
    findings = validate(load_schema(document(mapping(*mappings))), INSTANCE)
    assert [finding.severity for finding in findings if is_about_leavers(finding)] == (["warning"] if told else [])


def test_a_schema_that_fits_is_not_worth_a_word():
    assert found(attribute(), attribute("manager", "manager"), attribute("department", "department")) == []


@pytest.mark.parametrize(
    ("target", "way_out"),
    [
        ("titel", "did you mean title?"),
        ("Title", "did you mean title?"),
        ("badge", "did you mean u_badge?"),
        ("zzzzzz", "correct the target attribute, or create the column"),
    ],
)
def test_a_column_that_the_instance_lacks_is_an_error_with_the_nearest_names(target, way_out):
    [told] = found(attribute(target))
    assert (told.severity, told.where) == ("error", f"object mapping of users to sys_user, attribute {target}")
    assert (told.text, told.way_out) == (f"sys_user has no column {target}", way_out)


def test_a_table_that_the_instance_lacks_is_an_error():
    [told] = found(targetObjectName="sys_usr")
    assert (told.severity, told.way_out) == ("error", "did you mean sys_user or sys_user_group?")
    assert [each.text for each in found(columns={})] == [
        "the instance has no table sys_user, or hides it",
        "the instance has no table sys_user_group, or hides it",
    ]


@pytest.mark.parametrize(
    ("entry", "severity", "says"),
    [
        (attribute("sys_created_on", "createdDateTime"), "error", "read-only"),
        (attribute("lost", "department"), "error", "does not say to which table"),
        (attribute("department", "manager"), "error", "department refers to cmn_department"),
        (expression('IIF([city] = "Bern", [manager], "")', "department"), "error", "refers to cmn_department"),
        (attribute("title", "manager"), "warning", "title is no reference"),
        (attribute("department", "department", matchingPriority=2), "error", "the id of another record"),
        (attribute("active", "accountEnabled", matchingPriority=2), "error", "two values tell nobody apart"),
        (attribute("skills", "city", matchingPriority=2), "error", "no record can be found by skills"),
        (constant("title", "x" * 11), "warning", "the constant has 11 characters, and title holds 10"),
        (attribute("title", defaultValue="x" * 11), "warning", "defaultValue has 11 characters"),
        (constant("active", "maybe"), "error", "the constant is 'maybe', and active takes true or false"),
        (attribute("locked_out", "accountEnabled", defaultValue="on"), "error", "defaultValue is 'on'"),
        (constant("level", "1.5"), "error", "level takes a whole number"),
        (constant("rate", "much"), "error", "rate takes a number"),
        (constant("since", "soon"), "error", "since takes a date"),
        ({"targetAttributeName": "level", "source": None, "defaultValue": "first"}, "error", "defaultValue is 'first'"),
    ],
)
def test_what_the_instance_would_refuse_or_cut_is_told(entry, severity, says):
    [told] = found(entry)
    assert told.severity == severity
    assert says in told.text
    assert told.where.endswith(f"attribute {entry['targetAttributeName']}")
    assert told.way_out


@pytest.mark.parametrize(
    "entry",
    [
        constant("title", "x" * 10),
        constant("notes", "x" * 9_000),
        constant("active", "1"),
        constant("active", "False"),
        constant("level", " -12 "),
        constant("rate", "1.50"),
        constant("since", "2026-12-31"),
        constant("department", "A department whose name is longer than an id has characters"),
        attribute("manager", "manager", defaultValue="A user whose name is longer than an id has characters"),
        expression("IgnoreObjectFlow", "objectFilter"),
    ],
)
def test_what_fits_its_column_is_not_complained_of(entry):
    assert found(entry) == []


def test_columns_that_are_preferred_exist():
    metadata = [{"key": "PreferredMatch", "value": '{"activ": "true"}'}]
    [told] = found(metadata=metadata)
    assert (told.severity, told.way_out) == ("error", "did you mean active?")
    assert "activ true" in told.text


def test_a_mapping_that_is_switched_off_is_not_looked_at():
    assert found(attribute("titel"), enabled=False) == []


def test_memberships_need_their_table():
    schema = default_schema()
    without = {name: columns for name, columns in baseline_columns().items() if name != "sys_user_grmember"}
    [told] = validate(schema, without)
    assert told.where == "object mapping of groups to sys_user_group, attribute members"


def test_the_schema_that_ships_fits_a_baseline_instance():
    assert validate(default_schema(), baseline_columns()) == ()


# --- Discovery ------------------------------------------------------------------------------------


def defined(column: Column) -> Json:
    [table] = discover({"sys_user": {column.name: column}})["objects"]
    found: Json = table["attributes"][0]
    return found


@pytest.mark.parametrize(
    ("column", "members"),
    [
        (Column("title", "string", 60), {"type": "String", "mutability": "ReadWrite", "anchor": False}),
        (Column("sys_id", "GUID", 32, read_only=True), {"anchor": True, "mutability": "ReadOnly", "type": "String"}),
        (Column("sys_domain", "domain_id", 32), {"mutability": "ReadOnly", "type": "String"}),
        (Column("last_login", "glide_date", 40, read_only=True), {"mutability": "ReadOnly", "type": "DateTime"}),
        (Column("active", "boolean", 40), {"type": "Boolean", "metadata": []}),
        (Column("notification", "integer", 40), {"type": "Integer", "metadata": []}),
        (Column("photo", "user_image", 40), {"type": "Binary"}),
        (Column("phone", "ph_number", 40), {"type": "String"}),
        (Column("title", "string", 60), {"metadata": [{"key": "MaximumLength", "value": "60"}], "required": False}),
        (Column("notes", "string", 0), {"metadata": []}),
        (
            Column("department", "reference", 32, "cmn_department"),
            {
                "type": "Reference",
                "multivalued": False,
                "referencedObjects": [{"referencedObjectName": "cmn_department", "referencedProperty": "sys_id"}],
            },
        ),
        (Column("type", "glide_list", 1024, "sys_user_group_type"), {"type": "Reference", "multivalued": True}),
        (Column("tags", "glide_list", 1024), {"type": "String", "multivalued": True, "referencedObjects": []}),
    ],
)
def test_a_column_becomes_an_attribute_definition(column, members):
    found = defined(column)
    assert {name: found[name] for name in members} == members
    assert found["name"] == column.name


def test_discovered_tables_and_columns_are_sorted_and_custom_ones_among_them():
    found = discover(INSTANCE)
    assert [each["name"] for each in found["objects"]] == sorted(INSTANCE)
    users = next(each for each in found["objects"] if each["name"] == "sys_user")
    names = [each["name"] for each in users["attributes"]]
    assert names == sorted(INSTANCE["sys_user"])
    badge = next(each for each in users["attributes"] if each["name"] == "u_badge")
    assert {"key": "IsCustomerDefined", "value": "true"} in badge["metadata"]


@given(
    st.lists(
        st.builds(
            Column,
            name=st.from_regex(r"u_[a-z]{1,8}", fullmatch=True),
            type=st.sampled_from(
                ["string", "boolean", "integer", "reference", "glide_list", "glide_date", "u_own_type"]
            ),
            max_length=st.integers(0, 4000),
            reference=st.none() | st.just("cmn_department"),
        ),
        max_size=5,
    )
)
def test_what_was_discovered_can_be_put_into_a_schema_and_mapped(columns):
    instance = {"sys_user": {each.name: each for each in (Column("user_name", "string", 40), *columns)}}
    mapped = [attribute(name, "city") for name in instance["sys_user"] if name != "user_name"]
    assert examine(document(mapping(*mapped), directories=[discover(instance)])).findings == ()


@pytest.mark.parametrize(
    ("reference", "target", "level", "words"),
    [
        ({"policy": "fail"}, "u_badge", "warning", "u_badge refers to no table"),
        ({"column": "u_code"}, "department", "error", "has no such column"),
        ({"policy": "create"}, "department", "warning", "REFERENCE_CREATE_TABLES"),
        ({"policy": "omit", "column": "id"}, "department", None, ""),
        ({"policy": "create"}, "skills", None, ""),
    ],
)
def test_what_a_reference_is_looked_up_by_must_be_there(reference, target, level, words):
    schema = load_schema(document(mapping(attribute(), {**attribute(target, "department"), "reference": reference})))
    known = {**INSTANCE, "cmn_department": {name: Column(name, "string", 100) for name in ("name", "id")}}
    told = [each for each in validate(schema, known, creatable=("cmn_skill",)) if each.where.endswith(target)]
    assert [each.severity for each in told] == ([level] if level else [])
    assert all(words in f"{each.text} {each.way_out}" for each in told)


@pytest.mark.parametrize(
    "reference", [{"policy": "invent"}, {"policy": "default"}, {"column": "no column"}, "omit", {"policy": 3}]
)
def test_a_reference_that_means_nothing_is_an_error_of_the_schema(reference):
    with pytest.raises(ConfigError, match=r"policy|default|column|reference"):
        load_schema(document(mapping(attribute(), {**attribute("department", "department"), "reference": reference})))
