"""ServiceNow is restored from a backup of itself: every record is there as it was made, and what was written since is
lost. The job notices before it writes, and once a person says so writes again what is lost; people who edit records,
put single ones back or take memberships away raise no alarm.
"""

from __future__ import annotations

import pytest

from provisioning.engine import control
from provisioning.engine.on_demand import provision_on_demand
from provisioning.rules.instance import ENDED, NEWEST, Ended, Remembered, SeenInstance, doubt, with_written
from provisioning.rules.review import Limits
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_drift_stories import after, meddle
from tests.test_instance_stories import accept, another_instance, refused, remembered
from tests.test_quarantine_stories import job, tick
from tests.world import small_world

INTERVAL = 2400
MADE = "2026-01-01 00:00:00"
OLD, NEW = "2026-03-03 10:00:00", "2026-03-03 11:00:00"
LATER = "2026-03-03 12:00:00"
ROW = Ended("group", "member", "row", NEW)


def company(world, number=10):
    """Managed users, a group of the first half of them, and a day. Who is in the group stays when unassigned."""
    world.users = [hire(world, f"user{n}", jobTitle="Analyst") for n in range(number)]
    world.group = group_of(world, "Sales", *world.users[: number // 2])
    world.cycle()
    after(world, INTERVAL)
    after(world, 86_400)


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        company(world)
        yield world


def restore(world, backup):
    """Also something to decide, without which no cycle asks."""
    world.instance.restore(backup)
    world.directory.update_user(world.users[9], city="Athens")
    world.pass_time(INTERVAL)


def accepted(world):
    """A person accepts the instance, the next cycle runs, and the one after it has nothing to do."""
    assert accept(world).by == "a person"
    world.restart()
    assert tick(world)
    settled(world)


def settled(world):
    assert job(world).status == "Active"
    world.forget_counts()
    after(world, INTERVAL)
    assert world.writes() == {}


def names(*numbers):
    return {f"user{number}@{DOMAIN}" for number in numbers}


# --- what proves it, and what does not -----------------------------------------------------------


def seen(updated, rows=(), **made):
    return SeenInstance("host", "n", "", {**dict.fromkeys(updated, MADE), **made}, updated, frozenset(rows))


def known(updated, *ended):
    return Remembered("host", "n", witnesses={"user:1": MADE}, updated=updated, ended=ended)


@pytest.mark.parametrize(
    ("before", "now", "is_set_back"),
    [
        (known({"user:1": NEW}), seen({"user:1": OLD}), True),
        (known({"user:1": NEW}), seen({"user:1": NEW}), False),
        (known({"user:1": NEW}), seen({"user:1": LATER}), False),
        (known({"user:1": NEW}), seen({}, **{"user:1": MADE}), False),
        (known({"user:1": OLD, "user:2": NEW}), seen({"user:1": OLD, "user:2": OLD}), True),
        (known({"user:1": NEW, "user:2": LATER}), seen({"user:1": OLD, "user:2": LATER}), False),
        (known({"user:1": NEW, "user:2": OLD}), seen({"user:1": OLD, "user:2": LATER}), True),
        (known({"user:1": NEW, "user:2": NEW}), seen({"user:1": OLD}, **{"user:2": LATER}), False),
        (known({"user:1": NEW, "user:2": NEW}), seen({"user:1": NEW}), False),
        (known({"user:1": OLD}, ROW), seen({"user:1": OLD}, ["row"]), True),
        (known({"user:1": OLD}, ROW), seen({"user:1": OLD}), False),
        (known({"user:1": LATER}, ROW), seen({"user:1": LATER}, ["row"]), False),
    ],
)
def test_a_record_older_than_it_was_proves_a_backup_unless_a_later_write_is_still_there(before, now, is_set_back):
    found = doubt(before, now)
    assert (found is not None) is is_set_back
    assert found is None or found.since is not None


def test_what_is_told_names_the_time_to_which_the_instance_was_set_back():
    found = doubt(known({"user:1": NEW, "user:2": LATER}), seen({"user:1": OLD, "user:2": MADE}))
    assert "2 of 2 records" in found.why
    assert f"between {OLD} and {NEW}" in found.why
    assert found.since == OLD


def test_another_instance_is_not_taken_for_an_older_state_of_this_one():
    before = replace_witnesses(known({f"user:{n}": NEW for n in range(5)}))
    made_anew = dict.fromkeys(before.witnesses, LATER)
    now = SeenInstance("host", "n", "", made_anew, dict.fromkeys(made_anew, OLD))
    assert doubt(before, now).since is None


def replace_witnesses(before):
    return Remembered(before.host, before.number, witnesses=dict.fromkeys(before.updated, MADE), updated=before.updated)


def test_what_is_remembered_is_bounded_and_the_newest_of_it():
    moments = {f"user:{n:03}": f"2026-03-03 10:00:{n % 60:02}" for n in range(60)}
    ended = [Ended("g", f"m{n}", f"row{n}", f"2026-03-03 11:00:{n:02}") for n in range(20)]
    after_writes = with_written(known({"user:1": OLD}), moments, ended)
    assert len(after_writes.updated) == NEWEST["user"] + 1, "and the witness"
    assert "user:059" in after_writes.updated
    assert [each.sys_id for each in after_writes.ended] == [f"row{n}" for n in range(20 - ENDED, 20)]


def test_an_ended_membership_is_remembered_only_until_a_later_update_can_stand_for_it():
    assert with_written(known({}), {}, [ROW]).ended == (ROW,)
    assert with_written(known({}, ROW), {"user:2": LATER}, []).ended == ()
    made_later = Remembered(witnesses={"user:1": LATER}, updated={"user:1": LATER}, ended=(ROW,))
    assert with_written(made_later, {}, []).ended == (ROW,), "a record that was made after it is gone with it"


# --- what happens then --------------------------------------------------------------------------


def test_a_backup_is_noticed_before_anything_is_written_and_once_accepted_all_is_as_it_was(world):
    backup = world.instance.backup()
    world.directory.unassign_principal(world.users[5])
    world.directory.remove_member(world.group, world.users[1])
    world.directory.add_member(world.group, world.users[6])
    world.directory.update_user(world.users[2], jobTitle="Director")
    world.directory.add_member(world.group, hire(world, "eve"))
    after(world, INTERVAL)
    after(world, INTERVAL)
    restore(world, backup)
    assert state(world, "user5") == ACTIVE
    message = refused(world)
    assert "set back to a time between" in message
    assert "--accept-instance" in message
    assert job(world).quarantine.error.code == "ServiceNowInstanceInvalid"
    assert "set back" in refused(world), "and again whenever it is tried"
    assert state(world, "user5") == ACTIVE
    accepted(world)
    assert state(world, "user5") == DISABLED
    assert account(world, "user2")["title"] == "Director"
    assert account(world, "user9")["city"] == "Athens"
    assert state(world, "eve") == ACTIVE
    assert world.members("Sales") == names(0, 2, 3, 4, 6) | {f"eve@{DOMAIN}"}
    assert remembered(world).doubt == ""


def test_a_leaver_alone_is_enough(world):
    backup = world.instance.backup()
    world.directory.unassign_principal(world.users[5])
    after(world, INTERVAL)
    restore(world, backup)
    assert "set back" in refused(world)
    accepted(world)
    assert state(world, "user5") == DISABLED


@pytest.mark.parametrize("drift", ["report", "enforce", "adopt"])
def test_a_membership_that_ended_is_enough_and_ends_again_whatever_the_policy(tmp_path, drift):
    with small_world(tmp_path, drift=drift) as world:
        company(world)
        backup = world.instance.backup()
        world.directory.remove_member(world.group, world.users[1])
        world.directory.add_member(world.group, world.users[6])
        after(world, INTERVAL)
        assert remembered(world).ended
        restore(world, backup)
        assert world.members("Sales") == names(0, 1, 2, 3, 4)
        assert "set back" in refused(world)
        accepted(world)
        assert world.members("Sales") == names(0, 2, 3, 4, 6)


def test_with_the_policy_adopt_a_lost_value_and_a_leaver_are_written_again_all_the_same(tmp_path):
    with small_world(tmp_path, drift="adopt") as world:
        company(world)
        backup = world.instance.backup()
        world.directory.unassign_principal(world.users[5])
        world.directory.update_user(world.users[2], jobTitle="Director")
        after(world, INTERVAL)
        restore(world, backup)
        refused(world)
        accepted(world)
        assert state(world, "user5") == DISABLED
        assert account(world, "user2")["title"] == "Director"


def test_who_was_deleted_in_servicenow_is_deleted_again(tmp_path):
    with small_world(tmp_path, hard_delete="delete") as world:
        company(world)
        backup = world.instance.backup()
        world.directory.delete_user(world.users[0])
        world.directory.purge_user(world.users[0])
        world.directory.update_user(world.users[2], jobTitle="Director")
        after(world, INTERVAL)
        assert account(world, "user0") is None
        restore(world, backup)
        assert state(world, "user0") == ACTIVE
        refused(world)
        accepted(world)
        assert account(world, "user0") is None


def test_who_had_returned_is_active_again(world):
    world.directory.unassign_principal(world.users[5])
    after(world, INTERVAL)
    backup = world.instance.backup()
    world.directory.assign(world.users[5])
    after(world, INTERVAL)
    assert state(world, "user5") == ACTIVE
    restore(world, backup)
    refused(world)
    accepted(world)
    assert state(world, "user5") == ACTIVE


def test_an_account_that_servicenows_people_had_deactivated_before_the_backup_is_not_revived(world):
    meddle(world, "user0", active="false")
    after(world, INTERVAL)
    backup = world.instance.backup()
    world.directory.update_user(world.users[0], jobTitle="Director")
    after(world, INTERVAL)
    restore(world, backup)
    refused(world)
    accepted(world)
    assert state(world, "user0")[0] == "false"
    assert account(world, "user0")["title"] == "Director"


def test_what_is_lost_beyond_the_limits_waits_for_a_persons_word(tmp_path):
    with small_world(tmp_path, limits=Limits(absolute=500, share=0.05, floor=2)) as world:
        company(world)
        backup = world.instance.backup()
        for user in world.users[5:7]:
            world.directory.unassign_principal(user)
        after(world, INTERVAL)
        after(world, 86_400)
        for user in world.users[7:9]:
            world.directory.unassign_principal(user)
        after(world, INTERVAL)
        restore(world, backup)
        refused(world)
        accept(world)
        assert tick(world)
        assert job(world).held.counts == {"users": 4}
        assert state(world, "user5") == ACTIVE


def test_a_backup_is_noticed_as_well_when_somebody_was_provisioned_on_demand_last(world):
    backup = world.instance.backup()
    world.directory.update_user(world.users[2], jobTitle="Director")
    world.run(provision_on_demand(world.engine(), world.users[2], write=True))
    restore(world, backup)
    assert "set back" in refused(world)


def test_a_restore_in_the_middle_of_a_cycle_is_noticed_by_what_the_cycle_has_written(world):
    backup = world.instance.backup()
    world.directory.unassign_principal(world.users[5])
    world.directory.update_user(world.users[2], jobTitle="Director")
    engine = world.engine()

    async def removals():
        progress = await engine.begin_cycle()
        while not progress.written:
            for number in range(len(progress.steps)):
                await engine.run_step(progress, number)
            progress = await engine.advance(progress.turn)

    world.run(removals())
    world.run(engine.end_lease_of_the_dead())
    assert state(world, "user5") == DISABLED
    world.instance.restore(backup)
    assert "set back" in refused(world)


def test_what_others_had_updated_before_it_was_restored_counts_too(world):
    backup = world.instance.backup()
    meddle(world, "user0", phone="+44 1")
    hire(world, "eve")
    after(world, INTERVAL)
    restore(world, backup)
    assert "set back" in refused(world)


def test_when_the_restore_is_undone_the_job_goes_on_by_itself(world):
    backup = world.instance.backup()
    world.directory.unassign_principal(world.users[5])
    after(world, INTERVAL)
    right = world.instance.backup()
    restore(world, backup)
    refused(world)
    world.instance.restore(right)
    world.restart()
    assert world.cycle().halted is None
    assert account(world, "user9")["city"] == "Athens"
    assert (job(world).status, remembered(world).doubt, remembered(world).since) == ("Active", "", None)


def test_an_instance_from_elsewhere_is_still_told_from_an_older_state_of_this_one(world):
    world.directory.update_user(world.users[2], jobTitle="Director")
    after(world, INTERVAL)
    world.instance.clone_over(another_instance(world, copied=True))
    world.directory.update_user(world.users[9], city="Athens")
    assert "is not the instance that the job has worked with" in refused(world)


# --- what raises no alarm ----------------------------------------------------------------------


def set_back(world, name, at):
    """As by an import that does not touch the fields of the system."""
    world.instance.data("sys_user").change(account(world, name)["sys_id"], {"sys_updated_on": at})


def test_one_record_that_somebody_put_back_is_no_backup(world):
    world.directory.update_user(world.users[1], jobTitle="Director")
    after(world, INTERVAL)
    world.directory.update_user(world.users[2], jobTitle="Director")
    after(world, INTERVAL)
    set_back(world, "user1", "2001-01-01 00:00:00")
    world.directory.update_user(world.users[9], city="Athens")
    after(world, INTERVAL)
    assert account(world, "user9")["city"] == "Athens"


def test_a_membership_that_ended_and_began_again_is_no_backup(world):
    world.directory.remove_member(world.group, world.users[1])
    after(world, INTERVAL)
    assert remembered(world).ended
    world.directory.add_member(world.group, world.users[1])
    after(world, INTERVAL)
    world.directory.update_user(world.users[9], city="Athens")
    after(world, INTERVAL)
    assert account(world, "user9")["city"] == "Athens"
    assert f"user1@{DOMAIN}" in world.members("Sales")


def test_weeks_of_edits_on_both_sides_raise_no_alarm(world):
    for day in range(21):
        world.directory.update_user(world.users[day % 9], jobTitle=f"Director {day}")
        meddle(world, f"user{(day + 2) % 9}", phone=f"{day}", mobile_phone=f"{day}")
        if day % 3 == 0:
            world.directory.remove_member(world.group, world.users[day % 5])
            world.directory.add_member(world.group, world.users[(day + 2) % 5])
        elif day % 3 == 1:
            (sales,) = world.instance.find("sys_user_group", name="Sales")
            rows = world.instance.find("sys_user_grmember", group=sales["sys_id"])
            world.instance.delete("sys_user_grmember", rows[day % len(rows)]["sys_id"])
        if day == 10:
            world.directory.unassign_principal(world.users[8])
        if day == 15:
            world.instance.delete("sys_user", account(world, "user7")["sys_id"])
        if day == 16:
            world.directory.assign(world.users[8])
        after(world, 43_200)
        world.directory.update_user(world.users[9], city=f"City {day}")
        after(world, 43_200)
        assert account(world, "user9")["city"] == f"City {day}"


# --- without an alarm: one record that a backup or an import brought back -------------------------


def put_back(world, name, backup):
    """One record as a backup has it, the fields of the system included."""
    sys_id = account(world, name)["sys_id"]
    rows = world.instance.data("sys_user")
    row = rows.by_key[sys_id]
    old = backup["sys_user"].by_key[sys_id]
    rows.change(sys_id, {**dict.fromkeys(row, ""), **old})


def compare(world):
    world.run(control.reconcile(world.engine(), by="a person"))
    return after(world, INTERVAL)


def test_a_leaver_whose_record_was_brought_back_is_disabled_again_and_who_was_reactivated_is_left(world):
    backup = world.instance.backup()
    world.directory.unassign_principal(world.users[5])
    world.directory.unassign_principal(world.users[6])
    after(world, INTERVAL)
    world.directory.update_user(world.users[2], jobTitle="Director")
    after(world, INTERVAL)
    put_back(world, "user5", backup)
    meddle(world, "user6", active="true", locked_out="false")
    compare(world)
    assert state(world, "user5") == DISABLED
    assert state(world, "user6") == ACTIVE
    entry = next(each for each in world.journal() if each["sourceIdentity"]["id"] == world.users[5])
    assert any("as it was before our last write" in step["description"] for step in entry["provisioningSteps"])


def test_a_value_whose_record_was_brought_back_is_written_again_and_what_people_changed_is_left(world):
    backup = world.instance.backup()
    for user in world.users[:3]:
        world.directory.update_user(user, jobTitle="Director")
    after(world, INTERVAL)
    world.directory.update_user(world.users[4], jobTitle="Director")
    after(world, INTERVAL)
    put_back(world, "user0", backup)
    meddle(world, "user1", title="Chief")
    compare(world)
    assert [account(world, f"user{n}")["title"] for n in range(3)] == ["Director", "Chief", "Director"]
