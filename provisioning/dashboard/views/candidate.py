"""A schema that somebody thinks of importing: what is wrong with it, where it differs from the one in force, and what
it would do to people. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.dashboard.views.configuration import FindingLine
from provisioning.dashboard.views.mappings import mapping_lines
from provisioning.dashboard.views.plan import Change, Planned, entry_of
from provisioning.dashboard.views.wording import Moment, Tone, kinds, listed, moment, sentence_case
from provisioning.engine.previews import Preview
from provisioning.schema import Schema

SHOWN = 10
"""Decisions on the page: enough to see what kind of change it is."""
WOULD = {"deleted": "delete", "disabled": "disable", "updated": "update", "created": "create"}


@dataclass(frozen=True, slots=True)
class Facts:
    """`baseline` is the newest dry run with the schema in force, `decisions` are the first ones with the candidate,
    `names` those of whom memberships are about.
    """

    now: float
    running: Schema
    candidate: Schema
    preview: Preview
    baseline: Preview | None
    decisions: Sequence[Mapping[str, Any]] = ()
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CandidateView:
    version: str
    by: str
    at: Moment
    tone: Tone
    sentence: str
    details: tuple[str, ...]
    being_made: bool
    can_be_imported: bool
    changes: tuple[Change, ...]
    entries: tuple[Planned, ...]
    more: str
    refresh: int


@dataclass(frozen=True, slots=True)
class SchemaView:
    """`refused` are the findings of a document that cannot be worked with, `text` what was given."""

    version: str
    waiting: str
    candidate: CandidateView | None = None
    findings: tuple[FindingLine, ...] = ()
    refused: bool = False
    text: str = ""
    refresh: int = 0


def candidate_view(facts: Facts) -> CandidateView:
    preview = facts.preview
    tone, sentence = _sentence(preview, facts.now)
    being_made = preview.is_being_made(facts.now)
    return CandidateView(
        version=preview.schema,
        by=preview.by,
        at=moment(preview.began, facts.now),
        tone=tone,
        sentence=sentence,
        details=tuple(_details(facts)),
        being_made=being_made,
        can_be_imported=bool(preview.ended) and not preview.failure,
        changes=tuple(_changes(facts.running, facts.candidate)),
        entries=tuple(entry_of(each, facts.names) for each in facts.decisions),
        more=_more(facts),
        refresh=2 if being_made else 0,
    )


def _more(facts: Facts) -> str:
    left = sum(facts.preview.numbers.values()) - len(facts.decisions)
    return f"And {left:,} more; the command `plan --schema schema.json --out plan.json` writes all." if left > 0 else ""


def effect(counts: Mapping[str, Mapping[str, int]]) -> str:
    """As "disable 14 users and update 312 users"; "" for nothing."""
    numbers = {name: {kind: of_kind.get(name, 0) for kind, of_kind in counts.items()} for name in WOULD}
    return listed([f"{WOULD[name]} {kinds(found)}" for name, found in numbers.items() if any(found.values())])


def _sentence(preview: Preview, now: float) -> tuple[Tone, str]:
    if preview.is_being_made(now):
        return "info", f"What this change would do is being found out: {preview.phase or 'connecting'}."
    if not preview.ended:
        return "bad", "Whoever looked at this change broke off before the end; look again."
    if preview.failure:
        return "bad", "What this change would do could not be found out."
    held = preview.numbers.get("held", 0)
    told = effect(preview.counts)
    if not told and not held:
        return "good", "This change would change no record."
    said = f"This change would {told}" if told else "This change would write nothing"
    if held:
        return "warn", f"{said}, and {held:,} more would wait for a person's word."
    grave = preview.numbers.get("disable", 0) + preview.numbers.get("delete", 0)
    return ("warn" if grave else "info"), f"{said}."


def _details(facts: Facts) -> Iterator[str]:
    preview, before = facts.preview, facts.baseline
    if preview.failure:
        yield sentence_case(preview.failure)
    if not preview.ended or preview.failure:
        return
    failed = sum(of_kind.get("failed", 0) for of_kind in preview.counts.values())
    if failed:
        yield f"{failed:,} could not be provisioned with it."
    if before is not None and before.ended and not before.failure:
        anyway = effect(before.counts) or "change nothing"
        at = moment(before.ended, facts.now)
        yield f"Without it the next cycle would {anyway}, as of {at.text}; that is in these numbers too."
    yield "With a new schema the next cycle evaluates everybody again."


def _changes(running: Schema, candidate: Schema) -> Iterator[Change]:
    before, after = mapping_lines(running), mapping_lines(candidate)
    for place in dict.fromkeys((*before, *after)):
        if before.get(place) != after.get(place):
            yield Change(place, before.get(place), after.get(place))
