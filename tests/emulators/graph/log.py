"""The change log of one kind of object: what delta query is answered from. Entries are ordered by a
sequence number shared by the whole tenant, so a delta token is little more than a number, and a
round costs as much as there are changes. It records that something changed, never the values.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Event(Enum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    RESTORED = "restored"
    PURGED = "purged"
    MANAGER = "manager"
    MEMBER = "member"


class LogEntry(NamedTuple):
    number: int
    id: str
    event: Event
    names: frozenset[str] = frozenset()
    """The properties that an update touched."""
    other: str | None = None
    """The member that came or went, or the manager that a user had before."""


_BY_NUMBER = attrgetter("number")


class ChangeLog:
    def __init__(self) -> None:
        self._entries: list[LogEntry] = []
        self._by_id: dict[str, list[LogEntry]] = {}

    def append(self, entry: LogEntry) -> None:
        self._entries.append(entry)
        # A membership's history is asked of the membership, and a big group has a long one.
        if entry.event is not Event.MEMBER:
            self._by_id.setdefault(entry.id, []).append(entry)

    def after(self, number: int) -> Iterator[LogEntry]:
        for index in range(bisect_right(self._entries, number, key=_BY_NUMBER), len(self._entries)):
            yield self._entries[index]

    def of(self, object_id: str, after: int) -> list[LogEntry]:
        """The later entries of one object, memberships aside."""
        entries = self._by_id.get(object_id, [])
        return entries[bisect_right(entries, after, key=_BY_NUMBER) :]
