"""Times, numbers and the words of statuses and actions, as all pages say them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from provisioning.rules.durations import duration

Tone = Literal["good", "info", "warn", "bad", "quiet"]
"""How grave something is. A page never tells it by colour alone."""

SOON = 60.0
NOUNS = {"users": ("user", "users"), "groups": ("group", "groups"), "memberships": ("membership", "memberships")}


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for machines (`iso`), in full, and as people say it."""

    iso: str
    text: str
    said: str


STATUSES: Mapping[str, Badge] = {
    "success": Badge("Success", "good"),
    "warning": Badge("Warning", "warn"),
    "skipped": Badge("Skipped", "quiet"),
    "failure": Badge("Failure", "bad"),
}
ACTIONS: Mapping[str, Badge] = {
    "create": Badge("Create", "good"),
    "update": Badge("Update", "info"),
    "disable": Badge("Disable", "warn"),
    "delete": Badge("Delete", "bad"),
    "stagedDelete": Badge("Held", "warn"),
    "other": Badge("Other", "quiet"),
}


def moment(at: float, now: float) -> Moment:
    when = datetime.fromtimestamp(at, UTC)
    return Moment(
        when.isoformat(timespec="seconds").replace("+00:00", "Z"), f"{when:%Y-%m-%d %H:%M} UTC", said(at - now)
    )


def said(seconds: float) -> str:
    """From now on, or how long ago."""
    if abs(seconds) < SOON:
        return "now" if seconds >= 0 else "just now"
    text = roughly(abs(seconds))
    return f"in {text}" if seconds > 0 else f"{text} ago"


def roughly(seconds: float) -> str:
    """The two largest units that matter: nobody counts the seconds of an hour."""
    if seconds < SOON:
        return duration(seconds)
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    found = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(found[:2])


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def kinds(numbers: Mapping[str, int]) -> str:
    """As "826 users and 14 groups", of those there are any of."""
    return listed([counted(number, *NOUNS.get(kind, (kind, kind))) for kind, number in numbers.items() if number])


def listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def sentence_case(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""
