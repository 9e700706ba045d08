"""`check`: can this job reach Graph, ServiceNow and its state, what may it do there, and what is missing. Writes
nothing to ServiceNow unless test writes are allowed, and to the state what was found out about the instance.
"""

from __future__ import annotations

from functools import partial

from msgspec import to_builtins
from rich import box
from rich.table import Table
from rich.text import Text

from provisioning.app import App
from provisioning.cli.shell import Exit, Shell
from provisioning.engine import checking
from provisioning.engine.checking import Finding

MARKS = {"ok": "ok", "warning": "WARNING", "failed": "FAILED"}
STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


async def check(app: App, shell: Shell, *, test_writes: bool, as_json: bool) -> Exit:
    probe = partial(app.check_instance, test_writes=test_writes)
    findings = await checking.check(app.engine.context, probe)
    ok = all(finding.verdict != "failed" for finding in findings)
    if as_json:
        shell.print_json({"ok": ok, "findings": [to_builtins(f) for f in findings]})
    else:
        _show(findings, shell)
    return Exit.OK if ok else Exit.ERROR


def _show(findings: list[Finding], shell: Shell) -> None:
    if not shell.out.is_terminal:  # one line each, so that it can be searched and is never broken
        for finding in findings:
            shell.say(f"{MARKS[finding.verdict]:<8}{finding.side}: {finding.what}: {_told(finding)}")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "side", "what", "detail"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        mark = Text(finding.verdict, style=STYLES[finding.verdict])
        table.add_row(mark, finding.side, finding.what, _told(finding))
    shell.show(table)


def _told(finding: Finding) -> str:
    way_out = f". {finding.way_out.rstrip('.')}" if finding.way_out else ""
    return f"{finding.detail}{way_out}{f' [{finding.owner}]' if finding.owner else ''}"
