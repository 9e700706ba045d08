"""Keys of the state store, and the sys_ids that we choose. Pure.

Objects are spread by a hash of their id over 256 bins in 16 partitions. A chunk of work is a range of bins, so that
chunks of a chosen size can be cut from a small plan as well as from one with a million rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from provisioning.model import ObjectType

BINS = tuple(f"{n:02x}" for n in range(256))
NIBBLES = "0123456789abcdef"
"""The partitions: what a bin's name begins with."""
AFTER_ALL = "~"
"""Sorts behind every character that our keys use."""


def digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def change_id(*parts: str) -> str:
    """The id of a log entry, in the form of a GUID: the same parts have the same, so that nothing is told twice."""
    name = digest(*parts)
    return f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:32]}"


def bin_of(object_key: str) -> str:
    """The bin of `user:ID`, `group:ID` or `member:GROUP:USER`; the memberships of a group stay together."""
    return _bin(object_key.split(":", 2)[1])


def partition_of(job: str, kind: str, source_id: str) -> str:
    return f"{job}|{kind}|{_bin(source_id)[0]}"


@lru_cache(maxsize=8192)
def _bin(source_id: str) -> str:
    """Kept for the objects of the chunks at hand: each is asked for a dozen times while it goes through a step."""
    return digest(source_id)[:2]


def chosen_sys_id(tenant: str, kind: str, source_id: str, generation: int) -> str:
    """The sys_id of the record that we create: the same for every try, so that a repeat meets itself."""
    return digest("sys_id", tenant, kind, source_id, str(generation))[:32]


def ranges(bins: Mapping[str, int], limit: int) -> Iterator[tuple[str, str, int]]:
    """Ranges (first bin, last bin, rows) that hold about `limit` rows each; a bin is never split, and one that is
    named with no rows is in a range all the same.
    """
    first, rows = "", 0
    last = ""
    for name in sorted(bins):
        if rows and rows + bins[name] > limit:
            yield first, last, rows
            first, rows = "", 0
        first, last, rows = first or name, name, rows + bins[name]
    if first:
        yield first, last, rows


def identity(object_key: str) -> tuple[ObjectType, str]:
    """("user", id) or ("group", id) of an object key."""
    kind, _, source_id = object_key.partition(":")
    return ("user" if kind == "user" else "group"), source_id


def ends(object_key: str) -> tuple[str, str]:
    """(group id, member id) of a membership key."""
    _, group, member = object_key.split(":", 2)
    return group, member


def add_counts(total: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Adds nested counters: {"users": {"0f": 3}}."""
    result = dict(total)
    for key, value in more.items():
        if isinstance(value, Mapping):
            result[key] = add_counts(dict(result.get(key, {})), value)
        else:
            result[key] = result.get(key, 0) + value
    return result
