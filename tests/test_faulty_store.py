"""What the store of the simulation tests leaves behind when it fails."""

from __future__ import annotations

import pytest

from provisioning.adapters.sqlite import SqliteStore
from provisioning.errors import RowConflict, Unavailable
from provisioning.rows import Insert, Put, Replace
from tests.blocking_store import BlockingStore
from tests.faulty_store import Crash, FaultyStore


@pytest.fixture
def faulty(runner):
    with BlockingStore(FaultyStore(SqliteStore(":memory:")), runner) as store:
        yield store


def keys(store):
    return [row.key for row in store.scan("link", "p")]


def test_without_orders_it_is_the_store_behind_it(faulty):
    (etag,) = faulty.commit("link", "p", Insert("k", {"n": 1}))
    assert faulty.get("link", "p", "k").etag == etag
    assert faulty.get_many("link", [("p", "k")])["p", "k"].data == {"n": 1}
    assert keys(faulty) == ["k"]


def test_a_crash_before_the_second_commit_leaves_the_first(faulty):
    faulty.behind.crash_before_commit(2)
    faulty.commit("link", "p", Put("first", {}))
    with pytest.raises(Crash):
        faulty.commit("link", "p", Put("second", {}))
    with pytest.raises(Crash):
        faulty.get("link", "p", "first")
    faulty.behind.restart()
    assert keys(faulty) == ["first"]
    faulty.commit("link", "p", Put("second", {}))
    assert keys(faulty) == ["first", "second"]


def test_a_lost_reply_looks_like_a_failure_but_the_row_is_there(faulty):
    faulty.behind.lose_reply_after_commit()
    with pytest.raises(Unavailable, match="reply"):
        faulty.commit("link", "p", Insert("k", {"by": "me"}))
    assert faulty.get("link", "p", "k").data == {"by": "me"}


def test_whoever_repeats_a_write_whose_reply_was_lost_meets_a_conflict_with_itself(faulty):
    (etag,) = faulty.commit("link", "p", Insert("k", {"n": 1}))
    faulty.behind.lose_reply_after_commit()
    with pytest.raises(Unavailable):
        faulty.commit("link", "p", Replace("k", {"n": 2}, etag), Insert("new", {}))
    with pytest.raises(RowConflict):
        faulty.commit("link", "p", Replace("k", {"n": 2}, etag), Insert("new", {}))
    row = faulty.get("link", "p", "k")
    assert row.data == {"n": 2}
    faulty.commit("link", "p", Replace("k", {"n": 3}, row.etag))


def test_a_conflict_is_reported_although_a_lost_reply_was_ordered(faulty):
    faulty.commit("link", "p", Insert("k", {}))
    faulty.behind.lose_reply_after_commit()
    with pytest.raises(RowConflict):
        faulty.commit("link", "p", Insert("k", {}))


def test_calls_fail_as_often_as_ordered_and_do_nothing(faulty):
    faulty.behind.fail_calls(2, after=1)
    faulty.commit("link", "p", Put("a", {}))
    with pytest.raises(Unavailable):
        faulty.commit("link", "p", Put("b", {}))
    with pytest.raises(Unavailable):
        faulty.scan("link", "p")
    assert keys(faulty) == ["a"]
