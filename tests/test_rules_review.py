"""How many removals a plan may carry out before a person has to agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.rules.review import Limits, review


@pytest.mark.parametrize(
    ("limits", "managed", "allowed"),
    [
        (Limits(), 0, 3),
        (Limits(), 20, 3),
        (Limits(), 61, 4),
        (Limits(), 1000, 50),
        (Limits(), 1001, 51),
        (Limits(), 100_000, 500),
        (Limits(absolute=10), 1000, 10),
        (Limits(absolute=0, floor=0), 1000, 0),
        (Limits(share=0.0, floor=0), 1000, 0),
        (Limits(share=1.0, floor=0), 7, 7),
        (Limits(share=0.07, floor=0), 100, 7),
        (Limits(share=0.29, floor=0), 100, 29),
    ],
)
def test_the_smaller_limit_counts_but_never_less_than_the_floor(limits, managed, allowed):
    assert limits.allowed(managed) == allowed


@pytest.mark.parametrize(("removals", "held"), [(0, False), (3, False), (4, True)])
def test_as_many_as_allowed_go_through_and_one_more_is_held(removals, held):
    assert review("users", removals, 10, Limits()).held is held


def test_the_verdict_says_how_many_of_how_many():
    verdict = review("users", 21, 50, Limits())
    assert str(verdict) == "21 of 50 users (42.0%) would be removed; 3 may be"


def test_removals_of_what_nobody_counted_are_all_of_it():
    assert "(100.0%)" in str(review("users", 5, 0, Limits()))


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 1000),
    st.floats(0, 1),
    st.integers(0, 10),
)
def test_more_managed_objects_never_allow_fewer_removals(one, other, absolute, share, floor):
    limits = Limits(absolute, share, floor)
    fewer, more = sorted((one, other))
    assert floor <= limits.allowed(fewer) <= limits.allowed(more) <= max(floor, absolute)
