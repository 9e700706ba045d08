"""What people are told of a job: which notices are due, by what the job's state says and by what was told before. Pure.

Not a diff of two states but a comparison with what was told: an event that is stored late is told late, and never
twice. A notice holds numbers, codes and ids, nothing of a person; in which words and by which way is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from provisioning.rules.quarantine import Quarantine, Reason

HOUR = 3600.0
PLAN_QUIET = 4 * HOUR
"""A plan that takes the place of another one so soon is told when this time is up: it may change with each cycle."""


class QuarantineEntered(Struct, frozen=True, tag=True):
    """`code` is the error's, `numbers` what it came to where failures were counted; `next_attempt` in seconds since
    1970.
    """

    reason: Reason
    code: str
    numbers: str
    next_attempt: float


class QuarantineReasonChanged(Struct, frozen=True, tag=True):
    before: str
    reason: Reason
    code: str
    numbers: str
    next_attempt: float


class QuarantineLeft(Struct, frozen=True, tag=True):
    """`reason` is the last one that was told."""

    reason: str


class RemovalsHeld(Struct, frozen=True, tag=True):
    """By kind of harm how many are held, how many may be at once, and of how many."""

    plan: str
    counts: Mapping[str, int]
    allowed: Mapping[str, int]
    managed: Mapping[str, int]


class JobDisabled(Struct, frozen=True, tag=True):
    """`since` is when the quarantine began that has lasted too long."""

    reason: str
    code: str
    since: float


class JobPaused(Struct, frozen=True, tag=True):
    """Entra's escrowsPruned: too much failed in the initial cycle."""


class NoSuccess(Struct, frozen=True, tag=True):
    """No cycle has succeeded since `since`; `code` is that of the last failure, if a cycle has failed. `runs` says that
    a cycle is not at its end yet.
    """

    since: float
    hours: int
    code: str
    runs: bool


class SuccessAgain(Struct, frozen=True, tag=True):
    """After `NoSuccess`: a cycle has succeeded at `at`; the one before it at `since`, or none."""

    since: float
    at: float


class Trial(Struct, frozen=True, tag=True):
    """Somebody wants to see whether notices arrive."""


Event = (
    QuarantineEntered
    | QuarantineReasonChanged
    | QuarantineLeft
    | RemovalsHeld
    | JobDisabled
    | JobPaused
    | NoSuccess
    | SuccessAgain
    | Trial
)


class Notice(Struct, frozen=True):
    """One event of a job, `at` in seconds since 1970. Whoever receives a notice twice knows it by its `id`."""

    id: str
    job: str
    instance: str
    at: float
    event: Event


class Told(Struct, frozen=True, omit_defaults=True):
    """What was told of a job, so that it is not told again: the quarantine's reason and when its series began, the plan
    of held removals and when it was told, when the job was disabled or its failures were pruned, and since when no
    cycle had succeeded. Empty or 0 where all is well.
    """

    reason: str = ""
    series: float = 0.0
    plan: str = ""
    plan_at: float = 0.0
    disabled: float = 0.0
    pruned: float = 0.0
    silent_since: float = 0.0


class Holding(Struct, frozen=True):
    """What the removal guard holds, as `RemovalsHeld`."""

    plan: str
    counts: Mapping[str, int] = field(default_factory=dict)
    allowed: Mapping[str, int] = field(default_factory=dict)
    managed: Mapping[str, int] = field(default_factory=dict)


class Standing(Struct, frozen=True):
    """How a job stands. `quarantine` is the one in force; `pruned` is when the failures of an initial cycle were
    dropped, if the job is paused for that. `succeeded` is when a cycle last did, `expected_since` when success was
    first to be expected (0: not yet). `code` is that of the last failure, `failed` whether the last cycle did, `waits`
    whether no cycle is to begin, `runs` whether one is under way.
    """

    quarantine: Quarantine | None = None
    held: Holding | None = None
    disabled: float = 0.0
    pruned: float = 0.0
    succeeded: float = 0.0
    expected_since: float = 0.0
    code: str = ""
    failed: bool = False
    waits: bool = False
    runs: bool = False


Due = tuple[Told, tuple[Event, ...]]
"""What is told then, and what is to be told for that."""


def due_after_cycle(told: Told, standing: Standing, now: float, patience: float) -> Due:
    """When a cycle has come to rest. `patience` is how many seconds may pass without a success, 0 for any number."""
    told, quarantine = _quarantine(told, standing)
    told, disabled = _disabled(told, standing)
    told, pruned = _pruned(told, standing)
    told, rest = due_between(told, standing, now, patience)
    return told, (*quarantine, *disabled, *pruned, *rest)


def due_between(told: Told, standing: Standing, now: float, patience: float) -> Due:
    """At any moment: what does not wait for a cycle's judgement. A quarantine that a person has lifted is not left
    before a cycle has succeeded.
    """
    told, events = _plan(told, standing, now)
    told, found = _silence(told, standing, now, patience)
    return told, (*events, *found)


def _quarantine(told: Told, standing: Standing) -> Due:
    found = standing.quarantine
    if found is None:
        if not told.reason or standing.failed:  # what a person has lifted is not mended before something succeeds
            return told, ()
        return replace(told, reason="", series=0.0), (QuarantineLeft(told.reason),)
    after = replace(told, reason=found.reason, series=found.series_began)
    is_new = not told.reason or (found.slows and told.reason == found.reason and told.series != found.series_began)
    if not is_new and told.reason == found.reason:
        return after, ()
    code, numbers = _cause(found)
    if not is_new:
        return after, (QuarantineReasonChanged(told.reason, found.reason, code, numbers, found.next_attempt),)
    if not found.slows:
        return after, ()  # the held plan is the notice
    return after, (QuarantineEntered(found.reason, code, numbers, found.next_attempt),)


def _cause(found: Quarantine) -> tuple[str, str]:
    """The message only where it is made of numbers: that of an exception may name what it was about."""
    if found.error is None:
        return "", ""
    code = found.error.code
    return code, found.error.message if code == found.reason and found.slows else ""


def _plan(told: Told, standing: Standing, now: float) -> Due:
    held = standing.held
    if held is None:
        return (replace(told, plan="", plan_at=0.0) if told.plan else told), ()
    if held.plan == told.plan or (told.plan and now - told.plan_at < PLAN_QUIET):
        return told, ()
    event = RemovalsHeld(held.plan, held.counts, held.allowed, held.managed)
    return replace(told, plan=held.plan, plan_at=now), (event,)


def _disabled(told: Told, standing: Standing) -> Due:
    if standing.disabled == told.disabled:
        return told, ()
    after = replace(told, disabled=standing.disabled)
    if not standing.disabled:
        return after, ()
    found = standing.quarantine
    code = _cause(found)[0] if found is not None else ""
    since = found.series_began if found is not None else standing.disabled
    return after, (JobDisabled(found.reason if found is not None else "", code, since),)


def _pruned(told: Told, standing: Standing) -> Due:
    if standing.pruned == told.pruned:
        return told, ()
    return replace(told, pruned=standing.pruned), (JobPaused(),) if standing.pruned else ()


def _silence(told: Told, standing: Standing, now: float, patience: float) -> Due:
    if told.silent_since:
        if standing.succeeded <= told.silent_since:
            return told, ()
        return replace(told, silent_since=0.0), (SuccessAgain(told.silent_since, standing.succeeded),)
    since = max(standing.succeeded, standing.expected_since)
    if not patience or not since or standing.waits or now - since < patience:
        return told, ()
    hours = int((now - since) // HOUR)
    return replace(told, silent_since=since), (NoSuccess(since, hours, standing.code, standing.runs),)


def asks_for_action(event: Event) -> bool:
    """Whether somebody has to do something."""
    return not isinstance(event, QuarantineLeft | SuccessAgain | Trial)
