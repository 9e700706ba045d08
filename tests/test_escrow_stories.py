"""What failed is tried again: when it may pass in each cycle, else with growing pauses, and at once when it changes."""

from __future__ import annotations

import pytest

from tests.test_cycle_stories import ACTIVE, DISABLED, group_of, hire, state
from tests.world import small_world

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def refuse(world, operation, condition, table="sys_user"):
    """A business rule that somebody at the instance wrote."""
    rule = {
        "name": "No",
        "collection": table,
        "active": "true",
        "abort_action": "true",
        f"action_{operation}": "true",
        "filter_condition": condition,
    }
    return world.instance.insert("sys_script", rule)["sys_id"]


def allow(world, rule):
    world.instance.update("sys_script", rule, {"active": "false"})


def link_of(world, user):
    return world.run(world.engine().context.links.load([("user", user)]))["user", user].link


def tries(world, kind="POST"):
    return world.instance.counts[f"batch: {kind} sys_user"]


def cycles(world, hours, every=2400.0):
    """The hours since now at which ServiceNow was asked to create or change an account."""
    began, seen = world.now(), []
    while world.now() < began + hours * HOUR:
        before = tries(world) + tries(world, "PATCH")
        at = world.now()
        assert world.cycle().finished
        if tries(world) + tries(world, "PATCH") > before:
            seen.append((at - began) / HOUR)
        world.pass_time(every - (world.now() - at))
    return seen


def entries(world, user):
    return world.run(world.engine().context.journal.of_object(f"user:{user}", 100))


def test_a_refusal_is_tried_again_after_6_12_and_24_hours_and_then_daily(world):
    ada = hire(world, "ada", jobTitle="Spy")
    refuse(world, "insert", "title=Spy")
    asked = [round(at, 1) for at in cycles(world, 80)]
    assert [min(abs(at - due) for due in (0, 6, 12, 24, 48, 72)) < 0.7 for at in asked] == [True] * 6
    escrow = link_of(world, ada).escrow
    assert (escrow.code, escrow.attempts) == ("NotPermitted", 6)


def test_after_28_days_it_is_given_up_told_in_the_log_and_taken_up_when_the_object_changes(world):
    ada = hire(world, "ada", jobTitle="Spy")
    refuse(world, "insert", "title=Spy")
    cycles(world, 24 * 29, every=HOUR)
    before = tries(world)
    (last, *earlier) = entries(world, ada)
    advice = last["provisioningStatusInfo"]["errorInformation"]["recommendedAction"]
    assert "28 days" in advice
    assert "resync" in advice
    assert not any("28 days" in str(entry) for entry in earlier)
    assert link_of(world, ada).escrow is None
    cycles(world, 72, every=HOUR)
    assert tries(world) == before, "it is tried no more"
    world.directory.update_user(ada, jobTitle="Analyst")
    assert world.cycle().finished
    assert state(world, "ada") == ACTIVE


def test_an_object_that_changes_is_tried_at_once(world):
    ada = hire(world, "ada", jobTitle="Spy")
    refuse(world, "insert", "title=Spy")
    world.cycle()
    world.cycle()
    assert tries(world) == 1
    world.directory.update_user(ada, jobTitle="Analyst")
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert link_of(world, ada).escrow is None
    before = dict(world.writes())
    world.pass_time(7 * HOUR)
    world.cycle()
    assert world.writes() == before, "what is due of an escrow that is over changes nothing"


def test_a_change_that_does_not_help_does_not_begin_the_pauses_anew(world):
    ada = hire(world, "ada", jobTitle="Spy")
    refuse(world, "insert", "title=Spy")
    world.cycle()
    since = link_of(world, ada).escrow.since
    world.pass_time(5 * HOUR)
    world.directory.update_user(ada, city="Athens")
    world.cycle()
    escrow = link_of(world, ada).escrow
    assert (escrow.attempts, escrow.since, escrow.next_attempt) == (2, since, since + 6 * HOUR)


def test_a_value_that_another_record_has_is_tried_in_the_next_two_cycles_and_then_after_the_pauses(world):
    world.instance.insert("sys_user", {"user_name": "ada@contoso.example"})
    world.instance.access.hidden_rows["sys_user"] = "user_name=ada@contoso.example"
    ada = hire(world, "ada")
    asked = [round(at, 1) for at in cycles(world, 13)]
    assert asked[:3] == [0.0, 0.7, 1.3]
    assert [round(at) for at in asked[3:]] == [6, 12]
    assert link_of(world, ada).escrow.code == "Conflict"


def test_the_removal_of_a_membership_that_was_refused_is_proven_anew_before_it_is_tried_again(world):
    ada = hire(world, "ada")
    group = group_of(world, "Sales", ada)
    world.cycle()
    rule = refuse(world, "delete", "user.nameISNOTEMPTY^ORuserISNOTEMPTY", table="sys_user_grmember")
    world.directory.remove_member(group, ada)
    world.cycle()
    assert world.members("Sales") == {"ada@contoso.example"}
    allow(world, rule)
    world.directory.add_member(group, ada)
    world.pass_time(2400)
    world.cycle()
    assert world.members("Sales") == {"ada@contoso.example"}, "she is a member"
    world.directory.remove_member(group, ada)
    world.pass_time(2400)
    world.cycle()
    assert world.members("Sales") == set()


def test_what_may_pass_is_tried_in_each_cycle(world):
    ada = hire(world, "ada")
    world.instance.faults.add("batch: POST sys_user", "status", times=None, status=500)
    for _ in range(3):
        world.cycle()
        world.pass_time(2400)
    assert link_of(world, ada).escrow.attempts == 3
    world.instance.faults.clear()
    world.cycle()
    assert state(world, "ada") == ACTIVE


def test_a_disable_that_failed_is_tried_in_each_cycle_whatever_the_reason(world):
    ada, _ = hire(world, "ada"), hire(world, "bob")
    world.cycle()
    rule = refuse(world, "update", "active=false")
    world.directory.unassign_principal(ada)
    for _ in range(4):
        world.pass_time(2400)
        world.cycle()
    assert tries(world, "PATCH") == 4
    assert state(world, "ada") == ACTIVE
    allow(world, rule)
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_one_refusal_stops_nobody_else_and_all_are_reported_in_one_pass(world):
    spies = [hire(world, f"spy{n}", jobTitle="Spy") for n in range(3)]
    hire(world, "ada")
    refuse(world, "insert", "title=Spy")
    assert world.cycle().counts["users.failed"] == 3
    assert state(world, "ada") == ACTIVE
    assert all(entries(world, spy)[0]["provisioningStatusInfo"]["status"] == "failure" for spy in spies)


def test_a_membership_that_is_refused_has_its_pauses_too(world):
    ada = hire(world, "ada")
    group_of(world, "Sales", ada)
    refuse(world, "insert", "user.nameISNOTEMPTY^ORuserISNOTEMPTY", table="sys_user_grmember")

    def asked():
        return world.instance.counts["batch: POST sys_user_grmember"]

    world.cycle()
    assert asked() == 1
    for _ in range(3):
        world.pass_time(2400)
        world.cycle()
    assert asked() == 1
    world.pass_time(6 * HOUR)
    world.cycle()
    assert asked() == 2
    world.pass_time(3 * HOUR)
    world.cycle()
    assert asked() == 2, "the second pause ends 12 hours after the first failure"
    world.pass_time(2 * HOUR)
    world.cycle()
    assert asked() == 3


def test_a_user_whose_manager_waits_is_a_warning_with_its_reason(world):
    boss = hire(world, "boss", assigned=False)
    ada = hire(world, "ada")
    world.directory.set_manager(ada, boss)
    assert world.cycle().counts["failed references"] == 1
    info = entries(world, ada)[0]["provisioningStatusInfo"]
    assert info["status"] == "warning"
    assert info["errorInformation"]["errorCode"] == "UnableToResolveReferenceAttributeValue"
    assert "manager" in info["errorInformation"]["reason"]
    assert info["errorInformation"]["recommendedAction"].startswith("Entra administrator")
