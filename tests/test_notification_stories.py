"""Who is told what of a job, when, and how often: quarantines, held plans and silences on virtual time, by mail through
the Graph emulator and by webhook; with processes that are killed on the way.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import httpx
import pytest

from provisioning.adapters.mail import Mail
from provisioning.adapters.webhook import Webhook
from provisioning.engine import control
from provisioning.engine.outbox import waiting
from provisioning.rules.review import Limits
from tests.emulators.graph.behaviour import LEAST_PERMISSIONS, Throttle
from tests.faulty_store import Crash, FaultyStore
from tests.test_cycle_stories import hire
from tests.test_escrow_stories import refuse
from tests.test_quarantine_stories import SMALL
from tests.webhook_server import WebhookServer
from tests.world import small_world

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SENDER, TO = "prov@contoso.example", "ops@contoso.example"
KEY = "the key of the signature"
SEND = "POST /users/{id}/sendMail"


@dataclass
class Told:
    """A world whose job tells of itself, and what has arrived."""

    world: object
    hook: WebhookServer = field(default_factory=WebhookServer)

    def channels(self, session):
        way = httpx.ASGITransport(self.hook)
        webhook = Webhook(self.hook.url, "json", KEY, transport=way, now=self.world.now)
        return {"mail": Mail(session, SENDER, (TO,)), "webhook": webhook}

    @property
    def posted(self):
        return self.hook.events

    @property
    def mailed(self):
        return [mail["message"]["subject"].partition(": ")[2] for mail in self.world.directory.sent_mail]

    def tick(self):
        """What the timer does every five minutes; a new process each time."""
        self.world.restart()
        self.world.run(self.world.engine().notify())
        if self.world.run(self.world.engine().is_due()):
            self.world.cycle()

    def ticks(self, hours):
        for _ in range(round(hours * 12)):
            self.tick()
            self.world.pass_time(5 * MINUTE - self.world.now() % (5 * MINUTE))

    def waiting(self):
        return self.world.run(waiting(self.world.engine().context))


def telling(world):
    told = Told(world)
    world.channels = told.channels
    world.directory.behaviour.permissions = LEAST_PERMISSIONS | {"Mail.Send"}
    world.directory.add_user(userPrincipalName=SENDER, displayName="Provisioning", mail=SENDER)
    return told


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path, thresholds=SMALL) as made:
        yield made


@pytest.fixture
def told(world):
    return telling(world)


def lock_out(world):
    """Nobody is let in any more, and there is somebody to create."""
    world.instance.faults.add("POST token", "unauthorized", times=None)
    world.instance.accounts.revoke_tokens()
    world.pass_time(40 * MINUTE)
    hire(world, "bob")


def let_in(world):
    world.instance.faults.clear()


# --- Quarantine -----------------------------------------------------------------------------------


def test_a_job_that_is_well_tells_nothing(told):
    hire(told.world, "ada")
    told.ticks(24)
    assert (told.posted, told.mailed, told.waiting()) == ([], [], [])


def test_a_quarantine_is_told_on_entry_once_and_when_it_is_left(told):
    world = told.world
    hire(world, "ada")
    told.tick()
    lock_out(world)
    told.ticks(20)
    assert told.posted == ["QuarantineEntered"], "although some cycles have failed since"
    assert told.mailed == ["the job is in quarantine (EncounteredQuarantineException)"]
    body = told.hook.received[0].body
    assert body["details"]["code"] == "ServiceNowCredentialsValidation"
    assert body["instance"] == "http://127.0.0.1"
    let_in(world)
    told.ticks(24)
    assert told.posted == ["QuarantineEntered", "QuarantineLeft"]
    assert told.mailed[1:] == ["the job has left quarantine"]


def test_another_reason_is_told(told):
    world = told.world
    hire(world, "ada")
    told.tick()
    lock_out(world)
    for n in range(6):
        hire(world, f"spy{n}", jobTitle="Spy")
    told.tick()
    let_in(world)
    refuse(world, "insert", "title=Spy")
    told.ticks(6)
    assert told.posted == ["QuarantineEntered", "QuarantineReasonChanged"]
    details = told.hook.received[1].body["details"]
    assert (details["before"], details["reason"]) == (
        "EncounteredQuarantineException",
        "EncounteredEscrowProportionThreshold",
    )
    assert details["numbers"].endswith("objects failed")


def test_a_start_by_a_person_is_no_exit_and_a_quarantine_that_comes_back_is_told_again(told):
    world = told.world
    hire(world, "ada")
    told.tick()
    lock_out(world)
    told.tick()
    world.run(control.start(world.engine(), by="a person"))
    world.run(world.engine().notify())
    assert told.posted == ["QuarantineEntered"]
    told.ticks(1)
    assert told.posted == ["QuarantineEntered", "QuarantineEntered"]


def test_a_job_that_is_disabled_after_four_weeks_is_told(told):
    world = told.world
    hire(world, "ada")
    lock_out(world)
    world.patience = 0.0
    for _ in range(32):
        told.tick()
        world.pass_time(DAY)
    assert told.posted == ["QuarantineEntered", "JobDisabled"]


def test_an_initial_cycle_whose_failures_were_pruned_is_told(told):
    world = told.world
    for n in range(6):
        hire(world, f"spy{n}", jobTitle="Spy")
    refuse(world, "insert", "title=Spy")
    told.ticks(48)
    assert told.posted == ["JobPaused"], "and nobody is told of the silence that follows from it"


# --- Held removals ----------------------------------------------------------------------------------


@pytest.fixture
def held_up(told):
    world = told.world
    world.limits = Limits(absolute=1, share=0.0, floor=0)
    users = [hire(world, f"user{n}") for n in range(4)]
    told.tick()
    world.pass_time(40 * MINUTE)
    for user in users[:2]:
        world.directory.unassign_principal(user)
    told.tick()
    return users


@pytest.mark.usefixtures("held_up")
def test_a_held_plan_is_told_once_with_its_numbers_and_the_way_out(told):
    told.ticks(12)
    assert told.posted == ["RemovalsHeld"]
    body = told.hook.received[0].body
    assert body["details"]["counts"] == {"users": 2}
    plan = told.world.run(told.world.engine().context.rows.state())[0].held.plan
    assert body["details"]["plan"] == plan
    assert f"run --approve {plan}" in body["text"]
    assert f"run --reject {plan}" in body["text"]
    assert told.mailed == ["2 removals wait for your word"]


@pytest.mark.usefixtures("held_up")
def test_a_plan_that_was_decided_is_told_as_the_end_of_it(told):
    world = told.world
    world.run(control.restart(world.engine(), ("ForceDeletes",), by="a person"))
    told.ticks(1)
    assert told.posted == ["RemovalsHeld", "QuarantineLeft"]


def test_a_plan_that_has_grown_is_told_some_hours_later(told, held_up):
    told.world.directory.unassign_principal(held_up[2])
    told.ticks(3)
    assert told.posted == ["RemovalsHeld"]
    told.ticks(2)
    assert told.posted == ["RemovalsHeld", "RemovalsHeld"]
    assert told.hook.received[1].body["details"]["counts"] == {"users": 3}


# --- Silence ------------------------------------------------------------------------------------------


def test_an_outage_is_told_after_a_day_and_so_is_its_end(told):
    world = told.world
    hire(world, "ada")
    told.tick()
    for kind in ("POST batch", "GET sys_user"):
        world.instance.faults.add(kind, "status", times=None, status=500)
    hire(world, "bob")
    told.ticks(23)
    assert told.posted == []
    told.ticks(49)
    assert told.posted == ["NoSuccess"]
    assert told.hook.received[0].body["details"]["hours"] == 24
    let_in(world)
    told.ticks(3)
    assert told.posted == ["NoSuccess", "SuccessAgain"]
    assert told.mailed == ["no cycle has succeeded for 24 hours", "cycles succeed again"]


def test_a_job_whose_cycles_never_begin_is_told(told):
    """As with another job that has the same people in its scope: the timer ticks, and that is all."""
    for _ in range(25):
        told.world.run(told.world.engine().notify())
        told.world.pass_time(HOUR)
    assert told.posted == ["NoSuccess"]


def test_a_pause_that_a_person_has_ordered_is_no_silence_and_what_follows_a_start_counts_anew(told):
    world = told.world
    hire(world, "ada")
    told.tick()
    world.run(control.pause(world.engine(), by="a person"))
    world.pass_time(9 * DAY)
    told.tick()
    world.run(control.start(world.engine(), by="a person"))
    world.run(world.engine().notify())
    assert told.posted == []


# --- The way -------------------------------------------------------------------------------------------


def test_a_way_that_is_closed_is_tried_with_growing_pauses_and_given_up_after_a_day(told, caplog):
    world = told.world
    world.directory.behaviour.permissions = LEAST_PERMISSIONS
    hire(world, "ada")
    lock_out(world)
    world.patience = 0.0
    with caplog.at_level(logging.INFO):
        told.tick()
        assert world.directory.counts[SEND] == 1
        (left,) = told.waiting()
        assert (left.channel, left.code, left.tries) == ("mail", "InsufficientRights", 1)
        told.ticks(30)
    assert 8 <= world.directory.counts[SEND] <= 14
    assert told.waiting() == []
    assert told.posted == ["QuarantineEntered"], "the other way is not held up"
    given_up = [record for record in caplog.records if record.message == "notice given up"]
    assert [(record.levelname, record.code) for record in given_up] == [("ERROR", "InsufficientRights")]
    assert "Mail.Send" in given_up[0].reason


def test_a_pause_that_graph_asks_for_is_kept(told):
    world = told.world
    hire(world, "ada")
    lock_out(world)
    world.directory.behaviour.faults.add(Throttle("1800"), SEND)
    told.ticks(0.4)
    assert (world.directory.counts[SEND], told.mailed) == (1, [])
    told.ticks(0.3)
    assert (world.directory.counts[SEND], len(told.mailed)) == (2, 1)


def test_no_cycle_fails_for_a_notice(told):
    world = told.world
    world.limits = Limits(absolute=0, share=0.0, floor=0)
    told.hook.status = 500
    ada, _ = hire(world, "ada"), hire(world, "bob")
    told.tick()
    world.directory.unassign_principal(ada)
    world.pass_time(40 * MINUTE)
    assert world.cycle().finished
    assert (len(told.hook.received), told.waiting()[0].code) == (1, "InternalServerError")


def test_a_way_that_is_not_set_any_more_holds_nothing(told):
    world = told.world
    told.hook.status = 500
    hire(world, "ada")
    lock_out(world)
    told.tick()
    world.channels = lambda session: {"mail": told.channels(session)["mail"]}
    told.ticks(1)
    assert told.waiting() == []


def test_where_no_way_is_set_nothing_is_stored_and_a_way_set_later_tells_how_it_stands(told):
    world = told.world
    world.channels = lambda _: {}
    hire(world, "ada")
    lock_out(world)
    told.ticks(2)
    assert told.waiting() == []
    world.channels = told.channels
    told.ticks(6)
    assert told.posted == ["QuarantineEntered"]


def test_a_dry_run_tells_nobody(told):
    world = told.world
    hire(world, "ada")
    lock_out(world)
    world.cycle(dry_run=True)
    assert (told.posted, told.mailed, told.waiting()) == ([], [], [])


def test_no_person_and_no_secret_is_in_a_notice_or_in_the_log(told, caplog):
    world = told.world
    world.limits = Limits(absolute=0, share=0.0, floor=0)
    quetzal, _ = hire(world, "quetzal"), hire(world, "xanthippe")
    with caplog.at_level(logging.DEBUG, logger="provisioning"):
        told.hook.answers = [(500, {}), (404, {}), (429, {}), (307, {"Location": told.hook.url})]
        told.tick()
        world.directory.unassign_principal(quetzal)
        world.pass_time(40 * MINUTE)
        told.tick()
        lock_out(world)
        told.ticks(60)
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    said += "\n".join(each.content.decode() for each in told.hook.received)
    said += str([mail["message"]["body"] for mail in world.directory.sent_mail])
    assert {"RemovalsHeld", "QuarantineReasonChanged"} <= {*told.posted}
    assert "notice sent" in said
    assert "not sent, tried again later" in said
    for secret in ("5ecret", "s3cr3t", KEY, "quetzal", "xanthippe", SENDER, TO):
        assert secret not in said, secret


# --- A process that is killed ------------------------------------------------------------------------


def test_killed_after_it_was_sent_a_notice_goes_again_with_the_same_id(told):
    world = told.world
    hire(world, "ada")
    lock_out(world)
    told.hook.status = 500
    told.tick()
    told.hook.status = 202
    told.hook.received.clear()
    world.pass_time(6 * MINUTE)
    store = world.store = FaultyStore(world.store)
    store.crash_before_commit(2)  # put off, sent, and not noted
    world.restart()
    with pytest.raises(Crash):
        world.run(world.engine().notify())
    store.restart()
    assert len(told.hook.received) == 1
    told.tick()
    assert len(told.hook.received) == 1, "not before its pause has ended"
    told.ticks(1)
    assert told.posted == ["QuarantineEntered"] * 2
    assert len({each.headers["x-provisioning-notice"] for each in told.hook.received}) == 1


def events_when_killed(tmp_path, commit):
    """Those that arrived when the process was killed at one commit of the cycle that ends in quarantine; None when it
    had fewer commits. Each kill is followed by a new process.
    """
    with small_world(tmp_path, thresholds=SMALL) as world:
        told = telling(world)
        hire(world, "ada")
        world.cycle()
        lock_out(world)
        store = world.store = FaultyStore(world.store)
        store.crash_before_commit(commit)
        world.restart()
        try:
            world.cycle()
        except (Crash, BaseExceptionGroup):
            store.restart()
        else:
            return None
        world.pass_time(HOUR)
        told.ticks(3)
        ids = {(each.body["event"], each.headers["x-provisioning-notice"]) for each in told.hook.received}
        return sorted(event for event, _ in ids), told.waiting()


def test_wherever_the_process_dies_a_quarantine_is_told_and_never_as_two(tmp_path):
    killed = 0
    for commit in range(1, 200):
        found = events_when_killed(tmp_path, commit)
        if found is None:
            break
        killed += 1
        assert found == (["QuarantineEntered"], []), f"killed before commit {commit}"
    assert killed > 10
