"""What the removal guard holds, and the two things that a person can do about it. Pure; knows counts, not objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioning.dashboard.views.wording import Moment, moment
from provisioning.engine.jobs import HeldRemovals, JobState
from provisioning.rules.review import OF_A_GROUP, WHAT


@dataclass(frozen=True, slots=True)
class HeldView:
    """`plan` is what is approved or rejected. `ruled` says what a person has already said of it."""

    plan: str
    lines: tuple[str, ...]
    since: Moment
    ruled: str


def held_view(state: JobState, now: float) -> HeldView | None:
    if (held := state.held) is None:
        return None
    return HeldView(held.plan, tuple(held_lines(held)), moment(held.since, now), _ruled(state, now))


def held_lines(held: HeldRemovals) -> Iterator[str]:
    """How many of each kind, and how many may be."""
    for kind, number in held.counts.items():
        if kind in held.for_groups:
            yield f"{number:,} {WHAT[kind]}: {OF_A_GROUP[kind]}"
            for each in held.groups:
                if each.kind == kind:
                    yield f"group {each.group}: {each.number:,}; {each.allowed:,} may be in 24 hours"
            continue
        past = f", {held.executed[kind]:,} of the last 24 hours included" if held.executed.get(kind) else ""
        allowed, managed = held.allowed.get(kind, 0), held.managed.get(kind, 0)
        yield f"{number:,} {WHAT[kind]}: {allowed:,} may be at once of {managed:,}{past}"


def _ruled(state: JobState, now: float) -> str:
    ruling = state.ruling
    if ruling is None or ruling.used or state.held is None or ruling.plan != state.held.plan or ruling.expires < now:
        return ""
    word, until = "approved" if ruling.approves else "rejected", moment(ruling.expires, now).text
    return f"{ruling.by} has {word} it: the next cycle that begins before {until} follows that."
