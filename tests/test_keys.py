"""Keys of the state: spread evenly, the same for ever, and cut into ranges that leave nothing out."""

from __future__ import annotations

import string
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.engine.keys import (
    AFTER_ALL,
    BINS,
    add_counts,
    bin_of,
    chosen_sys_id,
    digest,
    ends,
    identity,
    partition_of,
    ranges,
)
from provisioning.model import group_key, membership_key, user_key

COUNTS = st.dictionaries(st.sampled_from(BINS), st.integers(1, 50))


@given(COUNTS, st.integers(1, 60))
def test_ranges_cover_every_bin_exactly_once(bins, limit):
    cut = list(ranges(bins, limit))
    for name in bins:
        assert sum(first <= name <= last for first, last, _ in cut) == 1
    assert sum(rows for _, _, rows in cut) == sum(bins.values())
    assert all(rows > 0 for _, _, rows in cut)


@given(COUNTS, st.integers(1, 60))
def test_a_range_is_larger_than_the_limit_only_where_one_bin_is(bins, limit):
    for first, last, rows in ranges(bins, limit):
        assert rows == sum(number for name, number in bins.items() if first <= name <= last)
        assert rows <= limit or first == last


@given(COUNTS, st.integers(1, 60))
def test_no_two_neighbours_would_fit_into_one_range(bins, limit):
    cut = list(ranges(bins, limit))
    for (_, _, rows), (first, _, _) in pairwise(cut):
        assert rows + bins[first] > limit


def test_nothing_staged_gives_no_range():
    assert list(ranges({}, 10)) == []


def test_a_bin_whose_rows_nobody_has_counted_is_in_a_range_all_the_same():
    assert list(ranges({"00": 0}, 10)) == [("00", "00", 0)]
    assert list(ranges({"00": 9, "01": 0, "02": 8}, 10)) == [("00", "01", 9), ("02", "02", 8)]


def test_the_memberships_of_a_group_stay_together_with_it():
    assert bin_of(group_key("g")) == bin_of(membership_key("g", "u1")) == bin_of(membership_key("g", "u2"))


def test_objects_spread_over_all_bins():
    spread = Counter(bin_of(user_key(f"user-{number}")) for number in range(20_000))
    assert set(spread) == set(BINS)
    assert max(spread.values()) < 3 * min(spread.values())


def test_a_link_stands_in_the_partition_of_its_ids_hash():
    assert partition_of("job", "user", "u1") == f"job|user|{digest('u1')[0]}"


def test_keys_do_not_change_between_versions():
    """Stored state and records in ServiceNow carry them: a change would lose every link."""
    assert bin_of("user:u1") == "bb"
    assert chosen_sys_id("tenant", "user", "u1", 0) == "1d0a4e51c4277f286e990cb1832ab7e2"


def test_a_chosen_sys_id_has_servicenows_form_and_depends_on_every_part():
    parts = [("t", "user", "u", 0), ("t2", "user", "u", 0), ("t", "group", "u", 0), ("t", "user", "u2", 0)]
    chosen = [chosen_sys_id(*part) for part in [*parts, ("t", "user", "u", 1)]]
    assert len(set(chosen)) == len(chosen)
    assert all(len(sys_id) == 32 and set(sys_id) <= set("0123456789abcdef") for sys_id in chosen)
    assert chosen_sys_id(*parts[0]) == chosen[0]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=3), min_size=1, max_size=3))
def test_parts_are_not_run_together_in_a_digest(parts):
    assert (digest(*parts) == digest("".join(parts))) == (len(parts) == 1)


@pytest.mark.parametrize(("key", "expected"), [("user:u1", ("user", "u1")), ("group:g1", ("group", "g1"))])
def test_an_object_key_names_its_type_and_source_id(key, expected):
    assert identity(key) == expected


def test_a_membership_key_names_both_ends():
    assert ends(membership_key("g", "u")) == ("g", "u")


def test_the_end_of_all_keys_sorts_behind_them():
    assert all(character < AFTER_ALL for character in f"{string.ascii_letters}{string.digits}|:-._@")


NESTED = st.dictionaries(
    st.sampled_from(["users", "groups"]), st.dictionaries(st.sampled_from(["00", "01"]), st.integers(0, 9))
)


@given(NESTED, NESTED, NESTED)
def test_counts_add_up_in_any_order(one, two, three):
    assert add_counts(one, two) == add_counts(two, one)
    assert add_counts(add_counts(one, two), three) == add_counts(one, add_counts(two, three))
    assert add_counts(one, {}) == one


def test_adding_counts_leaves_both_as_they_were():
    one, two = {"users": {"00": 1}}, {"users": {"00": 2}}
    assert add_counts(one, two) == {"users": {"00": 3}}
    assert (one, two) == ({"users": {"00": 1}}, {"users": {"00": 2}})
