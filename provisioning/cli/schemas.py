"""`schema import|export|validate|discover`: the mappings and scoping filters of the job, as Microsoft's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell, in_one_line
from provisioning.engine.importing import import_schema as import_schema_of
from provisioning.engine.importing import look_at
from provisioning.engine.schemas import Schemas
from provisioning.errors import ConfigError
from provisioning.model import Column
from provisioning.schema import Finding, default_schema, discover, dump, examine

SEVERITIES = ("error", "warning", "note")


def read_document(path: Path) -> Any:
    """The JSON of a file, whatever it is. Raises `ConfigError` with the place where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; name the file that the portal has downloaded"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


async def validate_schema(shell: Shell, path: Path | None, *, offline: bool, strict: bool, as_json: bool) -> Exit:
    """Everything that is wrong or different with a schema: by itself, and against the instance's dictionary."""
    if path is not None and offline:
        examination = examine(read_document(path), strict=strict)
        return _tell(shell, list(examination.findings), as_json=as_json)
    document = read_document(path) if path is not None else None
    if document is not None:
        examination = examine(document, strict=strict)
        if examination.schema is None:
            return _tell(shell, list(examination.findings), as_json=as_json)
    async with opened(shell, dry_run=True, document=document) as app:
        context = app.engine.context
        return _tell(shell, await look_at(context, context.job.schema.document), as_json=as_json)


async def import_schema(shell: Shell, path: Path | None, *, as_json: bool) -> Exit:
    """Stores the schema for the next cycle, unless it cannot be worked with. Without a file: the default one."""
    if path is None:
        async with opened(shell) as app:
            context = app.engine.context
            await Schemas(context.store, context.job.id).reset(by=shell.who, at=context.now())
            shell.say("The next cycle works with the schema that ships with the product and evaluates everybody again.")
        return Exit.OK
    document = read_document(path)
    examination = examine(document)
    if examination.schema is None:
        return _tell(shell, list(examination.findings), as_json=as_json)
    async with opened(shell, document=document) as app:
        done = await import_schema_of(app.engine, document, by=shell.who)
        code = _tell(shell, list(done.findings), as_json=as_json)
        if done.version is None:
            return code
        if not as_json:
            shell.say(
                f"Imported as version {done.version}. The next cycle works with it and evaluates everybody again; look "
                "first with `python -m provisioning plan`."
            )
    return Exit.OK


async def export_schema(shell: Shell, out: Path | None, *, default: bool) -> Exit:
    """The schema in force, as it was imported."""
    document: dict[str, Any]
    if default:
        document = dump(default_schema())
    else:
        async with opened(shell, dry_run=True) as app:
            context = app.engine.context
            schemas = Schemas(context.store, context.job.id)
            version = await schemas.imported()
            document = await schemas.load(version) if version else dump(default_schema())
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if out is None:
        shell.out.file.write(text)
        return Exit.OK
    _write(out, text)
    shell.say(f"The schema is in {out}.")
    return Exit.OK


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror}; name a file in a folder that exists") from error


async def discover_schema(shell: Shell, table: str | None, *, as_json: bool) -> Exit:
    """The columns of the instance that can be mapped."""
    async with opened(shell, dry_run=True) as app:
        columns = await app.target.dictionary()
        mapped = {
            m.table: set(m.columns) for m in (app.engine.context.job.schema.user, app.engine.context.job.schema.group)
        }
    wanted = {name: columns[name] for name in mapped if name in columns} if table is None else {}
    if table is not None:
        if table not in columns:
            raise ConfigError(f"the instance has no table {table}, or hides it: use {' or '.join(sorted(columns))}")
        wanted = {table: columns[table]}
    if as_json:
        shell.print_json(discover(wanted))
        return Exit.OK
    for name, found in wanted.items():
        shell.show(_table(name, dict(found), mapped.get(name, set())))
    return Exit.OK


def _table(name: str, columns: dict[str, Column], mapped: set[str]) -> Table:
    table = Table(
        "column", "type", "length", "refers to", "", "mapped", title=name, box=box.SIMPLE_HEAD, title_justify="left"
    )
    for column in sorted(columns.values(), key=lambda each: each.name):
        table.add_row(
            column.name,
            column.type,
            str(column.max_length or ""),
            column.reference or "",
            "read-only" if column.read_only else "",
            "yes" if column.name in mapped else "",
        )
    return table


def _tell(shell: Shell, findings: list[Finding], *, as_json: bool) -> Exit:
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    bad = sum(finding.severity == "error" for finding in findings)
    if as_json:
        rows = [{"severity": f.severity, "where": f.where, "text": f.text, "wayOut": f.way_out} for f in ordered]
        shell.print_json({"ok": not bad, "findings": rows})
        return Exit.ERROR if bad else Exit.OK
    for finding in ordered:
        first, *quoted = finding.text.splitlines()
        way_out = f"; {finding.way_out}" if finding.way_out else ""
        shell.say(f"{finding.severity:<8}{in_one_line(f'{finding.where}: {first}{way_out}')}")
        for line in quoted:  # the expression with its caret
            shell.say(line)
    if not findings:
        shell.say("Nothing to report: every mapping, expression and filter can be worked with.")
    elif bad:
        shell.say(f"{bad} error(s): the job cannot work with this schema.")
    return Exit.ERROR if bad else Exit.OK
