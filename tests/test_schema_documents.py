"""Whole schemas as people export them: understood, given back unchanged, and never a reason to fall over."""

from __future__ import annotations

import copy
import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.expressions import to_tree
from provisioning.schema import Examination, ObjectMapping, default_schema, dump, examine
from provisioning.schema.names import graph_path

FOLDER = Path(__file__).parent / "cases" / "schemas"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def examined(name: str, *, strict: bool = False) -> Examination:
    return examine(case(name), strict=strict)


def columns(mapping: ObjectMapping) -> dict[str, Any]:
    return {each.target: each for each in mapping.attributes}


# --- The gallery's job ----------------------------------------------------------------------------


def test_the_gallerys_job_is_understood_without_a_word():
    found = examined("gallery_job")
    assert found.findings == ()
    assert found.schema is not None
    user = columns(found.schema.user)
    assert user["mobile_phone"].source.direct == "mobile"
    assert graph_path(user["mobile_phone"].source.direct) == "mobilePhone"
    assert user["preferred_language"].source.evaluate({"preferredLanguage": "pt-BR"}) == "pt_BR"
    assert (user["preferred_language"].default, user["title"].default) == ("en", None)
    assert (user["time_zone"].source, user["time_zone"].default) == (None, "US/Pacific")
    assert (user["user_name"].required, user["title"].required) == (True, False)
    assert found.schema.group.members is True


def test_a_copy_in_pascal_case_with_numbers_loads_equally():
    one, other = examined("gallery_job"), examined("gallery_job_pascal_case")
    assert other.findings == ()
    assert one.schema == other.schema


def test_a_customised_job_is_understood_with_all_its_filters_and_flows():
    found = examined("customised_job")
    assert {each.severity for each in found.findings} == {"note"}
    assert found.schema is not None
    user, group = found.schema.user, found.schema.group
    assert [[each.target for each in key] for key in user.matching] == [
        ["employee_number"],
        ["user_name"],
        ["correlation_id"],
    ]
    assert user.flow_types == {"Add", "Update"}
    assert user.preferred == (("active", "true"), ("u_origin", "Entra"))
    assert [each.name for each in user.scope.groups] == ["Staff on premises", "filter 2", "Pilot"]
    assert [each.name for each in user.scope.input_groups] == ["Not a shared mailbox"]
    assert user.watched_groups == {"7f3a2c10-5b7d-4e0e-9c55-0b1f6b0e6a01", "11111111-2222-3333-4444-555555555555"}
    assert user.reads_roles
    assert user.redacted == {"u_pin"}
    assert [each.target for each in user.soft_delete] == ["active", "locked_out"]
    made = columns(user)
    assert (made["cost_center"].clears, made["title"].clears) == (True, False)
    assert (made["last_name"].required, made["last_name"].default) == (True, "(unknown)")
    assert made["locked_out"].flow_always is True
    assert made["u_origin"].source.constant == 'Entra "contoso"'
    assert {each.flow_type for each in user.attributes} == {
        "Always",
        "ObjectAddOnly",
        "MultiValueAddOnly",
        "ValueAddOnly",
        "AttributeAddOnly",
    }
    assert "objectFilter" in made
    assert {"onPremisesExtensionAttributes", "employeeOrgData", "employeeType", "onPremisesSyncEnabled"} <= set(
        user.source_properties
    )
    assert "extension_9d98ed114c4840d298fad781915f27e4_badgeNumber" in user.source_properties
    assert [[each.target for each in key] for key in group.matching] == [["name", "source"]]
    assert group.members is False
    assert [str(each) for each in group.scope.clauses()] == ["displayName ENDS_WITH -snow"]


def test_a_customised_job_works_with_entras_quirks_too_and_heeds_case_where_it_is_told_to():
    found = examined("customised_job", strict=True)
    assert found.schema is not None
    exact = {each.target for each in found.schema.user.attributes if each.case_exact}
    assert exact == {"last_name"}


ERRORS = [
    ("synchronization rule USER_OUTBOUND_USER", "containerFilter"),
    ("synchronization rule USER_OUTBOUND_USER", "groupFilter"),
    ("object mapping More users", "users are mapped already"),
    ("object mapping Users, attribute user_password", "password"),
    ("object mapping Users, attribute roles", "appRoleAssignments"),
    ("object mapping Users, attribute photo", "photos"),
    ("object mapping Users, attribute members", "a user has no members"),
    ("object mapping Users, attribute sys_id", "own id"),
    ("object mapping Users, attribute u_lcw", "Lifecycle Workflows"),
    ("object mapping Users, attribute u_bad", "did you mean Join?"),
    ("object mapping Users, attribute title", "mapped 2 times"),
    ("object mapping Users, scope", "categoryFilterGroups"),
    ("object mapping Users, scoping filter bad, clause 1", "IsMemberOf"),
    ("object mapping Users, scoping filter bad, clause 2", "(unclosed"),
    ("object mapping Users, scoping filter bad, clause 3", "many"),
    ("object mapping Users, scoping filter bad, clause 4", "Sales"),
    ("object mapping Users, scoping filter bad, clause 5", "needs a value"),
    ("object mapping Groups", "no attribute has a matchingPriority"),
]
OTHERS = [
    ("note", "the schema", "schedule"),
    ("note", "synchronization rule USER_OUTBOUND_USER", "futureThing"),
    ("note", "object mapping Contacts", "Contact"),
    ("note", "synchronization rule USER_INBOUND_USER", "it reads from ServiceNow"),
    ("warning", "object mapping Users, attribute u_nick", "nickName"),
    ("note", "object mapping Users, attribute location", "exportMissingReferences"),
    ("warning", "object mapping Users, attribute email", "otherMails"),
    ("warning", "object mapping Users, attribute u_alias", "SelectUniqueValue"),
    ("warning", "object mapping Users, attribute vip", "nothing is ever written"),
    ("warning", "object mapping Users, attribute city", "flowNullValues"),
    ("note", "object mapping Users", "EscrowBehavior"),
    ("note", "object mapping Users", "Unsynchronized"),
    ("note", "object mapping Users, scoping filter bad, clause 4", "memberOf"),
    ("warning", "object mapping Users, scoping filter bad, clause 6", "True and False"),
    ("warning", "object mapping Users, scoping filter all", "no clauses"),
]


def test_what_cannot_be_reproduced_is_told_item_by_item():
    found = examined("unsupported_job")
    assert found.schema is None
    left = list(found.findings)
    for severity, where, says in [*(("error", *each) for each in ERRORS), *OTHERS]:
        fitting = [each for each in left if (each.severity, each.where) == (severity, where) and says in each.text]
        assert len(fitting) == 1, (where, says)
        left.remove(fitting[0])
    assert left == []


# --- The schema that ships ------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_is_to_be_said_about_the_schema_that_ships(strict):
    assert examine(dump(default_schema()), strict=strict).findings == ()


def test_the_schema_that_ships_defines_every_attribute_that_it_maps():
    document = dump(default_schema())
    defined = {
        (directory["name"], each["name"]): {attribute["name"] for attribute in each["attributes"]}
        for directory in document["directories"]
        for each in directory["objects"]
    }
    for rule in document["synchronizationRules"]:
        for mapping in rule["objectMappings"]:
            targets = {each["targetAttributeName"] for each in mapping["attributeMappings"]}
            assert targets <= defined[rule["targetDirectoryName"], mapping["targetObjectName"]]
    schema = default_schema()
    assert schema.user.reads <= defined["Microsoft Entra ID", "User"]
    assert schema.group.reads | {"members"} <= defined["Microsoft Entra ID", "Group"]


def test_the_schema_that_ships_writes_each_source_as_text_and_as_the_same_tree():
    schema = default_schema()
    entries = {
        each["targetAttributeName"]: each["source"]
        for mapping in dump(schema)["synchronizationRules"][0]["objectMappings"]
        for each in mapping["attributeMappings"]
    }
    for mapped in (*schema.user.attributes, *schema.group.attributes):
        if mapped.target in {"email", "description"}:
            continue  # both users and groups have them
        assert mapped.source is not None
        assert entries[mapped.target] == {**to_tree(mapped.source), "expression": entries[mapped.target]["expression"]}


# --- Nothing is lost ------------------------------------------------------------------------------

MEMBERS = [
    *("synchronizationRules", "objectMappings", "attributeMappings", "sourceObjectName", "SourceObjectName", "source"),
    *(
        "type",
        "name",
        "Name",
        "value",
        "values",
        "key",
        "metadata",
        "scope",
        "groups",
        "clauses",
        "enabled",
        "flowTypes",
    ),
    *("targetAttributeName", "parameters", "expression", "directories", "objects", "attributes", "matchingPriority"),
    *("defaultValue", "targetOperand", "operatorName", "sourceOperandName", "flowNullValues", "targetDirectoryName"),
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.sampled_from(["User", "Attribute", "EQUALS", "mail", "sys_user", "7", "true", 'Join("'])
    | st.integers(-2, 9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(MEMBERS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NEW = st.dictionaries(st.from_regex(r"x[a-z]{1,8}", fullmatch=True), JSON, min_size=1, max_size=2)


def text_of(name: str) -> str:
    if name == "default":
        return resources.files("provisioning.schema").joinpath("default_servicenow.json").read_text("utf-8")
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def objects_in(value: Any) -> list[dict[str, Any]]:
    """All but the filters of a rule, in which an unknown member would narrow down who is provisioned."""
    found = [value] if isinstance(value, dict) else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [
        each for key, part in inner if key not in {"containerFilter", "groupFilter"} for each in objects_in(part)
    ]


@given(st.sampled_from(["default", "gallery_job", "gallery_job_pascal_case", "customised_job"]), st.data())
def test_members_that_nobody_knows_survive_anywhere_in_their_order(name, data):
    document = json.loads(text_of(name))
    places = objects_in(document)
    for place in data.draw(st.lists(st.sampled_from(range(len(places))), min_size=1, max_size=8)):
        known = dict(places[place])
        places[place].clear()
        extra = data.draw(NEW)
        places[place].update(extra if data.draw(st.booleans()) else {**known, **extra})
        places[place].update(known)
    before = json.dumps(document)
    found = examine(document)
    assert found.schema is not None, [each for each in found.findings if each.severity == "error"]
    assert json.dumps(dump(found.schema)) == before


@pytest.mark.parametrize("name", ["default", "gallery_job", "gallery_job_pascal_case", "customised_job"])
def test_what_was_exported_is_imported_and_exported_again_character_by_character(name):
    document = json.loads(text_of(name))
    found = examine(document)
    assert found.schema is not None
    assert json.dumps(dump(found.schema), indent=2) == json.dumps(json.loads(text_of(name)), indent=2)


# --- Nothing falls over ---------------------------------------------------------------------------


@given(JSON, st.booleans())
def test_no_json_makes_an_examination_fall_over(value, strict):
    found = examine(value, strict=strict)
    assert (found.schema is None) is any(each.severity == "error" for each in found.findings)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON document."""
    found = [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += places_in(inner, (*path, key))
    return found


REAL = {name: case(name) for name in NAMES}
PLACES = {name: [each for each in places_in(REAL[name]) if each] for name in NAMES}
RULES = {name: [each for each in PLACES[name] if str(each[0]).lower() == "synchronizationrules"] for name in NAMES}


@given(st.sampled_from(NAMES), st.booleans(), st.data())
def test_whatever_stands_anywhere_in_a_real_schema_is_used_or_refused(name, strict, data):
    spoiled = copy.deepcopy(REAL[name])
    path = data.draw(st.sampled_from(RULES[name]) | st.sampled_from(PLACES[name]))
    place: Any = spoiled
    for key in path[:-1]:
        place = place[key]
    if data.draw(st.booleans()) and isinstance(place, dict):
        del place[path[-1]]
    else:
        place[path[-1]] = data.draw(JSON)
    found = examine(spoiled, strict=strict)
    assert all(each.where and each.text and str(each) for each in found.findings)
    if found.schema is None:
        assert any(each.severity == "error" for each in found.findings)
        return
    assert dump(found.schema) is spoiled
    for mapping in (found.schema.user, found.schema.group):
        assert mapping.matching
        assert {each.target for key in mapping.matching for each in key} <= set(mapping.columns)
        assert all(mapping.source_properties)


def nested_without_end() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document, deep: document.update(synchronizationRules=deep),
        lambda document, deep: document["directories"][0].update(name=deep),
        lambda document, deep: document["synchronizationRules"][0].update(name=deep),
        lambda document, deep: document["synchronizationRules"][0]["objectMappings"][0].update(metadata={"x": deep}),
        lambda document, deep: document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][0].update(
            source={"type": "Constant", "name": deep}
        ),
    ],
)
def test_what_is_nested_without_end_is_told_like_anything_else(spoil):
    document = case("gallery_job")
    spoil(document, nested_without_end())
    assert all(len(str(each)) < 1_000 for each in examine(document).findings)


def test_a_document_that_is_nothing_but_nested_is_refused():
    assert examine(nested_without_end()).schema is None
    document = case("gallery_job")
    document["directories"][0]["name"] = nested_without_end()
    [told] = examine(document).findings
    assert (told.severity, told.text) == ("error", "it is nested too deeply to be read")


def test_a_number_of_thousands_of_digits_is_told_in_words():
    document = case("gallery_job")
    document["synchronizationRules"][0]["objectMappings"][0]["flowTypes"] = 10**5_000
    [told] = [each for each in examine(document).findings if each.severity == "error"]
    assert "flowTypes is a number with more than 20 digits" in told.text
