"""One user or group now: which members are written, how long it took, who asked for it, what a failed login says."""

from __future__ import annotations

import pytest

from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import ObjectError, Unavailable
from provisioning.rules.review import Limits
from provisioning.rules.summary import Initiator
from tests.test_cycle_stories import DOMAIN, account, group_of, hire
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def on_demand(world, key, *, write=True, **asked):
    return world.run(provision_on_demand(world.engine(dry_run=not write), key, write=write, **asked))


def names(*people):
    return {f"{name}@{DOMAIN}" for name in people}


def objects(answer):
    return {entry["sourceIdentity"]["id"] for entry in answer.entries}


# --- some of a group's members ------------------------------------------------------------------


def test_of_a_new_group_the_named_members_are_written_and_the_next_cycle_brings_the_others(world):
    ada, bob, cid = (hire(world, name, assigned=False) for name in ("ada", "bob", "cid"))
    group = group_of(world, "Engineers", ada, bob, cid)
    answer = on_demand(world, "Engineers", members=[bob, f"cid@{DOMAIN}"])
    assert objects(answer) == {group, bob, cid, f"{group}:{bob}", f"{group}:{cid}"}
    assert world.members("Engineers") == names("bob", "cid")
    assert account(world, "ada") is None
    world.cycle()
    assert world.members("Engineers") == names("ada", "bob", "cid")
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_the_others_of_a_new_group_are_not_lost_when_cycles_already_ran(world):
    ada, bob = (hire(world, name, assigned=False) for name in ("ada", "bob"))
    group = group_of(world, "Engineers", ada, bob, assigned=False)
    world.cycle()
    world.directory.assign(group)
    on_demand(world, "Engineers", members=[bob])
    world.cycle()
    assert world.members("Engineers") == names("ada", "bob")


def test_a_known_group_takes_a_new_member_on_demand_and_nobody_else_is_read_or_written(world):
    ada, bob, cid = (hire(world, name, assigned=False) for name in ("ada", "bob", "cid"))
    group = group_of(world, "Engineers", ada)
    world.cycle()
    world.directory.add_member(group, bob)
    world.directory.add_member(group, cid)
    world.forget_counts()
    answer = on_demand(world, group, members=[bob])
    assert objects(answer) == {group, bob, f"{group}:{bob}"}
    assert world.members("Engineers") == names("ada", "bob")
    engine = world.engine()
    assert world.run(engine.context.due.page(world.now())) == []
    world.cycle()
    assert world.members("Engineers") == names("ada", "bob", "cid")


def test_a_named_user_who_is_no_member_any_more_loses_the_membership_and_nobody_else_does(world):
    ada, bob, cid = (hire(world, name, assigned=False) for name in ("ada", "bob", "cid"))
    group = group_of(world, "Engineers", ada, bob, cid)
    world.cycle()
    world.directory.remove_member(group, bob)
    world.directory.remove_member(group, cid)
    on_demand(world, group, members=[bob])
    assert world.members("Engineers") == names("ada", "cid")
    assert account(world, "bob")["active"] == "false"
    assert account(world, "cid")["active"] == "true"
    world.cycle()
    assert world.members("Engineers") == names("ada")
    assert account(world, "cid")["active"] == "false"


def test_a_named_member_whom_entra_does_not_know_any_more_leaves_the_group(world):
    ada, bob = (hire(world, name, assigned=False) for name in ("ada", "bob"))
    group = group_of(world, "Engineers", ada, bob)
    world.cycle()
    world.directory.delete_user(bob)
    world.directory.purge_user(bob)
    on_demand(world, group, members=[bob])
    assert world.members("Engineers") == names("ada")
    assert account(world, "bob")["active"] == "false"


def test_a_named_member_of_a_group_that_gives_no_access_gets_none_from_it(world):
    hire(world, "dan")
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Engineers", ada, assigned=False)
    answer = on_demand(world, group, members=[ada])
    assert {entry["provisioningStatusInfo"]["status"] for entry in answer.entries} == {"skipped"}
    assert account(world, "ada") is None
    assert world.instance.find("sys_user_group", name="Engineers") == []


def test_with_no_members_named_the_group_alone_is_written(world):
    ada = hire(world, "ada", assigned=False)
    group = group_of(world, "Engineers", ada)
    answer = on_demand(world, group, members=[])
    assert objects(answer) == {group}
    assert world.members("Engineers") == set()
    world.cycle()
    assert world.members("Engineers") == names("ada")


def test_members_of_a_user_and_members_whom_entra_does_not_know_are_refused(world):
    ada = hire(world, "ada")
    group = group_of(world, "Engineers", ada)
    for key, member in ((ada, ada), (group, f"nobody@{DOMAIN}")):
        with pytest.raises(ObjectError):
            on_demand(world, key, members=[member])
    assert world.writes() == {}


# --- what the entries say -----------------------------------------------------------------------


def test_an_entry_says_how_long_the_reading_and_the_writing_took_and_not_how_long_the_plan_waited(world):
    world.instance.capacity.set_times(insert=8.0, read=1.0)
    hire(world, "ada")
    (own,) = on_demand(world, f"ada@{DOMAIN}").entries
    assert 1_000 < own["durationInMilliseconds"] < 60_000
    assert [entry["durationInMilliseconds"] for entry in world.journal()] == [own["durationInMilliseconds"]]
    for number in range(200):
        hire(world, f"n{number}")
    began = world.now()
    world.cycle()
    took = [
        entry["durationInMilliseconds"] for entry in world.journal() if entry["sourceIdentity"]["displayName"] != "Ada"
    ]
    assert len(took) == 200
    assert min(took) > 1_000
    assert max(took) < (world.now() - began) * 1000 / 2
    answer = on_demand(world, f"n1@{DOMAIN}")
    assert answer.entries[0]["provisioningAction"] == "other"
    assert answer.entries[0]["durationInMilliseconds"] > 0


def test_the_plan_of_an_explanation_and_a_held_removal_say_how_long_they_took_as_well(world):
    world.instance.capacity.set_times(read=1.0)
    hire(world, "ada")
    assert on_demand(world, f"ada@{DOMAIN}", write=False).entries[0]["durationInMilliseconds"] > 0
    world.cycle()
    world.limits = Limits(absolute=0, share=0.0, floor=0)
    world.directory.update_user(next(iter(world.directory.users)), accountEnabled=False)
    world.restart()
    world.cycle()
    staged = world.journal()[0]
    assert staged["provisioningAction"] == "stagedDelete"
    assert staged["durationInMilliseconds"] > 0


def test_what_was_asked_for_names_who_asked_and_what_the_cycle_does_names_the_service(world):
    ada = hire(world, "ada")
    by = Initiator("user", "command line (grace)")
    on_demand(world, ada, by=by)
    hire(world, "bob")
    world.cycle()
    found = {entry["sourceIdentity"]["displayName"]: entry for entry in world.journal()}
    assert found["Ada"]["initiatedBy"] == {"id": "", "displayName": by.name, "initiatorType": "user"}
    assert found["Bob"]["initiatedBy"]["initiatorType"] == "system"
    assert {entry["targetSystem"]["details"]["ApplicationId"] for entry in found.values()} == {world.directory.app_id}


def test_a_login_that_is_refused_is_answered_and_nothing_is_sent_or_remembered(world):
    ada = hire(world, "ada")
    world.instance.faults.add("POST token", "unauthorized", times=1)
    (told,) = on_demand(world, ada).entries
    assert [step["name"] for step in told["provisioningSteps"]] == ["TestConnection"]
    assert told["provisioningStatusInfo"]["errorInformation"]["errorCode"] == "ServiceNowCredentialsValidation"
    assert world.journal() == []
    assert on_demand(world, ada).entries[0]["provisioningAction"] == "create"


def test_an_instance_that_asks_for_a_pause_is_no_failed_login(world):
    ada = hire(world, "ada")
    world.instance.faults.add("POST batch", "too_many", retry_after="1800", times=None)
    with pytest.raises(Unavailable) as raised:
        on_demand(world, ada)
    assert raised.value.code == "TooManyRequests"
