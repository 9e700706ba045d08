"""The first page: is provisioning healthy, what does it do now, does it wait for somebody. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.dashboard.views.chart import Chart, chart_of
from provisioning.dashboard.views.holding import HeldView, held_view
from provisioning.dashboard.views.wording import (
    Badge,
    Moment,
    Tone,
    counted,
    kinds,
    listed,
    moment,
    roughly,
    said,
    sentence_case,
)
from provisioning.engine.executions import EXPORTS, KINDS
from provisioning.engine.jobs import JobState
from provisioning.engine.positions import position_of
from provisioning.engine.progress import Progress
from provisioning.rules.error_codes import advice_for
from provisioning.rules.quarantine import Reason

DAY = 86400.0
RUNS = 12
COLUMNS = ("created", "updated", "disabled", "deleted", "failed", "held", "skipped")
ADDED_UP = tuple(name for name in COLUMNS if name != "held")
"""What is held is counted again by each cycle."""
WHY: Mapping[Reason, str] = {
    "EncounteredBaseEscrowThreshold": "too many objects fail",
    "EncounteredTotalEscrowThreshold": "too many objects fail, references included",
    "EncounteredEscrowProportionThreshold": "too large a share of the objects failed",
    "EncounteredQuarantineException": "one of the two sides does not let the job in",
    "QuarantinedOnDemand": "somebody has put it there",
    "TooManyDeletes": "more removals than allowed wait for a person",
}
KIND_WORDS = {"user": "users", "group": "groups", "member": "memberships"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of a job. `cycles` are records of ended cycles, newest first; `failing` counts what fails now by
    its code, `waiting` the references that wait, and each says whether there are more; `waits` are
    the first of these.
    """

    now: float
    job: str
    instance: str
    everyone: bool
    interval: float
    state: JobState
    progress: Progress | None = None
    cycles: tuple[Mapping[str, Any], ...] = ()
    failing: Mapping[str, int] = field(default_factory=dict)
    more_fail: bool = False
    waiting: Mapping[str, Any] = field(default_factory=dict)
    waits: tuple[Mapping[str, Any], ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def running(self) -> Progress | None:
        return self.progress if self.progress is not None and not self.progress.at_rest else None


@dataclass(frozen=True, slots=True)
class Running:
    """The cycle that runs: how far it is. Without `total` nobody knows how much there is."""

    phase: str
    began: Moment
    done: int
    total: int | None
    said: str


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    note: str
    tone: Tone = "quiet"
    link: str = ""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """`why` in words, `error` as the side has told it, `advice` what mends it."""

    why: str
    error: str
    advice: str
    since: Moment
    following: Moment


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the table of last runs."""

    cycle: str
    began: Moment
    took: str
    kind: str
    state: Badge
    numbers: tuple[int, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Overview:
    tone: Tone
    sentence: str
    details: tuple[str, ...]
    running: Running | None
    quarantine: Quarantined | None
    held: HeldView | None
    tiles: tuple[Tile, ...]
    counts: tuple[tuple[str, tuple[int, ...]], ...]
    columns: tuple[str, ...]
    added_up: tuple[str, ...]
    chart: Chart | None
    runs: tuple[Run, ...]
    failing: tuple[tuple[str, int, str], ...]
    more_fail: bool
    waiting: tuple[str, ...]
    waits: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    stopped: bool
    refresh: int


def overview(facts: Facts) -> Overview:
    state = facts.state
    tone, sentence = _sentence(facts)
    stopped = bool(state.paused or state.disabled)
    recent = [each for each in facts.cycles if each["began"] > facts.now - DAY]
    return Overview(
        tone=tone,
        sentence=sentence,
        details=tuple(_details(facts)),
        running=_running(facts),
        quarantine=_quarantine(facts),
        held=held_view(state, facts.now) if state.held is not None else None,
        tiles=tuple(_tiles(facts, recent)),
        counts=tuple((kind.capitalize(), _sums(recent, kind)) for kind in KINDS),
        columns=COLUMNS,
        added_up=ADDED_UP,
        chart=chart_of(facts.cycles, facts.now),
        runs=tuple(_run(each, facts.now) for each in facts.cycles[:RUNS]),
        failing=tuple((code, number, advice_for(code)) for code, number in facts.failing.items()),
        more_fail=facts.more_fail,
        waiting=tuple(_waiting(facts.waiting)),
        waits=tuple(_waits(each) for each in facts.waits),
        facts=tuple(_about(facts)),
        stopped=stopped,
        refresh=2 if facts.running is not None else 30,
    )


def _sentence(facts: Facts) -> tuple[Tone, str]:
    state = facts.state
    if facts.running is not None:
        word = "The first cycle" if facts.running.kind == "initial" and not state.last_succeeded else "A cycle"
        return "info", f"{word} is under way: {position_of(facts.running).phase}."
    if state.disabled:
        since = said(state.disabled - facts.now)
        return "bad", f"Provisioning was disabled {since}, after 28 days in quarantine."
    if state.paused:
        why = "too much failed in its first cycle" if state.escrows_pruned else "no cycle begins until it is started"
        return "warn", f"Provisioning is paused: {why}."
    if (found := state.in_quarantine) is not None and found.slows:
        return "bad", f"Provisioning is in quarantine: {WHY.get(found.reason, found.reason)}."
    return _unhindered(facts)


def _unhindered(facts: Facts) -> tuple[Tone, str]:
    """Cycles run as they should; whether they come to what they should is another question."""
    last = facts.cycles[0] if facts.cycles else None
    if facts.state.held is not None:
        number = sum(facts.state.held.counts.values())
        waits = "waits" if number == 1 else "wait"
        return "warn", f"{counted(number, 'change')} {waits} for your word; everything else goes on."
    if last is None:
        return "quiet", "Nothing has been provisioned yet."
    if last["failure"]:
        return "bad", "The last cycle could not be finished."
    if failing := sum(facts.failing.values()):
        least = "at least " if facts.more_fail else ""
        return (
            "warn",
            f"Provisioning works, but {least}{counted(failing, 'object')} {'fails' if failing == 1 else 'fail'}.",
        )
    return "good", "Provisioning is healthy: everybody in scope is up to date."


def _details(facts: Facts) -> Iterator[str]:
    state, last = facts.state, facts.cycles[0] if facts.cycles else None
    if last is not None:
        what = _wrote(last["counts"])
        yield f"The last cycle ended {said(last['ended'] - facts.now)} and {what}."
        if last["failure"]:
            yield sentence_case(last["failure"])
    else:
        yield "Look at the plan first: it says what the first cycle would do, and writes nothing."
    if (following := next_run(facts)) is not None:
        yield following
    if (ruling := state.ruling) is not None and not ruling.used and state.held is None:
        word = "approved" if ruling.approves else "rejected"
        until = moment(ruling.expires, facts.now).text
        yield f"Plan {ruling.plan} was {word} by {ruling.by}; the next cycle that begins before {until} follows it."


def next_run(facts: Facts) -> str | None:
    """When the next one begins, or None where one runs or nobody knows."""
    state, last = facts.state, facts.progress
    if facts.running is not None or state.paused or state.disabled:
        return None
    if not state.last_began:
        return "The first cycle begins when the timer looks next, or when you start it."
    at = state.last_began + facts.interval
    if state.in_quarantine is not None and state.in_quarantine.slows:
        at = state.in_quarantine.next_attempt
    elif last is not None and last.halted is not None:
        at = last.retry_at + facts.interval
    if state.restart is not None or at <= facts.now:
        return "The next cycle is due: it begins when the timer looks next."
    return f"The next cycle is due {said(at - facts.now)}, at {moment(at, facts.now).text}."


def _wrote(counts: Mapping[str, int]) -> str:
    numbers = {name: sum(counts.get(f"{kind}.{name}", 0) for kind in KINDS) for name in EXPORTS}
    parts = [f"{name} {number:,}" for name, number in numbers.items() if number]
    return listed(parts) if parts else "found nothing to change"


def _running(facts: Facts) -> Running | None:
    if facts.running is None:
        return None
    place = position_of(facts.running)
    if place.total:
        told = f"{place.done:,} of {counted(place.total, 'object')}"
    elif read := facts.running.counts.get("imported", 0):
        told = f"{counted(read, 'object')} looked at"
    else:
        told = "nobody knows yet how much there is"
    if facts.running.retry_at > facts.now:
        told += f"; waits {roughly(facts.running.retry_at - facts.now)} before the next try"
    return Running(place.phase, moment(facts.running.began, facts.now), place.done, place.total, told)


def _quarantine(facts: Facts) -> Quarantined | None:
    found = facts.state.in_quarantine
    if found is None or not found.slows:
        return None
    error = found.error
    return Quarantined(
        why=sentence_case(WHY.get(found.reason, found.reason)),
        error=sentence_case(error.message) if error is not None else "",
        advice=sentence_case(advice_for(error.code)) if error is not None else "",
        since=moment(found.series_began, facts.now),
        following=moment(found.next_attempt, facts.now),
    )


def _tiles(facts: Facts, recent: list[Mapping[str, Any]]) -> Iterator[Tile]:
    for kind in ("user", "group"):
        numbers = {name.partition(".")[2]: n for name, n in facts.state.states.items() if name.startswith(f"{kind}.")}
        out = sum(number for name, number in numbers.items() if name != "in scope")
        note = f"{out:,} out of scope" if out else "all in scope"
        managed = facts.state.managed.get(kind, 0)
        label = f"{KIND_WORDS[kind].capitalize()} managed"
        yield Tile(label, f"{managed:,}", note if managed else "none yet")
    written = sum(sum(_sums(recent, kind)[:4]) for kind in KINDS)
    failed = sum(_sums(recent, kind)[4] for kind in KINDS)
    rate = f"{100 * written / (written + failed):.1f} % succeeded" if written + failed else "nothing to write"
    note = f"{rate}, in {counted(len(recent), 'cycle')}"
    yield Tile("Written in 24 hours", f"{written:,}", note, link="/dashboard/logs")
    failing = sum(facts.failing.values())
    yield Tile(
        "Failing now",
        f"{failing:,}{'+' if facts.more_fail else ''}",
        "tried again by themselves" if failing else "nothing fails",
        "bad" if failing else "good",
        "/dashboard/logs?status=failure" if failing else "",
    )
    waiting = int(facts.waiting.get("objects", 0))
    yield Tile(
        "References waiting",
        f"{waiting:,}{'+' if facts.waiting.get('more') else ''}",
        "written when their target appears" if waiting else "none waits",
        "warn" if waiting else "good",
        "#waiting" if waiting else "",
    )


def _sums(cycles: list[Mapping[str, Any]], kind: str) -> tuple[int, ...]:
    return tuple(sum(each["counts"].get(f"{kind}.{name}", 0) for each in cycles) for name in ADDED_UP)


def _run(cycle: Mapping[str, Any], now: float) -> Run:
    counts = cycle["counts"]
    numbers = tuple(sum(counts.get(f"{kind}.{name}", 0) for kind in KINDS) for name in COLUMNS)
    state = _state(cycle["failure"], numbers[COLUMNS.index("failed")])
    took = roughly(max(0.0, cycle["ended"] - cycle["began"]))
    return Run(cycle["cycle"], moment(cycle["began"], now), took, cycle["kind"], state, numbers, cycle["failure"])


def _state(failure: str, failed: int) -> Badge:
    if failure:
        return Badge("Stopped", "bad")
    return Badge("Some failed", "warn") if failed else Badge("Done", "good")


def _waiting(waiting: Mapping[str, Any]) -> Iterator[str]:
    people: Mapping[str, int] = waiting.get("forPeople", {})
    if people:
        number, targets = sum(people.values()), counted(len(people), "user or group", "users or groups")
        yield f"{counted(number, 'reference')} to {targets} without a record yet"
    for table, number in waiting.get("forRecords", {}).items():
        yield f"{counted(number, 'reference')} to a record of {table} that ServiceNow does not have"


def _waits(row: Mapping[str, Any]) -> str:
    who = row["name"] or f"{row['type']} {row['id']}"
    if "group" in row:
        who = f"{who}, as a member of {row['groupName'] or row['group']},"
    whom = f"a record of {row['table']}" if "table" in row else row["missingName"] or row["missing"]
    return f"{who} waits for {whom}"


def _about(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "Instance", facts.instance
    yield "Scope", "everybody in the tenant" if facts.everyone else "users and groups assigned to the application"
    yield "Cycles", f"every {roughly(facts.interval)}"
    if facts.state.last_succeeded:
        yield "Last complete cycle", moment(facts.state.last_succeeded, facts.now).text
    if facts.rejected:
        yield "Left alone, because somebody rejected it", kinds(facts.rejected)
    yield "Job", facts.job
