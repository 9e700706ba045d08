"""Recognises the instance before anything is decided or written: one that was cloned over, restored or replaced would
turn links into errors, and leavers and new records into thousands.

Costs three reads when a cycle that has something to decide begins, and again every few minutes while it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from msgspec.structs import replace

from provisioning.engine.jobs import JobRows
from provisioning.engine.links import Links
from provisioning.engine.ports import Target
from provisioning.errors import InstanceChanged, RowConflict
from provisioning.model import ObjectType
from provisioning.rules.instance import MOST, Acceptance, Remembered, SeenInstance, doubt

PARTITIONS = "0123456789abcdef"
KINDS: tuple[ObjectType, ...] = ("user", "group")
KEEP_SECONDS = 300.0
MADE = "sys_created_on"

logger = logging.getLogger(__name__)


class KnownInstance:
    """`tables` are those of users and of groups."""

    def __init__(
        self, rows: JobRows, links: Links, target: Target, tables: dict[ObjectType, str], now: Callable[[], float]
    ) -> None:
        self._rows = rows
        self._links = links
        self._target = target
        self._tables = tables
        self._now = now
        self._good: dict[str, float] = {}
        self._looking = asyncio.Lock()

    async def require_same(self, driver: str, host: str) -> None:
        """Raises `InstanceChanged`. What was found good holds for a few minutes, and for the one `driver` only: whoever
        resumes a cycle looks again.
        """
        async with self._looking:
            if self._good.get(driver, float("-inf")) > self._now():
                return
            await self._look(host)
            self._good = {driver: self._now() + KEEP_SECONDS}

    async def _look(self, host: str) -> None:
        known, etag = await self._rows.instance()
        known = replace(known, witnesses=await self._still_linked(known.witnesses))
        seen = await self._seen(host, known.witnesses)
        found = doubt(known, seen)
        if found is not None:
            await self._save(replace(known, doubt=found), etag)
            raise InstanceChanged(
                f"{host} is not the instance that the job has worked with: {found}. It may have been cloned over, "
                "restored or replaced. Nothing was written. If that is meant, `run --accept-instance` lets the job go "
                "on with it as it is now; else mend the instance, or SERVICENOW_INSTANCE"
            )
        now_known = Remembered(
            host,
            seen.number or known.number,
            seen.name or known.name,
            {witness: made for witness, made in known.witnesses.items() if witness in seen.made},
            accepted=known.accepted,
        )
        if now_known != known or not etag:
            await self._save(now_known, etag)

    async def _save(self, known: Remembered, etag: str) -> None:
        try:
            await self._rows.save_instance(known, etag)
        except RowConflict:
            logger.info("the instance was looked at elsewhere at the same moment", extra={"job": self._rows.job})

    async def _seen(self, host: str, witnesses: Collection[str]) -> SeenInstance:
        properties = await self._target.identity()
        made = await self._made(witnesses)
        return SeenInstance(host, properties.get("instance_id", ""), properties.get("instance_name", ""), made)

    async def _made(self, witnesses: Collection[str]) -> dict[str, str]:
        made: dict[str, str] = {}
        for kind in KINDS:
            asked = [each.removeprefix(f"{kind}:") for each in witnesses if each.startswith(f"{kind}:")]
            found = await self._target.read(self._tables[kind], asked, ("sys_id", MADE)) if asked else {}
            made |= {f"{kind}:{sys_id}": record.get(MADE, "") for sys_id, record in found.items()}
        return made

    async def _still_linked(self, witnesses: dict[str, str]) -> dict[str, str]:
        """Without the records that no link is about any more: we may have deleted them ourselves."""
        kept: dict[str, str] = {}
        for kind in KINDS:
            asked = [each.removeprefix(f"{kind}:") for each in witnesses if each.startswith(f"{kind}:")]
            owners = await self._links.owners_by_record(kind, asked) if asked else {}
            known = await self._links.load([(kind, owner) for owner in owners.values()]) if owners else {}
            for sys_id, owner in owners.items():
                link = known[kind, owner].link
                if link.linked and link.sys_id == sys_id:
                    kept[f"{kind}:{sys_id}"] = witnesses[f"{kind}:{sys_id}"]
        return kept

    async def take_witnesses(self) -> None:
        """Remembers some of the records that are linked now, where there are too few; spread over all of them."""
        known, etag = await self._rows.instance()
        found = dict(known.witnesses)
        for kind in KINDS:
            missing = MOST[kind] - sum(each.startswith(f"{kind}:") for each in found)
            wanted = await self._some_linked(kind, missing, found) if missing > 0 else []
            found |= await self._made(wanted)
        if found != known.witnesses:
            await self._save(replace(known, witnesses=found), etag)

    async def _some_linked(self, kind: ObjectType, number: int, known: Collection[str]) -> list[str]:
        wanted: list[str] = []
        each_partition = -(-number // len(PARTITIONS)) + 1
        for nibble in PARTITIONS:
            links = await self._links.page(kind, nibble, "", limit=2 * each_partition)
            new = [f"{kind}:{link.sys_id}" for link in links if link.linked and f"{kind}:{link.sys_id}" not in known]
            wanted += new[:each_partition]
        return wanted[:number]


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
