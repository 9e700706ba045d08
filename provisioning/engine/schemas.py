"""The schema documents of a job: each version is stored once and never changed, so that a cycle ends with the one that
it began with. A document is JSON here; what it maps is known elsewhere.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from provisioning.engine.audit import entry_of
from provisioning.engine.jobs import JOB, JobRows, JobState
from provisioning.engine.keys import AFTER_ALL, digest
from provisioning.engine.ports import Store
from provisioning.errors import ConfigError
from provisioning.rows import Put
from provisioning.rules.audit import Audited
from provisioning.schema import changed_parts, default_schema, dump

PIECE = 200_000
"""Characters of JSON in a row, which holds a megabyte."""
SHIPPED = "default"


class Schemas:
    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job
        self._rows = JobRows(store, job)

    async def in_force(self) -> str:
        """The version to work with: that of an unfinished cycle, else the one that was imported last; "" is the schema
        that ships with the product.
        """
        found = await self._rows.progress()
        if found is not None and not found[0].finished and not found[0].dry_run:
            return found[0].schema
        return await self.imported()

    async def imported(self) -> str:
        state, _ = await self._rows.state()
        return state.schema

    async def load(self, version: str) -> dict[str, Any]:
        first = f"schema|{version}|"
        rows = await self._store.scan(JOB, self._job, after=first, before=first + AFTER_ALL)
        if not rows:
            raise ConfigError(
                f"schema version {version} of job {self._job} is not in the state any more: import it anew"
            )
        document: dict[str, Any] = json.loads("".join(str(row.data["text"]) for row in rows))
        return document

    async def save(self, document: dict[str, Any], *, by: str, at: float) -> str:
        """Stores the document and makes it the one that the next cycle works with; answers its version. `at` is in
        seconds since 1970.
        """
        version = await self.store(document)
        await self._switch(version, document, by, at)
        return version

    async def store(self, document: dict[str, Any]) -> str:
        """Stores the document, which nobody works with yet; answers its version."""
        text = json.dumps(document)
        version = digest(text)[:16]
        for number, start in enumerate(range(0, len(text), PIECE)):
            row = Put(f"schema|{version}|{number:04d}", {"text": text[start : start + PIECE]})
            await self._store.commit(JOB, self._job, [row])
        return version

    async def newest(self) -> dict[str, Any]:
        """The document that the next cycle works with."""
        version = await self.imported()
        return await self.load(version) if version else dump(default_schema())

    async def reset(self, *, by: str, at: float) -> None:
        """The next cycle works with the schema that ships with the product."""
        await self._switch("", dump(default_schema()), by, at)

    async def _switch(self, version: str, document: dict[str, Any], by: str, at: float) -> None:
        """The audit trail names what is mapped otherwise, without the values of constants and filters."""
        known = await self.imported()
        former = await self.load(known) if known else dump(default_schema())
        entry = entry_of(
            "Update attribute mappings or scope", by, at, reason="; ".join(changed_parts(former, document))
        )

        def told(before: JobState, after: JobState) -> Audited:
            return replace(entry, changes={"schema": (before.schema or SHIPPED, after.schema or SHIPPED)})

        await self._rows.change_state(lambda state: replace(state, schema=version), told)
