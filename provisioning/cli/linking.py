"""`links list|show|verify|relink|unlink|export`: which record each object has, and what a person makes of it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from provisioning.app import App
from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine import linking
from provisioning.errors import ConfigError, ObjectError
from provisioning.model import Link, ObjectType
from provisioning.rules.linkage import AMISS, STATES, Checked, connection_of

COLUMNS = tuple(connection_of(Link("user", "")))
SHOWN = 50
"""Links amiss that `verify` names one by one; --json names all."""
TELLS = {
    "vanished": "its record {sys_id} is gone: the next cycle that evaluates it matches it again",
    "otherKey": "its record {sys_id} has the key {keys}, which the link does not know",
    "linkedTwice": "its record {sys_id} is linked to another object too: unlink or relink one of them",
}


async def list_links(shell: Shell, kind: ObjectType | None, limit: int, *, as_json: bool) -> Exit:
    """In the order of the rows that hold them."""
    shown: list[Link] = []
    async with opened(shell, only_reads=True) as app:
        async for links in app.engine.context.links.pages(*((kind,) if kind else linking.KINDS)):
            shown += links[: limit + 1 - len(shown)]
            if len(shown) > limit:
                break
    more, shown = len(shown) > limit, shown[:limit]
    if as_json:
        shell.print_json([connection_of(link) for link in shown])
        return Exit.OK
    for link in shown:
        shell.say(_line(link))
    if not shown:
        shell.say("no links yet: run a cycle first")
    elif more:
        shell.note(f"the first {len(shown):,} links; --limit shows more, `links export` writes all")
    return Exit.OK


async def show(shell: Shell, key: str, *, as_json: bool) -> Exit:
    """Raises `ObjectError` for what nobody knows."""
    async with opened(shell, only_reads=True) as app:
        link = (await linking.find(app.engine.context, key)).link
        document = await linking.document_of(app.engine.context, link)
    if as_json:
        shell.print_json(document)
        return Exit.OK
    shell.say(_line(link))
    if link.state is not None:
        shell.say(f"  {link.state} since {document['lifecycleSince']}")
    for grant in link.grants:
        shell.say(f"  in scope by {grant}")
    for edge in document["memberships"]:
        other = edge["group"] if link.type == "user" else edge["member"]
        shell.say(f"  membership {other} {edge['sysId'] or 'without a row yet'}")
    if link.escrow is not None:
        shell.say(f"  failed with {link.escrow.code}, {link.escrow.attempts} times: {link.escrow.message}")
    return Exit.OK


async def verify(shell: Shell, *, as_json: bool) -> Exit:
    """Reads every linked record; writes nothing to either side or to the state."""
    counts: Counter[str] = Counter()
    amiss: list[Checked] = []
    async with opened(shell, dry_run=True) as app:
        async for page in linking.verify(app.engine.context):
            counts.update(each.state for each in page)
            amiss += [each for each in page if each.state in AMISS]
    if as_json:
        found = [{**connection_of(each.link), "state": each.state, "keys": list(each.keys)} for each in amiss]
        shell.print_json({"counts": {state: counts[state] for state in STATES}, "links": found})
    else:
        told = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
        shell.say(f"Links       {told or 'none yet'}")
        for each in amiss[:SHOWN]:
            text = TELLS[each.state].format(sys_id=each.link.sys_id, keys=" and ".join(each.keys))
            shell.say(f"{each.link.type} {each.link.match_value or each.link.id}: {text}")
        if len(amiss) > SHOWN:
            shell.say(f"and {len(amiss) - SHOWN:,} more; --json shows all")
    return Exit.CHANGES if amiss else Exit.OK


async def relink(shell: Shell, key: str, sys_id: str, *, as_json: bool) -> Exit:
    """Raises `ObjectError` for a record that cannot be the object's, `RowConflict` when the link changed meanwhile."""
    async with opened(shell, only_reads=True) as app:
        link = await linking.relink(app.engine, key, sys_id, by=shell.who)
    return _told(
        shell,
        link,
        f"{link.type} {link.id} is linked to {link.sys_id}; the next cycle brings that record in line. A record that "
        "it was linked to before stays as it is",
        as_json=as_json,
    )


async def unlink(shell: Shell, key: str, *, as_json: bool) -> Exit:
    """Raises `ObjectError` where there is no link, `RowConflict` when it changed meanwhile."""
    async with opened(shell, only_reads=True) as app:
        known = await linking.find(app.engine.context, key)
        if known.link.sys_id is None:
            raise ObjectError(
                "NotFound", f"{known.link.type} {known.link.id} has no link", "there is nothing to unlink"
            )
        await linking.unlink(app.engine, known, by=shell.who)
    link = known.link
    return _told(
        shell,
        link,
        f"{link.type} {link.id} is no longer linked to {link.sys_id}, which stays as it is; the next cycle matches "
        "again",
        as_json=as_json,
    )


def _told(shell: Shell, link: Link, sentence: str, *, as_json: bool) -> Exit:
    if as_json:
        shell.print_json(connection_of(link))
    else:
        shell.say(sentence)
    return Exit.OK


async def export(shell: Shell, out: Path | None, *, as_csv: bool) -> Exit:
    """All links, a page in memory at a time. Raises `ConfigError` for a file that cannot be written."""
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; name a file in a folder that exists")
    async with opened(shell, only_reads=True) as app:
        with _file(shell, out) as file:
            number = await (_write_csv if as_csv else _write_json)(file, _rows(app))
    if out is not None:
        shell.say(f"{number:,} links are in {out}")
    return Exit.OK


async def _rows(app: App) -> AsyncIterator[dict[str, Any]]:
    async for links in app.engine.context.links.pages(*linking.KINDS):
        for link in links:
            yield connection_of(link)


@contextmanager
def _file(shell: Shell, out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield cast("TextIO", shell.out.file)
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}") from error


async def _write_csv(file: TextIO, rows: AsyncIterator[dict[str, Any]]) -> int:
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    number = 0
    async for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
        number += 1
    return number


def _cell(value: Any) -> Any:
    """A spreadsheet takes what begins with one of these for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value


async def _write_json(file: TextIO, rows: AsyncIterator[dict[str, Any]]) -> int:
    number = 0
    file.write("[")
    async for row in rows:
        file.write((",\n" if number else "\n") + json.dumps(row, ensure_ascii=False))
        number += 1
    file.write("\n]\n")
    return number


def _line(link: Link) -> str:
    shown = connection_of(link)
    record = link.sys_id or "(no record)"
    lifecycle = link.state or ""
    return f"{link.type:<5} {link.id} -> {record:<32} {shown['state']:<9} {lifecycle:<12} {link.match_value or ''}"
