"""Two jobs, each with an enterprise application of its own, provision overlapping people to one instance: a record has
one job at a time, the other one waits, and takes it over when it is let go.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from provisioning.engine import control, linking
from provisioning.engine.driver import run_cycle
from provisioning.engine.links import LINK
from provisioning.engine.managed import count_managed
from provisioning.engine.neighbours import RECORD, Records
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import ObjectError
from provisioning.model import Link, Neighbour
from provisioning.rules.departures import Departures
from provisioning.rules.neighbours import MANAGED, UNDER_WAY, Holder, holds
from provisioning.rules.restart import parse_scopes
from tests.emulators.graph.gallery import gallery_application
from tests.faulty_store import Crash, FaultyStore
from tests.interleaving_store import InterleavingStore
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_discovery_stories import of
from tests.test_escrow_stories import HOUR, allow, link_of, refuse
from tests.test_mapping_stories import map_user
from tests.test_owned_groups import own
from tests.test_quarantine_stories import job
from tests.world import World, small_world


def assign(world, principal):
    """To the application of this world's job."""
    return world.directory.assign(principal, resource_id=world.application or None)


def beside(world, **settings) -> World:
    """The same tenant, instance and state, with a second job for a second application."""
    roles = {world.directory.user_role_id: "User", world.directory.msiam_role_id: "msiam_access"}
    application = world.directory.add_service_principal(**gallery_application(world.directory, roles))
    shared = ("runner", "now", "pass_time", "directory", "instance", "store", "scratch")
    given = (
        {name: getattr(world, name) for name in shared} | {"application": application, "job_id": "second"} | settings
    )
    second = World(**given)
    assign(second, hire(second, "other", assigned=False))  # an application without anybody is a case of its own
    return second


@pytest.fixture
def jobs(tmp_path):
    """Ada is assigned in both applications, and the first job has linked her; nothing is left to do."""
    with small_world(tmp_path, reconciles_every=0.0) as first:
        second = beside(first, reconciles_every=0.0)
        hire(first, "colleague")
        ada = first.directory.add_user(
            userPrincipalName=f"ada@{DOMAIN}",
            displayName="Ada",
            givenName="Ada",
            surname="Example",
            accountEnabled=True,
        )
        rows = {each.job_id: assign(each, ada) for each in (first, second)}
        for each in (first, second, first, second):
            turn(each)
        yield SimpleNamespace(first=first, second=second, ada=ada, rows=rows)


def turn(world):
    world.pass_time(HOUR)
    world.forget_counts()
    progress = world.cycle()
    assert progress.finished
    return progress


def told(world):
    """The reasons in the log of a job for leaving a record to another one."""
    return [
        error["reason"]
        for entry in world.journal()
        if (error := entry["provisioningStatusInfo"]["errorInformation"]) and error["errorCode"] == MANAGED
    ]


def waiting(world):
    return world.run(world.engine().context.waiters.count())


def is_counted_right(world):
    counted = world.run(count_managed(world.engine().context))
    return counted == {kind: job(world).managed.get(kind, 0) for kind in counted}


def unassign(jobs, which):
    jobs.first.directory.unassign(jobs.rows[which])


def is_settled(*worlds):
    """One more cycle of each writes nothing, and every record has one job."""
    written = []
    for each in worlds:
        turn(each)
        written.append(each.writes())
    return written == [{} for _ in worlds] and all(is_counted_right(each) for each in worlds)


# --- who comes second ---------------------------------------------------------------------------


def test_whoever_comes_second_writes_nothing_and_says_which_job_has_the_record_and_how_to_change_that(jobs):
    (why,) = told(jobs.second)
    assert "job job of the same instance" in why
    assert "links unlink" in why
    assert account(jobs.first, "ada")["sys_mod_count"] == "0"
    link = link_of(jobs.second, jobs.ada)
    assert (link.sys_id, link.foreign) == (None, Neighbour("job", link_of(jobs.first, jobs.ada).sys_id))
    assert waiting(jobs.second) == {"user": 1, "group": 0}
    assert waiting(jobs.first) == {"user": 0, "group": 0}
    assert is_settled(jobs.first, jobs.second)


def test_the_log_tells_it_once_however_often_the_object_changes(jobs):
    for title in ("Analyst", "Director"):
        jobs.first.directory.update_user(jobs.ada, jobTitle=title)
        turn(jobs.second)
        assert jobs.second.writes() == {}
        turn(jobs.first)
        assert account(jobs.first, "ada")["title"] == title
    assert len(told(jobs.second)) == 1


def test_a_new_name_that_reaches_the_waiting_job_first_makes_no_second_account(jobs):
    jobs.first.directory.update_user(jobs.ada, userPrincipalName=f"ada.king@{DOMAIN}")
    turn(jobs.second)
    assert jobs.second.writes() == {}
    turn(jobs.first)
    assert account(jobs.first, "ada") is None
    assert is_settled(jobs.second, jobs.first)


def test_a_job_that_looks_for_another_key_makes_an_account_of_its_own(tmp_path):
    """An application for second, privileged accounts of the same people."""
    with small_world(tmp_path) as first:
        second = beside(first)
        map_user(second, "user_name", 'Join("-", "adm", [userPrincipalName])', matching_priority=1)
        ada = hire(first, "ada")
        assign(second, ada)
        for each in (first, second):
            turn(each)
        assert state(first, "ada") == state(first, "adm-ada") == ACTIVE
        assert account(first, "ada")["sys_id"] != account(first, "adm-ada")["sys_id"]
        assert told(second) == []
        assert is_settled(first, second)


def test_waiting_costs_no_call_to_servicenow_and_nothing_for_those_who_do_not_wait(tmp_path):
    def calls_of_a_cycle(linked, waiters):
        """Those to the state, and those to ServiceNow by kind, when nothing has changed."""
        with small_world(tmp_path, reconciles_every=0.0) as first:
            second = beside(first, reconciles_every=0.0)
            hire(first, "colleague")
            for number in range(linked):
                assign(second, hire(first, f"user{number}", assigned=False))
            for number in range(waiters):
                assign(second, hire(first, f"waiter{number}"))
            for each in (first, second, first, second):
                turn(each)
            second.store = FaultyStore(second.store)
            second.restart()
            turn(second)
            assert waiting(second) == {"user": waiters, "group": 0}
            calls, second.store = second.store.calls, second.store.base
            return calls, dict(second.instance.counts)

    few, many, none = calls_of_a_cycle(30, 5), calls_of_a_cycle(60, 5), calls_of_a_cycle(30, 0)
    assert few == many
    assert few[1] == none[1]
    assert few[0] - none[0] < 10


def test_a_dry_run_stores_nothing_of_it(tmp_path):
    with small_world(tmp_path) as first:
        second = beside(first)
        assign(second, hire(first, "ada"))
        turn(first)
        second.cycle(dry_run=True)
        assert waiting(second) == {"user": 0, "group": 0}
        second.cycle()
        assert waiting(second) == {"user": 1, "group": 0}


# --- the record is let go -----------------------------------------------------------------------


def test_somebody_disabled_by_the_first_job_is_active_again_after_the_next_cycle_of_the_second(jobs):
    sys_id = account(jobs.first, "ada")["sys_id"]
    unassign(jobs, "job")
    turn(jobs.first)
    assert state(jobs.first, "ada") == DISABLED
    turn(jobs.second)
    assert (account(jobs.first, "ada")["sys_id"], state(jobs.first, "ada")) == (sys_id, ACTIVE)
    link = link_of(jobs.second, jobs.ada)
    assert (link.sys_id, link.origin, link.foreign) == (sys_id, "adopted", None)
    assert waiting(jobs.second) == {"user": 0, "group": 0}
    assert is_settled(jobs.first, jobs.second)
    assert state(jobs.first, "ada") == ACTIVE


def test_who_is_let_go_a_moment_after_being_linked_is_taken_over_at_once(jobs):
    late = hire(jobs.first, "late", assigned=False)
    row = assign(jobs.first, late)
    assign(jobs.second, late)
    for each in (jobs.first, jobs.second):
        turn_soon(each)
    jobs.first.directory.unassign(row)
    for each in (jobs.first, jobs.second):
        turn_soon(each)
    assert state(jobs.first, "late") == ACTIVE
    assert link_of(jobs.second, late).linked


def test_discovery_names_the_job_that_has_taken_the_record_over(jobs):
    unassign(jobs, "job")
    turn(jobs.first)
    turn(jobs.second)
    assert link_of(jobs.first, jobs.ada).linked, "nothing has brought her up in the first job since"
    ada = of(jobs.first, "ada")
    assert (ada.state, ada.job) == ("managed", "second")


def test_who_returns_to_the_first_job_waits_there_now(jobs):
    unassign(jobs, "job")
    turn(jobs.first)
    turn(jobs.second)
    jobs.rows["job"] = assign(jobs.first, jobs.ada)
    jobs.first.directory.update_user(jobs.ada, jobTitle="Analyst")
    turn(jobs.first)
    assert jobs.first.writes() == {}
    assert waiting(jobs.first) == {"user": 1, "group": 0}
    assert is_counted_right(jobs.first)
    turn(jobs.second)
    assert account(jobs.first, "ada")["title"] == "Analyst"
    unassign(jobs, "second")
    turn(jobs.second)
    assert state(jobs.first, "ada") == DISABLED
    turn(jobs.first)
    assert state(jobs.first, "ada") == ACTIVE
    assert is_settled(jobs.second, jobs.first)


def test_who_returns_before_anybody_took_the_record_over_is_the_first_jobs_again(jobs):
    unassign(jobs, "job")
    turn(jobs.first)
    assign(jobs.first, jobs.ada)
    turn(jobs.first)
    assert state(jobs.first, "ada") == ACTIVE
    turn(jobs.second)
    assert jobs.second.writes() == {}
    assert waiting(jobs.second) == {"user": 1, "group": 0}
    assert is_settled(jobs.first, jobs.second)


def test_a_record_that_is_left_as_it_is_out_of_scope_is_let_go_as_well(jobs):
    jobs.first.departures = Departures(unassigned="leave")
    jobs.first.restart()
    unassign(jobs, "job")
    turn(jobs.first)
    assert state(jobs.first, "ada") == ACTIVE
    turn(jobs.second)
    assert link_of(jobs.second, jobs.ada).linked
    assert is_settled(jobs.first, jobs.second)


def test_who_cannot_be_disabled_is_not_let_go(jobs):
    rule = refuse(jobs.first, "update", f"user_name=ada@{DOMAIN}")
    unassign(jobs, "job")
    turn(jobs.first)
    turn(jobs.second)
    assert waiting(jobs.second) == {"user": 1, "group": 0}
    allow(jobs.first, rule)
    turn(jobs.first)
    turn(jobs.second)
    assert state(jobs.first, "ada") == ACTIVE
    assert link_of(jobs.second, jobs.ada).linked


def test_a_job_that_lost_the_record_does_not_delete_it_with_its_user(tmp_path):
    with small_world(tmp_path, hard_delete="delete") as first:
        second = beside(first)
        hire(first, "colleague")
        ada = hire(first, "ada", assigned=False)
        row = assign(first, ada)
        assign(second, ada)
        for each in (first, second):
            turn(each)
        first.directory.unassign(row)
        for each in (first, second):
            turn(each)
        first.directory.delete_user(ada)
        first.directory.purge_user(ada)
        turn(first)
        assert state(first, "ada") == ACTIVE
        turn(second)
        assert state(first, "ada") == DISABLED, "the job that has the record does what its own settings say"


@pytest.mark.parametrize("soon", [True, False])
def test_what_a_deleted_job_had_is_taken_over(jobs, soon):
    if soon:  # what was claimed a moment ago is nobody's either
        assign(jobs.second, late := hire(jobs.first, "late"))
        jobs.first.cycle()
    jobs.first.run(control.delete(jobs.first.engine(), by="a person"))
    jobs.second.cycle()
    if not soon:
        turn(jobs.second)
    assert link_of(jobs.second, jobs.ada).linked
    assert not soon or link_of(jobs.second, late).linked
    assert state(jobs.first, "ada") == ACTIVE
    assert is_settled(jobs.second)


def test_what_is_unlinked_is_the_job_s_whose_cycle_comes_first(jobs):
    async def unlink():
        engine = jobs.first.engine()
        await linking.unlink(engine, await linking.find(engine.context, jobs.ada), by="a person")

    jobs.first.run(unlink())
    turn(jobs.second)
    assert link_of(jobs.second, jobs.ada).linked
    turn(jobs.first)
    assert waiting(jobs.first) == {"user": 1, "group": 0}
    assert len(told(jobs.first)) == 1
    assert is_settled(jobs.first, jobs.second)


def test_a_restart_that_forgets_all_links_takes_nothing_from_the_other_job(jobs):
    jobs.second.run(control.restart(jobs.second.engine(), parse_scopes("Full"), by="a person"))
    turn(jobs.second)
    assert waiting(jobs.second) == {"user": 1, "group": 0}
    assert is_settled(jobs.first, jobs.second)


def test_who_leaves_the_scope_of_the_waiting_job_waits_no_more(jobs):
    unassign(jobs, "second")
    turn(jobs.second)
    assert waiting(jobs.second) == {"user": 0, "group": 0}
    unassign(jobs, "job")
    for each in (jobs.first, jobs.second, jobs.second):
        turn(each)
    assert state(jobs.first, "ada") == DISABLED


def test_a_record_that_vanished_and_was_made_anew_is_waited_for_as_before(jobs):
    before = account(jobs.first, "ada")["sys_id"]
    jobs.first.instance.delete("sys_user", before)
    jobs.first.directory.update_user(jobs.ada, jobTitle="Analyst")
    for each in (jobs.first, jobs.second):
        turn(each)
    assert link_of(jobs.second, jobs.ada).foreign == Neighbour("job", account(jobs.first, "ada")["sys_id"])
    assert account(jobs.first, "ada")["sys_id"] != before
    assert is_settled(jobs.first, jobs.second)


# --- groups, memberships, managers --------------------------------------------------------------


def test_somebody_whom_another_job_manages_is_put_into_a_group_of_this_job_and_taken_out_again(jobs):
    group = group_of(jobs.first, "Sales", jobs.ada, assigned=False)
    assign(jobs.second, group)
    turn(jobs.second)
    assert jobs.first.members("Sales") == {f"ada@{DOMAIN}"}
    assert is_settled(jobs.first, jobs.second)
    unassign(jobs, "second")  # the group alone gives access now, and then nothing does
    jobs.first.directory.remove_member(group, jobs.ada)
    turn(jobs.second)
    assert jobs.first.members("Sales") == set()
    assert state(jobs.first, "ada") == ACTIVE
    assert is_settled(jobs.first, jobs.second)


def test_memberships_that_waited_are_written_when_the_other_job_has_made_the_account(tmp_path):
    with small_world(tmp_path) as first:
        second = beside(first)
        ada = hire(first, "ada")
        assign(second, group_of(first, "Sales", ada, assigned=False))
        with pytest.raises(Crash):
            crash_at_link(first)
        turn_soon(second)
        assert second.members("Sales") == set()
        first.restart()
        first.pass_time(UNDER_WAY + 1)
        first.cycle()
        turn(second)
        assert second.members("Sales") == {f"ada@{DOMAIN}"}
        assert is_settled(first, second)


def test_an_owned_group_keeps_members_whom_another_job_manages(jobs):
    group = group_of(jobs.first, "Payroll", jobs.ada, assigned=False)
    assign(jobs.second, group)
    own(jobs.second, owned=True)
    turn(jobs.second)
    stranger = jobs.first.instance.insert("sys_user", {"user_name": "stranger"})["sys_id"]
    (record,) = jobs.first.instance.find("sys_user_group", name="Payroll")
    jobs.first.instance.insert("sys_user_grmember", {"group": record["sys_id"], "user": stranger})
    jobs.second.run(control.resync(jobs.second.engine(), "group", group, by="a person"))
    turn(jobs.second)
    assert jobs.first.members("Payroll") == {f"ada@{DOMAIN}"}


def test_a_manager_whom_another_job_manages_is_referred_to(jobs):
    bob = hire(jobs.first, "bob", assigned=False)
    jobs.first.directory.set_manager(bob, jobs.ada)
    assign(jobs.second, bob)
    turn(jobs.second)
    assert account(jobs.first, "bob")["manager"] == account(jobs.first, "ada")["sys_id"]


def test_a_group_has_one_job_and_the_next_one_brings_its_members_back(tmp_path):
    with small_world(tmp_path) as first:
        second = beside(first)
        hire(first, "colleague")
        ada = hire(first, "ada", assigned=False)
        group = group_of(first, "Sales", ada, assigned=False)
        row = assign(first, group)
        assign(second, group)
        for each in (first, second):
            turn(each)
        assert first.members("Sales") == {f"ada@{DOMAIN}"}
        assert waiting(second) == {"user": 1, "group": 1}
        assert len(told(second)) == 2
        first.directory.unassign(row)
        turn(first)
        assert (first.members("Sales"), state(first, "ada")) == (set(), DISABLED)
        turn(second)
        assert (first.members("Sales"), state(first, "ada")) == ({f"ada@{DOMAIN}"}, ACTIVE)
        assert link_of(second, ada).linked
        assert is_settled(first, second)


# --- at the same moment, and when a process dies ------------------------------------------------


class DiesAtLink(FaultyStore):
    """The process ends before the first link that names a record is stored."""

    async def commit(self, table, partition, operations):
        if table == LINK and any(getattr(each, "data", {}).get("sys_id") for each in operations):
            raise Crash("the process ends between claim and link")
        return await super().commit(table, partition, operations)


def crash_at_link(world):
    healthy, world.store = world.store, DiesAtLink(world.store)
    world.restart()
    try:
        world.run(dying(world))
    finally:
        world.store = healthy
        world.restart()


async def dying(world):
    try:
        await run_cycle(world.engine())
    except BaseExceptionGroup as group:
        raise Crash("in a group") from group


def turn_soon(world):
    world.forget_counts()
    assert world.cycle().finished


@pytest.mark.parametrize("exists", [True, False], ids=["to be adopted", "to be created"])
def test_a_claim_whose_process_died_before_its_link_holds_for_a_while_and_not_for_ever(tmp_path, exists):
    with small_world(tmp_path) as first:
        second = beside(first)
        if exists:
            first.instance.insert("sys_user", {"user_name": f"ada@{DOMAIN}"})
        ada = hire(first, "ada")
        assign(second, ada)
        with pytest.raises(Crash):
            crash_at_link(first)
        turn_soon(second)
        assert not link_of(second, ada).linked
        assert (account(second, "ada") is not None) == exists
        second.pass_time(UNDER_WAY)
        turn_soon(second)
        assert link_of(second, ada).linked
        assert state(second, "ada") == ACTIVE
        first.pass_time(HOUR)
        assert first.cycle().finished
        assert not link_of(first, ada).linked
        assert waiting(first) == {"user": 1, "group": 0}
        assert is_settled(first, second)


def test_two_jobs_that_begin_at_the_same_moment_make_one_account_and_share_the_people(tmp_path):
    with small_world(tmp_path) as first:
        first.store = InterleavingStore(first.store)
        second = beside(first)
        people = [hire(first, f"user{number}") for number in range(12)]
        for each in people:
            assign(second, each)

        async def both():
            await asyncio.gather(*(run_cycle(each.engine()) for each in (first, second)))

        first.run(both())
        for each in (first, second):
            turn(each)
        names = [row["user_name"] for row in first.instance.rows("sys_user") if row["user_name"].startswith("user")]
        assert len(names) == len(set(names)) == 12
        for each in people:
            assert link_of(first, each).linked != link_of(second, each).linked
        assert is_settled(first, second)


def test_a_record_that_is_taken_over_between_decision_and_write_is_not_written(jobs):
    """Somebody returns to the first job, and the second one is faster."""
    unassign(jobs, "job")
    turn(jobs.first)
    assign(jobs.first, jobs.ada)
    known = link_of(jobs.first, jobs.ada)
    assert known.released

    async def story():
        engine, other = jobs.first.engine(), jobs.second.engine().context
        progress, taken = await engine.begin_cycle(), False
        while not progress.at_rest:
            if progress.phase.startswith("act") and not taken:
                taken = True
                before = (await other.links.load([("user", jobs.ada)]))["user", jobs.ada]
                assert await other.links.claim([replace(before.link, sys_id=known.sys_id)]) == [None]
                await other.links.save([(replace(before.link, sys_id=known.sys_id, foreign=None), before.etag)])
                jobs.first.forget_counts()
            for number in range(len(progress.steps)):
                await engine.run_step(progress, number)
            progress = await engine.advance(progress.turn)
        assert taken

    jobs.first.run(story())
    assert jobs.first.writes() == {}
    assert not link_of(jobs.first, jobs.ada).linked
    assert waiting(jobs.first) == {"user": 1, "group": 0}


def test_an_instance_that_is_reached_by_another_address_is_the_same_one(tmp_path):
    with small_world(tmp_path) as first:
        second = beside(first, address="https://support.contoso.example")
        assign(second, ada := hire(first, "ada"))
        for each in (first, second):
            turn(each)
        assert waiting(second) == {"user": 1, "group": 0}
        assert not link_of(second, ada).linked


@pytest.mark.parametrize(
    ("link", "age", "held"),
    [
        (Link("user", "u", sys_id="s"), 10 * UNDER_WAY, True),
        (Link("user", "u", sys_id="s", released=True), 10 * UNDER_WAY, False),
        (Link("user", "u", sys_id="s", intended=True), UNDER_WAY - 1, True),
        (Link("user", "u", sys_id="s", intended=True), UNDER_WAY, False),
        (Link("user", "u"), UNDER_WAY - 1, True),
        (Link("user", "u"), UNDER_WAY, False),
        (Link("user", "u", sys_id="another"), UNDER_WAY, False),
    ],
)
def test_a_link_holds_for_ever_and_a_claim_without_one_for_a_while(link, age, held):
    assert holds(Holder("job", "u", link, at=0.0), "s", age) == held


def test_two_jobs_that_have_linked_one_record_already_are_told_apart_by_a_comparison(jobs):
    """Links that were made before there were claims."""
    first = link_of(jobs.first, jobs.ada)
    links = jobs.second.engine().context.links
    known = jobs.second.run(links.load([("user", jobs.ada)]))["user", jobs.ada]
    jobs.second.run(links.save([(replace(first, grants=known.link.grants), known.etag)]))
    jobs.second.store._connection.execute("DELETE FROM rows WHERE table_name = ?", (RECORD,))
    for each in (jobs.first, jobs.second):
        each.run(control.reconcile(each.engine(), by="a person"))
        turn(each)
    assert link_of(jobs.first, jobs.ada).linked
    assert not link_of(jobs.second, jobs.ada).linked
    assert waiting(jobs.second) == {"user": 1, "group": 0}
    assert is_settled(jobs.first)


def test_nobody_gives_back_what_another_job_has_claimed(jobs):
    sys_id = account(jobs.first, "ada")["sys_id"]
    records: Records = jobs.second.engine().context.records
    jobs.second.run(records.release([Link("user", jobs.ada, sys_id=sys_id)]))
    assert jobs.second.run(records.holders("user", [sys_id]))[sys_id].job == "job"


def test_nothing_is_left_of_claims_on_records_that_nobody_has(jobs):
    for each in (jobs.first, jobs.second):
        each.run(control.delete(each.engine(), by="a person"))
    found = jobs.first.store._connection.execute("SELECT count(*) FROM rows WHERE table_name = ?", (RECORD,)).fetchone()
    assert found == (0,)


# --- on demand, and by a person's hand ----------------------------------------------------------


def test_on_demand_leaves_the_record_too_and_takes_it_over_once_it_is_let_go(jobs):
    answer = jobs.second.run(provision_on_demand(jobs.second.engine(), jobs.ada, write=True))
    assert answer.entries[0]["provisioningStatusInfo"]["errorInformation"]["errorCode"] == MANAGED
    unassign(jobs, "job")
    turn(jobs.first)
    jobs.second.run(provision_on_demand(jobs.second.engine(), jobs.ada, write=True))
    assert state(jobs.first, "ada") == ACTIVE
    assert link_of(jobs.second, jobs.ada).linked
    assert is_settled(jobs.first, jobs.second)


def test_a_relink_to_a_record_of_another_job_is_refused(jobs):
    sys_id = account(jobs.first, "colleague")["sys_id"]
    other = jobs.second.run(linking.find(jobs.second.engine().context, f"other@{DOMAIN}")).link
    with pytest.raises(ObjectError, match="job job") as refused:
        jobs.second.run(linking.relink(jobs.second.engine(), other.id, sys_id, by="a person"))
    assert refused.value.code == MANAGED
    assert link_of(jobs.second, other.id) == other
