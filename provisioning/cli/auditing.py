"""`audit`: what was ordered, changed and approved, by whom, and what the job did to itself. Reads the state only."""

from __future__ import annotations

from rich.text import Text

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.rules.log_query import LogQuery
from provisioning.rules.sentences import Entry


async def audit(shell: Shell, filter_: str, limit: int, *, as_json: bool) -> Exit:
    """Newest first. Raises `QueryError` for a filter that cannot be understood."""
    query = LogQuery.parse(filter_=filter_, top=limit, resource="directoryAudit")
    async with opened(shell) as app:
        context = app.engine.context
        entries = (await context.audit.search(query, principal=context.job.application)).entries
    if as_json:
        shell.print_json(list(entries))
        return Exit.OK
    for entry in entries:
        line = Text(f"{entry['activityDateTime'][:19].replace('T', ' ')}Z ", style="dim")
        line.append(_sentence(entry), style="default")
        shell.show(line)
    if not entries:
        shell.say("no entries that the filter asks for" if filter_ else "no entries yet")
    return Exit.OK


def _sentence(entry: Entry) -> str:
    by = entry["initiatedBy"]["user"] or entry["initiatedBy"]["app"]
    own, *others = entry["targetResources"]
    subjects = [f"{other['type'].lower()} {other['id']}" for other in others]
    changes = [_change(each) for each in own["modifiedProperties"]]
    told = "; ".join([*subjects, *changes, *([entry["resultReason"]] if entry["resultReason"] else [])])
    return f"{entry['activityDisplayName']}, by {by['displayName']}{': ' if told else ''}{told}"


def _change(modified: Entry) -> str:
    name, old, new = modified["displayName"], modified["oldValue"], modified["newValue"]
    return f"{name} {new}" if old is None else f"{name} {old}" if new is None else f"{name} {old} -> {new}"
