"""Notices in words: a subject and some lines, plain text without any format of mail or chat. Pure; knows neither the
way by which a notice goes nor what is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from provisioning.rules.error_codes import ERROR_CODES, advice_for
from provisioning.rules.notices import (
    Event,
    JobDisabled,
    JobPaused,
    NoSuccess,
    Notice,
    QuarantineEntered,
    QuarantineLeft,
    QuarantineReasonChanged,
    RemovalsHeld,
    SuccessAgain,
    Trial,
)
from provisioning.rules.review import OF_A_GROUP, WHAT

LATER = "`python -m provisioning start` begins the next cycle at once"


def subject(notice: Notice) -> str:
    return f"ServiceNow provisioning, {notice.instance}: {_headline(notice.event)}"


def lines(notice: Notice) -> list[str]:
    """What happened in numbers, the way out, and which job it is."""
    said = [sentence for sentence in _sentences(notice.event) if sentence]
    return [*said, f"Job {notice.job}, instance {notice.instance}, {when(notice.at)}; notice {notice.id}."]


def when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _headline(event: Event) -> str:
    match event:
        case QuarantineEntered(reason=reason):
            return f"the job is in quarantine ({reason})"
        case QuarantineReasonChanged(reason=reason):
            return f"the job is in quarantine for another reason ({reason})"
        case QuarantineLeft():
            return "the job has left quarantine"
        case RemovalsHeld(counts=counts):
            number = sum(counts.values())
            return f"{number:,} removals wait for your word" if number > 1 else "a removal waits for your word"
        case JobDisabled():
            return "the job is disabled"
        case JobPaused():
            return "the job is paused after too many failures"
        case NoSuccess(hours=hours):
            return f"no cycle has succeeded for {hours:,} hours"
        case SuccessAgain():
            return "cycles succeed again"
        case Trial():
            return "a test"


def _sentences(event: Event) -> Iterator[str]:
    match event:
        case QuarantineEntered(reason, code, numbers, next_attempt):
            yield f"The job was put into quarantine: {_cause(reason, code, numbers)}."
            yield from _slowed(reason, code, next_attempt)
        case QuarantineReasonChanged(before, reason, code, numbers, next_attempt):
            yield f"The job stays in quarantine. The reason was {before}; now it is {_cause(reason, code, numbers)}."
            yield from _slowed(reason, code, next_attempt)
        case QuarantineLeft(reason):
            yield f"The reason was {reason}. Cycles run as usual again."
        case RemovalsHeld():
            yield from _held(event)
        case JobDisabled(reason, code, since):
            cause = ", ".join(part for part in (reason, code) if part)
            yield f"In quarantine ({cause}) since {when(since)}, for more than 28 days, the job is disabled."
            yield "Nobody is created, changed or disabled in ServiceNow until somebody starts it."
            yield _advice(code)
            yield "When it is mended: `python -m provisioning start`."
        case JobPaused():
            yield (
                "Too much failed in the initial cycle. It was finished, its failures were dropped (escrowsPruned), and "
                "the job is paused: no cycle begins until somebody starts it."
            )
            yield (
                "`python -m provisioning logs` says what failed. When it is mended: `python -m provisioning "
                "start`, or `python -m provisioning restart --scope Watermark` to try all of it again."
            )
        case NoSuccess(since, hours, code, runs):
            yield f"The last time that all was well was {when(since)}, {hours:,} hours ago."
            yield "Until a cycle succeeds, people who have left may keep their accounts in ServiceNow."
            yield f"The last failure was {_explained(code)}." if code else "No cycle has failed since."
            yield _advice(code)
            yield (
                "A cycle is under way, and a first load may take this long: see `python -m provisioning status`."
                if runs
                else "No cycle is under way: see whether the app runs, and `python -m provisioning status`."
            )
        case SuccessAgain(since, at):
            yield f"A cycle succeeded at {when(at)}; before it none had since {when(since)}."
        case Trial():
            yield "Somebody asked for this test. Notices of this job arrive here; nothing has to be done."


def _cause(reason: str, code: str, numbers: str) -> str:
    detail = numbers or (_explained(code) if code and code != reason else "")
    return f"{reason} ({detail})" if detail else reason


def _explained(code: str) -> str:
    known = ERROR_CODES.get(code)
    return f"{code}: {known.cause}" if known is not None else code


def _advice(code: str) -> str:
    advice = advice_for(code)
    return f"{advice[:1].upper()}{advice[1:]}." if advice else ""


def _slowed(reason: str, code: str, next_attempt: float) -> Iterator[str]:
    if reason == "TooManyDeletes":
        yield "Removals above the limit wait for your word: see `python -m provisioning status`. The rest goes on."
        return
    yield (
        f"Cycles run seldom until one succeeds, down to once a day, the next one after {when(next_attempt)}; after 28 "
        "days the job is disabled."
    )
    yield _advice(code) or "`python -m provisioning logs` says what failed and what mends it."
    yield f"When it is mended: {LATER}."


def _held(held: RemovalsHeld) -> Iterator[str]:
    for kind, number in held.counts.items():
        what = WHAT.get(kind, kind)
        if kind in held.allowed:
            yield f"{number:,} {what}: {held.allowed[kind]:,} may be at once of {held.managed.get(kind, 0):,}."
        else:
            yield f"{number:,} {what}: {OF_A_GROUP.get(kind, 'more than is allowed')}."
    yield f"They are held as plan {held.plan} and nothing was done to them; the rest goes on as usual."
    yield (
        f"To look at them: `python -m provisioning plan --out plan.json`. To carry out exactly these: `python -m "
        f"provisioning run --approve {held.plan}`. To leave these objects as they are: `python -m provisioning run "
        f"--reject {held.plan}`."
    )
