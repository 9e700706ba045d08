"""A decision that would be carried out, as people and programs read it: what, of whom, why, and each value before and
after. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.model import Create, Decision, Disable, Remove, Update
from provisioning.rules.redaction import masked, masking, shown

ACTIONS = {Create: "create", Update: "update", Disable: "disable", Remove: "delete"}


def as_json(decision: Decision, *, held: bool) -> dict[str, Any]:
    kind, _, source_id = decision.object.partition(":")
    action, mask = decision.action, masking(decision)
    document: dict[str, Any] = {
        "object": kind,
        "id": source_id,
        "name": mask(decision.name),
        "action": ACTIONS[type(action)],
        "held": held,
        "sysId": action.sys_id if isinstance(action, Create | Update | Disable | Remove) else None,
        "fields": {name: _shown(decision, name, change) for name, change in _fields(action).items()},
        "reasons": [check.detail for check in decision.scope if check.detail],
    }
    if decision.match is not None:
        document["match"] = {"how": decision.match.how, "value": masked(decision.match.value, mask)}
    if decision.awaits:
        document["awaits"] = decision.awaits
    if decision.missing:
        document["missing"] = [{"attribute": m.attribute, "wanted": mask(m.wanted)} for m in decision.missing]
    if decision.warnings:
        document["warnings"] = masked(decision.warnings, mask)
    return document


def _shown(decision: Decision, column: str, change: Mapping[str, str | None]) -> dict[str, str | None]:
    return {when: shown(decision, column, value) for when, value in change.items()}


def _fields(action: object) -> Mapping[str, Mapping[str, str | None]]:
    match action:
        case Create(fields=fields):
            return {name: {"before": None, "after": value} for name, value in sorted(fields.items())}
        case Update(fields=fields, before=before) | Disable(fields=fields, before=before):
            return {name: {"before": before.get(name), "after": value} for name, value in sorted(fields.items())}
        case Remove(before=before):
            return {name: {"before": value, "after": None} for name, value in sorted(before.items())}
        case _:
            return {}
