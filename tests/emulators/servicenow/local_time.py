"""Date-times as people see them: stored in UTC, displayed in the time zone of the instance. Knows no columns."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

FORM = "%Y-%m-%d %H:%M:%S"


def from_utc(stored: str, zone: str) -> str:
    return _between(stored, UTC, ZoneInfo(zone)) if stored and zone != "UTC" else stored


def to_utc(shown: str, zone: str) -> str:
    return _between(shown, ZoneInfo(zone), UTC) if shown and zone != "UTC" else shown


def _between(text: str, source: tzinfo, target: tzinfo) -> str:
    try:
        moment = datetime.strptime(text, FORM).replace(tzinfo=source)
    except ValueError:
        return text  # the column's own writer drops what is no date
    return moment.astimezone(target).strftime(FORM)
