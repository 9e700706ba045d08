"""What a link counts for: how many objects are under the job's care, by kind and by state. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.model import Link

MANAGED, STATE = "managed.", "state."


def managed_as(link: Link | None) -> tuple[str, ...]:
    """The counters that a link stands in."""
    if link is None or not link.managed:
        return ()
    return f"{MANAGED}{link.type}", f"{STATE}{link.type}.{link.state or 'unknown'}"


def add_managed(managed: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """The numbers of managed objects after what was counted."""
    return _added(managed, counts, MANAGED)


def add_states(states: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """The numbers of managed objects by kind and state after what was counted."""
    return {name: number for name, number in _added(states, counts, STATE).items() if number}


def _added(before: Mapping[str, int], counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    result = dict(before)
    for name, number in counts.items():
        if name.startswith(prefix):
            kind = name.removeprefix(prefix)
            result[kind] = max(0, result.get(kind, 0) + number)
    return result
