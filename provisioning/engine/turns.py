"""Who may write memberships of a group now. Adding somebody to a group with roles makes ServiceNow work out everybody's
inherited roles, and two such writes at once can leave that half done (KB0965712): so they are done one at a time, over
all steps and workers of one state store. Knows no membership.
"""

from __future__ import annotations

from msgspec import Struct

from provisioning.engine.jobs import JOB
from provisioning.engine.keys import digest
from provisioning.engine.ports import Store
from provisioning.engine.shares import CLAIM_SECONDS
from provisioning.errors import RowConflict
from provisioning.rows import Delete, Insert, Operation, Replace


class Turn(Struct, frozen=True):
    """Who writes, and until when at most (seconds since 1970)."""

    holder: str
    until: float


class Turns:
    """The groups of one instance, by sys_id. `holder` names one piece of work."""

    def __init__(self, store: Store, instance: str, holder: str) -> None:
        self._store = store
        self._partition = f"turns|{digest(instance)[:16]}"
        self._holder = holder
        self._held: dict[str, str] = {}

    async def take(self, group: str, now: float) -> bool:
        """Also renews. False while somebody else has the turn: never waits, so that nobody waits in a ring. A turn that
        would last for longer than any does is left from before the clock was set back.
        """
        row = await self._store.get(JOB, self._partition, group)
        known = row.decode(Turn) if row else None
        if known is not None and known.holder != self._holder and now < known.until <= now + 2 * CLAIM_SECONDS:
            return False
        turn = Turn(self._holder, now + CLAIM_SECONDS)
        operation: Operation = Replace(group, turn, row.etag) if row else Insert(group, turn)
        try:
            (etag,) = await self._store.commit(JOB, self._partition, [operation])
        except RowConflict:
            return False
        self._held[group] = etag or ""
        return True

    async def give_back(self) -> None:
        for group, etag in self._held.items():
            try:
                await self._store.commit(JOB, self._partition, [Delete(group, etag)])
            except RowConflict:
                continue  # it lasted too long, and somebody else has it
        self._held.clear()
