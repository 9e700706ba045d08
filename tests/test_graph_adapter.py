"""What the Graph adapter reads: the emulator asked through the real client, the SDK on our transports."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.errors import ConfigError, ObjectError, Unauthorized, Unavailable
from provisioning.model import Assignment, Member, MembersChanged, Removed, SourceObject, Upserted
from tests.graph_world import World

EVERYTHING = frozenset({"Directory.Read.All"})


@pytest.fixture
def world(runner: asyncio.Runner) -> Iterator[World]:
    with World(runner) as made:
        yield made


def test_importing_the_adapter_imports_neither_the_sdk_nor_msal() -> None:
    code = (
        "import sys, provisioning.adapters.graph\n"
        "heavy = {'msgraph', 'msgraph_core', 'kiota_abstractions', 'kiota_http', 'msal', 'requests'}\n"
        "sys.exit(', '.join(sorted(heavy & sys.modules.keys())) or 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, cwd=Path(__file__).parent.parent)


# The application


def test_the_service_principal_is_found_by_object_id_and_by_application_id(world: World) -> None:
    by_object_id = world.ask(world.source.service_principal())
    by_app_id = world.ask(world.adapter(principal=world.tenant.app_id).service_principal())

    assert by_object_id == by_app_id
    assert by_object_id.id == world.tenant.service_principal_id
    assert by_object_id.app_id == world.tenant.app_id
    assert [(role.display_name, role.enabled) for role in by_object_id.roles] == [
        ("User", True),
        ("msiam_access", True),
    ]


@pytest.mark.parametrize("given", ["11111111-2222-3333-4444-555555555555", "ServiceNow"])
def test_an_unknown_service_principal_is_a_matter_of_configuration(world: World, given: str) -> None:
    with pytest.raises(ConfigError, match=r"ENTRA_SERVICE_PRINCIPAL_ID .* Object ID .* Enterprise applications"):
        world.ask(world.adapter(principal=given).service_principal())


def test_assignments_are_found_when_the_setting_holds_an_application_id(world: World) -> None:
    user = world.tenant.add_user()
    world.tenant.assign(user)

    page = world.ask(world.adapter(principal=world.tenant.app_id).assignments(None))

    assert page.assignments == (Assignment(user, "User", world.tenant.user_role_id),)


def test_assignments_come_in_pages_of_999(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(1200)]
    for user in users:
        world.tenant.assign(user)

    first = world.ask(world.source.assignments(None))
    second = world.ask(world.source.assignments(first.next_link))

    assert len(first.assignments) == 999
    assert second.next_link is None
    assert {row.principal_id for row in first.assignments + second.assignments} == set(users)


# Delta


def test_the_first_round_reads_everybody_in_pages_of_200(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(450)]

    changes, _ = world.round("user")

    assert [change.object.id for change in changes] == users
    assert world.tenant.counts["GET /users/delta"] == 3


def test_the_latest_link_reads_nothing_and_later_reports_only_what_came_after(world: World) -> None:
    world.tenant.add_user()
    link = world.ask(world.source.latest_link("user"))
    later = world.tenant.add_user(displayName="Ada")

    changes, again = world.round("user", link)

    assert [(change.object.id, change.object.attributes["displayName"]) for change in changes] == [(later, "Ada")]
    assert world.round("user", again)[0] == []


def test_delta_tracks_the_mapped_attributes_and_what_the_engine_needs(world: World) -> None:
    source = world.adapter(users=("jobTitle", "onPremisesExtensionAttributes"), groups=("mail",))

    assert source.tracked("user") == (
        "id", "accountEnabled", "userPrincipalName", "displayName", "jobTitle", "onPremisesExtensionAttributes",
    )  # fmt: skip
    assert source.tracked("group") == ("id", "displayName", "securityEnabled", "mail", "members")
    assert world.source.tracked("user")[-2:] == ("mail", "manager")


def test_a_change_of_an_attribute_that_is_not_mapped_is_not_reported(world: World) -> None:
    user = world.tenant.add_user()
    link = world.ask(world.source.latest_link("user"))
    world.tenant.update_user(user, faxNumber="123")

    assert world.round("user", link)[0] == []


def test_delta_names_the_manager_only_when_it_changed(world: World) -> None:
    first, second, report = (world.tenant.add_user() for _ in range(3))
    world.tenant.set_manager(report, first)
    changes, link = world.round("user")
    managers = {change.object.id: change.object.attributes.get("manager", "not told") for change in changes}
    assert managers == {first: "not told", second: "not told", report: {"id": first}}

    world.tenant.set_manager(report, second)
    changes, link = world.round("user", link)
    assert [change.object.attributes["manager"] for change in changes] == [{"id": second}]

    world.tenant.update_user(report, mail="new@contoso.com")
    changes, link = world.round("user", link)
    assert ["manager" in change.object.attributes for change in changes] == [False]

    world.tenant.set_manager(report, None)
    changes, link = world.round("user", link)
    assert [change.object.attributes["manager"] for change in changes] == [None]


def test_attributes_hold_no_annotations(world: World) -> None:
    world.tenant.add_user(mail=None)

    changes, _ = world.round("user")

    assert not [name for change in changes for name in change.object.attributes if "@" in name]


def test_a_soft_deletion_can_be_restored_and_a_purge_cannot(world: World) -> None:
    user = world.tenant.add_user()
    _, link = world.round("user")

    world.tenant.delete_user(user)
    changes, link = world.round("user", link)
    assert changes == [Removed("user", user, permanent=False)]

    world.tenant.restore_user(user)
    changes, link = world.round("user", link)
    assert [type(change) for change in changes] == [Upserted]

    world.tenant.purge_user(user)
    changes, link = world.round("user", link)
    assert changes == [Removed("user", user, permanent=True)]


def test_membership_changes_name_who_came_and_who_went(world: World) -> None:
    stays, leaves, joins = (world.tenant.add_user() for _ in range(3))
    nested, device = world.tenant.add_group(), world.tenant.add_device("laptop")
    group = world.tenant.add_group(displayName="Sales", members=[stays, leaves])
    _, link = world.round("group")

    world.tenant.remove_member(group, leaves)
    for member in (joins, nested, device):
        world.tenant.add_member(group, member)
    changes, _ = world.round("group", link)

    slices = [change for change in changes if isinstance(change, MembersChanged)]
    assert {change.group for change in slices} == {group}
    assert {member for change in slices for member in change.added} == {
        Member(joins, "user"), Member(nested, "group"), Member(device, "other"),
    }  # fmt: skip
    assert [member for change in slices for member in change.removed] == [leaves]
    assert [change.object.attributes["displayName"] for change in changes if isinstance(change, Upserted)] == ["Sales"]


def test_a_large_group_comes_in_slices_and_none_of_its_members_is_lost(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(250)]
    group = world.tenant.add_group(members=users)
    world.tenant.behaviour.members_per_delta_page = 100

    changes, _ = world.round("group")

    slices = [change for change in changes if isinstance(change, MembersChanged)]
    assert len(slices) == 3
    assert sorted(member.id for change in slices for member in change.added) == sorted(users)
    assert {change.group for change in slices} == {group}


# Members, users and groups


def test_members_are_direct_and_of_every_type(world: World) -> None:
    user, device = world.tenant.add_user(), world.tenant.add_device("laptop")
    inner = world.tenant.add_group(members=[world.tenant.add_user()])
    outer, empty = world.tenant.add_group(members=[user, inner, device]), world.tenant.add_group()
    unknown = "11111111-2222-3333-4444-555555555555"

    found = world.ask(world.source.members([outer, empty, unknown, outer]))

    assert set(found[outer]) == {Member(user, "user"), Member(inner, "group"), Member(device, "other")}
    assert found[empty] == ()
    assert found[unknown] is None
    assert list(found) == [outer, empty, unknown]


def test_members_of_many_groups_take_one_request_per_20_and_pages_are_read_to_the_end(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(1100)]
    large = world.tenant.add_group(members=users)
    groups = [large, *(world.tenant.add_group(members=users[:2]) for _ in range(29))]

    found = world.ask(world.source.members(groups))

    assert [len(found[group]) for group in groups] == [1100] + [2] * 29
    assert world.tenant.counts["POST /$batch"] == 3


def test_300_users_take_one_request(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(301)]

    found = world.ask(world.source.users(users))

    assert found.keys() == set(users)
    assert world.tenant.counts["POST /$batch"] == 2


def test_users_come_with_mapped_attributes_and_their_manager(world: World) -> None:
    boss = world.tenant.add_user(displayName="Boss", userPrincipalName="boss@contoso.com", mail=None)
    user = world.tenant.add_user(displayName="Ada", userPrincipalName="ada@contoso.com", mail="ada@contoso.com")
    world.tenant.set_manager(user, boss)
    gone = world.tenant.add_user()
    world.tenant.delete_user(gone)

    found = world.ask(world.source.users([user, boss, gone]))

    assert found == {
        user: SourceObject("user", user, {
            "id": user, "accountEnabled": True, "userPrincipalName": "ada@contoso.com", "displayName": "Ada",
            "mail": "ada@contoso.com", "manager": {"id": boss},
        }),
        boss: SourceObject("user", boss, {
            "id": boss, "accountEnabled": True, "userPrincipalName": "boss@contoso.com", "displayName": "Boss",
            "mail": None, "manager": None,
        }),
    }  # fmt: skip


def test_managers_are_not_read_unless_they_are_mapped(world: World) -> None:
    user = world.tenant.add_user()
    source = world.adapter(users=("mail",))

    found = world.ask(source.users([user]))

    assert "manager" not in found[user].attributes
    assert "manager" not in source.tracked("user")


def test_groups_come_with_mapped_attributes(world: World) -> None:
    group = world.tenant.add_group(displayName="Sales & Söhne", description="Sells")

    found = world.ask(world.source.groups([group, "11111111-2222-3333-4444-555555555555"]))

    assert found == {
        group: SourceObject("group", group, {
            "id": group, "displayName": "Sales & Söhne", "securityEnabled": True, "description": "Sells",
        })
    }  # fmt: skip


def test_nothing_is_sent_when_nothing_is_asked_for(world: World) -> None:
    async def ask_for_nothing() -> list:
        source = world.source
        return [
            await source.users([]), await source.groups([]), await source.members([]), await source.are_members([]),
            await source.deleted("user", []),
        ]  # fmt: skip

    assert not any(world.ask(ask_for_nothing()))
    assert world.between.asked == []


def test_no_more_batches_are_in_flight_than_allowed(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(10 * 300)]

    world.ask(world.adapter(concurrency=3).users(users))

    assert world.tenant.counts["POST /$batch"] == 10
    assert world.between.busiest == 3


def test_what_fills_no_batch_goes_with_what_others_ask_meanwhile(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(8 * 75)]  # five addresses each

    async def crowd() -> list:
        return await asyncio.gather(*(world.source.users(users[n::8]) for n in range(8)))

    found = world.ask(crowd())

    assert [set(some) for some in found] == [set(users[n::8]) for n in range(8)]
    assert world.tenant.counts["POST /$batch"] == 3  # the first finds nothing to wait for, the other 35 fill two


def test_who_gives_up_before_the_batch_is_sent_leaves_nobody_waiting_behind(world: World) -> None:
    user = world.tenant.add_user()

    async def crowd() -> list:
        given_up = asyncio.ensure_future(world.source.users([user]))
        await asyncio.sleep(0)  # asked, and not yet sent
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        return await asyncio.wait_for(world.source.users([user]), 5)

    assert set(world.ask(crowd())) == {user}


def test_a_batch_that_fails_fails_for_everybody_who_is_in_it_and_for_nobody_else(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(3)]
    world.between.answer("/$batch", 403, '{"error": {"code": "Authorization_RequestDenied", "message": "no"}}')

    async def crowd() -> list:
        asking = [world.source.users([user]) for user in users]
        return await asyncio.gather(*asking, return_exceptions=True)

    first, *others = world.ask(crowd())

    assert isinstance(first, Unauthorized)
    assert [set(found) for found in others] == [{users[1]}, {users[2]}]


# Proofs


@pytest.mark.parametrize("permissions", [EVERYTHING, None], ids=["all of the directory", "least permissions"])
@pytest.mark.parametrize("others", [0, 30], ids=["few users", "many users"])
def test_grants_are_direct_ones_and_those_of_groups_one_level_up(
    world: World, permissions: frozenset[str] | None, others: int
) -> None:
    tenant = world.tenant
    tenant.behaviour.permissions = permissions or tenant.behaviour.permissions
    both, by_group, nested, none = (tenant.add_user() for _ in range(4))
    crowd = [tenant.add_user() for _ in range(others)]
    inner = tenant.add_group(members=[nested])
    group = tenant.add_group(members=[both, by_group, inner])
    tenant.assign(both)
    tenant.assign(group, tenant.msiam_role_id)
    tenant.assign(none, resource_id=tenant.add_service_principal(displayName="Another application"))
    unknown = "11111111-2222-3333-4444-555555555555"

    found = world.ask(world.source.grants("user", [both, by_group, nested, none, unknown, *crowd]))

    direct = Assignment(both, "User", tenant.user_role_id)
    through = Assignment(group, "Group", tenant.msiam_role_id)
    assert {key: value if value is None else set(value) for key, value in found.items()} == {
        both: {direct, through}, by_group: {through}, nested: set(), none: set(), unknown: None,
        **{user: set() for user in crowd},
    }  # fmt: skip


@pytest.mark.parametrize("permissions", [EVERYTHING, None], ids=["all of the directory", "least permissions"])
def test_groups_have_only_grants_of_their_own(world: World, permissions: frozenset[str] | None) -> None:
    tenant = world.tenant
    tenant.behaviour.permissions = permissions or tenant.behaviour.permissions
    inner = tenant.add_group()
    outer = tenant.add_group(members=[inner])
    tenant.assign(outer)
    unknown = "11111111-2222-3333-4444-555555555555"

    found = world.ask(world.source.grants("group", [inner, outer, unknown]))

    assert found == {inner: (), outer: (Assignment(outer, "Group", tenant.user_role_id),), unknown: None}


def test_own_assignments_are_asked_for_once_when_the_permission_is_missing(world: World) -> None:
    user = world.tenant.add_user()
    world.tenant.assign(user)

    for _ in range(3):
        world.ask(world.source.grants("user", [user]))

    assert world.tenant.counts["batch: GET /users/{id}/appRoleAssignments"] == 1


def test_an_empty_list_of_assignments_alone_proves_nothing(world: World) -> None:
    user = world.tenant.add_user()

    with pytest.raises(Unauthorized, match=r"empty, which alone proves nobody's loss .* Directory\.Read\.All"):
        world.ask(world.source.grants("user", [user]))


def test_a_membership_is_direct_or_not_there(world: World) -> None:
    member, nested, other = (world.tenant.add_user() for _ in range(3))
    inner = world.tenant.add_group(members=[nested])
    group = world.tenant.add_group(members=[member, inner])
    unknown = "11111111-2222-3333-4444-555555555555"
    pairs = [(group, member), (group, nested), (group, other), (group, inner), (unknown, member)]

    found = world.ask(world.source.are_members(pairs))

    assert [found[pair] for pair in pairs] == [True, False, False, True, False]


def test_deleted_are_those_that_can_be_restored(world: World) -> None:
    present, deleted, purged = (world.tenant.add_user() for _ in range(3))
    world.tenant.delete_user(deleted)
    world.tenant.purge_user(purged)

    assert world.ask(world.source.deleted("user", [present, deleted, purged])) == {deleted}


# On demand


def test_a_user_is_found_by_id_and_by_user_principal_name(world: World) -> None:
    user = world.tenant.add_user(userPrincipalName="siobhan.o'brien#x@contoso.com", displayName="Siobhán")
    boss = world.tenant.add_user()
    world.tenant.set_manager(user, boss)

    by_id = world.ask(world.source.find("user", user.upper()))
    by_name = world.ask(world.source.find("user", "siobhan.o'brien#x@contoso.com"))

    assert by_id == by_name
    assert by_id is not None
    assert by_id.attributes["manager"] == {"id": boss}
    assert world.ask(world.source.find("user", "nobody@contoso.com")) is None
    assert world.ask(world.source.find("user", "11111111-2222-3333-4444-555555555555")) is None


def test_a_group_is_found_by_its_name_if_only_one_has_it(world: World) -> None:
    group = world.tenant.add_group(displayName="R&D 100% 'core'")
    world.tenant.add_group(displayName="Twins")
    world.tenant.add_group(displayName="Twins")

    found = world.ask(world.source.find("group", "R&D 100% 'core'"))
    assert found is not None
    assert found.id == group
    assert world.ask(world.source.find("group", "None")) is None
    with pytest.raises(ObjectError, match="2 groups in Entra have the displayName 'Twins'") as refused:
        world.ask(world.source.find("group", "Twins"))
    assert refused.value.code == "DuplicateSourceEntries"
    assert "Object ID" in refused.value.way_out


def test_a_list_that_graph_does_not_know_is_not_an_empty_one(world: World) -> None:
    source = world.adapter(base_url="http://127.0.0.1:7101/v2.0")

    with pytest.raises(Unavailable):
        world.ask(source.users([world.tenant.add_user()]))
