"""Every resource of Microsoft's API that this app answers, held against Microsoft's description of it: the body that is
sent, the options, the answer and its status.
"""

from __future__ import annotations

import pytest

from provisioning.api.routes import ROUTES
from tests.api_place import ApiPlace, error_of

SALES = {"sourceOperandName": "department", "operatorName": "EQUALS", "targetOperand": {"values": ["Sales"]}}
NAMED = {"name"}
"""Members that Microsoft's published answers have and its description leaves out: functions and operators by name."""


@pytest.fixture
def place(tmp_path) -> ApiPlace:
    return ApiPlace(tmp_path)


def violations(place: ApiPlace) -> list[str]:
    """Of details (detailsInfo) no member is described: it is open."""
    found = [each.rpartition(": no member ") for each in place.contract.violations]
    return [f"{where}: {member}" for where, _, member in found if member not in NAMED and ".details" not in where]


def test_what_a_job_answers_through_its_life_fits_the_description(place):
    async def story(client) -> None:
        assert (await client.post(f"{place.principal}/jobs", json={"templateId": "ServiceNowOutDelta"})).is_success
        (before,) = (await client.get(f"{place.principal}/jobs")).json()["value"]
        assert before["status"]["code"] == "NotRun"
        await client.post(f"{place.job}/start")
        while not (running := (await client.get(place.job)).json()["status"]["progress"]):
            pass
        assert running[0]["units"] == "objects"
        await place.settled()
        place.directory.behaviour.permissions = frozenset()
        await place.cycle(client)
        failed = (await client.get(place.job)).json()["status"]
        assert failed["lastExecution"]["error"]["tenantActionable"]
        await client.post(f"{place.job}/pause")
        await client.post(f"{place.job}/restart", json={"criteria": {"resetScope": "Watermark, Escrows"}})
        assert (await client.post(f"{place.job}/restart", json={"criteria": {"resetScope": "All"}})).status_code == 400
        assert (await client.delete(place.job)).status_code == 204

    place.run(story)
    assert violations(place) == []
    job = "/servicePrincipals/{servicePrincipal-id}/synchronization/jobs/{synchronizationJob-id}"
    assert {f"POST {job}/start", f"GET {job}", f"DELETE {job}", f"POST {job}/restart"} <= place.contract.checked.keys()


def test_a_job_in_quarantine_fits_the_description(tmp_path):
    place = ApiPlace(tmp_path, REMOVAL_LIMIT="1", REMOVAL_SHARE="1%")

    async def story(client) -> dict:
        await place.cycle(client)
        for user in list(place.directory.users)[:8]:
            place.directory.delete_user(user)
        await place.cycle(client)
        return (await client.get(place.job)).json()

    job = place.run(story)
    assert job["status"]["code"] == "Quarantine"
    assert job["status"]["quarantine"]["reason"] == "TooManyDeletes"
    assert job["synchronizationJobSettings"] == [{"name": "QuarantineTooManyDeletesThreshold", "value": "1"}]
    assert violations(place) == []


def test_schema_functions_operators_and_templates_fit_the_description(place):
    async def story(client) -> None:
        schema = (await client.get(f"{place.job}/schema")).json()
        assert schema["@odata.context"].endswith("/schema/$entity")
        mapping = schema["synchronizationRules"][0]["objectMappings"][0]
        mapping["scope"] = {"groups": [{"name": "sales", "clauses": [SALES]}]}
        assert (await client.put(f"{place.job}/schema", json=schema)).status_code == 204
        assert (await client.get(f"{place.job}/schema")).json() == schema
        assert (await client.delete(f"{place.job}/schema")).status_code == 204
        for name in ("functions", "functions()", "filterOperators", "filterOperators()"):
            assert (await client.get(f"{place.job}/schema/{name}")).json()["value"]
        found = (await client.post(f"{place.job}/schema/directories/ServiceNow/discover")).json()
        assert {each["name"] for each in found["objects"]} == {"sys_user", "sys_user_group"}
        (template,) = (await client.get(f"{place.principal}/templates")).json()["value"]
        one = (await client.get(f"{place.principal}/templates/{template['id']}")).json()
        assert one["applicationId"] == place.directory.app_id
        assert (await client.get(f"{place.principal}/templates/{template['id']}/schema")).json()["synchronizationRules"]
        assert (await client.get(f"{place.principal}/templates/other")).status_code == 404

    place.run(story)
    assert violations(place) == []


@pytest.mark.parametrize(
    ("expression", "values", "answer"),
    [
        ('Join(" ", [givenName], [surname])', {"givenName": "Ada", "surname": "King"}, (True, True, ["Ada King"])),
        ("[givenName]", None, (True, False, [])),
        ("Mid([x], 0, 1)", {"x": "a"}, (True, False, [])),
        ("Join(", {"x": "a"}, (False, False, [])),
    ],
)
def test_an_expression_that_is_parsed_is_answered_as_described(place, expression, values, answer):
    asked = {"expression": expression, "targetAttributeDefinition": None, "testInputObject": None}
    if values is not None:
        asked["testInputObject"] = {"properties": [{"key": key, "value": value} for key, value in values.items()]}

    async def story(client) -> dict:
        return (await client.post(f"{place.job}/schema/parseExpression", json=asked)).json()

    found = place.run(story)
    assert (found["parsingSucceeded"], found["evaluationSucceeded"], found["evaluationResult"]) == answer
    assert (found["error"] is None) == (values is None or answer[1])
    # `value` of a pair is written on Microsoft's page of parseExpression; its type is open.
    assert [each for each in violations(place) if not each.endswith(".properties: value")] == []


def test_logs_fit_the_description_page_by_page(place):
    async def story(client) -> int:
        await place.cycle(client)
        address, seen = "/v1.0/auditLogs/provisioning?$top=4&$filter=provisioningAction eq 'create'", 0
        while address:
            page = (await client.get(address)).json()
            seen += len(page["value"])
            assert all(each["provisioningAction"] == "create" for each in page["value"])
            address = page.get("@odata.nextLink")
        assert (await client.get("/v1.0/auditLogs/provisioning?$filter=x eq 1")).status_code == 400
        return seen

    assert place.run(story) > 8
    assert violations(place) == []


def test_on_demand_fits_the_description(place):
    subject = {"objectId": next(iter(place.directory.users)), "objectTypeName": "User"}

    async def story(client) -> None:
        body = {"parameters": [{"ruleId": "x", "subjects": [subject]}]}
        assert (await client.post(f"{place.job}/provisionOnDemand", json=body)).status_code == 200
        assert (await client.post(f"{place.job}/provisionOnDemand", json={"parameters": []})).status_code == 400

    place.run(story)
    assert violations(place) == []


@pytest.mark.parametrize("address", ["/jobs/another", "/jobs/another/schema", "/templates/x"])
def test_what_does_not_exist_is_said_as_graph_says_it(place, address):
    async def story(client):
        return await client.get(f"{place.principal}{address}", headers={"client-request-id": "mine"})

    response = place.run(story)
    assert (response.status_code, error_of(response)["code"]) == (404, "Request_ResourceNotFound")
    assert error_of(response)["innerError"]["client-request-id"] == response.headers["client-request-id"] == "mine"
    assert error_of(response)["innerError"]["request-id"] == response.headers["request-id"]
    assert violations(place) == []


@pytest.mark.parametrize(("method", "address", "status"), [("GET", "/nowhere", 404), ("PATCH", "", 405)])
def test_what_no_route_answers_is_refused_in_the_same_form(place, method, address, status):
    async def story(client):
        return await client.request(method, f"{place.job}{address}")

    response = place.run_plainly(story)
    assert response.status_code == status
    assert error_of(response)["innerError"]["request-id"] == response.headers["request-id"]


def test_another_application_is_not_served(place):
    other = place.principal.replace(place.settings.service_principal_id, "0" * 8 + "-0000-4000-8000-" + "0" * 12)

    async def story(client) -> list[int]:
        asked = [client.get(f"{other}/jobs"), client.get(f"{other}/templates")]
        asked += [client.put(f"{other}/secrets", json={"value": []}), client.post(f"{other}/jobs", json={})]
        return [(await each).status_code for each in asked]

    assert place.run(story) == [404] * 4


def test_a_second_job_is_not_made_and_the_answer_says_why(place):
    async def story(client):
        await place.cycle(client)
        again = await client.post(f"{place.principal}/jobs", json={"templateId": "ServiceNowOutDelta"})
        other = await client.post(f"{place.principal}/jobs", json={"templateId": "BoxOutDelta"})
        return again, other

    again, other = place.run(story)
    assert (again.status_code, error_of(again)["code"]) == (409, "Conflict")
    assert "app settings of its own" in error_of(again)["message"]
    assert (other.status_code, error_of(other)["code"]) == (400, "Request_BadRequest")


def test_only_the_properties_that_are_selected_are_answered(place):
    async def story(client) -> tuple[dict, list[int]]:
        found = (await client.get(f"{place.job}?$select=id,templateId")).json()
        ignored = (f"{place.principal}/jobs?$filter=id eq 'x'", f"{place.job}?$expand=schema")
        return found, [(await client.get(each)).status_code for each in ignored]

    found, refused = place.run(story)
    assert {name for name in found if "@" not in name} == {"id", "templateId"}
    assert refused == [400, 400], "options that would be ignored"


def test_every_route_has_a_role_of_its_own_but_health():
    assert [each.name for each in ROUTES if each.role is None] == ["health"]
    changing = {each.name for each in ROUTES if each.method != "GET" and each.role == "Provisioning.Read"}
    assert changing == {"parse_expression", "discover_directory", "explain", "make_plan"}, "these write nothing"
    assert len({each.name for each in ROUTES}) == len({(each.method, each.path) for each in ROUTES}) == len(ROUTES)
