"""The last cycles as bars: what each of them wrote and what failed. Pure; knows numbers and places, no colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.dashboard.views.wording import Moment, counted, moment
from provisioning.engine.executions import KINDS

WIDTH, HEIGHT, GAP = 720.0, 150.0, 3.0
MOST = 40
PARTS = {
    "failed": ("failed",),
    "removed": ("disabled", "deleted"),
    "updated": ("updated",),
    "created": ("created",),
}
"""From the top of a bar to its foot."""
LEGEND = {"created": "created", "updated": "updated", "removed": "disabled or deleted", "failed": "failed"}
LEAST = 3.0
"""How high the smallest part is, so that one failure among thousands of updates is seen."""


@dataclass(frozen=True, slots=True)
class Segment:
    part: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    title: str
    x: float
    width: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """`said` is what the picture shows, for who does not see it."""

    bars: tuple[Bar, ...]
    first: Moment
    last: Moment
    said: str


def chart_of(cycles: Sequence[Mapping[str, Any]], now: float) -> Chart | None:
    """`cycles` are records, newest first; the picture begins with the oldest. None where there is none."""
    shown = list(reversed(cycles[:MOST]))
    if not shown:
        return None
    numbers = [_numbers(each["counts"]) for each in shown]
    highest = max(sum(each.values()) for each in numbers)
    slot = WIDTH / max(len(shown), 12)
    bars = tuple(
        _bar(cycle, parts, place * slot, slot - GAP, highest, now)
        for place, (cycle, parts) in enumerate(zip(shown, numbers, strict=True))
    )
    wrote = sum(1 for each in numbers if sum(each.values()))
    failed = sum(1 for each in numbers if each["failed"])
    said = f"The last {counted(len(shown), 'cycle')}: {wrote:,} of them wrote something, {failed:,} had failures"
    return Chart(bars, moment(shown[0]["began"], now), moment(shown[-1]["began"], now), said)


def _numbers(counts: Mapping[str, int]) -> dict[str, int]:
    return {
        part: sum(counts.get(f"{kind}.{name}", 0) for kind in KINDS for name in names) for part, names in PARTS.items()
    }


def _bar(cycle: Mapping[str, Any], parts: Mapping[str, int], x: float, width: float, highest: int, now: float) -> Bar:
    whole = sum(parts.values())
    # By the square root: a first load would make every later cycle invisible.
    height = (HEIGHT - 4 * LEAST) * math.sqrt(whole / highest) if whole else 0.0
    segments: list[Segment] = []
    top = HEIGHT - sum(_height(number, whole, height) for number in parts.values())
    for part, number in parts.items():
        if number:
            high = _height(number, whole, height)
            segments.append(Segment(part, round(x, 1), round(top, 1), round(width, 1), round(high, 1)))
            top += high
    numbers = ", ".join(f"{number:,} {LEGEND[part]}" for part, number in reversed([*parts.items()]) if number)
    when = moment(cycle["began"], now)
    return Bar(f"{when.text}: {numbers or 'nothing to write'}", round(x, 1), round(width, 1), tuple(segments))


def _height(number: int, whole: int, height: float) -> float:
    return max(LEAST, height * number / whole) if number else 0.0
