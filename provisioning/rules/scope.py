"""Whether an object is in scope, in Entra's terms and in Entra's order. Pure."""

from __future__ import annotations

from collections.abc import Collection

from provisioning.model import ScopeCheck, SourceObject


def scope_checks(source: SourceObject | None, grants: Collection[str], *, everyone: bool) -> tuple[ScopeCheck, ...]:
    """The checks in the order in which Entra logs them; the object is in scope when all passed.

    `source` is None for an object that is gone. `everyone` is the scope "all": no assignment is needed.
    """
    return (_is_active(source), _is_assigned(grants, everyone=everyone))


def in_scope(checks: Collection[ScopeCheck]) -> bool:
    return all(check.passed for check in checks)


def reasons(checks: Collection[ScopeCheck]) -> str:
    """The numbered list that Entra writes for a skipped object."""
    failed = [check.detail for check in checks if not check.passed]
    return "; ".join(f"{number}) {detail}" for number, detail in enumerate(failed, 1))


def _is_active(source: SourceObject | None) -> ScopeCheck:
    if source is None:
        return ScopeCheck("IsActive", passed=False, detail="deleted in Microsoft Entra ID")
    if source.type == "user" and source.attributes.get("accountEnabled") is False:
        return ScopeCheck("IsActive", passed=False, detail="disabled in Microsoft Entra ID (accountEnabled is false)")
    return ScopeCheck("IsActive", passed=True, detail="active in the source system")


def _is_assigned(grants: Collection[str], *, everyone: bool) -> ScopeCheck:
    if everyone:
        return ScopeCheck("Assigned", passed=True, detail="all users and groups are in scope")
    if not grants:
        return ScopeCheck("Assigned", passed=False, detail="not assigned to the application")
    direct = sum(1 for grant in grants if grant.startswith("role:"))
    detail = f"assigned: {direct} direct, {len(grants) - direct} through groups"
    return ScopeCheck("Assigned", passed=True, detail=detail)
