"""Recognises the instance before anything is decided or written: one that was cloned over, restored or replaced would
turn links into errors, and leavers and new records into thousands; one that was set back has lost what was written.

Costs three reads when a cycle that has something to decide begins, and again every few minutes while it goes on; a
fourth as long as the last that was written was the end of memberships.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from provisioning.engine.edges import Edges
from provisioning.engine.jobs import JobRows
from provisioning.engine.keys import NIBBLES
from provisioning.engine.links import Links
from provisioning.engine.ports import Target
from provisioning.errors import InstanceChanged, RowConflict
from provisioning.model import MEMBERSHIPS, ObjectType
from provisioning.rules.drift import UPDATED_ON
from provisioning.rules.instance import (
    MOST,
    Acceptance,
    Doubt,
    Ended,
    Remembered,
    SeenInstance,
    doubt,
    with_written,
)

KINDS: tuple[ObjectType, ...] = ("user", "group")
KEEP_SECONDS = 300.0
MADE = "sys_created_on"
TRIES = 5

logger = logging.getLogger(__name__)


class KnownInstance:
    """`tables` are those of users and of groups."""

    def __init__(
        self,
        rows: JobRows,
        links: Links,
        edges: Edges,
        target: Target,
        tables: dict[ObjectType, str],
        now: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._links = links
        self._edges = edges
        self._target = target
        self._tables = tables
        self._now = now
        self._good: dict[str, float] = {}
        self._looking = asyncio.Lock()

    async def require_same(
        self, driver: str, host: str, written: Mapping[str, str] | None = None, ended: Collection[Ended] = ()
    ) -> None:
        """Raises `InstanceChanged`. What was found good holds for a few minutes, and for the one `driver` only: whoever
        resumes a cycle looks again. `written` and `ended` are as in `remember`.
        """
        async with self._looking:
            if self._good.get(driver, float("-inf")) > self._now():
                return
            await self._look(host, written or {}, ended)
            self._good = {driver: self._now() + KEEP_SECONDS}

    async def _look(self, host: str, written: Mapping[str, str], ended: Collection[Ended]) -> None:
        known, etag = await self._rows.instance()
        known = await self._still_true(with_written(known, written, ended))
        seen = await self._seen(host, known)
        found = doubt(known, seen)
        if found is not None:
            await self._save(replace(known, doubt=found.why, since=found.since), etag)
            raise InstanceChanged(_told(host, found))
        now_known = Remembered(
            host,
            seen.number or known.number,
            seen.name or known.name,
            {witness: made for witness, made in known.witnesses.items() if witness in seen.made},
            {record: at for record, at in known.updated.items() if record in seen.made} | {**seen.updated},
            known.ended,
            accepted=known.accepted,
        )
        if now_known != known or not etag:
            await self._save(now_known, etag)

    async def _save(self, known: Remembered, etag: str) -> bool:
        try:
            await self._rows.save_instance(known, etag)
        except RowConflict:
            logger.info("the instance was looked at elsewhere at the same moment", extra={"job": self._rows.job})
            return False
        return True

    async def _seen(self, host: str, known: Remembered) -> SeenInstance:
        properties = await self._target.identity()
        made, updated = await self._times({*known.witnesses, *known.updated})
        rows = [each.sys_id for each in known.ended]
        again = await self._target.read(MEMBERSHIPS, rows, ("sys_id",)) if rows else {}
        number, name = properties.get("instance_id", ""), properties.get("instance_name", "")
        return SeenInstance(host, number, name, made, updated, frozenset(again))

    async def _times(self, witnesses: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
        """When those that are there were made, and when they were last updated, as far as that may be read."""
        made: dict[str, str] = {}
        updated: dict[str, str] = {}
        columns = await self._target.dictionary()
        for kind in KINDS:
            table = self._tables[kind]
            fields = ("sys_id", MADE, *([UPDATED_ON] if UPDATED_ON in columns.get(table, {}) else []))
            asked = [each.removeprefix(f"{kind}:") for each in sorted(witnesses) if each.startswith(f"{kind}:")]
            found = await self._target.read(table, asked, fields) if asked else {}
            made |= {f"{kind}:{sys_id}": record.get(MADE, "") for sys_id, record in found.items()}
            updated |= {f"{kind}:{sys_id}": at for sys_id, record in found.items() if (at := record.get(UPDATED_ON))}
        return made, updated

    async def _still_true(self, known: Remembered) -> Remembered:
        """Without the records that no link is about any more (we may have deleted them ourselves), and without the
        memberships that have begun again, here or in another job that has the group now.
        """
        linked: set[str] = set()
        for kind in KINDS:
            names = {*known.witnesses, *known.updated}
            asked = [each.removeprefix(f"{kind}:") for each in names if each.startswith(f"{kind}:")]
            owners = await self._links.owners_by_record(kind, asked) if asked else {}
            links = await self._links.load([(kind, owner) for owner in owners.values()]) if owners else {}
            for sys_id, owner in owners.items():
                link = links[kind, owner].link
                if link.linked and link.sys_id == sys_id:
                    linked.add(f"{kind}:{sys_id}")
        begun, groups = await self._begun(known.ended)
        return replace(
            known,
            witnesses={record: made for record, made in known.witnesses.items() if record in linked},
            updated={record: at for record, at in known.updated.items() if record in linked},
            ended=tuple(each for each in known.ended if each.sys_id not in begun and each.group in groups),
        )

    async def _begun(self, ended: Collection[Ended]) -> tuple[set[str | None], set[str]]:
        """The rows that are ours again, and the groups that no other job may have taken over."""
        if not ended:
            return set(), set()
        edges = await self._edges.load([(each.group, each.member) for each in ended])
        links = await self._links.load([("group", each.group) for each in ended])
        ours = {source_id for (_, source_id), found in links.items() if not found.link.released}
        return {edge.sys_id for edge in edges.values()}, ours

    async def remember(self, written: Mapping[str, str], ended: Collection[Ended], *, more: bool = False) -> None:
        """What was written last: when the instance says that records were updated, and memberships that were ended.
        With `more`, some of the records that are linked now become witnesses, where there are too few.
        """
        for _ in range(TRIES if written or ended or more else 0):
            known, etag = await self._rows.instance()
            found = with_written(known, written, ended)
            if more:
                found = await self._with_more_witnesses(found)
            if found == known or await self._save(found, etag):
                return

    async def _with_more_witnesses(self, known: Remembered) -> Remembered:
        """Spread over all that are linked."""
        witnesses, updated = dict(known.witnesses), dict(known.updated)
        for kind in KINDS:
            missing = MOST[kind] - sum(each.startswith(f"{kind}:") for each in witnesses)
            wanted = await self._some_linked(kind, missing, witnesses) if missing > 0 else []
            made, seen = await self._times(wanted)
            witnesses |= made
            updated = {**seen, **updated}
        return replace(known, witnesses=witnesses, updated=updated)

    async def _some_linked(self, kind: ObjectType, number: int, known: Collection[str]) -> list[str]:
        wanted: list[str] = []
        each_partition = -(-number // len(NIBBLES)) + 1
        for nibble in NIBBLES:
            links = await self._links.page(kind, nibble, "", limit=2 * each_partition)
            new = [f"{kind}:{link.sys_id}" for link in links if link.linked and f"{kind}:{link.sys_id}" not in known]
            wanted += new[:each_partition]
        return wanted[:number]


def _told(host: str, found: Doubt) -> str:
    if found.since is None:
        return (
            f"{host} is not the instance that the job has worked with: {found.why}. It may have been cloned over, "
            "restored or replaced. Nothing was written. If that is meant, `run --accept-instance` lets the job go "
            "on with it as it is now; else mend the instance, or SERVICENOW_INSTANCE"
        )
    return (
        f"{host} is not as the job has left it: {found.why}. It may have been restored from a backup, or is an older "
        "copy. What was written since is lost there: who had left may be active again. Nothing was written. If that is "
        "meant, `run --accept-instance` compares everybody and writes again what was lost; else mend the instance, or "
        "SERVICENOW_INSTANCE"
    )


async def accept(rows: JobRows, *, by: str, at: float) -> Acceptance | None:
    """Forgets what the instance was; None when nothing about it is in doubt. Who wanted it is kept with the job."""
    while True:
        known, etag = await rows.instance()
        if not known.doubt:
            return None
        acceptance = Acceptance(by, at, known.doubt)
        await rows.record_acceptance(acceptance)
        try:
            await rows.save_instance(Remembered(accepted=acceptance), etag)
        except RowConflict:
            continue
        return acceptance
