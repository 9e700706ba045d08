"""What is done with one membership: added, adopted, removed, left to wait, or left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.model import Create, Edge, Link, Missing, Remove, Skip
from provisioning.rules.membership import MembershipSeen, decide_membership

GROUP = Link("group", "g", sys_id="G", enabled=True)
USER = Link("user", "u", sys_id="U", enabled=True)
INTENDED = Link("user", "u", sys_id="U", intended=True)
OURS = Edge("g", "u", "row1", "created")
NEW = "f" * 32


def seen(**observed) -> MembershipSeen:
    usual = {
        "key": "member:g:u",
        "group_id": "g",
        "member_id": "u",
        "wanted": True,
        "group": GROUP,
        "member": USER,
        "group_planned": False,
        "member_planned": False,
        "edge": None,
        "rows": (),
        "candidate_sys_id": NEW,
        "account": {"sys_id": "U", "active": "true"},
    }
    return MembershipSeen(**{**usual, **observed})


def test_nobody_whose_record_is_gone_becomes_a_member():
    decision = decide_membership(seen(account=None))
    assert (decision.action.reason, decision.recheck) == ("UnableToResolveReferenceAttributeValue", True)


def test_a_membership_is_added_once_both_ends_exist():
    decision = decide_membership(seen())
    assert decision.action == Create(NEW, 0, {"group": "G", "user": "U"})
    assert decision.awaits == {}


def test_a_membership_that_is_there_already_is_adopted_and_not_doubled():
    decision = decide_membership(seen(rows=("row7", "row8")))
    assert (type(decision.action), decision.action.reason) == (Skip, "RedundantExport")
    assert decision.match.sys_ids == ("row7", "row8")


@pytest.mark.parametrize("absent", [None, Link("user", "u"), INTENDED])
def test_an_end_that_this_plan_creates_is_awaited(absent):
    decision = decide_membership(seen(member=absent, member_planned=True))
    assert decision.action == Create(NEW, 0, {"group": "G"})
    assert decision.awaits == {"user": "u"}


def test_two_ends_that_this_plan_creates_are_awaited():
    decision = decide_membership(seen(group=None, member=None, group_planned=True, member_planned=True))
    assert decision.action == Create(NEW, 0, {})
    assert decision.awaits == {"group": "g", "user": "u"}


@pytest.mark.parametrize(
    ("observed", "missing"),
    [
        ({"member": None}, (Missing("user", "u"),)),
        ({"group": None}, (Missing("group", "g"),)),
        ({"group": None, "group_planned": True, "member": None}, (Missing("user", "u"),)),
        ({"group": None, "member": None}, (Missing("group", "g"), Missing("user", "u"))),
    ],
)
def test_a_membership_waits_for_an_end_that_nobody_provisions(observed, missing):
    decision = decide_membership(seen(**observed))
    assert decision.action.reason == "UnableToResolveReferenceAttributeValue"
    assert (decision.missing, decision.awaits) == (missing, {})


def test_a_membership_that_ended_is_removed():
    decision = decide_membership(seen(wanted=False, edge=OURS, rows=("row0", "row1")))
    assert decision.action == Remove("row1", {"group": "G", "user": "U"})


def test_a_membership_of_ours_that_others_made_anew_is_removed():
    decision = decide_membership(seen(wanted=False, edge=OURS, rows=("row5",)))
    assert decision.action == Remove("row5", {"group": "G", "user": "U"})


@pytest.mark.parametrize(
    "observed",
    [
        {"rows": ("row1",)},  # others made it, before the source ever had it
        {"edge": Edge("g", "u"), "rows": ("row1",)},  # the source had it, but it was never written
        {"edge": OURS, "rows": ()},  # gone already
        {"edge": OURS, "rows": (), "group": None},
    ],
)
def test_a_membership_that_is_not_under_our_care_is_left_alone(observed):
    decision = decide_membership(seen(wanted=False, **observed))
    assert (type(decision.action), decision.action.reason) == (Skip, "RedundantExport")
    assert decision.match is None


ENDS = st.sampled_from([None, USER, INTENDED, Link("user", "u")])


@given(
    st.builds(
        seen,
        wanted=st.booleans(),
        group=st.sampled_from([None, GROUP, Link("group", "g", sys_id="G", intended=True)]),
        member=ENDS,
        group_planned=st.booleans(),
        member_planned=st.booleans(),
        edge=st.sampled_from([None, Edge("g", "u"), OURS]),
        rows=st.sampled_from([(), ("row1",), ("row5", "row1")]),
    )
)
def test_what_is_wanted_is_never_removed_and_what_is_not_is_never_added(observed):
    decision = decide_membership(observed)
    assert isinstance(decision.action, (Create | Skip) if observed.wanted else (Remove | Skip))
    match decision.action:
        case Create(fields=fields):
            assert set(fields) | set(decision.awaits) == {"group", "user"}
            assert set(fields) & set(decision.awaits) == set()
            assert not (observed.rows and not decision.awaits)
        case Remove(sys_id=sys_id):
            assert sys_id in observed.rows
            assert observed.edge.sys_id
