"""Histories in which a change was lost, or an account or membership was left wrong, before the engine was mended."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.engine import control
from provisioning.engine.jobs import LEASE_SECONDS, RENEW_BELOW, JobRows
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import LeaseLost
from provisioning.rules.departures import Departures
from provisioning.rules.restart import parse_scopes
from tests.company import DOMAIN
from tests.crashing import mortal_world
from tests.emulators.graph import ExpireDelta, Fail
from tests.stories import EXHAUSTIVE, LEAVERS, guarded_world


@pytest.fixture
def world():
    with mortal_world() as world:
        world.company.remember_foreign()
        yield world


def settled(world):
    world.company.expect()
    return world.settle()


def deaths(world, every=4):
    """A copy of the world after the death of its process at each commit of the next cycle, or at some of them."""
    with world.copy() as rehearsal:
        rehearsal.live()
        commits = [number for number, each in enumerate(rehearsal.fuse.seen, 1) if each.kind == "commit"]
    for number in commits[:: 1 if EXHAUSTIVE else every]:
        with world.copy() as copy:
            copy.fuse.set(number, "crash after")
            assert not copy.live()
            copy.fuse.set(0, "")
            copy.bury()
            yield copy


def test_managers_in_a_circle_who_are_created_in_one_request_are_both_linked(world):
    world.company.hire("cy")
    world.company.hire("dee", manager="cy")
    world.company.report_to("cy", "dee")
    assert settled(world) == []


def test_who_waits_for_a_manager_is_told_although_the_worker_dies_when_the_manager_appears(world):
    world.company.hire("zoe", direct=False)
    world.company.hire("ada", manager="zoe")
    world.company.found("Engineers", "zoe", "ada", assigned=False)
    assert settled(world) == []
    world.company.assign("Engineers")
    world.company.expect()
    for copy in deaths(world):
        assert copy.settle() == []


def test_an_account_that_was_adopted_is_told_to_who_waits_for_it_although_the_worker_dies(world):
    adopted = world.instance.insert("sys_user", {"user_name": f"zoe@{DOMAIN}", "first_name": "Zoe"})
    world.company.adopted.add(("sys_user", adopted["sys_id"]))
    world.company.hire("zoe", direct=False)
    world.company.hire("ada", manager="zoe")
    world.cycle()
    world.company.assign("zoe")
    world.company.expect()
    for copy in deaths(world):
        assert copy.settle() == []


@pytest.mark.parametrize("kind", ["users", "groups"])
def test_members_of_an_unassigned_group_are_removed_although_a_forgotten_token_makes_all_be_read(world, kind):
    world.company.hire("ada")
    world.company.found("Engineers", "ada")
    assert settled(world) == []
    world.company.unassign("Engineers")
    world.directory.behaviour.faults.add(ExpireDelta(), f"GET /{kind}/delta")
    assert settled(world) == []
    assert world.members("Engineers") == set()


def test_the_name_that_a_renamed_user_leaves_goes_to_a_new_one(world):
    world.company.hire("ada")
    assert settled(world) == []
    world.company.change("ada", userPrincipalName=f"ada.king@{DOMAIN}")
    world.company.hire("ada the second", userPrincipalName=f"ada@{DOMAIN}")
    assert settled(world) == []


def test_the_name_of_a_user_who_was_never_created_goes_to_another_one(world):
    world.company.hire("ada")
    world.instance.faults.add("batch: POST sys_user", "rule")
    world.cycle()
    world.company.delete("ada")
    world.company.hire("ada the second", userPrincipalName=f"ada@{DOMAIN}")
    assert settled(world) == []


def rows_of(world):
    return JobRows(world.store, "job")


def test_steps_that_renew_the_lease_side_by_side_all_keep_it(world):
    rows, now = rows_of(world), world.now()
    world.run(rows.take_lease("driver", now))

    async def renew():
        later = now + LEASE_SECONDS - RENEW_BELOW + 1
        await asyncio.gather(*(rows.renew_lease("driver", later) for _ in range(4)))

    world.run(renew())


def test_a_driver_cannot_come_back_to_a_lease_that_was_given_back(world):
    rows, now = rows_of(world), world.now()
    world.run(rows.take_lease("driver", now))
    world.run(rows.release_lease("driver"))
    with pytest.raises(LeaseLost):
        world.run(rows.renew_lease("driver", now))


def test_a_driver_whose_lease_ran_out_goes_on_if_nobody_took_it(world):
    rows, now = rows_of(world), world.now()
    world.run(rows.take_lease("driver", now))
    world.run(rows.renew_lease("driver", now + 10 * LEASE_SECONDS))
    with pytest.raises(LeaseLost):
        world.run(rows.take_lease("another", now + 10 * LEASE_SECONDS))


def test_a_cycle_that_ended_but_whose_worker_died_before_saying_so_does_not_block_the_next_one(world):
    world.company.hire("ada")
    world.company.expect()
    with world.copy() as rehearsal:
        rehearsal.live()
        last = [number for number, each in enumerate(rehearsal.fuse.seen, 1) if each.kind == "commit"][-3:]
    for number in last:
        with world.copy() as copy:
            copy.fuse.set(number, "crash before")
            copy.live()
            copy.fuse.set(0, "")
            if copy.run(rows_of(copy).progress())[0].finished:
                assert copy.cycle().finished
                assert copy.settle() == []


def test_a_review_that_breaks_off_half_way_lets_none_of_the_held_removals_through():
    with guarded_world() as world:
        for copy in deaths(world):
            assert copy.settle(held=len(LEAVERS)) == []


def test_what_a_person_let_go_on_goes_on_although_the_worker_dies_half_way():
    with guarded_world() as world:
        world.run(world.engine().approve(world.cycle().held, by="a test"))
        world.company.held.clear()
        world.company.expect()
        for copy in deaths(world):
            assert copy.settle() == []


def test_a_comparison_after_a_swap_of_names_comes_to_an_end(world):
    for name in ("ada", "bob", "cy", "dee"):
        world.company.hire(name)
    assert settled(world) == []
    world.company.change("ada", userPrincipalName=f"aside@{DOMAIN}")
    world.company.change("bob", userPrincipalName=f"ada@{DOMAIN}")
    world.company.change("ada", userPrincipalName=f"bob@{DOMAIN}")
    assert settled(world) == []
    world.fuse.most = 1000
    world.run(control.reconcile(world.engine(), by="a test"))
    assert settled(world) == []


def test_a_membership_of_a_leaver_goes_although_a_restart_has_made_us_forget_the_account(world):
    for name in ("ada", "bob"):
        world.company.hire(name)
    world.company.found("Sales", "ada", "bob")
    assert settled(world) == []
    world.company.enable("ada", enabled=False)
    assert settled(world) == []
    for _ in range(2):
        world.run(control.restart(world.engine(), parse_scopes("Full"), by="a test"))
        assert settled(world) == []
    world.company.part("Sales", "ada")
    assert settled(world) == []
    assert world.members("Sales") == {f"bob@{DOMAIN}"}


@pytest.mark.parametrize("everyone", [True, False])
def test_a_leaver_of_the_day_on_which_the_group_goes_is_found_by_a_reading_anew(everyone):
    with mortal_world(everyone=everyone) as world:
        world.company.remember_foreign()
        world.company.hire("ada")
        world.company.hire("bob")
        world.company.found("Sales", "ada", "bob")
        assert settled(world) == []
        world.company.unassign("Sales")
        world.directory.delete_group(world.company.ids["Sales"])
        world.company.groups.pop(world.company.ids["Sales"])
        world.company.records.pop(world.company.ids.pop("Sales"))
        world.company.foreign |= {
            ("sys_user_group", row["sys_id"]): row for row in world.instance.find("sys_user_group", name="Sales")
        }
        world.company.delete("ada")
        world.run(control.restart(world.engine(), parse_scopes("Watermark"), by="a test"))
        assert settled(world) == []
        assert world.account(f"ada@{DOMAIN}")["active"] == "false"


def test_nobody_whose_record_is_gone_becomes_a_member_under_it(world):
    for name in ("ada", "bob", "cy", "dee"):
        world.company.hire(name)
    world.company.found("Sales", "ada", "bob")
    assert settled(world) == []
    gone = world.account(f"ada@{DOMAIN}")["sys_id"]
    world.instance.delete("sys_user", gone)
    world.instance.faults.add("batch: POST sys_user", "rule", times=None)
    world.run(control.reconcile(world.engine(), by="a test"))
    world.company.found("Support", "ada", "bob")
    world.cycle()
    assert world.instance.find("sys_user_grmember", user=gone) == []
    assert world.members("Support") == {f"bob@{DOMAIN}"}
    world.instance.faults.clear()
    world.run(control.resync(world.engine(), "user", world.company.ids["ada"], by="a test"))
    assert settled(world) == []


def test_a_group_whose_members_a_replica_does_not_find_yet_brings_them_in_the_next_cycle(world):
    world.company.hire("ada", direct=False)
    world.company.found("Engineers", "ada")
    world.directory.behaviour.faults.add(Fail(404), "batch: GET /groups/{id}/members")
    world.cycle()
    assert world.account(f"ada@{DOMAIN}") is None
    world.cycle()
    assert world.members("Engineers") == {f"ada@{DOMAIN}"}
    assert settled(world) == []


def test_a_membership_that_a_list_does_not_show_is_ended_all_the_same(world):
    world.company.hire("ada")
    world.company.found("Engineers", "ada")
    assert settled(world) == []
    world.company.part("Engineers", "ada")
    fault = world.instance.faults.add("batch: GET sys_user_grmember", "not_yet_visible")
    world.cycle()
    assert fault.happened
    assert world.members("Engineers") == set()
    assert settled(world) == []


@pytest.mark.parametrize("everyone", [True, False])
def test_who_left_while_a_reading_anew_was_cut_short_does_not_turn_up_in_the_next_one(everyone):
    """What the first reading has left in the plan is older than what the second one reads."""
    with mortal_world(everyone=everyone) as world:
        world.company.remember_foreign()
        for name in ("ada", "bob", "cy"):
            world.company.hire(name)
        world.company.found("Sales", "ada", "bob")
        assert settled(world) == []
        world.run(control.restart(world.engine(), parse_scopes("Watermark"), by="a test"))
        for copy in deaths(world, every=24):
            copy.company.delete("cy")
            copy.company.part("Sales", "bob")
            if not everyone:
                copy.company.unassign("ada")
                copy.company.unassign("Sales")
            copy.run(control.restart(copy.engine(), parse_scopes("Watermark"), by="a test"))
            copy.cycle()
            assert copy.account(f"cy@{DOMAIN}")["active"] == "false"
            assert copy.members("Sales") == ({f"ada@{DOMAIN}"} if everyone else set())


@pytest.mark.parametrize("cycles", [0, 2])
def test_who_joins_a_group_that_gives_no_access_any_more_gets_no_account(world, cycles):
    world.company.hire("ada")
    world.company.hire("zed", direct=False)
    world.company.found("Sales", "ada")
    assert settled(world) == []
    world.company.unassign("Sales")
    for _ in range(cycles):
        world.cycle()
    world.company.join("Sales", "zed")
    assert settled(world) == []
    assert world.account(f"zed@{DOMAIN}") is None
    world.company.assign("Sales")
    assert settled(world) == []
    assert world.account(f"zed@{DOMAIN}")["active"] == "true"


@pytest.fixture
def set_back(world):
    """The clock was two days fast while a process worked and died, and is set right."""
    world.company.hire("ada")
    world.company.expect()
    world.fast = 2 * 86400.0
    world.instance.faults.add("GET sys_user", "too_many")
    world.fuse.set(1, "crash before", kind="write")
    assert not world.live()
    world.fuse.set(0, "")
    world.instance.faults.clear()
    world.fast = 0.0
    return world


def test_a_clock_that_is_set_back_keeps_nobody_from_going_on(set_back):
    """What a dead process held would last for two days: its lease, its calls to ServiceNow, and the limit on them."""
    before = set_back.now()
    assert set_back.settle() == []
    assert set_back.account(f"ada@{DOMAIN}")["active"] == "true"
    assert set_back.now() - before < 86400.0


def test_a_job_is_due_although_its_last_cycle_began_in_the_future(world):
    world.fast = 2 * 86400.0
    world.cycle()
    assert not world.run(world.engine().is_due())
    world.fast = 0.0
    assert world.run(world.engine().is_due())


def test_two_whose_accounts_are_gone_and_who_have_swapped_names_do_not_wait_for_each_other(world):
    for name in ("ada", "bob", "cy", "dee", "eve", "fay"):
        world.company.hire(name)
    assert settled(world) == []
    for name in ("ada", "bob"):
        world.instance.delete("sys_user", world.account(f"{name}@{DOMAIN}")["sys_id"])
    world.company.change("ada", userPrincipalName=f"aside@{DOMAIN}")
    world.company.change("bob", userPrincipalName=f"ada@{DOMAIN}")
    world.company.change("ada", userPrincipalName=f"bob@{DOMAIN}")
    world.fuse.most = 3000
    world.company.expect()
    assert world.settle(8) == []


def test_who_is_unassigned_and_disabled_at_once_is_disabled_although_the_unassigned_are_left_as_they_are(world):
    """The list of assignments told that the access was gone, and nobody looked whether that was all."""
    for name in ("ada", "bob", "cy"):
        world.company.hire(name)
    world.departures = Departures(unassigned="leave")
    assert settled(world) == []
    world.company.enable("ada", enabled=False)
    world.company.unassign("ada")
    world.company.unassign("bob")
    world.run(control.restart(world.engine(), parse_scopes("Watermark"), by="a person"))
    world.restart()
    assert world.cycle().finished
    assert world.account(f"ada@{DOMAIN}")["active"] == "false"
    assert world.account(f"bob@{DOMAIN}")["active"] == "true"


@pytest.mark.parametrize("sys_ids", ["honoured", "ignored"])
def test_who_was_created_by_a_run_that_died_and_renamed_since_gets_no_second_account(world, sys_ids):
    """On demand, before the cycle goes on that has read the former name."""
    world.instance.switches.client_sys_id = sys_ids
    world.company.hire("ada")
    world.fuse.set(1, "crash after", kind="write")
    assert not world.live()
    world.fuse.set(0, "")
    world.bury()
    world.company.change("ada", userPrincipalName=f"ada.king@{DOMAIN}")
    world.run(provision_on_demand(world.engine(), world.company.ids["ada"], write=True))
    assert [row["user_name"] for row in world.instance.rows("sys_user") if row["first_name"] == "Ada"] == [
        f"ada.king@{DOMAIN}"
    ]
    assert settled(world) == []
