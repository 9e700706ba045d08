"""Which records are protected, and what a decision about one becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.model import Create, Decision, Disable, Escrow, Fail, Link, Match, Missing, Remove, Skip, Update
from provisioning.rules.protection import (
    PROTECTED,
    Protection,
    Rights,
    guarded_group,
    protected_account,
    shielded,
)

ADA = {"sys_id": "s1", "user_name": "ada@c.com", "web_service_access_only": "false"}
GROUP = {"sys_id": "g1", "name": "Platform"}
NEW = Link("user", "u1")
LINKED = Link("user", "u1", sys_id="s1", origin="created", enabled=True)
ADMIN = Rights(administrators=frozenset({"s1"}))
CARRYING = Rights(groups=frozenset({"g1"}))

UPDATE = Update("s1", {"title": "b"}, {"title": "a"})
DISABLE = Disable("s1", {"active": "false"}, {"active": "true"})
REMOVE = Remove("s1", {})
REDUNDANT = Skip("RedundantExport", "")
BY_LINK, BY_KEY, BY_INTENT = (Match(how, "ada@c.com", ("s1",)) for how in ("link", "attribute", "intent"))


def account(named=None, rights=None, link=NEW, **fields):
    return protected_account({**ADA, **fields}, link, named or Protection(), rights or Rights())


def test_an_ordinary_account_is_not_protected():
    assert account() is None
    assert account(rights=Rights(own="s2", administrators=frozenset({"s3"}))) is None


@pytest.mark.parametrize(
    ("named", "rights", "fields", "why"),
    [
        (Protection(), Rights(own="s1"), {}, "own account"),
        (Protection(own_name="ADA@c.com"), Rights(), {}, "own account"),
        (Protection(accounts=("Ada@C.com",)), Rights(), {}, "PROTECTED_ACCOUNTS"),
        (Protection(accounts=("s1",)), Rights(), {}, "PROTECTED_ACCOUNTS"),
        (Protection(accounts=("muller",)), Rights(), {"user_name": "Müller"}, "PROTECTED_ACCOUNTS"),
        (Protection(), ADMIN, {}, "admin or security_admin"),
        (Protection(), Rights(complete=False), {"user_name": "Admin"}, "cannot be read"),
        (Protection(), Rights(), {"web_service_access_only": "true"}, "web services"),
    ],
)
def test_each_protection_has_a_reason_and_can_be_lifted_by_name(named, rights, fields, why):
    record = {**ADA, **fields}
    assert why in account(named, rights, **fields)
    for allowed in (record["user_name"].upper(), "s1"):
        lifted = Protection(named.accounts, (allowed,), own_name=named.own_name)
        assert account(lifted, rights, **fields) is None


def test_a_name_that_only_looks_alike_is_protected_and_not_allowed():
    assert account(Protection(allowed_accounts=("muller",)), ADMIN, user_name="müller") is not None


def test_an_account_without_a_user_name_is_nobody_who_is_named():
    assert account(Protection(allowed_accounts=("x",), accounts=("y",)), user_name="") is None


def test_what_entra_gave_a_linked_account_protects_it_only_from_being_adopted_anew():
    through = Rights(administrators=frozenset({"s1"}), through_entra=frozenset({"s1"}))
    assert account(rights=through, link=LINKED) is None
    assert account(rights=through, link=NEW) is not None


@pytest.mark.parametrize("column", ["web_service_access_only", "identity_type"])
def test_what_our_own_mapping_made_an_account_for_web_services_is_managed(column):
    ours = Link("user", "u1", sys_id="s1", written={column: "true"})
    assert account(link=ours, web_service_access_only="true") is None


def test_a_group_is_guarded_where_it_carries_roles_or_nobody_can_tell():
    assert guarded_group(GROUP, Protection(), Rights()) is None
    assert "carries roles" in guarded_group(GROUP, Protection(), CARRYING)
    assert "cannot be read" in guarded_group(GROUP, Protection(), Rights(groups_known=False))
    for allowed in ("platform", "g1"):
        assert guarded_group(GROUP, Protection(allowed_groups=(allowed,)), CARRYING) is None
    assert guarded_group(GROUP, Protection(allowed_groups=("Plätform",)), CARRYING) is not None


@pytest.mark.parametrize(
    ("action", "match", "link", "left"),
    [
        (UPDATE, BY_LINK, LINKED, True),
        (UPDATE, BY_KEY, NEW, True),
        (DISABLE, BY_LINK, LINKED, True),
        (REMOVE, BY_LINK, LINKED, True),
        (REDUNDANT, BY_KEY, NEW, True),  # it would become ours
        (REDUNDANT, BY_INTENT, Link("user", "u1", sys_id="s1", intended=True, origin="adopted"), True),
        (REDUNDANT, BY_LINK, LINKED, False),
        (Skip("NotPermitted", ""), BY_KEY, NEW, False),
        (Fail("Conflict", "", ""), BY_KEY, NEW, False),
        (Create("s9", 0, {}), Match("none", None), NEW, False),
    ],
)
def test_only_what_would_write_to_a_protected_record_or_take_it_becomes_a_skip(action, match, link, left):
    decision = Decision("user:u1", action, match=match)
    found = shielded(decision, "user", ADA, link, Protection(), ADMIN)
    assert (found.action != action) is left
    if left:
        assert (found.action.reason, found.match) == (PROTECTED, match)
        assert "ALLOWED_ACCOUNTS" in found.action.description


def test_a_reference_that_is_open_is_not_written_to_a_protected_record_either():
    decision = Decision("user:u1", UPDATE, match=BY_LINK, missing=(Missing("manager", "u2"),), awaits={"manager": "u3"})
    found = shielded(decision, "user", ADA, LINKED, Protection(), ADMIN)
    assert (found.missing, found.awaits) == ((), {})


def test_the_log_is_told_once_and_again_when_the_reason_changes():
    decision = Decision("user:u1", DISABLE, match=BY_LINK)
    first = shielded(decision, "user", ADA, LINKED, Protection(), ADMIN)
    known = Link("user", "u1", sys_id="s1", escrow=Escrow(PROTECTED, first.action.description, 0, 1, 0))
    assert not first.told
    assert shielded(decision, "user", ADA, known, Protection(), ADMIN).told
    assert not shielded(decision, "user", ADA, known, Protection(accounts=("s1",)), ADMIN).told


def test_a_group_that_is_managed_already_is_managed_on_with_a_warning():
    update = Update("g1", {"description": "b"}, {"description": "a"})
    linked = Link("group", "x", sys_id="g1", origin="created", enabled=True)
    decision = Decision("group:x", update, match=Match("link", "Platform", ("g1",)))
    found = shielded(decision, "group", GROUP, linked, Protection(), CARRYING)
    assert found.action == update
    assert "its members get them" in found.warnings[0]
    adopting = Decision("group:x", update, match=Match("attribute", "Platform", ("g1",)))
    assert shielded(adopting, "group", GROUP, Link("group", "x"), Protection(), CARRYING).action.reason == PROTECTED


def test_an_account_that_is_adopted_unseen_says_so():
    decision = Decision("user:u1", UPDATE, match=BY_KEY)
    found = shielded(decision, "user", ADA, NEW, Protection(), Rights(complete=False))
    assert found.action == UPDATE
    assert "could not be told" in found.warnings[0]
    managed = Decision("user:u1", UPDATE, match=BY_LINK)
    assert shielded(managed, "user", ADA, LINKED, Protection(), Rights(complete=False)).warnings == ()


@given(
    action=st.sampled_from([UPDATE, DISABLE, REMOVE, REDUNDANT]),
    match=st.sampled_from([BY_LINK, BY_KEY, BY_INTENT]),
    link=st.sampled_from([NEW, LINKED]),
    rights=st.builds(
        Rights,
        own=st.sampled_from(["", "s1"]),
        administrators=st.sampled_from([frozenset(), frozenset({"s1"})]),
        complete=st.booleans(),
    ),
    accounts=st.sampled_from([(), ("s1",)]),
)
def test_no_write_to_a_protected_account_is_ever_left_in_a_decision(action, match, link, rights, accounts):
    named = Protection(accounts)
    found = shielded(Decision("user:u1", action, match=match), "user", ADA, link, named, rights)
    if protected_account(ADA, link, named, rights) is not None:
        assert not isinstance(found.action, Update | Disable | Remove)
    else:
        assert found.action == action
