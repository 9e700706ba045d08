"""How somebody leaves the scope, what the job does about it, and how they come back: both emulators, whole cycles."""

from __future__ import annotations

from collections import Counter

import pytest

from provisioning.model import ScopeCheck
from provisioning.rules.departures import Departures, departure
from provisioning.rules.scope import ACTIVE as IS_ACTIVE
from provisioning.rules.scope import ASSIGNED, ENTITLED, FILTERED
from tests.mappings import clause
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_scope_stories import with_user_filter
from tests.world import small_world

EVENTS = ("unassigned", "filtered", "disabled", "soft-deleted", "hard-deleted")
FIELDS = ("unassigned", "filtered", "disabled", "soft_deleted", "hard_deleted")


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        hire(world, "colleague", department="Design")  # somebody stays
        yield world


def failing(*names):
    order = (IS_ACTIVE, ASSIGNED, ENTITLED, FILTERED)
    return tuple(ScopeCheck(name, passed=name not in names) for name in order)


@pytest.mark.parametrize(
    ("failed", "gone", "expected"),
    [
        ((FILTERED,), None, "filtered"),
        ((ASSIGNED,), None, "unassigned"),
        ((ENTITLED,), None, "unassigned"),
        ((ASSIGNED, FILTERED), None, "unassigned"),
        ((IS_ACTIVE,), None, "disabled"),
        ((IS_ACTIVE, ASSIGNED), None, "disabled"),
        ((IS_ACTIVE,), "restorable", "soft-deleted"),
        ((IS_ACTIVE, ASSIGNED), "permanent", "hard-deleted"),
    ],
)
def test_of_several_ways_to_leave_the_gravest_counts(failed, gone, expected):
    assert departure(failing(*failed), gone) == expected


def leave(world, event, user):
    """The user leaves in that way, and in no other."""
    match event:
        case "unassigned":
            world.directory.unassign_principal(user)
        case "filtered":
            world.directory.update_user(user, department="Accounting")
        case "disabled":
            world.directory.update_user(user, accountEnabled=False)
        case "soft-deleted":
            world.directory.delete_user(user)
        case "hard-deleted":
            world.directory.delete_user(user)
            world.directory.purge_user(user)


@pytest.mark.parametrize("action", ["disable", "delete", "leave"])
@pytest.mark.parametrize("event", EVENTS)
def test_each_way_to_leave_has_its_own_action(world, event, action):
    others = dict.fromkeys(FIELDS, "leave" if action != "leave" else "disable")
    world.departures = Departures(**{**others, event.replace("-", "_"): action})
    world.hard_delete = world.departures.hard_deleted
    with_user_filter(world, [clause("department", "NOT EQUALS", "Accounting")])
    ada = hire(world, "ada", department="Design")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    leave(world, event, ada)
    world.cycle()
    if action == "delete":
        assert account(world, "ada") is None
    else:
        assert state(world, "ada") == (DISABLED if action == "disable" else ACTIVE)
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_a_user_who_was_disabled_by_unassignment_and_is_deleted_later_is_not_forgotten(world):
    world.hard_delete = "delete"
    ada = hire(world, "ada")
    world.cycle()
    world.directory.unassign_principal(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.delete_user(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.purge_user(ada)
    world.cycle()
    assert account(world, "ada") is None


def test_a_user_who_was_left_alone_when_unassigned_is_disabled_when_deleted(world):
    world.departures = Departures(unassigned="leave", filtered="leave")
    ada = hire(world, "ada")
    world.cycle()
    world.directory.unassign_principal(ada)
    world.cycle()
    assert state(world, "ada") == ACTIVE
    world.directory.delete_user(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED


# --- Memberships of who is disabled ---------------------------------------------------------------


def disable_and_return(world, user):
    def disable():
        world.directory.update_user(user, accountEnabled=False)

    def enable():
        world.directory.update_user(user, accountEnabled=True)

    return disable, enable


@pytest.mark.parametrize("everyone", [False, True])
def test_nobody_joins_a_new_group_in_the_cycle_that_disables_the_account(world, everyone):
    world.departures, world.everyone = Departures(memberships="remove"), everyone
    ada, bob = hire(world, "ada"), hire(world, "bob")
    world.cycle()
    disable_and_return(world, ada)[0]()
    group_of(world, "Engineers", ada, bob)
    world.cycle()
    assert state(world, "ada") == DISABLED
    assert world.members("Engineers") == {f"bob@{DOMAIN}"}


@pytest.mark.parametrize("everyone", [False, True])
def test_a_disabled_account_loses_its_memberships_by_setting_and_gets_them_back(world, everyone):
    world.departures, world.everyone = Departures(memberships="remove"), everyone
    ada, bob = hire(world, "ada"), hire(world, "bob")
    group_of(world, "Engineers", ada, bob)
    group_of(world, "Readers", ada)
    world.cycle()
    disable, enable = disable_and_return(world, ada)
    disable()
    world.cycle()
    assert state(world, "ada") == DISABLED
    assert (world.members("Engineers"), world.members("Readers")) == ({f"bob@{DOMAIN}"}, set())
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}
    enable()
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert world.members("Engineers") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}
    assert world.members("Readers") == {f"ada@{DOMAIN}"}
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_by_default_a_disabled_account_keeps_its_memberships(world):
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert (state(world, "ada"), world.members("Engineers")) == (DISABLED, {f"ada@{DOMAIN}"})


def test_a_membership_that_begins_while_the_account_is_disabled_waits_for_its_return(world):
    world.departures = Departures(memberships="remove")
    ada = hire(world, "ada")
    group = group_of(world, "Engineers")
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    world.directory.add_member(group, ada)
    world.cycle()
    assert world.members("Engineers") == set()
    world.directory.update_user(ada, accountEnabled=True)
    world.cycle()
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}


def test_a_membership_that_ends_while_the_account_is_disabled_does_not_come_back(world):
    world.departures = Departures(memberships="remove")
    ada = hire(world, "ada")
    group = group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    world.directory.remove_member(group, ada)
    world.cycle()
    world.directory.update_user(ada, accountEnabled=True)
    world.cycle()
    assert (state(world, "ada"), world.members("Engineers")) == (ACTIVE, set())


def test_memberships_that_others_made_stay_with_a_disabled_account(world):
    world.departures = Departures(memberships="remove")
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    world.cycle()
    local = world.instance.insert("sys_user_group", {"name": "Local"})
    world.instance.insert("sys_user_grmember", {"group": local["sys_id"], "user": account(world, "ada")["sys_id"]})
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert (world.members("Engineers"), world.members("Local")) == (set(), {f"ada@{DOMAIN}"})


def test_the_setting_reaches_those_who_are_disabled_already(world):
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}
    world.departures = Departures(memberships="remove")
    world.restart()
    world.cycle()
    assert world.members("Engineers") == set()


def test_a_member_of_very_many_groups_loses_them_all(world):
    world.departures = Departures(memberships="remove")
    ada = hire(world, "ada")
    for number in range(60):
        group_of(world, f"Group {number:02}", ada)
    world.cycle()
    assert len(world.instance.find("sys_user_grmember", user=account(world, "ada")["sys_id"])) == 60
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert world.instance.find("sys_user_grmember", user=account(world, "ada")["sys_id"]) == []


def test_a_soft_deleted_user_is_a_member_again_after_the_restore(world):
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.delete_user(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.restore_user(ada)
    world.cycle()
    assert (state(world, "ada"), world.members("Engineers")) == (ACTIVE, {f"ada@{DOMAIN}"})


def test_a_membership_that_ended_before_its_user_came_is_not_made_when_the_user_comes(world):
    ada = hire(world, "ada", assigned=False)
    world.directory.update_user(ada, accountEnabled=False)
    group = group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.remove_member(group, ada)
    world.cycle()
    world.directory.assign(ada)
    world.directory.update_user(ada, accountEnabled=True)
    world.cycle()
    assert (state(world, "ada"), world.members("Engineers")) == (ACTIVE, set())


# --- Groups ---------------------------------------------------------------------------------------


def group_record(world, name):
    found = world.instance.find("sys_user_group", name=name)
    return dict(found[0]) if found else None


@pytest.mark.parametrize("how", ["leave", "deactivate", "delete"])
@pytest.mark.parametrize("event", ["unassigned", "deleted"])
def test_a_group_that_leaves_loses_our_members_and_the_setting_decides_about_its_record(world, how, event):
    world.departures = Departures(groups=how)
    ada = hire(world, "ada")
    group = group_of(world, "Engineers", ada)
    world.cycle()
    if event == "unassigned":
        world.directory.unassign_principal(group)
    else:
        world.directory.delete_group(group, permanently=False)
    world.cycle()
    world.cycle()
    record = group_record(world, "Engineers")
    assert world.instance.find("sys_user_grmember", user=account(world, "ada")["sys_id"]) == []
    if how == "delete":
        assert record is None
    else:
        assert record["active"] == ("true" if how == "leave" else "false")
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}
    if event == "unassigned":
        world.directory.assign(group)
    else:
        world.directory.restore_group(group)
    world.cycle()
    assert group_record(world, "Engineers")["active"] == "true"
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}
    assert max(Counter(row["name"] for row in world.instance.rows("sys_user_group")).values()) == 1


def test_a_group_that_servicenow_had_before_is_deactivated_and_never_deleted(world):
    world.departures = Departures(groups="delete")
    world.instance.insert("sys_user_group", {"name": "Engineers"})
    group = group_of(world, "Engineers", hire(world, "ada"))
    world.cycle()
    world.directory.unassign_principal(group)
    world.cycle()
    assert group_record(world, "Engineers")["active"] == "false"


def test_who_was_deleted_in_servicenow_as_well_is_created_again_after_the_restore(world):
    world.departures = Departures(soft_deleted="delete")
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.delete_user(ada)
    world.cycle()
    assert account(world, "ada") is None
    world.directory.restore_user(ada)
    world.cycle()
    assert (state(world, "ada"), world.members("Engineers")) == (ACTIVE, {f"ada@{DOMAIN}"})
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}
