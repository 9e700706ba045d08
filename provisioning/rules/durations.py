"""Lengths of time as people say them. Pure."""

from __future__ import annotations


def duration(seconds: float) -> str:
    if seconds < 10:  # noqa: PLR2004 - below ten seconds a tenth is worth showing
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return " ".join([*parts, f"{rest} s"] if not days else parts)
