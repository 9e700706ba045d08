"""`waiting`: who waits for whom, in sentences."""

from __future__ import annotations

from typing import Any

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.waiting_list import rows_of

NAMED = 3
"""Of those who are missed, how many `status` names."""


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
        rows, more = await rows_of(app.engine.context, limit)
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


def _called(source_id: str, name: str | None) -> str:
    return f"{name} ({source_id})" if name else source_id
