"""Looks up references by display value (department, location, company ...), remembering the answers for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

from provisioning.engine.ports import Target
from provisioning.rules.mapping import Reference

DISPLAY_FIELD = "name"
KEEP_SECONDS = 600.0
MOST = 20_000


class References:
    """The sys_id of each named record; None when there is no record of that very name, or more than one."""

    def __init__(self, target: Target, now: Callable[[], float]) -> None:
        self._target = target
        self._now = now
        self._known: dict[Reference, tuple[str | None, float]] = {}

    async def resolve(self, references: Collection[Reference]) -> dict[Reference, str | None]:
        now = self._now()
        wanted = set(references)
        missing = {ref for ref in wanted if ref not in self._known or self._known[ref][1] < now}
        if missing:
            if len(self._known) + len(missing) > MOST:
                self._known.clear()
                missing = wanted
            by_table: dict[str, set[str]] = defaultdict(set)
            for reference in missing:
                by_table[reference.table].add(reference.value)
            for table, values in by_table.items():
                hits = await self._target.find(table, DISPLAY_FIELD, values, [DISPLAY_FIELD])
                for value in values:
                    exact = [hit["sys_id"] for hit in hits.get(value, ()) if hit.get(DISPLAY_FIELD) == value]
                    only = exact[0] if len(exact) == 1 else None
                    self._known[Reference(table, value)] = (only, now + KEEP_SECONDS)
        return {reference: self._known[reference][0] for reference in wanted}

    def forget_missing(self) -> None:
        """What did not exist may exist by now."""
        self._known = {ref: found for ref, found in self._known.items() if found[0] is not None}
