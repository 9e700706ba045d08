"""The triggers, one by one: what each does with the job, with a Durable host over HTTP and both emulators in process.
And the rules that the worker and the host have for an app.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import azure.functions as func
import httpx
import pytest

import function_app
from provisioning.api.callers import BY_KEY, caller
from provisioning.api.routes import ROUTES
from provisioning.app import App, open_app
from provisioning.config import Settings
from provisioning.dashboard.routes import PAGES
from provisioning.process import open_from_environment
from tests.durable import Host, InProcess, functions_of
from tests.durable_client import offering
from tests.emulators import graph, servicenow, tenant
from tests.emulators.graph.behaviour import Fail
from tests.served import ROOT

DAY = 86_400.0


class Place:
    """The function app in this process with a small tenant and an instance, a host, and a clock that can be put on."""

    def __init__(self, folder) -> None:
        self.ahead = 0.0
        self.directory = graph.Tenant(seed=1)
        tenant.seed(self.directory, users=12, groups=2, seed=1)
        self.instance = servicenow.Instance(url="http://127.0.0.1")
        servicenow.seed_instance(self.instance)
        self.settings = Settings.load(
            {
                "ENTRA_TENANT_ID": self.directory.tenant_id,
                "ENTRA_SERVICE_PRINCIPAL_ID": self.directory.service_principal_id,
                "GRAPH_BASE_URL": "http://127.0.0.1/v1.0",
                "GRAPH_ACCESS_TOKEN": graph.ACCESS_TOKEN,
                "SERVICENOW_INSTANCE": "http://127.0.0.1",
                "SERVICENOW_CLIENT_ID": servicenow.CLIENT_ID,
                "SERVICENOW_CLIENT_SECRET": servicenow.CLIENT_SECRET,
                "STATE": f"sqlite:{folder / 'state.db'}",
            }
        )
        self.host = Host(InProcess(function_app.app), self.now)
        self.client = ""
        function_app.process.use(self.new_app)

    def now(self) -> float:
        return time.time() + self.ahead

    async def new_app(self) -> App:
        return await open_app(
            self.settings,
            graph_transport=httpx.ASGITransport(graph.create_app(self.directory)),
            servicenow_transport=httpx.ASGITransport(servicenow.create_app(self.instance)),
            now=self.now,
        )

    @property
    def instance_id(self) -> str:
        return f"job-{self.settings.job_id}"

    async def tick(self, *, past_due: bool = False) -> None:
        timer = SimpleNamespace(past_due=past_due)
        await functions_of(function_app.app)["tick"].get_user_function()(timer=timer, client=self.client)

    async def request(
        self,
        name: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        client: bool = False,
        query: dict[str, str] | None = None,
        **params: str,
    ) -> func.HttpResponse:
        found = {"sp": self.settings.service_principal_id, "job": self.settings.job_id} | params
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        asked = query or {}
        address = f"http://127.0.0.1/v1.0/x?{urlencode(asked)}"
        request = func.HttpRequest(
            "POST", address, body=content, headers=headers or {}, route_params=found, params=asked
        )
        more = {"client": self.client} if client else {}
        return await functions_of(function_app.app)[name].get_user_function()(req=request, **more)

    async def start(self, **params: str) -> func.HttpResponse:
        return await self.request("start_job", client=True, **params)


@pytest.fixture
def place(tmp_path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    function_app.process.use(open_from_environment)


def run(place: Place, story) -> None:
    async def whole() -> None:
        place.app = await function_app.process.app()
        async with offering(place.host) as place.client:
            await story()
        await place.app.close()

    asyncio.run(whole())


def error_of(response: func.HttpResponse) -> dict[str, Any]:
    return json.loads(response.get_body())["error"]


# --- the timer ----------------------------------------------------------------------------------


def test_a_tick_starts_nothing_until_the_schedule_of_the_job_says_so(place):
    async def story() -> None:
        await place.tick()
        first = await place.host.finish(place.instance_id)
        assert first.output["kind"] == "initial"
        for minutes in (5, 39):
            place.ahead = minutes * 60.0
            await place.tick(past_due=True)
            assert place.host.instances[place.instance_id] is first
        place.ahead = 41 * 60.0
        await place.tick()
        assert (await place.host.finish(place.instance_id)).output["kind"] == "incremental"

    run(place, story)


def test_a_tick_leaves_a_running_orchestration_alone_however_long_it_takes(place):
    async def story() -> None:
        await place.tick()
        running = place.host.instances[place.instance_id]
        await place.host.step(place.instance_id)
        place.ahead = DAY
        await place.tick()
        assert place.host.instances[place.instance_id] is running

    run(place, story)


def test_a_tick_leaves_a_cycle_alone_that_somebody_runs_elsewhere(place):
    async def story() -> None:
        await place.app.engine.begin_cycle()
        await place.tick()
        assert place.host.instances == {}

    run(place, story)


def test_a_tick_resumes_the_cycle_of_an_orchestration_that_is_gone(place):
    async def story() -> None:
        await place.tick()
        for _ in range(4):
            await place.host.step(place.instance_id)
        cycle = place.host.instances[place.instance_id].custom_status["cycle"]
        place.host.instances.clear()  # the task hub was deleted
        place.ahead = 16 * 60.0
        await place.tick()
        done = await place.host.finish(place.instance_id)
        assert (done.output["cycle"], done.output["finished"]) == (cycle, True)

    run(place, story)


# --- start --------------------------------------------------------------------------------------


def test_start_answers_as_graph_does_and_a_second_one_is_refused_while_it_runs(place):
    async def story() -> None:
        response = await place.start()
        assert (response.status_code, response.get_body()) == (204, b"")
        running = place.host.instances[place.instance_id]
        for _ in range(2):
            refused = await place.start()
            assert refused.status_code == 409
            assert error_of(refused)["code"] == "Conflict"
            await place.host.step(place.instance_id)
        assert place.host.instances[place.instance_id] is running
        assert (await place.host.finish(place.instance_id)).output["finished"]
        assert (await place.start()).status_code == 204

    run(place, story)


def test_start_is_refused_while_a_command_line_has_the_job(place):
    async def story() -> None:
        await place.app.engine.begin_cycle()
        assert (await place.start()).status_code == 409
        assert place.host.instances == {}

    run(place, story)


def test_of_two_starts_at_once_one_starts_a_cycle(place):
    async def story() -> None:
        responses = await asyncio.gather(*(place.start() for _ in range(4)))
        assert sorted(each.status_code for each in responses) == [204, 409, 409, 409]
        assert (await place.host.finish(place.instance_id)).output["finished"]

    run(place, story)


def test_a_start_that_durable_refuses_gives_the_job_back(place):
    async def story() -> None:
        place.host.accepts = False
        refused = await place.start()
        assert (refused.status_code, error_of(refused)["code"]) == (500, "InternalServerError")
        assert "hub" not in error_of(refused)["message"]  # what happened is in the log, under the request's id
        place.host.accepts = True
        assert (await place.start()).status_code == 204

    run(place, story)


@pytest.mark.parametrize("params", [{"sp": "00000000-0000-0000-0000-000000000000"}, {"job": "ServiceNowOutDelta.x"}])
@pytest.mark.parametrize("name", ["start_job", "get_job", "provision_on_demand"])
def test_another_application_or_job_does_not_exist_here(place, name, params):
    async def story() -> None:
        headers = {"client-request-id": "mine"}
        response = await place.request(name, client=name == "start_job", headers=headers, **params)
        error = error_of(response)
        assert (response.status_code, error["code"]) == (404, "Request_ResourceNotFound")
        assert error["innerError"]["client-request-id"] == "mine"
        assert error["innerError"]["request-id"] == response.headers["request-id"]
        assert place.host.instances == {}

    run(place, story)


def test_start_takes_back_a_pause_while_the_cycle_goes_on_that_the_pause_let_end(place):
    async def story() -> None:
        await place.start()
        running = place.host.instances[place.instance_id]
        await place.host.step(place.instance_id)
        assert (await place.request("pause_job")).status_code == 204
        assert (await place.start()).status_code == 204
        assert (await place.start()).status_code == 409, "nothing is left to take back"
        assert place.host.instances[place.instance_id] is running
        await place.host.finish(place.instance_id)
        place.ahead = DAY
        await place.tick()
        assert place.host.instances[place.instance_id] is not running

    run(place, story)


def test_start_takes_back_a_pause_while_a_command_line_has_the_job(place):
    async def story() -> None:
        await place.app.engine.begin_cycle()
        await place.request("pause_job")
        assert (await place.start()).status_code == 204
        assert place.host.instances == {}
        assert (await place.start()).status_code == 409

    run(place, story)


# --- deleting -----------------------------------------------------------------------------------


def test_a_deleted_job_is_forgotten_stays_paused_and_begins_anew_only_when_it_is_started(place):
    async def story() -> None:
        await place.start()
        await place.host.finish(place.instance_id)
        accounts = len(place.instance.rows("sys_user"))
        writes = dict(place.instance.counts)
        response = await place.request("delete_job")
        assert (response.status_code, response.get_body()) == (204, b"")
        assert dict(place.instance.counts) == writes, "ServiceNow is not asked for anything"
        job = json.loads((await place.request("get_job")).get_body())
        assert (job["status"]["code"], job["schedule"]["state"]) == ("Paused", "Paused")
        assert job["status"]["synchronizedEntryCountByType"] == []
        first = place.host.instances[place.instance_id]
        place.ahead = DAY
        await place.tick()
        assert place.host.instances[place.instance_id] is first
        assert (await place.request("delete_job")).status_code == 204
        assert json.loads((await place.request("get_provisioning_logs")).get_body())["value"]
        place.ahead = 31 * DAY
        await place.tick()
        assert not json.loads((await place.request("get_provisioning_logs")).get_body())["value"], "retention"
        assert (await place.start()).status_code == 204
        assert (await place.host.finish(place.instance_id)).output["kind"] == "initial"
        assert len(place.instance.rows("sys_user")) == accounts, "nobody twice"

    run(place, story)


def test_a_job_whose_cycle_runs_is_not_deleted(place):
    async def story() -> None:
        await place.start()
        await place.host.step(place.instance_id)
        refused = await place.request("delete_job")
        assert (refused.status_code, error_of(refused)["code"]) == (409, "Conflict")
        assert (await place.host.finish(place.instance_id)).output["finished"]

    run(place, story)


# --- logs ---------------------------------------------------------------------------------------


def test_the_log_is_answered_page_by_page_with_a_link_to_the_next(place):
    async def story() -> None:
        await place.start()
        await place.host.finish(place.instance_id)
        query = {"$filter": "provisioningAction eq 'create'", "$top": "5"}
        seen: list[str] = []
        while query:
            page = json.loads((await place.request("get_provisioning_logs", query=query)).get_body())
            assert page["@odata.context"] == "http://127.0.0.1/v1.0/$metadata#auditLogs/provisioning"
            assert all(entry["provisioningAction"] == "create" for entry in page["value"])
            seen += [entry["id"] for entry in page["value"]]
            query = dict(parse_qsl(urlsplit(page.get("@odata.nextLink", "")).query))
        everything = json.loads((await place.request("get_provisioning_logs", query={"$top": "1000"})).get_body())
        assert seen == [e["id"] for e in everything["value"] if e["provisioningAction"] == "create"]
        assert len(seen) > 5

    run(place, story)


@pytest.mark.parametrize("query", [{"$filter": "x eq 1"}, {"$top": "0"}, {"$top": "ten"}, {"$select": "id"}])
@pytest.mark.parametrize("name", ["get_provisioning_logs", "get_audits"])
def test_a_query_that_cannot_be_answered_is_refused_and_says_why(place, name, query):
    async def story() -> None:
        response = await place.request(name, query=query)
        assert (response.status_code, error_of(response)["code"]) == (400, "Request_BadRequest")

    run(place, story)


def test_orders_over_http_are_in_the_audit_trail(place):
    async def story() -> None:
        for name in ("pause_job", "restart_job", "delete_job"):
            await place.request(name)
        audits = json.loads((await place.request("get_audits")).get_body())
        assert audits["@odata.context"].endswith("#auditLogs/directoryAudits")
        assert {entry["activityDisplayName"] for entry in audits["value"]} == {
            "Disable/pause provisioning configuration",
            "Enable/restart provisioning configuration",
            "Delete provisioning configuration",
        }
        actors = {entry["initiatedBy"]["user"]["displayName"] for entry in audits["value"]}
        assert actors == {"a caller with a key of the app"}

    run(place, story)


@pytest.mark.parametrize(
    ("environ", "name", "actor"),
    [
        ({"WEBSITE_AUTH_ENABLED": "True"}, "ada@contoso.com", "ada@contoso.com"),
        ({"WEBSITE_AUTH_ENABLED": "True"}, "", BY_KEY),
        ({"WEBSITE_AUTH_ENABLED": "True"}, "a\nb", BY_KEY),
        ({"WEBSITE_AUTH_ENABLED": "False"}, "mallory", BY_KEY),
        ({}, "mallory", BY_KEY),
    ],
)
def test_a_name_in_a_header_counts_only_where_the_platform_has_written_it(environ, name, actor):
    assert caller({"x-ms-client-principal-name": name}, environ) == actor


# --- status and on-demand -----------------------------------------------------------------------


def test_the_job_is_shown_before_while_and_after_its_first_cycle(place):
    async def status() -> dict[str, Any]:
        response = await place.request("get_job")
        assert response.status_code == 200
        return json.loads(response.get_body())

    async def story() -> None:
        before = await status()
        assert (before["id"], before["templateId"]) == (place.settings.job_id, "ServiceNowOutDelta")
        assert before["schedule"] == {"expiration": None, "interval": "PT40M", "state": "Active"}
        assert (before["status"]["code"], before["status"]["lastExecution"]) == ("NotRun", None)
        await place.start()
        while not (await status())["status"]["progress"]:
            await place.host.step(place.instance_id)
        assert (await status())["status"]["code"] == "Active"
        await place.host.finish(place.instance_id)
        after = (await status())["status"]
        execution = after["lastExecution"]
        assert execution["state"] in {"Succeeded", "EntryLevelErrors"}
        assert execution["countExported"] > 0
        assert after["lastSuccessfulExecutionWithExports"] == execution
        assert after["progress"] == []
        (users,) = (each["value"] for each in after["synchronizedEntryCountByType"] if each["key"] == "user to User")
        assert users == len(place.instance.rows("sys_user", "user_nameLIKE@"))

    run(place, story)


def test_the_job_says_why_its_last_cycle_failed(place):
    async def story() -> None:
        place.directory.behaviour.permissions = frozenset()
        await place.start()
        await place.host.finish(place.instance_id)
        status = json.loads((await place.request("get_job")).get_body())["status"]
        assert status["countSuccessiveCompleteFailures"] == 1
        assert status["lastExecution"]["state"] == "Failed"
        assert status["lastExecution"]["error"]["tenantActionable"]
        assert "Graph" in status["lastExecution"]["error"]["message"]
        assert status["lastSuccessfulExecution"] is None

    run(place, story)


NOBODY = "00000000-0000-0000-0000-000000000000"


def subject(object_id: str, kind: str = "User", **more: Any) -> dict[str, Any]:
    asked = {"objectId": object_id, "objectTypeName": kind, **more}
    return {"parameters": [{"ruleId": "any", "subjects": [asked]}]}


def member(object_id: str, kind: str = "User") -> dict[str, str]:
    return {"objectId": object_id, "objectTypeName": kind}


async def on_demand(place: Place, body: Any, **headers: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two documents of the answer."""
    response = await place.request("provision_on_demand", body=body, headers=headers)
    assert response.status_code == 200, response.get_body()
    answer = json.loads(response.get_body())
    return json.loads(answer["key"]), json.loads(answer["value"])


def staff(place: Place, *names: str) -> tuple[str, list[str]]:
    """A new group that is assigned, and its members."""
    users = [
        place.directory.add_user(userPrincipalName=f"{name}@contoso.com", displayName=name, accountEnabled=True)
        for name in names
    ]
    group = place.directory.add_group(displayName="Night Shift", securityEnabled=True, members=users)
    place.directory.assign(group)
    return group, users


def test_a_group_on_demand_is_answered_with_each_of_its_members_and_what_failed_of_them(place):
    async def story() -> None:
        group, (ada, bob) = staff(place, "ada", "bob")
        rule = {"name": "No", "collection": "sys_user", "active": "true", "abort_action": "true"}
        place.instance.insert("sys_script", {**rule, "action_insert": "true", "filter_condition": "user_nameLIKEbob"})
        key, value = await on_demand(place, subject(group, "Group"))
        assert (value["action"], value["statusInfo"]["status"]) == ("Create", "Success")
        assert (key["result"], key["details"]["errorCode"]) == ("Failure", "NotPermitted")
        assert key["details"]["errorMessage"].startswith("1 of 4 members and memberships failed; the first: ")
        told = {(each["sourceIdentity"]["type"], each["sourceIdentity"]["id"]): each for each in value["members"]}
        assert {which: each["result"] for which, each in told.items()} == {
            ("User", ada): "Success",
            ("User", bob): "Failure",
            ("GroupMembership", f"{group}:{ada}"): "Success",
            ("GroupMembership", f"{group}:{bob}"): "Skipped",
        }
        assert told["User", bob]["statusInfo"]["errorCode"] == "NotPermitted"
        assert told["User", bob]["provisioningSteps"][-1]["status"] == "Failure"

    run(place, story)


def test_of_a_group_on_demand_only_the_members_that_are_named_are_written(place):
    async def story() -> None:
        group, (_, bob, _) = staff(place, "ada", "bob", "cid")
        key, value = await on_demand(place, subject(group, "Group", links={"members": [member(bob)]}))
        assert key == {"result": "Success", "details": {}}
        assert {each["sourceIdentity"]["id"] for each in value["members"]} == {bob, f"{group}:{bob}"}
        assert [row["user_name"] for row in place.instance.rows("sys_user", "user_nameLIKE@")] == ["bob@contoso.com"]
        _, value = await on_demand(place, subject(group, "Group", links={"members": []}))
        assert value["members"] == []
        _, value = await on_demand(place, subject(group, "Group", links={"members": None}))
        assert len(value["members"]) == 6

    run(place, story)


def test_a_connection_that_servicenow_refuses_is_a_step_that_failed(place):
    async def story() -> None:
        place.instance.faults.add("POST token", "unauthorized", times=None)
        key, value = await on_demand(place, subject(next(iter(place.directory.users))))
        assert (key["result"], key["details"]["errorCode"]) == ("Failure", "ServiceNowCredentialsValidation")
        (step,) = value["provisioningSteps"]
        assert (step["name"], step["status"]) == ("TestConnection", "Failure")
        assert value["statusInfo"]["recommendedAction"].startswith("operator: ")
        assert value["modifiedProperties"] == []

    run(place, story)


def test_the_log_names_who_has_asked_for_it(place, monkeypatch):
    async def initiators() -> list[tuple[str, str]]:
        response = await place.request("get_provisioning_logs", query={"$orderby": "activityDateTime asc"})
        entries = json.loads(response.get_body())["value"]
        return list(
            dict.fromkeys((e["initiatedBy"]["initiatorType"], e["initiatedBy"]["displayName"]) for e in entries)
        )

    async def story() -> None:
        _, people = staff(place, "ada", "bob")
        for one in people:
            place.directory.assign(one)
        await on_demand(place, subject(people[0]))
        monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
        await on_demand(place, subject(people[1]), **{"x-ms-client-principal-name": "ada@contoso.com"})
        assert await initiators() == [("application", BY_KEY), ("user", "ada@contoso.com")]
        await place.start()
        await place.host.finish(place.instance_id)
        assert (await initiators())[2:] == [("system", "Provisioning Service")]

    run(place, story)


def test_the_cycles_are_listed_page_by_page_newest_first(place):
    async def pages(top: str) -> list[dict[str, Any]]:
        found, query = [], {"$top": top}
        while True:
            page = json.loads((await place.request("list_executions", query=query)).get_body())
            assert len(page["value"]) <= int(top)
            found += page["value"]
            if "@odata.nextLink" not in page:
                return found
            query = dict(parse_qsl(urlsplit(page["@odata.nextLink"]).query))

    async def story() -> None:
        assert await pages("5") == []
        for minutes in (0, 41, 82):
            place.ahead = minutes * 60.0
            await place.start()
            await place.host.finish(place.instance_id)
        cycles = await pages("1")
        assert len(cycles) == 3
        assert cycles == await pages("2") == await pages("3") == await pages("999")
        assert [each["timeBegan"] for each in cycles] == sorted((e["timeBegan"] for e in cycles), reverse=True)
        assert cycles[2]["countExported"] > cycles[1]["countExported"] == 0
        last = json.loads((await place.request("get_job")).get_body())["status"]["lastExecution"]
        assert cycles[0] == {"@odata.type": "#microsoft.graph.synchronizationTaskExecution", **last}
        for query in ({"$top": "0"}, {"$top": "1000"}, {"$skiptoken": "nonsense"}, {"$skiptoken": "AAAA"}):
            assert (await place.request("list_executions", query=query)).status_code == 400
        assert (await place.request("list_executions", job="another")).status_code == 404

    run(place, story)


def test_somebody_is_provisioned_on_demand_while_a_cycle_runs(place):
    async def story() -> None:
        await place.start()
        await place.host.step(place.instance_id)
        users = [one for one in place.directory.users if place.directory.objects[one].attributes.get("accountEnabled")]
        response = await place.request("provision_on_demand", body=subject(users[0]))
        answer = json.loads(response.get_body())
        assert response.status_code == 200
        assert json.loads(answer["key"])["result"] in {"Success", "Skipped"}
        assert json.loads(answer["value"])["sourceIdentity"]["id"] == users[0]
        assert (await place.host.finish(place.instance_id)).output["finished"]

    run(place, story)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"{",
        b"[]",
        {"parameters": []},
        {"parameters": [{"subjects": []}]},
        {"parameters": [{"subjects": [{"objectId": "x"}]}]},
        subject("not-a-guid"),
        subject("00000000-0000-0000-0000-000000000000", "Device"),
        subject("00000000-0000-0000-0000-000000000000", links={"members": []}),
        subject("00000000-0000-0000-0000-000000000000", "Group", links=["members"]),
        subject("00000000-0000-0000-0000-000000000000", "Group", links={"members": "all"}),
        subject("00000000-0000-0000-0000-000000000000", "Group", links={"members": [{"objectId": "x"}]}),
        subject("00000000-0000-0000-0000-000000000000", "Group", links={"members": [member("x")]}),
        subject("00000000-0000-0000-0000-000000000000", "Group", links={"members": [member(NOBODY, "Group")]}),
        {"parameters": [{"subjects": [1]}]},
        {"parameters": "text"},
    ],
)
def test_a_body_that_names_no_object_is_refused(place, body):
    async def story() -> None:
        response = await place.request("provision_on_demand", body=body)
        assert (response.status_code, error_of(response)["code"]) == (400, "Request_BadRequest")

    run(place, story)


def test_nobody_of_that_id_is_not_found(place):
    async def story() -> None:
        body = subject("00000000-0000-0000-0000-000000000000")
        response = await place.request("provision_on_demand", body=body)
        assert (response.status_code, error_of(response)["code"]) == (404, "Request_ResourceNotFound")

    run(place, story)


def test_a_side_that_is_down_answers_503_and_names_the_side(place):
    async def story() -> None:
        place.directory.behaviour.faults.add(Fail(403), "*", times=10)
        body = subject(next(iter(place.directory.users)))
        response = await place.request("provision_on_demand", body=body)
        assert response.status_code == 503
        assert "Graph" in error_of(response)["message"]

    run(place, story)


# --- what the worker and the host ask of an app -------------------------------------------------

ANNOTATIONS = {
    "timerTrigger": func.TimerRequest,
    "httpTrigger": func.HttpRequest,
    "activityTrigger": dict,
    "durableClient": str,  # the SDK puts it there
}


def bindings() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for name, function in functions_of(function_app.app).items():
        for binding in function.get_bindings():
            yield name, function, binding.get_dict_repr()


def test_functions_have_names_that_the_host_takes():
    names = list(functions_of(function_app.app))
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]{0,127}", name) for name in names)
    assert len(names) == len(set(names)) == len(ROUTES) + len(PAGES) + 5  # tick, cycle and its three activities


def test_parameters_are_named_and_annotated_as_the_worker_wants_them():
    for name, function, binding in bindings():
        if binding["type"] == "orchestrationTrigger":
            assert binding["name"] == "context"
        elif binding["type"] in ANNOTATIONS:
            annotations = function.get_user_function().__annotations__
            assert annotations[binding["name"]] is ANNOTATIONS[binding["type"]], name


def test_functions_that_wait_or_have_a_durable_client_are_coroutines():
    for name, function, binding in bindings():
        if binding["type"] != "orchestrationTrigger":
            assert asyncio.iscoroutinefunction(function.get_user_function()), name


def test_routes_are_not_those_of_the_host_and_never_two_alike():
    triggers = [each for _, _, each in bindings() if each["type"] == "httpTrigger"]
    routes = [(each["route"], method) for each in triggers for method in each["methods"]]
    assert len(routes) == len(set(routes))
    assert not [route for route, _ in routes if route.startswith(("admin", "runtime"))]


def test_nobody_gets_in_without_a_key_except_to_health():
    levels = {name: each["authLevel"] for name, _, each in bindings() if each["type"] == "httpTrigger"}
    assert {name for name, level in levels.items() if level != func.AuthLevel.FUNCTION} == {"health"}


def test_the_timer_has_its_schedule_from_the_settings_and_remembers_it():
    (timer,) = (each for _, _, each in bindings() if each["type"] == "timerTrigger")
    assert timer["schedule"] == "%PROVISIONING_SCHEDULE%"
    assert timer["useMonitor"] is True


def test_the_app_is_indexed_without_loading_either_side():
    heavy = ("msgraph", "kiota_abstractions", "msal", "azure.data.tables", "azure.identity", "httpx")
    script = f"import sys, function_app as f; f.app.get_functions(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# --- object connections -------------------------------------------------------------------------


def test_object_connections_are_listed_page_by_page_and_found_by_either_id(place):
    async def story() -> None:
        await place.start()
        await place.host.finish(place.instance_id)
        users = await all_connections(place, "1")
        assert users == await all_connections(place, "999")
        assert len({each["objectId"] for each in users}) == len(users) > 1
        one = users[0]
        assert one.keys() == {
            *("@odata.type", "objectId", "objectTypeName", "sourceAnchor", "targetAnchor", "displayName")
        }
        for name in (one["objectId"], one["targetAnchor"]):
            found = await place.request("get_object_connection", id=name)
            assert json.loads(found.get_body()) == one
        assert (await place.request("get_object_connection", id=ADA_OF_NOWHERE)).status_code == 404

    run(place, story)


ADA_OF_NOWHERE = "00000000-0000-0000-0000-00000000ada0"


async def all_connections(place: Place, top: str) -> list[dict[str, Any]]:
    found, query = [], {"$top": top}
    while True:
        response = await place.request("list_object_connections", query=query)
        assert response.status_code == 200
        page = json.loads(response.get_body())
        assert len(page["value"]) <= int(top)
        found += page["value"]
        if "@odata.nextLink" not in page:
            return found
        query = dict(parse_qsl(urlsplit(page["@odata.nextLink"]).query))


@pytest.mark.parametrize("query", [{"$top": "0"}, {"$top": "x"}, {"$skiptoken": "nonsense"}, {"$skiptoken": "AAAA"}])
def test_a_page_of_object_connections_that_cannot_be_is_refused(place, query):
    async def story() -> None:
        assert (await place.request("list_object_connections", query=query)).status_code == 400

    run(place, story)


def test_an_object_connection_is_deleted_only_while_the_job_is_paused_and_matched_again_after(place):
    async def story() -> None:
        await place.start()
        await place.host.finish(place.instance_id)
        (one, *_) = await all_connections(place, "1")
        assert (await place.request("delete_object_connection", id=one["objectId"])).status_code == 409
        await place.request("pause_job")
        for _ in range(2):
            assert (await place.request("delete_object_connection", id=one["objectId"])).status_code == 204
        assert (await place.request("get_object_connection", id=one["objectId"])).status_code == 404
        await place.start()
        await place.host.finish(place.instance_id)
        again = await place.request("get_object_connection", id=one["objectId"])
        assert json.loads(again.get_body()) == one

    run(place, story)
