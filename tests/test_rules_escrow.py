"""When what failed is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.model import (
    Create,
    Decision,
    Disable,
    Escrow,
    Fail,
    Refused,
    Remove,
    ScopeCheck,
    Skip,
    Unsettled,
    Update,
    Written,
)
from provisioning.rules.escrow import (
    DAY,
    HOUR,
    Persistence,
    RetryPolicy,
    following,
    is_forgotten,
    next_attempt,
    persistence,
)

CREATE, UPDATE = Create("a", 0, {}), Update("a", {}, {})
DISABLE, REMOVE = Disable("a", {}, {}), Remove("a", {})
REFUSED, BUSY = Refused("NotPermitted", "", ""), Refused("TooManyRequests", "", "")
TAKEN = Refused("Conflict", "", "")
OUT = (ScopeCheck("Assigned", passed=False),)


def series(policy: RetryPolicy, most: int = 100, kind: Persistence = "lasting", cycle: float = 0.0) -> list[float]:
    """The seconds after the first failure at which an object is tried again that fails each time, with so many seconds
    between two cycles.
    """
    first, escrow, moment, found = 1e9, None, 1e9, []
    for _ in range(most):
        escrow = following(escrow, "Conflict", "", kind, moment)
        again = next_attempt(escrow, kind, moment, policy)
        if again is None:
            return found
        moment = max(again, moment + cycle)
        found.append(moment - first)
    raise AssertionError("it never ends")


def test_entras_pauses_are_6_12_and_24_hours_after_the_first_failure_then_days_until_the_28th():
    expected = [6 * HOUR, 12 * HOUR, *(day * DAY for day in range(1, 29))]
    assert series(RetryPolicy()) == expected


def test_a_value_that_is_taken_is_tried_in_the_next_two_cycles_before_the_pauses():
    forty = 2400.0
    found = series(RetryPolicy(), kind="clash", cycle=forty)
    assert found[:5] == [forty, 2 * forty, 6 * HOUR, 12 * HOUR, DAY]
    assert found[-1] == 28 * DAY


def test_other_pauses_can_be_set():
    assert series(RetryPolicy((10.0, 60.0), interval=100.0, lifetime=300.0)) == [10.0, 60.0, 160.0, 260.0]
    assert series(RetryPolicy((), interval=100.0, lifetime=300.0)) == [100.0, 200.0, 300.0]


@pytest.mark.parametrize("kind", ["passing", "removal"])
def test_what_may_pass_and_failed_removals_are_tried_in_each_cycle_for_ever(kind):
    escrow = Escrow("Timeout", "", 0.0, 500, 0.0)
    assert next_attempt(escrow, kind, 100 * DAY, RetryPolicy()) == 100 * DAY


@given(st.floats(0, 27 * DAY), st.floats(0, 2 * DAY))
def test_the_next_attempt_is_later_and_the_grid_does_not_shift_when_an_object_is_tried_in_between(passed, between):
    escrow = Escrow("Conflict", "", 1e9, 1, 0.0)
    again = next_attempt(escrow, "lasting", 1e9 + passed, RetryPolicy())
    assert again is not None
    assert again > 1e9 + passed
    assert again - (1e9 + passed) <= DAY + 1e-3
    earlier = next_attempt(escrow, "lasting", 1e9 + max(0.0, passed - between), RetryPolicy())
    assert earlier is not None
    assert earlier <= again


@pytest.mark.parametrize(
    ("action", "outcome", "kind"),
    [
        (CREATE, REFUSED, "lasting"),
        (UPDATE, REFUSED, "lasting"),
        (UPDATE, BUSY, "passing"),
        (CREATE, Refused("Conflict", "", "", transient=True), "passing"),
        (CREATE, TAKEN, "clash"),
        (UPDATE, TAKEN, "clash"),
        (DISABLE, TAKEN, "removal"),
        (Fail("EntryConflict", "", ""), None, "clash"),
        (Fail("DuplicateSourceEntries", "", ""), None, "passing"),
        (Fail("InvalidLookupReference", "", ""), None, "passing"),
        (UPDATE, Refused("InvalidLookupReference", "", ""), "passing"),
        (CREATE, Unsettled("?"), "passing"),
        (DISABLE, REFUSED, "removal"),
        (REMOVE, REFUSED, "removal"),
        (REMOVE, Unsettled("?"), "removal"),
        (Fail("DuplicateTargetEntries", "", ""), None, "lasting"),
        (Fail("InternalError", "", ""), None, "passing"),
        (CREATE, Written({}), None),
        (Skip("RedundantExport", ""), None, None),
        (DISABLE, Written({}), None),
    ],
)
def test_what_kind_of_failure_it_is(action, outcome, kind):
    assert persistence(Decision("user:a", action), outcome) == kind


def test_who_is_out_of_scope_and_cannot_be_decided_about_counts_as_a_failed_removal():
    decision = Decision("user:a", Fail("ExpressionEvaluationFailed", "", ""), scope=OUT)
    assert persistence(decision, None) == "removal"


def test_another_code_begins_another_series():
    first = following(None, "Conflict", "x", "lasting", 10.0)
    again = following(first, "Conflict", "y", "lasting", 20.0)
    assert (again.since, again.attempts, again.message) == (10.0, 2, "y")
    other = following(again, "NotPermitted", "z", "lasting", 30.0)
    assert (other.since, other.attempts) == (30.0, 1)


def test_a_restart_forgets_failures_and_no_failed_removal():
    assert is_forgotten(Escrow("Conflict", "", 10.0, 1, 0.0), 20.0)
    assert not is_forgotten(Escrow("Conflict", "", 20.0, 1, 0.0), 20.0)
    assert not is_forgotten(Escrow("Conflict", "", 10.0, 1, 0.0, removal=True), 20.0)
    assert not is_forgotten(None, 20.0)
