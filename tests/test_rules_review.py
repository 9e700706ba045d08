"""How many removals a plan may carry out before a person has to agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.model import (
    Action,
    Clearance,
    Create,
    Decision,
    Disable,
    Fail,
    Hold,
    Match,
    Pending,
    Remove,
    ScopeCheck,
    Skip,
    Update,
)
from provisioning.rules.review import Harm, Limits, clearance_of, harm_of, is_cleared, review, version_of, wiped

LINKED, FOUND = Match("link", "ada", ("s1",)), Match("attribute", "ada", ("s1",))
OUT = (ScopeCheck("Assigned", passed=False),)
EMPTIES = Update("s1", {"title": ""}, {"title": "Analyst"})
OVERWRITES = Update("s1", {"title": "Boss"}, {"title": "Analyst"})
DISABLE = Disable("s1", {"active": "false"}, {"active": "true"})


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


def test_the_verdict_tells_what_the_last_day_has_seen():
    verdict = review("wipes", 21, 50, Limits(), executed=9)
    assert "overwritten or emptied (9 of them in the last 24 hours)" in str(verdict)


# --- What does harm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "action", "match", "scope", "harm"),
    [
        ("user:u", DISABLE, LINKED, (), Harm("users")),
        ("user:u", Remove("s1", {}), LINKED, (), Harm("users", deletes=True)),
        ("group:g", Disable("s1", {}, {}), LINKED, (), Harm("groups")),
        ("group:g", Remove("s1", {}), LINKED, (), Harm("groups", deletes=True)),
        ("group:g", Update("s1", {"active": "false"}, {"active": "true"}), LINKED, (), Harm("groups")),
        ("member:g:u", Remove("s1", {}), LINKED, (), Harm("memberships", deletes=True)),
        ("user:u", EMPTIES, LINKED, (), Harm("wipes")),
        ("group:g", EMPTIES, LINKED, (), Harm("wipes")),
        ("user:u", EMPTIES, LINKED, OUT, Harm("users")),
        ("user:u", OVERWRITES, LINKED, OUT, Harm("users")),
        ("user:u", OVERWRITES, LINKED, (), None),
        ("user:u", OVERWRITES, FOUND, (), Harm("wipes")),
        ("user:u", OVERWRITES, Match("intent", "ada", ("s1",)), (), Harm("wipes")),
        ("user:u", Update("s1", {"title": "Boss"}, {"title": ""}), FOUND, (), None),
        ("user:u", Update("s1", {"title": "Boss"}, {}), FOUND, (), None),
        ("user:u", Create("s1", 0, {"title": "Boss"}), None, (), None),
        ("user:u", Skip("RedundantExport", ""), LINKED, (), None),
        ("user:u", Fail("Conflict", "", ""), LINKED, (), None),
    ],
)
def test_what_a_decision_takes_away(key, action, match, scope, harm):
    assert harm_of(Decision(key, action, match=match, scope=scope)) == harm


@pytest.mark.parametrize(
    ("value", "before", "found", "lost"),
    [
        ("", "x", False, True),
        ("", "", False, False),
        ("y", "x", False, False),
        ("y", "x", True, True),
        ("ADA", "ada ", True, False),
    ],
)
def test_a_value_is_lost_when_it_is_emptied_or_when_others_wrote_it(value, before, found, lost):
    assert wiped({"title": value}, {"title": before}, found=found) == (("title",) if lost else ())


# --- What was let through ---------------------------------------------------------------------------


def pending(action: Action, clearance: Clearance | None) -> Pending:
    return Pending("user:u", "removals", decision=Decision("user:u", action, match=LINKED), clearance=clearance)


def approved(action: Action) -> Clearance:
    return Clearance("users", version=version_of(Decision("user:u", action)))


@pytest.mark.parametrize(
    ("action", "clearance", "cleared"),
    [
        (OVERWRITES, None, True),
        (DISABLE, None, False),
        (DISABLE, clearance_of(Harm("users")), True),
        (DISABLE, clearance_of(Harm("wipes")), False),
        (Remove("s1", {}), clearance_of(Harm("users")), False),
        (Remove("s1", {}), clearance_of(Harm("users", deletes=True)), True),
        (DISABLE, approved(DISABLE), True),
        (Disable("s2", {"active": "false"}, {"active": "true"}), approved(DISABLE), False),
        (Remove("s1", {}), approved(DISABLE), False),
    ],
)
def test_only_what_was_let_through_may_be_carried_out(action, clearance, cleared):
    assert is_cleared(pending(action, clearance)) is cleared


def test_a_row_without_a_decision_does_no_harm_yet():
    assert is_cleared(Pending("user:u", "users", hold=Hold("v")))


def test_a_version_tells_objects_actions_records_and_values_apart():
    actions = [
        DISABLE,
        EMPTIES,
        OVERWRITES,
        Remove("s1", {}),
        Remove("s2", {}),
        Disable("s1", {"active": "false"}, {"active": ""}),
    ]
    versions = {version_of(Decision(key, action)) for key in ("user:u", "user:v") for action in actions}
    assert len(versions) == 2 * len(actions)


def test_a_membership_is_the_same_whichever_of_its_rows_is_left():
    first, second = (Decision("member:g:u", Remove(row, {"group": "g1", "user": "u1"})) for row in ("s1", "s2"))
    assert version_of(first) == version_of(second)
