"""`waiting`: who waits for whom, from what the job remembers. Asks neither side; the display values of records are not
shown, since a mapping may redact them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.context import Context
from provisioning.engine.keys import ends
from provisioning.model import ObjectType

MOST_WAITING = 10_000
NAMED = 3
"""Of those who are missed, how many `status` names."""
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


def in_short(waiting: dict[str, Any]) -> str:
    """One sentence for `status`: how many wait, and for whom most of them do."""
    people: dict[str, int] = waiting["forPeople"]
    parts = [f"{number:,} for {missing}" for missing, number in list(people.items())[:NAMED]]
    if len(people) > NAMED:
        parts.append(f"others for {len(people) - NAMED:,} more")
    parts += [f"{number:,} for a record of {table}" for table, number in waiting["forRecords"].items()]
    least = "at least " if waiting["more"] else ""
    return f"{least}{waiting['objects']:,} references: {', '.join(parts)}; `waiting` lists them"


async def list_waiting(shell: Shell, limit: int, *, as_json: bool) -> Exit:
    async with opened(shell, only_reads=True) as app:
        context = app.engine.context
        pairs = await context.waiting.everything(limit + 1)
        more, pairs = len(pairs) > limit, pairs[:limit]
        names = await _names(context, pairs)
    rows = [_row(missing, waits, names) for missing, waits in pairs]
    if as_json:
        shell.print_json(rows)
        return Exit.OK
    for row in rows:
        member = f" as a member of {_called(row['group'], row['groupName'])}" if "group" in row else ""
        missing = f"a record of {row['table']}" if "table" in row else _called(row["missing"], row["missingName"])
        shell.say(f"{row['type']} {_called(row['id'], row['name'])}{member} waits for {missing}")
    if not rows:
        shell.say("nobody waits for anybody")
    elif more:
        shell.note(f"the first {len(rows):,}; --limit shows more")
    return Exit.OK


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


def _called(source_id: str, name: str | None) -> str:
    return f"{name} ({source_id})" if name else source_id


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
