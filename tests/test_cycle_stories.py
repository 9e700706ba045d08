"""What a cycle does, story by story: the tenant changes, a cycle runs, the instance is looked at."""

from __future__ import annotations

import pytest

from provisioning.engine.cycle import Pace
from provisioning.engine.on_demand import provision_on_demand
from provisioning.rules.review import Limits
from tests.emulators.graph.behaviour import EmptyList, ExpireDelta, Fail
from tests.world import small_world

DOMAIN = "contoso.example"


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


@pytest.fixture
def everyone(tmp_path):
    with small_world(tmp_path, everyone=True) as world:
        yield world


def hire(world, name, *, assigned=True, **attributes):
    """A user whose names follow from one word, directly assigned unless said otherwise."""
    user = world.directory.add_user(
        userPrincipalName=f"{name}@{DOMAIN}",
        displayName=name.title(),
        givenName=name.title(),
        surname="Example",
        mail=f"{name}@{DOMAIN}",
        accountEnabled=True,
        **attributes,
    )
    if assigned:
        world.directory.assign(user)
    return user


def group_of(world, name, *members, assigned=True):
    group = world.directory.add_group(displayName=name, securityEnabled=True, members=members)
    if assigned:
        world.directory.assign(group)
    return group


def account(world, name):
    return world.account(f"{name}@{DOMAIN}")


def state(world, name):
    found = account(world, name)
    return found["active"], found["locked_out"]


ACTIVE, DISABLED = ("true", "false"), ("false", "true")


def test_an_assigned_user_gets_an_account_with_the_mapped_values(world):
    hire(world, "ada", jobTitle="Analyst", department="Finance", officeLocation=None, businessPhones=["+44 1"])
    assert world.cycle().finished
    ada = account(world, "ada")
    assert (ada["first_name"], ada["last_name"], ada["title"], ada["phone"]) == ("Ada", "Example", "Analyst", "+44 1")
    assert world.instance.get("cmn_department", ada["department"])["name"] == "Finance"
    assert (ada["active"], ada["locked_out"]) == ACTIVE


def test_nobody_outside_the_assignment_is_read_or_written(world):
    for number in range(40):
        hire(world, f"stranger{number}", assigned=False)
    hire(world, "ada")
    world.cycle()
    assert account(world, "stranger0") is None
    assert world.directory.counts["batch: GET /users"] == 1  # one item of 15 ids holds the one assigned user
    assert world.directory.counts["GET /users"] == 0
    assert world.directory.counts["GET /users/delta"] == 1  # `latest`: it returns nobody


def test_the_delta_tokens_are_opened_before_anything_is_read(world):
    ada = hire(world, "ada")
    engine = world.engine()
    progress = world.run(engine.begin_cycle())
    while progress.phase != "assignments":
        for number in range(len(progress.steps)):
            world.run(engine.run_step(progress, number))
        progress = world.run(engine.advance())
    world.run(engine.end_lease_of_the_dead())
    world.directory.update_user(ada, surname="Lovelace")  # after the tokens, before the reading
    for _ in range(2):
        world.cycle()
    assert account(world, "ada")["last_name"] == "Lovelace"


def test_a_second_run_over_an_unchanged_tenant_writes_nothing(tmp_path):
    with small_world(tmp_path, users=120, groups=8) as world:
        world.cycle()
        assert world.writes()
        world.forget_counts()
        second = world.cycle()
        assert (second.kind, second.finished) == ("incremental", True)
        assert world.writes() == {}


def test_after_all_state_is_lost_every_account_is_adopted_and_no_membership_is_doubled(tmp_path):
    with small_world(tmp_path, users=60, groups=5) as world:
        world.cycle()
        before = {row["sys_id"]: row["sys_mod_count"] for row in world.instance.rows("sys_user")}
        world.lose_state()
        world.forget_counts()
        again = world.cycle()
        assert again.kind == "initial"
        assert set(world.writes()) <= {"batch: PATCH sys_user"}  # what the instance does not store as sent, once more
        after = {row["sys_id"]: row["sys_mod_count"] for row in world.instance.rows("sys_user")}
        assert after.keys() == before.keys()
        world.forget_counts()
        world.cycle()
        assert world.writes() == {}


def test_changed_attributes_are_written_and_nothing_else(world):
    ada = hire(world, "ada", jobTitle="Analyst")
    hire(world, "bob")
    world.cycle()
    world.forget_counts()
    world.directory.update_user(ada, surname="Lovelace", department="Legal")
    world.cycle()
    assert world.writes() == {"batch: PATCH sys_user": 1}
    assert account(world, "ada")["last_name"] == "Lovelace"
    assert world.instance.get("cmn_department", account(world, "ada")["department"])["name"] == "Legal"


def test_a_marriage_that_changes_the_user_name_keeps_the_record(world):
    ada = hire(world, "ada")
    world.cycle()
    record = account(world, "ada")["sys_id"]
    world.directory.update_user(ada, surname="King", userPrincipalName=f"ada.king@{DOMAIN}", mail=f"ada.king@{DOMAIN}")
    world.cycle()
    assert account(world, "ada") is None
    assert account(world, "ada.king")["sys_id"] == record


def test_managers_are_created_before_their_reports_so_that_each_user_takes_one_write(world):
    boss = hire(world, "zoe")
    middle = hire(world, "max")
    report = hire(world, "ada")
    world.directory.set_manager(report, middle)
    world.directory.set_manager(middle, boss)
    world.cycle()
    assert account(world, "ada")["manager"] == account(world, "max")["sys_id"]
    assert account(world, "max")["manager"] == account(world, "zoe")["sys_id"]
    assert world.writes() == {"batch: POST sys_user": 3}


def test_managers_in_a_circle_are_all_created_and_linked(world):
    ids = [hire(world, name) for name in ("ada", "bob", "cy")]
    for user, manager in zip(ids, [*ids[1:], ids[0]], strict=True):
        world.directory.set_manager(user, manager)
    world.cycle()
    world.cycle()
    assert account(world, "ada")["manager"] == account(world, "bob")["sys_id"]
    assert account(world, "cy")["manager"] == account(world, "ada")["sys_id"]


def test_a_manager_who_comes_into_scope_later_is_written_then(world):
    boss = hire(world, "zoe", assigned=False)
    ada = hire(world, "ada")
    world.directory.set_manager(ada, boss)
    world.cycle()
    assert account(world, "ada")["manager"] == ""
    world.directory.assign(boss)
    world.cycle()
    assert account(world, "ada")["manager"] == account(world, "zoe")["sys_id"]


def test_a_changed_manager_is_noticed(world):
    first, second, ada = hire(world, "zoe"), hire(world, "max"), hire(world, "ada")
    world.directory.set_manager(ada, first)
    world.cycle()
    world.directory.set_manager(ada, second)
    world.cycle()
    assert account(world, "ada")["manager"] == account(world, "max")["sys_id"]


def test_a_department_that_does_not_exist_never_fails_the_user_and_is_written_when_it_appears(world):
    hire(world, "ada", department="Astronomy")
    first = world.cycle()
    assert first.counts["users.created"] == 1
    assert account(world, "ada")["department"] == ""
    department = world.instance.insert("cmn_department", {"name": "Astronomy"})
    world.cycle()
    assert account(world, "ada")["department"] == department["sys_id"]


def test_groups_and_their_members_are_provisioned(world):
    ada, bob = hire(world, "ada", assigned=False), hire(world, "bob", assigned=False)
    group_of(world, "Engineers", ada, bob)
    world.cycle()
    assert world.members("Engineers") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}


def test_a_group_that_is_not_assigned_is_neither_created_nor_gives_scope(world):
    ada = hire(world, "ada", assigned=False)
    group_of(world, "Others", ada, assigned=False)
    world.cycle()
    assert world.instance.find("sys_user_group", name="Others") == []
    assert account(world, "ada") is None


def test_members_who_come_and_go_are_added_and_removed(world):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    group = group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.add_member(group, bob)
    world.directory.remove_member(group, ada)
    world.cycle()
    assert world.members("Engineers") == {f"bob@{DOMAIN}"}


def test_memberships_that_others_made_are_left_alone(world):
    ada = hire(world, "ada")
    group = group_of(world, "Engineers", ada)
    world.cycle()
    (record,) = world.instance.find("sys_user_group", name="Engineers")
    admin = world.instance.find("sys_user", user_name="admin")[0]
    world.instance.insert("sys_user_grmember", {"group": record["sys_id"], "user": admin["sys_id"]})
    world.directory.remove_member(group, ada)
    world.cycle()
    assert world.members("Engineers") == {"admin"}


def test_a_renamed_group_keeps_its_record(world):
    group = group_of(world, "Engineers")
    world.cycle()
    (before,) = world.instance.find("sys_user_group", name="Engineers")
    world.directory.update_group(group, displayName="Makers")
    world.cycle()
    (after,) = world.instance.find("sys_user_group", name="Makers")
    assert after["sys_id"] == before["sys_id"]


def test_a_user_stays_in_scope_until_the_last_grant_is_gone(world):
    ada = hire(world, "ada")
    first, second = group_of(world, "First", ada), group_of(world, "Second", ada)
    world.cycle()
    for step in (
        lambda: world.directory.unassign_principal(ada),
        lambda: world.directory.remove_member(first, ada),
    ):
        step()
        world.cycle()
        assert state(world, "ada") == ACTIVE
    world.directory.unassign_principal(second)
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_losing_the_last_grant_is_confirmed_by_a_read_of_its_own(world):
    ada = hire(world, "ada")
    hire(world, "bob")
    world.cycle()
    world.directory.behaviour.faults.add(EmptyList(), kind="GET /servicePrincipals/{id}/appRoleAssignedTo")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    world.directory.unassign_principal(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    assert state(world, "bob") == ACTIVE


OWN_ASSIGNMENTS = "batch: GET /users/{id}/appRoleAssignments"
WHOLE_LIST = "GET /servicePrincipals/{id}/appRoleAssignedTo"


@pytest.mark.parametrize("permissions", ["least", "directory"])
def test_a_proof_that_is_forbidden_proves_nothing_and_nobody_loses_an_account(world, permissions):
    if permissions == "directory":
        world.directory.behaviour.permissions |= {"Directory.Read.All"}
    ada, bob = hire(world, "ada"), hire(world, "bob")
    group_of(world, "Engineers", bob)
    world.cycle()
    world.directory.unassign_principal(ada)
    world.forget_counts()
    faults = world.directory.behaviour.faults
    faults.add(Fail(403), OWN_ASSIGNMENTS, times=50)
    faults.add(Fail(403), WHOLE_LIST, times=50, after=1)  # the first answer only names the candidate
    progress = world.cycle()
    assert world.directory.counts[WHOLE_LIST] > 1
    assert (state(world, "ada"), progress.held, world.writes()) == (ACTIVE, None, {})
    assert world.members("Engineers") == {f"bob@{DOMAIN}"}
    faults.clear()
    world.restart()
    world.cycle()
    assert (state(world, "ada"), state(world, "bob")) == (DISABLED, ACTIVE)


@pytest.mark.parametrize("permissions", ["least", "directory"])
def test_an_unassigned_user_is_disabled_and_locked_and_comes_back_active_and_unlocked(world, permissions):
    if permissions == "directory":
        world.directory.behaviour.permissions |= {"Directory.Read.All"}
    ada = hire(world, "ada")
    hire(world, "bob")
    world.cycle()
    record = account(world, "ada")["sys_id"]
    world.directory.unassign_principal(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.assign(ada)
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert account(world, "ada")["sys_id"] == record


def test_a_user_disabled_in_entra_is_disabled_and_one_enabled_again_is_reactivated(world):
    ada = hire(world, "ada")
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.update_user(ada, accountEnabled=True)
    world.cycle()
    assert state(world, "ada") == ACTIVE


def test_a_user_disabled_from_the_start_is_created_once_enabled(world):
    ada = hire(world, "ada")
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert account(world, "ada") is None
    world.directory.update_user(ada, accountEnabled=True)
    world.cycle()
    assert state(world, "ada") == ACTIVE


def test_a_soft_deleted_user_is_disabled_and_a_restored_one_reactivated(world):
    ada = hire(world, "ada")
    world.cycle()
    world.directory.delete_user(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.restore_user(ada)
    world.cycle()
    assert state(world, "ada") == ACTIVE


def test_a_purged_user_stays_disabled_by_default(world):
    ada = hire(world, "ada")
    world.cycle()
    world.directory.delete_user(ada)
    world.directory.purge_user(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_a_purged_user_is_deleted_where_the_setting_says_so(world):
    world.hard_delete = "delete"
    ada = hire(world, "ada")
    world.cycle()
    world.directory.delete_user(ada)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.purge_user(ada)
    world.cycle()
    assert account(world, "ada") is None


def test_an_existing_account_is_matched_and_only_its_differences_are_written(world):
    record = world.instance.insert(
        "sys_user", {"user_name": f"ada@{DOMAIN}", "first_name": "Ada", "last_name": "Old", "email": f"ada@{DOMAIN}"}
    )
    hire(world, "ada")
    world.cycle()
    assert account(world, "ada")["sys_id"] == record["sys_id"]
    assert account(world, "ada")["last_name"] == "Example"
    assert world.writes() == {"batch: PATCH sys_user": 1}


def test_an_inactive_twin_of_a_rehired_user_is_reactivated_instead_of_duplicated(world):
    world.instance.insert("sys_user", {"user_name": f"ada@{DOMAIN}", "active": "false", "locked_out": "true"})
    hire(world, "ada")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert len(world.instance.find("sys_user", user_name=f"ada@{DOMAIN}")) == 1


def test_several_hits_write_nothing_and_name_the_records(world):
    hire(world, "ada")
    group_of(world, "Engineers")
    for _ in range(2):
        world.instance.insert("sys_user_group", {"name": "Engineers"})
    progress = world.cycle()
    assert progress.counts["groups.failed"] == 1
    assert "batch: POST sys_user_group" not in world.writes()
    (entry,) = [e for e in world.journal() if e["provisioningStatusInfo"]["status"] == "failure"]
    assert entry["provisioningStatusInfo"]["errorInformation"]["errorCode"] == "DuplicateTargetEntries"


def test_an_account_that_differs_only_in_accents_is_a_conflict_and_not_a_match(world):
    world.instance.insert("sys_user", {"user_name": f"müller@{DOMAIN}"})
    hire(world, "muller")
    progress = world.cycle()
    assert progress.counts["users.failed"] == 1
    assert world.writes() == {}


def test_two_users_with_one_key_give_one_account_and_one_error(world):
    ada = hire(world, "ada")
    guest = world.directory.add_user(
        userPrincipalName=f"ada_{DOMAIN}#EXT#@tenant.example",
        displayName="Ada Guest",
        userType="Guest",
        accountEnabled=True,
    )
    world.directory.assign(guest)
    progress = world.cycle()
    assert progress.counts["users.created"] == 1
    assert progress.counts["users.failed"] == 1
    assert len(world.instance.find("sys_user", user_name=f"ada@{DOMAIN}")) == 1
    assert ada != guest


def test_a_user_name_of_41_characters_is_an_error_that_names_the_limit_and_stops_nobody_else(world):
    hire(world, "ada")
    hire(world, "x" * (41 - len(DOMAIN) - 1))
    progress = world.cycle()
    assert (progress.counts["users.created"], progress.counts["users.failed"]) == (1, 1)
    (entry,) = [e for e in world.journal() if e["provisioningStatusInfo"]["status"] == "failure"]
    assert "40" in entry["provisioningStatusInfo"]["errorInformation"]["reason"]


@pytest.mark.parametrize("name", ["o'brien", "m^iller", "a^NQuser_nameISNOTEMPTY", "renée", "comma,person"])
def test_special_characters_in_a_key_neither_break_nor_widen_the_search(world, name):
    hire(world, "innocent")
    hire(world, name)
    progress = world.cycle()
    assert progress.counts["users.created"] == 2
    world.lose_state()
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_what_the_instance_makes_of_a_value_is_not_sent_again_and_again(world):
    hire(world, "ada", jobTitle="T" * 80, country="Germany")  # the column is cut, the choice is refused
    world.cycle()
    world.forget_counts()
    for _ in range(2):
        world.cycle()
    ada = account(world, "ada")
    world.directory.update_user(world.directory.user(f"ada@{DOMAIN}").id, city="Paris")
    world.cycle()
    assert world.writes() == {"batch: PATCH sys_user": 1}
    assert len(ada["title"]) < 80


def test_an_account_deactivated_in_servicenow_is_left_as_it_is(world):
    ada = hire(world, "ada")
    world.cycle()
    world.instance.update("sys_user", account(world, "ada")["sys_id"], {"active": "false"})
    world.directory.update_user(ada, jobTitle="Director")
    world.cycle()
    assert state(world, "ada") == DISABLED
    assert account(world, "ada")["title"] == "Director"


def test_a_record_that_somebody_deleted_is_matched_again_or_created_anew(world):
    ada = hire(world, "ada")
    world.cycle()
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])
    world.directory.update_user(ada, jobTitle="Director")
    world.cycle()
    assert account(world, "ada")["title"] == "Director"


def test_scope_all_provisions_everyone_and_every_group(everyone):
    ada = hire(everyone, "ada", assigned=False)
    bob = hire(everyone, "bob", assigned=False)
    everyone.directory.set_manager(bob, ada)
    group = group_of(everyone, "Engineers", ada, assigned=False)
    everyone.cycle()
    assert everyone.members("Engineers") == {f"ada@{DOMAIN}"}
    assert account(everyone, "bob")["manager"] == account(everyone, "ada")["sys_id"]
    everyone.directory.add_member(group, bob)
    everyone.directory.delete_user(ada)
    everyone.forget_counts()
    everyone.cycle()
    assert state(everyone, "ada") == DISABLED
    assert f"bob@{DOMAIN}" in everyone.members("Engineers")
    everyone.forget_counts()
    everyone.cycle()
    assert everyone.writes() == {}


def test_removals_above_the_limit_are_held_and_everything_else_goes_on(world):
    world.limits = Limits(absolute=500, share=0.05, floor=3)
    users = [hire(world, f"user{n}") for n in range(20)]
    world.cycle()
    for user in users[:5]:
        world.directory.unassign_principal(user)
    hire(world, "newcomer")
    progress = world.cycle()
    assert progress.held is not None
    assert progress.counts["users.held"] == 5
    assert state(world, "user0") == ACTIVE
    assert state(world, "newcomer") == ACTIVE
    staged = [e for e in world.journal() if e["provisioningAction"] == "stagedDelete"]
    assert len(staged) == 5
    again = world.cycle()
    assert again.held == progress.held
    world.directory.assign(users[0])  # back in scope: no longer to be removed
    third = world.cycle()
    assert third.counts["users.held"] == 4
    world.run(world.engine().approve(third.held, by="a test"))
    world.cycle()
    assert [state(world, f"user{n}") for n in range(5)] == [ACTIVE, *[DISABLED] * 4]


def test_removals_up_to_the_limit_are_carried_out_before_anything_else(world):
    world.limits = Limits(absolute=500, share=0.05, floor=3)
    users = [hire(world, f"user{n}") for n in range(10)]
    world.cycle()
    for user in users[:3]:
        world.directory.unassign_principal(user)
    for number in range(5):
        hire(world, f"new{number}")
    seen = []

    def watch(progress):
        if progress.phase == "act users" and not seen:
            seen.append(([state(world, f"user{n}") for n in range(3)], account(world, "new0")))

    world.cycle(watch=watch)
    assert seen == [([DISABLED] * 3, None)]
    assert account(world, "new0") is not None


def test_a_leaver_who_appears_while_a_long_load_runs_is_disabled_before_the_rest_of_it(tmp_path):
    pace = Pace(slots=1, chunk=50, interval=600.0)
    with small_world(tmp_path, pace=pace, time_box=60.0) as world:
        leaver = hire(world, "leaver")
        world.cycle()
        for number in range(900):
            hire(world, f"new{number}")
        world.instance.capacity.set_times(insert=5.0)
        left_at = []

        def watch(progress):
            if progress.phase == "act users" and not left_at:
                world.directory.unassign_principal(leaver)
                left_at.append(world.now())
            if left_at and len(left_at) == 1 and state(world, "leaver") == DISABLED:
                left_at.append(world.now())
                left_at.append(world.instance.count("sys_user"))

        world.cycle(watch=watch)
        assert left_at[1] - left_at[0] <= 600.0 + 120.0  # one tick of the schedule and one step
        assert left_at[2] < 900  # while the load was still running
        assert world.instance.count("sys_user") > 900


@pytest.mark.parametrize("shape", ["gone", "sync-state-not-found", "too-old"])
def test_an_expired_token_leads_to_a_full_reading_that_disables_nobody_wrongly(world, shape):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.update_user(ada, surname="Lovelace")
    world.directory.unassign_principal(bob)
    world.directory.behaviour.faults.add(ExpireDelta(shape), kind="GET /users/delta")
    progress = world.cycle()
    assert progress.kind == "initial"
    assert account(world, "ada")["last_name"] == "Lovelace"
    assert (state(world, "ada"), state(world, "bob")) == (ACTIVE, DISABLED)
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}


def test_reading_everything_again_asks_nobody_for_proof_who_turned_up(tmp_path):
    with small_world(tmp_path, users=200, groups=8) as world:
        world.cycle()
        world.directory.behaviour.faults.add(ExpireDelta("gone"), kind="GET /users/delta")
        world.forget_counts()
        assert world.cycle().kind == "initial"
        assert world.writes() == {}
        counts = world.directory.counts
        assert counts["batch: GET /users/{id}/appRoleAssignments"] == 0
        assert counts["GET /servicePrincipals/{id}/appRoleAssignedTo"] <= 2  # before the expiry was seen, and after


def test_a_dry_run_counts_what_a_run_would_do_and_changes_neither_side_nor_state(tmp_path):
    with small_world(tmp_path, users=60, groups=5) as world:
        planned = world.cycle(dry_run=True)
        assert world.writes() == {}
        done = world.cycle()
        for kind in ("users", "groups", "memberships"):
            assert planned.counts[f"planned {kind}.created"] == done.counts[f"{kind}.created"]
        assert done.kind == "initial"


def test_narrowing_the_scope_from_all_to_assigned_disables_those_without_an_assignment(everyone):
    ada, bob = hire(everyone, "ada"), hire(everyone, "bob", assigned=False)
    everyone.cycle()
    assert (state(everyone, "ada"), state(everyone, "bob")) == (ACTIVE, ACTIVE)
    everyone.everyone = False
    everyone.restart()
    progress = everyone.cycle()
    assert progress.kind == "initial"
    assert (state(everyone, "ada"), state(everyone, "bob")) == (ACTIVE, DISABLED)
    assert ada != bob


def test_a_disablement_that_a_field_acl_drops_is_a_failure_and_is_tried_again(world):
    ada = hire(world, "ada")
    hire(world, "bob")
    world.cycle()
    world.instance.access.unwritable["sys_user"] = {"active", "locked_out"}
    world.directory.unassign_principal(ada)
    progress = world.cycle()
    assert progress.counts["users.failed"] == 1
    assert state(world, "ada") == ACTIVE
    world.instance.access.unwritable.clear()
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_every_row_of_a_doubled_membership_is_removed(world):
    ada = hire(world, "ada")
    group = group_of(world, "Engineers", ada)
    world.cycle()
    (row,) = world.instance.find("sys_user_grmember", user=account(world, "ada")["sys_id"])
    world.instance.insert("sys_user_grmember", {"group": row["group"], "user": row["user"]})
    world.directory.remove_member(group, ada)
    world.cycle()
    assert world.members("Engineers") == set()


def test_a_group_run_on_demand_is_in_scope_by_its_own_assignment(world):
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Engineers", ada)
    answer = world.run(provision_on_demand(world.engine(), "Engineers", write=True))
    assert answer.object == f"group:{group}"
    scoping = next(s for s in answer.entries[0]["provisioningSteps"] if s["provisioningStepType"] == "scoping")
    assert "1 direct, 0 through groups" in scoping["details"]["ScopeEvaluationResult"]
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


@pytest.mark.parametrize("members", [6, 1_100])
def test_a_group_of_any_size_is_provisioned_on_demand_with_all_its_members(world, members):
    """Entra takes five. 1,100 are more than one chunk of the plan."""
    people = [hire(world, f"n{number:04}", assigned=False) for number in range(members)]
    group = group_of(world, "Engineers", *people)
    answer = world.run(provision_on_demand(world.engine(), "Engineers", write=True))
    assert world.members("Engineers") == {f"n{number:04}@{DOMAIN}" for number in range(members)}
    (own,) = [entry for entry in answer.entries if entry["sourceIdentity"]["id"] == group]
    assert [step["name"] for step in own["provisioningSteps"]] == [
        "EntryImportAdd",
        "EntrySynchronizationScoping",
        "EntryImportByJoiningProperty",
        "EntrySynchronizationAdd",
        "EntryExportAdd",
    ]
    made = [e["sourceIdentity"]["identityType"] for e in answer.entries if e["provisioningAction"] == "create"]
    assert (made.count("User"), made.count("GroupMembership")) == (members, members)
    again = world.run(provision_on_demand(world.engine(), "Engineers", write=True))
    assert {entry["provisioningAction"] for entry in again.entries} == {"other"}
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_requests_of_a_load_are_the_fewest_possible(tmp_path):
    with small_world(tmp_path, users=1000, groups=20) as world:
        world.cycle()
        counts = world.directory.counts
        people = counts["batch: GET /users"]
        groups = counts["batch: GET /groups/{id}/members"]
        fewest = 4 + -(-people // 20) + -(-groups // 20) + 1  # tokens, application, assignments; users, members, groups
        graph = sum(number for kind, number in counts.items() if not kind.startswith("batch: "))
        assert graph <= fewest + 1
        world.forget_counts()
        world.cycle()
        assert sum(world.directory.counts.values()) == 3  # users/delta, groups/delta, the assignments
        who_am_i = {"GET sys_user": 1, "POST batch": 1, "batch: GET sys_user": 1}  # once in the life of a process
        assert sum(world.instance.counts.values()) == sum(who_am_i.values()) + 2  # users and groups that others changed
