"""What was taken away in the last 24 hours: each object once an hour, and nothing that is older."""

from __future__ import annotations

import pytest

from provisioning.engine.executed import EXECUTED, Executed

NOON = 1_790_000_000.0 - 1_790_000_000 % 3600
HOUR = 3600.0


@pytest.fixture
def executed(sqlite_store):
    return Executed(sqlite_store.behind, "job")


def test_what_is_told_twice_within_an_hour_counts_once(executed, runner):
    for at in (NOON, NOON + 60):
        runner.run(executed.add([("users", "user:u"), ("users", "user:v"), ("wipes", "user:u")], at))
    assert runner.run(executed.count(NOON + 120)) == {"users": 2, "wipes": 1}


def test_the_window_moves_on_and_what_it_leaves_behind_is_forgotten(executed, runner, sqlite_store):
    for hour in range(30):
        runner.run(executed.add([("users", f"user:{hour}")], NOON + hour * HOUR))
    assert runner.run(executed.count(NOON + 29 * HOUR)) == {"users": 24}
    assert len(runner.run(sqlite_store.behind.scan(EXECUTED, "job"))) == 24
    assert runner.run(executed.count(NOON + 100 * HOUR)) == {}


def test_jobs_have_windows_of_their_own(executed, runner, sqlite_store):
    runner.run(executed.add([("users", "user:u")], NOON))
    assert runner.run(Executed(sqlite_store.behind, "another").count(NOON)) == {}


def test_more_than_a_page_is_counted(executed, runner):
    runner.run(executed.add([("users", f"user:{n}") for n in range(1200)], NOON))
    assert runner.run(executed.count(NOON)) == {"users": 1200}
