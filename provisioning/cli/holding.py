"""What the removal guard holds and what a person has rejected, in words and as JSON. Knows counts, not objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import to_builtins

from provisioning.engine.jobs import HeldRemovals
from provisioning.rules.review import OF_A_GROUP, WHAT


def sentences(held: HeldRemovals, *, planned: bool = False) -> Iterator[str]:
    """How many of each kind and why, and what a person can do. `planned` is true where only a dry run has seen it."""
    since = "" if planned else f", since {datetime.fromtimestamp(held.since, UTC):%Y-%m-%d %H:%M} UTC"
    for kind, number in held.counts.items():
        if kind in held.for_groups:
            yield f"{number:,} {WHAT[kind]}{since}: {OF_A_GROUP[kind]}"
            yield from (
                f"  group {each.group}: {each.number:,}; {each.allowed:,} may be in 24 hours"
                for each in held.groups
                if each.kind == kind
            )
            continue
        past = f", {held.executed[kind]:,} of the last 24 hours included" if held.executed.get(kind) else ""
        allowed, managed = held.allowed.get(kind, 0), held.managed.get(kind, 0)
        yield f"{number:,} {WHAT[kind]}{since}: {allowed:,} may be at once of {managed:,}{past}"
    yield (
        "Look at them with `python -m provisioning plan --out plan.json`; to carry out exactly these: "
        f"`python -m provisioning run --approve {held.plan}`; to leave these objects as they are: "
        f"`python -m provisioning run --reject {held.plan}`"
    )


def rejected_sentence(counts: Mapping[str, int]) -> str | None:
    """What is left alone because a person has rejected it, and how to take that back."""
    if not counts:
        return None
    numbers = "; ".join(f"{number:,} {WHAT[kind]}" for kind, number in counts.items())
    return f"{numbers}: left as they are. `python -m provisioning resync USER_OR_GROUP` offers what concerns it again"


def as_json(held: HeldRemovals | None) -> dict[str, Any] | None:
    return to_builtins(held) if held is not None else None
