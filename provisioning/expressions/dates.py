"""Reads dates as .NET does when it is not told a format, in the spellings that directories and people use."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from provisioning.expressions.values import Unfit

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
"""Where FILETIME starts to count its steps of 100 ns."""
LAST_OF_2000S = 49
"""Two-digit years up to this one are of this century."""

_MONTH = "(?P<name>" + "|".join(f"{each[:3]}(?:{each[3:]})?" for each in MONTHS) + r")\.?"
_DAY_NAME = "(?:(?:" + "|".join(f"{each[:3]}(?:{each[3:]})?" for each in DAYS) + r"),?\s+)?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?(?:\s*(?P<half>[AP]M?))?"
_ZONE = r"(?P<zone>Z|GMT|UTC|[+-]\d{1,2}(?::?\d{2})?)"
_TAIL = rf"(?:(?:\s*T\s*|\s+|\s*,\s*){_CLOCK})?(?:\s*{_ZONE})?"
SPELLINGS = tuple(
    re.compile(rf"\s*{each}{_TAIL}\s*", re.IGNORECASE | re.ASCII)
    for each in (
        r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
        r"(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})",
        r"(?P<month>\d{1,2})(?P<mark>[/.-])(?P<day>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})",
        rf"{_DAY_NAME}(?P<day>\d{{1,2}})[ -]{_MONTH}[ ,-]\s*(?P<year>\d{{4}})",
        rf"{_DAY_NAME}{_MONTH}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})[ -]{_MONTH}[ -](?P<day>\d{{1,2}})",
        r"(?P<year>\d{4})-(?P<month>\d{1,2})",
    )
)
LONGEST = 80


def read_date(value: str) -> datetime | None:
    """A date in any spelling that CDate takes; with a zone only where the text names one. None for anything else."""
    if len(value) > LONGEST:
        return None
    for spelling in SPELLINGS:
        if found := spelling.fullmatch(value):
            return _moment(found.groupdict())
    return None


def utc_date(value: str) -> datetime:
    """A date in UTC; a text without a zone is in UTC already."""
    if not value.strip():
        raise Unfit("takes a date and was given nothing")
    found = read_date(value)
    if found is None:
        raise Unfit(f'takes a date and was given "{value[:LONGEST]}"')
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise Unfit(f'takes a date of the years 1 to 9999 and was given "{value}"') from error


def from_filetime(value: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=value // 10)
    except OverflowError as error:
        raise Unfit(f"takes 100 ns steps since 1601 up to the year 9999 and was given {value}") from error


def to_filetime(moment: datetime) -> int:
    if moment < EPOCH:
        raise Unfit("cannot count from 1601 to an earlier date")
    return (moment - EPOCH) // timedelta(microseconds=1) * 10


def full_year(short: int) -> int:
    return short + (2000 if short <= LAST_OF_2000S else 1900)


def zone_of(written: str) -> timezone | None:
    """`+01:00`, `-0730`, `+1` or a name of UTC; None beyond 14 hours."""
    if written.upper() in {"Z", "GMT", "UTC"}:
        return UTC
    digits = written[1:].replace(":", "")
    hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))  # noqa: PLR2004
    offset = timedelta(hours=hours, minutes=minutes)
    if offset > timedelta(hours=14) or minutes > 59:  # noqa: PLR2004
        return None
    return timezone(-offset if written[0] == "-" else offset)


def hour_of(hour: int, half: str | None) -> int | None:
    """The hour of a clock with AM and PM, None when there is no such hour."""
    if half is None:
        return hour
    if hour > 12:  # noqa: PLR2004
        return None
    return hour % 12 + (12 if half[0] in "pP" else 0)


def _moment(found: dict[str, str | None]) -> datetime | None:
    year = int(found["year"] or 1)
    if len(found["year"] or "") == 2:  # noqa: PLR2004
        year = full_year(year)
    name = found.get("name")
    month = _month(name) if name else int(found.get("month") or 1)
    hour = hour_of(int(found["hour"] or 0), found["half"])
    zone = zone_of(found["zone"]) if found["zone"] else None
    if hour is None or (found["zone"] and zone is None):
        return None
    part = int(((found["part"] or "") + "000000")[:6])
    try:
        return datetime(
            year,
            month,
            int(found.get("day") or 1),
            hour,
            int(found["minute"] or 0),
            int(found["second"] or 0),
            part,
            tzinfo=zone,
        )
    except ValueError:
        return None


def _month(name: str) -> int:
    return next(at for at, each in enumerate(MONTHS, 1) if each[:3].lower() == name[:3].lower())
