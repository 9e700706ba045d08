"""Which state a record is in, where several could be said of it, and with which reason."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.rules.attributes import Facts
from provisioning.rules.discovery import GONE, IN_SCOPE, STATES, Evidence, Standing, classify, standing_of
from provisioning.schema.mappings import ScopeFilter
from tests.mappings import clause, person, scope

TODAY = date(2026, 11, 27)
OLD, NEW = TODAY - timedelta(days=91), TODAY - timedelta(days=90)
OUT, UNKNOWN = Standing("out", "1) not assigned"), Standing("unknown", "the filter cannot be evaluated")
LINK = {"job": "job", "ours": True, "sources": ("u1",)}
EVERYTHING = {"ambiguity": "2 records", "protection": "it is named", "seen": OLD, "logged_in": True}
CASES = [
    ("stale", {**LINK, **EVERYTHING, "standing": GONE}),
    ("stale", {**LINK, "standing": OUT}),
    ("managed", {**LINK, "standing": OUT, "active": False}),
    ("managed", {**LINK, "standing": UNKNOWN}),
    ("managed", {**LINK, "standing": IN_SCOPE, "ambiguity": "2 records", "seen": OLD}),
    ("protected", {**LINK, **EVERYTHING, "standing": IN_SCOPE}),
    ("protected", {**LINK, **EVERYTHING, "standing": GONE, "active": False}),
    ("managed", {"job": "other", "sources": ("x",), "standing": GONE, "seen": OLD}),
    ("protected", {**EVERYTHING, "sources": ("u1",), "standing": OUT}),
    ("ambiguous", {"sources": ("u1",), "standing": IN_SCOPE, "ambiguity": "2 records"}),
    ("ambiguous", {"sources": ("u1", "u2"), "standing": IN_SCOPE}),
    ("managed", {"sources": ("u1",), "standing": IN_SCOPE}),
    ("unassigned", {"sources": ("u1",), "standing": OUT, "seen": OLD}),
    ("unassigned", {"sources": ("u1",), "standing": UNKNOWN}),
    ("stale", {"seen": OLD, "logged_in": True}),
    ("stale", {"seen": OLD}),
    ("local", {"seen": NEW, "logged_in": True}),
    ("local", {"seen": OLD, "active": False}),
    ("local", {"seen": OLD, "kind": "group"}),
    ("local", {}),
]


@pytest.mark.parametrize(("state", "evidence"), CASES)
def test_the_first_that_is_true_is_the_state(state, evidence):
    verdict = classify(Evidence(**{"kind": "user", "active": True, **evidence}), TODAY, 90)
    assert verdict.state == state
    assert verdict.reason


@given(
    st.builds(
        Evidence,
        kind=st.sampled_from(["user", "group"]),
        active=st.booleans(),
        job=st.sampled_from(["", "job"]),
        ours=st.booleans(),
        standing=st.sampled_from([None, IN_SCOPE, OUT, UNKNOWN, GONE]),
        sources=st.sampled_from([(), ("u1",), ("u1", "u2")]),
        ambiguity=st.sampled_from(["", "2 records"]),
        protection=st.sampled_from(["", "it is named"]),
        seen=st.sampled_from([None, OLD, NEW, TODAY + timedelta(days=1)]),
        logged_in=st.booleans(),
    ),
    st.integers(1, 200),
)
def test_everything_has_a_state_and_nobody_inactive_is_stale(evidence, days):
    verdict = classify(evidence, TODAY, days)
    assert verdict.state in STATES
    assert evidence.active or verdict.state != "stale"


def test_a_filter_that_cannot_be_evaluated_is_never_taken_for_out_of_scope():
    asked = scope([clause("department", "REGEX MATCH", "(x+x+)+y")])
    facts = Facts(person(department="x" * 5000))
    assert standing_of(facts, ("role:r",), asked, everyone=False, default_access=True).scope == "unknown"


def test_who_falls_out_by_an_input_filter_is_out_of_scope():
    asked = scope(inputs=([clause("department", "EQUALS", "Finance")],))
    found = standing_of(Facts(person(department="Sales")), ("role:r",), asked, everyone=False, default_access=True)
    assert (found.scope, "input 1" in found.why) == ("out", True)
    inside = standing_of(Facts(person()), ("role:r",), ScopeFilter(), everyone=False, default_access=True)
    assert inside == IN_SCOPE
