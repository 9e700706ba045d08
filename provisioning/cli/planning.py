"""A plan as people and programs read it: every decision that a dry run left in the plan, and those that were held.

Reads the rows of an overlay store after the dry run, page by page, so that a plan of any size can be written.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, get_args

from provisioning.cli.summary import Counts, Summary, counts_of
from provisioning.engine.engine import Engine
from provisioning.engine.plan import CYCLE_PLAN
from provisioning.engine.progress import Progress
from provisioning.engine.tally import kind_of, tense
from provisioning.errors import ConfigError
from provisioning.model import Create, Decision, Disable, Lane, Remove, Update
from provisioning.rules.redaction import masked, masking, shown

ACTIONS = {Create: "create", Update: "update", Disable: "disable", Remove: "delete"}


async def decisions(engine: Engine) -> AsyncIterator[tuple[Decision, bool]]:
    """Each decision that would be carried out, and whether it is held; held ones come last."""
    plan = engine.context.plan(CYCLE_PLAN)
    for lane in get_args(Lane):
        after = ""
        while rows := await plan.rows(lane, "00", "ff", after=after):
            for row in rows:
                if row.pending.decision is not None and isinstance(row.pending.decision.action, tuple(ACTIONS)):
                    yield row.pending.decision, False
            after = rows[-1].key
    after = ""
    while held := await engine.context.held.page(after):
        for _, pending in held:
            if pending.decision is not None:
                yield pending.decision, True
        after = held[-1][0].key


async def count(engine: Engine, progress: Progress) -> Counts:
    """What the plan would do; what needs no write was settled while deciding and stands in the cycle's counts."""
    settled = counts_of({k: v for k, v in progress.counts.items() if k.endswith((".skipped", ".failed"))})
    async for decision, held in decisions(engine):
        settled[kind_of(decision)]["held" if held else tense(decision.action)] += 1
    return settled


async def write_plan(engine: Engine, summary: Summary, path: Path) -> None:
    """One JSON document; each decision on a line of its own, so that two plans can be compared line by line."""
    head = summary.as_json()
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write('{\n"plan": ' + _text(summary.held) + ",\n")
            file.writelines(f"{_text(name)}: {_text(value)},\n" for name, value in head.items())
            file.write('"decisions": [')
            separator = "\n"
            async for decision, held in decisions(engine):
                file.write(separator + _text(as_json(decision, held=held)))
                separator = ",\n"
            file.write("\n]\n}\n")
    except OSError as error:
        raise ConfigError(
            f"the plan cannot be written to {path}: {error.strerror}; name a file in a folder that exists"
        ) from error


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


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
