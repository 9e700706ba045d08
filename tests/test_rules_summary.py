"""Log entries have the shape of Microsoft Graph's provisioningObjectSummary, whatever was decided and came of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.model import (
    Create,
    Decision,
    Disable,
    Drifted,
    Fail,
    Match,
    Missing,
    Refused,
    Remove,
    ScopeCheck,
    Skip,
    Unsettled,
    Update,
    Written,
)
from provisioning.rules.scope import DELETED
from provisioning.rules.summary import (
    Initiator,
    Occurrence,
    Origin,
    in_milliseconds,
    summarize,
    timestamp,
    unconnected,
)

ORIGIN = Origin("tenant", "job", "cycle", "sp", "ServiceNow", "https://dev.service-now.com")

# From Microsoft Graph's OpenAPI description v1.0: type, enum and pattern of every property, "?" where null is allowed.
RESULT = {"success", "failure", "skipped", "warning"}
IDENTITY = {"id": "string?", "displayName": "string?"}
DETAILED = {**IDENTITY, "details": "object?"}
SUMMARY = {
    "id": "string",
    "activityDateTime": re.compile(
        r"[0-9]{4,}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        r"([.][0-9]{1,12})?(Z|[+-][0-9][0-9]:[0-9][0-9])"
    ),
    "tenantId": "string?",
    "jobId": "string?",
    "cycleId": "string?",
    "changeId": "string?",
    "provisioningAction": {"other", "create", "delete", "disable", "update", "stagedDelete"},
    "durationInMilliseconds": "integer?",
    "provisioningStatusInfo": {
        "status": RESULT,
        "errorInformation": (
            {
                "errorCategory": {"failure", "nonServiceFailure", "success"},
                "errorCode": "string?",
                "reason": "string?",
                "recommendedAction": "string?",
                "additionalDetails": "string?",
            },
            None,
        ),
    },
    "provisioningSteps": [
        {
            "name": "string?",
            "provisioningStepType": {"import", "scoping", "matching", "processing", "referenceResolution", "export"},
            "status": RESULT,
            "description": "string?",
            "details": "object?",
        }
    ],
    "modifiedProperties": [{"displayName": "string?", "oldValue": "string?", "newValue": "string?"}],
    "servicePrincipal": IDENTITY,
    "sourceSystem": DETAILED,
    "targetSystem": DETAILED,
    "initiatedBy": {**IDENTITY, "initiatorType": {"user", "application", "system"}},
    "sourceIdentity": {**DETAILED, "identityType": "string?"},
    "targetIdentity": {**DETAILED, "identityType": "string?"},
}
TYPES = {"string": str, "integer": int, "object": dict}


def violations(shape: Any, value: Any, where: str = "") -> list[str]:
    """Where a value is not of this shape: not the type, not among the words, too much or too little in it."""
    match shape:
        case str():
            fits = isinstance(value, TYPES[shape.rstrip("?")]) or (value is None and shape.endswith("?"))
            return [] if fits else [f"{where} is {value!r}, not {shape}"]
        case set():
            return [] if value in shape else [f"{where} is {value!r}, not one of {sorted(shape)}"]
        case re.Pattern():
            return [] if shape.fullmatch(value) else [f"{where} is {value!r}"]
        case (inner, None):
            return [] if value is None else violations(inner, value, where)
        case [inner]:
            return [wrong for entry in value for wrong in violations(inner, entry, f"{where}[]")]
        case _:
            if value.keys() != shape.keys():
                return [f"{where} differs in {sorted(value.keys() ^ shape.keys())}"]
            return [wrong for name in shape for wrong in violations(shape[name], value[name], f"{where}/{name}")]


def entry(action, outcome=None, *, staged: bool = False, key: str = "user:u1", **decided) -> dict[str, Any]:
    decision = Decision(key, action, name="Ada", **decided)
    found = summarize(Occurrence(decision, outcome, "change", 1_700_000_000.0, staged=staged), ORIGIN)
    assert violations(SUMMARY, found) == []
    return found


CREATE = Create("s1", 0, {"user_name": "ada", "title": "Analyst"})
UPDATE = Update("s1", {"title": "Chief", "city": "Oslo"}, {"title": "Analyst", "city": ""})
DISABLE = Disable("s1", {"active": "false"}, {"active": "true"})
REMOVE = Remove("s1", {"user_name": "ada"})
SKIP = Skip("RedundantExport", "nothing to change")
FAIL = Fail("DuplicateTargetEntries", "two records", "keep one")
WRITTEN = Written({"sys_id": "s1"})
REFUSED = Refused("InsufficientRights", "no", "grant the role")
UNSETTLED = Unsettled("no answer")


@pytest.mark.parametrize(
    ("action", "outcome", "staged", "provisioning_action", "status", "category"),
    [
        (CREATE, WRITTEN, False, "create", "success", None),
        (UPDATE, WRITTEN, False, "update", "success", None),
        (DISABLE, WRITTEN, False, "disable", "success", None),
        (REMOVE, Written({}), False, "delete", "success", None),
        (CREATE, REFUSED, False, "create", "failure", "nonServiceFailure"),
        (CREATE, Refused("InternalServerError", "500", ""), False, "create", "failure", "failure"),
        (UPDATE, UNSETTLED, False, "update", "failure", "failure"),
        (DISABLE, None, True, "stagedDelete", "success", None),
        (REMOVE, None, True, "stagedDelete", "success", None),
        (SKIP, None, False, "other", "skipped", "success"),
        (FAIL, None, False, "other", "failure", "nonServiceFailure"),
        (CREATE, None, False, "create", "skipped", None),
    ],
)
def test_action_and_status_are_graphs_words(action, outcome, staged, provisioning_action, status, category):
    found = entry(action, outcome, staged=staged)
    assert found["provisioningAction"] == provisioning_action
    assert found["provisioningStatusInfo"]["status"] == status
    error = found["provisioningStatusInfo"]["errorInformation"]
    assert (error["errorCategory"] if error else None) == category


def test_an_entry_names_the_cycle_the_object_and_the_record():
    found = entry(UPDATE, WRITTEN)
    assert (found["id"], found["cycleId"], found["jobId"], found["tenantId"]) == ("change", "cycle", "job", "tenant")
    assert found["sourceIdentity"] == {"id": "u1", "displayName": "Ada", "identityType": "User", "details": {}}
    assert found["targetIdentity"]["id"] == "s1"
    assert found["activityDateTime"] == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize(
    ("key", "source", "target"),
    [
        ("user:u1", ("u1", "User"), "sys_user"),
        ("group:g1", ("g1", "Group"), "sys_user_group"),
        ("member:g1:u1", ("g1:u1", "GroupMembership"), "sys_user_grmember"),
    ],
)
def test_users_groups_and_memberships_are_told_apart(key, source, target):
    found = entry(SKIP, key=key)
    assert (found["sourceIdentity"]["id"], found["sourceIdentity"]["identityType"]) == source
    assert found["targetIdentity"]["identityType"] == target


def test_modified_properties_hold_what_was_and_what_is():
    assert entry(UPDATE, WRITTEN)["modifiedProperties"] == [
        {"displayName": "city", "oldValue": None, "newValue": "Oslo"},
        {"displayName": "title", "oldValue": "Analyst", "newValue": "Chief"},
    ]
    assert [p["oldValue"] for p in entry(CREATE, WRITTEN)["modifiedProperties"]] == [None, None]
    assert entry(SKIP)["modifiedProperties"] == []


def test_the_steps_tell_the_story_in_entras_words():
    found = entry(
        UPDATE,
        WRITTEN,
        scope=(ScopeCheck("IsActive", passed=True, detail="active"), ScopeCheck("Assigned", passed=True, detail="yes")),
        match=Match("attribute", "ada", ("s1",)),
        missing=(Missing("manager", "m1"),),
        warnings=("title was cut",),
    )
    steps = [(step["name"], step["provisioningStepType"], step["status"]) for step in found["provisioningSteps"]]
    assert steps == [
        ("EntryImportAdd", "import", "success"),
        ("EntrySynchronizationScoping", "scoping", "success"),
        ("EntryImportByJoiningProperty", "matching", "success"),
        ("EntrySynchronizationUpdate", "matching", "success"),
        ("UnableToResolveReferenceAttributeValue", "referenceResolution", "warning"),
        ("AttributeValueAltered", "processing", "warning"),
        ("EntryExportUpdate", "export", "success"),
    ]
    assert found["provisioningSteps"][1]["details"]["Assigned"] == "True"
    assert found["provisioningStatusInfo"]["status"] == "warning"


IN = (ScopeCheck("IsActive", passed=True, detail="active"),)
OUT = (ScopeCheck("Assigned", passed=False, detail="not assigned to the application"),)
GONE = (ScopeCheck("IsActive", passed=False, detail=DELETED),)
BY_LINK, BY_KEY, NEW = Match("link", "ada", ("s1",)), Match("attribute", "ada", ("s1",)), Match("none", "ada")
CHANGED = (Drifted("title", "Chief", "Analyst", "enforce"),)
SEARCHED, READ = "EntryImportByJoiningProperty", "EntryImport"


@pytest.mark.parametrize(
    ("action", "decided", "names"),
    [
        (CREATE, {"match": NEW}, ("EntryImportAdd", SEARCHED, "EntrySynchronizationAdd", "EntryExportAdd")),
        (UPDATE, {"match": BY_LINK}, ("EntryImportUpdate", READ, "EntrySynchronizationUpdate", "EntryExportUpdate")),
        (UPDATE, {"match": BY_KEY}, ("EntryImportAdd", SEARCHED, "EntrySynchronizationUpdate", "EntryExportUpdate")),
        (
            UPDATE,
            {"match": BY_LINK, "drifted": CHANGED},
            (READ, READ, "EntrySynchronizationUpdate", "TargetAttributeChanged", "EntryExportUpdate"),
        ),
        (
            CREATE,
            {"match": NEW, "lost": "s0"},
            (READ, READ, SEARCHED, "EntrySynchronizationAdd", "EntryExportAdd"),
        ),
        (
            DISABLE,
            {"match": BY_LINK, "scope": OUT},
            ("EntryImportUpdate", READ, "EntrySynchronizationUpdate", "EntryExportUpdate"),
        ),
        (
            DISABLE,
            {"match": BY_LINK, "scope": GONE},
            ("EntryImportDelete", READ, "EntrySynchronizationUpdate", "EntryExportUpdate"),
        ),
        (
            REMOVE,
            {"match": BY_LINK, "scope": GONE},
            ("EntryImportDelete", READ, "EntrySynchronizationDelete", "EntryExportDelete"),
        ),
        (
            REMOVE,
            {"match": BY_LINK, "scope": (), "key": "member:g1:u1"},
            ("EntryImportDelete", READ, "EntrySynchronizationDelete", "EntryExportDelete"),
        ),
        (SKIP, {"match": BY_LINK}, (READ, READ, "EntrySynchronizationSkip")),
        (FAIL, {"match": NEW}, (READ, SEARCHED, "EntrySynchronizationError")),
    ],
)
def test_what_entra_received_what_is_determined_and_what_was_written_are_steps_with_entras_names(
    action, decided, names
):
    found = entry(action, None if isinstance(action, Skip | Fail) else WRITTEN, **{"scope": IN, **decided})
    steps = [step["name"] for step in found["provisioningSteps"]]
    assert [name for name in steps if name != "EntrySynchronizationScoping"] == list(names)


def test_what_is_determined_says_why():
    def why(action, **decided):
        (step,) = (s for s in entry(action, **decided)["provisioningSteps"] if s["name"].startswith(DETERMINED))
        return step["description"]

    assert why(CREATE, scope=IN, match=NEW) == (
        "User 'u1' will be created in ServiceNow (User is active and in scope in Microsoft Entra ID, but no matching "
        "User was found in ServiceNow)"
    )
    assert why(DISABLE, scope=OUT).endswith(
        "will be disabled in ServiceNow (User is not in scope: 1) not assigned to the application)"
    )


DETERMINED = ("EntrySynchronizationAdd", "EntrySynchronizationUpdate", "EntrySynchronizationDelete")


def test_an_entry_names_the_application_and_who_has_asked_for_it():
    origin = replace(ORIGIN, application="app-id", by=Initiator("user", "ada@contoso.com"))
    found = summarize(Occurrence(Decision("user:u1", CREATE), WRITTEN, "change", 0.0, 1_500), origin)
    assert found["targetSystem"]["details"] == {
        "ApplicationId": "app-id",
        "ServicePrincipalId": "sp",
        "ServicePrincipalDisplayName": "ServiceNow",
    }
    assert found["initiatedBy"] == {"id": "", "displayName": "ada@contoso.com", "initiatorType": "user"}
    assert entry(CREATE)["initiatedBy"]["initiatorType"] == "system"
    assert found["durationInMilliseconds"] == 1_500


def test_a_clock_that_is_set_back_gives_no_negative_duration():
    assert (in_milliseconds(1.2346), in_milliseconds(-5.0)) == (1235, 0)


def test_a_connection_that_failed_is_the_only_step():
    fail = Fail("ServiceNowCredentialsValidation", "401", "")
    found = unconnected("user:u1", "Ada", fail, "change", 0.0, ORIGIN)
    assert violations(SUMMARY, found) == []
    (step,) = found["provisioningSteps"]
    assert (step["name"], step["status"], step["description"]) == ("TestConnection", "failure", "401")
    assert found["provisioningStatusInfo"]["errorInformation"]["recommendedAction"].startswith("operator: correct")


@pytest.mark.parametrize(
    ("how", "step"),
    [
        ("attribute", "EntryImportByJoiningProperty"),
        ("none", "EntryImportByJoiningProperty"),
        ("link", "EntryImport"),
        ("intent", "EntryImport"),
    ],
)
def test_the_matching_step_tells_how_the_record_was_found(how, step):
    found = entry(SKIP, match=Match(how, "ada", ("s1",)))
    assert found["provisioningSteps"][1]["name"] == step
    assert found["targetIdentity"]["id"] == "s1"


@pytest.mark.parametrize(
    ("outcome", "staged", "text", "status"),
    [
        (WRITTEN, False, "was disabled", "success"),
        (REFUSED, False, "could not be disabled", "failure"),
        (UNSETTLED, False, "nobody knows yet whether", "failure"),
        (None, False, "is to be disabled in ServiceNow; nothing was sent", "skipped"),
        (None, True, "held by the accidental-deletion guard", "skipped"),
    ],
)
def test_the_last_step_claims_only_what_took_place(outcome, staged, text, status):
    last = entry(DISABLE, outcome, staged=staged)["provisioningSteps"][-1]
    assert text in last["description"]
    assert last["status"] == status


def test_a_skip_and_a_failure_carry_their_codes():
    assert entry(SKIP)["provisioningSteps"][-1]["details"] == {"SkipReason": "RedundantExport"}
    failed = entry(FAIL)
    assert failed["provisioningSteps"][-1]["details"] == {"ErrorCode": "DuplicateTargetEntries"}
    assert failed["provisioningStatusInfo"]["errorInformation"] == {
        "errorCategory": "nonServiceFailure",
        "errorCode": "DuplicateTargetEntries",
        "reason": "two records",
        "recommendedAction": "keep one",
        "additionalDetails": None,
    }


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "1970-01-01T00:00:00.000Z"), (1.5, "1970-01-01T00:00:01.500Z")])
def test_times_are_utc_with_milliseconds(seconds, text):
    assert timestamp(seconds) == text


DECISIONS = st.builds(
    Decision,
    st.sampled_from(["user:u1", "group:g1", "member:g1:u1"]),
    st.sampled_from([CREATE, UPDATE, DISABLE, REMOVE, SKIP, FAIL]),
    scope=st.sampled_from([(), (ScopeCheck("IsActive", passed=False, detail="deleted"),)]),
    match=st.sampled_from([None, Match("none", None), Match("link", "ada", ("s1",)), Match("attribute", "ada", ())]),
    missing=st.sampled_from([(), (Missing("department", "Sales", "cmn_department"),)]),
)
OCCURRENCES = st.builds(
    Occurrence,
    DECISIONS,
    st.sampled_from([WRITTEN, Written({}), REFUSED, UNSETTLED, None]),
    st.just("change"),
    st.floats(0, 4e9),
    st.integers(0, 10**6),
    staged=st.booleans(),
)


@given(OCCURRENCES)
def test_every_entry_has_graphs_shape(occurrence):
    assert violations(SUMMARY, summarize(occurrence, ORIGIN)) == []


def test_the_check_itself_finds_what_is_wrong():
    good = entry(UPDATE, WRITTEN)
    assert violations(SUMMARY, {**good, "provisioningAction": "StagedDelete"})
    assert violations(SUMMARY, {**good, "extra": 1})
    assert violations(SUMMARY, {**good, "activityDateTime": "yesterday"})
    assert violations(SUMMARY, {**good, "modifiedProperties": [{"displayName": "a", "oldValue": 1, "newValue": "b"}]})
