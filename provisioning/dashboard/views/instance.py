"""How the ServiceNow instance is: the calls that the job may make at once and makes, how long they take, and how often
the instance refuses them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.dashboard.views.configuration import capability_lines
from provisioning.dashboard.views.overview import Tile
from provisioning.dashboard.views.wording import Moment, Tone, counted, moment, roughly
from provisioning.engine.shares import RECOVERY, Claims
from provisioning.model import Capabilities

SLOW, VERY_SLOW = 2000, 5000
"""Milliseconds in which a call is answered: Microsoft's own limit for a batch is 30 seconds."""
RUNS = 30
ON_DEMAND = "on-demand-"


@dataclass(frozen=True, slots=True)
class Facts:
    """`granted` is how many calls at once the settings allow, `cycles` are records of ended cycles, newest first."""

    now: float
    job: str
    instance: str
    granted: int
    claims: Claims
    cycles: Sequence[Mapping[str, Any]]
    capabilities: Capabilities | None
    last_failure: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """The calls of a cycle."""

    cycle: str
    began: Moment
    calls: int
    milliseconds: int
    refused: int
    in_trouble: int
    share: int
    """In hundredths of the slowest cycle shown."""


@dataclass(frozen=True, slots=True)
class InstanceView:
    tone: Tone
    sentence: str
    details: tuple[str, ...]
    tiles: tuple[Tile, ...]
    holders: tuple[tuple[str, str], ...]
    measured: tuple[Measured, ...]
    capabilities: tuple[tuple[str, str], ...]
    checked: Moment | None


def instance_view(facts: Facts) -> InstanceView:
    measured = tuple(_measured(facts))
    tone, sentence = _sentence(facts, measured)
    known = facts.capabilities
    return InstanceView(
        tone,
        sentence,
        tuple(_details(facts)),
        tuple(_tiles(facts, measured)),
        tuple(_holders(facts)),
        measured,
        tuple(capability_lines(known)) if known is not None else (),
        moment(known.when, facts.now) if known is not None else None,
    )


def _measured(facts: Facts) -> Iterator[Measured]:
    called = [each for each in facts.cycles if each["counts"].get("calls")][:RUNS]
    slowest = max((_mean(each["counts"]) for each in called), default=0)
    for each in called:
        counts = each["counts"]
        yield Measured(
            each["cycle"],
            moment(each["began"], facts.now),
            counts["calls"],
            _mean(counts),
            counts.get("calls.refused", 0),
            counts.get("calls.in trouble", 0),
            round(100 * _mean(counts) / slowest) if slowest else 0,
        )


def _mean(counts: Mapping[str, int]) -> int:
    return round(counts.get("calls.milliseconds", 0) / counts["calls"])


def _usable(facts: Facts) -> int:
    return facts.claims.usable(facts.granted, facts.now)


def _sentence(facts: Facts, measured: Sequence[Measured]) -> tuple[Tone, str]:
    if facts.last_failure:
        return "bad", "The last cycle stopped, because a side did not answer as it should."
    usable = _usable(facts)
    if usable < facts.granted:
        return "warn", f"The instance refuses calls: {usable} of {facts.granted} at once are used for now."
    if not measured:
        return "quiet", f"No cycle has asked {facts.instance} for anything yet."
    newest = measured[0]
    if newest.refused or newest.in_trouble:
        return "warn", f"{facts.instance} answers, but not every call."
    if newest.milliseconds > SLOW:
        word = "very slowly" if newest.milliseconds > VERY_SLOW else "slowly"
        return "warn", f"{facts.instance} answers {word}: {_took(newest.milliseconds)} for a call."
    return "good", f"{facts.instance} answers well: {_took(newest.milliseconds)} for a call."


def _details(facts: Facts) -> Iterator[str]:
    if facts.last_failure:
        yield facts.last_failure
    usable = _usable(facts)
    if usable < facts.granted:
        rest = (facts.granted - usable) * RECOVERY
        yield f"One more is tried every {RECOVERY:.0f} s: all of them again in {roughly(rest)}, if none is refused."


def _tiles(facts: Facts, measured: Sequence[Measured]) -> Iterator[Tile]:
    usable = _usable(facts)
    using = sum(claim.using for claim in facts.claims.holders.values() if claim.until > facts.now)
    yield Tile("Calls granted at once", f"{facts.granted:,}", "by SERVICENOW_SLOTS")
    limited = usable < facts.granted
    yield Tile(
        "Usable now", f"{usable:,}", "after refusals" if limited else "all of them", "warn" if limited else "good"
    )
    yield Tile("In use now", f"{using:,}", "by cycles and on-demand runs" if using else "nothing runs")
    calls = sum(each.calls for each in measured)
    if calls:
        mean = round(sum(each.milliseconds * each.calls for each in measured) / calls)
        note = f"in {counted(len(measured), 'cycle')} with {counted(calls, 'call')}"
        yield Tile("A call takes", _took(mean), note, "warn" if mean > SLOW else "good")
        refused = sum(each.refused for each in measured)
        yield Tile("Calls refused (429)", f"{refused:,}", _of(refused, calls), "warn" if refused else "good")
        trouble = sum(each.in_trouble for each in measured)
        yield Tile(
            "Without an answer (5xx, timeout)", f"{trouble:,}", _of(trouble, calls), "warn" if trouble else "good"
        )


def _of(number: int, calls: int) -> str:
    return f"{100 * number / calls:.1f} % of all" if number else "none"


def _took(milliseconds: int) -> str:
    return f"{milliseconds:,} ms" if milliseconds < SLOW else f"{milliseconds / 1000:.1f} s"


def _holders(facts: Facts) -> Iterator[tuple[str, str]]:
    for holder, claim in facts.claims.holders.items():
        if claim.until <= facts.now:
            continue
        who = "This job" if holder == facts.job else f"Job {holder}"
        if holder.startswith(ON_DEMAND):
            who = "Somebody provisions on demand"
        since = moment(claim.since, facts.now).text
        yield who, f"{claim.using:,} of {counted(claim.wants, 'call')} that it could use, since {since}"
