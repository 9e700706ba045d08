"""Whether an object is in scope, in Entra's terms and in Entra's order: active, assigned, entitled, filtered. Pure."""

from __future__ import annotations

from collections.abc import Collection

from provisioning.model import ScopeCheck
from provisioning.rules.attributes import Facts
from provisioning.rules.filters import failed_filters
from provisioning.schema.mappings import ScopeFilter

DEFAULT_ACCESS = "00000000-0000-0000-0000-000000000000"
"""The app role of an assignment without a role."""
DEFAULT_GRANT = f"role:{DEFAULT_ACCESS}"
ACTIVE, ASSIGNED = "IsActive", "Assigned"
ENTITLED, FILTERED = "IsEffectivelyEntitledForProvisioning", "IsInProvisioningScopeDisplayName"
DELETED = "deleted in Microsoft Entra ID"


def scope_checks(
    facts: Facts | None, grants: Collection[str], scope: ScopeFilter, *, everyone: bool, default_access: bool = True
) -> tuple[ScopeCheck, ...]:
    """The checks in the order in which Entra logs them; the object is in scope when all passed.

    `facts` is None for an object that is gone. `everyone` is the scope "all": no assignment is needed. Without
    `default_access`, an assignment to no role but Default Access does not entitle. Raises `ObjectError` when a filter
    cannot be evaluated.
    """
    checks = (
        _is_active(facts),
        _is_assigned(grants, everyone=everyone),
        _is_entitled(grants, everyone=everyone, default_access=default_access),
    )
    if facts is None or not scope.groups:
        return checks
    return (*checks, _passes_filter(facts, scope))


def unfiltered_checks(
    facts: Facts | None, grants: Collection[str], *, everyone: bool, default_access: bool = True
) -> tuple[ScopeCheck, ...]:
    """For an object that was not read because nothing of it has changed since it passed."""
    return scope_checks(facts, grants, ScopeFilter(), everyone=everyone, default_access=default_access)


def in_scope(checks: Collection[ScopeCheck]) -> bool:
    return False not in [check.passed for check in checks]  # asked a dozen times of every object


def confers(checks: Collection[ScopeCheck]) -> bool:
    """Whether a group gives its members access: a filter concerns the group's own record only."""
    return all(check.passed for check in checks if check.name != FILTERED)


def entitles(grant: str, *, default_access: bool) -> bool:
    return default_access or grant != DEFAULT_GRANT


def reasons(checks: Collection[ScopeCheck]) -> str:
    """The numbered list that Entra writes for a skipped object."""
    failed = [check.detail for check in checks if not check.passed]
    return "; ".join(f"{number}) {detail}" for number, detail in enumerate(failed, 1))


def _is_active(facts: Facts | None) -> ScopeCheck:
    if facts is None:
        return ScopeCheck(ACTIVE, passed=False, detail=DELETED)
    if facts.source.type == "user" and facts.source.attributes.get("accountEnabled") is False:
        return ScopeCheck(ACTIVE, passed=False, detail="disabled in Microsoft Entra ID (accountEnabled is false)")
    return ScopeCheck(ACTIVE, passed=True, detail="active in the source system")


def _is_assigned(grants: Collection[str], *, everyone: bool) -> ScopeCheck:
    if everyone:
        return ScopeCheck(ASSIGNED, passed=True, detail="all users and groups are in scope")
    if not grants:
        return ScopeCheck(ASSIGNED, passed=False, detail="not assigned to the application")
    direct = sum(1 for grant in grants if grant.startswith("role:"))
    detail = f"assigned: {direct} direct, {len(grants) - direct} through groups"
    return ScopeCheck(ASSIGNED, passed=True, detail=detail)


def _is_entitled(grants: Collection[str], *, everyone: bool, default_access: bool) -> ScopeCheck:
    """An object that is not assigned has no role to be judged: that reason is told already."""
    if everyone or not grants or any(entitles(grant, default_access=default_access) for grant in grants):
        return ScopeCheck(ENTITLED, passed=True, detail="has the required role")
    return ScopeCheck(
        ENTITLED,
        passed=False,
        detail="assigned with Default Access only, which does not entitle to provisioning; assign another role",
    )


def _passes_filter(facts: Facts, scope: ScopeFilter) -> ScopeCheck:
    failed = failed_filters(scope.groups, facts)
    if failed is None:
        return ScopeCheck(FILTERED, passed=True, detail="passed by a scoping filter")
    return ScopeCheck(FILTERED, passed=False, detail=f"excluded by the scoping filter: {failed}")
