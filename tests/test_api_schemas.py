"""The schema over HTTP: checked and stored as by `schema import`, audited, and in force from the next cycle on."""

from __future__ import annotations

import json

import pytest

from provisioning.schema import default_schema, dump, load_schema
from provisioning.schema.merge import merged
from tests.api_place import WHO, ApiPlace, error_of


@pytest.fixture
def place(tmp_path) -> ApiPlace:
    return ApiPlace(tmp_path)


def changed() -> dict:
    """The default schema with another department for everybody."""
    document = json.loads(json.dumps(dump(default_schema())))
    attributes = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    title = next(each for each in attributes if each["targetAttributeName"] == "title")
    title["source"] = {"type": "Constant", "name": "Worker", "expression": '"Worker"', "parameters": []}
    return document


def test_what_is_put_is_what_the_next_cycle_works_with(place):
    async def story(client):
        await place.cycle(client)
        assert (await client.put(f"{place.job}/schema", json=changed())).status_code == 204
        await place.cycle(client)
        return (await client.get("/v1.0/auditLogs/directoryAudits")).json()["value"]

    audits = place.run(story)
    assert {row["title"] for row in place.instance.rows("sys_user", "user_nameLIKE@^active=true")} == {"Worker"}
    (entry,) = [each for each in audits if each["activityDisplayName"] == "Update attribute mappings or scope"]
    assert entry["initiatedBy"]["user"]["displayName"] == WHO


def test_what_is_there_already_is_not_stored_again(place):
    async def story(client) -> list:
        for _ in range(2):
            known = (await client.get(f"{place.job}/schema")).json()
            assert (await client.put(f"{place.job}/schema", json=known)).status_code == 204
            assert (await client.patch(f"{place.job}/schema", json={})).status_code == 204
        return (await client.get("/v1.0/auditLogs/directoryAudits")).json()["value"]

    assert place.run(story) == []


def broken_expression(document: dict) -> None:
    mapping = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][0]
    mapping["source"] = {"type": "Function", "name": "Join", "expression": 'Join(" ", [mail]', "parameters": []}


def unknown_column(document: dict) -> None:
    document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][1]["targetAttributeName"] = "u_no"


def no_rules(document: dict) -> None:
    document["synchronizationRules"] = []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(broken_expression, "Join"), (unknown_column, "has no column u_no"), (no_rules, "no object mapping from User")],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_schema_that_cannot_be_worked_with_is_refused_and_nothing_is_stored(place, spoil, words, method):
    document = changed()
    spoil(document)

    async def story(client):
        response = await client.request(method, f"{place.job}/schema", json=document)
        return response, (await client.get(f"{place.job}/schema")).json()["id"]

    response, stored = place.run(story)
    assert (response.status_code, error_of(response)["code"], stored) == (400, "Request_BadRequest", "default")
    assert words in error_of(response)["message"]


def test_a_schema_that_reads_roles_is_refused_where_everybody_is_in_scope(place):
    document = changed()
    attribute = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][1]
    attribute["source"] = {
        "type": "Function",
        "name": "SingleAppRoleAssignment",
        "expression": "SingleAppRoleAssignment([appRoleAssignments])",
        "parameters": [],
    }

    async def story(client):
        await (await place.host.app()).engine.begin_cycle()  # so that the setting is not in force yet
        secrets = {"value": [{"key": "SyncAll", "value": "true"}]}
        assert (await client.put(f"{place.principal}/secrets", json=secrets)).status_code == 204
        return await client.put(f"{place.job}/schema", json=document)

    response = place.run(story)
    assert response.status_code == 400
    assert "SCOPE is all" in error_of(response)["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"[" * 50_000, b'{"synchronizationRules": 3}'])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_body_that_is_no_schema_is_the_callers_fault(place, method, body):
    async def story(client):
        return await client.request(method, f"{place.job}/schema", content=body)

    response = place.run_plainly(story)
    assert (response.status_code, error_of(response)["code"]) == (400, "Request_BadRequest")


def test_deleting_the_schema_brings_the_default_one_back(place):
    async def story(client):
        await client.put(f"{place.job}/schema", json={**changed(), "id": "mine"})
        assert (await client.get(f"{place.job}/schema")).json()["id"] == "mine"
        await client.delete(f"{place.job}/schema")
        return (await client.get(f"{place.job}/schema")).json()["id"]

    assert place.run(story) == "default"


def test_a_patch_leaves_what_it_does_not_name_and_replaces_what_it_does():
    known = dump(default_schema())
    given = json.loads(json.dumps(known))
    del given["directories"], given["version"]
    mapping = given["synchronizationRules"][0]["objectMappings"][1]
    del mapping["flowTypes"], mapping["enabled"]
    given["synchronizationRules"][0]["objectMappings"][0]["enabled"] = False
    before = json.dumps([known, given])
    found = merged(known, given)
    assert json.dumps([known, given]) == before
    assert (found["version"], found["directories"]) == (known["version"], known["directories"])
    first, second = found["synchronizationRules"][0]["objectMappings"]
    assert first["enabled"] is False
    assert second == known["synchronizationRules"][0]["objectMappings"][1]
    assert load_schema(found).group.enabled


@pytest.mark.parametrize(
    "given", [{"synchronizationRules": 3}, {"synchronizationRules": [3, None]}, {"synchronizationRules": [{"id": 1}]}]
)
def test_a_patch_of_any_form_is_merged_without_an_error(given):
    assert merged(dump(default_schema()), given)["synchronizationRules"] == given["synchronizationRules"]
    assert merged({"synchronizationRules": "x"}, given)["synchronizationRules"] == given["synchronizationRules"]


def test_an_expression_is_tried_at_the_jobs_time_and_with_the_tenants_domain(place):
    async def story(client):
        asked = [{"expression": "DefaultDomain()", "testInputObject": {"properties": []}}, {"expression": " "}]
        return [await client.post(f"{place.job}/schema/parseExpression", json=each) for each in asked]

    domain, empty = place.run_plainly(story)
    assert domain.json()["evaluationResult"] == [place.directory.domain]
    assert empty.status_code == 400
