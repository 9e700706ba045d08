"""What a plan would do: every decision that waits in it to be carried out, and those that the guard holds.

Reads the rows page by page, so that a plan of any size can be shown: those of a dry run, from its overlay, or those of
the job itself, where a cycle has decided and not yet written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, get_args

from provisioning.engine.engine import Engine
from provisioning.engine.plan import CYCLE_PLAN
from provisioning.engine.progress import Progress
from provisioning.engine.summary import Counts, Summary, counts_of, failures_of
from provisioning.engine.tally import kind_of, tense
from provisioning.model import Decision, Lane
from provisioning.rules.planned import ACTIONS

PLACES: tuple[Lane | Literal["held"], ...] = (*get_args(Lane), "held")
"""Held ones come last."""


@dataclass(frozen=True, slots=True)
class Place:
    """Behind the row `after` of a lane, or of what is held."""

    lane: Lane | Literal["held"]
    after: str


START = Place(PLACES[0], "")


@dataclass(frozen=True, slots=True)
class Planned:
    """A decision that would be carried out, or is held, and the place behind it."""

    decision: Decision
    held: bool
    place: Place


async def planned(engine: Engine, start: Place = START) -> AsyncGenerator[Planned, None]:
    for lane in PLACES[PLACES.index(start.lane) :]:
        place = start if lane == start.lane else Place(lane, "")
        walk = _held(engine, place.after) if place.lane == "held" else _waiting(engine, place.lane, place.after)
        async with aclosing(walk):
            async for found in walk:
                yield found


async def _waiting(engine: Engine, lane: Lane, after: str) -> AsyncGenerator[Planned, None]:
    plan = engine.context.plan(CYCLE_PLAN)
    while rows := await plan.rows(lane, "00", "ff", after=after):
        for row in rows:
            decision = row.pending.decision
            if decision is not None and isinstance(decision.action, tuple(ACTIONS)):
                yield Planned(decision, held=False, place=Place(lane, row.key))
        after = rows[-1].key


async def _held(engine: Engine, after: str) -> AsyncGenerator[Planned, None]:
    while held := await engine.context.held.page(after):
        for row, pending in held:
            if pending.decision is not None:
                yield Planned(pending.decision, held=True, place=Place("held", row.key))
        after = held[-1][0].key


async def page(engine: Engine, start: Place, top: int) -> tuple[list[Planned], Place | None]:
    """Up to `top` of them from a place on, and the place to go on from; None at the end."""
    found: list[Planned] = []
    async with aclosing(planned(engine, start)) as walk:
        async for each in walk:
            if len(found) == top:
                return found, found[-1].place
            found.append(each)
    return found, None


async def count(engine: Engine, progress: Progress) -> Counts:
    """What the plan would do; what needs no write was settled while deciding and stands in the cycle's counts."""
    settled = counts_of({k: v for k, v in progress.counts.items() if k.endswith((".skipped", ".failed"))})
    async for each in planned(engine):
        settled[kind_of(each.decision)]["held" if each.held else tense(each.decision.action)] += 1
    return settled


async def summary_of(
    engine: Engine, progress: Progress, seconds: float, sent: tuple[int, int], *, dry: bool
) -> Summary:
    """The end of a cycle, or of a dry run. `sent` are the requests to Graph and to ServiceNow."""
    context = engine.context
    counts = await count(engine, progress) if dry else counts_of(progress.counts)
    state, _ = await context.rows.state()
    return Summary(
        cycle=progress.cycle,
        kind=progress.kind,
        planned=dry,
        counts=counts,
        graph_requests=sent[0],
        servicenow_requests=sent[1],
        seconds=round(seconds, 3),
        held=progress.held,
        guard=state.held if progress.held else None,
        rejected=await context.rejections.count(),
        halted=" ".join(progress.halted.message.split()) if progress.halted else None,
        failures=await failures_of(context, progress, counts),
    )
