"""Who is in scope, in Entra's order and words."""

from __future__ import annotations

import pytest

from provisioning.model import SourceObject
from provisioning.rules.scope import in_scope, reasons, scope_checks

ROLE, GROUP = "role:r1", "group:g1"


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
    assert in_scope(scope_checks(source, grants, everyone=everyone)) is expected


def test_the_checks_stand_in_the_order_of_entras_logs():
    assert [check.name for check in scope_checks(user(enabled=True), [], everyone=False)] == ["IsActive", "Assigned"]


def test_every_failed_check_is_a_numbered_reason():
    checks = scope_checks(user(enabled=False), [], everyone=False)
    assert reasons(checks) == (
        "1) disabled in Microsoft Entra ID (accountEnabled is false); 2) not assigned to the application"
    )


def test_passed_checks_are_no_reasons():
    assert reasons(scope_checks(user(enabled=True), [ROLE], everyone=False)) == ""
    assert reasons(scope_checks(None, [ROLE], everyone=False)) == "1) deleted in Microsoft Entra ID"


def test_the_answer_tells_direct_assignments_from_those_through_groups():
    _, assigned = scope_checks(user(enabled=True), [ROLE, "role:r2", GROUP], everyone=False)
    assert assigned.detail == "assigned: 2 direct, 1 through groups"
