"""A person starts, pauses, restarts, resyncs and deletes a job, also while a cycle runs and while processes die."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.engine import control
from provisioning.engine.cycle import Pace
from provisioning.engine.jobs import JobState
from provisioning.engine.registry import Registered
from provisioning.errors import ConfigError, LeaseLost
from provisioning.rules.restart import DEFAULT, SCOPES, drops_links, parse_scopes
from provisioning.schema import read_clause
from tests.crashing import mortal_world
from tests.stories import small_company
from tests.test_cycle_stories import ACTIVE, DISABLED, account, group_of, hire, state
from tests.test_escrow_stories import DAY, HOUR, allow, link_of, refuse, tries
from tests.test_quarantine_stories import MINUTE, job, tick
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def restart(world, scopes):
    return world.run(control.restart(world.engine(), parse_scopes(scopes), by="a person"))


def rows_of(world):
    """How many rows each table of the state store has."""
    counted = world.store._connection.execute("SELECT table_name, count(*) FROM rows GROUP BY table_name")
    return dict(counted.fetchall())


# --- what resetScope may say --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("", DEFAULT),
        ("Watermark, Escrows, QuarantineState", DEFAULT),
        ("none", ("None",)),
        ("escrows", ("Escrows",)),
        ("Full", ("ConnectorDataStore", "Escrows", "Watermark", "QuarantineState", "Full")),
        ("ConnectorDataStore", ("ConnectorDataStore", "Watermark")),
        ("ForceDeletes,Watermark", ("Watermark", "ForceDeletes")),
    ],
)
def test_a_reset_scope_is_read_in_any_case_and_order(text, scopes):
    assert parse_scopes(text) == scopes


@pytest.mark.parametrize("text", ["Everything", "Watermark Escrows", "None, Escrows"])
def test_a_reset_scope_that_graph_does_not_have_is_refused(text):
    with pytest.raises(ConfigError, match="resetScope"):
        parse_scopes(text)


# --- pause and start ----------------------------------------------------------------------------


def test_a_paused_job_begins_nothing_and_goes_on_where_it_stopped(world):
    hire(world, "ada")
    tick(world)
    world.run(control.pause(world.engine(), by="a person"))
    assert job(world).status == "Paused"
    hire(world, "bob")
    world.pass_time(5 * HOUR)
    assert not tick(world)
    with pytest.raises(ConfigError, match="paused"):
        world.cycle()
    assert account(world, "bob") is None
    world.run(control.start(world.engine(), by="a person"))
    assert tick(world)
    assert state(world, "bob") == ACTIVE
    assert world.run(world.engine().context.rows.cycles())[0]["kind"] == "incremental"


def test_a_dry_run_may_look_at_a_paused_job(world):
    hire(world, "ada")
    world.run(control.pause(world.engine(), by="a person"))
    assert world.cycle(dry_run=True).finished


def test_a_running_cycle_completes_when_the_job_is_paused(world):
    hire(world, "ada")
    engine = world.engine()

    async def story():
        progress = await engine.begin_cycle()
        await control.pause(engine, by="a person")
        assert await engine.is_due(), "and its next driver goes on with it when this one dies"
        while not progress.at_rest:
            progress = await engine.advance(progress.turn)
            for number in range(len(progress.steps)):
                await engine.run_step(progress, number)
        return progress

    assert world.run(story()).finished
    assert state(world, "ada") == ACTIVE
    world.pass_time(5 * HOUR)
    assert not tick(world)


# --- restart ------------------------------------------------------------------------------------


@pytest.fixture
def settled(world):
    """One managed user in a group, one who is refused, and a job that has nothing to do."""
    world.ada = hire(world, "ada", jobTitle="Analyst")
    world.spy = hire(world, "spy", jobTitle="Spy")
    world.group = group_of(world, "Sales", world.ada)
    world.rule = refuse(world, "insert", "title=Spy")
    assert tick(world)
    world.pass_time(40 * MINUTE)
    assert tick(world)
    world.forget_counts()
    world.pass_time(MINUTE)
    return world


def kinds(world):
    return [each["kind"] for each in world.run(world.engine().context.rows.cycles())]


@pytest.mark.parametrize("scope", ["None", "Escrows", "QuarantineState"])
def test_these_read_nothing_anew(settled, scope):
    restart(settled, scope)
    settled.pass_time(40 * MINUTE)
    assert tick(settled)
    assert kinds(settled)[0] == "incremental"
    assert settled.writes() == {}


def test_escrows_are_forgotten_and_not_tried_any_more(settled):
    restart(settled, "Escrows")
    settled.pass_time(25 * HOUR)
    for _ in range(3):
        assert tick(settled)
        settled.pass_time(25 * HOUR)
    assert tries(settled) == 0
    settled.directory.update_user(settled.spy, city="Athens")
    allow(settled, settled.rule)
    assert tick(settled)
    assert state(settled, "spy") == ACTIVE


def test_a_failure_after_the_escrows_were_forgotten_begins_a_new_series(settled):
    restart(settled, "Escrows")
    settled.pass_time(40 * MINUTE)
    settled.directory.update_user(settled.spy, city="Athens")
    assert tick(settled)
    escrow = link_of(settled, settled.spy).escrow
    assert (escrow.attempts, escrow.since > job(settled).escrows_cleared) == (1, True)
    settled.pass_time(6 * HOUR)
    assert tick(settled)
    assert tries(settled) == 2


def test_watermark_evaluates_everybody_at_once_and_writes_only_what_differs(settled):
    settled.instance.update("sys_user", account(settled, "ada")["sys_id"], {"title": "Changed here"})
    link = link_of(settled, settled.ada)
    restart(settled, "Watermark")
    assert tick(settled), "without waiting for its interval"
    assert kinds(settled)[0] == "initial"
    assert account(settled, "ada")["title"] == "Analyst"
    assert settled.writes() == {"batch: PATCH sys_user": 1, "batch: POST sys_user": 1}, "ada, and the one in escrow"
    after = link_of(settled, settled.ada)
    assert (after.sys_id, after.origin) == (link.sys_id, "created")
    settled.pass_time(MINUTE)
    assert not tick(settled), "once"


def test_a_restart_without_a_scope_keeps_the_links(settled):
    before = link_of(settled, settled.ada).sys_id
    restart(settled, "")
    assert tick(settled)
    assert link_of(settled, settled.ada).sys_id == before
    assert link_of(settled, settled.ada).origin == "created"
    assert link_of(settled, settled.spy).escrow.attempts == 1


@pytest.mark.parametrize("scope", ["Full", "ConnectorDataStore"])
def test_after_links_are_lost_everybody_is_matched_again_nothing_is_doubled_and_nothing_written(settled, scope):
    before = account(settled, "ada")
    users = len(settled.instance.rows("sys_user"))
    members = len(settled.instance.rows("sys_user_grmember"))
    restart(settled, scope)
    assert tick(settled)
    assert link_of(settled, settled.ada).sys_id == before["sys_id"]
    assert link_of(settled, settled.ada).origin == "adopted"
    assert settled.members("Sales") == {"ada@contoso.example"}
    assert settled.writes() == {"batch: POST sys_user": 1}, "only the one who is refused is tried"
    assert len(settled.instance.rows("sys_user")) == users
    assert len(settled.instance.rows("sys_user_grmember")) == members
    assert job(settled).managed == {"user": 1, "group": 1, "member": 1}
    settled.directory.remove_member(settled.group, settled.ada)
    settled.pass_time(40 * MINUTE)
    assert tick(settled)
    assert settled.members("Sales") == set()


def test_force_deletes_is_in_the_quarantine_stories_and_without_held_removals_does_nothing(settled):
    restart(settled, "ForceDeletes")
    assert tick(settled)
    assert settled.writes() == {}
    assert job(settled).ruling is None


def test_a_dry_run_shows_what_a_restart_would_do_and_leaves_the_order_to_the_next_cycle(settled):
    restart(settled, "Full")
    assert settled.cycle(dry_run=True).kind == "initial"
    assert link_of(settled, settled.ada).origin == "created"
    assert tick(settled)
    assert kinds(settled)[0] == "initial"


def test_every_scope_lets_a_paused_job_run(settled):
    for scope in SCOPES:
        world = settled
        world.run(control.pause(world.engine(), by="a person"))
        restart(world, scope)
        world.pass_time(40 * MINUTE)
        assert tick(world), scope


def test_two_orders_before_the_next_cycle_are_both_carried_out(settled):
    restart(settled, "ConnectorDataStore")
    restart(settled, "Watermark")
    assert tick(settled)
    assert link_of(settled, settled.ada).origin == "adopted"


def test_a_restart_ends_the_running_cycle_after_its_steps_in_flight_and_the_next_begins_anew(tmp_path):
    with small_world(tmp_path, pace=Pace(slots=1, chunk=5), time_box=5.0) as world:
        world.instance.capacity.set_times(insert=1.0)
        for n in range(40):
            hire(world, f"user{n}")
        seen = []

        engine = world.engine()

        async def story():
            progress = await engine.begin_cycle()
            while True:
                progress = await engine.advance(progress.turn)
                if progress.at_rest:
                    return progress
                if progress.phase == "act users" and not seen:
                    seen.append(progress)
                    await control.restart(engine, parse_scopes("Full"), by="a person")
                for number in range(len(progress.steps)):
                    await engine.run_step(progress, number)

        ended = world.run(story())
        assert ended.halted is not None
        assert ended.halted.code == "Restarted"
        made = world.instance.counts["batch: POST sys_user"]
        assert 0 < made < 40
        assert job(world).quarantine is None
        assert tick(world)
        assert world.instance.counts["batch: POST sys_user"] == 40, "nobody twice"
        assert job(world).managed == {"user": 40, "group": 0, "member": 0}
        assert world.run(world.engine().context.plan("cycle").left()) == []


def test_a_restart_waits_for_no_halted_cycle(world):
    hire(world, "ada")
    world.instance.faults.add("POST token", "unauthorized", times=None)
    assert tick(world)
    world.instance.faults.clear()
    world.restart()
    world.pass_time(10 * MINUTE)
    assert not tick(world)
    restart(world, "")
    assert tick(world)
    assert state(world, "ada") == ACTIVE
    assert job(world).quarantine is None


# --- killed during each -------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["Full", "Watermark", "", "ConnectorDataStore, ForceDeletes"])
def test_a_process_that_dies_anywhere_after_a_restart_leaves_nothing_that_the_next_does_not_mend(scope):
    with mortal_world() as eve:
        small_company(eve)
        eve.company.expect()
        assert eve.settle() == []
        eve.company.hire("new")
        if not drops_links(parse_scopes(scope)):  # who leaves while links are dropped is nobody's any more
            eve.company.unassign("kim")
        eve.company.expect()
        eve.run(control.restart(eve.engine(), parse_scopes(scope), by="a person"))
        with eve.copy() as world:
            world.fuse.set(0, "")
            assert world.live()
            effects = len(world.fuse.seen)
        for number in range(1, effects, max(1, effects // 12)):
            with eve.copy() as world:
                world.fuse.set(number, "crash before")
                assert not world.live()
                world.fuse.set(0, "")
                world.bury()
                assert world.settle() == [], number


# --- resync, delete, registry -------------------------------------------------------------------


def test_a_resync_of_one_user_evaluates_that_one_only(settled):
    settled.instance.update("sys_user", account(settled, "ada")["sys_id"], {"title": "Changed here"})
    hire(settled, "bob", jobTitle="Clerk")
    settled.pass_time(40 * MINUTE)
    tick(settled)
    settled.instance.update("sys_user", account(settled, "bob")["sys_id"], {"title": "Changed here too"})
    settled.pass_time(40 * MINUTE)
    tick(settled)
    assert account(settled, "ada")["title"] == "Changed here"
    settled.run(control.resync(settled.engine(), "user", settled.ada, by="a person"))
    settled.pass_time(40 * MINUTE)
    tick(settled)
    assert account(settled, "ada")["title"] == "Analyst"
    assert account(settled, "bob")["title"] == "Changed here too"


def test_a_resync_of_a_group_restores_its_record_and_its_members(settled):
    (sales,) = settled.instance.find("sys_user_group", name="Sales")
    (row,) = settled.instance.find("sys_user_grmember", group=sales["sys_id"])
    settled.instance.delete("sys_user_grmember", row["sys_id"])
    settled.run(control.resync(settled.engine(), "group", settled.group, by="a person"))
    settled.pass_time(40 * MINUTE)
    tick(settled)
    assert settled.members("Sales") == {"ada@contoso.example"}


def test_a_resync_by_a_filter_evaluates_its_people(settled):
    for name, title in (("bob", "Clerk"), ("cy", "Analyst")):
        hire(settled, name, jobTitle=title)
    settled.pass_time(40 * MINUTE)
    tick(settled)
    for name in ("ada", "bob", "cy"):
        settled.instance.update("sys_user", account(settled, name)["sys_id"], {"title": "Changed here"})
    clause = read_clause("jobTitle EQUALS Analyst", "user")
    assert settled.run(control.resync_filter(settled.engine(), [clause], by="a person")) == 2
    settled.pass_time(40 * MINUTE)
    tick(settled)
    assert [account(settled, name)["title"] for name in ("ada", "bob", "cy")] == ["Analyst", "Changed here", "Analyst"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("jobTitle Clerk", "ATTRIBUTE OPERATOR VALUE"),
        ("memberOf EQUALS x", "computed"),
        ("jobTitle EQUALS", "needs a value"),
        ("jobTitle REGEX MATCH (", "regular expression"),
        ("", "ATTRIBUTE OPERATOR VALUE"),
    ],
)
def test_a_clause_that_cannot_be_read_is_refused(text, told):
    with pytest.raises(ConfigError, match=told):
        read_clause(text, "user")


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("department EQUALS Sales and more", "department EQUALS Sales and more"),
        ("department not equals Sales", "department NOT EQUALS Sales"),
        ("mail IS NULL", "mail IS NULL"),
        ("employeeId Greater_Than_OR_EQUALS 7", "employeeId Greater_Than_OR_EQUALS 7"),
    ],
)
def test_a_clause_is_read_as_people_write_it(text, clause):
    assert str(read_clause(text, "user")) == clause


def test_deleting_a_job_drops_all_its_state_but_the_logs_and_leaves_it_paused_and_the_accounts_alone(settled):
    settled.run(control.delete(settled.engine(), by="a person"))
    left = rows_of(settled)
    assert left.keys() == {"job", "journal"}
    trail = len(settled.run(settled.engine().context.audit.newest()))
    assert left["job"] == 5 + trail, "its state, its lease, and the claims, the jobs and the name of the instance"
    assert job(settled) == JobState(paused=job(settled).paused)
    assert state(settled, "ada") == ACTIVE
    settled.restart()
    settled.pass_time(5 * HOUR)
    assert not tick(settled), "a timer does not bring it back"
    settled.run(control.start(settled.engine(), by="a person"))
    assert tick(settled)
    assert kinds(settled) == ["initial"]
    assert link_of(settled, settled.ada).origin == "adopted"


def test_a_job_whose_cycle_runs_is_not_deleted(settled):
    async def story():
        await settled.engine().begin_cycle()
        with pytest.raises(LeaseLost, match="runs"):
            await control.delete(settled.engine(), by="a person")

    settled.run(story())
    assert link_of(settled, settled.ada).linked


def other(world, **changes):
    engine = world.engine()
    return replace(engine, context=replace(engine.context, job=replace(engine.context.job, id="other", **changes)))


def test_two_jobs_with_the_same_people_for_the_same_instance_are_refused(settled):
    with pytest.raises(ConfigError, match="job job provisions application"):
        settled.run(other(settled).begin_cycle())
    assert settled.run(other(settled).context.rows.progress()) is None
    settled.run(other(settled, application="another").begin_cycle())


def test_a_job_that_was_deleted_is_in_nobodys_way(settled):
    settled.run(control.delete(settled.engine(), by="a person"))
    settled.run(other(settled).begin_cycle())


def entries(world):
    return len(world.journal()) + len(world.run(world.engine().context.audit.newest()))


@pytest.mark.parametrize("order", [control.pause, control.delete])
def test_the_log_of_a_job_without_cycles_goes_with_its_retention_as_well(settled, order):
    settled.run(order(settled.engine(), by="a person"))
    assert entries(settled)
    settled.pass_time(29 * DAY)
    tick(settled)
    assert entries(settled)
    settled.pass_time(2 * DAY)
    tick(settled)
    assert not entries(settled)


def test_another_job_of_the_instance_ends_the_log_of_one_that_was_deleted_and_runs_no_more(settled):
    settled.run(control.delete(settled.engine(), by="a person"))
    another = other(settled, application="another")
    settled.run(another.begin_cycle())
    settled.pass_time(29 * DAY)
    settled.run(another.prune())
    assert entries(settled)
    assert settled.run(another.registry.deleted()) == ("job",)
    settled.pass_time(2 * DAY)
    settled.run(another.prune())
    assert not entries(settled)
    assert settled.run(another.registry.deleted()) == ()


def test_a_job_that_begins_anew_keeps_its_log_by_its_own_measure(settled):
    settled.run(control.delete(settled.engine(), by="a person"))
    settled.run(control.start(settled.engine(), by="a person"))
    tick(settled)
    assert settled.run(settled.engine().registry.deleted()) == ()


@pytest.mark.parametrize(
    ("one", "two", "overlap"),
    [
        (Registered("t", "a", everyone=False), Registered("t", "a", everyone=False), True),
        (Registered("t", "a", everyone=False), Registered("t", "b", everyone=False), False),
        (Registered("t", "a", everyone=True), Registered("t", "b", everyone=False), True),
        (Registered("t", "a", everyone=True), Registered("u", "a", everyone=True), False),
    ],
)
def test_scopes_overlap_by_tenant_and_application(one, two, overlap):
    assert one.overlaps(two) == two.overlaps(one) == overlap


def test_a_leaver_of_the_day_of_a_watermark_restart_is_disabled(settled):
    hire(settled, "bob")
    settled.directory.unassign_principal(settled.ada)
    settled.directory.remove_member(settled.group, settled.ada)
    restart(settled, "")
    assert tick(settled)
    assert state(settled, "ada") == DISABLED


def test_whoever_is_matched_again_is_not_written_for_a_manager_who_is_there_already(tmp_path):
    with small_world(tmp_path, users=60, groups=5) as world:
        world.cycle()
        world.run(control.restart(world.engine(), parse_scopes("Full"), by="a person"))
        world.forget_counts()
        again = world.cycle().cycle
        written = [each for each in world.journal() if each["cycleId"] == again for each in each["modifiedProperties"]]
        assert [each["displayName"] for each in written if each["displayName"] == "manager"] == []
        world.forget_counts()
        world.cycle()
        assert world.writes() == {}
