"""A job that is quarantined, pruned, paused, and healthy again; with the log-ins counted where they arrive."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest

from provisioning.adapters.servicenow import credentials
from provisioning.engine import control
from provisioning.errors import ConfigError
from provisioning.model import Escrow, Pending
from provisioning.rules.quarantine import Thresholds
from provisioning.rules.review import Limits
from tests.emulators.servicenow import CLIENT_ID
from tests.test_cycle_stories import ACTIVE, DISABLED, account, hire, state
from tests.test_escrow_stories import allow, refuse, tries
from tests.world import small_world

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SMALL = Thresholds().scaled(0.001)
"""Weighed from 5 failures; more than 40 are too many, or more than 60 with references."""


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path, thresholds=SMALL) as world:
        yield world


def job(world):
    return world.run(world.engine().context.rows.state())[0]


def tick(world):
    """What the timer does every five minutes; True when it ran a cycle."""
    if not world.run(world.engine().is_due()):
        world.run(world.engine().prune())
        return False
    world.cycle()
    return True


def ticks(world, hours):
    """The minutes from now at which cycles ran."""
    began, ran = world.now(), []
    while world.now() < began + hours * HOUR:
        at = world.now()
        if tick(world):
            ran.append(round((at - began) / MINUTE))
        world.pass_time(5 * MINUTE - (world.now() - at) % (5 * MINUTE))
    return ran


def change_secret(world, secret):
    world.instance.accounts.add_client(CLIENT_ID, secret, user="admin")


def test_a_wrong_password_is_tried_seldom_and_seldomer(world):
    hire(world, "ada")
    assert tick(world)
    right = world.instance.accounts.clients[CLIENT_ID].secret
    change_secret(world, "another")
    world.instance.accounts.revoke_tokens()
    world.restart()
    world.pass_time(40 * MINUTE)
    hire(world, "bob")
    asked = world.instance.counts["POST token"]
    ran = ticks(world, 48)
    pauses = [later - earlier for earlier, later in pairwise(ran)]
    assert all(later >= earlier for earlier, later in pairwise(pauses)), pauses
    assert 75 <= pauses[0] <= 90
    assert len(ran) <= 7, "in two days, and not 72"
    assert world.instance.counts["POST token"] - asked <= 2 * len(ran)
    found = job(world).quarantine
    assert (found.reason, found.error.code) == ("EncounteredQuarantineException", "ServiceNowCredentialsValidation")
    assert found.error.tenant_actionable
    assert job(world).status == "Quarantine"
    assert found.series_count == len(ran) - 1

    change_secret(world, right)
    world.restart()
    assert len(ticks(world, 26)) > 1, "after the first that succeeds the job runs as usual"
    assert (job(world).quarantine, job(world).status) == (None, "Active")
    assert state(world, "bob") == ACTIVE


def test_a_person_who_has_mended_it_starts_the_job_and_does_not_wait(world):
    hire(world, "ada")
    world.instance.faults.add("POST token", "unauthorized", times=None)
    assert tick(world)
    world.instance.faults.clear()
    world.pass_time(45 * MINUTE)
    world.restart()
    assert not tick(world)
    world.run(control.start(world.engine(), by="a person"))
    assert tick(world)
    assert (job(world).quarantine, state(world, "ada")) == (None, ACTIVE)


def test_after_four_weeks_the_job_is_disabled_until_somebody_starts_it(world):
    hire(world, "ada")
    world.instance.faults.add("POST token", "unauthorized", times=None)
    ran = ticks(world, 24 * 30)
    assert 28 <= len(ran) <= 40
    assert job(world).disabled
    world.pass_time(30 * DAY)
    assert not tick(world)
    with pytest.raises(ConfigError, match="disabled"):
        world.cycle()
    world.instance.faults.clear()
    world.restart()
    world.run(control.start(world.engine(), by="a person"))
    assert tick(world)
    assert state(world, "ada") == ACTIVE
    assert not job(world).disabled


def spies(world, number, **attributes):
    return [hire(world, f"spy{n}", jobTitle="Spy", **attributes) for n in range(number)]


def test_too_large_a_share_of_failures_quarantines_the_job_and_all_is_tried_again_until_it_is_mended(world):
    hire(world, "ada")
    tick(world)
    world.pass_time(40 * MINUTE)
    spies(world, 6)
    rule = refuse(world, "insert", "title=Spy")
    assert tick(world)
    found = job(world).quarantine
    assert found.reason == "EncounteredEscrowProportionThreshold"
    assert found.error.message == "6 of 6 objects failed"
    before = tries(world)
    ran = ticks(world, 3)
    assert len(ran) == 1
    assert tries(world) - before == 6, "although their own pause has not ended"
    assert job(world).quarantine.series_count == 1
    allow(world, rule)
    world.run(control.start(world.engine(), by="a person"))
    assert tick(world)
    assert job(world).quarantine is None
    assert state(world, "spy5") == ACTIVE


def test_old_failures_on_a_quiet_day_do_not_quarantine_the_job(world):
    for n in range(12):
        hire(world, f"user{n}")
    spies(world, 6)
    refuse(world, "insert", "title=Spy")
    assert tick(world)
    assert job(world).quarantine is None
    ticks(world, 30)
    assert tries(world) > 18, "they were tried again"
    assert job(world).quarantine is None


def test_failures_that_add_up_over_the_cycles_quarantine_the_job_until_they_are_mended(world):
    for n in range(90):
        hire(world, f"user{n}")
    tick(world)
    rule = refuse(world, "insert", "title=Spy")
    reasons = []
    for batch in range(3):
        world.pass_time(40 * MINUTE)
        for n in range(15):
            hire(world, f"spy{batch}.{n}", jobTitle="Spy")
        for n in range(30 * batch, 30 * batch + 30):
            hire(world, f"more{n}")
        assert tick(world)
        found = job(world).quarantine
        reasons.append(found.reason if found is not None else None)
    assert reasons == [None, None, "EncounteredBaseEscrowThreshold"]
    assert job(world).quarantine.error.message.endswith("objects failed, 45 fail in all")
    allow(world, rule)
    world.pass_time(40 * MINUTE)
    world.run(control.start(world.engine(), by="a person"))
    assert tick(world)
    assert job(world).quarantine is None


def test_who_was_mended_one_by_one_does_not_add_up(world):
    """They stay due for hours after they have succeeded."""
    spies_ = spies(world, 30)
    for n in range(90):
        hire(world, f"user{n}")
    rule = refuse(world, "insert", "title=Spy")
    tick(world)
    for user in spies_:
        world.directory.update_user(user, jobTitle="Clerk")
    for n in range(15):
        hire(world, f"more{n}", jobTitle="Spy")
    world.pass_time(40 * MINUTE)
    assert tick(world)
    assert (state(world, "spy0"), job(world).quarantine) == (ACTIVE, None)
    allow(world, rule)


def test_memberships_that_one_role_of_their_group_keeps_from_being_written_are_one_failure(world):
    def failed(key, code, since=5.0):
        return 10.0, Pending(key, "memberships", escrow=Escrow(code, "", since, 1, since))

    due = world.engine().context.due
    guarded = [failed(f"member:g:u{n}", "SecurityAdminGroup") for n in range(9)]
    others = [failed(f"member:h:u{n}", "InsufficientRights") for n in range(3)]
    forgotten, recheck = failed("member:h:u9", "InsufficientRights", since=1.0), (10.0, Pending("user:u", "users"))
    world.run(due.add([*guarded, *others, forgotten, recheck]))
    assert world.run(due.failing(2.0)) == {"member:g", *(f"member:h:u{n}" for n in range(3))}


def test_too_many_unresolved_references_count_in_the_last_threshold_only(world):
    boss = hire(world, "boss", assigned=False)
    hire(world, "ada")
    tick(world)
    world.pass_time(40 * MINUTE)
    for n in range(61):
        world.directory.set_manager(hire(world, f"user{n}"), boss)
    assert tick(world)
    assert job(world).quarantine.reason == "EncounteredTotalEscrowThreshold"
    assert "61 references" in job(world).quarantine.error.message


def test_too_many_failures_in_the_initial_cycle_prune_it_and_pause_the_job(world):
    hire(world, "ada")
    spies(world, 6)
    rule = refuse(world, "insert", "title=Spy")
    assert tick(world)
    assert state(world, "ada") == ACTIVE, "it was finished"
    found = job(world)
    assert (found.status, found.escrows_pruned, found.quarantine) == ("Paused", True, None)
    world.pass_time(3 * DAY)
    assert not tick(world)
    with pytest.raises(ConfigError, match="initial cycle"):
        world.cycle()
    world.run(control.start(world.engine(), by="a person"))
    before = tries(world)
    assert tick(world)
    assert tries(world) == before, "their failures are forgotten, and so they are not tried"
    assert not job(world).escrows_pruned
    allow(world, rule)
    world.run(control.restart(world.engine(), ("Watermark",), by="a person"))
    assert tick(world)
    assert state(world, "spy0") == ACTIVE


def test_a_failed_disable_survives_the_pruning(world):
    ada, _ = hire(world, "ada"), hire(world, "bob")
    tick(world)
    world.pass_time(40 * MINUTE)
    spies(world, 6)
    rules = [refuse(world, "insert", "title=Spy"), refuse(world, "update", "active=false")]
    world.directory.unassign_principal(ada)
    world.run(control.restart(world.engine(), ("Watermark",), by="a person"))
    assert tick(world)
    assert job(world).escrows_pruned
    for rule in rules:
        allow(world, rule)
    world.run(control.start(world.engine(), by="a person"))
    world.pass_time(40 * MINUTE)
    assert tick(world)
    assert state(world, "ada") == DISABLED


def test_held_removals_are_shown_as_a_quarantine_and_the_rest_keeps_its_cadence(world):
    world.limits = Limits(absolute=0, share=0.0, floor=0)
    world.restart()
    ada, _ = hire(world, "ada"), hire(world, "bob")
    tick(world)
    world.directory.unassign_principal(ada)
    world.pass_time(40 * MINUTE)
    assert tick(world)
    assert (job(world).in_quarantine.reason, job(world).status) == ("TooManyDeletes", "Quarantine")
    assert state(world, "ada") == ACTIVE
    hire(world, "cy")
    assert len(ticks(world, 4)) >= 5
    assert state(world, "cy") == ACTIVE
    world.run(control.restart(world.engine(), ("ForceDeletes",), by="a person"))
    assert tick(world)
    assert state(world, "ada") == DISABLED
    assert (job(world).in_quarantine, job(world).status) == (None, "Active")


def test_an_outage_is_no_quarantine(world):
    hire(world, "ada")
    tick(world)
    world.instance.faults.add("POST batch", "status", times=None, status=500)
    world.instance.faults.add("GET sys_user", "status", times=None, status=500)
    world.pass_time(40 * MINUTE)
    hire(world, "bob")
    assert tick(world)
    assert job(world).last_failure
    assert job(world).quarantine is None
    world.instance.faults.clear()
    ticks(world, 2)
    assert state(world, "bob") == ACTIVE


def test_basic_authentication_is_not_locked_out(world):
    """ServiceNow locks an account after some failed log-ins; they are counted at the instance."""
    world.instance.switches.lock_out_after = 5
    hire(world, "ada")
    world.instance.insert("sys_user", {"user_name": "robot", "active": "true"})
    world.instance.accounts.passwords["robot"] = "right"
    world.login = partial(credentials, "basic", username="robot", password="wrong")
    assert ticks(world, 1)[0] == 0
    assert world.instance.find("sys_user", user_name="robot")[0]["failed_attempts"] == "2"
    assert world.instance.find("sys_user", user_name="robot")[0]["locked_out"] != "true"
    assert account(world, "ada") is None
