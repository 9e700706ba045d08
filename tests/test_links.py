"""Links and what finds them: one key and one record belong to one object, whoever comes second learns of it."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.engine.jobs import JobRows
from provisioning.engine.links import KEY, TARGET, Known, Links
from provisioning.engine.neighbours import Records
from provisioning.engine.transactions import commit_each
from provisioning.errors import RowConflict
from provisioning.model import Escrow, Link
from provisioning.rows import Insert, Put, Replace
from tests.faulty_store import FaultyStore
from tests.interleaving_store import InterleavingStore


@pytest.fixture
def links(sqlite_store):
    return Links(sqlite_store.behind, "job")


def link(name: str, key: str | None = None, sys_id: str | None = None, kind: str = "user") -> Link:
    return Link(kind, name, match_value=key, sys_id=sys_id)


# --- Links ----------------------------------------------------------------------------------------


def test_an_object_without_a_link_has_an_empty_one(links, runner):
    assert runner.run(links.load([("user", "u1")])) == {("user", "u1"): Known(Link("user", "u1"), "")}


def test_a_link_is_read_as_it_was_saved(links, runner):
    full = Link(
        "user",
        "u1",
        grants=("role:r", "group:g"),
        sys_id="s1",
        generation=2,
        match_value="ada@c.com",
        origin="adopted",
        intended=True,
        enabled=True,
        manager="m",
        written={"title": "x"},
        altered={"title": "y"},
        escrow=Escrow("Timeout", "no answer", 1.0, 2, 3.0),
    )
    (etag,) = runner.run(links.save([(full, "")]))
    assert runner.run(links.load([("user", "u1"), ("group", "u1")])) == {
        ("user", "u1"): Known(full, etag),
        ("group", "u1"): Known(Link("group", "u1"), ""),
    }


def test_a_link_that_changed_meanwhile_is_not_overwritten_and_the_others_are_saved(links, runner):
    first, second = runner.run(links.save([(link("u1"), ""), (link("u2"), "")]))
    runner.run(links.save([(link("u1", "newer"), first)]))
    conflict, saved, again = runner.run(
        links.save([(link("u1", "older"), first), (link("u2", "newer"), second), (link("u1"), "")])
    )
    assert isinstance(conflict, RowConflict)
    assert isinstance(again, RowConflict)
    known = runner.run(links.load([("user", "u1"), ("user", "u2")]))
    assert [found.link.match_value for found in known.values()] == ["newer", "newer"]
    assert known["user", "u2"].etag == saved


def test_the_pages_of_all_partitions_hold_every_link_once(links, runner):
    names = {f"user-{number:03d}" for number in range(200)}
    runner.run(links.save([(link(name), "") for name in names] + [(link("user-000", kind="group"), "")]))
    found = []
    for nibble in "0123456789abcdef":
        after = ""
        while page := runner.run(links.page("user", nibble, after, limit=3)):
            assert [each.id for each in page] == sorted(each.id for each in page)
            found += [each.id for each in page]
            after = page[-1].id
    assert sorted(found) == sorted(names)


def test_jobs_do_not_see_each_others_links(sqlite_store, runner):
    one, other = Links(sqlite_store.behind, "one"), Links(sqlite_store.behind, "other")
    runner.run(one.save([(link("u1", "ada"), "")]))
    runner.run(one.claim([link("u1", "ada", "s1")]))
    assert runner.run(other.load([("user", "u1")]))["user", "u1"].etag == ""
    assert runner.run(other.claim([link("u2", "ada", "s1")])) == [None]


# --- Claims ---------------------------------------------------------------------------------------


def test_a_claimed_key_and_record_are_found_with_their_owner(links, runner):
    assert runner.run(links.claim([link("u1", "ada@c.com", "s1"), link("u2", "bob@c.com", "s2")])) == [None, None]
    assert runner.run(links.owners_by_key("user", ["ada@c.com", "ADA@c.com", "eve@c.com"])) == {
        "ada@c.com": "u1",
        "ADA@c.com": "u1",
    }
    assert runner.run(links.owners_by_record("user", ["s2", "s3"])) == {"s2": "u2"}
    assert runner.run(links.owners_by_key("group", ["ada@c.com"])) == {}


def test_a_claim_may_be_repeated(links, runner):
    for _ in range(2):
        assert runner.run(links.claim([link("u1", "ada", "s1")])) == [None]


@pytest.mark.parametrize("second", [link("u2", "ada", "s2"), link("u2", "ADA", "s2"), link("u2", "bob", "s1")])
def test_who_claims_what_is_taken_learns_who_has_it(links, runner, second):
    runner.run(links.claim([link("u1", "ada", "s1")]))
    assert runner.run(links.claim([second])) == ["u1"]


def test_who_finds_the_record_taken_does_not_keep_the_key(links, runner):
    """Else the key would belong for ever to an object that never gets an account by it."""
    runner.run(links.claim([link("u1", "ada", "s1")]))
    assert runner.run(links.claim([link("u2", "bob", "s1"), link("u3", "eve", "s3")])) == ["u1", None]
    assert runner.run(links.owners_by_key("user", ["ada", "bob", "eve"])) == {"ada": "u1", "eve": "u3"}
    assert runner.run(links.claim([link("u4", "bob", "s4")])) == [None]


@pytest.mark.parametrize("second", [link("u2", "Ada", "s2"), link("u2", "bob", "s1")])
def test_of_two_claims_at_once_the_first_wins(links, runner, second):
    assert runner.run(links.claim([link("u1", "ada", "s1"), second])) == [None, "u1"]
    assert runner.run(links.owners_by_key("user", ["ada", "bob"])) == {"ada": "u1"}


def test_a_record_that_is_taken_over_within_the_job_is_the_new_objects_to_other_jobs_as_well(sqlite_store, runner):
    store = sqlite_store.behind

    def records(job):
        return Records(store, JobRows(store, job), lambda: 1e9)

    links = Links(store, "job", records("job"))
    assert runner.run(links.claim([link("u1", "ada", "s1")])) == [None]
    runner.run(links.save([(link("u1", "ada", "s2"), "")]))  # it has got another record since
    assert runner.run(links.claim([link("u2", "bob", "s1")])) == [None]
    assert runner.run(records("other").holders("user", ["s1"]))["s1"].source == "u2"


def test_claims_of_different_workers_never_both_succeed(sqlite_store, runner):
    links = Links(InterleavingStore(sqlite_store.behind), "job")

    async def race():
        return await asyncio.gather(*(links.claim([link(f"u{n}", "ada", f"s{n}")]) for n in range(5)))

    results = [holder for (holder,) in runner.run(race())]
    assert results.count(None) == 1
    winner = f"u{results.index(None)}"
    assert set(results) == {None, winner}
    assert runner.run(links.owners_by_key("user", ["ada"])) == {"ada": winner}
    assert runner.run(links.owners_by_record("user", [f"s{n}" for n in range(5)])) == {winner.replace("u", "s"): winner}


def test_a_claim_without_key_or_record_takes_nothing(links, runner, sqlite_store):
    assert runner.run(links.claim([link("u1"), link("u2")])) == [None, None]
    for table in (KEY, TARGET):
        assert not any(sqlite_store.scan(table, f"job|user|{nibble}") for nibble in "0123456789abcdef")


def test_what_is_given_back_may_be_claimed_by_others(links, runner):
    first = link("u1", "ada", "s1")
    runner.run(links.claim([first]))
    runner.run(links.unclaim([first]))
    assert runner.run(links.claim([link("u2", "ada", "s1")])) == [None]


def test_nobody_gives_back_what_others_hold(links, runner):
    runner.run(links.claim([link("u1", "ada", "s1")]))
    runner.run(links.unclaim([link("u2", "ada", "s1")]))
    assert runner.run(links.owners_by_key("user", ["ada"])) == {"ada": "u1"}
    assert runner.run(links.owners_by_record("user", ["s1"])) == {"s1": "u1"}


def test_a_forgotten_link_leaves_no_trace(links, runner):
    first, other = link("u1", "ada", "s1"), link("u2", "bob", "s2")
    runner.run(links.claim([first, other]))
    runner.run(links.save([(first, ""), (other, "")]))
    for _ in range(2):
        runner.run(links.forget([first]))
    known = runner.run(links.load([("user", "u1"), ("user", "u2")]))
    assert known["user", "u1"] == Known(Link("user", "u1"))
    assert known["user", "u2"].link == other
    assert runner.run(links.owners_by_key("user", ["ada", "bob"])) == {"bob": "u2"}
    assert runner.run(links.owners_by_record("user", ["s1", "s2"])) == {"s2": "u2"}


@pytest.mark.parametrize("value", ["a/b\\c#d?e", "Łódź\t%", "x" * 3000, "日本"])
def test_any_match_value_can_be_claimed(links, runner, value):
    assert runner.run(links.claim([link("u1", value, "s1")])) == [None]
    assert runner.run(links.owners_by_key("user", [value])) == {value: "u1"}


# --- Many conditional writes ----------------------------------------------------------------------


def test_one_rows_conflict_is_kept_to_that_row(sqlite_store, runner):
    store = sqlite_store.behind
    runner.run(commit_each(store, "t", [("p", Insert("taken", {}))]))
    writes = [("p", Insert(f"k{n}", {"n": n})) for n in range(150)]
    results = runner.run(commit_each(store, "t", [*writes[:120], ("p", Insert("taken", {"n": -1})), *writes[120:]]))
    assert [position for position, result in enumerate(results) if isinstance(result, RowConflict)] == [120]
    assert len(sqlite_store.scan("t", "p")) == 151
    etags = {row.key: row.etag for row in sqlite_store.scan("t", "p")}
    assert all(etags[f"k{n}"] == result for n, result in enumerate([*results[:120], *results[121:]]))


def test_a_row_that_is_written_twice_is_written_in_the_order_given(sqlite_store, runner):
    writes = [("p", Put("k", {"n": 1})), ("q", Put("k", {"n": 2})), ("p", Put("k", {"n": 3})), ("p", Insert("k", {}))]
    *_, last = runner.run(commit_each(sqlite_store.behind, "t", writes))
    assert isinstance(last, RowConflict)
    assert sqlite_store.get("t", "p", "k").data == {"n": 3}


def test_nothing_to_write_asks_for_nothing(sqlite_store, runner):
    counting = FaultyStore(sqlite_store.behind)
    assert runner.run(commit_each(counting, "t", [])) == []
    assert counting.calls == 0


def test_the_new_etag_is_good_for_the_next_write(sqlite_store, runner):
    (etag,) = runner.run(commit_each(sqlite_store.behind, "t", [("p", Insert("k", {}))]))
    (result,) = runner.run(commit_each(sqlite_store.behind, "t", [("p", Replace("k", {"n": 1}, etag))]))
    assert isinstance(result, str)
