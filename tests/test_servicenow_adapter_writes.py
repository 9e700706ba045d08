"""What the adapter writes to ServiceNow: whatever goes wrong on the way, the outcome says what the instance holds."""

from __future__ import annotations

import logging
import random

import httpx
import pytest

from provisioning.adapters.servicenow import ServiceNowTarget
from provisioning.errors import Throttled, Unauthorized, Unavailable, WriteForbidden
from provisioning.model import DeleteRecord, InsertRecord, PatchRecord, Refused, Unsettled, Written
from tests.emulators.servicenow.seed import ADMIN_ID
from tests.servicenow_world import World


@pytest.fixture
def world(runner):
    return World(runner)


def insert(n, user_name=None, **fields):
    return InsertRecord(f"w{n}", "sys_user", f"{n:032x}", {"user_name": user_name or f"new{n}", **fields})


def patch(sys_id, key="p", **fields):
    return PatchRecord(key, "sys_user", sys_id, fields)


def test_a_batch_creates_changes_and_deletes_and_answers_what_the_instance_now_holds(world):
    abel = world.users["abel.tuter"]["sys_id"]
    with world.counted() as asked:
        outcomes = world.write(
            insert(1, first_name="Zoë", last_name="O'Neill"),
            patch(ADMIN_ID, title="Chief"),
            DeleteRecord("d", "sys_user", abel),
        )
    assert outcomes["w1"].record["name"] == "Zoë O'Neill"
    assert outcomes["w1"].record["sys_id"] == f"{1:032x}"
    assert outcomes["p"].record["title"] == "Chief"
    assert outcomes["d"] == Written({})
    assert "abel.tuter" not in world.users
    assert asked["POST batch"] == 1


def test_a_value_of_any_script_arrives_as_it_was_sent(world):
    values = {"first_name": 'Å^NQ "q" 😀', "last_name": "javascript:alert(1)", "title": "a,b\\c"}
    outcomes = world.write(insert(1, **values))
    assert {name: outcomes["w1"].record[name] for name in values} == values


@pytest.mark.parametrize(("honours", "expected"), [(True, Written), (False, Unsettled)])
def test_where_sys_ids_are_known_not_to_be_honoured_a_create_in_doubt_is_not_repeated(world, honours, expected):
    target = ServiceNowTarget(world.session, honours_sys_ids=honours)
    world.instance.faults.add("POST batch", "dropped_session")
    outcomes = world.do(target.write([insert(1)]))
    assert isinstance(outcomes["w1"], expected)


def test_what_no_json_can_hold_is_refused_alone(world):
    outcomes = world.write(insert(1, first_name="half\ud83d"), insert(2), DeleteRecord("d", "sys_user", "../evil"))
    assert isinstance(outcomes["w1"], Refused)
    assert "first_name" in outcomes["w1"].message
    assert isinstance(outcomes["w2"], Written)
    assert isinstance(outcomes["d"], Refused)


def test_trap_3_a_user_name_that_was_cut_shows_in_the_answer(world):
    outcomes = world.write(insert(1, "x" * 45))
    assert outcomes["w1"].record["user_name"] == "x" * 40


def test_trap_5_a_field_that_was_silently_dropped_shows_in_the_answer(world):
    world.instance.access.unwritable["sys_user"].add("email")
    outcomes = world.write(patch(ADMIN_ID, email="new@example.com", title="Chief"))
    assert outcomes["p"].record["email"] == "admin@example.com"
    assert outcomes["p"].record["title"] == "Chief"


def test_trap_7_a_403_on_an_insert_that_took_place_is_written(world):
    world.instance.faults.add("batch: POST sys_user", "denied_after_write", times=2)
    outcomes = world.write(insert(1), insert(2), insert(3))
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert world.instance.counts["batch: POST sys_user"] == 3


def test_a_403_on_an_insert_that_did_not_take_place_is_refused(world):
    world.instance.access.no_insert.add("sys_user")
    outcome = world.write(insert(1))["w1"]
    assert (outcome.code, outcome.transient) == ("InsufficientRights", False)
    assert "user_admin" in outcome.way_out
    assert "new1" not in world.users


def test_trap_9_a_user_name_that_is_taken_is_a_conflict(world):
    outcomes = world.write(insert(1, "ADMIN"), insert(2))
    assert (outcomes["w1"].code, outcomes["w1"].transient) == ("Conflict", False)
    assert isinstance(outcomes["w2"], Written)
    outcome = world.write(patch(f"{2:032x}", user_name="admin"))["p"]
    assert outcome.code == "Conflict"


def test_a_business_rule_that_stops_a_write_is_named(world):
    world.instance.faults.add("batch: PATCH sys_user", "rule", detail="Guard")
    outcome = world.write(patch(ADMIN_ID, title="Chief"))["p"]
    assert outcome.code == "NotPermitted"
    assert "Guard" in outcome.message


def test_trap_12_what_does_not_fit_into_the_batch_time_is_sent_again(world):
    world.instance.capacity.set_times(insert=0.004)
    world.instance.switches.batch_limit = 0.014
    outcomes = world.write(*(insert(n) for n in range(9)))
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert world.instance.counts["POST batch"] == 3
    assert world.target.batch_size < 20


@pytest.mark.parametrize("in_flight", ["done", "undone"])
def test_trap_12_the_item_that_ran_when_time_was_up_is_written_once(world, in_flight):
    world.instance.capacity.set_times(insert=0.004)
    world.instance.switches.batch_limit = 0.014
    world.instance.switches.batch_in_flight = in_flight
    outcomes = world.write(*(insert(n) for n in range(9)))
    assert all(isinstance(outcome, Written) for outcome in outcomes.values())
    assert sum(name.startswith("new") for name in world.users) == 9


def test_a_write_that_alone_exceeds_the_batch_time_is_looked_up_and_then_put_off(world):
    world.instance.capacity.set_times(insert=0.02)
    world.instance.switches.batch_limit = 0.01
    outcomes = world.write(insert(1), insert(2))
    assert all(isinstance(o, Refused) and o.transient for o in outcomes.values())
    world.instance.switches.batch_in_flight = "done"
    outcomes = world.write(insert(3), insert(4))
    assert isinstance(outcomes["w3"], Written)
    assert outcomes["w4"].transient


def test_what_is_left_after_a_few_rounds_is_put_off_and_not_written(world):
    world.instance.faults.add("POST batch", "batch_cut", after_items=1, times=None)
    outcomes = world.write(*(insert(n) for n in range(8)))
    done = [key for key, outcome in outcomes.items() if isinstance(outcome, Written)]
    assert done == ["w0", "w1", "w2", "w3"]
    assert all(outcomes[f"w{n}"].transient for n in range(4, 8))
    assert "new4" not in world.users


def test_a_lost_reply_is_settled_by_reading_back(world):
    abel = world.users["abel.tuter"]["sys_id"]
    world.instance.faults.add("POST batch", "reply_lost")
    outcomes = world.write(insert(1), patch(ADMIN_ID, title="Chief"), DeleteRecord("d", "sys_user", abel))
    assert outcomes["w1"].record["user_name"] == "new1"
    assert outcomes["p"].record["title"] == "Chief"
    assert outcomes["d"] == Written({})
    assert world.instance.counts["batch: POST sys_user"] == 1


def test_a_batch_that_broke_before_anything_was_done_is_repeated_once(world):
    abel = world.users["abel.tuter"]["sys_id"]
    writes = [insert(1), patch(ADMIN_ID, title="Chief"), DeleteRecord("d", "sys_user", abel)]
    world.find("sys_user", "user_name", ["admin"])
    world.instance.faults.add("POST batch", "refused_connection")
    assert all(isinstance(outcome, Written) for outcome in world.write(*writes).values())
    assert world.users["admin"]["title"] == "Chief"
    assert "abel.tuter" not in world.users


def test_where_reading_back_fails_too_the_outcome_stays_open(world):
    world.instance.faults.add("POST batch", "reply_lost")
    world.instance.faults.add("POST batch", "html", status=503, times=None)
    outcomes = world.write(insert(1), insert(2))
    assert all(isinstance(outcome, Unsettled) for outcome in outcomes.values())


@pytest.mark.parametrize("effect", ["status_after_write", "cut_stream", "error_in_stream"])
def test_an_item_without_a_clear_answer_that_took_place_is_not_repeated(world, effect):
    world.instance.faults.add("batch: PATCH sys_user", effect)
    outcomes = world.write(patch(ADMIN_ID, title="Chief"), insert(1))
    assert outcomes["p"].record["title"] == "Chief"
    assert world.instance.counts["batch: PATCH sys_user"] == 1


@pytest.mark.parametrize("effect", ["status", "html", "dropped_session", "hibernating"])
def test_an_item_that_provably_did_not_take_place_is_repeated_once_and_then_put_off(world, effect):
    world.instance.faults.add("batch: POST sys_user", effect, times=1, where={"user_name": "new1"})
    outcomes = world.write(insert(1), insert(2))
    if effect == "hibernating":  # says plainly that nothing was done
        assert outcomes["w1"].transient
    else:
        assert isinstance(outcomes["w1"], Written)
    world.instance.faults.clear()
    world.instance.faults.add("batch: POST sys_user", effect, times=None)
    outcome = world.write(insert(3))["w3"]
    assert outcome.transient
    assert "new3" not in world.users


def test_a_record_that_is_gone_is_an_invalid_anchor_and_deleting_it_is_done(world):
    outcomes = world.write(patch("f" * 32, title="x"), DeleteRecord("d", "sys_user", "e" * 32))
    assert (outcomes["p"].code, outcomes["p"].transient) == ("InvalidAnchor", False)
    assert outcomes["d"] == Written({})


def test_creating_again_under_the_same_sys_id_adopts_our_own_record(world):
    world.write(insert(1, first_name="Ada"))
    outcome = world.write(insert(1, first_name="Augusta"))["w1"]
    assert isinstance(outcome, Written)
    assert outcome.record["first_name"] == "Ada"
    assert sum(name == "new1" for name in world.users) == 1


def test_creating_under_the_sys_id_of_somebody_else_is_a_conflict(world):
    world.write(insert(1))
    outcome = world.write(InsertRecord("w", "sys_user", f"{1:032x}", {"user_name": "other"}))["w"]
    assert outcome.code == "Conflict"
    assert "sys_id" in outcome.message


def test_creating_again_finds_our_record_although_its_key_was_cut(world):
    world.write(insert(1, "x" * 45))
    assert isinstance(world.write(insert(1, "x" * 45))["w1"], Written)


def test_a_membership_is_created_once_under_its_sys_id(world):
    group = world.instance.rows("sys_user_group")[0]["sys_id"]
    write = InsertRecord("m", "sys_user_grmember", "a" * 32, {"group": group, "user": ADMIN_ID})
    world.instance.faults.add("POST batch", "reply_lost", skip=1)
    assert isinstance(world.write(write)["m"], Written)
    assert isinstance(world.write(write)["m"], Written)
    assert len(world.instance.find("sys_user_grmember", group=group, user=ADMIN_ID)) == 1


def test_an_instance_that_chooses_sys_ids_itself_tells_the_real_one(world):
    world.instance.switches.client_sys_id = "ignored"
    outcome = world.write(insert(1))["w1"]
    assert outcome.record["sys_id"] == world.users["new1"]["sys_id"] != f"{1:032x}"


def test_where_the_instance_chooses_sys_ids_an_insert_in_doubt_is_never_repeated(world):
    world.instance.switches.client_sys_id = "ignored"
    group = InsertRecord("g", "sys_user_group", "a" * 32, {"name": "Only once"})
    world.instance.faults.add("batch: POST sys_user_group", "status_after_write")
    outcomes = world.write(insert(1), group)
    assert isinstance(outcomes["g"], Unsettled)
    assert len(world.instance.find("sys_user_group", name="Only once")) == 1


def test_a_patch_in_doubt_on_a_field_that_cannot_be_read_stays_open(world):
    world.instance.access.unreadable["sys_user"].add("title")
    world.instance.faults.add("batch: PATCH sys_user", "status_after_write")
    outcome = world.write(patch(ADMIN_ID, title="Chief"))["p"]
    assert isinstance(outcome, Unsettled)
    assert "title" in outcome.reason


LONG = "x" * 70
"""Of which the title of an account keeps 60."""


@pytest.mark.parametrize("effect", ["status_after_write", "denied_after_write", "cut_stream"])
def test_a_patch_in_doubt_whose_value_was_cut_is_written_and_not_repeated(world, effect):
    world.do(world.target.dictionary())
    world.instance.faults.add("batch: PATCH sys_user", effect)
    outcome = world.write(patch(ADMIN_ID, title=LONG, email="new@example.com"))["p"]
    assert isinstance(outcome, Written)
    assert outcome.record["title"] == LONG[:60]
    assert world.instance.counts["batch: PATCH sys_user"] == 1


def test_a_patch_in_doubt_that_was_not_applied_is_not_written_because_the_old_value_looks_cut(world):
    world.do(world.target.dictionary())
    world.instance.update("sys_user", ADMIN_ID, {"title": LONG[:59]})
    world.instance.access.no_update.add("sys_user")
    outcome = world.write(patch(ADMIN_ID, title=LONG))["p"]
    assert (outcome.code, outcome.transient) == ("InsufficientRights", False)


def test_a_patch_in_doubt_of_which_a_value_was_refused_is_repeated_and_its_echo_tells(world):
    """No patch is harmed by a repeat: its clear answer says what became of each value."""
    world.instance.access.unwritable["sys_user"].add("email")
    world.instance.faults.add("batch: PATCH sys_user", "status_after_write")
    outcome = world.write(patch(ADMIN_ID, title="Chief", email="new@example.com"))["p"]
    assert isinstance(outcome, Written)
    assert (outcome.record["title"], outcome.record["email"]) == ("Chief", "admin@example.com")


@pytest.mark.parametrize("effect", ["status_after_write", "denied_after_write"])
def test_a_patch_that_stays_in_doubt_and_is_stored_in_part_is_neither_written_nor_refused(world, effect):
    world.instance.access.unwritable["sys_user"].add("email")
    world.instance.faults.add("batch: PATCH sys_user", effect, times=None)
    before = {"title": "", "email": "admin@example.com"}
    write = PatchRecord("p", "sys_user", ADMIN_ID, {"title": "Chief", "email": "new@example.com"}, before)
    outcome = world.write(write)["p"]
    assert isinstance(outcome, Unsettled)
    assert "title" in outcome.reason
    assert world.users["admin"]["title"] == "Chief"


def test_a_patch_that_was_refused_is_refused_although_one_value_was_there_before(world):
    world.instance.update("sys_user", ADMIN_ID, {"locked_out": "true"})
    world.instance.access.no_update.add("sys_user")
    fields = {"active": "false", "locked_out": "true"}
    write = PatchRecord("p", "sys_user", ADMIN_ID, fields, {"active": "true", "locked_out": "true"})
    assert world.write(write)["p"].code == "InsufficientRights"


def test_a_refusal_of_a_record_that_no_list_shows_keeps_its_reason(world):
    world.instance.access.no_update.add("sys_user")
    world.instance.faults.add("batch: GET sys_user", "not_yet_visible", times=None)
    assert world.write(patch(ADMIN_ID, title="Chief"))["p"].code == "InsufficientRights"


def test_a_deletion_that_was_refused_and_did_not_take_place_is_refused(world):
    abel = world.users["abel.tuter"]["sys_id"]
    world.instance.access.no_delete.add("sys_user")
    outcome = world.write(DeleteRecord("d", "sys_user", abel))["d"]
    assert (outcome.code, outcome.transient) == ("InsufficientRights", False)
    assert world.instance.counts["batch: DELETE sys_user"] == 1


def test_where_the_instance_chooses_sys_ids_a_denied_insert_may_have_taken_place(world):
    world.instance.switches.client_sys_id = "ignored"
    world.write(insert(1))
    world.instance.faults.add("batch: POST sys_user", "denied_after_write")
    assert isinstance(world.write(insert(2))["w2"], Unsettled)
    assert "new2" in world.users
    assert world.write(insert(3, "new1"))["w3"].code == "Conflict"


def test_what_the_api_denies_between_two_rounds_is_put_off_alone(world):
    world.instance.faults.add("batch: POST sys_user", "api_acl", where={"user_name": "new1"}, times=None)
    outcomes = world.write(insert(1), insert(2))
    assert (outcomes["w1"].code, outcomes["w1"].transient) == ("InsufficientRights", True)
    assert isinstance(outcomes["w2"], Written)
    assert world.instance.counts["batch: POST sys_user"] == 4


def test_a_connection_that_was_refused_wrote_nothing_for_certain(world):
    def refuse(request):
        raise httpx.ConnectError("refused", request=request)

    world.wire.meddle = refuse
    with pytest.raises(Unavailable, match="refused") as raised:
        world.write(insert(1))
    assert raised.value.code == "ServiceNowInstanceInvalid"


def test_refused_credentials_and_pauses_wrote_nothing_for_certain(world):
    world.instance.faults.add("batch: POST sys_user", "unauthorized", times=4)
    with pytest.raises(Unauthorized):
        world.write(insert(1), insert(2))
    world.instance.faults.add("batch: POST sys_user", "too_many", times=1)
    with pytest.raises(Throttled):
        world.write(insert(1))
    world.instance.faults.add("batch: POST sys_user", "too_many", times=1)
    outcomes = world.write(insert(1), insert(2))
    assert (outcomes["w1"].code, outcomes["w1"].transient) == ("TooManyRequests", True)
    assert isinstance(outcomes["w2"], Written)
    world.instance.faults.add("POST batch", "too_many", retry_after="3600")
    with pytest.raises(Throttled):
        world.write(insert(4))
    assert "new4" not in world.users


def test_an_outage_between_two_rounds_puts_off_only_what_was_not_sent(world):
    world.find("sys_user", "user_name", ["admin"])
    world.instance.faults.add("POST batch", "batch_cut", after_items=2)
    world.instance.faults.add("POST batch", "hibernating", times=None)
    outcomes = world.write(*(insert(n) for n in range(4)))
    assert isinstance(outcomes["w0"], Written)
    assert isinstance(outcomes["w1"], Written)
    assert outcomes["w2"].transient
    assert outcomes["w3"].transient


def test_a_dry_run_reads_and_writes_nothing(runner):
    world = World(runner, dry_run=True)
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    for write in (insert(1), patch(ADMIN_ID, title="x"), DeleteRecord("d", "sys_user", ADMIN_ID)):
        with pytest.raises(WriteForbidden):
            world.write(write)
    assert "new1" not in world.users
    assert world.users["admin"]["title"] != "x"


def test_the_batch_grows_while_the_instance_is_quick(world):
    assert world.target.batch_size == 20
    for start in range(0, 100, 20):
        world.write(*(insert(n) for n in range(start, start + 20)))
    assert world.target.batch_size == 100


def test_no_log_line_and_no_refusal_of_ours_holds_what_was_written(world, caplog):
    caplog.set_level(logging.DEBUG, logger="provisioning")
    world.instance.faults.add("POST batch", "reply_lost", skip=1, times=1)
    world.instance.faults.add("batch: POST sys_user", "status", times=None)
    outcomes = world.write(insert(1, "private-name"), insert(2, first_name="private-name"))
    assert caplog.records
    assert "private-name" not in caplog.text + str([vars(record) for record in caplog.records]) + str(outcomes)


EFFECTS = [
    *("status", "status_after_write", "reply_lost", "denied_after_write", "dropped_session", "html", "cut_stream"),
    *("unauthorized", "api_acl", "hibernating", "refused_connection", "error_in_stream"),
]


@pytest.mark.parametrize("seed", range(25))
def test_whatever_goes_wrong_no_outcome_contradicts_the_instance(runner, seed):
    world = World(runner)
    rng = random.Random(seed)
    world.do(world.target.dictionary())
    present = [world.user(f"old{n}", title="before") for n in range(12)]
    for effect in rng.sample(EFFECTS, 3):
        anywhere = ["batch: * *"] if effect == "denied_after_write" else ["POST batch", "batch: * *"]
        world.instance.faults.add(rng.choice(anywhere), effect, chance=0.3, times=None)
    world.instance.faults.add("POST batch", "batch_cut", after_items=5, chance=0.3, times=None)
    deleted = {f"d{n}": present[n] for n in range(4)}
    patched = {f"p{n}": present[n] for n in range(4, 12)}
    writes = [insert(n) for n in range(12)]
    writes += [patch(sys_id, key, title="after") for key, sys_id in patched.items()]
    writes += [DeleteRecord(key, "sys_user", sys_id) for key, sys_id in deleted.items()]
    rng.shuffle(writes)
    try:
        outcomes = world.write(*writes)
    except Unavailable:
        outcomes = {}
        assert not any(name.startswith("new") for name in world.users)
    if outcomes:
        assert outcomes.keys() == {write.key for write in writes}
    for key, outcome in outcomes.items():
        if isinstance(outcome, Unsettled):
            continue
        if key.startswith("w"):
            is_done = f"new{key[1:]}" in world.users
        elif key in deleted:
            is_done = world.instance.get("sys_user", deleted[key]) is None
        else:
            is_done = world.instance.get("sys_user", patched[key])["title"] == "after"
        assert is_done == isinstance(outcome, Written), (key, outcome)


def test_another_target_on_the_same_session_starts_small(world):
    assert ServiceNowTarget(world.session).batch_size == 20
