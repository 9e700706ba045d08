"""An instance is cloned over, restored from a backup or replaced: the job notices before it writes, and goes on when a
person says so.
"""

from __future__ import annotations

import pytest

from provisioning.engine import control
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import InstanceChanged
from provisioning.rules.instance import Remembered, SeenInstance, doubt
from provisioning.rules.review import Limits
from tests.emulators import servicenow, tenant
from tests.emulators.servicenow import Instance
from tests.test_cycle_stories import account, group_of, hire
from tests.test_escrow_stories import HOUR, link_of
from tests.test_quarantine_stories import job, tick
from tests.world import small_world

KNOWN = {"user:1": "2026-01-01 00:00:00", "user:2": "2026-01-02 00:00:00", "user:3": "2026-01-03 00:00:00"}


@pytest.fixture
def world(tmp_path):
    """Ten managed users and a group of them."""
    with small_world(tmp_path) as world:
        world.users = [hire(world, f"user{number}") for number in range(10)]
        group_of(world, "Sales", *world.users[:5])
        world.cycle()
        world.pass_time(HOUR)
        yield world


def change_somebody(world):
    world.directory.update_user(world.users[0], city="Athens")


def another_instance(world, *, copied: bool = False, seed: int = 2) -> Instance:
    """One from elsewhere that knows none of our people; `copied` has them, as records of its own making."""
    other = Instance(clock=world.now)
    servicenow.seed_instance(other, departments=tenant.DEPARTMENTS, seed=seed)
    if copied:
        for number in range(10):
            ours = account(world, f"user{number}")
            other.insert("sys_user", {name: ours[name] for name in ("sys_id", "user_name", "first_name")})
    return other


def remembered(world):
    return world.run(world.engine().context.rows.instance())[0]


def accept(world):
    return world.run(control.accept_instance(world.engine(), by="a person"))


def refused(world):
    """One more cycle, by a process that begins anew."""
    world.restart()
    world.forget_counts()
    progress = world.cycle()
    assert world.writes() == {}
    assert progress.halted is not None
    assert progress.halted.code == "ServiceNowInstanceInvalid"
    return progress.halted.message


# --- what proves another instance ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (SeenInstance("host", "n", "", KNOWN), None),
        (SeenInstance("host", "", "", KNOWN), None),
        (SeenInstance("other", "n", "", KNOWN), None),
        (SeenInstance("other", "", "", KNOWN), None),
        (SeenInstance("host", "m", "", KNOWN), "instance_id"),
        (SeenInstance("host", "n", "", {"user:1": KNOWN["user:1"]}), None),
        (SeenInstance("host", "n", "", {}), "3 of 3"),
        (SeenInstance("host", "n", "", dict.fromkeys(KNOWN, "2026-05-05 00:00:00")), "another time"),
        (SeenInstance("host", "n", "", {**KNOWN, "user:1": "2026-05-05 00:00:00"}), None),
    ],
)
def test_what_the_instance_calls_itself_and_its_oldest_records_tell_whether_it_is_the_same(seen, says):
    found = doubt(Remembered("host", "n", witnesses=KNOWN), seen)
    assert found is None if says is None else says in found.why


def test_of_another_address_something_must_be_recognised():
    known = Remembered("host", witnesses={"user:1": "2026-01-01 00:00:00"})
    assert "settings name other" in doubt(known, SeenInstance("other", "", "", {})).why
    assert doubt(known, SeenInstance("host", "", "", {})) is None, "one record may have been deleted"


def test_a_job_that_knows_nothing_yet_doubts_nothing():
    assert doubt(Remembered(), SeenInstance("host", "n", "name", {})) is None


# --- what happens then --------------------------------------------------------------------------


def test_the_first_cycle_remembers_what_the_instance_calls_itself_and_some_records(world):
    known = remembered(world)
    assert (known.number, known.name) == (world.instance.property("instance_id"), "emulator")
    assert len([each for each in known.witnesses if each.startswith("user:")]) == 10
    assert len(known.witnesses) == 11


@pytest.mark.parametrize("copied", [False, True])
def test_a_cloned_instance_stops_the_job_before_it_writes_and_a_persons_word_lets_it_go_on(world, copied):
    world.instance.clone_over(another_instance(world, copied=copied))
    change_somebody(world)
    message = refused(world)
    assert "--accept-instance" in message
    state = job(world)
    assert state.status == "Quarantine"
    assert state.quarantine.error.code == "ServiceNowInstanceInvalid"
    assert "--accept-instance" in refused(world), "and again whenever it is tried"
    assert accept(world).by == "a person"
    assert tick(world)
    assert {account(world, f"user{number}") is not None for number in range(10)} == {True}
    assert account(world, "user0")["city"] == "Athens"
    assert job(world).status == "Active"
    (recorded,) = world.run(world.engine().context.rows.acceptances())
    assert (recorded.by, bool(recorded.what)) == ("a person", True)
    assert remembered(world).doubt == ""
    world.pass_time(HOUR)
    world.forget_counts()
    assert world.cycle().finished
    assert world.writes() == {}


def test_an_instance_that_calls_itself_something_else_is_another_one(world):
    world.instance.set_property("instance_id", "somebody else")
    change_somebody(world)
    assert "instance_id is somebody else" in refused(world)


def test_an_instance_that_does_not_say_what_it_is_called_is_recognised_by_its_records(tmp_path):
    with small_world(tmp_path) as world:
        for row in world.instance.rows("sys_properties"):
            world.instance.delete("sys_properties", row["sys_id"])
        world.users = [hire(world, f"user{number}") for number in range(10)]
        world.cycle()
        change_somebody(world)
        assert world.cycle().finished
        world.instance.clone_over(another_instance(world))
        change_somebody(world)
        world.directory.update_user(world.users[1], city="Rome")
        assert "records that the job is linked to are gone" in refused(world)


def test_when_the_right_instance_is_back_the_job_goes_on_by_itself(world):
    right = world.instance.backup()
    world.instance.clone_over(another_instance(world))
    change_somebody(world)
    refused(world)
    world.instance.restore(right)
    world.restart()
    assert world.cycle().finished
    assert account(world, "user0")["city"] == "Athens"
    assert (job(world).status, remembered(world).doubt) == ("Active", "")
    assert accept(world) is None, "nothing is in doubt"


def test_a_cycle_that_is_resumed_while_it_acts_looks_again(world):
    for user in world.users:
        world.directory.update_user(user, city="Athens")
    engine = world.engine()

    async def begun():
        progress = await engine.begin_cycle()
        while not progress.phase.startswith("act"):
            progress = await engine.advance(progress.turn)
            if progress.phase.startswith("act"):
                return
            for number in range(len(progress.steps)):
                await engine.run_step(progress, number)

    world.run(begun())
    world.run(engine.end_lease_of_the_dead())
    world.instance.clone_over(another_instance(world, copied=True))
    refused(world)


def test_only_a_cycle_with_something_to_decide_asks_the_instance_who_it_is(world):
    world.cycle()
    world.pass_time(HOUR)
    world.forget_counts()
    assert world.cycle().finished
    assert world.instance.counts["GET sys_properties"] == 0
    world.pass_time(HOUR)
    change_somebody(world)
    assert world.cycle().finished
    assert world.instance.counts["GET sys_properties"] == 1


def test_a_plan_and_a_run_on_demand_notice_it_too(world):
    world.instance.clone_over(another_instance(world))
    change_somebody(world)
    assert world.cycle(dry_run=True).halted.code == "ServiceNowInstanceInvalid"
    world.forget_counts()
    with pytest.raises(InstanceChanged):
        world.run(provision_on_demand(world.engine(), world.users[0], write=True))
    assert world.writes() == {}


def test_records_that_we_deleted_ourselves_raise_no_doubt(tmp_path):
    with small_world(tmp_path, hard_delete="delete") as world:
        world.users = [hire(world, f"user{number}") for number in range(6)]
        world.cycle()
        for user in world.users[1:]:
            world.directory.delete_user(user)
            world.directory.purge_user(user)
        world.pass_time(HOUR)
        assert world.cycle().finished
        assert account(world, "user1") is None
        world.pass_time(HOUR)
        change_somebody(world)
        assert world.cycle().finished
        assert account(world, "user0")["city"] == "Athens"


def test_an_old_backup_creates_nobody_anew_without_a_persons_word(tmp_path):
    """Most records are as they were, so that it is the same instance; whom it has got since is gone."""
    with small_world(tmp_path, limits=Limits(absolute=500, share=0.05, floor=2)) as world:
        world.users = [hire(world, f"user{number}") for number in range(10)]
        world.cycle()
        old = world.instance.backup()
        later = [hire(world, f"later{number}") for number in range(4)]
        world.pass_time(HOUR)
        world.cycle()
        world.instance.restore(old)
        for user in later:
            world.directory.update_user(user, city="Athens")
        world.restart()
        world.forget_counts()
        assert world.cycle().held is not None
        assert world.instance.counts["batch: POST sys_user"] == 0
        assert job(world).held.counts == {"recreations": 4}
        assert link_of(world, later[0]).linked


def test_memberships_are_provisioned_anew_in_an_instance_that_was_accepted(world):
    world.instance.clone_over(another_instance(world))
    assert not world.instance.find("sys_user_group", name="Sales")
    change_somebody(world)
    refused(world)
    accept(world)
    world.restart()
    world.cycle()
    assert world.members("Sales") == {account(world, f"user{number}")["user_name"] for number in range(5)}
