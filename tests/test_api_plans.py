"""Beyond Microsoft's API: what the next run would do and a person's word on it, why somebody is as they are, looking at
somebody again, links, waiting references and numbers for a monitor. Every answer is held against our own description.
"""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from jsonschema import Draft202012Validator

from provisioning.api.answers import Refusal
from provisioning.api.doors import KeyedDoor
from provisioning.api.openapi import document
from provisioning.api.plans import make_plan
from provisioning.api.responding import respond
from provisioning.api.routes import ROUTES
from provisioning.api.routing import Host, Request, Route
from provisioning.errors import Throttled
from tests.api_place import WHO, ApiPlace, error_of

DESCRIPTION = document(ROUTES, {})


@pytest.fixture
def place(tmp_path) -> ApiPlace:
    return ApiPlace(tmp_path)


@pytest.fixture
def guarded(tmp_path) -> ApiPlace:
    return ApiPlace(tmp_path, REMOVAL_LIMIT="1", REMOVAL_SHARE="1%")


def fitting(route: str, response: httpx.Response) -> dict:
    """The answer, which has the shape that the route gives."""
    operation = next(
        each for path in DESCRIPTION["paths"].values() for each in path.values() if each["operationId"] == route
    )
    assert str(response.status_code) in operation["responses"], response.text
    schema = operation["responses"][str(response.status_code)]["content"]["application/json"]["schema"]
    found = response.json()
    whole = {**schema, "components": DESCRIPTION["components"]}
    assert [error.message for error in Draft202012Validator(whole).iter_errors(found)] == []
    return found


async def some_leave(place: ApiPlace, client) -> None:
    await place.cycle(client)
    for user in list(place.directory.users)[:8]:
        place.directory.delete_user(user)


def test_a_dry_run_says_what_the_next_cycle_does_and_does_nothing(place):
    async def story(client):
        planned = fitting("make_plan", await client.post(f"{place.job}/plan?$top=5", json={}))
        before = place.accounts()
        await place.cycle(client)
        again = fitting("make_plan", await client.post(f"{place.job}/plan"))
        return planned, before, again

    planned, before, again = place.run_plainly(story)
    assert before == 0
    assert planned["counts"]["users"]["created"] == place.accounts() > 5
    assert (len(planned["value"]), planned["more"], planned["planId"]) == (5, True, None)
    assert {each["action"] for each in planned["value"]} == {"create"}
    assert (again["value"], again["counts"]["users"]["created"]) == ([], 0)


def test_a_dry_run_that_takes_too_long_says_how_else_to_have_it(place):
    async def story(client):
        del client
        params = {"sp": place.settings.service_principal_id, "job": place.settings.job_id}
        request = Request("POST", "http://127.0.0.1/plan", params, {}, {}, b"", WHO)
        with pytest.raises(Refusal, match="python -m provisioning plan") as refused:
            await make_plan(request, place.host, longest=0.001)
        return refused.value.status

    assert place.run_plainly(story) == 503


async def ask_for_a_pause(request: Request, host: Host) -> None:
    del request, host
    raise Throttled("the instance asks for a pause", retry_after=2.2)


def test_a_pause_that_the_other_side_asks_for_is_passed_on(place):
    route = Route("any", "GET", "any", None, ask_for_a_pause)
    request = Request("GET", "http://127.0.0.1/any", {}, {}, {}, b"")
    reply = asyncio.run(respond(route, request, place.host, KeyedDoor()))
    assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
    assert json.loads(reply.body)["error"]["innerError"]["request-id"] == reply.headers["request-id"]


def test_a_dry_run_with_another_schema_says_what_that_would_change(place):
    async def story(client):
        await place.cycle(client)
        schema = (await client.get(f"{place.job}/schema")).json()
        attributes = schema["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
        title = next(each for each in attributes if each["targetAttributeName"] == "title")
        title["source"] = {"type": "Constant", "name": "Worker", "expression": '"Worker"', "parameters": []}
        planned = fitting("make_plan", await client.post(f"{place.job}/plan", json={"schema": schema}))
        return planned, (await client.post(f"{place.job}/plan", json={"schema": {"x": 1}})).status_code

    planned, refused = place.run_plainly(story)
    assert planned["counts"]["users"]["updated"] > 0
    assert all(set(each["fields"]) <= {"title"} for each in planned["value"] if each["object"] == "user")
    assert refused == 400


def test_held_removals_are_listed_page_by_page_approved_and_carried_out(guarded):
    place = guarded

    async def story(client):
        await some_leave(place, client)
        await place.cycle(client)
        address, listed = f"{place.job}/plan?$top=3", []
        while address:
            plan = fitting("get_plan", await client.get(address))
            listed += plan["value"]
            address = plan.get("@odata.nextLink")
        ruling = fitting("approve_plan", await client.post(f"{place.job}/approve", json={"planId": plan["planId"]}))
        waiting = fitting("get_plan", await client.get(f"{place.job}/plan"))
        await place.cycle(client)
        return listed, plan, ruling, waiting, fitting("get_plan", await client.get(f"{place.job}/plan"))

    listed, plan, ruling, waiting, after = place.run_plainly(story)
    users = [each for each in listed if each["object"] == "user"]
    assert len(users) == plan["held"]["counts"]["users"] > 3
    assert len({each["id"] for each in users}) == len(users)
    assert all(each["held"] for each in listed)
    assert (ruling["approves"], ruling["by"], ruling["planId"]) == (True, WHO, plan["planId"])
    assert waiting["ruling"] == ruling
    assert (after["planId"], after["value"]) == (None, [])


def test_held_removals_are_rejected_and_the_accounts_stay(guarded):
    place = guarded

    async def story(client):
        await some_leave(place, client)
        active = len(place.instance.rows("sys_user", "user_nameLIKE@^active=true"))
        await place.cycle(client)
        plan = (await client.get(f"{place.job}/plan")).json()
        ruling = fitting("reject_plan", await client.post(f"{place.job}/reject", json={"planId": plan["planId"]}))
        await place.cycle(client)
        left = (await client.get(f"{place.job}/plan")).json()
        return ruling, active, left

    ruling, active, left = place.run_plainly(story)
    assert not ruling["approves"]
    assert len(place.instance.rows("sys_user", "user_nameLIKE@^active=true")) == active
    assert left["planId"] is None


@pytest.mark.parametrize("body", [{}, {"planId": "x"}, {"planId": "0123456789ABCDEF"}, {"planId": 3}, []])
@pytest.mark.parametrize("word", ["approve", "reject"])
def test_what_is_no_plan_id_is_refused(place, word, body):
    async def story(client):
        return await client.post(f"{place.job}/{word}", json=body)

    response = place.run_plainly(story)
    assert (response.status_code, error_of(response)["code"]) == (400, "Request_BadRequest")


def test_somebody_is_explained_without_being_provisioned(place):
    user = next(iter(place.directory.users))

    async def story(client):
        found = fitting("explain", await client.post(f"{place.job}/explain", json={"object": user}))
        nobody = await client.post(f"{place.job}/explain", json={"object": "nobody@contoso.com"})
        return found, nobody.status_code, (await client.post(f"{place.job}/explain", json={})).status_code

    found, nobody, nothing = place.run_plainly(story)
    assert found["object"] == f"user:{user}"
    assert found["value"][0]["sourceIdentity"]["id"] == user
    assert (nobody, nothing, place.accounts()) == (404, 400, 0)


def test_somebody_is_looked_at_again_by_name_and_others_by_a_filter(place):
    user = next(iter(place.directory.users))

    async def story(client):
        await place.cycle(client)
        one = fitting("resync", await client.post(f"{place.job}/resync", json={"object": user}))
        wanted = {"filter": ["displayName IS NOT NULL"]}
        many = fitting("resync", await client.post(f"{place.job}/resync", json=wanted))
        refused = [
            {},
            {"object": user, "filter": ["a IS NULL"]},
            {"filter": ["nonsense"]},
            {"filter": ["a IS NULL"] * 21},
        ]
        return one, many, [(await client.post(f"{place.job}/resync", json=each)).status_code for each in refused]

    one, many, refused = place.run_plainly(story)
    assert one == {"type": "user", "id": user, "rejected": 0}
    assert many["users"] >= place.accounts() > 0
    assert refused == [400] * 4


def test_links_are_listed_by_type_and_shown_with_their_memberships(place):
    async def story(client):
        await place.cycle(client)
        address, users = f"{place.job}/links?type=user&$top=3", []
        while address:
            page = fitting("list_links", await client.get(address))
            users += page["value"]
            address = page.get("@odata.nextLink")
        groups = fitting("list_links", await client.get(f"{place.job}/links?type=group"))["value"]
        group = fitting("get_link", await client.get(f"{place.job}/links/{groups[0]['objectId']}"))
        same = fitting("get_link", await client.get(f"{place.job}/links/{groups[0]['targetAnchor']}"))
        wrong = [await client.get(f"{place.job}/links{each}") for each in ("?type=x", "?$skiptoken=x", "/nobody")]
        return users, groups, group, same, [each.status_code for each in wrong]

    users, groups, group, same, wrong = place.run_plainly(story)
    assert {each["objectTypeName"] for each in users} == {"User"}
    assert len({each["objectId"] for each in users}) == len(users) == place.accounts()
    assert {each["objectTypeName"] for each in groups} == {"Group"}
    assert group == same
    assert {each["group"] for each in group["memberships"]} == {group["objectId"]}
    assert wrong == [400, 400, 404]


def test_who_waits_for_whom_is_listed(place):
    boss, report = (place.directory.add_user(userPrincipalName=f"{name}@contoso.com") for name in ("boss", "report"))
    place.directory.set_manager(report, boss)
    place.directory.assign(report, place.directory.user_role_id)

    async def story(client):
        await place.cycle(client)
        return fitting("list_waiting", await client.get(f"{place.job}/waiting?$top=999"))

    found = place.run_plainly(story)
    assert [each["missing"] for each in found["value"] if each["id"] == report] == [boss]
    assert found["more"] is False


def test_numbers_are_told_as_prometheus_reads_them_and_as_json(place):
    async def story(client):
        empty = (await client.get("/metrics")).text
        await place.cycle(client)
        await client.post(f"{place.job}/pause")
        text = await client.get("/metrics", headers={"Accept": "text/plain"})
        numbers = await client.get("/metrics", headers={"Accept": "application/json"})
        return empty, text, fitting("metrics", numbers)

    empty, text, numbers = place.run_plainly(story)
    assert 'provisioning_job_status{status="NotRun"} 1\n' in empty
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert text.headers["request-id"]
    lines = text.text.splitlines()
    assert f'provisioning_objects_managed{{type="user"}} {place.accounts()}' in lines
    assert 'provisioning_job_status{status="Paused"} 1' in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names)), "the samples of one name stand together"
    told = {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}
    labelled = {
        each["name"] + ("{" + ",".join(f'{k}="{v}"' for k, v in each["labels"].items()) + "}" if each["labels"] else "")
        for each in numbers["value"]
    }
    assert told == labelled
    people = [row[name] for row in place.instance.rows("sys_user", "user_nameLIKE@") for name in ("user_name", "email")]
    people = [name for name in people if name]
    assert len(people) > 5
    assert not [name for name in people if name in text.text + json.dumps(numbers)]


def test_what_the_plan_lists_is_what_the_command_line_writes(guarded):
    """The same decision, in the same words, whoever asks."""
    place = guarded

    async def story(client):
        await some_leave(place, client)
        await place.cycle(client)
        stored = fitting("get_plan", await client.get(f"{place.job}/plan?$top=1000"))
        return stored, fitting("make_plan", await client.post(f"{place.job}/plan?$top=1000"))

    stored, dry = place.run_plainly(story)
    assert dry["planId"] == stored["planId"]
    held = [each for each in dry["value"] if each["held"]]
    assert {each["id"] for each in held} == {each["id"] for each in stored["value"]}
