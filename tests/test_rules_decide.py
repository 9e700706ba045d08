"""What is done with one user or group, and above all what is not: by example, and as laws over small pools."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from provisioning.errors import ObjectError
from provisioning.model import (
    Create,
    Decision,
    Disable,
    Fail,
    Link,
    Match,
    Missing,
    Remove,
    Skip,
    SourceObject,
    Update,
)
from provisioning.rules.assessment import Assessment, Policy
from provisioning.rules.decide import Seen, decide
from provisioning.rules.departures import Departures
from provisioning.rules.mapping import Reference
from provisioning.rules.referring import Looked, Person
from provisioning.rules.scope import in_scope, unfiltered_checks
from provisioning.schema import ObjectMapping
from tests.columns import columns_of
from tests.mappings import Facts, assessed, clause, of, scope

USER = ObjectMapping(
    "user",
    "sys_user",
    (
        of("userPrincipalName", "user_name", matching_priority=1),
        of('Switch([IsSoftDeleted], , "False", "1", "True", "0")', "active"),
        of("jobTitle", "title"),
        of("city", "city", default="Oslo"),
        of("country", "country", flow_type="ObjectAddOnly"),
        of("department", "department"),
        of("manager", "manager"),
    ),
)
GROUP = ObjectMapping("group", "sys_user_group", (of("displayName", "name", matching_priority=1),))
MAPPINGS = {"user": USER, "group": GROUP}
COLUMNS = columns_of(*USER.columns, *GROUP.columns)
ROLE = ("role:r",)
NEW = "f" * 32
LINKED = Link("user", "u1", grants=ROLE, sys_id="s1", origin="created", enabled=True, match_value="ada@c.com")
RECORD = {"sys_id": "s1", "user_name": "ada@c.com", "title": "Analyst", "active": "true", "locked_out": "false"}
INACTIVE = {**RECORD, "active": "false", "locked_out": "true"}


def seen(attributes: dict | None = None, mapping: ObjectMapping | None = None, **observed) -> Seen:
    """An assigned user with these attributes who was not provisioned before, or whatever `observed` says else."""
    link = observed.pop("link", Link("user", "u1"))
    given_attributes = {"userPrincipalName": "ada@c.com", **(attributes or {})}
    source = observed.pop("source", SourceObject(link.type, link.id, given_attributes))
    observed = {"grants": ROLE, "candidate_sys_id": NEW, **observed}
    error = observed.pop("error", None)
    found = Seen(f"{link.type}:{link.id}", link, source=source, **observed)
    if error is not None:
        checks = unfiltered_checks(Facts(source), found.grants, everyone=False)
        return replace(found, assessment=Assessment(checks, error=error))
    return assessed_again(found, mapping or MAPPINGS[link.type])


def assessed_again(observed: Seen, mapping: ObjectMapping = USER, *, everyone: bool = False, **changes) -> Seen:
    """As `observe` does: the scope and the mappings of what was read, is gone, or did not have to be read."""
    observed = replace(observed, **changes)
    grants, columns = observed.grants, columns_of(*mapping.columns)
    source = None if observed.gone else observed.source
    if observed.unread and source is None and not observed.gone:
        checks = unfiltered_checks(Facts(SourceObject(mapping.type, "u1", {})), grants, everyone=everyone)
        assessment = Assessment(checks, leaving=assessed(mapping, None, (), columns).leaving)
    else:
        assessment = assessed(mapping, source, grants, columns, everyone=everyone)
    return replace(observed, source=source, assessment=assessment)


def decided(observed: Seen, mapping: ObjectMapping = USER, **policy) -> Decision:
    return decide(observed, mapping, Policy(**policy))


def created(decision: Decision) -> dict[str, str]:
    assert isinstance(decision.action, Create)
    return decision.action.fields


def with_flow(*flow_types: str) -> ObjectMapping:
    return replace(USER, flow_types=frozenset(flow_types))


# --- People who come ------------------------------------------------------------------------------


def test_somebody_new_is_created_active_under_the_chosen_sys_id():
    decision = decided(seen({"jobTitle": "Analyst", "country": "NO"}, candidate_generation=2))
    fields = {"user_name": "ada@c.com", "title": "Analyst", "city": "Oslo", "country": "NO", "active": "true"}
    assert decision.action == Create(NEW, 2, fields)
    assert decision.match == Match("none", "ada@c.com")


def test_an_account_that_is_there_is_adopted_and_only_its_differences_are_written():
    decision = decided(seen({"jobTitle": "Engineer"}, hits=(RECORD,)))
    assert decision.action == Update("s1", {"title": "Engineer"}, {"title": "Analyst"})
    assert decision.match == Match("attribute", "ada@c.com", ("s1",))


def test_an_adopted_account_that_has_every_value_is_not_written():
    decision = decided(seen({"jobTitle": "Analyst"}, hits=(RECORD,)))
    assert isinstance(decision.action, Skip)
    assert decision.action.reason == "RedundantExport"
    assert decision.match == Match("attribute", "ada@c.com", ("s1",))


def test_the_inactive_twin_of_a_rehired_person_is_reactivated_and_not_duplicated():
    decision = decided(seen({"jobTitle": "Analyst"}, hits=(INACTIVE,)))
    assert decision.action == Update(
        "s1", {"active": "true", "locked_out": "false"}, {"active": "false", "locked_out": "true"}
    )


def test_an_adoption_that_was_cut_off_still_reactivates():
    intent = msgspec.structs.replace(LINKED, intended=True, origin="adopted", enabled=False)
    decision = decided(seen({"jobTitle": "Analyst"}, link=intent, own=INACTIVE))
    assert isinstance(decision.action, Update)
    assert decision.action.fields == {"active": "true", "locked_out": "false"}
    assert decision.match.how == "intent"


def test_a_create_whose_reply_was_lost_is_found_by_its_intent_and_not_repeated():
    intent = Link("user", "u1", sys_id="s1", match_value="ada@c.com", intended=True)
    decision = decided(seen({"jobTitle": "Analyst"}, link=intent, own=RECORD))
    assert isinstance(decision.action, Skip)
    assert decision.match == Match("intent", "ada@c.com", ("s1",))


def test_a_create_that_never_arrived_is_made_again_under_the_same_sys_id():
    intent = Link("user", "u1", sys_id=NEW, match_value="ada@c.com", intended=True)
    assert isinstance(decided(seen(link=intent)).action, Create)


def test_somebody_who_returns_is_enabled_and_unlocked_and_brought_up_to_date():
    away = msgspec.structs.replace(LINKED, enabled=False, written={"active": "false", "locked_out": "true"})
    decision = decided(seen({"jobTitle": "Engineer"}, link=away, own=INACTIVE))
    assert decision.action.fields == {"title": "Engineer", "active": "true", "locked_out": "false"}


def test_what_a_cut_off_disablement_of_ours_has_done_is_known_as_ours_and_undone_on_the_return():
    cut_off = msgspec.structs.replace(LINKED, disabling=True)
    leaver = decided(seen(link=cut_off, own=INACTIVE, grants=()))
    assert isinstance(leaver.action, Skip)
    assert leaver.agreed == {"active": "false", "locked_out": "true"}
    back = decided(seen({"jobTitle": "Analyst"}, link=cut_off, own=INACTIVE))
    assert back.action.fields == {"active": "true", "locked_out": "false"}


def test_a_disablement_that_never_arrived_makes_nothing_ours():
    cut_off = msgspec.structs.replace(LINKED, disabling=True)
    decision = decided(seen({"jobTitle": "Analyst"}, link=cut_off, own=RECORD))
    assert isinstance(decision.action, Skip)
    assert "active" not in decision.agreed


def test_an_account_that_others_deactivated_is_left_inactive_with_a_warning():
    decision = decided(seen({"jobTitle": "Engineer"}, link=LINKED, own=INACTIVE))
    assert decision.action.fields == {"title": "Engineer"}
    assert "deactivated in ServiceNow" in decision.warnings[0]


def test_a_record_that_was_deleted_is_searched_for_by_its_key_and_else_created_anew():
    found = {**RECORD, "sys_id": "s2"}
    assert decided(seen({"jobTitle": "X"}, link=LINKED, hits=(found,))).action == Update(
        "s2", {"title": "X"}, {"title": "Analyst"}
    )
    assert isinstance(decided(seen(link=LINKED)).action, Create)


def test_a_linked_record_is_followed_through_a_change_of_its_key():
    decision = decided(seen({"userPrincipalName": "lovelace@c.com", "jobTitle": "Analyst"}, link=LINKED, own=RECORD))
    assert decision.action == Update("s1", {"user_name": "lovelace@c.com"}, {"user_name": "ada@c.com"})
    assert decision.match == Match("link", "lovelace@c.com", ("s1",))


# --- Conflicts: nothing is written ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "code"),
    [
        ({"hits": (RECORD, {**RECORD, "sys_id": "s2"})}, "DuplicateTargetEntries"),
        ({"hits": ({**RECORD, "user_name": "Ada@c.com"},)}, "Conflict"),
        ({"hits": ({**RECORD, "user_name": "ädà@c.com"},)}, "Conflict"),
        ({"rival": "u2"}, "DuplicateSourceEntries"),
        ({"rival": "u2", "hits": (RECORD,)}, "DuplicateSourceEntries"),
        ({"error": ObjectError("InvalidAttributeValue", "too long", "shorten it")}, "InvalidAttributeValue"),
        ({"source": None}, "NotEffectivelyEntitled"),
    ],
)
def test_what_is_not_clear_is_not_written(observed, code):
    action = decided(seen(**observed)).action
    assert isinstance(action, Fail | Skip)
    assert (action.code if isinstance(action, Fail) else action.reason) == code


def test_an_object_that_was_not_evaluated_is_a_failure_and_never_a_guess():
    observed = replace(seen(), assessment=Assessment(seen().assessment.checks))
    assert decided(observed).action.code == "InternalError"


def test_a_user_name_of_41_characters_fails_and_one_of_40_is_created():
    def action(characters: int):
        return decided(seen({"userPrincipalName": "x" * (characters - 6) + "@c.com"})).action

    assert isinstance(action(40), Create)
    assert action(41).code == "InvalidAttributeValue"


def test_a_guest_is_matched_by_the_name_they_have_at_home():
    decision = decided(seen({"userPrincipalName": "ada_c.com#EXT#@tenant.com", "jobTitle": "Analyst"}, hits=(RECORD,)))
    assert (type(decision.action), decision.match.value) == (Skip, "ada@c.com")


# --- People who leave -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leaving",
    [
        {"grants": ()},
        {"gone": "restorable"},
        {"gone": "permanent"},
        {"attributes": {"accountEnabled": False}},
        {"grants": (), "unread": True, "source": None},
    ],
)
def test_a_leaver_is_disabled_and_locked_and_not_deleted(leaving):
    decision = decided(seen(link=LINKED, own=RECORD, **leaving))
    assert decision.action == Disable(
        "s1", {"active": "false", "locked_out": "true"}, {"active": "true", "locked_out": "false"}
    )


def test_only_what_is_not_off_already_is_switched_off():
    assert decided(seen(link=LINKED, own={**INACTIVE, "locked_out": "false"}, grants=())).action.fields == {
        "locked_out": "true"
    }
    decision = decided(seen(link=LINKED, own=INACTIVE, grants=()))
    assert (type(decision.action), decision.action.reason) == (Skip, "RedundantExport")


def test_a_leaver_whose_create_got_no_reply_is_disabled_all_the_same():
    intent = Link("user", "u1", sys_id="s1", match_value="ada@c.com", intended=True)
    decision = decided(seen(link=intent, own=RECORD, gone="permanent", source=None))
    assert isinstance(decision.action, Disable)
    assert decision.match == Match("intent", "ada@c.com", ("s1",))


def test_an_account_that_may_not_be_seen_as_inactive_is_disabled():
    record = {name: value for name, value in RECORD.items() if name != "active"}
    assert decided(seen(link=LINKED, own=record, grants=())).action.fields["active"] == "false"


@pytest.mark.parametrize(
    ("gone", "setting", "flow_types", "expected"),
    [
        ("permanent", "delete", ("Add", "Update", "Delete"), Remove),
        ("permanent", "disable", ("Add", "Update", "Delete"), Disable),
        ("restorable", "delete", ("Add", "Update", "Delete"), Disable),
        ("permanent", "delete", ("Add", "Update"), Disable),
        ("permanent", "delete", ("Add", "Delete"), Remove),
        ("permanent", "delete", ("Add",), Skip),
    ],
)
def test_an_account_is_deleted_only_where_the_setting_says_so_and_the_user_is_gone_for_good(
    gone, setting, flow_types, expected
):
    observed = seen(link=LINKED, own=RECORD, gone=gone, source=None)
    action = decided(observed, with_flow(*flow_types), departures=Departures(hard_deleted=setting)).action
    assert type(action) is expected
    if expected is Remove:
        assert action == Remove("s1", {"user_name": "ada@c.com"})


def test_a_leaver_without_an_account_is_skipped_with_the_reasons():
    decision = decided(seen({"accountEnabled": False}, grants=()))
    assert decision.action.reason == "NotEffectivelyEntitled"
    assert decision.action.description.startswith("1) disabled in Microsoft Entra ID")
    assert "2) not assigned" in decision.action.description


def test_a_group_out_of_scope_keeps_its_record():
    link = Link("group", "g1", sys_id="s1", origin="created", enabled=True)
    observed = seen(link=link, own={"sys_id": "s1", "name": "Sales"}, grants=(), attributes={"displayName": "Sales"})
    decision = decided(observed, GROUP, departures=Departures(hard_deleted="delete"))
    assert (type(decision.action), decision.match.sys_ids) == (Skip, ("s1",))


def test_a_group_is_created_without_an_account_state():
    observed = seen({"displayName": "Sales"}, link=Link("group", "g1"))
    assert decided(observed, GROUP).action == Create(NEW, 0, {"name": "Sales"})


# --- What the administrator switched off ----------------------------------------------------------


@pytest.mark.parametrize(
    ("flow_types", "observed"),
    [
        (("Update", "Delete"), {}),
        (("Add", "Delete"), {"link": LINKED, "own": RECORD, "attributes": {"jobTitle": "X"}}),
        (("Add", "Delete"), {"link": LINKED, "own": RECORD, "grants": ()}),
    ],
)
def test_an_action_that_is_switched_off_is_not_taken(flow_types, observed):
    action = decided(seen(**observed), with_flow(*flow_types)).action
    assert (type(action), action.reason) == (Skip, "NotPermitted")


def test_a_mapping_that_is_switched_off_adopts_nothing():
    decision = decided(seen(hits=(RECORD,)), with_flow())
    assert (decision.action.reason, decision.match) == ("NotPermitted", Match("none", None))


# --- Nothing to do --------------------------------------------------------------------------------


def test_only_the_grants_changed_so_nothing_is_read_or_written():
    decision = decided(seen(link=LINKED, source=None, unread=True, grants=("group:g",)))
    assert (decision.action.reason, decision.grants) == ("RedundantExport", ("group:g",))
    assert decision.match == Match("link", "ada@c.com", ("s1",))


@pytest.mark.parametrize(
    ("written", "altered", "present", "sent"),
    [
        ({}, {}, "Analyst", True),
        ({"title": "Chief"}, {"title": "Analyst"}, "Analyst", False),  # the instance made something else of it
        ({"title": "Chief"}, {"title": "Analyst"}, "Porter", True),  # others changed it since
        ({"title": "Boss"}, {"title": "Analyst"}, "Analyst", True),  # the source changed since
        ({"title": "Chief"}, {}, "Analyst", True),
        ({"title": "Chief"}, {}, None, False),  # the column may not be read
        ({"title": "Boss"}, {}, None, True),
        ({}, {}, None, True),
        ({}, {}, "Chief", False),
    ],
)
def test_a_value_is_sent_when_that_would_change_the_record(written, altered, present, sent):
    link = msgspec.structs.replace(LINKED, written=written, altered=altered)
    record = {name: value for name, value in {**RECORD, "title": present}.items() if value is not None}
    decision = decided(seen({"jobTitle": "Chief"}, link=link, own=record))
    assert decision.action == (Update("s1", {"title": "Chief"}, {"title": present or ""}) if sent else decision.action)
    assert isinstance(decision.action, Update) is sent


def test_null_never_wipes_a_value():
    record = {**RECORD, "city": "Bergen", "country": "NO", "department": "d1", "manager": "m1"}
    nothing = dict.fromkeys(("jobTitle", "city", "country", "department", "manager"))
    assert isinstance(decided(seen(nothing, link=LINKED, own=record)).action, Skip)


# --- References -----------------------------------------------------------------------------------


def test_references_are_written_when_they_are_known_and_else_never_fail_the_user():
    attributes = {"jobTitle": "Analyst", "department": "Sales", "manager": {"id": "m"}}
    known = {"m": Person("m", "m1", planned=False)}
    there = decided(
        seen(
            attributes,
            link=LINKED,
            own=RECORD,
            looked=Looked({Reference("cmn_department", "Sales"): "d1"}),
            people=known,
        )
    )
    assert there.action.fields == {"department": "d1", "manager": "m1"}
    assert there.missing == ()
    absent = decided(seen(attributes, link=LINKED, own=RECORD))
    assert isinstance(absent.action, Skip)
    assert absent.missing == (Missing("department", "Sales", "cmn_department"), Missing("manager", "m"))


def test_a_manager_whom_this_plan_creates_is_awaited():
    attributes = {"jobTitle": "Analyst", "manager": {"id": "m"}}
    planned = {"m": Person("m", None, planned=True)}
    decision = decided(seen(attributes, link=LINKED, own=RECORD, people=planned))
    assert decision.action == Update("s1", {}, {"manager": ""})
    assert (decision.awaits, decision.missing) == ({"manager": "m"}, ())


@pytest.mark.parametrize(
    ("attributes", "remembered"),
    [({"manager": {"id": "m2"}}, "m2"), ({"manager": None}, None), ({}, "m1")],
)
def test_the_manager_of_the_source_is_remembered_and_one_that_was_taken_away_is_not(attributes, remembered):
    link = msgspec.structs.replace(LINKED, manager="m1")
    assert decided(seen(attributes, link=link, own=RECORD)).manager == remembered


# --- Laws -----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["ada@c.com", "Ada@c.com", "bob_c.com#EXT#@t.com", "x" * 41, "", None])
WORDS = st.sampled_from(["a", "b", None])
REFERENCE = st.sampled_from([None, {"id": "m"}])


def sources(names, enabled):
    optional = dict.fromkeys(("jobTitle", "city", "country", "department", "displayName"), WORDS)
    attributes = st.fixed_dictionaries(
        {"userPrincipalName": names}, optional={**optional, "accountEnabled": enabled, "manager": REFERENCE}
    )
    return attributes.map(lambda chosen: SourceObject("user", "u1", chosen))


GROUPS = st.builds(
    lambda attributes: SourceObject("group", "u1", attributes),
    st.fixed_dictionaries({}, optional={"displayName": st.sampled_from(["ada@c.com", "x" * 90, None])}),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "user_name": st.sampled_from(["ada@c.com", "ADA@c.com", "bob@c.com", ""]),
        "name": st.sampled_from(["ada@c.com", ""]),
        "title": st.sampled_from(["a", "b", ""]),
        "city": st.sampled_from(["a", ""]),
        "department": st.sampled_from(["d1", ""]),
        "manager": st.sampled_from(["m1", ""]),
        "active": st.sampled_from(["true", "false", ""]),
        "locked_out": st.sampled_from(["true", "false", ""]),
    },
)
LOOKED = st.sampled_from([Looked(), Looked({Reference("cmn_department", "a"): "d1"})])
PEOPLE = st.sampled_from([None, Person("m", "m1", planned=False), Person("m", None, planned=True)]).map(
    lambda person: {"m": person} if person else {}
)


@st.composite
def links(draw, kind: str) -> Link:
    return Link(
        kind,
        "u1",
        sys_id=draw(st.sampled_from([None, "s1"])),
        intended=draw(st.booleans()),
        enabled=draw(st.booleans()),
        origin=draw(st.sampled_from([None, "created", "adopted"])),
        match_value=draw(st.sampled_from([None, "ada@c.com"])),
        manager=draw(st.sampled_from([None, "m"])),
        written=draw(st.sampled_from([{}, {"title": "a", "active": "true"}])),
        altered=draw(st.sampled_from([{}, {"title": "b"}, {"active": "false"}])),
    )


@st.composite
def observations(draw) -> Seen:
    """Anything that `observe` may have seen of an object, possible or not."""
    kind = draw(st.sampled_from(["user", "user", "group"]))
    link = draw(links(kind))
    own = draw(st.none() | FIELDS) if link.sys_id else None
    hits = draw(st.lists(FIELDS, max_size=2)) if own is None else []
    observed = seen(
        link=link,
        source=draw(st.none() | (sources(NAMES, st.booleans()) if kind == "user" else GROUPS)),
        grants=draw(st.sampled_from([(), ROLE, ("group:g",)])),
        unread=draw(st.booleans()),
        gone=draw(st.sampled_from([None, None, "restorable", "permanent"])),
        own=None if own is None else {"sys_id": "s1", **own},
        hits=tuple({"sys_id": f"h{number}", **hit} for number, hit in enumerate(hits)),
        rival=draw(st.sampled_from([None, None, "u2"])),
        people=draw(PEOPLE),
        looked=draw(LOOKED),
    )
    unread = Assessment(observed.assessment.checks)
    return replace(observed, assessment=unread) if draw(st.integers(0, 9)) == 0 else observed


@st.composite
def people_with_work(draw) -> Seen:
    """Somebody in scope, with or without an account, with a key that nobody else has."""
    link = draw(links("user"))
    record = {**draw(FIELDS), "sys_id": "s1"}
    own = record if link.sys_id and draw(st.booleans()) else None
    hits = ({**record, "user_name": "ada@c.com"},) if own is None and draw(st.booleans()) else ()
    source = draw(sources(st.just("ada@c.com"), st.just(value=True)))
    return seen(link=link, source=source, own=own, hits=hits, people=draw(PEOPLE), looked=draw(LOOKED))


POLICIES = st.builds(Policy, st.booleans(), st.sampled_from(["disable", "delete"]))
FLOWS = st.sets(st.sampled_from(["Add", "Update", "Delete"])).map(frozenset) | st.just(USER.flow_types)


@given(observations(), POLICIES, FLOWS)
def test_a_decision_is_always_made_and_keeps_every_promise(observed, policy, flows):
    mapping = replace(MAPPINGS[observed.link.type], flow_types=flows)
    if policy.everyone and observed.assessment.error is None and observed.assessment.checks:
        observed = assessed_again(observed, mapping, everyone=True)
    decision = decide(observed, mapping, policy)
    action = decision.action
    scoped = in_scope(decision.scope)
    assert decision.grants == observed.grants
    match action:
        case Create(fields=fields):
            assert scoped
            assert "Add" in flows
            assert observed.own is None
            assert observed.hits == ()
            assert all(fields.values())
        case Update(sys_id=sys_id, fields=fields, before=before):
            assert scoped
            assert "Update" in flows
            assert all(fields.values())
            assert before.keys() == fields.keys() | decision.awaits.keys()
            assert fields or decision.awaits
            record = next(r for r in (observed.own, *observed.hits) if r and r["sys_id"] == sys_id)
            assert all(record.get(name, "") == value != fields[name] for name, value in before.items())
        case Disable() | Remove():
            assert not scoped  # this mapping deactivates nobody who is in scope
            assert observed.own is not None
            assert observed.link.type == "user"
            assert "Delete" in flows if isinstance(action, Remove) else "Update" in flows
            assert isinstance(action, Disable) or (
                policy.departures.hard_deleted == "delete" and observed.gone == "permanent"
            )
        case Fail():
            assert scoped
            assert action.message
            assert action.way_out
    if not isinstance(action, Skip | Fail):
        assert not (scoped and observed.rival)
    if not observed.grants and not policy.everyone:
        assert not scoped
    if observed.gone or (observed.source and observed.source.attributes.get("accountEnabled") is False):
        assert not scoped


@given(people_with_work(), st.sampled_from([{"grants": ()}, {"gone": "restorable"}, {"gone": "permanent"}]), POLICIES)
def test_no_leaver_keeps_an_account_that_can_be_used(observed, leaving, policy):
    link = msgspec.structs.replace(observed.link, sys_id="s1")
    observed = assessed_again(observed, link=link, own=observed.own or RECORD, **leaving)
    decision = decide(observed, USER, replace(policy, everyone=False))
    match decision.action:
        case Disable(fields=fields):
            after = {**observed.own, **fields}
        case Remove():
            return
        case _:
            after = observed.own
    assert (after.get("active"), after.get("locked_out")) == ("false", "true")


def carried_out(observed: Seen, decision: Decision, alterations: dict[str, str | None]) -> Seen:
    """What is seen after the write: the record as the instance stored it, and the link that remembers it. An
    alteration of None is a column that is dropped.
    """
    action = decision.action
    assert isinstance(action, Create | Update | Disable)
    found = (r for r in (observed.own, *observed.hits) if r and r["sys_id"] == action.sys_id)
    before = dict(next(found, {"sys_id": action.sys_id}))
    stored = {name: alterations.get(name, value) for name, value in action.fields.items()}
    record = {**before, **{name: before.get(name, "") if value is None else value for name, value in stored.items()}}
    altered = {name: record[name] for name, value in action.fields.items() if record[name] != value}
    kept = {name: value for name, value in observed.link.altered.items() if name not in action.fields}
    link = msgspec.structs.replace(
        observed.link,
        sys_id=action.sys_id,
        intended=False,
        enabled=not isinstance(action, Disable),
        written={**observed.link.written, **action.fields},
        altered={**kept, **altered},
    )
    return replace(observed, link=link, own=record, hits=(), rival=None)


@given(people_with_work(), st.sampled_from([{}, {"grants": ()}]))
def test_what_was_carried_out_is_not_carried_out_again(observed, leaving):
    observed = assessed_again(observed, **leaving)
    decision = decide(observed, USER, Policy())
    assume(isinstance(decision.action, Create | Update | Disable) and not decision.awaits)
    again = decide(carried_out(observed, decision, {}), USER, Policy())
    assert isinstance(again.action, Skip)
    assert again.action.reason in {"RedundantExport", "TargetChanged"}  # others may have locked the account


ALTERATIONS = st.dictionaries(
    st.sampled_from(["user_name", "title", "city", "country", "department", "manager", "active", "locked_out"]),
    st.sampled_from([None, "", "something else", "false"]),
)


@given(people_with_work(), ALTERATIONS)
def test_whatever_the_instance_makes_of_the_values_they_are_not_sent_for_ever(observed, alterations):
    decision = decide(observed, USER, Policy())
    assume(isinstance(decision.action, Create | Update) and not decision.awaits)
    again = decide(carried_out(observed, decision, alterations), USER, Policy())
    assert isinstance(again.action, Skip)
    assert again.action.reason in {"RedundantExport", "TargetChanged"}


# --- The account state, where it is mapped otherwise ----------------------------------------------


def active_from(source: str) -> ObjectMapping:
    others = tuple(each for each in USER.attributes if each.target != "active")
    return replace(USER, attributes=(*others, of(source, "active")))


CONTRACT = active_from('IIF([IsSoftDeleted]="True", "0", IIF([employeeType]="paused", "0", "1"))')


def test_an_account_that_the_mapping_deactivates_is_disabled_and_locked_while_in_scope():
    observed = seen({"employeeType": "paused", "jobTitle": "Analyst"}, CONTRACT, link=LINKED, own=RECORD)
    assert decided(observed, CONTRACT).action == Disable(
        "s1", {"active": "false", "locked_out": "true"}, {"active": "true", "locked_out": "false"}
    )


def test_an_account_that_we_deactivated_is_activated_when_the_mapping_says_so():
    link = msgspec.structs.replace(LINKED, written={"active": "false", "locked_out": "true"})
    observed = seen({"jobTitle": "Analyst"}, CONTRACT, link=link, own=INACTIVE)
    assert decided(observed, CONTRACT).action.fields == {"active": "true", "locked_out": "false"}


def test_somebody_is_created_inactive_and_locked_where_the_mapping_says_so():
    fields = created(decided(seen({"employeeType": "paused"}, CONTRACT), CONTRACT))
    assert (fields["active"], fields["locked_out"]) == ("false", "true")


def test_an_account_state_that_is_not_mapped_is_never_touched():
    mapping = replace(USER, attributes=tuple(each for each in USER.attributes if each.target != "active"))
    assert "active" not in created(decided(seen({}, mapping), mapping))
    leaver = decided(seen({}, mapping, link=LINKED, own=RECORD, grants=()), mapping)
    assert (type(leaver.action), leaver.action.reason) == (Skip, "NotEffectivelyEntitled")
    assert "no mapping reads IsSoftDeleted" in leaver.action.description
    away = msgspec.structs.replace(LINKED, enabled=False)
    returned = decided(seen({"jobTitle": "Analyst"}, mapping, link=away, own=INACTIVE), mapping)
    assert isinstance(returned.action, Skip)


def test_what_else_depends_on_soft_deletion_is_written_with_the_disablement():
    freed = of('IIF([IsSoftDeleted]="True", Join("_", "left", [jobTitle]), [jobTitle])', "title")
    mapping = replace(USER, attributes=(*(each for each in USER.attributes if each.target != "title"), freed))
    observed = seen({"jobTitle": "Analyst"}, mapping, link=LINKED, own=RECORD, grants=())
    assert decided(observed, mapping).action.fields == {
        "active": "false",
        "locked_out": "true",
        "title": "left_Analyst",
    }


# --- Filters and keys -----------------------------------------------------------------------------


def test_who_falls_out_of_a_filter_is_disabled_with_the_clause_as_the_reason():
    mapping = replace(USER, scope=scope([clause("department", "EQUALS", "Sales")]))
    observed = seen({"department": "Legal"}, mapping, link=LINKED, own=RECORD)
    decision = decided(observed, mapping)
    assert isinstance(decision.action, Disable)
    assert decision.scope[-1].detail == "excluded by the scoping filter: filter 1 department EQUALS Sales"


def test_who_falls_out_of_an_input_filter_is_left_as_they_are():
    mapping = replace(USER, scope=scope(inputs=([clause("department", "EQUALS", "Sales")],)))
    decision = decided(seen({"department": "Legal"}, mapping, link=LINKED, own=RECORD), mapping)
    assert (type(decision.action), decision.action.reason) == (Skip, "ImportSkipped")
    assert decision.match == Match("link", "ada@c.com", ("s1",))


def test_an_object_that_the_mapping_ignores_is_left_as_it_is():
    ignoring = of('IIF([employeeType]="robot", IgnoreObjectFlow, "")', "objectFilter")
    mapping = replace(USER, attributes=(*USER.attributes, ignoring))
    decision = decided(seen({"employeeType": "robot"}, mapping, link=LINKED, own=RECORD), mapping)
    assert (type(decision.action), decision.action.reason) == (Skip, "ImportSkipped")


TWO_KEYS = replace(
    USER, attributes=(*USER.attributes, of("employeeId", "employee_number", matching_priority=2)), preferred=()
)


def test_the_key_of_lower_precedence_finds_what_the_first_did_not():
    twin = {**RECORD, "user_name": "old@c.com", "employee_number": "7"}
    observed = seen({"employeeId": "7", "jobTitle": "Analyst"}, TWO_KEYS, searched=2, hits=(twin,))
    decision = decided(observed, TWO_KEYS)
    assert decision.match == Match("attribute", "employee_number=7", ("s1",), ("ada@c.com",))
    assert decision.action.fields == {"user_name": "ada@c.com"}


def test_a_new_record_claims_every_key_that_was_searched_for():
    decision = decided(seen({"employeeId": "7"}, TWO_KEYS, searched=2), TWO_KEYS)
    assert decision.match == Match("none", "ada@c.com", (), ("employee_number=7",))
    assert created(decision)["employee_number"] == "7"


def test_a_record_that_belongs_to_another_source_object_is_not_taken():
    decision = decided(seen(hits=(RECORD,), searched=1, owners={"s1": "u2"}))
    assert decision.action.code == "DuplicateSourceEntries"


def test_the_active_one_of_two_records_is_taken_and_the_other_is_told():
    mapping = replace(USER, preferred=(("active", "true"),))
    hits = ({**INACTIVE, "sys_id": "old"}, RECORD)
    decision = decided(seen({"jobTitle": "Analyst"}, mapping, hits=hits, searched=1), mapping)
    assert decision.match.sys_ids == ("s1",)
    assert "old" in decision.warnings[0]


# --- Flow types, clearing, required and unique values -----------------------------------------------


def with_title(source: str | None, **options) -> ObjectMapping:
    others = tuple(each for each in USER.attributes if each.target != "title")
    return replace(USER, attributes=(*others, of(source, "title", **options)))


def update_of(mapping: ObjectMapping, attributes: dict, record: dict, link: Link = LINKED, **more) -> dict[str, str]:
    action = decided(seen(attributes, mapping, link=link, own=record, **more), mapping).action
    return action.fields if isinstance(action, Update) else {}


def test_null_clears_a_value_only_where_both_gates_are_open():
    mapping = with_title("jobTitle", clears=True)
    assert update_of(mapping, {}, RECORD) == {"title": ""}
    assert update_of(mapping, {}, {**RECORD, "title": ""}) == {}
    assert update_of(with_title("jobTitle"), {}, RECORD) == {}
    assert "title" not in created(decided(seen({}, mapping), mapping))


def test_a_cleared_value_is_cleared_once():
    mapping = with_title("jobTitle", clears=True)
    hidden = {name: value for name, value in RECORD.items() if name != "title"}
    link = msgspec.structs.replace(LINKED, written={"title": "Analyst"})
    assert update_of(mapping, {}, hidden, link) == {"title": ""}
    assert update_of(mapping, {}, hidden, msgspec.structs.replace(link, written={"title": ""})) == {}
    assert update_of(mapping, {}, hidden) == {}


@pytest.mark.parametrize("flow_type", ["MultiValueAddOnly", "ValueAddOnly"])
def test_values_are_added_to_a_list_and_none_is_removed(flow_type):
    mapping = with_title("jobTitle", flow_type=flow_type)
    assert update_of(mapping, {"jobTitle": "c"}, {**RECORD, "title": "a,b"}) == {"title": "a,b,c"}
    assert update_of(mapping, {"jobTitle": "b"}, {**RECORD, "title": "a,b"}) == {}


def test_flow_always_goes_with_every_update_and_causes_none():
    mapping = with_title("jobTitle", flow_always=True)
    changed = {"jobTitle": "Analyst", "city": "Bergen"}
    assert update_of(mapping, changed, {**RECORD, "city": "Oslo"}) == {"title": "Analyst", "city": "Bergen"}
    assert update_of(mapping, {"jobTitle": "Analyst"}, RECORD) == {}


def test_a_change_of_case_alone_flows_unless_the_column_does_not_care():
    assert update_of(with_title("jobTitle"), {"jobTitle": "ANALYST"}, RECORD) == {"title": "ANALYST"}
    assert update_of(with_title("jobTitle", case_exact=False), {"jobTitle": "ANALYST"}, RECORD) == {}


def test_nothing_is_created_without_a_required_value():
    mapping = with_title("jobTitle", required=True)
    decision = decided(seen({}, mapping), mapping)
    assert decision.action.code == "MandatoryFieldsMissing"
    assert "title" in decision.action.message
    assert isinstance(decided(seen({}, mapping, link=LINKED, own=RECORD), mapping).action, Skip)


UNIQUE = 'SelectUniqueValue([jobTitle], Join("", [jobTitle], "2"))'


def test_the_chosen_value_is_written_and_without_one_the_object_waits():
    mapping = with_title(UNIQUE, flow_type="ObjectAddOnly")
    attributes = {"jobTitle": "ada"}
    assert created(decided(seen(attributes, mapping, chosen={"title": "ada2"}), mapping))["title"] == "ada2"
    taken = decided(seen(attributes, mapping), mapping).action
    assert (taken.code, "2 values" in taken.message) == ("EntryConflict", True)
    assert update_of(mapping, attributes, RECORD) == {}


def test_a_decision_names_the_columns_whose_values_may_not_be_shown():
    decision = decided(seen({"jobTitle": "x"}, with_title("Redact([jobTitle])")), with_title("Redact([jobTitle])"))
    assert decision.redacted == ("title",)
