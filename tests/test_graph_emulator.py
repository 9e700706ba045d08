"""What the Graph emulator promises, asked over HTTP as a client would. Where Microsoft's own clients can be
used, they are: the SDK for a page, a batch of options and an error, msal for a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable

import httpx
import msal
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulators.graph import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    Duplicate,
    EmptyList,
    EmptyPage,
    ExpireDelta,
    ExpirePage,
    Fail,
    Late,
    Replay,
    ResetConnection,
    Slow,
    Tenant,
    TenantError,
    Throttle,
    UnknownRemoved,
    create_app,
)
from tests.emulators.tenant import COMPANIES, DEPARTMENTS, OFFICES, seed

with warnings.catch_warnings():
    # kiota warns of its own GetQueryParameters as it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kiota_abstractions.authentication import (
        AccessTokenProvider,
        AllowedHostsValidator,
        BaseBearerTokenAuthenticationProvider,
    )
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder

BASE = "https://graph.microsoft.com/v1.0"


class Graph:
    """A client of the emulator, in process and without async in the tests."""

    def __init__(self, tenant: Tenant, **options) -> None:
        self.tenant = tenant
        self.app = create_app(tenant, **options)
        self.headers = {"Authorization": f"Bearer {ACCESS_TOKEN}"}

    def send(self, method: str, url: str, **options) -> httpx.Response:
        async def once() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, url, **options)

        return asyncio.run(once())

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=self.headers)

    def response(self, url: str, **headers: str) -> httpx.Response:
        return self.send("GET", url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, url: str, **headers: str) -> dict:
        response = self.response(url, **headers)
        assert response.status_code == 200, response.text
        return response.json()

    def error(self, url: str, **headers: str) -> tuple[int, str]:
        response = self.response(url, **headers)
        return response.status_code, response.json()["error"]["code"]

    def batch(self, *requests: dict) -> dict[str, dict]:
        response = self.send("POST", "/$batch", json={"requests": list(requests)})
        assert response.status_code == 200, response.text
        return {item["id"]: item for item in response.json()["responses"]}

    def control(self, method: str, path: str, body: dict | None = None) -> dict:
        response = self.send(method, f"https://graph.microsoft.com/_emulator{path}", json=body or {})
        assert response.status_code == 200, response.text
        return response.json()

    def pages(self, url: str, **headers: str) -> list[dict]:
        found = [self.get(url, **headers)]
        while "@odata.nextLink" in found[-1]:
            found.append(self.get(found[-1]["@odata.nextLink"], **headers))
        return found

    def round(self, url: str, **headers: str) -> tuple[list[dict], str]:
        """Everything one delta round says, and the link of the next."""
        pages = self.pages(url, **headers)
        return [item for page in pages for item in page["value"]], pages[-1]["@odata.deltaLink"]


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def graph(clock):
    return Graph(Tenant(clock=clock))


@pytest.fixture(scope="module")
def seeded():
    tenant = Tenant()
    seed(tenant, users=700, groups=20, seed=3)
    return Graph(tenant)


# Lists and single reads


def test_a_list_pages_by_100_unless_told_and_its_links_keep_the_other_options(seeded):
    pages = seeded.pages("/users?$select=id,displayName")
    assert [len(page["value"]) for page in pages] == [100] * 7
    assert all(set(item) == {"id", "displayName"} for page in pages for item in page["value"])
    assert "$select=id,displayName" in pages[0]["@odata.nextLink"]
    assert len(seeded.get("/users?$top=999")["value"]) == 700


@pytest.mark.parametrize("top", ["0", "1000", "many"])
def test_a_page_size_outside_1_to_999_is_refused(graph, top):
    assert graph.error(f"/users?$top={top}") == (400, "Request_BadRequest")


def test_a_list_that_shrinks_while_it_is_paged_skips_nobody(graph):
    ids = [graph.tenant.add_user() for _ in range(6)]
    first = graph.get("/users?$top=3")
    graph.tenant.delete_user(ids[0])
    second = graph.get(first["@odata.nextLink"])
    assert [item["id"] for item in second["value"]] == ids[3:]


def test_a_user_is_read_by_id_or_by_upn_with_odd_characters(graph):
    upn = "siobhan.o'brien_fabrikam.com#EXT#@contoso.com"
    user_id = graph.tenant.add_user(userPrincipalName=upn)
    assert graph.get(f"/users/{user_id}")["userPrincipalName"] == upn
    assert graph.get("/users/siobhan.o%27brien_fabrikam.com%23EXT%23@contoso.com")["id"] == user_id
    assert graph.get(f"/users('{user_id}')")["id"] == user_id
    found = graph.get("/users?$filter=userPrincipalName eq 'siobhan.o''brien_fabrikam.com%23EXT%23@contoso.com'")
    assert [item["id"] for item in found["value"]] == [user_id]


def test_an_unset_property_is_null_in_a_list_and_the_default_set_comes_unasked(graph):
    user_id = graph.tenant.add_user(givenName="Ada")
    body = graph.get(f"/users/{user_id}")
    assert body["jobTitle"] is None
    assert "department" not in body
    assert graph.get(f"/users/{user_id}?$select=department") == {
        "@odata.context": f"{BASE}/$metadata#users(department)/$entity",
        "department": None,
    }


def test_an_unknown_property_and_one_kept_outside_the_directory_are_refused(graph):
    assert graph.error("/users?$select=nickName") == (400, "BadRequest")
    assert graph.error("/users/delta?$select=skills") == (501, "NotImplemented")


def test_a_filter_takes_at_most_15_ids(graph):
    ids = [graph.tenant.add_user() for _ in range(16)]
    listed = ",".join(f"'{key}'" for key in ids[:15])
    assert len(graph.get(f"/users?$filter=id in ({listed})")["value"]) == 15
    response = graph.response(f"/users?$filter=id in ({listed},'{ids[15]}')")
    assert response.json()["error"]["code"] == "Request_UnsupportedQuery"
    assert response.json()["error"]["message"].endswith("'OR' operators: 16. Max allowed: 15.")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("id eq '00000000-0000-4000-8000-000000000001'", ["Ada"]),
        ("startswith(displayName,'a')", ["Ada", "Alan"]),
        ("displayName eq 'Grace' and accountEnabled eq true", []),
        ("displayName eq 'Grace' or displayName eq 'Alan'", ["Grace", "Alan"]),
        ("accountEnabled eq false", ["Grace"]),
        ("(department eq null) and startswith(displayName,'A')", ["Ada", "Alan"]),
    ],
)
def test_filters_select_users(graph, condition, found):
    graph.tenant.add_user(id="00000000-0000-4000-8000-000000000001", displayName="Ada")
    graph.tenant.add_user(displayName="Grace", accountEnabled=False)
    graph.tenant.add_user(displayName="Alan")
    body = graph.get(f"/users?$filter={condition}")
    assert [item["displayName"] for item in body["value"]] == found


def test_advanced_queries_and_counts_need_the_eventual_header(graph):
    graph.tenant.add_user(displayName="Ada")
    url = "/users?$filter=endswith(displayName,'a')&$count=true"
    assert graph.error(url) == (400, "Request_UnsupportedQuery")
    assert graph.get(url, ConsistencyLevel="eventual")["@odata.count"] == 1
    assert graph.response("/users/$count", ConsistencyLevel="eventual").text == "1"
    assert graph.error("/users/$count")[0] == 400


def test_the_count_comes_on_the_first_page_only(graph):
    for _ in range(3):
        graph.tenant.add_user()
    pages = graph.pages("/users?$top=2&$count=true", ConsistencyLevel="eventual")
    assert ["@odata.count" in page for page in pages] == [True, False]


def test_a_manager_is_expanded_with_chosen_properties(graph):
    boss = graph.tenant.add_user(displayName="Grace")
    user = graph.tenant.add_user(displayName="Ada")
    graph.tenant.set_manager(user, boss)
    listed = graph.get(f"/users?$filter=id in ('{user}')&$select=displayName&$expand=manager($select=id)")
    assert listed["value"] == [{"displayName": "Ada", "manager": {"@odata.type": "#microsoft.graph.user", "id": boss}}]
    assert graph.get(f"/users/{user}/manager")["displayName"] == "Grace"
    assert graph.error(f"/users/{boss}/manager") == (404, "Request_ResourceNotFound")
    assert "manager" not in graph.get(f"/users/{boss}?$expand=manager")


# Members


def test_members_are_mixed_unless_cast(graph):
    user, device = graph.tenant.add_user(displayName="Ada"), graph.tenant.add_device("LAPTOP-1")
    inner = graph.tenant.add_group(displayName="Inner")
    application = graph.tenant.service_principal_id
    group = graph.tenant.add_group(displayName="Outer", members=[user, inner, device, application])
    listed = graph.get(f"/groups/{group}/members")["value"]
    # v1.0 leaves out service principals.
    assert [item["@odata.type"] for item in listed] == [
        f"#microsoft.graph.{kind}" for kind in ("user", "group", "device")
    ]
    for cast in ("microsoft.graph.user", "graph.user"):
        only = graph.get(f"/groups/{group}/members/{cast}?$select=id,displayName&$top=999")
        assert only["value"] == [{"id": user, "displayName": "Ada"}]
    nested = graph.get(f"/groups/{group}/members/microsoft.graph.group?$select=id")
    assert nested["value"] == [{"id": inner}]
    assert [item["id"] for item in graph.get(f"/groups/{group}/members?$filter=id eq '{user}'")["value"]] == [user]


def test_transitive_members_are_flat_and_a_circle_ends(graph):
    user = graph.tenant.add_user()
    inner = graph.tenant.add_group(members=[user])
    outer = graph.tenant.add_group(members=[inner])
    graph.tenant.add_member(inner, outer)
    found = graph.get(f"/groups/{outer}/transitiveMembers/microsoft.graph.user?$select=id")["value"]
    assert found == [{"id": user}]
    assert graph.send("POST", f"/users/{user}/getMemberGroups", json={"securityEnabledOnly": False}).json()[
        "value"
    ] == [inner, outer]
    assert [item["id"] for item in graph.get(f"/users/{user}/memberOf")["value"]] == [inner]


def test_members_of_a_type_that_may_not_be_read_are_nulls_not_an_error(graph):
    group = graph.tenant.add_group(members=[graph.tenant.add_user(displayName="Ada")])
    graph.tenant.behaviour.permissions = frozenset({"GroupMember.Read.All"})
    (member,) = graph.get(f"/groups/{group}/members?$select=id,displayName")["value"]
    assert member["@odata.type"] == "#microsoft.graph.user"
    assert member["id"]
    assert member["displayName"] is None


# Assignments


def test_assignments_are_rows_of_users_and_groups_with_opaque_ids(graph):
    tenant = graph.tenant
    user, group = tenant.add_user(displayName="Ada"), tenant.add_group(displayName="ITIL")
    tenant.assign(user)
    tenant.assign(user, tenant.msiam_role_id)
    row_id = tenant.assign(group)
    tenant.update_group(group, displayName="Renamed")
    body = graph.get(f"/servicePrincipals(appId='{tenant.app_id}')/appRoleAssignedTo")
    assert body["value"][2] == {
        "id": row_id,
        "deletedDateTime": None,
        "appRoleId": tenant.user_role_id,
        "createdDateTime": "2026-09-21T14:13:20Z",
        "principalDisplayName": "ITIL",
        "principalId": group,
        "principalType": "Group",
        "resourceDisplayName": "ServiceNow",
        "resourceId": tenant.service_principal_id,
    }
    assert len(row_id) == 43
    assert [row["principalType"] for row in body["value"]] == ["User", "User", "Group"]
    url = f"/servicePrincipals/{tenant.service_principal_id}/appRoleAssignedTo"
    assert len(graph.get(f"{url}?$filter=principalId eq {user}")["value"]) == 2
    assert len(graph.get(f"{url}?$filter=startswith(principalDisplayName,'IT')")["value"]) == 1
    assert len(graph.pages(f"{url}?$top=1")) == 3


def test_the_application_is_found_by_id_by_app_id_and_by_name(graph):
    tenant = graph.tenant
    by_id = graph.get(f"/servicePrincipals/{tenant.service_principal_id}")
    assert graph.get(f"/servicePrincipals(appId='{tenant.app_id}')") == by_id
    assert [role["displayName"] for role in by_id["appRoles"]] == ["User", "msiam_access"]
    listed = graph.get("/servicePrincipals?$filter=displayName eq 'ServiceNow'&$select=id")
    assert listed["value"] == [{"id": tenant.service_principal_id}]
    assert graph.error(f"/servicePrincipals(appId='{tenant.tenant_id}')") == (404, "Request_ResourceNotFound")


def test_a_users_assignments_include_those_of_groups_it_is_a_direct_member_of(graph):
    tenant = graph.tenant
    tenant.behaviour.permissions |= {"Directory.Read.All"}
    user, stranger = tenant.add_user(), tenant.add_user()
    group = tenant.add_group(members=[user, tenant.add_group(members=[stranger])])
    tenant.assign(group)
    of_app = f"appRoleAssignments?$filter=resourceId eq {tenant.service_principal_id}"
    assert [row["principalId"] for row in graph.get(f"/users/{user}/{of_app}")["value"]] == [group]
    assert graph.get(f"/users/{stranger}/{of_app}")["value"] == []
    assert len(graph.get(f"/groups/{group}/{of_app}")["value"]) == 1
    assert tenant.is_in_scope(user)
    assert not tenant.is_in_scope(stranger)


# Delta: first rounds


def test_a_first_round_pages_by_200_ignores_top_and_holds_everybody_once(seeded):
    pages = seeded.pages("/users/delta?$select=displayName&$top=5")
    assert [len(page["value"]) for page in pages] == [200, 200, 200, 100]
    assert all(("@odata.nextLink" in page) != ("@odata.deltaLink" in page) for page in pages)
    assert len({item["id"] for page in pages for item in page["value"]}) == 700


@pytest.mark.parametrize("spelling", ["delta", "delta()", "microsoft.graph.delta", "microsoft.graph.delta()"])
def test_every_spelling_of_delta_and_an_encoded_select_are_understood(graph, spelling):
    user = graph.tenant.add_user(displayName="Ada", department="IT")
    assert graph.get(f"/users/{spelling}?%24select=department")["value"] == [{"id": user, "department": "IT"}]
    assert graph.tenant.counts == Counter({"GET /users/delta": 1})


def test_select_is_kept_in_the_token_and_refused_beside_a_skip_token(seeded):
    link = seeded.get("/users/delta?$select=displayName")["@odata.nextLink"]
    assert "select" not in link
    assert set(seeded.get(link)["value"][0]) == {"id", "displayName"}
    assert seeded.error(f"{link}&$select=mail") == (400, "Request_BadRequest")


def test_a_link_asked_twice_answers_the_same_and_gives_another_token(seeded):
    link = seeded.get("/users/delta")["@odata.nextLink"]
    first, again = seeded.get(link), seeded.get(link)
    assert first["value"] == again["value"]
    assert first["@odata.nextLink"] != again["@odata.nextLink"]


def test_latest_gives_no_data_and_a_link_to_what_comes_next(graph):
    graph.tenant.add_user()
    items, link = graph.round("/users/delta?$deltatoken=latest")
    assert items == []
    user = graph.tenant.add_user()
    assert [item["id"] for item in graph.round(link)[0]] == [user]


def test_delta_takes_a_filter_of_up_to_50_ids(graph):
    ids = [graph.tenant.add_user() for _ in range(51)]
    items, link = graph.round(f"/users/delta?$filter=id eq '{ids[3]}' or id eq '{ids[5]}'")
    assert [item["id"] for item in items] == [ids[3], ids[5]]
    graph.tenant.update_user(ids[4], department="IT")
    graph.tenant.update_user(ids[5], department="IT")
    assert [item["id"] for item in graph.round(link)[0]] == [ids[5]]
    too_many = " or ".join(f"id eq '{key}'" for key in ids)
    assert graph.error(f"/users/delta?$filter={too_many}") == (400, "Request_UnsupportedQuery")
    assert graph.error("/users/delta?$filter=displayName eq 'Ada'") == (400, "Request_UnsupportedQuery")


def test_what_was_never_set_is_absent_and_what_was_cleared_is_null(graph):
    user = graph.tenant.add_user(department="IT")
    graph.tenant.update_user(user, department=None)
    assert graph.round("/users/delta?$select=department,jobTitle")[0] == [{"id": user, "department": None}]


def test_a_big_group_is_repeated_over_pages_with_slices_of_its_members(graph):
    graph.tenant.behaviour.members_per_delta_page = 10
    users = [graph.tenant.add_user() for _ in range(34)]
    big = graph.tenant.add_group(displayName="Big", members=users[:25])
    small = graph.tenant.add_group(displayName="Small", members=users[25:])
    empty = graph.tenant.add_group(displayName="Empty")
    pages = graph.pages("/groups/delta?$select=displayName,members")
    shown = [[(item["displayName"], len(item.get("members@delta", ()))) for item in page["value"]] for page in pages]
    assert shown == [[("Big", 10)], [("Big", 10)], [("Big", 5), ("Small", 5)], [("Small", 4), ("Empty", 0)]]
    seen = {}
    for page in pages:
        for item in page["value"]:
            seen.setdefault(item["id"], []).extend(member["id"] for member in item.get("members@delta", ()))
    assert seen == {big: users[:25], small: users[25:], empty: []}


def test_members_come_unasked_without_select_and_not_when_deselected(graph):
    graph.tenant.add_group(members=[graph.tenant.add_user()])
    assert "members@delta" in graph.round("/groups/delta")[0][0]
    assert "members@delta" not in graph.round("/groups/delta?$select=displayName")[0][0]


# Delta: later rounds


def test_an_update_shows_the_whole_selection_or_only_the_change_in_minimal_mode(graph):
    user = graph.tenant.add_user(department="IT", jobTitle="Engineer")
    _, link = graph.round("/users/delta?$select=department,jobTitle")
    graph.tenant.update_user(user, department=None)
    assert graph.round(link)[0] == [{"id": user, "department": None, "jobTitle": "Engineer"}]
    assert graph.round(link, Prefer="return=minimal")[0] == [{"id": user, "department": None}]


def test_a_change_of_an_unselected_property_does_not_appear(graph):
    user = graph.tenant.add_user(department="IT")
    _, link = graph.round("/users/delta?$select=department")
    graph.tenant.update_user(user, jobTitle="Engineer")
    items, link = graph.round(link)
    assert items == []
    graph.tenant.update_user(user, jobTitle="Director")
    assert graph.round(f"{link}&$select=jobTitle")[0] == [{"id": user, "jobTitle": "Director"}]


def test_writing_the_same_value_is_no_change(graph):
    user = graph.tenant.add_user(department="IT")
    _, link = graph.round("/users/delta")
    graph.tenant.update_user(user, department="IT", jobTitle=None)
    assert graph.round(link)[0] == []


def test_several_changes_of_one_user_are_one_entry_with_the_last_state(graph):
    user = graph.tenant.add_user()
    _, link = graph.round("/users/delta?$select=department")
    for department in ("IT", "Legal", "Sales"):
        graph.tenant.update_user(user, department=department)
    assert graph.round(link)[0] == [{"id": user, "department": "Sales"}]


def test_extension_attributes_are_updated_one_by_one(graph):
    user = graph.tenant.add_user(onPremisesExtensionAttributes={"extensionAttribute1": "a"})
    graph.tenant.update_user(user, onPremisesExtensionAttributes={"extensionAttribute2": "b"})
    (item,) = graph.round("/users/delta?$select=onPremisesExtensionAttributes")[0]
    shown = item["onPremisesExtensionAttributes"]
    assert (shown["extensionAttribute1"], shown["extensionAttribute2"], shown["extensionAttribute3"]) == (
        "a",
        "b",
        None,
    )


def test_one_directory_extension_brings_all_of_its_data_type_in_minimal_mode(graph):
    prefix = f"extension_{'0' * 32}_"
    names = [f"{prefix}{name}" for name in ("badge", "desk", "floor")]
    user = graph.tenant.add_user(**{names[0]: "1", names[1]: "2", names[2]: 3})
    _, link = graph.round(f"/users/delta?$select=department,{','.join(names)}")
    graph.tenant.update_user(user, **{names[0]: "9"})
    assert graph.round(link, Prefer="return=minimal")[0] == [{"id": user, names[0]: "9", names[1]: "2"}]


def test_delete_restore_and_purge_are_told_apart(graph):
    tenant = graph.tenant
    user = tenant.add_user(displayName="Ada", userPrincipalName="ada@contoso.com")
    _, link = graph.round("/users/delta?$select=displayName")
    tenant.delete_user(user)
    items, link = graph.round(link)
    assert items == [{"id": user, "@removed": {"reason": "changed"}}]
    assert graph.error(f"/users/{user}") == (404, "Request_ResourceNotFound")
    (deleted,) = graph.get("/directory/deletedItems/microsoft.graph.user")["value"]
    assert deleted["userPrincipalName"] == f"{user.replace('-', '')}ada@contoso.com"
    assert graph.get(f"/directory/deletedItems/{user}")["deletedDateTime"] == "2026-09-21T14:13:20Z"
    tenant.restore_user(user)
    items, link = graph.round(link)
    assert items == [{"id": user, "displayName": "Ada"}]
    assert graph.get("/users/ada@contoso.com")["id"] == user
    tenant.delete_user(user)
    tenant.purge_user(user)
    assert graph.round(link)[0] == [{"id": user, "@removed": {"reason": "deleted"}}]
    assert graph.error(f"/directory/deletedItems/{user}") == (404, "Request_ResourceNotFound")


def test_a_soft_deleted_member_stays_one_until_it_is_purged(graph):
    tenant = graph.tenant
    user = tenant.add_user()
    group = tenant.add_group(members=[user])
    tenant.assign(user)
    _, link = graph.round("/groups/delta?$select=members")
    tenant.delete_user(user)
    items, link = graph.round(link)
    assert items == []
    assert graph.get(f"/groups/{group}/members")["value"] == []
    assigned = f"/servicePrincipals/{tenant.service_principal_id}/appRoleAssignedTo"
    assert len(graph.get(assigned)["value"]) == 1
    tenant.purge_user(user)
    removal = {"@odata.type": "#microsoft.graph.user", "id": user, "@removed": {"reason": "deleted"}}
    assert graph.round(link)[0] == [{"id": group, "members@delta": [removal]}]
    assert graph.get(assigned)["value"] == []


def test_membership_changes_show_the_net_effect(graph):
    tenant = graph.tenant
    stays, leaves, visits = (tenant.add_user() for _ in range(3))
    group = tenant.add_group(members=[stays, leaves])
    _, link = graph.round("/groups/delta?$select=members")
    tenant.remove_member(group, leaves)
    tenant.add_member(group, visits)
    tenant.remove_member(group, visits)
    tenant.remove_member(group, stays)
    tenant.add_member(group, stays)
    (item,) = graph.round(link)[0]
    told = {member["id"]: "@removed" not in member for member in item["members@delta"]}
    assert told == {leaves: False, visits: False, stays: True}


def test_membership_changes_of_a_later_round_are_paged_too(graph):
    graph.tenant.behaviour.members_per_delta_page = 4
    users = [graph.tenant.add_user() for _ in range(10)]
    group = graph.tenant.add_group(displayName="Big")
    _, link = graph.round("/groups/delta?$select=displayName,members")
    for user in users:
        graph.tenant.add_member(group, user)
    pages = graph.pages(link)
    assert [item["displayName"] for page in pages for item in page["value"]] == ["Big"] * 3
    shown = [member["id"] for page in pages for item in page["value"] for member in item["members@delta"]]
    assert shown == users


def test_a_deleted_security_group_is_gone_and_a_microsoft_365_group_can_come_back(graph):
    tenant = graph.tenant
    tenant.behaviour.permissions |= {"Group.Read.All"}
    security, modern = tenant.add_group(), tenant.add_group(groupTypes=["Unified"])
    _, link = graph.round("/groups/delta?$select=id")
    tenant.delete_group(security)
    tenant.delete_group(modern)
    items, link = graph.round(link)
    assert {item["id"]: item["@removed"]["reason"] for item in items} == {security: "deleted", modern: "changed"}
    listed = graph.get("/directory/deletedItems/microsoft.graph.group?$select=id")["value"]
    assert listed == [{"id": modern}]
    tenant.restore_group(modern)
    assert graph.round(link)[0] == [{"id": modern}]


def test_a_manager_is_tracked_only_when_selected_and_told_as_going_and_coming(graph):
    tenant = graph.tenant
    old, new, user = (tenant.add_user() for _ in range(3))
    tenant.set_manager(user, old)
    items, link = graph.round("/users/delta?$select=manager")
    assert {item["id"]: item.get("manager@delta") for item in items} == {
        old: None,
        new: None,
        user: [{"@odata.type": "#microsoft.graph.user", "id": old}],
    }
    _, blind = graph.round("/users/delta?$deltatoken=latest&$select=department")
    tenant.set_manager(user, new)
    assert graph.round(blind)[0] == []
    items, link = graph.round(link)
    entries = {entry["id"]: "@removed" in entry for entry in items[0]["manager@delta"]}
    assert entries == {old: True, new: False}
    tenant.set_manager(user, None)
    items, link = graph.round(link)
    assert [entry["@removed"] for entry in items[0]["manager@delta"]] == [{"reason": "deleted"}]
    tenant.update_user(user, department="IT")
    assert graph.round(link)[0] == []


def test_a_purged_manager_is_taken_away_from_the_reports(graph):
    tenant = graph.tenant
    boss, user = tenant.add_user(), tenant.add_user()
    tenant.set_manager(user, boss)
    _, link = graph.round("/users/delta?$select=manager")
    tenant.purge_user(boss)
    items, _ = graph.round(link)
    removed = {"@odata.type": "#microsoft.graph.user", "id": boss, "@removed": {"reason": "deleted"}}
    assert {item["id"]: item.get("manager@delta") for item in items} == {boss: None, user: [removed]}


def test_what_changes_while_a_first_round_is_walked_is_told_by_the_next_round(graph):
    graph.tenant.behaviour.delta_page_size = 2
    users = [graph.tenant.add_user(department="IT") for _ in range(4)]
    first = graph.get("/users/delta?$select=department")
    graph.tenant.update_user(users[0], department="Legal")
    graph.tenant.delete_user(users[3])
    rest = graph.get(first["@odata.nextLink"])
    assert [item["id"] for item in rest["value"]] == [users[2]]
    assert graph.round(rest["@odata.deltaLink"])[0] == [
        {"id": users[0], "department": "Legal"},
        {"id": users[3], "@removed": {"reason": "changed"}},
    ]


def test_a_manager_whom_an_earlier_page_of_a_round_told_of_and_who_is_purged_meanwhile_is_taken_back(graph):
    graph.tenant.behaviour.delta_page_size = 1
    ada, grace, other = (graph.tenant.add_user() for _ in range(3))
    link = f"{graph.round('/users/delta?$select=department,manager')[1]}"
    graph.tenant.set_manager(ada, grace)
    graph.tenant.update_user(other, department="Legal")
    page = graph.get(link)
    assert [each["id"] for each in page["value"][0]["manager@delta"]] == [grace]
    graph.tenant.delete_user(grace)
    graph.tenant.purge_user(grace)
    (told,) = [item for item in graph.round(page["@odata.nextLink"])[0] if item["id"] == ada]
    assert told["manager@delta"] == [
        {"@odata.type": "#microsoft.graph.user", "id": grace, "@removed": {"reason": "deleted"}}
    ]


class Mirror:
    """A client that keeps a copy by delta query alone, resuming from links as they come."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._users = "/users/delta?$select=department,manager"
        self._groups = "/groups/delta?$select=displayName,members"
        self.users: dict[str, tuple[str | None, str | None]] = {}
        self.members: dict[str, set[str]] = {}

    def pull_users(self) -> bool:
        """Read one page; True if the round is over."""
        page = self._graph.get(self._users)
        for item in page["value"]:
            if "@removed" in item:
                self.users.pop(item["id"], None)
                continue
            _, manager = self.users.get(item["id"], (None, None))
            if "manager@delta" in item:
                present = [entry["id"] for entry in item["manager@delta"] if "@removed" not in entry]
                manager = present[-1] if present else None
            self.users[item["id"]] = (item.get("department"), manager)
        self._users = page.get("@odata.nextLink") or page["@odata.deltaLink"]
        return "@odata.deltaLink" in page

    def pull_groups(self) -> bool:
        page = self._graph.get(self._groups)
        for item in page["value"]:
            if "@removed" in item:
                self.members.pop(item["id"], None)
                continue
            members = self.members.setdefault(item["id"], set())
            for member in item.get("members@delta", ()):
                (members.discard if "@removed" in member else members.add)(member["id"])
        self._groups = page.get("@odata.nextLink") or page["@odata.deltaLink"]
        return "@odata.deltaLink" in page

    def finish(self) -> None:
        """To the end of this round, and through one more."""
        for pull in (self.pull_users, self.pull_groups):
            for _ in range(2):
                while not pull():
                    pass


_INDEX = st.integers(0, 4)
_STEPS = (
    *("add_user", "update", "manager", "delete", "restore", "purge"),
    *("add_member", "remove_member", "delete_group", "restore_group"),
    *("pull_users", "pull_groups", "replay"),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_STEPS), _INDEX, _INDEX), max_size=40))
def test_a_copy_kept_by_delta_alone_is_always_the_tenant_in_the_end(steps):
    graph = Graph(Tenant())
    tenant = graph.tenant
    tenant.behaviour.delta_page_size = 2
    tenant.behaviour.members_per_delta_page = 2
    users = [tenant.add_user() for _ in range(5)]
    groups = [tenant.add_group(members=users[: size + 1]) for size in range(5)]
    mirror = Mirror(graph)
    moves: dict[str, Callable[[int, int], object]] = {
        "add_user": lambda i, j: users.__setitem__(i, tenant.add_user(department=f"D{j}")),
        "update": lambda i, j: tenant.update_user(users[i], department=f"D{j}"),
        "manager": lambda i, j: tenant.set_manager(users[i], users[j] if i != j else None),
        "delete": lambda i, _: tenant.delete_user(users[i]),
        "restore": lambda i, _: tenant.restore_user(users[i]),
        "purge": lambda i, _: tenant.purge_user(users[i]),
        "add_member": lambda i, j: tenant.add_member(groups[i], users[j]),
        "remove_member": lambda i, j: tenant.remove_member(groups[i], users[j]),
        "delete_group": lambda i, j: tenant.delete_group(groups[i], permanently=j > 2),
        "restore_group": lambda i, _: tenant.restore_group(groups[i]),
        "pull_users": lambda *_: mirror.pull_users(),
        "pull_groups": lambda *_: mirror.pull_groups(),
        "replay": lambda *_: tenant.behaviour.faults.add(Replay()),
    }
    for step, i, j in steps:
        with contextlib.suppress(TenantError):
            moves[step](i, j)
    mirror.finish()
    live = {key: tenant.objects[key] for key in tenant.users}
    assert mirror.users == {key: (user.attributes.get("department"), user.manager) for key, user in live.items()}
    assert mirror.members == {key: set(tenant.objects[key].members) for key in tenant.groups}


# Tokens die


@pytest.mark.parametrize(
    ("shape", "status", "code"),
    [
        ("gone", 410, "resyncRequired"),
        ("sync-state-not-found", 400, "syncStateNotFound"),
        ("too-old", 400, "Request_UnsupportedQuery"),
    ],
)
def test_a_delta_token_expires_in_three_shapes(graph, shape, status, code):
    user = graph.tenant.add_user()
    _, link = graph.round("/users/delta")
    graph.tenant.behaviour.faults.add(ExpireDelta(shape))
    response = graph.response(link)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    if shape == "gone":
        assert response.headers["location"].endswith("/users/delta?$deltatoken=")
        assert [item["id"] for item in graph.get(response.headers["location"])["value"]] == [user]


def test_a_delta_token_lives_seven_days_and_a_page_token_one(graph, clock):
    graph.tenant.behaviour.delta_page_size = 1
    for _ in range(2):
        graph.tenant.add_user()
    page = graph.get("/users/delta")["@odata.nextLink"]
    _, link = graph.round("/users/delta")
    clock.now += 6 * 86400
    assert graph.round(link)[0] == []
    assert graph.error(page) == (400, "Directory_ExpiredPageToken")
    clock.now += 2 * 86400
    assert graph.error(link) == (400, "Request_UnsupportedQuery")


def test_tokens_of_before_a_reset_and_invented_ones_are_refused(graph):
    _, link = graph.round("/users/delta")
    graph.tenant.clear()
    assert graph.error(link) == (400, "syncStateNotFound")
    assert graph.error("/users/delta?$deltatoken=invented") == (400, "Request_BadRequest")
    assert graph.error("/users?$skiptoken=invented") == (400, "Request_BadRequest")


# What goes wrong in pages


def test_a_page_may_repeat_hold_strangers_or_nothing(graph):
    user = graph.tenant.add_user()
    faults = graph.tenant.behaviour.faults
    faults.add(Duplicate(), "GET /users/delta")
    faults.add(UnknownRemoved(2), "GET /users/delta")
    items, _ = graph.round("/users/delta?$select=id")
    assert items[:2] == [{"id": user}, {"id": user}]
    assert [item["@removed"] for item in items[2:]] == [{"reason": "deleted"}] * 2
    faults.add(EmptyPage(), "GET /users/delta")
    pages = graph.pages("/users/delta?$select=id")
    assert [page["value"] for page in pages] == [[], [{"id": user}]]


def test_the_round_before_may_be_replayed(graph):
    user = graph.tenant.add_user()
    _, link = graph.round("/users/delta?$deltatoken=latest")
    graph.tenant.update_user(user, department="IT")
    _, link = graph.round(link)
    graph.tenant.behaviour.faults.add(Replay())
    items, link = graph.round(link)
    assert [item["id"] for item in items] == [user]
    assert graph.round(link)[0] == []


def test_a_round_may_tell_nothing_yet_and_the_next_one_all(graph):
    user = graph.tenant.add_user()
    _, link = graph.round("/users/delta?$deltatoken=latest")
    graph.tenant.update_user(user, department="IT")
    graph.tenant.behaviour.faults.add(Late(), "GET /users/delta")
    items, link = graph.round(link)
    assert items == []
    assert [item["id"] for item in graph.round(link)[0]] == [user]


def test_a_page_token_may_expire_in_mid_round(seeded):
    link = seeded.get("/users/delta")["@odata.nextLink"]
    seeded.tenant.behaviour.faults.add(ExpirePage())
    assert seeded.error(link) == (400, "Directory_ExpiredPageToken")


def test_the_list_of_assignments_may_come_empty_once(graph):
    tenant = graph.tenant
    tenant.assign(tenant.add_user())
    url = f"/servicePrincipals/{tenant.service_principal_id}/appRoleAssignedTo"
    tenant.behaviour.faults.add(EmptyList(), "GET /servicePrincipals/{id}/appRoleAssignedTo")
    assert graph.get(url)["value"] == []
    assert len(graph.get(url)["value"]) == 1


def test_changes_reach_readers_after_the_replication_lag(graph, clock):
    _, link = graph.round("/users/delta?$deltatoken=latest")
    graph.tenant.behaviour.replication_lag = 30
    user = graph.tenant.add_user()
    graph.tenant.update_user(user, department="IT")
    clock.now += 29
    assert graph.get("/users")["value"] == []
    items, link = graph.round(link)
    assert items == []
    clock.now += 2
    assert [item["id"] for item in graph.round(link)[0]] == [user]


# Faults and limits


@pytest.mark.parametrize("retry_after", ["2", "2.128", None])
def test_throttling_answers_429_with_an_integer_fractional_or_absent_retry_after(graph, retry_after):
    graph.tenant.behaviour.faults.add(Throttle(retry_after), "GET /users", times=2)
    responses = [graph.response("/users") for _ in range(3)]
    assert [response.status_code for response in responses] == [429, 429, 200]
    assert responses[0].headers.get("retry-after") == retry_after
    assert responses[0].headers["x-ms-throttle-scope"].startswith("Tenant_Application/ReadWrite/")
    assert responses[0].json()["error"]["code"] == "TooManyRequests"


def test_faults_hit_their_kind_of_request_and_can_wait(graph):
    graph.tenant.behaviour.faults.add(Fail(502), "GET /groups*", after=1)
    assert [graph.response(url).status_code for url in ("/users", "/groups", "/groups", "/groups")] == [
        200,
        200,
        502,
        200,
    ]


def test_a_connection_can_break_and_an_answer_can_be_slow(graph):
    graph.tenant.behaviour.faults.add(ResetConnection())
    with pytest.raises(httpx.RemoteProtocolError):
        graph.response("/users")
    graph.tenant.behaviour.faults.add(Slow(0.01))
    assert graph.response("/users").status_code == 200


def test_resource_units_follow_the_price_list(graph):
    tenant = graph.tenant
    group = tenant.add_group()
    prices = {
        "/users": "2",
        "/users?$select=id": "1",
        "/users?$expand=manager": "3",
        "/users?$top=5": "1",
        f"/groups/{group}/members": "3",
        f"/groups/{group}/transitiveMembers": "5",
        f"/groups/{group}/transitiveMembers?$select=id&$top=5": "3",
        "/users/delta": "1",
    }
    assert {url: graph.response(url).headers["x-ms-resource-unit"] for url in prices} == prices


def test_spending_too_many_units_is_warned_of_then_refused_and_refills(graph, clock):
    graph.tenant.behaviour.resource_units = 10
    answers = [graph.response("/users") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert "x-ms-throttle-limit-percentage" not in answers[3].headers
    assert answers[4].headers["x-ms-throttle-limit-percentage"] == "1.00"
    clock.now += int(answers[5].headers["retry-after"])
    assert graph.response("/users").status_code == 200


def test_a_missing_permission_is_403_where_the_call_needs_it(graph):
    user = graph.tenant.add_user()
    assert graph.error(f"/users/{user}/appRoleAssignments") == (403, "Authorization_RequestDenied")
    assert graph.error("/directory/deletedItems/microsoft.graph.group") == (403, "Authorization_RequestDenied")
    assert graph.send("POST", "/directoryObjects/getByIds", json={"ids": [user]}).status_code == 403
    graph.tenant.behaviour.permissions = frozenset({"Directory.Read.All"})
    assert (
        graph.send("POST", "/directoryObjects/getByIds", json={"ids": [user, "gone"]}).json()["value"][0]["id"] == user
    )
    graph.tenant.behaviour.permissions = frozenset()
    assert graph.error("/users") == (403, "Authorization_RequestDenied")


def test_every_answer_names_its_request_and_errors_repeat_it(graph):
    response = graph.response("/users/nobody", client_request_id="ours")
    inner = response.json()["error"]["innerError"]
    assert inner == {
        "date": "2026-09-21T14:13:20",
        "request-id": response.headers["request-id"],
        "client-request-id": "ours",
    }
    assert response.headers["client-request-id"] == "ours"
    assert json.loads(response.headers["x-ms-ags-diagnostic"])["ServerInfo"]
    unnamed = graph.response("/users")
    assert unnamed.headers["client-request-id"] == unnamed.headers["request-id"]


@pytest.mark.parametrize(
    "url", ["/me", "/users/a/b/c", "/users?$search=x", "/groups?$orderby=displayName", "https://graph.microsoft.com/x"]
)
def test_what_the_emulator_does_not_know_it_says_loudly(graph, url):
    response = graph.response(url)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "NotImplementedByEmulator"


# Batches


def test_a_batch_answers_each_item_in_any_order_and_counts_it(graph):
    users = [graph.tenant.add_user() for _ in range(20)]
    requests = [{"id": str(i), "method": "GET", "url": f"/users/{user}?$select=id"} for i, user in enumerate(users)]
    requests[7]["url"] = "/users/nobody"
    answers = graph.batch(*requests)
    assert answers["3"]["body"]["id"] == users[3]
    assert answers["7"]["status"] == 404
    assert answers["7"]["body"]["error"]["code"] == "Request_ResourceNotFound"
    assert graph.tenant.counts == Counter({"POST /$batch": 1, "batch: GET /users/{id}": 20})


def test_one_item_of_a_batch_is_throttled_alone(graph):
    user = graph.tenant.add_user()
    graph.tenant.behaviour.faults.add(Throttle("7"), "batch: GET /users")
    item = {"method": "GET", "url": f"/users?$filter=id in ('{user}')&$expand=manager"}
    answers = graph.batch({"id": "a", **item}, {"id": "b", **item})
    assert sorted(answer["status"] for answer in answers.values()) == [200, 429]
    (throttled,) = (answer for answer in answers.values() if answer["status"] == 429)
    assert throttled["headers"]["Retry-After"] == "7"


def test_a_malformed_batch_is_refused_whole(graph):
    item = {"id": "A", "method": "GET", "url": "/users"}
    for requests in ([], [item] * 21, [item, {**item, "id": "a"}], [{"id": "1"}], [{**item, "url": f"{BASE}/users"}]):
        assert graph.send("POST", "/$batch", json={"requests": requests}).status_code == 400
    assert graph.send("POST", "/$batch", content=b"{").status_code == 400


def test_an_item_whose_predecessor_failed_is_424(graph):
    first = {"id": "1", "method": "GET", "url": "/users/nobody"}
    second = {"id": "2", "method": "GET", "url": "/users", "dependsOn": ["1"]}
    assert {key: answer["status"] for key, answer in graph.batch(first, second).items()} == {"1": 404, "2": 424}


# Signing in


def test_a_request_without_a_good_token_is_401(graph):
    for value in ("", "Bearer ", "Bearer wrong", "Basic abc"):
        response = graph.response("/users", Authorization=value)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "InvalidAuthenticationToken"
        assert "www-authenticate" in response.headers


class _HttpForMsal:
    """The synchronous client that msal wants, in front of the app."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def get(self, url, params=None, headers=None, **_):
        return self._graph.send("GET", url, params=params, headers=headers)

    def post(self, url, params=None, data=None, headers=None, **_):
        return self._graph.send("POST", url, params=params, data=data, headers=headers)

    def close(self):
        pass


def _msal(graph: Graph, secret: str, tenant_id: str | None = None) -> dict:
    application = msal.ConfidentialClientApplication(
        graph.tenant.app_id,
        client_credential=secret,
        authority=f"https://login.microsoftonline.com/{tenant_id or graph.tenant.tenant_id}",
        http_client=_HttpForMsal(graph),
    )
    return application.acquire_token_for_client(["https://graph.microsoft.com/.default"])


def test_msal_signs_in_and_its_token_opens_graph_until_it_expires(graph, clock):
    result = _msal(graph, CLIENT_SECRET)
    bearer = f"Bearer {result['access_token']}"
    assert graph.response("/users", Authorization=bearer).status_code == 200
    clock.now += 3601
    assert graph.response("/users", Authorization=bearer).status_code == 401


def test_a_wrong_secret_and_an_unknown_tenant_are_refused_in_microsofts_words(graph):
    refused = _msal(graph, "wrong")
    assert refused["error"] == "invalid_client"
    assert refused["error_codes"] == [7000215]
    assert refused["error_description"].startswith("AADSTS7000215: Invalid client secret provided.")
    assert refused["trace_id"]
    other = "11111111-2222-4333-8444-555555555555"
    response = graph.send("POST", f"https://login.microsoftonline.com/{other}/oauth2/v2.0/token", data={})
    assert (response.status_code, response.json()["error_codes"]) == (400, [90002])


# Microsoft's own SDK


# The SDK's classes warn of each other as they are imported, which happens when they are first used.
of_the_sdk = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class _StaticToken(AccessTokenProvider):
    async def get_authorization_token(self, uri, additional_authentication_context=None):  # noqa: ARG002
        return ACCESS_TOKEN

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator([])


def _sdk(graph: Graph) -> GraphServiceClient:
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(_StaticToken()), client=graph.client())
    adapter.base_url = BASE
    return GraphServiceClient(request_adapter=adapter)


@of_the_sdk
def test_the_sdk_reads_a_filtered_page_with_managers(graph):
    boss = graph.tenant.add_user(displayName="Grace")
    user = graph.tenant.add_user(displayName="Ada")
    graph.tenant.set_manager(user, boss)
    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
        select=["id", "displayName"], filter=f"id in ('{user}')", expand=["manager"], top=5
    )
    configuration = UsersRequestBuilder.UsersRequestBuilderGetRequestConfiguration(query_parameters=query)
    page = asyncio.run(_sdk(graph).users.get(request_configuration=configuration))
    assert [(found.display_name, found.manager.id) for found in page.value] == [("Ada", boss)]


@of_the_sdk
def test_the_sdk_walks_delta_links_and_reads_assignments(graph):
    tenant = graph.tenant
    tenant.behaviour.delta_page_size = 1
    for _ in range(2):
        tenant.assign(tenant.add_user())

    async def walk():
        client = _sdk(graph)
        first = await client.users.delta.get()
        second = await client.users.delta.with_url(first.odata_next_link).get()
        by_app_id = client.service_principals_with_app_id(tenant.app_id)
        application = await by_app_id.get()
        rows = await client.service_principals.by_service_principal_id(application.id).app_role_assigned_to.get()
        return first, second, rows

    first, second, rows = asyncio.run(walk())
    assert len(first.value) == len(second.value) == 1
    assert second.odata_delta_link
    assert len(rows.value) == 2


@of_the_sdk
def test_the_sdk_understands_the_errors(graph):
    with pytest.raises(ODataError) as caught:
        asyncio.run(_sdk(graph).users.by_user_id("nobody").get())
    assert caught.value.response_status_code == 404
    assert caught.value.error.code == "Request_ResourceNotFound"
    assert caught.value.error.inner_error.request_id


# The seeded tenant


def test_a_seeded_tenant_is_the_same_for_the_same_seed():
    def snapshot(number: int) -> dict:
        tenant = Tenant()
        seed(tenant, users=60, groups=6, seed=number)
        for entry in tenant.objects.values():
            entry.attributes.pop("createdDateTime", None)
        return {entry.id: (entry.attributes, entry.manager, list(entry.members)) for entry in tenant.objects.values()}

    assert snapshot(5) == snapshot(5)
    assert snapshot(5) != snapshot(6)


def test_a_seeded_tenant_has_the_people_that_real_tenants_have(seeded):
    users = [seeded.tenant.objects[key] for key in seeded.tenant.users]
    attributes = [user.attributes for user in users]
    upns = [each["userPrincipalName"] for each in attributes]
    assert any(len(upn) > 40 for upn in upns)
    assert any("o'brien@" in upn for upn in upns)
    assert any("#EXT#@contoso.onmicrosoft.com" in upn for upn in upns)
    assert all(upn.isascii() for upn in upns)
    names = "".join(each["displayName"] for each in attributes)
    assert all(letter in names for letter in "éØ渡لШΕł")
    assert {each["department"] for each in attributes if "department" in each} == set(DEPARTMENTS)
    assert {each["officeLocation"] for each in attributes if "officeLocation" in each} == {o.name for o in OFFICES}
    assert {each["companyName"] for each in attributes if "companyName" in each} == set(COMPANIES)
    assert 0 < sum(not each["accountEnabled"] for each in attributes) < 70
    assert 0 < sum(each["userType"] == "Guest" for each in attributes) < 70
    assert len(set(upns)) == 700


@pytest.mark.parametrize("size", [7, 60, 700])
def test_the_managers_form_one_tree_of_seven_levels(size):
    tenant = Tenant()
    seed(tenant, users=size, groups=3)
    managers = {key: tenant.objects[key].manager for key in tenant.users}

    def depth(key: str) -> int:
        return 0 if managers[key] is None else 1 + depth(managers[key])

    assert sum(manager is None for manager in managers.values()) == 1
    assert max(depth(key) for key in managers) == 6


def test_most_of_a_seeded_tenant_is_assigned_through_overlapping_groups_and_directly(seeded):
    tenant = seeded.tenant
    assert sum(map(tenant.is_in_scope, tenant.users)) == 595
    assigned = {row.principal_id for row in tenant.assignments.values()}
    groups = assigned & set(tenant.groups)
    assert 0 < len(groups) < len(tenant.groups)
    assert len(assigned - groups) > 5
    assert any(len(groups.intersection(tenant.groups_of.get(user, ()))) > 1 for user in tenant.users)
    assert any(member in tenant.groups for group in groups for member in tenant.objects[group].members)


@pytest.mark.parametrize(("users", "groups"), [(0, 0), (1, 0), (3, 1), (5, 0), (40, 400)])
def test_a_tenant_of_any_size_can_be_seeded(users, groups):
    tenant = Tenant()
    seed(tenant, users=users, groups=groups)
    assert (len(tenant.users), len(tenant.groups)) == (users, groups)


# The control API


def test_the_control_api_changes_everything_without_a_token_and_without_being_counted(graph):
    graph.headers = {}
    boss = graph.control("POST", "/users", {"displayName": "Grace", "userPrincipalName": "grace@contoso.com"})["id"]
    user = graph.control("POST", "/users", {"displayName": "Ada", "managerId": "grace@contoso.com"})["id"]
    group = graph.control("POST", "/groups", {"displayName": "ITIL"})["id"]
    graph.control("PATCH", f"/users/{user}", {"department": "IT"})
    graph.control("PATCH", f"/groups/{group}", {"description": "People"})
    graph.control("POST", f"/groups/{group}/members", {"memberId": user})
    row = graph.control("POST", "/assignments", {"principalId": group})["id"]
    shown = graph.control("GET", f"/users/{user}")
    assert (shown["department"], shown["managerId"], shown["groups"]) == ("IT", boss, [group])
    assert graph.control("GET", f"/groups/{group}")["members"] == [user]
    assert graph.tenant.is_in_scope(user)
    graph.control("DELETE", f"/assignments/{row}")
    graph.control("POST", "/assignments", {"principalId": "grace@contoso.com"})
    graph.control("DELETE", "/principals/grace@contoso.com/assignments")
    assert graph.control("GET", "/state")["assignments"] == 0
    graph.control("DELETE", f"/groups/{group}/members/{user}")
    graph.control("PUT", f"/users/{user}/manager", {"managerId": None})
    graph.control("DELETE", f"/users/{user}")
    graph.control("POST", f"/users/{user}/restore")
    graph.control("DELETE", f"/users/{user}")
    graph.control("POST", f"/users/{user}/purge")
    graph.control("DELETE", f"/groups/{group}?permanently=false")
    graph.control("POST", f"/groups/{group}/restore")
    graph.control("POST", f"/groups/{group}/purge")
    state = graph.control("GET", "/state")
    assert (state["users"], state["groups"], state["deletedUsers"]) == (1, 0, 0)
    assert graph.control("GET", "/counts") == {}


def test_the_control_api_plans_faults_tunes_behaviour_and_resets(graph):
    graph.control("POST", "/faults", {"effect": "throttle", "kind": "GET /users", "times": 2, "retry_after": "3"})
    assert graph.control("GET", "/faults") == [
        {"effect": "throttle", "kind": "GET /users", "times": 2, "after": 0, "retry_after": "3"}
    ]
    assert graph.response("/users").headers["retry-after"] == "3"
    assert graph.control("GET", "/counts") == {"GET /users": 1}
    graph.control("DELETE", "/faults")
    graph.control("PATCH", "/behaviour", {"permissions": ["GroupMember.Read.All"], "replication_lag": 5})
    assert graph.error("/users")[0] == 403
    graph.control("POST", "/reset")
    assert graph.response("/users").status_code == 200
    seeded = graph.control("POST", "/seed", {"users": 30, "groups": 4, "seed": 9})
    assert (seeded["users"], seeded["groups"]) == (30, 4)
    assert seeded["servicePrincipalId"] == graph.tenant.service_principal_id


def test_the_control_api_refuses_what_it_cannot_do(graph):
    def status(method: str, path: str, body: dict | None = None) -> int:
        return graph.send(method, f"https://graph.microsoft.com/_emulator{path}", json=body).status_code

    assert status("PATCH", "/users/nobody", {"department": "IT"}) == 404
    assert status("POST", "/faults", {"effect": "earthquake"}) == 400
    assert status("PATCH", "/behaviour", {"gravity": 0}) == 400
    assert status("GET", "/nothing") == 404
    graph.tenant.add_user(userPrincipalName="ada@contoso.com")
    assert status("POST", "/users", {"userPrincipalName": "ADA@contoso.com"}) == 400


# Both emulators over sockets


def test_both_emulators_are_served_and_stop_without_a_trace(tmp_path):
    env_file = tmp_path / "emulators.env"
    command = [sys.executable, "-m", "tests.emulators", "--graph-port", "0", "--servicenow-port", "0"]
    command += ["--users", "30", "--groups", "4", "--seed", "2", "--env-file", str(env_file)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}) as process:
        try:
            deadline = time.monotonic() + 30
            while not env_file.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            values = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
            bearer = {"Authorization": f"Bearer {values['GRAPH_ACCESS_TOKEN']}"}
            with httpx.Client(trust_env=False) as client:
                users = client.get(f"{values['GRAPH_BASE_URL']}/users", headers=bearer).json()["value"]
                url = f"{values['SERVICENOW_INSTANCE']}/api/now/table/cmn_department?sysparm_fields=name"
                found = client.get(url, auth=("admin", "admin")).json()["result"]
                client.post(f"{values['GRAPH_BASE_URL'][:-5]}/_emulator/faults", json={"effect": "reset-connection"})
                with pytest.raises(httpx.RemoteProtocolError):
                    client.get(f"{values['GRAPH_BASE_URL']}/users", headers=bearer)
            assert len(users) == 30
            assert {row["name"] for row in found} == set(DEPARTMENTS)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
