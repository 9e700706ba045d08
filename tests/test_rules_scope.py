"""Who is in scope, in Entra's order and words."""

from __future__ import annotations

import pytest

from provisioning.model import ScopeCheck, SourceObject
from provisioning.rules.attributes import Facts
from provisioning.rules.scope import DEFAULT_GRANT, confers, in_scope, reasons, scope_checks
from provisioning.schema.mappings import ObjectMapping, ScopeFilter
from tests.mappings import assessed, clause, failed, of, person, scope

ROLE, GROUP = "role:r1", "group:g1"


def checks_of(
    source: SourceObject | None,
    grants: list[str],
    filters: ScopeFilter | None = None,
    *,
    everyone: bool = False,
    **more,
) -> tuple[ScopeCheck, ...]:
    facts = Facts(source) if source is not None else None
    return scope_checks(facts, grants, filters or ScopeFilter(), everyone=everyone, **more)


def user(*, enabled: bool | None) -> SourceObject:
    return SourceObject("user", "u1", {} if enabled is None else {"accountEnabled": enabled})


@pytest.mark.parametrize(
    ("source", "grants", "everyone", "expected"),
    [
        (user(enabled=True), [ROLE], False, True),
        (user(enabled=True), [GROUP], False, True),
        (user(enabled=True), [], False, False),
        (user(enabled=True), [], True, True),
        (user(enabled=False), [ROLE], False, False),
        (user(enabled=False), [], True, False),
        (user(enabled=None), [ROLE], False, True),
        (None, [ROLE], False, False),
        (None, [], True, False),
        (SourceObject("group", "g1", {}), [ROLE], False, True),
        (SourceObject("group", "g1", {"accountEnabled": False}), [ROLE], False, True),
        (SourceObject("group", "g1", {}), [], False, False),
    ],
)
def test_an_object_is_in_scope_when_it_is_active_and_assigned(source, grants, everyone, expected):
    assert in_scope(checks_of(source, grants, everyone=everyone)) is expected


def test_the_checks_stand_in_the_order_of_entras_logs():
    names = ["IsActive", "Assigned", "IsEffectivelyEntitledForProvisioning"]
    assert [check.name for check in checks_of(user(enabled=True), [])] == names
    filters = scope([clause("department", "IS NULL")])
    filtered = checks_of(user(enabled=True), [], filters)
    assert [check.name for check in filtered] == [*names, "IsInProvisioningScopeDisplayName"]


def test_every_failed_check_is_a_numbered_reason():
    checks = checks_of(user(enabled=False), [])
    assert reasons(checks) == (
        "1) disabled in Microsoft Entra ID (accountEnabled is false); 2) not assigned to the application"
    )


def test_passed_checks_are_no_reasons():
    assert reasons(checks_of(user(enabled=True), [ROLE])) == ""
    assert reasons(checks_of(None, [ROLE])) == "1) deleted in Microsoft Entra ID"


def test_the_answer_tells_direct_assignments_from_those_through_groups():
    _, assigned, _ = checks_of(user(enabled=True), [ROLE, "role:r2", GROUP])
    assert assigned.detail == "assigned: 2 direct, 1 through groups"


# --- Roles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grants", "default_access", "entitled"),
    [
        ([DEFAULT_GRANT], True, True),
        ([DEFAULT_GRANT], False, False),
        ([DEFAULT_GRANT, ROLE], False, True),
        ([DEFAULT_GRANT, GROUP], False, True),
        ([ROLE], False, True),
    ],
)
def test_default_access_entitles_only_where_it_is_to(grants, default_access, entitled):
    checks = checks_of(user(enabled=True), grants, default_access=default_access)
    assert in_scope(checks) is entitled
    assert failed(checks) == ([] if entitled else ["IsEffectivelyEntitledForProvisioning"])


def test_without_an_assignment_no_role_is_missed():
    assert failed(checks_of(user(enabled=True), [], default_access=False)) == ["Assigned"]


def test_in_scope_all_no_role_is_asked_for():
    assert in_scope(checks_of(user(enabled=True), [], everyone=True, default_access=False))


# --- Filters --------------------------------------------------------------------------------------

SALES = scope([clause("department", "EQUALS", "Sales")])


def test_a_filter_is_the_last_of_the_reasons_and_names_its_clause():
    source = SourceObject("user", "u1", {"accountEnabled": False, "department": "Legal"})
    assert reasons(checks_of(source, [], SALES)) == (
        "1) disabled in Microsoft Entra ID (accountEnabled is false); 2) not assigned to the application; "
        "3) excluded by the scoping filter: filter 1 department EQUALS Sales"
    )


def test_a_group_that_a_filter_excludes_still_gives_its_members_access():
    group = SourceObject("group", "g1", {"displayName": "Legal"})
    checks = checks_of(group, [ROLE], scope([clause("displayName", "EQUALS", "Sales")]))
    assert (in_scope(checks), confers(checks)) == (False, True)
    assert not confers(checks_of(group, []))
    assert not confers(checks_of(group, [DEFAULT_GRANT], default_access=False))


def mapping(filters: ScopeFilter) -> ObjectMapping:
    return ObjectMapping(
        "user", "sys_user", (of("userPrincipalName", "user_name", matching_priority=1),), scope=filters
    )


def test_who_does_not_pass_an_input_filter_is_dropped_before_anything_is_decided():
    filters = scope(inputs=([clause("department", "EQUALS", "Sales")],))
    dropped = assessed(mapping(filters), person(department="Legal"), (ROLE,))
    assert dropped.dropped == "input 1 department EQUALS Sales"
    assert (dropped.desired, dict(dropped.leaving.values)) == (None, {})
    assert assessed(mapping(filters), person(department="Sales"), (ROLE,)).desired is not None


def test_a_filter_that_cannot_be_evaluated_puts_nobody_out_of_scope():
    filters = scope([clause("department", "REGEX MATCH", "(x+x+)+y")])
    found = assessed(mapping(filters), person(department="x" * 5000), (ROLE,))
    assert found.error is not None
    assert found.error.code == "ScopingFilterFailed"
    assert in_scope(found.checks)
    unassigned = assessed(mapping(filters), person(department="x" * 5000), ())
    assert unassigned.error is None
    assert not in_scope(unassigned.checks)
