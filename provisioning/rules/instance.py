"""Whether the instance is still the one that a job has worked with. Pure.

Its address says little: an instance is cloned over, restored from a backup or renamed under the same one. What it calls
itself (where it lets us read that) and records that are remembered with when they were made say more: a record keeps
its sys_id and its date for as long as it lives.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

MOST = {"user": 20, "group": 5}
"""Witnesses that are remembered."""
LEAST = 3
"""Fewer missing ones than this prove nothing: people delete records too."""


class Acceptance(Struct, frozen=True):
    """A person's word that the job is to go on with what it was told of, in seconds since 1970."""

    by: str
    at: float
    what: str


class Remembered(Struct, frozen=True, omit_defaults=True):
    """`number` and `name` are what the instance calls itself, "" where that is not known. `witnesses` are linked
    records, as `user:SYS_ID` or `group:SYS_ID`, with when the instance says they were made. `doubt` is what was found
    the last time, if anything; `accepted` the last time that a person settled one.
    """

    host: str = ""
    number: str = ""
    name: str = ""
    witnesses: dict[str, str] = field(default_factory=dict)
    doubt: str = ""
    accepted: Acceptance | None = None


class SeenInstance(Struct, frozen=True):
    """What is seen now: `made` holds those of the witnesses that are there."""

    host: str
    number: str
    name: str
    made: Mapping[str, str]


def doubt(known: Remembered, seen: SeenInstance) -> str | None:
    """Why the instance is not the one that is known, or None."""
    if known.number and seen.number and known.number != seen.number:
        names = (
            f", now {seen.name}, before {known.name}" if seen.name and known.name and seen.name != known.name else ""
        )
        return f"its instance_id is {seen.number} and was {known.number}{names}"
    gone = sum(witness not in seen.made for witness in known.witnesses)
    anew = sum(made != known.witnesses[witness] for witness, made in seen.made.items())
    total = len(known.witnesses)
    if anew * 2 > len(seen.made):
        return f"{anew} of {len(seen.made)} records that the job is linked to were made at another time than before"
    if gone >= LEAST and gone * 2 > total:
        return f"{gone} of {total} records that the job is linked to are gone"
    recognised = bool(known.number and known.number == seen.number) or bool(seen.made)
    if known.host and known.host != seen.host and total and not recognised:
        return f"the settings name {seen.host}, the job has worked with {known.host}, and none of its records is there"
    return None
