"""The journal: entries are found by time, by object and by what they say, page by page, and removed when old."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.adapters.sqlite import SqliteStore
from provisioning.engine.journal import JOURNAL, Journal
from provisioning.model import Decision, Fail, Skip
from provisioning.rules.log_query import LogQuery
from provisioning.rules.summary import Occurrence, Origin

ORIGIN = Origin("tenant", "job", "cycle", "sp", "ServiceNow", "dev.service-now.com")
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
DAY = 86400.0


class CountingStore(SqliteStore):
    """Counts the scans and point reads of the journal."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.reads = 0

    async def scan(self, *arguments, **options):
        self.reads += 1
        return await super().scan(*arguments, **options)

    async def get_many(self, *arguments, **options):
        self.reads += 1
        return await super().get_many(*arguments, **options)


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture
def journal(store):
    return Journal(store, "job")


_numbers = itertools.count()


def told(at: float, key: str = "user:u1", *, failed: bool = False, name: str = "Ada") -> Occurrence:
    action = Fail("MissingValues", "no name", "give one") if failed else Skip("RedundantExport", "nothing to do")
    return Occurrence(Decision(key, action, name=name), None, f"change-{next(_numbers):06d}", at)


def times(entries) -> list[str]:
    return [entry["activityDateTime"][:19] for entry in entries]


def found(runner, journal, text: str = "", *, order: str = "", top: int = 100_000) -> list[dict]:
    """All pages of a query, read to the end."""
    entries: list[dict] = []
    token = ""
    while token is not None:
        page = runner.run(journal.search(LogQuery.parse(filter_=text, order=order, top=top, skip_token=token)))
        assert len(page.entries) <= top
        entries += page.entries
        token = page.next_token
    return entries


def test_entries_come_newest_first_over_hours_and_days(runner, journal):
    moments = [NOON - 40 * DAY, NOON - 3601, NOON - 3600, NOON - 1, NOON]
    runner.run(journal.add([told(at) for at in moments], ORIGIN))
    newest = found(runner, journal)
    assert times(newest) == sorted(times(newest), reverse=True)
    assert len(newest) == len(moments)
    assert found(runner, journal, order="activityDateTime asc") == newest[::-1]


@given(
    st.lists(st.tuples(st.integers(0, 200_000), st.booleans(), st.sampled_from(["user:u1", "user:u2", "member:g:u"]))),
    st.integers(1, 7),
    st.sampled_from(["activityDateTime desc", "activityDateTime asc"]),
    st.sampled_from(
        [
            "",
            "provisioningStatusInfo/status eq 'failure'",
            "sourceIdentity/id eq 'u1'",
            "sourceIdentity/id eq 'g:u' and provisioningStatusInfo/status eq 'skipped'",
            "activityDateTime ge 2026-01-01T12:00:10Z and activityDateTime lt 2026-01-01T12:02:10Z",
            "sourceIdentity/id eq 'u2' and activityDateTime gt 2026-01-01T12:00:30Z",
        ]
    ),
)
def test_pages_hold_every_entry_that_matches_once_and_in_order(rows, top, order, text):
    journal = Journal(SqliteStore(":memory:"), "job")
    occurrences = [told(NOON + at / 1000, key, failed=failed) for at, failed, key in rows]
    with asyncio.Runner() as runner:
        runner.run(journal.add(occurrences, ORIGIN))
        everything = found(runner, journal)
        assert {entry["id"] for entry in everything} == {each.change for each in occurrences}
        wanted = [entry for entry in everything if LogQuery.parse(filter_=text).matches(entry)]
        ordered = wanted if order.endswith("desc") else wanted[::-1]
        paged = found(runner, journal, text, order=order, top=top)
        assert [entry["id"] for entry in paged] == [entry["id"] for entry in ordered]


def test_an_hour_of_many_entries_is_read_from_its_end_too(runner, journal):
    occurrences = [told(NOON + number * 0.4, f"user:u{number}") for number in range(2500)]
    occurrences += [told(NOON + 7, f"user:v{number}") for number in range(1500)]
    runner.run(journal.add(occurrences, ORIGIN))
    upward = found(runner, journal, order="activityDateTime asc", top=700)
    assert len(upward) == 4000
    assert upward == found(runner, journal)[::-1]


def test_a_repeated_step_writes_no_entry_twice(runner, journal):
    occurrence = told(NOON)
    runner.run(journal.add([occurrence], ORIGIN))
    runner.run(Journal(journal.store, "job").add([occurrence], ORIGIN))
    assert len(found(runner, journal)) == 1
    assert len(runner.run(journal.of_object("user:u1"))) == 1


def test_the_log_of_a_year_costs_no_more_reads_than_the_hours_that_have_entries(runner, journal, store):
    runner.run(journal.add([told(NOON - 365 * DAY), told(NOON)], ORIGIN))
    store.reads = 0
    assert len(found(runner, journal)) == 2
    assert store.reads <= 4


def test_a_query_with_a_span_reads_only_its_hours(runner, journal, store):
    runner.run(journal.add([told(NOON - hours * 3600) for hours in range(200)], ORIGIN))
    store.reads = 0
    text = "activityDateTime ge 2026-01-01T10:30:00Z and activityDateTime lt 2026-01-01T11:30:00Z"
    assert times(found(runner, journal, text)) == ["2026-01-01T11:00:00"]
    assert store.reads <= 4


def test_an_objects_entries_are_found_without_reading_the_log(runner, journal, store):
    others = [told(NOON - number, f"user:x{number}") for number in range(1000)]
    runner.run(journal.add([*others, told(NOON - 5000), told(NOON - 10), told(NOON)], ORIGIN))
    store.reads = 0
    asked = found(runner, journal, "sourceIdentity/id eq 'u1' and sourceIdentity/identityType eq 'User'")
    assert [entry["sourceIdentity"]["id"] for entry in asked] == ["u1"] * 3
    assert store.reads <= 4


def test_a_page_ends_when_it_has_looked_at_enough_and_the_next_goes_on(runner, store):
    journal = Journal(store, "job", searched=10)
    occurrences = [told(NOON - number, failed=number == 35) for number in range(40)]
    runner.run(journal.add(occurrences, ORIGIN))
    text = "provisioningStatusInfo/status eq 'failure'"
    first = runner.run(journal.search(LogQuery.parse(filter_=text)))
    assert first.entries == ()
    assert first.next_token
    assert len(found(runner, journal, text)) == 1


# --- retention ----------------------------------------------------------------------------------


def rows_of(runner, store, *partitions: str) -> int:
    return sum(len(runner.run(store.scan(JOURNAL, partition))) for partition in partitions)


def pointers(runner, store) -> int:
    return rows_of(runner, store, *(f"job|object|{nibble}" for nibble in "0123456789abcdef"))


def test_old_entries_go_with_their_pointers_and_their_hours(runner, journal, store):
    keys = ("user:u1", "group:g1", "member:g1:u1")
    runner.run(journal.add([told(NOON - days * DAY, key) for days in (0, 29, 31, 45) for key in keys], ORIGIN))
    assert runner.run(journal.prune(NOON - 30 * DAY, limit=1000, until=lambda: False)) == 6
    left = found(runner, journal)
    assert times(left) == ["2026-01-01T12:00:00"] * 3 + ["2025-12-03T12:00:00"] * 3
    assert pointers(runner, store) == 6
    assert rows_of(runner, store, "job|hours") == 2
    assert len(runner.run(journal.of_object("member:g1:u1"))) == 2


def test_pruning_goes_on_where_its_limit_ended_it_oldest_first(runner, journal, store):
    runner.run(journal.add([told(NOON - 40 * DAY - n, f"user:u{n}") for n in range(2500)], ORIGIN))
    runner.run(journal.add([told(NOON - 50 * DAY)], ORIGIN))
    assert runner.run(journal.prune(NOON - 30 * DAY, limit=1500, until=lambda: False)) < 2501
    assert len(found(runner, journal)) == pointers_of_all(runner, journal, 2500) < 2501
    while runner.run(journal.prune(NOON - 30 * DAY, limit=1500, until=lambda: False)):
        pass
    assert found(runner, journal) == []
    assert pointers(runner, store) == rows_of(runner, store, "job|hours") == 0


def pointers_of_all(runner, journal, users: int) -> int:
    return sum(len(runner.run(journal.of_object(f"user:u{n}"))) for n in range(users))


def test_pruning_without_old_entries_reads_no_entry(runner, journal, store):
    runner.run(journal.add([told(NOON - hours * 3600) for hours in range(200)], ORIGIN))
    store.reads = 0
    assert runner.run(journal.prune(NOON - 30 * DAY, limit=1000, until=lambda: False)) == 0
    assert store.reads == 1


def test_pruning_stops_when_its_time_is_over(runner, journal):
    runner.run(journal.add([told(NOON - 40 * DAY)], ORIGIN))
    assert runner.run(journal.prune(NOON, limit=1000, until=lambda: True)) == 0
    assert len(found(runner, journal)) == 1


def test_an_hour_that_was_pruned_is_announced_again(runner, journal):
    runner.run(journal.add([told(NOON)], ORIGIN))
    runner.run(journal.prune(NOON + DAY, limit=1000, until=lambda: False))
    runner.run(journal.add([told(NOON)], ORIGIN))
    assert len(found(runner, journal)) == 1
