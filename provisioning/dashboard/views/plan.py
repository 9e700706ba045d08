"""The plan: what the next cycle would do, to whom and why, and what of it waits for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from provisioning.dashboard.views.holding import HeldView, held_view
from provisioning.dashboard.views.wording import (
    ACTIONS,
    Badge,
    Moment,
    Tone,
    counted,
    kinds,
    listed,
    moment,
    sentence_case,
)
from provisioning.engine.jobs import JobState
from provisioning.engine.previews import KEPT, ORDER, Preview

ADDRESS = "/dashboard/plan"
LABELS = {"": "All", "held": "Held", "delete": "Delete", "disable": "Disable", "update": "Update", "create": "Create"}
VERBS = {"create": "created", "update": "updated", "disable": "disabled", "delete": "deleted"}
NOUNS = {"user": "user", "group": "group", "member": "membership"}


@dataclass(frozen=True, slots=True)
class Facts:
    """`decisions` are a page of those that are asked for, as JSON: of the preview, or of what is held now where there
    is none. `following` is where the next page begins; `names` are those of users and groups by id, for memberships.
    """

    now: float
    state: JobState
    preview: Preview | None = None
    action: str = ""
    decisions: Sequence[Mapping[str, Any]] = ()
    following: str = ""
    after: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    label: str
    address: str
    chosen: bool
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """One object and what would be done. `key` tells its part of the page from others."""

    key: str
    action: Badge
    kind: str
    name: str
    id: str
    held: bool
    why: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class PlanView:
    tone: Tone
    sentence: str
    details: tuple[str, ...]
    made: Moment | None
    being_made: bool
    held: HeldView | None
    would_be_held: str
    choices: tuple[Choice, ...]
    entries: tuple[Planned, ...]
    first: str
    following: str
    empty: str
    refresh: int


def plan_view(facts: Facts) -> PlanView:
    preview = facts.preview
    being_made = preview is not None and preview.is_being_made(facts.now)
    tone, sentence = _sentence(facts)
    held = held_view(facts.state, facts.now)
    return PlanView(
        tone=tone,
        sentence=sentence,
        details=tuple(_details(facts)),
        made=moment(preview.ended, facts.now) if preview is not None and preview.ended else None,
        being_made=being_made,
        held=held,
        would_be_held=preview.held if preview is not None and held is None else "",
        choices=tuple(_choices(facts)),
        entries=tuple(_entry(each, facts.names) for each in facts.decisions),
        first=_address(facts.action) if facts.after else "",
        following=_address(facts.action, facts.following) if facts.following else "",
        empty="Nothing of this kind." if facts.action else "",
        refresh=2 if being_made else 0,
    )


def numbers_of(facts: Facts) -> Mapping[str, int]:
    """Decisions by action: those of the preview; without one, what is held now."""
    if facts.preview is not None and facts.preview.ended and not facts.preview.failure:
        return facts.preview.numbers
    held = facts.state.held
    return {"held": sum(held.counts.values())} if held is not None else {}


def _sentence(facts: Facts) -> tuple[Tone, str]:
    preview = facts.preview
    if preview is None:
        return "quiet", "Nobody has looked yet at what the next cycle would do."
    if preview.is_being_made(facts.now):
        return "info", f"The plan is being made: {preview.phase or 'connecting'}."
    if not preview.ended:
        return "bad", "Whoever made the plan broke off before its end; make it again."
    if preview.failure:
        return "bad", "The plan could not be made."
    numbers = {VERBS[action]: n for action, n in preview.numbers.items() if action in VERBS}
    if not preview.numbers:
        return "good", "The next cycle would change nothing: both sides agree."
    total = sum(numbers.values())
    said = f"The next cycle would change {counted(total, 'object')}" if total else "The next cycle would change nothing"
    if held := preview.numbers.get("held", 0):
        return "warn", f"{said}, and {counted(held, 'change')} would wait for your word."
    return "info", f"{said}."


def _details(facts: Facts) -> Iterator[str]:
    preview = facts.preview
    if preview is None:
        yield "A dry run reads both sides and writes to neither."
        return
    if preview.failure:
        yield sentence_case(preview.failure)
    for name in ("created", "updated", "disabled", "deleted", "failed"):
        numbers = {kind: of_kind.get(name, 0) for kind, of_kind in preview.counts.items()}
        if any(numbers.values()):
            verb = "could not be provisioned" if name == "failed" else f"would be {name}"
            yield f"{kinds(numbers)} {verb}."
    if preview.ended and preview.ended < facts.state.last_began:
        yield "A cycle has begun since then: make the plan anew."
    over = [LABELS[action].lower() for action, number in preview.numbers.items() if number > KEPT]
    if over:
        yield f"Of {listed(over)} the first {KEPT:,} are listed; the command `plan --out plan.json` writes all."


def _choices(facts: Facts) -> Iterator[Choice]:
    numbers = numbers_of(facts)
    if not numbers:
        return
    for action in ("", *ORDER):
        number = numbers.get(action, 0) if action else sum(numbers.values())
        yield Choice(LABELS[action], _address(action), action == facts.action, f"{number:,}")


def _entry(decision: Mapping[str, Any], names: Mapping[str, str]) -> Planned:
    kind, source_id = NOUNS[decision["object"]], str(decision["id"])
    name = str(decision["name"]) or source_id
    if kind == "membership" and not decision["name"]:
        group, _, member = source_id.partition(":")
        name = f"{names.get(member, member)} in {names.get(group, group)}"
    fields: Mapping[str, Mapping[str, str | None]] = decision["fields"]
    return Planned(
        key=f"{decision['object']}-{source_id}".replace(":", "-"),
        action=ACTIONS[decision["action"]],
        kind=kind,
        name=name,
        id=source_id,
        held=bool(decision["held"]),
        why="; ".join(decision["reasons"]),
        changes=tuple(Change(column, each["before"], each["after"]) for column, each in fields.items()),
        notes=tuple(_notes(decision)),
    )


def _notes(decision: Mapping[str, Any]) -> Iterator[str]:
    match decision.get("match"):
        case {"how": "attribute", "value": value}:
            yield f"Takes over the record that has the key {value}."
        case _:
            pass
    for column in decision.get("awaits", {}):
        yield f"{column} is written when what it refers to has been created."
    for missing in decision.get("missing", ()):
        yield f"{missing['attribute']} refers to {missing['wanted']}, and is written when that appears."
    yield from (sentence_case(warning) for warning in decision.get("warnings", ()))


def _address(action: str, after: str = "") -> str:
    asked = {name: value for name, value in (("action", action), ("after", after)) if value}
    return f"{ADDRESS}?{urlencode(asked)}" if asked else ADDRESS
