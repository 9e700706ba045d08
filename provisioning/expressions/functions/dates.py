"""Functions of dates. A date is a text, `M/d/yyyy h:mm:ss tt` in UTC; whatever CDate reads is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from provisioning.expressions.date_formats import DateFormat, compile_format, styles
from provisioning.expressions.dates import from_filetime, to_filetime, utc_date
from provisioning.expressions.intervals import Interval, added, difference, interval
from provisioning.expressions.signatures import Run, Scope, Site, built, eager
from provisioning.expressions.values import Unfit, integer, moment_text, one, text

ROUNDTRIP = styles("")


def date(value: Any) -> datetime:
    value = one(value)
    if isinstance(value, datetime):
        value = moment_text(value)
    return utc_date(text(value))


def c_date(expression: Any) -> str:
    return moment_text(date(expression))


def now(_: Site) -> Run:
    return lambda scope: moment_text(scope.moment())


def date_add(site: Site) -> Run:
    unit = site.prepared(0, interval, Interval.DAY)
    value, source = site.run(1), site.run(2)
    return lambda scope: moment_text(added(unit(scope), integer(value(scope)), date(source(scope))))


def date_diff(site: Site) -> Run:
    unit = site.prepared(0, interval, Interval.DAY)
    first, second = site.run(1), site.run(2)
    return lambda scope: difference(unit(scope), date(first(scope)), date(second(scope)))


def date_from_num(value: Any) -> str:
    return moment_text(from_filetime(integer(value)))


def num_from_date(value: Any) -> str:
    return str(to_filetime(date(value)))


cached_format: Callable[[str], DateFormat] = lru_cache(maxsize=256)(compile_format)


def format_date_time(site: Site) -> Run:
    """Four places, or three without dateTimeStyles. Null stays null, so that a date nobody entered fails no object."""
    three = len(site.call.arguments) == 3 or (site.filled(1) and not site.filled(3))  # noqa: PLR2004
    input_at, output_at = (1, 2) if three else (2, 3)
    for at, name in ((input_at, "inputFormat"), (output_at, "outputFormat")):
        if not site.filled(at):
            raise site.error(f"FormatDateTime needs its {name}")
    source = site.run(0)
    style = site.prepared(1, styles, ROUNDTRIP) if not three else lambda _: ROUNDTRIP
    read, write = (site.prepared(at, cached_format, EMPTY) for at in (input_at, output_at))

    def run(scope: Scope) -> str | None:
        value = text(source(scope))
        if not value:
            return None
        found = read(scope).read(value, style(scope), scope.moment().date())
        if found is None:
            raise Unfit(f"cannot read the date with the format {read(scope).text!r}")
        return write(scope).print(found)

    return run


EMPTY = compile_format("yyyy")

FUNCTIONS = (
    eager("CDate(expression: String)", c_date),
    built("Now()", now),
    built("DateAdd(interval: String, value: Integer, dateTime: DateTime)", date_add),
    built("DateDiff(interval: String, date1: DateTime, date2: DateTime)", date_diff),
    eager("DateFromNum(value: Integer)", date_from_num),
    eager("NumFromDate(value: String)", num_from_date),
    built(
        "FormatDateTime(source: String, dateTimeStyles: String?, inputFormat: String~, outputFormat: String~)",
        format_date_time,
        least=3,
    ),
)
