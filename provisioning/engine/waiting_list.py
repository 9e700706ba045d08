"""Who waits for whom, from what the job remembers. Asks neither side; the display values of records are not shown,
since a mapping may redact them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from provisioning.engine.context import Context
from provisioning.engine.keys import ends
from provisioning.model import ObjectType

MOST_WAITING = 10_000
_RECORD = "name:"


def counted(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What is missed, and by how many; `more` where there are others besides."""
    missed = Counter(missing for missing, _ in pairs)
    people = {missing: number for missing, number in missed.most_common() if not missing.startswith(_RECORD)}
    records = Counter(_table(missing) for missing, _ in pairs if missing.startswith(_RECORD))
    return {
        "objects": len(pairs),
        "more": len(pairs) >= MOST_WAITING,
        "forPeople": people,
        "forRecords": dict(records.most_common()),
    }


async def rows_of(context: Context, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """The first of those who wait, and whether there are more."""
    pairs = await context.waiting.everything(limit + 1)
    more, pairs = len(pairs) > limit, pairs[:limit]
    names = await _names(context, pairs)
    return [_row(missing, waits, names) for missing, waits in pairs], more


def _row(missing: str, waits: str, names: dict[str, str]) -> dict[str, Any]:
    kind, _, source_id = waits.partition(":")
    row: dict[str, Any] = {}
    if kind == "member":
        group, source_id = ends(waits)
        kind, row = "user", {"group": group, "groupName": names.get(group)}
    row = {"type": kind, "id": source_id, "name": names.get(source_id), **row}
    if missing.startswith(_RECORD):
        return {**row, "table": _table(missing)}
    return {**row, "missing": missing, "missingName": names.get(missing)}


def _table(missing: str) -> str:
    return missing.split(":", 2)[1]


async def _names(context: Context, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The keys of those who have a link, by their ids: who is missed may have had one."""
    wanted: set[tuple[ObjectType, str]] = set()
    for missing, waits in pairs:
        ids = ends(waits) if waits.startswith("member:") else (waits.partition(":")[2],)
        ids = ids if missing.startswith(_RECORD) else (*ids, missing)
        kinds: tuple[ObjectType, ...] = ("user", "group")
        wanted |= {(kind, each) for kind in kinds for each in ids}
    known = await context.links.load(wanted) if wanted else {}
    return {source_id: found.link.match_value for (_, source_id), found in known.items() if found.link.match_value}
