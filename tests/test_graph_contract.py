"""What our adapter sends to Graph, and what our emulator answers, held against Microsoft's description of the API."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from provisioning.engine.on_demand import provision_on_demand
from tests.emulators.graph.behaviour import ExpireDelta, Throttle
from tests.graph_contract import Contract, ContractTransport, document
from tests.mappings import clause
from tests.test_cycle_stories import group_of, hire
from tests.test_scope_stories import with_user_filter
from tests.world import World, small_world

UNCOVERED = {
    "GET /groups/{id}/appRoleAssignments": "on demand asks whether a group is assigned itself; documented on its own "
    "page (group-list-approleassignments), as for users, and not part of the description",
}
"""What we send that the description leaves out, and why that is right."""


@dataclass
class Checked(World):
    contract: Contract = field(default_factory=Contract)

    def way_to_graph(self) -> Any:
        return ContractTransport(super().way_to_graph(), self.contract)


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as plain:
        yield Checked(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})


def checked(world: Checked) -> set[str]:
    """The calls that were held against the description, none of which deviates from it."""
    assert world.contract.violations == []
    assert world.contract.uncovered.keys() <= UNCOVERED.keys()
    return set(world.contract.checked)


def test_a_first_cycle_and_those_after_it_fit_the_description(world):
    boss = hire(world, "boss", department="Design", jobTitle="Chief")
    ada = hire(world, "ada", employeeType="Contractor", businessPhones=["+1 555"], officeLocation="Oslo")
    world.directory.set_manager(ada, boss)
    group = group_of(world, "Engineers", ada, boss)
    world.cycle()
    world.directory.update_user(ada, surname="King")
    world.directory.remove_member(group, boss)
    world.directory.unassign_principal(ada)
    world.cycle()
    world.directory.delete_user(ada)
    world.cycle()
    world.directory.restore_user(ada)
    world.cycle()
    world.directory.delete_user(ada)
    world.directory.purge_user(ada)
    world.directory.delete_group(group)
    world.cycle()
    assert checked(world) >= {
        "GET /users/delta()",
        "GET /groups/delta()",
        "GET /users",
        "GET /groups",
        "GET /servicePrincipals/{servicePrincipal-id}",
        "GET /servicePrincipals/{servicePrincipal-id}/appRoleAssignedTo",
        "POST /$batch",
    }


def test_a_tenant_of_many_pages_fits_the_description(world):
    world.directory.behaviour.delta_page_size = 5
    people = [hire(world, f"user{number}") for number in range(40)]
    group_of(world, "Engineers", *people)
    world.cycle()
    for user in people:
        world.directory.update_user(user, jobTitle="Analyst")
    world.cycle()
    checked(world)


def test_everybody_in_scope_fits_the_description(world):
    world.everyone = True
    for number in range(10):
        hire(world, f"user{number}", assigned=False)
    group_of(world, "Engineers", assigned=False)
    world.cycle()
    checked(world)


def test_nested_groups_roles_and_memberships_that_filters_name_fit_the_description(world):
    world.nested_groups = True
    ada, bob = hire(world, "ada", assigned=False), hire(world, "bob", assigned=False)
    inner = group_of(world, "Inner", ada, assigned=False)
    group_of(world, "Outer", inner)
    with_user_filter(world, [clause("memberOf", "EQUALS", inner)])
    world.cycle()
    world.directory.assign(bob, world.directory.user_role_id)
    world.cycle()
    checked(world)


def test_a_run_on_demand_fits_the_description(world):
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    for key in (ada, "ada@contoso.example", "Engineers"):
        world.run(provision_on_demand(world.engine(), key, write=True))
    assert "GET /users/{user-id}/appRoleAssignments" in checked(world)
    assert world.contract.uncovered.keys() == UNCOVERED.keys()  # nothing stands in the list that is not needed


@pytest.mark.parametrize("fault", ["throttled", "expired", "expired by code"])
def test_errors_fit_the_description_too(world, fault):
    hire(world, "ada")
    world.cycle()
    match fault:
        case "throttled":
            world.directory.behaviour.faults.add(Throttle("2"), "GET /users/delta", times=2)
        case "expired":
            world.directory.behaviour.faults.add(ExpireDelta("gone"), kind="GET /users/delta")
        case "expired by code":
            world.directory.behaviour.faults.add(ExpireDelta("sync-state-not-found"), kind="GET /users/delta")
    world.cycle()
    checked(world)


@pytest.mark.parametrize("path", ["/users/nobody@contoso.example", "/groups/00000000-0000-4000-8000-000000000000"])
def test_what_does_not_exist_is_told_as_described(world, path):
    async def ask():
        async with httpx.AsyncClient(transport=world.way_to_graph()) as client:
            headers = {"Authorization": "Bearer emulator-access-token"}
            return await client.get(f"http://127.0.0.1/v1.0{path}", headers=headers)

    assert world.run(ask()).status_code in {401, 404}
    checked(world)


# --- The check itself -----------------------------------------------------------------------------

GOOD = {"value": [{"id": "1", "displayName": "Ada", "accountEnabled": True, "businessPhones": []}]}


def answered(path: str, body: Any, *, method: str = "GET", status: int = 200, sent: Any = None) -> Contract:
    """A contract that has seen one call."""
    contract = Contract()
    inner = httpx.MockTransport(lambda _: httpx.Response(status, content=json.dumps(body) if body is not None else b""))

    async def ask():
        transport = ContractTransport(inner, contract)
        content = json.dumps(sent).encode() if sent is not None else None
        await transport.handle_async_request(httpx.Request(method, f"http://127.0.0.1/v1.0{path}", content=content))

    asyncio.run(ask())
    return contract


def test_a_good_answer_passes():
    contract = answered("/users?$select=id", GOOD)
    assert (contract.violations, dict(contract.checked)) == ([], {"GET /users": 1})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"value": [{"id": 1}]}, "is not of type 'string'"),
        ({"value": [{"id": "1", "accountEnabled": "true"}]}, "is not of type 'boolean'"),
        ({"value": [{"id": "1", "businessPhones": "+1"}]}, "is not of type 'array'"),
        ({"value": {"id": "1"}}, "is not of type 'array'"),
        ({"value": [], "nextLink": "x"}, "no member nextLink"),
        ({"value": [{"id": "1", "shoeSize": 42}]}, "no member shoeSize"),
        ({"value": [{"id": "1", "createdDateTime": "yesterday"}]}, "does not match"),
        (None, "without the body"),
    ],
)
def test_a_wrong_answer_is_noticed(body, words):
    contract = answered("/users", body)
    assert any(words in each for each in contract.violations), contract.violations


def test_wrong_requests_are_noticed():
    assert "no option $selekt" in str(answered("/users?$selekt=id", GOOD).violations)
    assert answered("/people", GOOD).uncovered == {"GET /people": 1}
    requests = [{"id": str(n), "method": "GET", "url": "/users"} for n in range(21)]
    batch = answered("/$batch", {"responses": []}, method="POST", sent={"requests": requests})
    assert "maxItems" in str(batch.violations)
    assert "item 0 has no answer" in str(batch.violations)
    assert "is not described" in str(answered("/users", GOOD, status=302).violations)


def test_the_items_of_a_batch_are_calls_of_their_own():
    sent = {"requests": [{"id": "1", "method": "GET", "url": "/users/1?$select=id"}]}
    body = {"responses": [{"id": "1", "status": 200, "body": {"id": "1", "accountEnabled": "yes"}}]}
    contract = answered("/$batch", body, method="POST", sent=sent)
    assert [each.split(":")[0] for each in contract.violations] == ["GET /users/{user-id} 200"]


def test_the_description_says_where_it_comes_from():
    assert "msgraph-sdk" in document()["info"]["description"]
