"""A collection that keeps the order of arrival and can be paged from any position. Pages of the
emulator are cut out of collections that change while a client walks them, so a position is the
sequence number of the last item handed out, never an offset: nothing is skipped when an earlier
item goes away. It knows nothing of users, groups or HTTP.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPACT_ABOVE = 64


class Sequenced:
    """Keys in order of arrival; membership in O(1), a page in O(log n + page)."""

    __slots__ = ("_current", "_keys", "_numbers")

    def __init__(self) -> None:
        self._current: dict[str, int] = {}
        self._numbers: array[int] = array("Q")
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, key: object) -> bool:
        return key in self._current

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def add(self, key: str, number: int) -> None:
        self._current[key] = number
        self._numbers.append(number)
        self._keys.append(key)

    def discard(self, key: str) -> None:
        if self._current.pop(key, None) is None:
            return
        holes = len(self._keys) - len(self._current)
        if holes > _COMPACT_ABOVE and holes > len(self._current):
            self._numbers = array("Q", self._current.values())
            self._keys = list(self._current)

    def number(self, key: str) -> int | None:
        """The sequence number under which the key arrived."""
        return self._current.get(key)

    def at(self, number: int) -> str:
        """The key that arrived under this number."""
        return self._keys[bisect_right(self._numbers, number) - 1]

    def after(self, number: int) -> Iterator[tuple[int, str]]:
        """What arrived later than `number`, in order."""
        for index in range(bisect_right(self._numbers, number), len(self._keys)):
            key = self._keys[index]
            if self._current.get(key) == self._numbers[index]:
                yield self._numbers[index], key
