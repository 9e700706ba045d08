"""Answers of Graph that are not what they should be: each is an error of ours, and none is taken for an empty list, an
absent member or the end of a list. Fuzzing has found them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from provisioning.errors import ProvisioningError, Unavailable
from tests.graph_world import BASE_URL, World

LINK = f"{BASE_URL}/users/delta?$deltatoken=1"


@pytest.fixture
def world() -> Iterator[World]:
    with asyncio.Runner() as runner, World(runner) as found:
        yield found


def item(body: Any, **other: Any) -> str:
    return json.dumps({"responses": [{"id": "0", "status": 200, "body": body, **other}]})


@pytest.mark.parametrize("content", ["[" * 200_000, '{"value":' * 200_000, b'{"value":[\xff]}', b"\xed\xa0\x80"])
def test_json_that_cannot_be_read_is_unavailable(world, content):
    world.between.answer("delta", 200, content)
    with pytest.raises(Unavailable, match="not the JSON of Microsoft Graph"):
        world.ask(world.source.delta("user", LINK))


def test_half_a_character_becomes_a_question_mark(world):
    page = {"value": [{"id": "u1", "jobTitle": "a\ud800b \U0001f600"}], "@odata.deltaLink": f"{BASE_URL}/x"}
    world.between.answer("delta", 200, json.dumps(page))
    (change,) = world.ask(world.source.delta("user", LINK)).changes
    assert change.object.attributes["jobTitle"] == "a?b \U0001f600"


@pytest.mark.parametrize("responses", [5, "x", {"0": {}}, [5], [{"id": []}], [{"id": {}, "status": 200}]])
def test_a_batch_whose_items_cannot_be_told_apart_is_unavailable(world, responses):
    world.between.answer("/$batch", 200, json.dumps({"responses": responses}))
    with pytest.raises(Unavailable, match="left out 1 of 1"):
        world.ask(world.source.members(["g1"]))


@pytest.mark.parametrize("headers", [[], "x", 5, {"Retry-After": "\u0661 \u20ac"}, {"\u20ac": []}])
def test_headers_of_an_item_may_be_anything(world, headers):
    world.between.answer("/$batch", 200, item({"error": {}}, status=418, headers=headers))
    with pytest.raises(Unavailable, match="418"):
        world.ask(world.source.members(["g1"]))


@pytest.mark.parametrize("status", [None, "200", [], {}, [200], {"value": 200}])
def test_an_item_whose_status_is_no_number_is_unavailable(world, status):
    world.between.answer("/$batch", 200, item({"value": []}, status=status))
    with pytest.raises(Unavailable):
        world.ask(world.source.members(["g1"]))


@pytest.mark.parametrize("link", [5, [], {}, "", False, ["x"]])
@pytest.mark.parametrize("name", ["@odata.nextLink", "@odata.deltaLink"])
def test_a_link_that_is_no_address_is_not_the_end(world, name, link):
    page = {"value": [], "@odata.deltaLink": f"{BASE_URL}/users/delta?$deltatoken=x", name: link}
    world.between.answer("delta", 200, json.dumps(page))
    with pytest.raises(Unavailable, match="no address"):
        world.ask(world.source.delta("user", LINK))


@pytest.mark.parametrize("link", [5, [], "", False])
def test_a_list_of_members_does_not_end_with_a_link_that_is_no_address(world, link):
    world.between.answer("/$batch", 200, item({"value": [], "@odata.nextLink": link}))
    with pytest.raises(Unavailable, match="no address"):
        world.ask(world.source.members(["g1"]))


@pytest.mark.parametrize("link", ["http://[", f"{BASE_URL}/us\x00ers", f"{BASE_URL}/" + "x" * 100_000])
def test_a_link_that_cannot_be_asked_is_not_followed(world, link):
    with pytest.raises(Unavailable, match="not followed"):
        world.ask(world.source.delta("user", link))
    assert world.between.asked == []


def test_a_page_that_names_itself_as_the_next_one_is_not_read_for_ever(world):
    link = f"{BASE_URL}/users/delta?$skiptoken=x"
    world.between.answer("delta", 200, json.dumps({"value": [], "@odata.nextLink": link}), times=2)
    assert world.ask(world.source.delta("user", LINK)).next_link == link
    with pytest.raises(Unavailable, match="names itself"):
        world.ask(world.source.delta("user", link))


def test_a_list_in_a_batch_that_names_itself_as_the_next_page_is_not_read_for_ever(world):
    again = f"{BASE_URL}/groups/g1/members?$skiptoken=x"
    world.between.answer("/$batch", 200, item({"value": [], "@odata.nextLink": again}), times=2)
    with pytest.raises(Unavailable, match="names itself"):
        world.ask(world.source.members(["g1"]))


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "u1", "@removed": "deleted"},
        {"id": "u1", "@removed": None},
        {"id": "u1", "manager@delta": "x"},
        {"id": "u1", "manager@delta": [5]},
        {"id": "u1", "members@delta": {"id": "u2"}},
        {"id": "u1", "members@delta": ["@removed"]},
        {"id": "u1", "members@delta": [{"id": "u2", "@odata.type": []}]},
        {"id": 5},
    ],
)
def test_an_entry_of_delta_of_another_form_is_unavailable(world, entry):
    page = {"value": [entry], "@odata.deltaLink": f"{BASE_URL}/x"}
    world.between.answer("delta", 200, json.dumps(page))
    with pytest.raises(Unavailable, match="incomplete JSON"):
        world.ask(world.source.delta("group", LINK))


@pytest.mark.parametrize("name", ["principalId", "principalType", "appRoleId"])
@pytest.mark.parametrize("value", [None, 5, [], {}, "", ["x"]])
def test_an_assignment_without_one_of_its_parts_is_nobodys_loss(world, name, value):
    row = {"principalId": "p", "principalType": "User", "appRoleId": "r", name: value}
    world.between.answer("/appRoleAssignedTo", 200, json.dumps({"value": [row]}))
    with pytest.raises(Unavailable, match=f"lacks its {name}"):
        world.ask(world.source.assignments(None))


@pytest.mark.parametrize("found", [{}, {"id": None}, {"id": ["u1"]}])
def test_a_member_whose_id_cannot_be_read_does_not_prove_that_somebody_is_none(world, found):
    world.between.answer("/$batch", 200, item({"value": [found]}))
    with pytest.raises(Unavailable, match="lacks its id"):
        world.ask(world.source.are_members([("g1", "u1")]))


@pytest.mark.parametrize("manager", ["x", 5, {}, {"id": None}, []])
def test_a_manager_of_another_form_is_unavailable(world, manager):
    world.between.answer("/$batch", 200, item({"value": [{"id": "u1", "manager": manager}]}))
    with pytest.raises(Unavailable, match="incomplete JSON"):
        world.ask(world.source.users(["u1"]))


@pytest.mark.parametrize("roles", ["x", 5, ["x"], [{}], [{"id": 5}], [{"id": "r", "value": []}]])
def test_app_roles_of_another_form_are_not_an_application_without_roles(world, roles):
    body = {"id": "sp", "appRoles": roles}
    world.between.answer(world.tenant.service_principal_id, 200, json.dumps(body))
    with pytest.raises(Unavailable, match="incomplete JSON"):
        world.ask(world.source.service_principal())


@pytest.mark.parametrize("role", [{"isEnabled": None}, {"isEnabled": 0}, {"allowedMemberTypes": "x"}, {}])
def test_a_role_is_switched_off_only_by_saying_so(world, role):
    body = {"id": "sp", "appRoles": [{"id": "r", **role}]}
    world.between.answer(world.tenant.service_principal_id, 200, json.dumps(body))
    assert world.ask(world.source.service_principal()).roles[0].enabled


@pytest.mark.parametrize("domains", ["x", [5], [{"isDefault": True}], [{"isDefault": True, "name": 5}]])
def test_verified_domains_of_another_form_are_unavailable(world, domains):
    world.between.answer("/organization", 200, json.dumps({"value": [{"id": "o", "verifiedDomains": domains}]}))
    with pytest.raises(Unavailable, match="incomplete JSON"):
        world.ask(world.source.default_domain())


@pytest.mark.parametrize("location", ["http://[", "//", "x", "javascript:x", "http:x", "http://127.0.0.1:0x50/"])
def test_a_redirection_to_nowhere_is_unavailable(world, location):
    world.between.answer("delta", 307, b"", Location=location)
    with pytest.raises(ProvisioningError):
        world.ask(world.source.delta("user", LINK))


def test_an_id_of_a_request_that_is_no_text_is_not_quoted(world):
    error = {"error": {"code": "x", "innerError": {"request-id": {"secret": 1}}}}
    world.between.answer("delta", 418, json.dumps(error))
    with pytest.raises(Unavailable) as raised:
        world.ask(world.source.delta("user", LINK))
    assert "secret" not in str(raised.value)
