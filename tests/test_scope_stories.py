"""Who is in scope, story by story: roles, scoping filters, groups within groups, and changes of the configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.engine.on_demand import provision_on_demand
from provisioning.rules.scope import DEFAULT_ACCESS
from provisioning.rules.sentences import sentence
from provisioning.schema.mappings import ObjectMapping, Schema
from tests.mappings import clause, of, scope
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.world import World, small_world

ITIL = "5d6f0e9c-7f0e-4f0f-9f34-3c7c0a9b1d11"


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


@pytest.fixture
def colleague(world):
    """Somebody who stays: that the very last assignment is gone takes a permission of its own to prove."""
    return hire(world, "colleague")


def with_user_filter(world: World, *groups, **more) -> None:
    change_users(world, scope=scope(*groups, **more))


def with_group_filter(world: World, *groups) -> None:
    schema = world.schema
    configure(world, replace(schema, group=replace(schema.group, scope=scope(*groups))))


def change_users(world: World, **changes) -> None:
    configure(world, replace(world.schema, user=replace(world.schema.user, **changes)))


def configure(world: World, schema: Schema) -> None:
    """A new configuration, which every link is evaluated with again."""
    world.schema = replace(schema, document={"configured": repr((schema.user, schema.group))})
    world.restart()


def mapped_to(mapping: ObjectMapping, target: str, source: str, **options) -> ObjectMapping:
    others = tuple(each for each in mapping.attributes if each.target != target)
    return replace(mapping, attributes=(*others, of(source, target, **options)))


def explain(world: World, key: str) -> dict:
    answer = world.run(provision_on_demand(world.engine(dry_run=True), key, write=False))
    return answer.entries[0]


def scoping(entry: dict) -> dict:
    return next(step for step in entry["provisioningSteps"] if step["provisioningStepType"] == "scoping")


# --- Roles ----------------------------------------------------------------------------------------


def test_default_access_does_not_entitle_where_the_application_has_other_roles(world):
    ada, bob = hire(world, "ada", assigned=False), hire(world, "bob", assigned=False)
    world.directory.assign(ada, world.directory.user_role_id)
    world.directory.assign(bob, DEFAULT_ACCESS)
    world.cycle()
    assert account(world, "ada") is not None
    assert account(world, "bob") is None
    details = scoping(explain(world, f"bob@{DOMAIN}"))["details"]
    assert (details["Assigned"], details["IsEffectivelyEntitledForProvisioning"]) == ("True", "False")


@pytest.mark.parametrize(
    ("setting", "roles", "entitled"), [("include", True, True), ("auto", False, True), ("exclude", False, False)]
)
def test_the_setting_and_the_applications_roles_decide_about_default_access(tmp_path, setting, roles, entitled):
    with small_world(tmp_path, default_access=setting) as world:
        if not roles:
            world.directory.set_app_roles({})
        bob = hire(world, "bob", assigned=False)
        world.directory.assign(bob, DEFAULT_ACCESS)
        world.cycle()
        assert (account(world, "bob") is not None) is entitled


def test_a_group_with_default_access_only_brings_nobody_in_until_it_gets_a_role(world):
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Sales", ada, assigned=False)
    world.directory.assign(group, DEFAULT_ACCESS)
    world.cycle()
    assert account(world, "ada") is None
    assert scoping(explain(world, f"ada@{DOMAIN}"))["details"]["IsEffectivelyEntitledForProvisioning"] == "False"
    world.directory.assign(group, world.directory.user_role_id)
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert world.members("Sales") == {f"ada@{DOMAIN}"}


def test_who_is_left_with_default_access_only_loses_the_account(world):
    ada = hire(world, "ada", assigned=False)
    role = world.directory.assign(ada, world.directory.user_role_id)
    world.directory.assign(ada, DEFAULT_ACCESS)
    world.cycle()
    world.directory.unassign(role)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.assign(ada, world.directory.user_role_id)
    world.cycle()
    assert state(world, "ada") == ACTIVE


def test_when_the_application_gets_its_first_role_everybody_is_judged_again(world):
    world.directory.set_app_roles({})
    bob = hire(world, "bob", assigned=False)
    world.directory.assign(bob, DEFAULT_ACCESS)
    world.cycle()
    assert state(world, "bob") == ACTIVE
    world.directory.set_app_roles({world.directory.user_role_id: "User"})
    world.restart()
    second = world.cycle()
    assert second.kind == "initial"
    assert state(world, "bob") == DISABLED


def test_the_names_of_roles_can_be_mapped_and_a_change_of_a_groups_role_reaches_its_members(world):
    users = mapped_to(world.schema.user, "title", "SingleAppRoleAssignment([appRoleAssignments])")
    configure(world, replace(world.schema, user=users))
    world.directory.set_app_roles({world.directory.user_role_id: "User", ITIL: "itil"})
    ada, bob = hire(world, "ada", assigned=False), hire(world, "bob", assigned=False)
    world.directory.assign(ada, ITIL)
    group = group_of(world, "Sales", bob, assigned=False)
    first = world.directory.assign(group, world.directory.user_role_id)
    world.cycle()
    assert (account(world, "ada")["title"], account(world, "bob")["title"]) == ("itil", "User")
    world.directory.assign(group, ITIL)
    world.directory.unassign(first)
    world.cycle()
    assert account(world, "bob")["title"] == "itil"
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


# --- Scoping filters ------------------------------------------------------------------------------


def test_only_who_passes_the_filter_is_provisioned_and_a_change_of_an_attribute_decides_anew(world):
    with_user_filter(world, [clause("department", "EQUALS", "Sales")])
    ada, bob = hire(world, "ada", department="Sales"), hire(world, "bob", department="Legal")
    world.cycle()
    assert (account(world, "ada") is not None, account(world, "bob")) == (True, None)
    world.directory.update_user(ada, department="Legal")
    world.directory.update_user(bob, department="Sales")
    world.cycle()
    assert (state(world, "ada"), state(world, "bob")) == (DISABLED, ACTIVE)
    world.directory.update_user(ada, department="Sales")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_a_filter_reads_attributes_that_no_mapping_reads(world):
    with_user_filter(world, [clause("userType", "EQUALS", "Member"), clause("officeLocation", "IS NULL")])
    hire(world, "ada", userType="Member")
    hire(world, "eve", userType="Guest")
    world.cycle()
    assert (account(world, "ada") is not None, account(world, "eve")) == (True, None)


def test_explain_names_the_clause_that_failed(world):
    with_user_filter(world, [clause("department", "EQUALS", "Sales")])
    hire(world, "bob", department="Legal")
    step = scoping(explain(world, f"bob@{DOMAIN}"))
    assert step["status"] == "skipped"
    assert "filter 1 department EQUALS Sales" in step["details"]["ScopeEvaluationResult"]


def test_an_edited_filter_is_applied_to_everybody_in_the_next_cycle_and_back(world):
    for name in ("ada", "bob", "cy"):
        hire(world, name, department="Sales" if name == "ada" else "Legal")
    world.cycle()
    with_user_filter(world, [clause("department", "EQUALS", "Sales")])
    assert world.cycle().kind == "initial"
    assert [state(world, name) for name in ("ada", "bob", "cy")] == [ACTIVE, DISABLED, DISABLED]
    with_user_filter(world)
    world.cycle()
    assert [state(world, name) for name in ("ada", "bob", "cy")] == [ACTIVE, ACTIVE, ACTIVE]


def test_who_falls_out_of_an_input_filter_keeps_the_account(world):
    ada = hire(world, "ada", department="Sales")
    world.cycle()
    with_user_filter(world, inputs=([clause("department", "EQUALS", "Sales")],))
    world.directory.update_user(ada, department="Legal", jobTitle="Judge")
    hire(world, "bob", department="Legal")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert account(world, "ada")["title"] == ""
    assert account(world, "bob") is None


def test_membership_of_a_group_outside_the_assignment_can_be_a_condition(world):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    licensed = group_of(world, "Licensed", ada, assigned=False)
    with_user_filter(world, [clause("memberOf", "EQUALS", licensed)])
    world.cycle()
    assert (account(world, "ada") is not None, account(world, "bob")) == (True, None)
    world.directory.remove_member(licensed, ada)
    world.directory.add_member(licensed, bob)
    world.cycle()
    assert (state(world, "ada"), state(world, "bob")) == (DISABLED, ACTIVE)
    assert world.instance.find("sys_user_group", name="Licensed") == []


def test_who_is_not_in_the_group_of_a_negated_condition_is_in_scope(world):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    leaving = group_of(world, "Leaving", bob, assigned=False)
    with_user_filter(world, [clause("memberOf", "NOT EQUALS", leaving)])
    world.cycle()
    assert (account(world, "ada") is not None, account(world, "bob")) == (True, None)
    world.directory.add_member(leaving, ada)
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_when_the_group_of_a_condition_is_deleted_everybody_is_judged_again(world):
    ada = hire(world, "ada")
    licensed = group_of(world, "Licensed", ada, assigned=False)
    with_user_filter(world, [clause("memberOf", "EQUALS", licensed)])
    world.cycle()
    world.directory.delete_group(licensed, permanently=True)
    for _ in range(2):
        world.cycle()
    assert state(world, "ada") == DISABLED


@pytest.mark.usefixtures("colleague")
def test_a_group_that_a_filter_excludes_still_brings_its_members(world):
    with_group_filter(world, [clause("displayName", "NOT EQUALS", "Secret")])
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Secret", ada)
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert world.instance.find("sys_user_group", name="Secret") == []
    world.directory.unassign_principal(group)
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_a_group_that_falls_out_of_a_filter_loses_its_memberships_and_gets_them_back(world):
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Sales", ada)
    with_group_filter(world, [clause("description", "IS NULL")])
    world.cycle()
    assert world.members("Sales") == {f"ada@{DOMAIN}"}
    world.directory.update_group(group, description="closed")
    world.cycle()
    assert world.members("Sales") == set()
    assert state(world, "ada") == ACTIVE
    bob = hire(world, "bob", assigned=False)
    world.directory.add_member(group, bob)
    world.cycle()
    assert (world.members("Sales"), state(world, "bob")) == (set(), ACTIVE)
    world.directory.update_group(group, description=None)
    world.cycle()
    assert world.members("Sales") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


@pytest.mark.usefixtures("colleague")
def test_members_that_are_not_mapped_give_access_and_no_membership(world):
    configure(world, replace(world.schema, group=replace(world.schema.group, members=False)))
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Sales", ada)
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert world.members("Sales") == set()
    world.directory.unassign_principal(group)
    world.cycle()
    assert state(world, "ada") == DISABLED


# --- Groups within groups -------------------------------------------------------------------------


@pytest.fixture
def nested(tmp_path):
    with small_world(tmp_path, nested_groups=True) as world:
        yield world


def test_without_the_setting_only_direct_members_count(world):
    ada, bob = hire(world, "ada", assigned=False), hire(world, "bob", assigned=False)
    inner = group_of(world, "Inner", bob, assigned=False)
    group_of(world, "Outer", ada, inner)
    world.cycle()
    assert (account(world, "ada") is not None, account(world, "bob")) == (True, None)


def test_the_members_of_nested_groups_are_members_of_the_assigned_group(nested):
    people = {name: hire(nested, name, assigned=False) for name in ("ada", "bob", "cy")}
    deep = group_of(nested, "Deep", people["cy"], assigned=False)
    inner = group_of(nested, "Inner", people["bob"], deep, assigned=False)
    group_of(nested, "Outer", people["ada"], inner)
    nested.cycle()
    assert nested.members("Outer") == {f"{name}@{DOMAIN}" for name in people}
    assert nested.instance.find("sys_user_group", name="Inner") == []
    nested.forget_counts()
    nested.cycle()
    assert nested.writes() == {}


def test_groups_that_hold_each_other_end_the_search(nested):
    ada, bob = hire(nested, "ada", assigned=False), hire(nested, "bob", assigned=False)
    inner = group_of(nested, "Inner", bob, assigned=False)
    outer = group_of(nested, "Outer", ada, inner)
    nested.directory.add_member(inner, outer)
    nested.cycle()
    assert nested.members("Outer") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}


def test_a_change_deep_inside_is_noticed(nested):
    ada, bob = hire(nested, "ada", assigned=False), hire(nested, "bob", assigned=False)
    deep = group_of(nested, "Deep", ada, assigned=False)
    inner = group_of(nested, "Inner", deep, assigned=False)
    group_of(nested, "Outer", inner)
    nested.cycle()
    nested.directory.add_member(deep, bob)
    nested.directory.remove_member(deep, ada)
    nested.cycle()
    assert nested.members("Outer") == {f"bob@{DOMAIN}"}
    assert (state(nested, "ada"), state(nested, "bob")) == (DISABLED, ACTIVE)


def test_a_group_that_is_taken_out_takes_its_members_along_but_not_those_who_are_members_otherwise(nested):
    ada, bob = hire(nested, "ada", assigned=False), hire(nested, "bob", assigned=False)
    inner = group_of(nested, "Inner", ada, bob, assigned=False)
    outer = group_of(nested, "Outer", ada, inner)
    nested.cycle()
    nested.directory.remove_member(outer, inner)
    nested.cycle()
    assert nested.members("Outer") == {f"ada@{DOMAIN}"}
    assert (state(nested, "ada"), state(nested, "bob")) == (ACTIVE, DISABLED)
    nested.directory.add_member(outer, inner)
    nested.cycle()
    assert (nested.members("Outer"), state(nested, "bob")) == ({f"ada@{DOMAIN}", f"bob@{DOMAIN}"}, ACTIVE)


def test_who_leaves_the_outer_group_and_stays_in_an_inner_one_stays(nested):
    ada = hire(nested, "ada", assigned=False)
    inner = group_of(nested, "Inner", ada, assigned=False)
    outer = group_of(nested, "Outer", ada, inner)
    nested.cycle()
    nested.directory.remove_member(outer, ada)
    nested.cycle()
    assert (nested.members("Outer"), state(nested, "ada")) == ({f"ada@{DOMAIN}"}, ACTIVE)


def test_a_nested_group_that_is_deleted_takes_its_members_along(nested):
    bob = hire(nested, "bob", assigned=False)
    inner = group_of(nested, "Inner", bob, assigned=False)
    group_of(nested, "Outer", inner)
    nested.cycle()
    nested.directory.delete_group(inner, permanently=True)
    nested.cycle()
    assert (nested.members("Outer"), state(nested, "bob")) == (set(), DISABLED)


def test_after_the_state_is_lost_nested_members_are_still_members(nested):
    bob = hire(nested, "bob", assigned=False)
    inner = group_of(nested, "Inner", bob, assigned=False)
    group_of(nested, "Outer", inner)
    nested.cycle()
    nested.lose_state()
    nested.forget_counts()
    nested.cycle()
    assert (nested.members("Outer"), state(nested, "bob")) == ({f"bob@{DOMAIN}"}, ACTIVE)


def test_on_demand_finds_the_grant_that_comes_through_a_nested_group(nested):
    bob = hire(nested, "bob", assigned=False, jobTitle="Clerk")
    inner = group_of(nested, "Inner", bob, assigned=False)
    group_of(nested, "Outer", inner)
    nested.cycle()
    nested.directory.update_user(bob, jobTitle="Chief")
    nested.run(provision_on_demand(nested.engine(), f"bob@{DOMAIN}", write=True))
    assert (account(nested, "bob")["title"], state(nested, "bob")) == ("Chief", ACTIVE)


@pytest.mark.parametrize("how", ["unassigned", "deleted", "default access"])
def test_when_the_outer_group_gives_no_access_any_more_nobody_keeps_it_through_the_inner_one(nested, how):
    hire(nested, "colleague")
    ada, bob = hire(nested, "ada", assigned=False), hire(nested, "bob", assigned=False)
    dee = hire(nested, "dee")
    inner = group_of(nested, "Inner", bob, dee, assigned=False)
    outer = group_of(nested, "Outer", ada, inner)
    nested.cycle()
    nested.directory.unassign_principal(dee)
    match how:
        case "unassigned":
            nested.directory.unassign_principal(outer)
        case "deleted":
            nested.directory.delete_group(outer)
        case _:
            nested.directory.unassign_principal(outer)
            nested.directory.assign(outer, DEFAULT_ACCESS)
    for _ in range(2):
        nested.cycle()
    assert [state(nested, name) for name in ("ada", "bob", "dee", "colleague")] == [DISABLED] * 3 + [ACTIVE]


def test_a_role_for_applications_does_not_change_what_default_access_is_worth(world):
    world.directory.set_app_roles({})
    bob = hire(world, "bob", assigned=False)
    world.directory.assign(bob, DEFAULT_ACCESS)
    world.cycle()
    world.directory.set_app_roles({ITIL: "daemon"}, members="Application")
    world.restart()
    assert world.cycle().kind == "incremental"
    assert state(world, "bob") == ACTIVE


@pytest.mark.parametrize("how", ["disabled", "unassigned", "unassigned and changed", "deleted"])
@pytest.mark.usefixtures("colleague")
def test_an_input_filter_keeps_no_leaver_in(world, how):
    ada = hire(world, "ada", department="Sales")
    world.cycle()
    with_user_filter(world, inputs=([clause("department", "EQUALS", "Sales")],))
    world.directory.update_user(ada, department="Legal")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    if how == "disabled":
        world.directory.update_user(ada, accountEnabled=False)
    elif how == "deleted":
        world.directory.delete_user(ada)
    else:
        world.directory.unassign_principal(ada)
        world.directory.update_user(ada, **({"city": "Oslo"} if "changed" in how else {}))
    world.cycle()
    assert state(world, "ada") == DISABLED


@pytest.mark.parametrize("flows", [frozenset(), frozenset({"Add"})])
def test_no_membership_is_written_while_groups_may_not_be_updated(world, flows):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    group = group_of(world, "Sales", ada)
    world.cycle()
    configure(world, replace(world.schema, group=replace(world.schema.group, flow_types=flows)))
    world.directory.remove_member(group, ada)
    world.directory.add_member(group, bob)
    world.cycle()
    assert world.members("Sales") == {f"ada@{DOMAIN}"}


def test_a_group_that_joins_the_group_of_a_condition_is_noticed_in_scope_all(tmp_path):
    with small_world(tmp_path, everyone=True) as world:
        licensed, sales = group_of(world, "Licensed", assigned=False), group_of(world, "Sales", assigned=False)
        with_group_filter(world, [clause("memberOf", "EQUALS", licensed)])
        world.cycle()
        assert world.instance.find("sys_user_group", name="Sales") == []
        world.directory.add_member(licensed, sales)
        world.cycle()
        assert len(world.instance.find("sys_user_group", name="Sales")) == 1


# --- In words -------------------------------------------------------------------------------------


def test_the_log_says_in_words_why_somebody_came_and_why_somebody_left(world):
    with_user_filter(world, [clause("department", "Includes", "Sales; West")])
    ada = hire(world, "ada", department="Sales; West")
    world.cycle()
    world.directory.update_user(ada, department="Legal")
    world.cycle()
    told = {entry["provisioningAction"]: sentence(entry) for entry in world.journal()}
    came, left = told["create"], told["disable"]
    assert "was created in ServiceNow" in came
    assert "because it is assigned: 1 direct, 0 through groups." in came
    assert "was disabled in ServiceNow" in left
    assert left.endswith("because it is excluded by the scoping filter: filter 1 department Includes Sales; West.")


def test_a_group_that_is_taken_out_takes_its_members_along_where_everyone_is_in_scope(tmp_path):
    with small_world(tmp_path, nested_groups=True, everyone=True) as world:
        ada, bob = hire(world, "ada", assigned=False), hire(world, "bob", assigned=False)
        inner = group_of(world, "Inner", bob, assigned=False)
        outer = group_of(world, "Outer", ada, inner, assigned=False)
        world.cycle()
        assert world.members("Outer") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}
        world.directory.remove_member(outer, inner)
        world.cycle()
        assert world.members("Outer") == {f"ada@{DOMAIN}"}
        assert world.members("Inner") == {f"bob@{DOMAIN}"}
