"""`cycles`: what the job's cycles read, planned, wrote and left, newest first. Reads the state only."""

from __future__ import annotations

from rich import box
from rich.table import Table

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.executions import Execution, task_execution
from provisioning.engine.jobs import JobRows
from provisioning.rules.durations import duration

PAGE = 999
NUMBERS = ("read", "assigned", "in scope", "planned", "written", "failed", "left open")


async def cycles(shell: Shell, limit: int, *, as_json: bool) -> Exit:
    async with opened(shell) as app:
        found = await _newest(app.engine.context.rows, limit)
    if as_json:
        shell.print_json([{"kind": each.kind, **task_execution(each)} for each in found])
    elif found:
        shell.show(_table(found))
        for each in found:
            if each.error is not None:
                shell.say(f"Failed: cycle {each.cycle}: {each.error.message} ({each.error.code})")
    else:
        shell.say("no cycles yet: start one with `python -m provisioning run`")
    return Exit.OK


async def _newest(rows: JobRows, limit: int) -> list[Execution]:
    found: list[Execution] = []
    after = ""
    while len(found) < limit:
        page, after = await rows.executions(min(PAGE, limit - len(found)), after)
        found += page
        if not after:
            break
    return found


def _table(found: list[Execution]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("began", "took", "kind", "state"):
        table.add_column(name, no_wrap=True)
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("cycle", no_wrap=True)
    for each in found:
        numbers = (each.imported, each.entitled, each.in_scope, each.exports, each.exported, each.escrowed)
        began = task_execution(each)["timeBegan"][:19].replace("T", " ") + "Z"
        left = each.escrowed_raw - each.escrowed
        counted = [f"{number:,}" for number in (*numbers, left)]
        table.add_row(began, duration(each.ended - each.began), each.kind, each.state, *counted, each.cycle)
    return table
