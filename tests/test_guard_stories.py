"""The removal guard, story by story: what would harm too many waits for a person, and everything else goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import ConfigError
from provisioning.rules.review import Limits
from tests.emulators.graph.behaviour import EmptyList
from tests.mappings import clause
from tests.stories import guarded_world
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_scope_stories import change_users, mapped_to, with_user_filter
from tests.world import World, small_world

DAY = 24 * 3600.0
BY = "the administrator"
LATER = ("dee", "ada", "max")
"""Who leaves the guarded world when the plan has been approved: one more than may by themselves."""


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path, limits=Limits()) as world:
        yield world


@pytest.fixture
def company(world):
    """Twenty people with accounts, of whom three may leave at once; five of them leave."""
    return five_leave(world)


def five_leave(world: World) -> World:
    world.people = [hire(world, f"user{n}") for n in range(20)]
    world.cycle()
    for user in world.people[:5]:
        world.directory.unassign_principal(user)
    return world


def held_of(world: World):
    """What the job says of the guard."""
    job, _ = world.run(world.engine().context.rows.state())
    assert job.too_many_deletes == (job.held is not None)
    return job.held


def counts(world: World) -> dict[str, int]:
    held = held_of(world)
    return dict(held.counts) if held is not None else {}


def approve(world: World, plan: str) -> None:
    world.run(world.engine().approve(plan, by=BY))


def active(world: World, number: int = 20) -> set[int]:
    return {n for n in range(number) if state(world, f"user{n}") == ACTIVE}


def staged(world: World) -> list[dict]:
    return [entry for entry in world.journal() if entry["provisioningAction"] == "stagedDelete"]


# --- What is too much -----------------------------------------------------------------------------


def test_a_filter_edit_that_drops_everyone_disables_nobody(world):
    for n in range(20):
        hire(world, f"user{n}", department="Sales")
    world.cycle()
    with_user_filter(world, [clause("department", "EQUALS", "Slaes")])
    progress = world.cycle()
    assert (progress.held, counts(world)) == (held_of(world).plan, {"users": 20})
    assert active(world) == set(range(20))
    assert len(staged(world)) == 20
    with_user_filter(world, [clause("department", "EQUALS", "Sales")])
    assert world.cycle().held is None
    assert held_of(world) is None
    assert active(world) == set(range(20))


def test_what_waits_is_logged_once_however_often_it_is_offered_again(company):
    first = company.cycle()
    since = held_of(company).since
    company.pass_time(3600.0)
    again = company.cycle()
    assert (again.held, again.counts["users.held"], held_of(company).since) == (first.held, 5, since)
    assert len(staged(company)) == 5


def test_an_assignment_list_that_comes_back_empty_once_removes_and_holds_nobody(world):
    for n in range(20):
        hire(world, f"user{n}")
    world.cycle()
    world.directory.behaviour.faults.add(EmptyList(), kind="GET /servicePrincipals/{id}/appRoleAssignedTo")
    assert world.cycle().held is None
    assert active(world) == set(range(20))
    assert world.cycle().held is None
    assert (active(world), staged(world)) == (set(range(20)), [])


def test_a_slow_bleed_below_the_limit_of_each_cycle_trips_the_limit_of_the_day(tmp_path):
    with small_world(tmp_path, limits=Limits(absolute=500, share=0.05, floor=3)) as world:
        users = [hire(world, f"user{n}") for n in range(400)]  # twenty may leave in a day
        world.cycle()
        heads = iter(users)
        held = []
        for _ in range(10):
            for _ in range(8):
                world.directory.unassign_principal(next(heads))
            world.pass_time(2400.0)
            held.append(world.cycle().held is not None)
        assert held == [False, False, *[True] * 8]
        assert len(active(world, 400)) == 400 - 16
        assert counts(world) == {"users": 64}
        assert held_of(world).executed == {"users": 16}
        approve(world, held_of(world).plan)
        world.cycle()
        assert len(active(world, 400)) == 320
        for _ in range(4):  # what a person let go on does not count: four of the day are left
            world.directory.unassign_principal(next(heads))
        assert world.cycle().held is None
        world.directory.unassign_principal(next(heads))
        assert world.cycle().held is not None
        world.pass_time(DAY)
        assert world.cycle().held is None
        assert len(active(world, 400)) == 315


def test_fifty_leavers_in_each_cycle_of_a_day_trip_the_limit_of_the_day(tmp_path):
    with small_world(tmp_path, limits=Limits()) as world:  # sixty of twelve hundred may leave in a day
        users = iter([hire(world, f"user{n}") for n in range(1_200)])
        world.cycle()
        disabled, waiting = [], []
        for _ in range(6):
            for _ in range(50):
                world.directory.unassign_principal(next(users))
            world.pass_time(DAY / 6)
            world.cycle()
            disabled.append(1_200 - len(active(world, 1_200)))
            waiting.append(counts(world).get("users", 0))
        assert disabled == [50] * 6
        assert waiting == [0, 50, 100, 150, 200, 250]


@pytest.mark.parametrize(("leave", "left"), [(3, {3}), (4, {0, 1, 2, 3})])
def test_in_a_small_tenant_three_may_leave_at_once_and_not_four_of_four(world, leave, left):
    users = [hire(world, f"user{n}") for n in range(4)]
    keeper = hire(world, "keeper", assigned=False)
    world.cycle()
    world.directory.assign(keeper)
    for user in users[:leave]:
        world.directory.unassign_principal(user)
    progress = world.cycle()
    assert active(world, 4) == left
    assert (progress.held is not None) == (leave == 4)
    assert state(world, "keeper") == ACTIVE


def test_a_group_that_is_emptied_keeps_its_memberships_until_a_person_agrees(world):
    users = [hire(world, f"user{n}") for n in range(10)]
    group = group_of(world, "Engineers", *users)
    world.cycle()
    for user in users[:5]:
        world.directory.remove_member(group, user)
    hire(world, "newcomer")
    world.cycle()
    assert (counts(world), len(world.members("Engineers"))) == ({"memberships": 5}, 10)
    assert state(world, "newcomer") == ACTIVE
    approve(world, held_of(world).plan)
    world.cycle()
    assert (held_of(world), len(world.members("Engineers"))) == (None, 5)


def test_a_mapping_edit_that_empties_a_column_for_everybody_is_held_and_the_rest_goes_on(world):
    change_users(world, attributes=mapped_to(world.schema.user, "title", "jobTitle", clears=True).attributes)
    users = [hire(world, f"user{n}", jobTitle="Analyst") for n in range(10)]
    world.cycle()
    change_users(world, attributes=mapped_to(world.schema.user, "title", "employeeType", clears=True).attributes)
    world.directory.update_user(users[0], employeeType="Contractor", city="Oslo")
    world.cycle()
    assert counts(world) == {"wipes": 9}
    assert [account(world, f"user{n}")["title"] for n in range(10)] == ["Contractor", *["Analyst"] * 9]
    assert account(world, "user0")["city"] == "Oslo"
    approve(world, held_of(world).plan)
    world.cycle()
    assert [account(world, f"user{n}")["title"] for n in range(1, 10)] == [""] * 9


def test_a_change_that_arrives_while_an_object_is_held_counts_for_what_is_decided_then(world):
    change_users(world, attributes=mapped_to(world.schema.user, "title", "employeeType", clears=True).attributes)
    users = [hire(world, f"user{n}", employeeType="Employee") for n in range(10)]
    world.cycle()
    for user in users:
        world.directory.update_user(user, employeeType=None)
    world.cycle()
    assert counts(world) == {"wipes": 10}
    world.directory.update_user(users[0], employeeType="Contractor")
    world.directory.unassign_principal(users[1])
    world.cycle()
    assert (counts(world), account(world, "user0")["title"]) == ({"wipes": 8}, "Contractor")
    assert state(world, "user1") == DISABLED


def existing(world: World, number: int, **fields: str) -> None:
    for n in range(number):
        world.instance.insert("sys_user", {"user_name": f"user{n}@{DOMAIN}", "active": "true", **fields})


def test_the_first_cycle_overwrites_nothing_in_a_thousand_accounts_that_others_filled(world):
    existing(world, 1000, first_name="Otherwise", title="By hand")
    for n in range(1000):
        hire(world, f"user{n}", jobTitle="Analyst")
    for n in range(50):
        hire(world, f"new{n}")
    progress = world.cycle()
    assert counts(world) == {"wipes": 1000}
    assert held_of(world).allowed == {"wipes": 50}
    assert progress.counts["users.created"] == 50
    assert {row["title"] for row in world.instance.rows("sys_user") if row["user_name"].startswith("user")} == {
        "By hand"
    }
    approve(world, held_of(world).plan)
    world.cycle()
    assert account(world, "user7")["title"] == "Analyst"
    assert held_of(world) is None


def test_accounts_that_only_lack_values_or_differ_in_letter_case_are_adopted_without_a_question(world):
    existing(world, 20, first_name="", last_name="EXAMPLE")
    for n in range(20):
        hire(world, f"user{n}", jobTitle="Analyst")
    assert world.cycle().held is None
    assert account(world, "user7")["title"] == "Analyst"


def test_what_the_first_cycle_holds_is_not_let_through_because_more_is_managed_later(world):
    existing(world, 5, title="By hand")
    for n in range(5):
        hire(world, f"user{n}", jobTitle="Analyst")
    world.cycle()
    for n in range(200):
        hire(world, f"new{n}")
    world.cycle()
    assert world.cycle().held is not None
    assert counts(world) == {"wipes": 5}


def test_references_to_a_manager_whose_adoption_is_held_wait_for_it(world):
    existing(world, 4, title="By hand")
    boss, *_ = [hire(world, f"user{n}", jobTitle="Analyst") for n in range(4)]
    report = hire(world, "report")
    world.directory.set_manager(report, boss)
    world.cycle()
    assert account(world, "report")["manager"] == ""
    approve(world, held_of(world).plan)
    world.cycle()
    assert account(world, "report")["manager"] == account(world, "user0")["sys_id"]


def test_a_kind_of_harm_can_have_limits_of_its_own(world):
    world.own_limits = {"memberships": Limits(absolute=500, share=1.0)}
    users = [hire(world, f"user{n}") for n in range(10)]
    group = group_of(world, "Engineers", *users)
    world.cycle()
    for user in users[:5]:
        world.directory.remove_member(group, user)
        world.directory.unassign_principal(user)
    world.cycle()
    assert (counts(world), len(world.members("Engineers"))) == ({"users": 5}, 5)


@pytest.mark.parametrize("time_box", [120.0, 0.0])
def test_more_than_a_page_is_held_offered_again_and_approved_as_one_plan(tmp_path, time_box):
    with small_world(tmp_path, limits=Limits(), time_box=time_box) as world:
        users = [hire(world, f"user{n}") for n in range(1300)]
        hire(world, "colleague")
        world.cycle()
        for user in users:
            world.directory.unassign_principal(user)
        planned = world.cycle(dry_run=True).held
        first = world.cycle().held
        assert (counts(world), world.cycle().held, planned) == ({"users": 1300}, first, first)
        assert len(active(world, 1300)) == 1300
        approve(world, first)
        world.cycle()
        assert (active(world, 1300), held_of(world)) == (set(), None)


# --- Approval -------------------------------------------------------------------------------------


def test_what_a_person_approves_goes_through_and_the_record_says_who_approved_it(company):
    plan = company.cycle().held
    approve(company, plan)
    company.pass_time(1.0)
    progress = company.cycle()
    assert (progress.held, active(company)) == (None, set(range(5, 20)))
    carried_out, approved = [e for e in company.run(company.engine().context.audit.newest()) if "plan" in e.changes]
    assert (approved.activity, approved.actor) == ("Approve held removals", BY)
    assert approved.changes == {"plan": (None, plan), "users": ("5", None)}
    assert (carried_out.activity, carried_out.actor) == ("Carry out ruling on held removals", "Provisioning Service")
    assert carried_out.changes == {"plan": (None, plan), "cycle": (None, progress.cycle), "by": (None, BY)}


def test_a_plan_that_only_a_dry_run_has_shown_can_be_approved(company):
    plan = company.cycle(dry_run=True).held
    assert plan is not None
    approve(company, plan)
    assert company.cycle().held is None
    assert active(company) == set(range(5, 20))


def test_an_approval_of_what_a_dry_run_has_shown_is_found_step_by_step(tmp_path):
    with small_world(tmp_path, limits=Limits(), time_box=0.0) as world:
        users = [hire(world, f"user{n}") for n in range(1300)]
        hire(world, "colleague")
        world.cycle()
        for user in users:
            world.directory.unassign_principal(user)
        approve(world, world.cycle(dry_run=True).held)
        assert world.cycle().held is None
        assert active(world, 1300) == set()


def test_a_dry_run_uses_no_approval(company):
    approve(company, company.cycle().held)
    company.forget_counts()
    assert company.cycle(dry_run=True).held is None
    assert (company.writes(), active(company)) == ({}, set(range(20)))
    company.cycle()
    assert active(company) == set(range(5, 20))


def test_an_approval_is_used_once(company):
    plan = company.cycle().held
    approve(company, plan)
    company.cycle()
    for user in company.people[:5]:
        company.directory.assign(user)
    company.cycle()
    assert active(company) == set(range(20))
    approve(company, plan)
    for user in company.people[5:10]:
        company.directory.unassign_principal(user)
    progress = company.cycle()
    assert progress.held not in {None, plan}
    assert active(company) == set(range(20))
    job, _ = company.run(company.engine().context.rows.state())
    assert job.ruling is None


def test_an_approval_expires_after_a_day(company):
    plan = company.cycle().held
    approve(company, plan)
    company.pass_time(DAY + 1)
    assert company.cycle().held == plan
    assert active(company) == set(range(20))


def test_who_joined_after_the_plan_was_listed_stays_held(company):
    plan = company.cycle().held
    for user in company.people[5:10]:
        company.directory.unassign_principal(user)
    company.cycle()  # a plan of ten
    approve(company, plan)
    company.directory.unassign_principal(company.people[10])
    progress = company.cycle()
    assert active(company) == set(range(5, 20))
    assert (progress.counts["users.disabled"], counts(company)) == (5, {"users": 6})
    assert progress.held not in {None, plan}


def test_one_more_who_is_within_the_limit_by_itself_goes_in_the_next_cycle(company):
    approve(company, company.cycle().held)
    company.directory.unassign_principal(company.people[5])
    company.cycle()
    assert active(company) == set(range(5, 20))
    company.cycle()
    assert active(company) == set(range(6, 20))


def test_who_came_back_after_the_approval_stays(company):
    approve(company, company.cycle().held)
    company.directory.assign(company.people[0])
    assert company.cycle().held is None
    assert active(company) == {0, *range(5, 20)}


def test_a_removal_that_is_another_one_since_the_approval_is_held_anew(tmp_path):
    with small_world(tmp_path, limits=Limits(), hard_delete="delete") as world:
        users = [hire(world, f"user{n}") for n in range(20)]
        world.cycle()
        for user in users[:5]:
            world.directory.unassign_principal(user)
        approve(world, world.cycle().held)
        world.directory.delete_user(users[0])
        world.directory.purge_user(users[0])
        world.cycle()
        assert (counts(world), active(world)) == ({"users": 1}, {0, *range(5, 20)})


def test_force_deletes_approves_what_is_held_now_and_nothing_where_nothing_is(company):
    with pytest.raises(ConfigError, match="no removals are held"):
        company.run(company.engine().force_deletes(by=BY))
    company.cycle()
    company.run(company.engine().force_deletes(by=BY))
    company.cycle()
    assert active(company) == set(range(5, 20))


def test_the_worker_may_die_anywhere_between_the_approval_and_the_last_removal():
    with guarded_world() as world:
        company = world.company
        world.run(world.engine().approve(world.cycle().held, by=BY))
        for name in LATER:
            company.enable(name, enabled=False)
        company.held = set(LATER)
        company.expect()
        with world.copy() as rehearsal:
            assert rehearsal.live()
            effects = [n for n, each in enumerate(rehearsal.fuse.seen, 1) if each.kind in {"commit", "write"}]
        for number in effects[::2]:
            with world.copy() as copy:
                copy.fuse.set(number, "crash before" if number % 4 else "crash after")
                assert not copy.live()
                copy.fuse.set(0, "")
                copy.bury()
                assert copy.settle(held=len(LATER)) == [], f"effect {number}"


# --- Rejection ------------------------------------------------------------------------------------


def test_what_a_person_rejects_stays_as_it_is_until_something_about_it_changes(company):
    plan = company.cycle().held
    company.run(company.engine().reject(plan, by=BY))
    company.forget_counts()
    assert company.cycle().held is None
    assert (held_of(company), company.writes(), active(company)) == (None, {}, set(range(20)))
    skipped = [
        entry
        for entry in company.journal()
        if plan in ((entry["provisioningStatusInfo"]["errorInformation"] or {}).get("reason") or "")
    ]
    assert len(skipped) == 5
    assert company.cycle().held is None
    assert active(company) == set(range(20))
    company.directory.update_user(company.people[0], jobTitle="Analyst")
    company.cycle()
    assert active(company) == set(range(20))
    company.directory.assign(company.people[0])
    company.cycle()
    company.directory.unassign_principal(company.people[0])
    company.cycle()
    assert active(company) == set(range(1, 20))


def test_memberships_whose_end_was_rejected_stay_and_stay_ours(world):
    users = [hire(world, f"user{n}") for n in range(10)]
    group = group_of(world, "Engineers", *users)
    world.cycle()
    for user in users[:5]:
        world.directory.remove_member(group, user)
    world.run(world.engine().reject(world.cycle().held, by=BY))
    world.cycle()
    assert (held_of(world), len(world.members("Engineers"))) == (None, 10)
    world.directory.add_member(group, users[0])
    world.cycle()
    world.directory.remove_member(group, users[0])
    world.cycle()
    assert len(world.members("Engineers")) == 9


def test_an_adoption_that_was_rejected_is_not_carried_out_by_the_next_change(world):
    existing(world, 5, title="By hand")
    users = [hire(world, f"user{n}", jobTitle="Analyst") for n in range(5)]
    world.run(world.engine().reject(world.cycle().held, by=BY))
    world.cycle()
    for user in users:
        world.directory.update_user(user, city="Oslo")
    assert world.cycle().held is not None
    assert {account(world, f"user{n}")["title"] for n in range(5)} == {"By hand"}


# --- What grows more harmful ----------------------------------------------------------------------


def test_updates_that_become_wipes_while_acting_are_reviewed_again(world):
    change_users(world, attributes=mapped_to(world.schema.user, "title", "employeeType", clears=True).attributes)
    users = [hire(world, f"user{n}") for n in range(10)]
    world.cycle()
    for user in users:
        world.directory.update_user(user, city="Oslo")
    filled = []

    def watch(progress):
        if progress.phase == "act users" and not filled:
            world.pass_time(400.0)  # what was decided is old now
            filled.extend(
                world.instance.update("sys_user", account(world, f"user{n}")["sys_id"], {"title": "By hand"})
                for n in range(10)
            )

    progress = world.cycle(watch=watch)
    assert (progress.finished, counts(world)) == (True, {"wipes": 10})
    assert {account(world, f"user{n}")["title"] for n in range(10)} == {"By hand"}


def test_approved_disablements_that_become_deletions_while_acting_are_held_anew(tmp_path):
    with small_world(tmp_path, limits=Limits(), hard_delete="delete") as world:
        users = [hire(world, f"user{n}") for n in range(20)]
        world.cycle()
        for user in users[:5]:
            world.directory.unassign_principal(user)
        approve(world, world.cycle().held)
        world.pace = replace(world.pace, interval=300.0)
        world.restart()
        gone = []

        def watch(progress):
            if progress.phase == "act leavers" and not gone:
                world.pass_time(400.0)  # the cycle collects again
                for user in users[:5]:
                    world.directory.delete_user(user)
                    world.directory.purge_user(user)
                gone.append(progress)

        progress = world.cycle(watch=watch)
        assert gone
        assert counts(world) == {"users": 5}
        assert (progress.counts.get("users.deleted", 0), len(active(world))) == (0, 20)


# --- On demand ------------------------------------------------------------------------------------


def test_on_demand_one_leaver_goes_at_once_although_the_others_are_held(company):
    company.cycle()
    answer = company.run(provision_on_demand(company.engine(), company.people[0], write=True))
    assert (answer.held, state(company, "user0")) == (None, DISABLED)
    company.cycle()
    assert counts(company) == {"users": 4}


def test_one_after_the_other_on_demand_the_day_has_its_limit_as_well(company):
    company.cycle()
    held = [company.run(provision_on_demand(company.engine(), user, write=True)).held for user in company.people[:4]]
    assert [each is not None for each in held] == [False, False, False, True]
    assert held[-1] == held_of(company).plan
    assert state(company, "user3") == ACTIVE
