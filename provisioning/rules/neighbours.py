"""Several jobs that provision to one instance: a record has one job at a time, the one that linked it first, and others
wait until it lets go. Pure: knows what the other job remembers, not where that is stored.

Who waits writes nothing to the record. References may point to it all the same: a membership belongs to the job of its
group, whoever has the user.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from provisioning.model import Decision, Fail, Link, Neighbour, Record, Skip
from provisioning.rules.linkage import unlinked
from provisioning.rules.scope import in_scope, reasons

MANAGED = "ManagedByAnotherJob"
"""SkipReason of what another job of the instance manages."""
WAY_OUT = (
    "take the object out of the scope of job {job}, unlink it there (`links unlink`) or delete that job; this one "
    "takes the record over in its next cycle then"
)
UNDER_WAY = 900.0
"""Seconds for which a claim holds whose link does not bear it out: as long as a worker may take that holds the lease.
A claim comes before its link, and who has died in between, or before the record was there, must not hold it for ever.
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has claimed a record: a job, its source object, what it remembers of that, and when it claimed (seconds since
    1970).
    """

    job: str
    source: str
    link: Link
    at: float

    def manages(self, sys_id: str) -> bool:
        """Not once the object is out of that job's scope and all was done that this asks for."""
        return self.link.linked and self.link.sys_id == sys_id and not self.link.released


def holds(holder: Holder, sys_id: str, now: float) -> bool:
    return holder.manages(sys_id) or now - holder.at < UNDER_WAY


def is_the_same(holder: Holder, sys_id: str, keys: Collection[str]) -> bool:
    """Whether the record that another job has, and that none of our keys has found, is the one that we would make: it
    is being made, or was a moment ago. Otherwise it is another account of the same person.
    """
    known = {key.casefold() for key in (holder.link.match_value, *holder.link.other_keys) if key}
    return not holder.manages(sys_id) or bool(known & {key.casefold() for key in keys})


def managed_elsewhere(
    link: Link, record: Record | None, candidate: str, neighbours: Mapping[str, str]
) -> Neighbour | None:
    """The job that has the record of an object in scope: the one that was found, that was known before, or that was to
    be made as `candidate`.
    """
    if record is not None:
        sys_id = record["sys_id"]
        return Neighbour(neighbours[sys_id], sys_id) if sys_id in neighbours else None
    if link.foreign is not None and link.foreign.sys_id in neighbours:
        return Neighbour(neighbours[link.foreign.sys_id], link.foreign.sys_id)
    return Neighbour(neighbours[candidate]) if candidate in neighbours else None


def taken_over(link: Link, neighbours: Mapping[str, str]) -> Neighbour | None:
    """The job that has the record now that was an object's own, who is out of scope here."""
    sys_id = link.sys_id or ""
    return Neighbour(neighbours[sys_id], sys_id) if sys_id in neighbours else None


def left_to(decision: Decision, neighbour: Neighbour, link: Link) -> Decision:
    """Nothing is written. Of an object in scope the log tells it once for each job and record."""
    job = neighbour.job
    if in_scope(decision.scope):
        what = f"the record {neighbour.sys_id}" if neighbour.sys_id else "the record, which is being made,"
        text = f"{what} is managed by job {job} of the same instance, which was first; nothing was written. To let this"
        action = Skip(MANAGED, f"{text} job manage it: {WAY_OUT.format(job=job)}")
    else:
        text = f"{reasons(decision.scope)}; job {job} of the same instance has taken the record over, and it is left as"
        action = Skip("NotEffectivelyEntitled", f"{text} it is")
    return replace(decision, action=action, neighbour=neighbour, told=link.foreign == neighbour)


def given_over(link: Link, neighbour: Neighbour) -> Link:
    """The link of an object whose record is another job's."""
    mine = unlinked(link) if link.sys_id is not None else link
    return replace(mine, foreign=neighbour if neighbour.sys_id else link.foreign)


def afterwards(link: Link, decision: Decision, *, failed: bool) -> Link:
    """The link with what other jobs are to know, and with what is known of them: an object out of scope waits for
    nobody, but its memberships that are still to end need its record.
    """
    inside, foreign = in_scope(decision.scope), link.foreign
    if foreign is not None and not inside:
        foreign = Neighbour("", foreign.sys_id)
    settled = not failed and link.escrow is None and not isinstance(decision.action, Fail)
    if isinstance(decision.action, Skip) and decision.action.reason == "ImportSkipped":
        settled = False
    released = (not inside if settled else link.released) if link.linked else False
    return replace(link, released=released, foreign=None if link.linked else foreign)
