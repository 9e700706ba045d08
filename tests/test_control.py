"""Quarantine in and out, pause, start, and restart with what it forgets: whole cycles, and the rules by themselves."""

from __future__ import annotations

import pytest

from provisioning.engine import control
from provisioning.engine.control import FULL, reset_scopes
from provisioning.errors import ConfigError, LeaseLost
from provisioning.rules.quarantine import DAY, Thresholds, after_cycle, reason_of
from provisioning.rules.review import Limits
from tests.test_cycle_stories import account, group_of, hire
from tests.test_escrow import attempts, refuse
from tests.world import small_world

HOUR = 3600.0


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def state_of(world):
    return world.run(world.engine().context.rows.state())[0]


def is_due(world):
    return world.run(world.engine().is_due())


# --- The rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "good", "references", "expected"),
    [
        (4_000, 0, 0, None),
        (4_999, 0, 0, None),
        (5_000, 0, 0, "EncounteredEscrowProportionThreshold"),
        (30_000, 5_000, 0, "EncounteredEscrowProportionThreshold"),
        (20_000, 100_000, 0, None),
        (45_000, 10**6, 0, "EncounteredBaseEscrowThreshold"),
        (40_000, 10**6, 21_000, "EncounteredTotalEscrowThreshold"),
        (0, 10, 0, None),
    ],
)
def test_so_many_failures_are_too_many_as_in_entra(failed, good, references, expected):
    counts = {"users.failed": failed, "users.created": good, "references.waiting": references}
    assert reason_of(counts) == expected


def test_the_numbers_can_be_scaled_for_a_small_tenant():
    assert reason_of({"users.failed": 6, "users.created": 4}, Thresholds(base=5)) is not None


def test_a_job_in_quarantine_is_tried_less_and_less_often_down_to_once_a_day():
    known, now, pauses = None, 0.0, []
    for _ in range(9):
        known = after_cycle(known, "EncounteredQuarantineException", now, 2400.0)
        pauses.append(known.next_attempt - now)
        now = known.next_attempt
    assert pauses == [2400.0 * 2**n for n in range(6)] + [DAY] * 3
    assert (known.series_began, known.began, known.series_count) == (0.0, 0.0, 9)
    assert not known.expired(27 * DAY)
    assert known.expired(29 * DAY)
    assert after_cycle(known, None, now, 2400.0) is None


def test_scopes_are_read_as_microsoft_writes_them():
    assert reset_scopes("") == {"QuarantineState", "Watermark", "Escrows"}
    assert reset_scopes("watermark, ForceDeletes") == {"Watermark", "ForceDeletes"}
    assert reset_scopes("Full") == set(FULL)
    with pytest.raises(ConfigError, match="resetScope 'Everything' is not known"):
        reset_scopes("Watermark,Everything")


# --- Quarantine -----------------------------------------------------------------------------------


def test_credentials_that_are_refused_put_the_job_into_quarantine_and_are_tried_seldom(world):
    hire(world, "ada")
    world.instance.accounts.clients.clear()
    tried = 0
    for _ in range(24 * 12):
        if is_due(world):
            world.restart()
            world.cycle()
            tried += 1
        world.pass_time(300.0)
    assert tried <= 7
    assert state_of(world).quarantine.reason == "EncounteredQuarantineException"
    assert state_of(world).quarantine.series_count == tried


def test_a_good_cycle_ends_the_quarantine(world):
    hire(world, "ada")
    granted = world.directory.behaviour.permissions
    world.directory.behaviour.permissions = frozenset()
    world.cycle()
    assert state_of(world).quarantine is not None
    world.directory.behaviour.permissions = granted
    world.restart()
    world.cycle()
    assert state_of(world).quarantine is None
    assert account(world, "ada") is not None


def test_after_28_days_of_it_the_job_is_switched_off_until_it_is_started(world):
    hire(world, "ada")
    world.directory.behaviour.permissions = frozenset()
    for _ in range(40):
        if is_due(world):
            world.restart()
            world.cycle()
        world.pass_time(DAY)
    assert state_of(world).paused
    assert not is_due(world)
    world.run(control.start(world.engine().context))
    assert (state_of(world).paused, state_of(world).quarantine) == (False, None)
    assert is_due(world)


def test_held_removals_are_a_quarantine_that_leaves_the_cadence_as_it_is(world):
    world.limits = Limits(absolute=500, share=0.05, floor=3)
    users = [hire(world, f"user{n}") for n in range(10)]
    world.cycle()
    for user in users[:6]:
        world.directory.unassign_principal(user)
    world.cycle()
    assert state_of(world).quarantine.reason == "TooManyDeletes"
    world.pass_time(world.pace.interval + 1.0)
    assert is_due(world)


# --- Pause, start, restart ------------------------------------------------------------------------


def test_a_paused_job_begins_no_cycle_and_goes_on_where_it_stopped(world):
    hire(world, "ada")
    world.cycle()
    world.run(control.pause(world.engine().context))
    world.pass_time(DAY)
    assert not is_due(world)
    hire(world, "bob")
    world.run(control.start(world.engine().context))
    assert is_due(world)
    assert world.cycle().kind == "incremental"
    assert account(world, "bob") is not None


def test_a_restart_evaluates_everybody_and_writes_only_what_differs(world):
    group_of(world, "Engineers", hire(world, "ada"))
    world.cycle()
    world.instance.update("sys_user", account(world, "ada")["sys_id"], {"title": "Changed by hand"})
    world.run(control.restart(world.engine().context, reset_scopes("")))
    world.forget_counts()
    assert world.cycle().kind == "initial"
    assert account(world, "ada")["title"] == "" or world.writes() == {}
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_a_restart_of_the_links_matches_everybody_again_and_doubles_nobody(world):
    ada = hire(world, "ada")
    group_of(world, "Engineers", ada)
    world.cycle()
    before = world.instance.count("sys_user"), world.instance.count("sys_user_grmember")
    world.run(control.restart(world.engine().context, reset_scopes("Full")))
    context = world.engine().context
    assert not world.run(context.links.load([("user", ada)]))["user", ada].link.linked
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}
    assert (world.instance.count("sys_user"), world.instance.count("sys_user_grmember")) == before
    assert world.run(context.links.load([("user", ada)]))["user", ada].link.linked


def test_a_restart_of_the_escrows_stops_trying_what_failed(world):
    refuse(world)
    hire(world, "ada")
    world.cycle()
    world.run(control.restart(world.engine().context, reset_scopes("Escrows")))
    world.pass_time(7 * HOUR)
    before = attempts(world)
    world.cycle()
    assert attempts(world) == before


def test_a_restart_of_the_quarantine_lifts_it_for_now(world):
    world.directory.behaviour.permissions = frozenset()
    world.cycle()
    assert state_of(world).quarantine is not None
    world.run(control.restart(world.engine().context, reset_scopes("QuarantineState")))
    assert state_of(world).quarantine is None


def test_a_job_that_is_being_driven_is_not_restarted(world):
    world.run(world.engine().begin_cycle())
    with pytest.raises(LeaseLost, match="nothing was changed"):
        world.run(control.restart(world.engine().context, reset_scopes("")))
