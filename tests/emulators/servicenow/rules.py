"""The business rules of the base system that a provisioning client meets, as pure functions over one row: what else
changes when somebody writes these fields. Knows no store and no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

_PARTS = ("first_name", "middle_name", "last_name")


def before_insert(table: str, row: dict[str, str]) -> None:
    if table == "sys_user":
        row.update(_computed_name(row, row))
        row.update(_access_by_identity(row))
    elif table == "cmn_location":
        row.setdefault("full_name", row.get("name", ""))


def before_update(table: str, row: Mapping[str, str], changes: dict[str, str]) -> None:
    if table != "sys_user":
        return
    changes.update(_computed_name(changes, {**row, **changes}))
    # "Lock Out Inactive Users" (667704440a0a0a6500a80f55058399b9). Becoming active again unlocks nobody.
    if changes.get("active") == "false" and row.get("active") == "true":
        changes["locked_out"] = "true"
    changes.update(_access_by_identity(changes))


def _computed_name(written: Mapping[str, str], row: Mapping[str, str]) -> dict[str, str]:
    """The display name follows its parts; without any part a name stays as it was sent."""
    if not any(part in written for part in _PARTS):
        return {}
    return {"name": " ".join(filter(None, (row.get(part) for part in _PARTS)))[:151]}


def _access_by_identity(written: Mapping[str, str]) -> dict[str, str]:
    """Identity type Machine switches web_service_access_only on, Human and AI switch it off."""
    identity = written.get("identity_type")
    return {"web_service_access_only": "true" if identity == "machine" else "false"} if identity else {}
