"""Moves dates and counts between them, as Visual Basic does."""

from __future__ import annotations

import enum
from calendar import monthrange
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from provisioning.expressions.values import Unfit


class Interval(enum.Enum):
    """The names that DateAdd and DateDiff take: `m` is a month, `n` a minute."""

    YEAR = "yyyy"
    MONTH = "m"
    DAY = "d"
    WEEK = "ww"
    HOUR = "h"
    MINUTE = "n"
    SECOND = "s"


SPANS = {
    Interval.DAY: timedelta(days=1),
    Interval.WEEK: timedelta(weeks=1),
    Interval.HOUR: timedelta(hours=1),
    Interval.MINUTE: timedelta(minutes=1),
    Interval.SECOND: timedelta(seconds=1),
}


def interval(name: str) -> Interval:
    try:
        return Interval(name.strip())
    except ValueError as error:
        names = ", ".join(each.value for each in Interval)
        raise Unfit(f"takes one of the intervals {names}, not {name!r}") from error


def added(unit: Interval, count: int, moment: datetime) -> datetime:
    """Months and years keep the day where the month has it, and take its last day where not."""
    try:
        if unit in SPANS:
            return moment + SPANS[unit] * count
        months = moment.year * 12 + moment.month - 1 + count * (12 if unit is Interval.YEAR else 1)
        year, month = divmod(months, 12)
        if not MINYEAR <= year <= MAXYEAR:
            raise _beyond(count)
        day = min(moment.day, monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day)
    except OverflowError as error:
        raise _beyond(count) from error


def difference(unit: Interval, first: datetime, second: datetime) -> int:
    """Years and months by the calendar, weeks by the Sundays between, everything shorter by elapsed time without what
    is left over.
    """
    match unit:
        case Interval.YEAR:
            return second.year - first.year
        case Interval.MONTH:
            return (second.year - first.year) * 12 + second.month - first.month
        case Interval.WEEK:
            return (_sunday(second) - _sunday(first)) // 7
    elapsed, span = second - first, SPANS[unit]
    return elapsed // span if elapsed >= timedelta() else -(-elapsed // span)


def _sunday(moment: datetime) -> int:
    """The day number of the Sunday that began the week."""
    return moment.toordinal() - moment.isoweekday() % 7


def _beyond(count: int) -> Unfit:
    return Unfit(f"leaves the years 1 to 9999 by adding {count}")
