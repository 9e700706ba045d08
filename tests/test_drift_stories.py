"""What others change in ServiceNow after our last write, what is told of it, and what is done: whole cycles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.engine import control
from tests.test_cycle_stories import account, group_of, hire
from tests.test_escrow_stories import link_of
from tests.test_quarantine_stories import MINUTE
from tests.world import small_world

DAY = 86_400.0
CHANGED = "TargetAttributeChanged"


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        world.ada = hire(world, "ada", jobTitle="Analyst", city="London", department="Design")
        world.bob = hire(world, "bob", jobTitle="Clerk")
        world.cycle()
        after(world, 40 * MINUTE)
        yield world


def after(world, seconds):
    world.pass_time(seconds)
    progress = world.cycle()
    assert progress.halted is None
    return progress


def meddle(world, name, by="fred.luddy", **values):
    """Somebody of ServiceNow changes an account by hand."""
    world.instance.update("sys_user", account(world, name)["sys_id"], values, by=by)


def drift_entries(world):
    return [e for e in world.journal() if any(s["name"] == CHANGED for s in e["provisioningSteps"])]


def drift_step(entry):
    (step,) = [step for step in entry["provisioningSteps"] if step["name"] == CHANGED]
    return step


def with_policy(world, column, policy):
    attributes = tuple(
        replace(each, drift=policy) if each.target == column else each for each in world.schema.user.attributes
    )
    world.schema = replace(world.schema, user=replace(world.schema.user, attributes=attributes))
    world.restart()


def test_a_change_by_others_is_told_once_with_who_and_when_and_left(world):
    meddle(world, "ada", title="Queen")
    world.forget_counts()
    for _ in range(4):
        after(world, 40 * MINUTE)
    assert account(world, "ada")["title"] == "Queen"
    assert world.writes() == {}
    (entry,) = drift_entries(world)
    assert entry["provisioningStatusInfo"]["status"] == "skipped"
    assert entry["provisioningStatusInfo"]["errorInformation"]["errorCode"] == "TargetChanged"
    assert entry["sourceIdentity"]["id"] == world.ada
    details = drift_step(entry)["details"]
    assert (details["Attribute"], details["EntraValue"], details["ServiceNowValue"]) == ("title", "Analyst", "Queen")
    assert (details["Policy"], details["LastUpdatedBy"]) == ("report", "fred.luddy")
    assert details["LastUpdatedOn"] == account(world, "ada")["sys_updated_on"]


def test_each_further_change_is_told_and_one_that_is_taken_back_is_forgotten(world):
    for title in ("Queen", "King"):
        meddle(world, "ada", title=title)
        after(world, 40 * MINUTE)
    assert [drift_step(e)["details"]["ServiceNowValue"] for e in drift_entries(world)] == ["King", "Queen"]
    assert link_of(world, world.ada).drifted == {"title": "King"}
    meddle(world, "ada", title="Analyst")
    after(world, 40 * MINUTE)
    assert link_of(world, world.ada).drifted == {}


def test_the_next_change_of_the_user_in_entra_writes_what_the_mapping_says(world):
    meddle(world, "ada", title="Queen")
    after(world, 40 * MINUTE)
    world.directory.update_user(world.ada, city="Athens")
    after(world, 40 * MINUTE)
    assert (account(world, "ada")["title"], account(world, "ada")["city"]) == ("Analyst", "Athens")


def test_enforce_writes_the_value_again_once_and_says_over_what(world):
    with_policy(world, "title", "enforce")
    after(world, 40 * MINUTE)
    meddle(world, "ada", title="Queen", city="Paris")
    world.forget_counts()
    for _ in range(3):
        after(world, 40 * MINUTE)
    assert (account(world, "ada")["title"], account(world, "ada")["city"]) == ("Analyst", "Paris")
    assert world.writes() == {"batch: PATCH sys_user": 1}
    entry = drift_entries(world)[0]
    assert [each["displayName"] for each in entry["modifiedProperties"]] == ["title"]
    assert {s["details"]["Policy"] for s in entry["provisioningSteps"] if s["name"] == CHANGED} == {
        "report",
        "enforce",
    }


def test_adopt_leaves_the_value_until_entra_s_own_value_changes(world):
    with_policy(world, "title", "adopt")
    after(world, 40 * MINUTE)
    meddle(world, "ada", title="Queen")
    after(world, 40 * MINUTE)
    world.directory.update_user(world.ada, city="Athens")
    after(world, 40 * MINUTE)
    assert (account(world, "ada")["title"], account(world, "ada")["city"]) == ("Queen", "Athens")
    world.directory.update_user(world.ada, jobTitle="Countess")
    after(world, 40 * MINUTE)
    assert account(world, "ada")["title"] == "Countess"


def test_the_job_s_policy_is_that_of_all_columns_without_their_own(tmp_path):
    with small_world(tmp_path, drift="enforce") as world:
        hire(world, "ada", jobTitle="Analyst")
        world.cycle()
        after(world, 40 * MINUTE)
        meddle(world, "ada", title="Queen")
        after(world, 40 * MINUTE)
        assert account(world, "ada")["title"] == "Analyst"


def test_what_agreed_when_an_account_was_adopted_drifts_as_well(tmp_path):
    with small_world(tmp_path) as world:
        world.instance.insert("sys_user", {"user_name": "ada@contoso.example", "title": "Analyst"})
        hire(world, "ada", jobTitle="Analyst")
        world.cycle()
        after(world, 40 * MINUTE)
        meddle(world, "ada", title="Queen")
        after(world, 40 * MINUTE)
        (entry,) = drift_entries(world)
        assert drift_step(entry)["details"]["EntraValue"] == "Analyst"
        assert account(world, "ada")["title"] == "Queen"


@pytest.mark.parametrize("policy", ["report", "enforce", "adopt"])
def test_an_account_that_others_deactivated_is_told_and_never_revived(tmp_path, policy):
    with small_world(tmp_path, drift=policy) as world:
        hire(world, "ada", jobTitle="Analyst")
        world.cycle()
        after(world, 40 * MINUTE)
        meddle(world, "ada", active="false")
        for _ in range(3):
            after(world, 40 * MINUTE)
        assert account(world, "ada")["active"] == "false"
        (entry,) = drift_entries(world)
        changed = {s["details"]["Attribute"] for s in entry["provisioningSteps"] if s["name"] == CHANGED}
        assert changed == {"active", "locked_out"}  # a business rule of the instance locks who is deactivated


def test_an_account_that_others_only_locked_is_told_and_never_unlocked(world):
    meddle(world, "ada", locked_out="true")
    after(world, 40 * MINUTE)
    world.directory.update_user(world.ada, city="Athens")
    after(world, 40 * MINUTE)
    found = account(world, "ada")
    assert (found["active"], found["locked_out"], found["city"]) == ("true", "true", "Athens")
    details = drift_step(drift_entries(world)[-1])["details"]
    assert (details["Attribute"], details["ServiceNowValue"]) == ("locked_out", "true")
    assert details["LastUpdatedBy"] == "fred.luddy"


@pytest.mark.parametrize(("policy", "active"), [("report", "true"), ("enforce", "false")])
def test_a_leaver_whom_others_activated_is_told_or_disabled_again(tmp_path, policy, active):
    with small_world(tmp_path, drift=policy) as world:
        hire(world, "bob")
        ada = hire(world, "ada", jobTitle="Analyst")
        world.cycle()
        world.directory.unassign_principal(ada)
        after(world, 40 * MINUTE)
        assert account(world, "ada")["active"] == "false"
        after(world, 40 * MINUTE)
        meddle(world, "ada", active="true")
        for _ in range(3):
            after(world, 40 * MINUTE)
        assert account(world, "ada")["active"] == active
        assert "active" in {drift_step(entry)["details"]["Attribute"] for entry in drift_entries(world)[:1]}


def test_our_own_writes_and_changes_of_other_columns_are_not_looked_into(world):
    world.directory.update_user(world.ada, city="Athens")
    after(world, 40 * MINUTE)
    meddle(world, "bob", phone="1234")
    world.forget_counts()
    after(world, 40 * MINUTE)
    assert world.directory.counts["batch: GET /users"] == 0
    assert drift_entries(world) == []


def test_a_cycle_pays_for_what_changed_and_not_for_what_there_is(tmp_path):
    with small_world(tmp_path, users=300, groups=5, reconciles_every=0.0) as world:
        world.cycle()
        for _ in range(25):  # the accounts that the instance came with are a day old then
            after(world, 60 * MINUTE)
        some = [row for row in world.instance.rows("sys_user") if row["sys_updated_by"] == "svc.provisioning"][:20]
        for row in some:
            world.instance.update("sys_user", row["sys_id"], {"first_name": "Somebody"}, by="fred.luddy")
        world.forget_counts()
        progress = after(world, 40 * MINUTE)
        assert progress.counts["changed in ServiceNow"] == 20
        assert sum(world.instance.counts.values()) < 30  # what a process learns once of the instance included
        assert len(drift_entries(world)) == 20


def test_an_instance_that_hides_who_updated_a_record_stops_nothing(world):
    world.instance.access.unreadable["sys_user"].add("sys_updated_on")
    meddle(world, "ada", title="Queen")
    hire(world, "eve")
    progress = after(world, 40 * MINUTE)
    assert progress.counts["changes unread"] == 1
    assert account(world, "eve") is not None


# --- The full reconciliation -----------------------------------------------------------------------


def test_everything_is_compared_within_a_day_and_then_within_a_week(world):
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])  # no list of changes tells that
    for _ in range(25):
        after(world, 60 * MINUTE)
    assert account(world, "ada")["title"] == "Analyst"
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])
    for _ in range(7 * 24 + 2):
        after(world, 60 * MINUTE)
    assert account(world, "ada")["title"] == "Analyst"


def test_never_is_never(tmp_path):
    with small_world(tmp_path, reconciles_every=0.0) as world:
        hire(world, "ada")
        world.cycle()
        world.instance.delete("sys_user", account(world, "ada")["sys_id"])
        for _ in range(10):
            after(world, 1 * DAY)
        assert account(world, "ada") is None


def test_a_person_may_ask_for_all_of_it_at_once(world):
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])
    world.run(control.reconcile(world.engine(), by="a person"))
    progress = after(world, 40 * MINUTE)
    assert progress.counts["compared"] == 2
    assert account(world, "ada")["title"] == "Analyst"
    assert "compared" not in after(world, 1 * MINUTE).counts


def test_a_quiet_reconciliation_writes_nothing_and_takes_nobody_away(tmp_path):
    with small_world(tmp_path, users=60, groups=6) as world:
        world.cycle()
        world.forget_counts()
        world.run(control.reconcile(world.engine(), by="a person"))
        progress = after(world, 40 * MINUTE)
        assert progress.counts["compared"] > 50
        assert world.writes() == {}


@pytest.mark.parametrize(("policy", "members"), [("report", {"bob"}), ("enforce", {"ada", "bob"})])
def test_a_membership_that_others_removed_is_told_once_or_made_again(tmp_path, policy, members):
    with small_world(tmp_path, drift=policy) as world:
        people = {name: hire(world, name) for name in ("ada", "bob")}
        group_of(world, "Design", *people.values())
        world.cycle()
        (group,) = world.instance.find("sys_user_group", name="Design")
        (row,) = world.instance.find("sys_user_grmember", group=group["sys_id"], user=account(world, "ada")["sys_id"])
        world.instance.delete("sys_user_grmember", row["sys_id"])
        for _ in range(2):
            world.run(control.reconcile(world.engine(), by="a person"))
            after(world, 40 * MINUTE)
        assert world.members("Design") == {f"{name}@contoso.example" for name in members}
        told = [e for e in world.journal() if e["sourceIdentity"]["identityType"] == "GroupMembership"]
        told = [e for e in told if CHANGED in {s["name"] for s in e["provisioningSteps"]}]
        assert len(told) == 1


def test_a_membership_that_delta_never_told_of_is_found(world):
    group = group_of(world, "Design", world.ada)
    after(world, 40 * MINUTE)
    world.directory.add_member(group, world.bob)
    world.directory.group_log._entries.pop()  # Graph loses a change
    after(world, 40 * MINUTE)
    assert world.members("Design") == {"ada@contoso.example"}
    world.run(control.reconcile(world.engine(), by="a person"))
    after(world, 40 * MINUTE)
    assert world.members("Design") == {"ada@contoso.example", "bob@contoso.example"}
