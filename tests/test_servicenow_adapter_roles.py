"""What the adapter reads about rights: our own account, holders of admin roles, groups that carry roles."""

from __future__ import annotations

import httpx
import pytest

from provisioning.adapters.servicenow import ServiceNowTarget, credentials
from provisioning.errors import Unauthorized, Unavailable
from provisioning.rules.protection import Administrators
from tests.emulators.servicenow.seed import ADMIN_ID, ADMIN_ROLE_ID, INTEGRATION_USER, NATASHA_ID
from tests.servicenow_world import World


@pytest.fixture
def world(runner):
    return World(runner)


def group(world, name, *roles, parent="", members=()):
    sys_id = world.instance.insert("sys_user_group", {"name": name, "parent": parent})["sys_id"]
    for role in roles:
        (found,) = world.instance.find("sys_user_role", name=role)
        world.instance.insert("sys_group_has_role", {"group": sys_id, "role": found["sys_id"]})
    for user in members:
        world.instance.insert("sys_user_grmember", {"group": sys_id, "user": user})
    return sys_id


def administrators(world):
    return world.do(world.target.administrators())


def carrying(world, *groups):
    return world.do(world.target.groups_with_roles(groups))


def test_the_instance_tells_which_account_is_ours(world):
    assert world.do(world.target.own_account()) == world.users[INTEGRATION_USER]["sys_id"]
    as_admin = ServiceNowTarget(world.another_session(credentials("basic", username="admin", password="admin")))
    assert world.do(as_admin.own_account()) == ADMIN_ID


def test_an_instance_that_does_not_tell_it_is_not_taken_at_another_word(world):
    world.instance.access.no_match["sys_user"].add("sys_id")
    world.instance.switches.query_acl = "dropped"  # everybody is the answer
    assert world.do(world.target.own_account()) is None
    world.instance.switches.query_acl = "no_rows"
    assert world.do(world.target.own_account()) is None
    world.instance.switches.query_acl = "refused"
    assert world.do(world.target.own_account()) is None


def test_a_failure_is_no_answer_to_who_we_are(world):
    world.wire.meddle = lambda request: httpx.Response(503) if request.method == "GET" else request
    with pytest.raises(Unavailable):
        world.do(world.target.own_account())


def test_administrators_are_told_with_the_groups_that_made_them(world):
    team = group(world, "Team", "security_admin", members=[NATASHA_ID])
    assert administrators(world) == Administrators(
        {ADMIN_ID: frozenset({""}), NATASHA_ID: frozenset({team})}, complete=True
    )
    world.instance.insert("sys_user_has_role", {"user": NATASHA_ID, "role": ADMIN_ROLE_ID})
    assert administrators(world).ways[NATASHA_ID] == {team, ""}


def test_holders_are_read_by_offset_where_ranges_on_sys_id_are_forbidden(world):
    world.instance.access.no_range["sys_user_has_role"].add("sys_id")
    assert administrators(world) == Administrators({ADMIN_ID: frozenset({""})}, complete=True)


def test_holders_that_access_rules_hide_are_known_to_be_missing(world):
    group(world, "Team", "security_admin", members=[NATASHA_ID])
    world.instance.access.hidden_rows["sys_user_has_role"] = f"user={ADMIN_ID}"
    found = administrators(world)
    assert (set(found.ways), found.complete) == ({NATASHA_ID}, False)


def test_a_group_carries_its_own_roles_and_those_of_all_above_it(world):
    top = group(world, "Top", "itil")
    middle = group(world, "Middle", parent=top)
    bottom = group(world, "Bottom", parent=middle)
    beside = group(world, "Beside")
    below = group(world, "Below", "itil", parent=beside)
    assert carrying(world, top, middle, bottom, beside, below) == {top, middle, bottom, below}
    assert carrying(world, beside) == frozenset()
    assert carrying(world) == frozenset()


def test_parents_in_a_circle_are_walked_once(world):
    one = group(world, "One")
    two = group(world, "Two", parent=one)
    world.instance.update("sys_user_group", one, {"parent": two})
    assert carrying(world, one, two) == frozenset()
    (itil,) = world.instance.find("sys_user_role", name="itil")
    world.instance.insert("sys_group_has_role", {"group": two, "role": itil["sys_id"]})
    assert carrying(world, one, two) == {one, two}


def test_many_groups_take_few_requests(world):
    plain = [group(world, f"plain {n}") for n in range(200)]
    special = [group(world, f"special {n}", "itil") for n in range(3)]
    world.do(world.target.dictionary())
    with world.counted() as asked:
        assert carrying(world, *plain, *special) == set(special)
    assert asked["GET sys_group_has_role"] <= 10
    assert asked["POST batch"] <= 4


def test_what_cannot_be_a_sys_id_is_not_asked_for(world):
    assert carrying(world, "x^NQsys_idISNOTEMPTY", "") == frozenset()


@pytest.mark.parametrize("forbidden", ["table", "rows", "parent"])
def test_roles_of_groups_that_cannot_be_read_are_an_error_and_not_none(world, forbidden):
    team = group(world, "Team", "itil")
    access = world.instance.access
    match forbidden:
        case "table":
            access.no_query.add("sys_group_has_role")
        case "rows":
            access.hidden_rows["sys_group_has_role"] = f"group={team}"
        case "parent":
            access.unreadable["sys_user_group"].add("parent")
    with pytest.raises(Unauthorized) as raised:
        carrying(world, team)
    assert raised.value.code == "InsufficientRights"


def test_a_refused_login_is_no_answer_about_rights(world):
    world.do(world.target.administrators())
    world.instance.faults.add("GET sys_user_has_role", "unauthorized", times=None)
    with pytest.raises(Unauthorized) as raised:
        administrators(world)
    assert raised.value.code == "ServiceNowCredentialsValidation"
