"""Microsoft's synchronizationSchema: what is understood, and that everything else is refused with its place."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ConfigError
from provisioning.schema import (
    AttributeMapping,
    AttributeSource,
    ConstantSource,
    default_schema,
    load_schema,
)
from provisioning.schema.names import graph_path


def attribute(target: str = "title", name: str = "jobTitle", **other) -> dict[str, Any]:
    return {"targetAttributeName": target, "source": {"type": "Attribute", "name": name}, **other}


KEY = attribute("user_name", "userPrincipalName", matchingPriority=1)


def mapping(*attributes: dict[str, Any], name: str = "User", **other) -> dict[str, Any]:
    return {
        "sourceObjectName": name,
        "targetObjectName": "sys_user" if name == "User" else "sys_user_group",
        "attributeMappings": [KEY, *attributes],
        **other,
    }


def document(*mappings: dict[str, Any]) -> dict[str, Any]:
    return {"synchronizationRules": [{"objectMappings": [*mappings, mapping(name="Group")]}]}


def loaded(*attributes: dict[str, Any], **other) -> AttributeMapping:
    """The last of a user's attribute mappings."""
    return load_schema(document(mapping(*attributes, **other))).user.attributes[-1]


# --- What is understood ---------------------------------------------------------------------------


def test_the_default_schema_maps_users_and_groups():
    schema = default_schema()
    assert (schema.user.table, schema.user.matching.target) == ("sys_user", "user_name")
    assert (schema.group.table, schema.group.matching.target) == ("sys_user_group", "name")
    assert schema.mapping("user") is schema.user
    assert schema.mapping("group") is schema.group


def test_memberships_are_no_column_of_a_group():
    assert "members" not in default_schema().group.columns


def test_the_default_schema_reads_exactly_the_graph_properties_that_it_maps():
    properties = default_schema().user.source_properties
    assert {"userPrincipalName", "manager", "officeLocation", "businessPhones", "employeeOrgData"} <= set(properties)
    assert len(properties) == len(set(properties))


def test_nothing_is_mapped_onto_the_account_state_that_decide_governs():
    assert not {"active", "locked_out", "sys_id"} & set(default_schema().user.columns)


@pytest.mark.parametrize(
    ("name", "path", "property_name"),
    [
        ("surname", "surname", "surname"),
        ("objectId", "id", "id"),
        ("mobile", "mobilePhone", "mobilePhone"),
        ("telephoneNumber", "businessPhones[0]", "businessPhones"),
        ("physicalDeliveryOfficeName", "officeLocation", "officeLocation"),
        ("facsimileTelephoneNumber", "faxNumber", "faxNumber"),
        ("costCenter", "employeeOrgData.costCenter", "employeeOrgData"),
        (
            "extensionAttribute15",
            "onPremisesExtensionAttributes.extensionAttribute15",
            "onPremisesExtensionAttributes",
        ),
        ("extension_0a1b_badge", "extension_0a1b_badge", "extension_0a1b_badge"),
        ("originalUserPrincipalName", "originalUserPrincipalName", "userPrincipalName"),
    ],
)
def test_entras_source_names_become_graph_paths(name, path, property_name):
    source = loaded(attribute(name=name)).source
    assert source == AttributeSource(path)
    assert source.property_name == property_name
    assert graph_path(path) == path


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ({"source": None, "defaultValue": "Staff"}, ConstantSource("Staff")),
        ({"source": None}, ConstantSource("")),
        ({"source": {"type": "Constant", "name": "Staff"}}, ConstantSource("Staff")),
    ],
)
def test_a_constant_is_a_null_source_with_a_default_or_says_so(entry, source):
    assert loaded({"targetAttributeName": "title", **entry}).source == source


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, (None, 0, "Always")),
        ({"defaultValue": "", "flowType": None, "matchingPriority": None}, (None, 0, "Always")),
        ({"defaultValue": "x", "flowType": "ObjectAddOnly", "matchingPriority": 3}, ("x", 3, "ObjectAddOnly")),
    ],
)
def test_what_a_mapping_leaves_out_is_as_in_entra(entry, expected):
    found = loaded(attribute(**entry))
    assert (found.default, found.matching_priority, found.flow_type) == expected


def test_the_lowest_matching_priority_above_zero_identifies():
    schema = load_schema(document(mapping(attribute(matchingPriority=5), attribute("city", "city"))))
    assert schema.user.matching.target == "user_name"


@pytest.mark.parametrize(
    ("entry", "flow_types"),
    [
        ({}, {"Add", "Update", "Delete"}),
        ({"flowTypes": None}, {"Add", "Update", "Delete"}),
        ({"flowTypes": "Add, Update"}, {"Add", "Update"}),
        ({"flowTypes": "None"}, set()),
        ({"enabled": False}, set()),
    ],
)
def test_target_object_actions_are_those_that_are_ticked(entry, flow_types):
    found = load_schema(document(mapping(**entry))).user
    assert found.flow_types == flow_types
    assert found.enabled is bool(flow_types)


def test_of_two_mappings_of_users_the_one_that_is_switched_on_counts():
    off, on = mapping(enabled=False), mapping(attribute())
    assert load_schema(document(off, on)).user.columns == ("user_name", "title")
    assert load_schema(document(on, off)).user.columns == ("user_name", "title")


def test_an_empty_scope_and_mappings_of_other_objects_are_ignored():
    empty = {"groups": [], "inputFilterGroups": None, "categoryFilterGroups": []}
    other = {"sourceObjectName": "Contact", "attributeMappings": "?"}
    assert load_schema(document(mapping(scope=empty), mapping(scope=None, enabled=False), other)).user.enabled


# --- What is refused ------------------------------------------------------------------------------


FILTER = {"name": "only sales", "clauses": [{"sourceOperandName": "department"}]}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (mapping(attribute(flowType="MultiValueAddOnly")), "attribute title: flowType 'MultiValueAddOnly'"),
        (mapping(attribute(flowType=7)), "attribute title: flowType 7"),
        (mapping({"targetAttributeName": "title", "source": {"type": "Function", "name": "Join"}}), "type 'Function'"),
        (mapping({"targetAttributeName": "title", "source": "jobTitle"}), "type 'jobTitle'"),
        (mapping(attribute(name="businessPhones[first]")), "'businessPhones[first]' is not the name"),
        (mapping(attribute(name="")), "'' is not the name"),
        (mapping(attribute(name=5)), "5 is not the name"),
        (mapping({"source": None}), "targetAttributeName is None"),
        (mapping(attribute(defaultValue=5)), "attribute title: defaultValue is 5"),
        (mapping(attribute(matchingPriority="first")), "attribute title: matchingPriority is 'first'"),
        (mapping(attribute("sys_id", "objectId")), "attribute sys_id: a record's own id cannot be written"),
        (mapping(attribute(), attribute()), "title is mapped more than once"),
        (mapping({**attribute(matchingPriority=2), "source": None}), "a constant identifies nobody"),
        (mapping(attributeMappings=[]), "no attribute has a matchingPriority above 0"),
        (mapping(attributeMappings={}), "attributeMappings must be a list"),
        (mapping(attributeMappings=["title"]), "attributeMappings must be a list"),
        (mapping(targetObjectName=None), "targetObjectName is None"),
        (mapping(flowTypes="Add,Upsert"), "flowTypes holds Upsert"),
        (mapping(scope={"groups": [FILTER]}), "scoping filters cannot be evaluated"),
        (mapping(scope={"inputFilterGroups": [FILTER]}), "scoping filters cannot be evaluated"),
        (mapping(scope="all"), "scoping filters cannot be evaluated"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(entry, says):
    with pytest.raises(ConfigError) as raised:
        load_schema(document({**entry, "name": "My users"}))
    assert says in str(raised.value)
    assert "My users" in str(raised.value)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, "no object mapping from User"),
        ({"synchronizationRules": None}, "no object mapping from User"),
        ({"synchronizationRules": {}}, "synchronizationRules must be a list"),
        ({"synchronizationRules": [{"objectMappings": [mapping()]}]}, "no object mapping from Group"),
        (document(mapping(), mapping()), "users are mapped already"),
        ([], "a schema is a JSON object"),
        (None, "a schema is a JSON object"),
    ],
)
def test_a_document_without_usable_mappings_is_refused(schema, says):
    with pytest.raises(ConfigError) as raised:
        load_schema(schema)
    assert says in str(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "User", "Attribute"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "name", "x"]), inner),
    max_leaves=4,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of everything in a JSON document."""
    found = [path]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += places(inner, (*path, key))
    return found


EXAMPLE = document(
    mapping(attribute(defaultValue="x", flowType="Always", matchingPriority=0), flowTypes="Add", scope={})
)


@given(st.sampled_from(places(EXAMPLE)[1:]), JSON)
def test_whatever_stands_anywhere_in_a_document_is_used_or_refused(path, value):
    spoiled = copy.deepcopy(EXAMPLE)
    place: Any = spoiled
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        schema = load_schema(spoiled)
    except ConfigError:
        return
    assert schema.user.matching.target in schema.user.columns
    assert all(schema.user.source_properties)
