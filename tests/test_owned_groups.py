"""Groups that have no members in ServiceNow but those in Entra: what others put into them is taken out again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.engine import control
from provisioning.rules.review import Limits
from provisioning.schema import examine, load_schema
from tests.test_cycle_stories import DOMAIN, account, group_of, hire
from tests.test_drift_stories import after
from tests.test_escrow_stories import allow, refuse
from tests.test_quarantine_stories import MINUTE
from tests.test_schema_load import attribute, mapping
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        own(world, {"Engineers"})
        world.ada, world.bob = hire(world, "ada"), hire(world, "bob")
        world.group = group_of(world, "Engineers", world.ada)
        world.other = group_of(world, "Designers", world.ada)
        world.cycle()
        after(world, 40 * MINUTE)
        yield world


def own(world, owned):
    owned = owned if isinstance(owned, bool) else frozenset(owned)
    world.schema = replace(world.schema, group=replace(world.schema.group, owned=owned))
    world.restart()


def put_in(world, group, name, user_name=None):
    """Somebody of ServiceNow puts an account into a group, one of ours or a local one."""
    (record,) = world.instance.find("sys_user_group", name=group)
    found = account(world, name) if user_name is None else world.instance.find("sys_user", user_name=user_name)[0]
    world.instance.insert("sys_user_grmember", {"group": record["sys_id"], "user": found["sys_id"]}, by="fred.luddy")


def local_account(world, user_name="local.person", **fields):
    return world.instance.insert("sys_user", {"user_name": user_name, **fields})["sys_id"]


def test_what_others_put_into_an_owned_group_goes_with_the_next_cycle(world):
    local_account(world)
    put_in(world, "Engineers", "bob@" + DOMAIN, f"bob@{DOMAIN}")
    put_in(world, "Engineers", "", "local.person")
    put_in(world, "Designers", "", "local.person")
    after(world, 40 * MINUTE)
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}
    assert world.members("Designers") == {f"ada@{DOMAIN}", "local.person"}, "that group is not owned"
    gone = [e for e in world.journal() if e["provisioningAction"] == "delete"]
    assert len(gone) == 2
    world.forget_counts()
    after(world, 40 * MINUTE)
    assert world.writes() == {}


def test_all_groups_may_be_owned_and_a_group_may_be_named_by_its_id(world):
    local_account(world)
    own(world, {world.other})
    put_in(world, "Designers", "", "local.person")
    put_in(world, "Engineers", "", "local.person")
    world.cycle()
    after(world, 40 * MINUTE)
    assert "local.person" not in world.members("Designers")
    assert "local.person" in world.members("Engineers")
    own(world, owned=True)
    world.run(control.reconcile(world.engine(), by="a person"))
    after(world, 40 * MINUTE)
    assert "local.person" not in world.members("Engineers")


def test_an_adopted_group_keeps_its_members_until_everybody_in_it_was_matched(tmp_path):
    with small_world(tmp_path) as world:
        own(world, owned=True)
        group = world.instance.insert("sys_user_group", {"name": "Engineers"})
        ada = world.instance.insert("sys_user", {"user_name": f"ada@{DOMAIN}"})
        local = local_account(world)
        for user in (ada["sys_id"], local):
            world.instance.insert("sys_user_grmember", {"group": group["sys_id"], "user": user})
        group_of(world, "Engineers", hire(world, "ada"))
        world.forget_counts()
        world.cycle()
        assert world.writes().get("batch: DELETE sys_user_grmember", 0) == 0
        after(world, 40 * MINUTE)
        after(world, 40 * MINUTE)
        assert world.members("Engineers") == {f"ada@{DOMAIN}"}
        assert world.writes()["batch: DELETE sys_user_grmember"] == 1


def test_as_long_as_a_member_could_not_be_provisioned_nobody_is_taken_out(world):
    """One of those who are in the group may be that member's account, under a name that was not found."""
    rule = refuse(world, "insert", "user_nameSTARTSWITHeve")
    local_account(world)
    put_in(world, "Engineers", "", "local.person")
    world.directory.add_member(world.group, hire(world, "eve"))
    for _ in range(3):
        after(world, 40 * MINUTE)
    assert world.members("Engineers") == {f"ada@{DOMAIN}", "local.person"}
    allow(world, rule)
    for _ in range(11):  # six hours until the next try
        after(world, 40 * MINUTE)
    assert world.members("Engineers") == {f"ada@{DOMAIN}", f"eve@{DOMAIN}"}


def test_too_many_strangers_are_held_by_the_removal_guard(world):
    world.limits = Limits(absolute=3, share=0.5, floor=3)
    world.restart()
    for number in range(8):
        local_account(world, f"local.{number}")
        put_in(world, "Engineers", "", f"local.{number}")
    progress = after(world, 40 * MINUTE)
    assert progress.held is not None
    assert len(world.members("Engineers")) == 9
    world.run(world.engine().approve(progress.held, by="a person"))
    after(world, 40 * MINUTE)
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}


def test_a_protected_account_stays_in_the_group(world):
    put_in(world, "Engineers", "", "admin")
    after(world, 40 * MINUTE)
    assert "admin" in world.members("Engineers")


def test_rows_without_a_user_and_rows_twice_disturb_nothing(world):
    (record,) = world.instance.find("sys_user_group", name="Engineers")
    for _ in range(2):
        world.instance.insert("sys_user_grmember", {"group": record["sys_id"], "user": ""})
    local_account(world)
    for _ in range(2):
        put_in(world, "Engineers", "", "local.person")
    after(world, 40 * MINUTE)
    rows = world.instance.find("sys_user_grmember", group=record["sys_id"])
    assert {row["user"] for row in rows} == {"", account(world, "ada")["sys_id"]}


def test_who_joins_in_entra_meanwhile_stays(world):
    put_in(world, "Engineers", "", f"bob@{DOMAIN}")
    world.directory.add_member(world.group, world.bob)
    after(world, 40 * MINUTE)
    assert world.members("Engineers") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}


def test_resync_cleans_an_owned_group_at_once(world):
    local_account(world)
    put_in(world, "Engineers", "", "local.person")
    world.run(control.resync(world.engine(), "group", world.group, by="a person"))
    after(world, 1 * MINUTE)
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}


@pytest.mark.parametrize(
    ("given", "owned"), [(True, True), (False, False), (["Design", "a-id"], frozenset({"Design", "a-id"}))]
)
def test_the_schema_says_which_groups_are_owned(given, owned):
    groups = mapping(attribute("members", "members", owned=given), name="Group")
    read = {"synchronizationRules": [{"objectMappings": [mapping(), groups]}]}
    assert load_schema(read).group.owned == owned


@pytest.mark.parametrize("given", ["Design", [], [1], [""], {}])
def test_owned_groups_that_are_no_list_of_names_are_refused(given):
    groups = mapping(attribute("members", "members", owned=given), name="Group")
    examined = examine({"synchronizationRules": [{"objectMappings": [mapping(), groups]}]})
    assert any("names or object ids of groups" in f"{each.text} {each.way_out}" for each in examined.findings)
