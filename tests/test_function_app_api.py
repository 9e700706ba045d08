"""What the HTTP resources say, as plain functions: Graph's shapes from what the job remembers."""

from __future__ import annotations

import json

import pytest

from provisioning.api import connections, executions
from provisioning.api.answers import Call, Refusal, client_request_id
from provisioning.api.jobs import duration, job_resource, reset_criteria
from provisioning.api.logs import query_of
from provisioning.api.on_demand import asked_object, on_demand_answer
from provisioning.engine.executions import History, add_execution, execution_of
from provisioning.engine.jobs import JobState
from provisioning.engine.progress import Failure, Progress
from provisioning.forms import interval
from provisioning.model import Create, Decision, Fail, Skip, Written
from provisioning.rules.quarantine import Quarantine, SynchronizationError
from provisioning.rules.summary import Occurrence, Origin, summarize

NOON = 1_790_000_000.0
ORIGIN = Origin("tenant", "job", "cycle", "principal", "ServiceNow", "contoso.service-now.com")

# The properties of Graph's types, from its metadata.
JOB = {"id", "templateId", "schedule", "status", "synchronizationJobSettings", "@odata.type"}
STATUS = {
    *("code", "countSuccessiveCompleteFailures", "escrowsPruned", "lastExecution", "lastSuccessfulExecution"),
    *("lastSuccessfulExecutionWithExports", "progress", "quarantine", "steadyStateFirstAchievedTime"),
    *("steadyStateLastAchievedTime", "synchronizedEntryCountByType", "troubleshootingUrl"),
}
EXECUTION = {
    *("activityIdentifier", "countEntitled", "countEntitledForProvisioning", "countEscrowed", "countEscrowedRaw"),
    *("countExported", "countExports", "countImported", "countImportedDeltas", "countImportedReferenceDeltas"),
    *("error", "state", "timeBegan", "timeEnded"),
}
ON_DEMAND = {
    *("action", "changeId", "startTime", "endTime", "reportableIdentifier", "modifiedProperties", "provisioningSteps"),
    *("statusInfo", "sourceIdentity", "sourceSystem", "targetIdentity", "targetSystem"),
}


def cycle(name: str, *, failed: Failure | None = None, kind: str = "incremental", **counts: int) -> Progress:
    counted = {key.replace("__", ".").replace("_", " "): number for key, number in counts.items()}
    return Progress(cycle=name, kind=kind, began=NOON, counts=counted, halted=failed, finished=failed is None)


def status_of(*cycles, progress=None, **state):
    """After these cycles, the oldest first."""
    history = History()
    for number, each in enumerate(cycles):
        history = add_execution(history, execution_of(each, NOON + 12.5 + number), str(number))
    known = JobState(last_began=NOON, **state)
    return job_resource("job", 2400.0, known, progress, history)["status"]


@pytest.mark.parametrize("text", ["PT1M", "PT40M", "PT1H", "PT1H30M", "P1D", "P1DT2H", "P7D", "PT1M30S", "P1DT1H1M1S"])
def test_an_interval_is_shown_as_it_was_set(text):
    assert duration(interval("JOB_INTERVAL", text)) == text


def test_a_job_has_every_property_of_graphs_type_and_no_other():
    history = add_execution(History(), execution_of(cycle("a"), NOON), "a")
    resource = job_resource("job", 2400.0, JobState(last_began=NOON), None, history)
    assert resource.keys() == JOB
    assert resource["status"].keys() == STATUS
    assert resource["status"]["lastExecution"].keys() == EXECUTION


def test_an_execution_counts_what_was_read_planned_written_and_left_for_later():
    read = {"read__users": 7, "read__groups": 2, "read__references": 5, "imported": 14, "entitled": 8, "in_scope": 6}
    counted = cycle("a", **read, planned_users__created=4, users__created=3, users__failed=1, waiting=2)
    execution = status_of(counted)["lastExecution"]
    assert (execution["countImported"], execution["countImportedDeltas"]) == (14, 9)
    assert execution["countImportedReferenceDeltas"] == 5
    assert (execution["countEntitled"], execution["countEntitledForProvisioning"]) == (8, 6)
    assert (execution["countExports"], execution["countExported"]) == (4, 3)
    assert (execution["countEscrowed"], execution["countEscrowedRaw"]) == (1, 3)
    assert execution["state"] == "EntryLevelErrors"
    assert execution["timeBegan"] == "2026-09-21T14:13:20.0000000Z"
    assert execution["timeEnded"] == "2026-09-21T14:13:32.5000000Z"


REFUSED = Failure("InsufficientRights", "grant it", halts=True)


def test_failures_since_the_last_success_are_counted_and_that_success_is_shown():
    wrote, partly = cycle("wrote", users__created=1), cycle("partly", users__failed=1)
    failures = (cycle("b", failed=REFUSED), cycle("c", failed=REFUSED))
    status = status_of(cycle("x", failed=REFUSED), wrote, cycle("idle"), partly, *failures)
    assert status["countSuccessiveCompleteFailures"] == 2
    assert status["lastExecution"]["state"] == "Failed"
    assert status["lastSuccessfulExecution"]["activityIdentifier"] == "idle"
    assert status["lastSuccessfulExecutionWithExports"]["activityIdentifier"] == "wrote"
    assert status["steadyStateFirstAchievedTime"] == "2026-09-21T14:13:33.5000000Z"
    assert status["steadyStateLastAchievedTime"] == "2026-09-21T14:13:35.5000000Z"


def test_the_end_of_a_cycle_that_is_recorded_twice_counts_once():
    failed = execution_of(cycle("a", failed=REFUSED), NOON)
    history = add_execution(add_execution(History(), failed, "a 3"), failed, "a 3")
    assert history.failures == 1
    assert add_execution(history, failed, "a 9").failures == 2


def test_a_job_that_never_ran_has_no_execution_and_no_steady_state():
    status = status_of()
    assert (status["lastExecution"], status["lastSuccessfulExecution"]) == (None, None)
    assert status["steadyStateFirstAchievedTime"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(("halts", "actionable"), [(True, True), (False, False)])
def test_a_failure_says_whether_a_person_must_act(halts, actionable):
    halted = Failure("InsufficientRights", "grant it", halts=halts)
    error = status_of(cycle("a", failed=halted))["lastExecution"]["error"]
    assert error == {"code": "InsufficientRights", "message": "grant it", "tenantActionable": actionable}


def test_a_running_cycle_shows_how_many_writes_of_those_planned_are_done():
    counts = {"planned users.created": 10, "users.created": 4, "users.failed": 1, "users.skipped": 30}
    running = Progress(cycle="a", kind="initial", began=NOON, counts=counts)
    (progress,) = status_of(progress=running)["progress"]
    assert (progress["completedUnits"], progress["totalUnits"], progress["units"]) == (5, 10, "objects")


def entry(action, outcome=None, key="user:u1"):
    decision = Decision(key, action, "Zoë")
    return summarize(Occurrence(decision, outcome, "change", NOON, milliseconds=1500), ORIGIN)


def decoded(answer):
    assert answer.keys() == {"@odata.type", "key", "value"}
    return json.loads(answer["key"]), json.loads(answer["value"])


def test_a_created_user_is_answered_as_two_documents_inside_strings():
    key, value = decoded(on_demand_answer([entry(Create("s1", 0, {"active": "true"}), Written({"sys_id": "s1"}))]))
    assert key == {"result": "Success", "details": {}}
    assert value.keys() == ON_DEMAND
    assert value["action"] == "Create"
    assert (value["startTime"], value["endTime"]) == ("2026-09-21T14:13:18.500Z", "2026-09-21T14:13:20.000Z")
    assert value["modifiedProperties"] == [{"displayName": "active", "oldValue": None, "newValue": "true"}]
    assert value["sourceIdentity"] == {"id": "u1", "type": "User", "displayName": "Zoë", "details": {}}
    assert [step["type"] for step in value["provisioningSteps"]] == ["Import", "Matching", "Export"]
    assert [step["timestamp"] for step in value["provisioningSteps"]] == [value["startTime"], *[value["endTime"]] * 2]
    assert value["statusInfo"]["status"] == "Success"


def test_somebody_who_is_as_he_should_be_is_skipped_for_a_reason():
    key, value = decoded(on_demand_answer([entry(Skip("RedundantExport", "nothing to do"))]))
    assert key == {"result": "Skipped", "details": {"errorCode": "RedundantExport", "errorMessage": "nothing to do"}}
    assert (value["action"], value["statusInfo"]["errorCategory"]) == ("Other", "Success")


def test_a_failure_carries_its_code_and_the_way_out():
    key, value = decoded(on_demand_answer([entry(Fail("DuplicateTargetEntries", "two hits", "merge them"))]))
    assert key["result"] == "Failure"
    assert value["statusInfo"]["errorCode"] == "DuplicateTargetEntries"
    assert value["statusInfo"]["recommendedAction"] == "merge them"


DONE = entry(Create("s1", 0, {}), Written({"sys_id": "s1"}), "member:g1:u1")
NOT_DONE = entry(Fail("InsufficientRights", "no", "grant it"), key="member:g1:u2")
NOTHING = Skip("RedundantExport", "nothing to do")


@pytest.mark.parametrize(
    ("own", "others", "result", "code"),
    [
        (NOTHING, [], "Skipped", "RedundantExport"),
        (NOTHING, [entry(NOTHING, key="member:g1:u3")], "Skipped", "RedundantExport"),
        (NOTHING, [DONE], "Success", None),
        (NOTHING, [DONE, NOT_DONE], "Failure", "InsufficientRights"),
        (Fail("DuplicateTargetEntries", "two hits", ""), [NOT_DONE], "Failure", "DuplicateTargetEntries"),
    ],
)
def test_the_result_of_a_group_is_the_gravest_of_all_that_was_looked_at(own, others, result, code):
    answer = on_demand_answer([entry(own, key="group:g1"), *others])
    key, value = json.loads(answer["key"]), json.loads(answer["value"])
    assert (key["result"], key["details"].get("errorCode")) == (result, code)
    assert value.keys() == ON_DEMAND | {"members"}
    assert [each.keys() for each in value["members"]] == [ON_DEMAND | {"result", "details"}] * len(others)


def test_what_else_happened_because_of_a_user_is_not_the_answer_about_the_user():
    key, value = decoded(on_demand_answer([entry(NOTHING), NOT_DONE]))
    assert (key["result"], value.keys()) == ("Skipped", ON_DEMAND)


def test_an_error_has_graphs_form_and_the_clients_own_id():
    reply = Call("mine").refuse(Refusal(404, "Request_ResourceNotFound", "not here"))
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["message"]) == (404, "Request_ResourceNotFound", "not here")
    assert error["innerError"]["client-request-id"] == reply.headers["client-request-id"] == "mine"
    assert error["innerError"]["request-id"] == reply.headers["request-id"]


def test_a_job_in_quarantine_or_paused_says_so_in_microsofts_words():
    error = SynchronizationError("ServiceNowCredentialsValidation", "refused")
    quarantine = Quarantine("EncounteredQuarantineException", 10.0, 30.0, 10.0, 2, error)
    status = job_resource("job", 2400.0, JobState(last_began=1.0, quarantine=quarantine), None, History())["status"]
    assert status["code"] == "Quarantine"
    assert status["quarantine"]["reason"] == "EncounteredQuarantineException"
    assert status["quarantine"]["nextAttempt"] == "1970-01-01T00:00:30.0000000Z"
    assert status["quarantine"]["error"]["code"] == "ServiceNowCredentialsValidation"
    paused = job_resource("job", 2400.0, JobState(paused=5.0), None, History())
    assert (paused["status"]["code"], paused["schedule"]["state"]) == ("Paused", "Paused")
    assert job_resource("job", 2400.0, JobState(disabled=5.0), None, History())["schedule"]["state"] == "Disabled"


def test_what_a_restart_resets_is_read_from_microsofts_criteria():
    assert set(reset_criteria(b"")) == {"Escrows", "Watermark", "QuarantineState"}
    assert reset_criteria(b'{"criteria": {"resetScope": "Watermark"}}') == ("Watermark",)
    for body in (b"[]", b"{", b'{"criteria": 3}', b'{"criteria": {"resetScope": "All"}}'):
        with pytest.raises(Refusal):
            reset_criteria(body)


# --- what is sent to it -----------------------------------------------------------------------------

NESTED = b"[" * 100_000
NO_NUMBERS = ["0", "1001", "-1", "ten", "1.0", "\u0661", "9" * 5_000, "000000001" + "9" * 20, "0" * 5_000]


@pytest.mark.parametrize("read", [reset_criteria, asked_object])
@pytest.mark.parametrize("body", [NESTED, b'{"criteria":' * 100_000, b"9" * 5_000, b"\xff"])
def test_a_body_that_cannot_be_read_is_the_callers_fault(read, body):
    with pytest.raises(Refusal) as refused:
        read(body)
    assert refused.value.status == 400


@pytest.mark.parametrize("top", NO_NUMBERS)
@pytest.mark.parametrize(
    "read",
    [
        lambda top: connections.asked_page(top, ""),
        lambda top: executions.asked_page(top, ""),
        lambda top: query_of({"$top": top}, "directoryAudit"),
    ],
    ids=["connections", "executions", "logs"],
)
def test_a_top_that_is_no_number_within_bounds_is_the_callers_fault(read, top):
    with pytest.raises(Refusal, match=r"\$top must be a number"):
        read(top)


@pytest.mark.parametrize("given", ["a\r\nSet-Cookie: b=c", "\u20ac", "x" * 201, "\x00"])
def test_an_id_of_the_client_that_no_header_can_hold_is_not_repeated(given):
    assert client_request_id(given) == ""
    assert client_request_id("0f8fad5b-d9cb-469f-a165-70867728950e") == "0f8fad5b-d9cb-469f-a165-70867728950e"
