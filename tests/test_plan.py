"""The plan: one row an object, newer changes merged into it, and no row gone before its change is settled."""

from __future__ import annotations

import asyncio
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from provisioning.engine.keys import BINS, bin_of, ranges
from provisioning.engine.plan import TRIES, Plan, home_lane, merge
from provisioning.errors import Unavailable
from provisioning.model import Clearance, Decision, Disable, Hold, Pending, Skip, Update
from tests.faulty_store import FaultyStore
from tests.interleaving_store import InterleavingStore

LANES = ("leavers", "removals", "users", "groups", "memberships")
UPDATE = Decision("user:u1", Update("s1", {"title": "x"}, {"title": ""}))
DISABLE = Decision("user:u1", Disable("s1", {"active": "false"}, {"active": "true"}))


@pytest.fixture
def plan(sqlite_store):
    return Plan(sqlite_store.behind, "job", "cycle")


def user(name: str = "u1", **change) -> Pending:
    return Pending(f"user:{name}", change.pop("lane", "users"), **change)


def everything(plan: Plan, runner, *, limit: int = 1000) -> list[Pending]:
    """Every row of the plan, lane after lane, page after page."""
    found = []
    for lane in LANES:
        after = ""
        while page := runner.run(plan.rows(lane, "00", "ff", after=after, limit=limit)):
            found += [row.pending for row in page]
            after = page[-1].key
    return found


def only_row(plan: Plan, runner, lane: str = "users"):
    (row,) = runner.run(plan.rows(lane, "00", "ff"))
    return row


# --- Merging --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ({"attributes": {"a": 1, "b": 1}}, {"attributes": {"b": 2}}, {"attributes": {"a": 1, "b": 2}}),
        ({"attributes": {"a": 1}}, {}, {"attributes": {"a": 1}}),
        ({}, {"attributes": {"a": None}}, {"attributes": {"a": None}}),
        ({"attributes": {"a": 1}}, {"gone": "restorable"}, {"gone": "restorable"}),
        ({"gone": "restorable"}, {"gone": "permanent"}, {"gone": "permanent"}),
        ({"gone": "permanent"}, {"attributes": {"a": 1}}, {"attributes": {"a": 1}}),
        ({"gone": "permanent"}, {"grants": {"role:r": True}}, {"gone": "permanent", "grants": {"role:r": True}}),
        (
            {"grants": {"role:r": True, "group:g": True}},
            {"grants": {"role:r": False}},
            {"grants": {"role:r": False, "group:g": True}},
        ),
        ({"refresh": True}, {}, {"refresh": True}),
        ({"expand": True}, {}, {"expand": True}),
        ({"unproven": True}, {}, {"unproven": True}),
        ({"lane": "removals"}, {"lane": "users"}, {"lane": "users"}),
        ({"withdrawn": True}, {"withdrawn": False}, {"withdrawn": False}),
        ({"decision": UPDATE, "decided_at": 5.0, "link_etag": "e"}, {}, {}),
    ],
)
def test_the_newer_change_tells_the_state_and_both_what_happened(old, new, merged):
    assert merge(user(**old), user(**new)) == user(**merged)


def test_a_membership_that_is_there_again_needs_no_proof_that_it_ended():
    lost = Pending("member:g:u", "removals", withdrawn=True, unproven=True)
    assert merge(lost, Pending("member:g:u", "memberships")) == Pending("member:g:u", "memberships")


CHANGES = st.builds(
    lambda state, **other: Pending("user:u1", **other, **state),
    st.sampled_from(
        [{}, {"attributes": {"a": 1}}, {"attributes": {"a": 2, "b": 2}}, {"gone": "restorable"}, {"gone": "permanent"}]
    ),
    lane=st.sampled_from(LANES),
    grants=st.dictionaries(st.sampled_from(["role:r", "group:g"]), st.booleans(), max_size=2),
    withdrawn=st.booleans(),
    refresh=st.booleans(),
    unproven=st.booleans(),
    expand=st.booleans(),
)


@given(CHANGES)
def test_a_change_that_is_staged_again_changes_nothing(change):
    assert merge(change, change) == change


@given(CHANGES, CHANGES, CHANGES)
def test_it_makes_no_difference_which_neighbours_merge_first(one, two, three):
    """But for two details: attributes from before a deletion may outlive it where deletion and return were read
    together, and of doubts about a membership rather one too many is kept.
    """
    before, after = merge(merge(one, two), three), merge(one, merge(two, three))
    assert before.unproven <= after.unproven
    before = replace(before, unproven=after.unproven)
    if two.gone and three.attributes is not None:
        before = replace(before, attributes=after.attributes)
    assert before == after


@given(CHANGES, CHANGES)
def test_a_row_never_says_of_an_object_that_it_is_both_there_and_gone(one, two):
    merged = merge(one, two)
    assert merged.gone is None or merged.attributes is None
    if two.gone or two.attributes is not None:
        assert (merged.gone, merged.attributes is None) == (two.gone, two.attributes is None)


# --- Staging --------------------------------------------------------------------------------------


def test_staged_rows_are_counted_by_lane_and_bin(plan, runner):
    changes = [
        user("u1"),
        user("u2"),
        user("u1", refresh=True),
        user("u3", lane="removals"),
        Pending("group:g", "groups"),
    ]
    assert runner.run(plan.stage(changes)) == {
        "users": {bin_of("user:u1"): 1, bin_of("user:u2"): 1},
        "removals": {bin_of("user:u3"): 1},
        "groups": {bin_of("group:g"): 1},
    }
    assert len(everything(plan, runner)) == 4


def test_a_newer_change_merges_into_the_row_whatever_lane_it_is_in(plan, runner):
    runner.run(plan.stage([user(grants={"group:g": True})]))
    runner.run(plan.stage([user(lane="leavers", gone="restorable")]))
    assert everything(plan, runner) == [user(lane="leavers", gone="restorable", grants={"group:g": True})]
    runner.run(plan.stage([user(attributes={"a": 1})]))
    assert everything(plan, runner) == [user(attributes={"a": 1}, grants={"group:g": True})]


@pytest.mark.parametrize(
    "change",
    [
        {"gone": "restorable"},
        {"grants": {"role:r": False, "group:g": True}},
        {"attributes": {"accountEnabled": False}},
        {"unproven": True},
    ],
)
def test_who_may_have_left_stands_among_the_leavers_until_it_is_decided(plan, runner, change):
    bins = runner.run(plan.stage([user(**change)]))
    assert bins == {"leavers": {bin_of("user:u1"): 1}}
    also = runner.run(plan.stage([user(grants={"group:h": True})]))
    assert also == {"leavers": {bin_of("user:u1"): 0}}, "what else happens to somebody does not put them back"
    assert [each.lane for each in everything(plan, runner)] == ["leavers"]
    assert runner.run(plan.planned(["user:u1"])) == (set() if "gone" in change else {"user:u1"})


def test_who_is_there_again_does_not_stand_among_the_leavers(plan, runner):
    runner.run(plan.stage([user(grants={"role:r": False})]))
    assert runner.run(plan.stage([user(grants={"role:r": True})])) == {"users": {bin_of("user:u1"): 1}}
    assert [each.lane for each in everything(plan, runner)] == ["users"]


def test_groups_and_memberships_are_no_leavers(plan, runner):
    gone = [Pending("group:g", "removals", gone="permanent"), Pending("member:g:u1", "removals", unproven=True)]
    assert runner.run(plan.stage(gone)).keys() == {"removals"}


def test_a_newer_change_undoes_the_decision(plan, runner):
    runner.run(plan.stage([user()]))
    row = only_row(plan, runner)
    runner.run(plan.record([(row, replace(row.pending, decision=UPDATE, decided_at=1.0, link_etag="e"))]))
    runner.run(plan.stage([user(refresh=True)]))
    assert everything(plan, runner) == [user(refresh=True)]


def test_more_objects_than_a_transaction_takes_are_staged(plan, runner):
    members = [Pending(f"member:g:u{number}", "memberships") for number in range(1234)]
    assert runner.run(plan.stage(members)) == {"memberships": {bin_of("group:g"): 1234}}
    runner.run(plan.stage([replace(each, lane="removals", withdrawn=True) for each in members]))
    found = everything(plan, runner)
    assert len(found) == 1234
    assert all(each.withdrawn for each in found)


def test_nothing_to_stage_is_nothing_staged(plan, runner):
    assert runner.run(plan.stage([])) == {}


def test_steps_that_stage_the_same_objects_at_once_lose_no_change(sqlite_store, runner):
    plan = Plan(InterleavingStore(sqlite_store.behind), "job", "cycle")
    objects = [f"u{number}" for number in range(30)]

    async def together():
        changes = ([user(name, grants={f"group:{step}": True}) for name in objects] for step in range(8))
        await asyncio.gather(*(plan.stage(each) for each in changes))

    runner.run(together())
    found = everything(plan, runner)
    assert sorted(each.object for each in found) == sorted(f"user:{name}" for name in objects)
    assert all(each.grants == {f"group:{step}": True for step in range(8)} for each in found)


def test_changes_that_meet_in_two_lanes_at_once_are_both_kept_and_become_one_row_with_the_next(sqlite_store, runner):
    plan = Plan(InterleavingStore(sqlite_store.behind), "job", "cycle")

    async def together():
        gone, granted = user(lane="leavers", gone="restorable"), user(grants={"role:r": True})
        await asyncio.gather(plan.stage([gone]), plan.stage([granted]))

    runner.run(together())
    found = everything(plan, runner)
    assert "restorable" in {each.gone for each in found}
    assert {"role:r": True} in [each.grants for each in found]
    runner.run(plan.stage([user(refresh=True)]))
    row = user(lane="leavers", refresh=True, gone="restorable", grants={"role:r": True})
    assert everything(plan, runner) == [row]


def test_who_never_gets_through_gives_up_and_says_so(sqlite_store, runner):
    plan = Plan(InterleavingStore(sqlite_store.behind), "job", "cycle")

    async def together():
        crowd = (plan.stage([user(grants={f"group:{step}": True})]) for step in range(TRIES + 5))
        return await asyncio.gather(*crowd, return_exceptions=True)

    refused = [result for result in runner.run(together()) if isinstance(result, Unavailable)]
    assert refused
    assert f"{TRIES} tries" in str(refused[0])
    (row,) = everything(plan, runner)
    assert len(row.grants) == TRIES + 5 - len(refused)


def test_a_change_whose_reply_was_lost_may_be_staged_again(sqlite_store, runner):
    faulty = FaultyStore(sqlite_store.behind)
    plan = Plan(faulty, "job", "cycle")
    faulty.lose_reply_after_commit()
    change = user(attributes={"a": 1}, grants={"role:r": True}, refresh=True)
    with pytest.raises(Unavailable):
        runner.run(plan.stage([change]))
    runner.run(plan.stage([change]))
    assert everything(plan, runner) == [change]


def test_plans_of_other_names_are_other_plans(sqlite_store, runner, plan):
    runner.run(plan.stage([user()]))
    for other in (Plan(sqlite_store.behind, "job", "on-demand"), Plan(sqlite_store.behind, "job2", "cycle")):
        assert everything(other, runner) == []
        assert runner.run(other.pending(["user:u1"])) == set()


# --- Reading --------------------------------------------------------------------------------------

OBJECTS = st.sets(
    st.sampled_from([f"user:u{n}" for n in range(60)] + [f"member:g{n % 4}:u{n}" for n in range(40)]), max_size=60
)


def test_pages_of_any_size_hold_every_row_once_and_in_order(sqlite_store, runner):
    names = count()

    @given(OBJECTS, st.integers(1, 7))
    @settings(max_examples=25, deadline=None)
    def law(objects, limit):
        plan = Plan(sqlite_store.behind, "job", f"plan {next(names)}")
        lanes = {key: "removals" if key.endswith(("3", "7")) else home_lane(key) for key in sorted(objects)}
        runner.run(plan.stage([Pending(key, lane) for key, lane in lanes.items()]))
        assert sorted(each.object for each in everything(plan, runner, limit=limit)) == sorted(objects)
        for lane in LANES:
            keys = [row.key for row in runner.run(plan.rows(lane, "00", "ff"))]
            assert all(one < two for one, two in pairwise(keys))

    law()


def test_the_ranges_cut_from_what_was_staged_hold_every_row_once(sqlite_store, runner):
    names = count()

    @given(OBJECTS, st.integers(1, 20))
    @settings(max_examples=25, deadline=None)
    def law(objects, chunk):
        plan = Plan(sqlite_store.behind, "job", f"plan {next(names)}")
        bins = runner.run(plan.stage([Pending(key, home_lane(key)) for key in sorted(objects)]))
        found = []
        for lane in bins:
            for first, last, rows in ranges(bins[lane], chunk):
                page = runner.run(plan.rows(lane, first, last))
                assert len(page) == rows
                found += [row.pending.object for row in page]
        assert sorted(found) == sorted(objects)

    law()


def test_a_page_goes_on_behind_the_last_key_of_the_one_before(plan, runner):
    runner.run(plan.stage([user(f"u{number}") for number in range(300)]))
    first = runner.run(plan.rows("users", "00", "ff", limit=100))
    rest = runner.run(plan.rows("users", "00", "ff", after=first[-1].key, limit=1000))
    assert (len(first), len(rest)) == (100, 200)
    assert first[-1].key < rest[0].key


def test_lanes_and_bins_do_not_run_into_each_other(plan, runner):
    runner.run(plan.stage([user(f"u{n}", lane="removals" if n % 2 else "users") for n in range(200)]))
    for lane, remainder in (("users", 0), ("removals", 1)):
        for name in BINS:
            for row in runner.run(plan.rows(lane, name, name)):
                assert bin_of(row.pending.object) == name
                assert int(row.pending.object.removeprefix("user:u")) % 2 == remainder


def test_an_update_that_does_harm_is_planned_as_well_although_it_stands_among_the_removals(plan, runner):
    staged = [user("u1", lane="removals"), user("u2", lane="removals")]
    runner.run(plan.stage(staged))
    for row, decision in zip(runner.run(plan.rows("removals", "00", "ff")), (UPDATE, DISABLE), strict=True):
        runner.run(plan.record([(row, replace(row.pending, decision=replace(decision, object=row.pending.object)))]))
    planned = runner.run(plan.planned(["user:u1", "user:u2"]))
    decisions = runner.run(plan.decisions(["user:u1", "user:u2"]))
    assert len(planned) == 1
    assert {key for key, decision in decisions.items() if isinstance(decision.action, Update)} == planned
    assert len(decisions) == 2


def test_what_was_read_earlier_yields_to_what_the_plan_holds(plan, runner):
    runner.run(plan.stage([user(attributes={"a": "new"}, grants={"role:x": True})]))
    earlier = user(lane="removals", attributes={"a": "old", "b": 1}, grants={"role:x": False, "role:y": True})
    runner.run(plan.stage([replace(earlier, hold=Hold("v", ("plan",)))], earlier=True))
    (found,) = everything(plan, runner)
    assert (found.lane, found.attributes) == ("users", {"a": "new", "b": 1})
    assert (found.grants, found.hold) == ({"role:x": True, "role:y": True}, Hold("v", ("plan",)))


def test_what_the_guard_said_outlives_a_newer_change(plan, runner):
    said = {"hold": Hold("v"), "clearance": Clearance("users")}
    runner.run(plan.stage([user(**said)]))
    runner.run(plan.stage([user(refresh=True)]))
    (found,) = everything(plan, runner)
    assert (found.hold, found.clearance, found.refresh) == (Hold("v"), Clearance("users"), True)


def test_planned_are_those_in_their_own_lane_and_pending_are_all(plan, runner):
    runner.run(plan.stage([user("u1"), user("u2", lane="removals"), Pending("group:g", "groups")]))
    keys = ["user:u1", "user:u2", "user:u3", "group:g"]
    assert runner.run(plan.planned(keys)) == {"user:u1", "group:g"}
    assert runner.run(plan.pending(keys)) == {"user:u1", "user:u2", "group:g"}


@pytest.mark.parametrize(("key", "lane"), [("user:u", "users"), ("group:g", "groups"), ("member:g:u", "memberships")])
def test_each_type_has_a_lane_of_its_own(key, lane):
    assert home_lane(key) == lane


# --- Recording and settling -----------------------------------------------------------------------


def test_a_decision_is_stored_in_its_row(plan, runner):
    runner.run(plan.stage([user(attributes={"a": 1})]))
    row = only_row(plan, runner)
    decided = replace(row.pending, decision=UPDATE, decided_at=1.0, link_etag="e")
    (recorded,) = runner.run(plan.record([(row, decided)]))
    assert recorded == only_row(plan, runner)
    assert recorded.pending == decided


def test_a_decision_that_removes_moves_its_row_and_back(plan, runner):
    runner.run(plan.stage([user()]))
    row = only_row(plan, runner)
    (removal,) = runner.run(plan.record([(row, replace(row.pending, lane="removals", decision=DISABLE))]))
    assert everything(plan, runner) == [removal.pending]
    assert removal == only_row(plan, runner, "removals")
    (back,) = runner.run(plan.record([(removal, replace(removal.pending, lane="users", decision=UPDATE))]))
    assert back == only_row(plan, runner)
    runner.run(plan.settle([back]))
    assert everything(plan, runner) == []


@pytest.mark.parametrize("decision", [UPDATE, DISABLE])
def test_a_row_that_was_superseded_is_neither_decided_nor_settled(plan, runner, decision):
    runner.run(plan.stage([user(), user("u2")]))
    rows = runner.run(plan.rows("users", "00", "ff"))
    runner.run(plan.stage([user(refresh=True)]))
    lane = "removals" if decision is DISABLE else "users"
    recorded = runner.run(plan.record([(row, replace(row.pending, lane=lane, decision=decision)) for row in rows]))
    assert [row.pending.object for row in recorded] == ["user:u2"]
    runner.run(plan.settle(rows))
    runner.run(plan.settle(recorded))
    assert everything(plan, runner) == [user(refresh=True)]


def test_a_row_that_changed_lanes_meanwhile_is_left_alone(plan, runner):
    runner.run(plan.stage([user()]))
    row = only_row(plan, runner)
    runner.run(plan.stage([user(lane="leavers", gone="permanent")]))
    assert runner.run(plan.record([(row, replace(row.pending, decision=UPDATE))])) == []
    runner.run(plan.settle([row]))
    assert everything(plan, runner) == [user(lane="leavers", gone="permanent")]


def test_settling_twice_is_settling_once(plan, runner):
    runner.run(plan.stage([user(), user("u2")]))
    rows = runner.run(plan.rows("users", "00", "ff"))
    runner.run(plan.settle(rows[:1]))
    runner.run(plan.settle(rows))
    assert everything(plan, runner) == []


def test_decisions_of_many_rows_keep_their_rows(plan, runner):
    runner.run(plan.stage([user(f"u{number}") for number in range(250)]))
    rows = runner.run(plan.rows("users", "00", "ff"))
    skip = Skip("RedundantExport", "nothing")
    moving = {row.pending.object for row in rows[::3]}
    pendings = []
    for row in rows:
        lane = "removals" if row.pending.object in moving else "users"
        pendings.append(replace(row.pending, lane=lane, decision=Decision(row.pending.object, skip)))
    recorded = runner.run(plan.record(list(zip(rows, pendings, strict=True))))
    assert [row.pending for row in recorded] == pendings
    assert {each.object for each in everything(plan, runner) if each.lane == "removals"} == moving
    runner.run(plan.settle(recorded))
    assert everything(plan, runner) == []
