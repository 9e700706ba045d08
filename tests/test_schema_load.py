"""Microsoft's synchronizationSchema: what is understood, and that everything else is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.errors import ConfigError
from provisioning.expressions import compile as compiled
from provisioning.schema import AttributeMapping, Finding, default_schema, dump, examine, load_schema
from provisioning.schema.names import graph_path, select_name

Json = dict[str, Any]


def attribute(target: str = "title", name: Any = "jobTitle", **other: Any) -> Json:
    return {"targetAttributeName": target, "source": {"type": "Attribute", "name": name}, **other}


def expression(text: Any, target: str = "title", **other: Any) -> Json:
    return {"targetAttributeName": target, "source": {"type": "Function", "expression": text}, **other}


KEY = attribute("user_name", "userPrincipalName", matchingPriority=1)
GROUP_KEY = attribute("name", "displayName", matchingPriority=1)


def mapping(*attributes: Json, name: str = "User", **other: Any) -> Json:
    return {
        "name": f"My {name.lower()}s",
        "sourceObjectName": name,
        "targetObjectName": "sys_user" if name == "User" else "sys_user_group",
        "attributeMappings": [KEY if name == "User" else GROUP_KEY, *attributes],
        **other,
    }


GROUPS = mapping(name="Group")


def document(*mappings: Json, **other: Any) -> Json:
    return {"synchronizationRules": [{"objectMappings": [*mappings, GROUPS]}], **other}


def directories(target: list[Json], source: list[Json] | None = None) -> list[Json]:
    """Directories that define these attributes of sys_user, and those of Entra's User."""
    return [
        {"name": "Azure Active Directory", "objects": [{"name": "User", "attributes": source or []}]},
        {"name": "ServiceNow", "objects": [{"name": "sys_user", "attributes": [{"name": "user_name"}, *target]}]},
    ]


def loaded(*attributes: Json, strict: bool = False, **other: Any) -> AttributeMapping:
    """The last of a user's attribute mappings."""
    return load_schema(document(mapping(*attributes), **other), strict=strict).user.attributes[-1]


def found(*attributes: Json, strict: bool = False, **other: Any) -> list[Finding]:
    return list(examine(document(mapping(*attributes), **other), strict=strict).findings)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


# --- What is understood ---------------------------------------------------------------------------


def test_the_default_schema_maps_users_and_groups():
    schema = default_schema()
    assert (schema.user.table, [a.target for a in schema.user.matching[0]]) == ("sys_user", ["user_name"])
    assert (schema.group.table, [a.target for a in schema.group.matching[0]]) == ("sys_user_group", ["name"])
    assert schema.mapping("user") is schema.user
    assert schema.mapping("group") is schema.group


def test_memberships_are_no_column_of_a_group():
    schema = default_schema()
    assert schema.group.members is True
    assert "members" not in schema.group.columns


def test_without_a_mapping_of_members_memberships_are_left_alone():
    members = attribute("members", "members")
    assert load_schema(document(mapping())).group.members is False
    with_members = {"synchronizationRules": [{"objectMappings": [mapping(), mapping(members, name="Group")]}]}
    assert load_schema(with_members).group.members is True


def test_the_default_schema_reads_exactly_the_graph_properties_that_it_maps():
    properties = default_schema().user.source_properties
    assert {"userPrincipalName", "manager", "officeLocation", "businessPhones", "employeeOrgData"} <= set(properties)
    assert len(properties) == len(set(properties))


def test_the_default_schema_decides_on_the_account_state_by_entras_own_expression():
    active = next(a for a in default_schema().user.attributes if a.target == "active")
    assert active.source is not None
    assert active.source.evaluate({"IsSoftDeleted": False}) == "1"
    assert active.source.evaluate({"IsSoftDeleted": True}) == "0"
    assert default_schema().user.soft_delete == (active,)
    assert not {"locked_out", "sys_id"} & set(default_schema().user.columns)


@pytest.mark.parametrize(("language", "stored"), [("de-DE", "de"), ("EN", "en"), (None, None)])
def test_the_default_schema_keeps_the_language_of_a_locale(language, stored):
    source = default_schema().user.attributes[-1].source
    assert source is not None
    assert (source.evaluate({"preferredLanguage": language}) or None) == stored


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
        ("originalUserPrincipalName", "userPrincipalName", "userPrincipalName"),
        ("userState", "externalUserState", "externalUserState"),
        ("refreshTokensValidFromDateTime", "signInSessionsValidFromDateTime", "signInSessionsValidFromDateTime"),
    ],
)
def test_entras_source_names_become_graph_paths(name, path, property_name):
    found = loaded(attribute(name=name))
    assert found.attributes == {name}
    assert graph_path(name) == path
    assert select_name(name) == property_name
    assert graph_path(path) == path


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, (None, 0, "Always", False)),
        (
            {"defaultValue": "", "flowType": None, "matchingPriority": None, "flowBehavior": None},
            (None, 0, "Always", False),
        ),
        ({"defaultValue": "x", "flowType": "ObjectAddOnly", "matchingPriority": 3}, ("x", 3, "ObjectAddOnly", False)),
        ({"flowType": "multivalueaddonly", "matchingPriority": "2"}, (None, 2, "MultiValueAddOnly", False)),
        ({"flowType": 3, "flowBehavior": 1}, (None, 0, "ValueAddOnly", True)),
        ({"flowType": "AttributeAddOnly", "flowBehavior": "FlowAlways"}, (None, 0, "AttributeAddOnly", True)),
    ],
)
def test_what_a_mapping_says_or_leaves_out_is_as_in_entra(entry, expected):
    found = loaded(attribute(**entry))
    assert (found.default, found.matching_priority, found.flow_type, found.flow_always) == expected


def test_keys_are_tried_in_rising_order_and_equal_numbers_match_together():
    schema = load_schema(
        document(
            mapping(
                attribute(matchingPriority=5), attribute("email", "mail", matchingPriority=5), attribute("x", "city")
            )
        )
    )
    assert [[a.target for a in key] for key in schema.user.matching] == [["user_name"], ["title", "email"]]
    told = only(found(attribute(matchingPriority=5), attribute("email", "mail", matchingPriority=5)))
    assert (told.severity, told.where) == ("note", "object mapping My users")
    assert "title with email" in told.text


@pytest.mark.parametrize(
    ("entry", "flow_types"),
    [
        ({}, {"Add", "Update", "Delete"}),
        ({"flowTypes": None}, {"Add", "Update", "Delete"}),
        ({"flowTypes": "Add, Update"}, {"Add", "Update"}),
        ({"flowTypes": "add,DELETE"}, {"Add", "Delete"}),
        ({"flowTypes": 7}, {"Add", "Update", "Delete"}),
        ({"flowTypes": 5}, {"Add", "Delete"}),
        ({"flowTypes": "2"}, {"Update"}),
        ({"flowTypes": ["Add", "Delete"]}, {"Add", "Delete"}),
        ({"flowTypes": "None"}, set()),
        ({"flowTypes": 0}, set()),
        ({"enabled": False}, set()),
        ({"enabled": "False"}, set()),
        ({"enabled": "true"}, {"Add", "Update", "Delete"}),
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
    examined = examine(document(mapping(scope=empty), mapping(scope=None, enabled=False), other))
    assert examined.schema is not None
    assert examined.schema.user.enabled
    assert {each.severity for each in examined.findings} == {"note"}
    assert any("'Contact'" in each.text for each in examined.findings)


@pytest.mark.parametrize("enabled", [False, "False"])
def test_internal_helper_mappings_are_not_worth_a_word(enabled):
    helper = {"sourceObjectName": "", "targetObjectName": "cmn_department", "enabled": enabled, "attributeMappings": []}
    assert examine(document(mapping(), helper)).findings == ()


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        ({"sourceDirectoryName": "Azure Active Directory"}, True),
        ({"sourceDirectoryName": "MICROSOFT Entra id"}, True),
        ({"sourceDirectoryName": None}, True),
        ({"sourceDirectoryName": "Workday"}, False),
    ],
)
def test_rules_count_that_read_from_entra_by_either_of_its_names(rule, counts):
    read = {"synchronizationRules": [{**rule, "objectMappings": [mapping()]}, {"objectMappings": [GROUPS]}]}
    examined = examine(read)
    assert (examined.schema is not None) is counts
    assert any("Workday" in each.text for each in examined.findings) is not counts


def test_an_object_that_is_called_user_means_the_table_of_users():
    schema = load_schema(document(mapping(targetObjectName="User")))
    assert schema.user.table == "sys_user"
    assert schema.user.preferred == (("active", "true"),)


@pytest.mark.parametrize(
    "table", ["sys_user?sysparm_query=active=true", "sys user", "../sys_user", "sys_user^", "1user"]
)
def test_a_table_s_name_that_would_change_the_address_is_refused(table):
    examined = examine(document(mapping(targetObjectName=table)))
    assert examined.schema is None
    assert any(
        "the name of a table" in each.way_out or "the name of a table" in each.text for each in examined.findings
    )


def test_the_document_stays_the_one_that_was_read():
    read = document(mapping(attribute(unknown=[1, None])), other={"b": 1, "a": 2})
    assert dump(load_schema(read)) is read


# --- A mapping that is switched off ---------------------------------------------------------------


def test_what_is_wrong_in_a_mapping_that_is_switched_off_stops_nothing():
    broken = [expression("Jion([a])", "a"), attribute("b", "passwordProfile.password"), attribute("c", "city")]
    examined = examine(document(mapping(*broken, enabled=False, scope={"categoryFilterGroups": [{"name": "x"}]})))
    assert examined.schema is not None
    assert examined.schema.user.columns == ("user_name", "c")
    assert [each.severity for each in examined.findings] == ["warning"] * 3


def test_the_filters_of_a_mapping_that_is_switched_off_are_kept_where_they_can_be_read():
    usable = {"clauses": [{"sourceOperandName": "mail", "operatorName": "IS NULL"}]}
    broken = {"clauses": [{"sourceOperandName": "mail", "operatorName": "LIKE"}]}
    assert load_schema(document(mapping(enabled=False, scope={"groups": [usable]}))).user.scope.groups
    assert not load_schema(document(mapping(enabled=False, scope={"groups": [usable, broken]}))).user.scope.groups


def test_both_spellings_of_a_member_may_be_there_and_the_usual_one_counts():
    assert loaded({"TargetAttributeName": "city", **attribute()}).target == "title"
    assert loaded({**attribute(), "TargetAttributeName": "city"}).target == "title"


def test_a_finding_reads_as_one_line_or_as_carets_with_the_way_out_below():
    assert str(only(found(attribute(name="skills")))).endswith("reads; map another attribute, or remove this")
    lines = str(only(found(expression("Jion([mail])")))).splitlines()
    assert lines[1:3] == ["    Jion([mail])", "    ^^^^"]
    assert lines[3].startswith("correct the expression")


def test_a_mapping_that_is_switched_off_still_needs_a_key():
    with pytest.raises(ConfigError, match="no attribute has a matchingPriority above 0"):
        load_schema(document(mapping(enabled=False, attributeMappings=[])))


# --- Metadata -------------------------------------------------------------------------------------


def metadata(**pairs: Any) -> list[Json]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


@pytest.mark.parametrize(
    ("value", "preferred"),
    [
        (None, (("active", "true"),)),
        ("{}", ()),
        ('{"u_main": "true", "active": "true"}', (("u_main", "true"), ("active", "true"))),
        ({"active": "false"}, (("active", "false"),)),
    ],
)
def test_metadata_may_say_which_of_several_records_is_preferred(value, preferred):
    entries = metadata(PreferredMatch=value) if value is not None else []
    assert load_schema(document(mapping(metadata=entries))).user.preferred == preferred
    assert load_schema(document(mapping(metadata=entries))).group.preferred == ()


@pytest.mark.parametrize("value", ["active=true", "[]", '{"active": true}', None, 5])
def test_a_preference_that_is_no_object_of_texts_is_refused(value):
    with pytest.raises(ConfigError, match=r"PreferredMatch is .*active.*: .*true"):
        load_schema(document(mapping(metadata=metadata(PreferredMatch=value))))


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (metadata(IsCustomerDefined="true", OriginalJoiningProperty="objectId", Disposition='"Normal"'), None),
        (metadata(Unsynchronized="false", EscrowBehavior='"Default"', DisableMonitoringForChanges="False"), None),
        ([{"Key": 3, "Value": 0}, {"Key": "6", "Value": False}], None),
        (metadata(EscrowBehavior='"IgnoreLookupReferenceResolutionFailure"'), "EscrowBehavior"),
        (metadata(Unsynchronized="true"), "Unsynchronized"),
        ({"Disposition": "Virtual"}, "Disposition"),
        (metadata(SomethingNew="1"), "SomethingNew"),
    ],
)
def test_metadata_that_would_change_something_in_entra_is_told(entries, told):
    findings = list(examine(document(mapping(metadata=entries))).findings)
    assert [each.severity for each in findings] == (["note"] if told else [])
    assert told is None or told in only(findings).text


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (mapping(attribute(flowType="Sometimes")), "attribute title: flowType is 'Sometimes'"),
        (mapping(attribute(flowType=7)), "attribute title: flowType is 7"),
        (mapping(attribute(flowBehavior=True)), "attribute title: flowBehavior is True"),
        (mapping({"targetAttributeName": "title", "source": "jobTitle"}), "attribute title: source is 'jobTitle'"),
        (mapping(attribute(name="businessPhones[first]")), "'businessPhones[first]' is not the name"),
        (mapping(attribute(name="")), "attribute title: the expression cannot be read"),
        (mapping(attribute(name=5)), "attribute title: the expression cannot be read"),
        (mapping({"source": None}), "attribute mapping 2: targetAttributeName is None"),
        (mapping(attribute("manager.name")), "'manager.name' is not the name of a column"),
        (mapping(attribute(defaultValue=5)), "attribute title: defaultValue is 5"),
        (mapping(attribute(matchingPriority="first")), "attribute title: matchingPriority is 'first'"),
        (mapping(attribute(matchingPriority=-1)), "attribute title: matchingPriority is -1"),
        (mapping(attribute("sys_id", "objectId")), "attribute sys_id: a record's own id cannot be written"),
        (mapping(attribute("members", "members")), "attribute members: a user has no members"),
        (mapping(attribute(), attribute()), "attribute title: it is mapped 2 times"),
        (mapping(attribute(), attribute("Title")), "attribute title: it is mapped 2 times"),
        (mapping({**attribute(matchingPriority=2), "source": None}), "a constant identifies nobody"),
        (mapping(expression('"x"', matchingPriority=2)), "a constant identifies nobody"),
        (mapping(expression("SelectUniqueValue([mail], [city])", matchingPriority=2)), "it finds nobody"),
        (mapping(attribute("objectFilter", matchingPriority=2)), "objectFilter identifies nobody"),
        (mapping(attribute("roles", "appRoleAssignments")), "map SingleAppRoleAssignment([appRoleAssignments])"),
        (mapping(attributeMappings=[]), "no attribute has a matchingPriority above 0"),
        (mapping(attributeMappings={}), "attributeMappings must be a list"),
        (mapping(attributeMappings=["title"]), "attributeMappings must be a list"),
        (mapping(targetObjectName=None), "targetObjectName is None"),
        (mapping(flowTypes="Add,Upsert"), "flowTypes is 'Add,Upsert'"),
        (mapping(flowTypes=8), "flowTypes is 8"),
        (mapping(flowTypes=True), "flowTypes is True"),
        (mapping(enabled="perhaps"), "enabled is 'perhaps'; it must be true or false"),
        (mapping(scope="all"), "scope is 'all'"),
        (mapping(metadata="x"), "metadata must be a list"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(entry, says):
    with pytest.raises(ConfigError) as raised:
        load_schema(document(entry))
    assert says in str(raised.value)
    assert str(raised.value).startswith("object mapping My users")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("passwordProfile.password", "never gives a password out"),
        ("thumbnailPhoto", "photos"),
        ("customSecurityAttributes.x", "custom security attributes"),
        ("signInActivity.lastSignInDateTime", "delta"),
        ("skills", "one user at a time"),
        ("directReports", "a relation"),
        ("manager.displayName", "the id only"),
    ],
)
def test_what_graph_cannot_give_is_refused_with_the_reason(name, says):
    told = only(found(attribute(name=name)))
    assert (told.severity, told.where) == ("error", "object mapping My users, attribute title")
    assert says in told.text


@pytest.mark.parametrize(
    ("name", "near"), [("jobtitle", "jobTitle"), ("telephonenumber", "telephoneNumber"), ("nothingLikeIt99", None)]
)
def test_a_source_attribute_that_graph_does_not_know_is_a_warning(name, near):
    told = only(found(attribute(name=name)))
    assert told.severity == "warning"
    assert told.way_out == (f"did you mean {near}?" if near else "compare with the attributes that the portal offers")


def test_a_groups_attribute_is_not_a_users():
    user_only = mapping(attribute("source", "jobTitle"), name="Group")
    read = {"synchronizationRules": [{"objectMappings": [mapping(), user_only]}]}
    assert "no attribute of a group" in only(list(examine(read).findings)).text


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, "no object mapping from User"),
        ({"synchronizationRules": None}, "no object mapping from User"),
        ({"synchronizationRules": {}}, "synchronizationRules must be a list"),
        ({"synchronizationRules": [{"objectMappings": [mapping()]}]}, "no object mapping from Group"),
        ({"synchronizationRules": [], "directories": 5}, "no object mapping from User"),
        (document(mapping(), directories="?"), "directories must be a list"),
        (document(mapping(), mapping()), "users are mapped already"),
        ({"schema": document(mapping())}, "give the value of that member alone"),
        ([], "a schema is a JSON object"),
        (None, "a schema is a JSON object"),
    ],
)
def test_a_document_without_usable_mappings_is_refused(schema, says):
    with pytest.raises(ConfigError) as raised:
        load_schema(schema)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("member", "value", "severity"),
    [
        ("containerFilter", {"includedContainers": ["OU=Sales"]}, "error"),
        ("groupFilter", {"includedGroups": ["CN=Staff"]}, "error"),
        ("groupFilter", {"excludedGroups": ["CN=Staff"]}, "error"),
        ("containerFilter", {"includedContainers": []}, None),
        ("groupFilter", {"@odata.type": "#microsoft.graph.groupFilter", "includedGroups": None}, None),
        ("groupFilter", None, None),
        ("metadata", [{"key": "somethingNew", "value": "1"}], "note"),
        ("metadata", [{"key": "supportsProvisionOnDemand", "value": "true"}], None),
    ],
)
def test_what_a_rule_narrows_down_or_says_besides_is_told(member, value, severity):
    read = document(mapping())
    read["synchronizationRules"][0][member] = value
    assert [each.severity for each in examine(read).findings] == ([severity] if severity else [])


def test_the_first_error_is_told_and_how_many_there_are_besides():
    with pytest.raises(ConfigError) as raised:
        load_schema(
            document(mapping(attribute(flowType=9), attribute("email", flowType=9), attribute("city", flowType=9)))
        )
    assert "attribute title: flowType is 9; it must be one of Always, " in str(raised.value)
    assert str(raised.value).endswith("(and 2 more errors; `schema validate` lists all)")


def test_a_single_error_speaks_of_no_others():
    with pytest.raises(ConfigError) as raised:
        load_schema(document(mapping(attribute(flowType=9))))
    assert "more error" not in str(raised.value)


# --- What is told without being refused -----------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "severity", "says"),
    [
        (attribute(exportMissingReferences=True), "note", "exportMissingReferences"),
        (attribute(somethingNew=1), "note", "'somethingNew': kept"),
        (attribute(defualtValue="x"), "warning", "'defualtValue' has no effect"),
        (attribute(**{"@odata.type": "x"}), None, ""),
        (attribute(TargetAttributeName="city"), "warning", "'TargetAttributeName' has no effect: the member is there"),
        ({"targetAttributeName": "title", "source": None}, "warning", "nothing is ever written"),
        ({"targetAttributeName": "title", "source": None, "defaultValue": "x"}, None, ""),
        (
            expression("SelectUniqueValue([mail], [city])"),
            "warning",
            "looks for another value once none of its rules gives the present one",
        ),
        (expression("SelectUniqueValue([mail], [city])", flowType="ObjectAddOnly"), None, ""),
        (expression("Guid()"), "warning", "another value at each evaluation"),
        (expression("Guid()", flowType="ObjectAddOnly"), None, ""),
        (expression("tolower([mail])"), "warning", "ToLower"),
        (expression('Join(",", [memberOf])'), "warning", "memberOf holds those groups only"),
        (expression("Redact([mail])", matchingPriority=2), None, ""),
        (
            expression('Switch([IsSoftDeleted], "a", "True", "b")', matchingPriority=2),
            "warning",
            "IsSoftDeleted changes",
        ),
        (attribute("active", "IsSoftDeleted"), None, ""),
        (expression("IgnoreObjectFlow", "objectFilter"), None, ""),
    ],
)
def test_what_works_otherwise_or_without_effect_is_told(entry, severity, says):
    examined = examine(document(mapping(entry)))
    assert examined.schema is not None
    assert [each.severity for each in examined.findings] == ([severity] if severity else [])
    assert all(says in each.text for each in examined.findings)


def test_an_objects_filter_is_kept_as_a_mapping():
    assert loaded(expression("IgnoreObjectFlow", "objectFilter")).target == "objectFilter"


def test_members_are_those_of_the_group_whatever_the_source():
    owners = mapping(attribute("members", "owners"), name="Group")
    told = only(list(examine({"synchronizationRules": [{"objectMappings": [mapping(), owners]}]}).findings))
    assert (told.severity, told.where) == ("warning", "object mapping My groups, attribute members")


def test_members_identify_no_group():
    members = mapping(attribute("members", "members", matchingPriority=2), name="Group")
    told = only(list(examine({"synchronizationRules": [{"objectMappings": [mapping(), members]}]}).findings))
    assert (told.severity, told.text) == ("error", "members identify no group")


# --- Attribute definitions ------------------------------------------------------------------------


def defined(**members: Any) -> AttributeMapping:
    return loaded(attribute(), directories=directories([{"name": "title", **members}]))


def test_without_a_definition_nothing_is_required_and_case_counts():
    assert (loaded(attribute()).required, loaded(attribute()).case_exact) == (False, True)
    assert only(found(attribute(), directories=directories([]))).severity == "note"


@pytest.mark.parametrize(("given", "required"), [(True, True), ("True", True), (False, False), (None, False)])
def test_a_definition_says_what_is_required(given, required):
    assert defined(required=given).required is required


@pytest.mark.parametrize(
    ("definitions", "strict", "exact"),
    [
        ([{"name": "title", "caseExact": False}], False, True),
        ([{"name": "title", "caseExact": False}], True, False),
        ([{"name": "title", "caseExact": True}], True, True),
        ([{"name": "TITLE", "caseExact": "true"}], True, True),
        ([], True, False),
    ],
)
def test_a_change_of_case_alone_flows_unless_entras_quirks_are_wanted(definitions, strict, exact):
    assert loaded(attribute(), directories=directories(definitions), strict=strict).case_exact is exact


def test_a_definitions_default_stands_in_for_a_required_attribute_only():
    assert defined(required=True, defaultValue="none").default == "none"
    assert defined(required=False, defaultValue="none").default is None
    own = loaded(
        attribute(defaultValue="own"),
        directories=directories([{"name": "title", "required": True, "defaultValue": "x"}]),
    )
    assert own.default == "own"


@pytest.mark.parametrize("mutability", ["ReadOnly", "readonly", 1])
def test_an_attribute_that_is_read_only_by_definition_cannot_be_mapped(mutability):
    with pytest.raises(ConfigError, match=r"attribute title: .* ReadOnly"):
        defined(mutability=mutability)


def test_an_immutable_attribute_is_written_at_creation_only():
    assert defined(mutability="Immutable").flow_type == "ObjectAddOnly"
    immutable = directories([{"name": "title", "mutability": "Immutable"}])
    assert "Immutable" in only(found(attribute(), directories=immutable)).text
    assert found(attribute(flowType="ObjectAddOnly"), directories=immutable) == []


def test_an_attribute_that_is_write_only_by_definition_is_read_all_the_same():
    told = only(found(attribute(), directories=directories([{"name": "title", "mutability": "WriteOnly"}])))
    assert (told.severity, "WriteOnly has no effect" in told.text) == ("note", True)


def test_an_anchor_by_definition_cannot_be_mapped():
    with pytest.raises(ConfigError, match="a record's own id"):
        defined(anchor=True)


@pytest.mark.parametrize("member", ["required", "mutability", "defaultValue"])
def test_a_definition_that_cannot_be_read_is_refused_with_its_place(member):
    with pytest.raises(ConfigError, match=f"directory ServiceNow, object sys_user, attribute title: {member} is \\["):
        defined(**{member: [1]})


def test_only_the_directories_that_a_rule_names_define_its_attributes():
    read = document(mapping(attribute()), directories=directories([{"name": "title", "required": True}]))
    read["synchronizationRules"][0]["targetDirectoryName"] = "Another"
    assert load_schema(read).user.attributes[-1].required is False
    read["synchronizationRules"][0]["targetDirectoryName"] = "servicenow"
    assert load_schema(read).user.attributes[-1].required is True


NULLS = [{"name": "jobTitle", "flowNullValues": True}]


@pytest.mark.parametrize(
    ("entry", "target", "source", "clears", "says"),
    [
        (attribute(flowNullValues=True), [], NULLS, True, ""),
        (attribute(flowNullValues="True"), [], NULLS, True, ""),
        (attribute(), [], NULLS, False, ""),
        (attribute(flowNullValues=True), [], [], False, "does not say flowNullValues"),
        (attribute(flowNullValues=True, matchingPriority=2), [], NULLS, False, "it is a matching attribute"),
        (attribute(flowNullValues=True), [{"required": True}], NULLS, False, "it is required"),
        (attribute(flowNullValues=True), [{"multivalued": True}], NULLS, False, "it holds several values"),
        (expression("Left([jobTitle], 5)", flowNullValues=True), [], NULLS, True, ""),
        (expression('Join("", [jobTitle], [city])', flowNullValues=True), [], NULLS, False, "does not say"),
        (expression('"x"', flowNullValues=True), [], NULLS, False, "it reads no source attribute"),
    ],
)
def test_null_clears_a_column_when_both_gates_are_open(entry, target, source, clears, says):
    defined = directories([{"name": "title", **each} for each in target or [{}]], source)
    assert loaded(entry, directories=defined).clears is clears
    findings = found(entry, directories=defined)
    assert [each.severity for each in findings] == (["warning"] if says else [])
    assert all(says in each.text for each in findings)


def test_the_gate_of_a_source_attribute_is_found_under_graphs_name_too():
    phone = attribute("phone", "mobile", flowNullValues=True)
    gates = directories([{"name": "phone"}], [{"name": "mobilePhone", "flowNullValues": True}])
    assert loaded(phone, directories=gates).clears is True


def test_expressions_are_compiled_in_the_mode_of_the_job():
    assert loaded(attribute(), strict=True).source == compiled("[jobTitle]", strict=True)
    assert [each.severity for each in found(expression("tolower([mail])"), strict=True)] == ["error"]


def threshold(value: Any, name: str = "QuarantineTooManyDeletesThreshold") -> Json:
    return document(mapping(), synchronizationJobSettings=[{"name": name, "value": value}])


def test_the_jobs_threshold_for_deletes_is_taken_from_its_settings():
    assert load_schema(threshold("500")).delete_threshold == 500
    assert load_schema(threshold(3, "quarantinetoomanydeletesthreshold")).delete_threshold == 3
    assert load_schema(document(mapping())).delete_threshold is None
    (told,) = examine(threshold("true", "LookaheadQueryEnabled")).findings
    assert (told.severity, "LookaheadQueryEnabled" in told.text) == ("note", True)


@pytest.mark.parametrize("value", ["many", None, "-1", "9" * 40, {}])
def test_a_threshold_that_is_no_number_is_an_error(value):
    with pytest.raises(ConfigError, match="QuarantineTooManyDeletesThreshold"):
        load_schema(threshold(value))
