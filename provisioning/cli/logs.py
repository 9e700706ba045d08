"""`logs`: what was done to whom, searched, shown as sentences, and exported. Reads the state; a name is looked up in
Entra.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from rich.text import Text

from provisioning.app import App
from provisioning.cli.exporting import csv_paths, save_csv, save_json, write_json
from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.cli.summary import STATUS_STYLES
from provisioning.errors import ConfigError
from provisioning.model import ObjectType
from provisioning.rules.log_query import Condition, LogQuery, milliseconds
from provisioning.rules.sentences import sentence
from provisioning.rules.summary import IDENTITY_TYPES, Status

Action = Literal["create", "update", "disable", "delete", "stagedDelete", "other"]
SHOWN = 20
ALL = 10**12


@dataclass(frozen=True, slots=True)
class Search:
    """What a person asks for. `limit` None: 20 entries on the screen, all in a file."""

    filter: str = ""
    order: str = ""
    since: str = ""
    until: str = ""
    status: Status | None = None
    action: Action | None = None
    cycle: str = ""
    change: str = ""
    user: str = ""
    limit: int | None = None

    def query(self, limit: int) -> LogQuery:
        """All of it but the user. Raises `QueryError`, and `ConfigError` for a time that is none."""
        query = LogQuery.parse(filter_=self.filter, order=self.order, top=self.limit or limit)
        named = {
            "provisioningStatusInfo/status": self.status,
            "provisioningAction": self.action,
            "cycleId": self.cycle,
            "changeId": self.change,
        }
        more = [Condition(name, "eq", value) for name, value in named.items() if value]
        if self.since:
            more.append(Condition("activityDateTime", "ge", _time("--since", self.since)))
        if self.until:
            whole = _day("--until", self.until)
            more.append(whole or Condition("activityDateTime", "le", _time("--until", self.until)))
        return replace(query, conditions=(*query.conditions, *more))


def _time(option: str, text: str) -> int:
    try:
        return milliseconds(text)
    except ValueError:
        raise ConfigError(f"{option} {text!r} is no time: write 2026-01-31 or 2026-01-31T08:00:00Z") from None


def _day(option: str, text: str) -> Condition | None:
    """Until a day is until its end."""
    try:
        following = date.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return Condition("activityDateTime", "lt", _time(option, following.isoformat()))


async def logs(shell: Shell, search: Search, *, out: Path | None, as_csv: bool, as_json: bool) -> Exit:
    """Newest first unless asked otherwise: one entry for each decision with an effect, a failure or a skip that means
    something.
    """
    query = search.query(ALL if as_csv or out is not None else SHOWN)
    async with opened(shell) as app, aclosing(_entries(app, query, search.user)) as entries:
        if as_csv:
            paths = csv_paths(out)
            number = await save_csv(entries, paths)
            shell.say(f"{number:,} entries are in {', '.join(str(path) for path in paths.values())}")
        elif out is not None:
            number = await save_json(entries, out)
            shell.say(f"{number:,} entries are in {out}")
        elif as_json:
            await write_json(entries, shell.out.file)
        else:
            await _show(shell, entries, search)
    return Exit.OK


async def _show(shell: Shell, entries: AsyncIterator[dict[str, Any]], search: Search) -> None:
    found = False
    async for entry in entries:
        found = True
        status = entry["provisioningStatusInfo"]["status"]
        line = Text(f"{entry['activityDateTime'][:19].replace('T', ' ')}Z ", style="dim")
        line.append(f"{status:<8}", style=STATUS_STYLES.get(status, ""))
        line.append(f" {sentence(entry)}", style="default")
        shell.show(line)
    if found:
        return
    if search == Search(user=search.user, limit=search.limit):
        shell.say(f"no entries for {search.user}" if search.user else "no entries yet: run a cycle first")
    else:
        shell.say("no entries that this search asks for")


async def _entries(app: App, query: LogQuery, user: str) -> AsyncGenerator[dict[str, Any], None]:
    journal = app.engine.context.journal
    found = await _object_of(app, user) if user else None
    if found is not None:
        kind, id_ = found
        only = (Condition("sourceIdentity/id", "eq", id_), Condition("sourceIdentity/identityType", "eq", kind))
        query = replace(query, conditions=(*query.conditions, *only))
    by_name = user.casefold() if user and found is None else ""
    left = query.top
    async with aclosing(journal.entries(replace(query, top=ALL) if by_name else query)) as entries:
        async for entry in entries:
            # Nobody of that name any more: the log still knows the name that the person had.
            if by_name and entry["sourceIdentity"]["displayName"].casefold() != by_name:
                continue
            yield entry
            left -= 1
            if left <= 0:
                return


async def _object_of(app: App, user: str) -> tuple[str, str] | None:
    """Type and id, for an id that the log knows, or for a name that Entra knows."""
    kinds: tuple[ObjectType, ...] = ("user", "group")
    if _is_guid(user):
        for kind in kinds:
            if await app.engine.context.journal.of_object(f"{kind}:{user.lower()}", 1):
                return IDENTITY_TYPES[kind], user.lower()
    for kind in kinds:
        found = await app.source.find(kind, user)
        if found is not None:
            return IDENTITY_TYPES[kind], found.id
    return None


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
