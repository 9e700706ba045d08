"""Roles on an emulated instance: who inherits what through groups, their parents and roles that contain others, and
what deletions leave behind.
"""

from __future__ import annotations

import pytest

from tests.emulators.servicenow.in_process import GROUPS, MEMBERS, USERS, calling
from tests.emulators.servicenow.seed import ADMIN_ID, NATASHA_ID

HAS_ROLE = "/api/now/table/sys_user_has_role"


@pytest.fixture
def call():
    with calling() as call:
        yield call


@pytest.fixture
def instance(call):
    return call.instance


@pytest.fixture
def role(instance):
    """The sys_id of a role by its name, made where there is none."""

    def role(name):
        found = instance.find("sys_user_role", name=name) or [instance.insert("sys_user_role", {"name": name})]
        return found[0]["sys_id"]

    return role


@pytest.fixture
def group(instance, role):
    def group(name, *roles, parent=""):
        sys_id = instance.insert("sys_user_group", {"name": name, "parent": parent})["sys_id"]
        for one in roles:
            instance.insert("sys_group_has_role", {"group": sys_id, "role": role(one)})
        return sys_id

    return group


def inherited(instance, user=NATASHA_ID):
    """The names of the roles that a user holds without a grant."""
    query = f"user={user}^inherited=true"
    roles = [instance.get("sys_user_role", row["role"])["name"] for row in instance.rows("sys_user_has_role", query)]
    assert len(roles) == len(set(roles))
    return set(roles)


def test_members_of_a_group_inherit_its_roles_and_lose_them_when_they_leave(call, instance, group):
    team = group("Team", "itil", "catalog_admin")
    membership = call.insert(MEMBERS, user=NATASHA_ID, group=team)
    assert inherited(instance) == {"itil", "catalog_admin"}
    rows = call.get(HAS_ROLE, sysparm_query=f"user={NATASHA_ID}", sysparm_fields="role.name,inherited,granted_by.name")
    assert sorted(rows, key=str) == [
        {"role.name": "catalog_admin", "inherited": "true", "granted_by.name": "Team"},
        {"role.name": "itil", "inherited": "true", "granted_by.name": "Team"},
    ]
    call("DELETE", f"{MEMBERS}/{membership['sys_id']}")
    assert inherited(instance) == set()


def test_a_group_inherits_the_roles_of_its_parents(call, instance, group):
    top = group("Top", "security_admin")
    middle = group("Middle", "itil", parent=top)
    call.insert(MEMBERS, user=NATASHA_ID, group=group("Bottom", parent=middle))
    assert inherited(instance) == {"security_admin", "itil"}
    call("PATCH", f"{GROUPS}/{middle}", json={"parent": ""})
    assert inherited(instance) == {"itil"}
    call("PATCH", f"{GROUPS}/{top}", json={"parent": middle})
    call("PATCH", f"{GROUPS}/{middle}", json={"parent": top})  # a circle
    assert inherited(instance) == {"security_admin", "itil"}


def test_a_role_brings_along_the_roles_that_it_contains(call, instance, role):
    contains = {"role": role("user_admin"), "contains": role("itil")}
    contained = call.insert("/api/now/table/sys_user_role_contains", **contains)
    call.insert(HAS_ROLE, user=NATASHA_ID, role=role("user_admin"))
    assert inherited(instance) == {"itil"}
    call("DELETE", f"/api/now/table/sys_user_role_contains/{contained['sys_id']}")
    assert inherited(instance) == set()


def test_a_role_that_a_group_gets_later_reaches_its_members_and_theirs(call, instance, group, role):
    top = group("Top")
    call.insert(MEMBERS, user=NATASHA_ID, group=group("Bottom", parent=top))
    granted = call.insert("/api/now/table/sys_group_has_role", group=top, role=role("itil"))
    assert inherited(instance) == {"itil"}
    call("DELETE", f"/api/now/table/sys_group_has_role/{granted['sys_id']}")
    assert inherited(instance) == set()


def test_an_inherited_role_that_is_revoked_comes_back(call, instance, group):
    call.insert(MEMBERS, user=NATASHA_ID, group=group("Team", "itil"))
    (row,) = instance.find("sys_user_has_role", user=NATASHA_ID, inherited="true")
    assert call("DELETE", f"{HAS_ROLE}/{row['sys_id']}").status_code == 204
    assert inherited(instance) == {"itil"}


def test_two_ways_to_a_role_are_one_row_until_both_are_gone(call, instance, group):
    first = call.insert(MEMBERS, user=NATASHA_ID, group=group("One", "itil"))
    second = call.insert(MEMBERS, user=NATASHA_ID, group=group("Two", "itil"))
    assert inherited(instance) == {"itil"}
    call("DELETE", f"{MEMBERS}/{first['sys_id']}")
    assert inherited(instance) == {"itil"}
    call("DELETE", f"{MEMBERS}/{second['sys_id']}")
    assert inherited(instance) == set()


def test_a_direct_grant_outlives_the_membership(call, instance, group, role):
    call.insert(HAS_ROLE, user=NATASHA_ID, role=role("itil"))
    membership = call.insert(MEMBERS, user=NATASHA_ID, group=group("Team", "itil"))
    call("DELETE", f"{MEMBERS}/{membership['sys_id']}")
    (row,) = instance.find("sys_user_has_role", user=NATASHA_ID)
    assert row["inherited"] == "false"


def test_the_members_of_a_deleted_group_lose_what_it_gave_them(call, instance, group):
    team = group("Team", "itil")
    call.insert(MEMBERS, user=NATASHA_ID, group=team)
    call("DELETE", f"{GROUPS}/{team}")
    assert inherited(instance) == set()
    assert instance.find("sys_group_has_role", group=team) == []


def test_the_roles_of_a_deleted_user_go_with_it(call, instance, group):
    call.insert(MEMBERS, user=NATASHA_ID, group=group("Team", "itil"))
    call("DELETE", f"{USERS}/{NATASHA_ID}")
    assert instance.find("sys_user_has_role", user=NATASHA_ID) == []


def test_seeded_members_of_a_group_with_a_role_have_inherited_it(instance):
    (abel,) = instance.find("sys_user", user_name="abel.tuter")
    assert inherited(instance, abel["sys_id"]) == {"itil"}
    assert inherited(instance, ADMIN_ID) == set()


@pytest.mark.parametrize(("switch", "left"), [("deleted", None), ("cleared", ""), ("orphaned", NATASHA_ID)])
def test_what_a_deleted_user_leaves_of_its_memberships_is_a_switch(call, instance, group, switch, left):
    call.control("PATCH", "/switches", {"membership_cascade": switch})
    membership = call.insert(MEMBERS, user=NATASHA_ID, group=group("Team", "itil"))
    call("DELETE", f"{USERS}/{NATASHA_ID}")
    row = instance.get("sys_user_grmember", membership["sys_id"])
    assert (row and row["user"]) == left
    assert instance.rows("sys_user_has_role", f"user={NATASHA_ID}") == []
