"""Finds objects by how a property begins, without a look at each of a hundred thousand: Graph has an index for that,
and whoever searches waits for its answer. Made anew when the directory has changed. It knows neither filters nor HTTP.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .records import DirectoryObject

_LAST = chr(0x10FFFF)


class Prefixes:
    def __init__(self) -> None:
        self._sequence = -1
        self._sorted: dict[tuple[str, str], tuple[list[str], list[int]]] = {}

    def find(
        self,
        numbered: Callable[[], Iterable[tuple[int, DirectoryObject]]],
        kind: str,
        sequence: int,
        wanted: Iterable[tuple[str, str]],
    ) -> list[int]:
        """The numbers of objects of which one property begins as `wanted`, (name, beginning) pairs, in rising order.
        `sequence` tells one state of the directory from another.
        """
        if sequence != self._sequence:
            self._sequence = sequence
            self._sorted.clear()
        found: set[int] = set()
        for name, beginning in wanted:
            if (kind, name) not in self._sorted:
                pairs = sorted((str(item.attributes.get(name) or "").casefold(), number) for number, item in numbered())
                self._sorted[kind, name] = ([value for value, _ in pairs], [number for _, number in pairs])
            values, numbers = self._sorted[kind, name]
            first = beginning.casefold()
            found.update(numbers[bisect_left(values, first) : bisect_left(values, first + _LAST)])
        return sorted(found)
