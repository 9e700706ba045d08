"""Whether the instance is still the one that a job has worked with, and whether it still holds what was written. Pure.

Its address says little: an instance is cloned over, restored from a backup or renamed under the same one. What it calls
itself (where it lets us read that) and records that are remembered with when they were made say more: a record keeps
its sys_id and its date for as long as it lives. When a record was last updated only ever grows, so a backup of the same
instance shows in that it is older than it was seen before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

MOST = {"user": 20, "group": 5}
"""Witnesses that are remembered."""
NEWEST = {"user": 10, "group": 5}
"""Records that are remembered besides, because they were written last."""
ENDED = 5
"""Memberships that are remembered because they were ended last."""
LEAST = 3
"""Fewer missing ones than this prove nothing: people delete records too."""


class Acceptance(Struct, frozen=True):
    """A person's word that the job is to go on with what it was told of, in seconds since 1970."""

    by: str
    at: float
    what: str


class Ended(Struct, frozen=True):
    """A membership, by its ends in the source, whose row we deleted, and when, as ServiceNow writes times."""

    group: str
    member: str
    sys_id: str
    at: str


class Doubt(Struct, frozen=True):
    """`why` is for people. `since` is set where the instance was set back to an earlier state of itself: a time before
    all that is lost, as ServiceNow writes times, "" where nothing tells one.
    """

    why: str
    since: str | None = None


class Remembered(Struct, frozen=True, omit_defaults=True):
    """`number` and `name` are what the instance calls itself, "" where that is not known. `witnesses` are linked
    records, as `user:SYS_ID` or `group:SYS_ID`, with when the instance says they were made; `updated` says when these
    and those that were written last had been updated. `ended` are memberships that were ended after all that. `doubt`
    is what was found the last time, if anything, with `since` as there; `accepted` the last time that a person settled
    one.
    """

    host: str = ""
    number: str = ""
    name: str = ""
    witnesses: dict[str, str] = field(default_factory=dict)
    updated: dict[str, str] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    doubt: str = ""
    since: str | None = None
    accepted: Acceptance | None = None


class SeenInstance(Struct, frozen=True):
    """What is seen now: `made` holds those of the remembered records that are there, `updated` when they were last
    updated where that may be read, `rows` the sys_ids of ended memberships that are there again.
    """

    host: str
    number: str
    name: str
    made: Mapping[str, str]
    updated: Mapping[str, str] = field(default_factory=dict)
    rows: frozenset[str] = frozenset()


def doubt(known: Remembered, seen: SeenInstance) -> Doubt | None:
    """Why the instance is not the one that is known, or not as it was left; None where nothing says so."""
    if known.number and seen.number and known.number != seen.number:
        names = (
            f", now {seen.name}, before {known.name}" if seen.name and known.name and seen.name != known.name else ""
        )
        return Doubt(f"its instance_id is {seen.number} and was {known.number}{names}")
    there = {witness: seen.made[witness] for witness in known.witnesses if witness in seen.made}
    anew = sum(made != known.witnesses[witness] for witness, made in there.items())
    total = len(known.witnesses)
    gone = total - len(there)
    if anew * 2 > len(there):
        return Doubt(f"{anew} of {len(there)} records that the job is linked to were made at another time than before")
    if (back := _set_back(known, seen)) is not None:
        return back
    if gone >= LEAST and gone * 2 > total:
        return Doubt(f"{gone} of {total} records that the job is linked to are gone")
    recognised = bool(known.number and known.number == seen.number) or bool(seen.made)
    if known.host and known.host != seen.host and total and not recognised:
        return Doubt(
            f"the settings name {seen.host}, the job has worked with {known.host}, and none of its records is there"
        )
    return None


def _set_back(known: Remembered, seen: SeenInstance) -> Doubt | None:
    """A record that was last updated before the time at which we saw it last, or a row that is there again, proves it,
    unless something that was written later is as we left it: then somebody has put that one record back. Records that
    others have updated since, or that are gone, prove nothing.
    """
    intact = [at for record, at in known.updated.items() if seen.updated.get(record) == at]
    latest = max([*intact, *seen.made.values()], default="")
    back = [
        at for record, at in known.updated.items() if (now := seen.updated.get(record)) and now < at and at > latest
    ]
    back += [each.at for each in known.ended if each.sys_id in seen.rows and each.at > latest]
    if not back:
        return None
    before = min(back)
    since = max((at for at in (*seen.updated.values(), *seen.made.values()) if at < before), default="")
    total = len(known.updated) + len(known.ended)
    between = f"between {since} and {before}" if since else f"before {before}"
    return Doubt(
        f"{len(back)} of {total} records by which that is told are as they were before they were last written, so it "
        f"was set back to a time {between} (UTC)",
        since,
    )


def with_written(known: Remembered, written: Mapping[str, str], ended: Collection[Ended]) -> Remembered:
    """After records were written (when, by the instance's own clock) and memberships ended. Bounded: of what is no
    witness only the newest is kept, and an ended membership as long as no record has been updated after it: a backup
    without the one is without the other.
    """
    updated = newest({**known.updated, **_later(written, known.updated)}, besides=known.witnesses)
    latest = max((at for record, at in updated.items() if at != known.witnesses.get(record)), default="")
    kept = newest_ended((*known.ended, *ended))
    return replace(known, updated=updated, ended=tuple(each for each in kept if each.at >= latest))


def _later(written: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    return {record: at for record, at in written.items() if at > known.get(record, "")}


def newest(updated: Mapping[str, str], besides: Collection[str] = ()) -> dict[str, str]:
    """The last that were updated of each kind, and those of `besides`."""
    kept = {record: at for record, at in updated.items() if record in besides}
    for kind, most in NEWEST.items():
        of_kind = [(at, record) for record, at in updated.items() if record.startswith(f"{kind}:")]
        others = sorted(((at, record) for at, record in of_kind if record not in besides), reverse=True)
        kept |= {record: at for at, record in others[:most]}
    return kept


def newest_ended(ended: Collection[Ended]) -> tuple[Ended, ...]:
    last = {each.sys_id: each for each in sorted(ended, key=lambda each: each.at)}
    return tuple(sorted(last.values(), key=lambda each: (each.at, each.sys_id))[-ENDED:])
