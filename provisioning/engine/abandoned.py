"""Plans of runs on demand whose process died: nobody comes back for them, and they hold what was read of people. A run
announces its plan before it fills it, and takes that back at its end. Knows nothing of what stands in a plan.
"""

from __future__ import annotations

from provisioning.engine.jobs import JOB
from provisioning.engine.keys import AFTER_ALL
from provisioning.engine.plan import Plan
from provisioning.engine.ports import Store
from provisioning.rows import Delete, Put

PREFIX = "on-demand|"
LONGEST_SECONDS = 3600.0
"""A run that was announced longer ago is dead: it waits for nothing that long."""


class OnDemandPlans:
    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def announce(self, cycle: str, at: float) -> None:
        await self._store.commit(JOB, self._job, [Put(PREFIX + cycle, {"at": at})])

    async def end(self, cycle: str) -> None:
        """Whatever is left of the plan goes, and the announcement last."""
        await Plan(self._store, self._job, cycle).clear()
        await self._store.commit(JOB, self._job, [Delete(PREFIX + cycle)])

    async def abandoned(self, now: float) -> list[str]:
        rows = await self._store.scan(JOB, self._job, after=PREFIX, before=PREFIX + AFTER_ALL)
        return [row.key.removeprefix(PREFIX) for row in rows if now - float(row.data["at"]) > LONGEST_SECONDS]
