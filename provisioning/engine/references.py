"""Looks up references by value (department, location, company ...), remembering the answers for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from provisioning.engine.ports import Target
from provisioning.rules.mapping import Reference
from provisioning.rules.referring import NONE_THERE, Looked

KEEP_SECONDS = 600.0
MOST = 20_000


class References:
    """The record of each reference: the one whose column holds that very value. ServiceNow finds by less (it ignores
    case and accents), and names are not unique: several are none.
    """

    def __init__(self, target: Target, now: Callable[[], float]) -> None:
        self._target = target
        self._now = now
        self._found: dict[Reference, tuple[str, float]] = {}
        self._absent: dict[Reference, tuple[str, float]] = {}

    async def resolve(self, references: Collection[Reference]) -> Looked:
        """Raises `ConfigError` for a table or column that is not there, `Unavailable` without an answer."""
        now = self._now()
        wanted = set(references)
        known = {
            ref for memory in (self._found, self._absent) for ref in wanted if ref in memory and memory[ref][1] >= now
        }
        if missing := wanted - known:
            if len(self._found) + len(self._absent) + len(missing) > MOST:
                self._found.clear()
                self._absent.clear()
                missing = wanted
            by_place: dict[tuple[str, str], set[Reference]] = defaultdict(set)
            for reference in missing:
                by_place[reference.table, reference.column].add(reference)
            await self._look_up(
                {
                    (table, column or await self._target.display_column(table)): some
                    for (table, column), some in by_place.items()
                },
                now,
            )
        return Looked(
            {ref: self._found[ref][0] for ref in wanted if ref in self._found},
            {ref: self._absent[ref][0] for ref in wanted if ref in self._absent},
        )

    async def _look_up(self, wanted: Mapping[tuple[str, str], Collection[Reference]], now: float) -> None:
        """By table and column, all in one question."""
        named = {place: {reference.value for reference in references} for place, references in wanted.items()}
        hits = await self._target.find_named(named)
        for place, reference in ((place, each) for place, references in wanted.items() for each in references):
            value = reference.value
            exact = [hit["sys_id"] for hit in hits[place].get(value, ()) if hit.get(place[1]) == value]
            self._found.pop(reference, None)
            self._absent.pop(reference, None)
            if len(exact) == 1:
                self._found[reference] = (exact[0], now + KEEP_SECONDS)
            else:
                self._absent[reference] = (self._why(value, len(exact)), now + KEEP_SECONDS)

    def _why(self, value: str, records: int) -> str:
        if records:
            return f"{records} records have it"
        refusal = self._target.refusal(value)
        return f"the value {refusal}" if refusal is not None else NONE_THERE

    def learn(self, reference: Reference, sys_id: str) -> None:
        """It was created."""
        self._absent.pop(reference, None)
        self._found[reference] = (sys_id, self._now() + KEEP_SECONDS)

    def forget_missing(self) -> None:
        """What did not exist may exist by now."""
        self._absent.clear()
