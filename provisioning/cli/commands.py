"""The commands and their options. Each opens the app, hands over and closes it; what it does stands elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from provisioning.cli import (
    answering,
    auditing,
    checking,
    controlling,
    cycles,
    discovering,
    drifting,
    expressions,
    linking,
    logs,
    notifying,
    running,
    schemas,
    waiting,
)
from provisioning.cli.shell import Exit, Shell, complain, in_one_line, is_expected
from provisioning.errors import ConfigError
from provisioning.model import ObjectType
from provisioning.rules.discovery import STATES, State
from provisioning.rules.summary import Status

PROGRAM = "python -m provisioning"
_PLAN_ID = re.compile(r"[0-9a-f]{16}")

cli = typer.Typer(
    help="Provisions users and groups from Microsoft Entra ID into ServiceNow. Settings come from the environment.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    rich_markup_mode=None,
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Key = Annotated[str, typer.Argument(metavar="USER_OR_GROUP", help="An id, a user principal name, or a group's name.")]

Members = Annotated[
    list[str] | None,
    typer.Option(
        metavar="USER", help="Of a group's members only this one: an id or a user principal name. Repeatable."
    ),
]
NoMembers = Annotated[bool, typer.Option("--no-members", help="Only the group itself.")]
Linked = Annotated[
    str,
    typer.Argument(metavar="USER_OR_GROUP", help="An object id, a sys_id, a user principal name, or a group's name."),
]


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Runs one command and answers its exit code. An error that was foreseen is one line on standard error."""
    shell = Shell(environ)
    logging.getLogger().addHandler(logging.NullHandler())  # the operators' log has no reader here
    try:
        return int(cli(arguments, obj=shell, prog_name=PROGRAM, standalone_mode=False) or Exit.OK)
    except typer.TyperException as error:
        told = getattr(error, "format_message", error.__str__)()
        sys.stderr.write(f"error: {in_one_line(told).rstrip('.')}. See `{PROGRAM} --help`\n")
        return Exit.ERROR
    except BaseException as error:
        if not is_expected(error):
            raise
        return complain(error)


def _ended(work: Coroutine[Any, Any, Exit]) -> None:
    """Runs a command's work to its end, which an interrupt brings about in good order."""
    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing is lost; an unfinished cycle goes on with the next `run`\n")
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


def _shell(context: typer.Context) -> Shell:
    return cast("Shell", context.obj)


@cli.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(Exit.ERROR)


@cli.command()
def check(
    context: typer.Context,
    *,
    allow_test_writes: Annotated[
        bool,
        typer.Option(
            "--allow-test-writes",
            help="Create a test group and an inactive test user in ServiceNow, look at them, and delete them.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Test the connection to Graph, ServiceNow and the state, and the rights of this job. Changes neither side."""
    shell = _shell(context)

    async def work() -> Exit:
        async with running.opened(shell, only_reads=not allow_test_writes) as app:
            return await checking.check(app, shell, test_writes=allow_test_writes, as_json=json)

    _ended(work())


@cli.command()
def serve(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 is any that is free.")] = 7071,
    ticks: Annotated[
        bool, typer.Option("--ticks/--no-ticks", help="Whether cycles begin by the job's schedule.")
    ] = True,
) -> None:
    """Run the timer, the HTTP API and the dashboard on this machine, for this machine only."""
    from provisioning.cli import serving  # noqa: PLC0415 - no other command needs a web server

    _ended(serving.serve_here(_shell(context), port, ticks=ticks))


@cli.command()
def plan(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Write every decision to this file, as JSON.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="Plan with the schema in this file instead of the one in force.")
    ] = None,
    json: Json = False,
) -> None:
    """Dry run of a cycle. Exit code 0: nothing to do, 2: changes, 3: held by a guard, 1: error."""
    document = schemas.read_document(schema) if schema is not None else None
    _ended(running.plan(_shell(context), out, document=document, as_json=json))


@cli.command()
def run(
    context: typer.Context,
    *,
    approve: Annotated[
        str | None, typer.Option(metavar="PLAN_ID", help="Let exactly what this plan lists as held go on.")
    ] = None,
    reject: Annotated[
        str | None, typer.Option(metavar="PLAN_ID", help="Leave what this plan lists as held as it is.")
    ] = None,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Compare everything that is managed with both sides, now.")
    ] = False,
    accept_instance: Annotated[
        bool,
        typer.Option(
            "--accept-instance", help="Go on with an instance that was cloned over, restored or replaced, as it is now."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Run one cycle, or go on with an unfinished one. Exit code 0: done, 3: removals are held, 1: error."""
    for option, given in (("--approve", approve), ("--reject", reject)):
        if given is not None and not _PLAN_ID.fullmatch(given):
            raise ConfigError(
                f"{option} {given!r} is not a plan id: copy the 16 characters that plan or run has printed"
            )
    if approve is not None and reject is not None:
        raise ConfigError("--approve and --reject are given: one run can do one of them")
    orders = running.Orders(approve, reject, reconcile=reconcile, accept_instance=accept_instance)
    _ended(running.run(_shell(context), orders, as_json=json))


@cli.command()
def pause(context: typer.Context) -> None:
    """Let the running cycle end, and begin no other one."""
    _ended(controlling.pause(_shell(context)))


@cli.command()
def start(context: typer.Context) -> None:
    """Go on where the job stopped: after a pause, or out of quarantine."""
    _ended(controlling.start(_shell(context)))


@cli.command()
def restart(
    context: typer.Context,
    *,
    scope: Annotated[
        str,
        typer.Option(
            help="What to forget, with commas: Watermark, Escrows, QuarantineState (together the default), "
            "ConnectorDataStore, Full, ForceDeletes."
        ),
    ] = "",
) -> None:
    """Begin anew with the next cycle: everybody is evaluated, and only what differs is written."""
    _ended(controlling.restart(_shell(context), scope))


@cli.command()
def resync(
    context: typer.Context,
    user_or_group: Annotated[
        str | None, typer.Argument(metavar="USER_OR_GROUP", help="An id, a user principal name, or a group's name.")
    ] = None,
    *,
    filter_: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="CLAUSE",
            help="Instead, all users of the job who pass this clause of a scoping filter: 'department EQUALS Sales'. "
            "Repeatable: all must hold.",
        ),
    ] = None,
) -> None:
    """Let the next cycle evaluate one user, one group with all its members, or all users who pass a filter, as if
    everything had changed.
    """
    if (user_or_group is None) == (not filter_):
        raise ConfigError("resync needs a user or group, or --filter 'department EQUALS Sales'; one of the two")
    shell = _shell(context)
    if filter_:
        _ended(controlling.resync_filter(shell, filter_))
    elif user_or_group is not None:
        _ended(controlling.resync(shell, user_or_group))


@cli.command()
def delete(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without being asked again.")] = False,
) -> None:
    """Drop everything that is stored of the job. The accounts in ServiceNow stay as they are."""
    _ended(controlling.delete(_shell(context), sure=yes))


@cli.command("on-demand")
def on_demand(
    context: typer.Context,
    user_or_group: Key,
    *,
    member: Members = None,
    no_members: NoMembers = False,
    json: Json = False,
) -> None:
    """Provision one user or group now, and show what was found, decided and done."""
    asked = answering.Asked(user_or_group, _members(member, none=no_members), write=True)
    _one_object(context, asked, as_json=json)


@cli.command()
def explain(
    context: typer.Context,
    user_or_group: Key,
    *,
    member: Members = None,
    no_members: NoMembers = False,
    json: Json = False,
) -> None:
    """As on-demand, without writing anything: why an object is provisioned as it is, or why not."""
    asked = answering.Asked(user_or_group, _members(member, none=no_members), write=False)
    _one_object(context, asked, as_json=json)


def _members(named: list[str] | None, *, none: bool) -> tuple[str, ...] | None:
    if named and none:
        raise ConfigError("--member and --no-members are given: choose one of them")
    return () if none else tuple(named) if named else None


def _one_object(context: typer.Context, asked: answering.Asked, *, as_json: bool) -> None:
    shell = _shell(context)

    async def work() -> Exit:
        async with running.opened(shell, dry_run=not asked.write) as app:
            return await answering.answer(app, shell, asked, as_json=as_json)

    _ended(work())


@cli.command()
def discover(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    *,
    users: Annotated[bool, typer.Option("--users", help="Only accounts.")] = False,
    groups: Annotated[bool, typer.Option("--groups", help="Only groups.")] = False,
    state: Annotated[
        list[str] | None, typer.Option(help=f"Only records in this state: {', '.join(STATES)}. Repeatable.")
    ] = None,
    stale_days: Annotated[
        int, typer.Option(min=1, max=36_500, help="Days without a login after which a local account is stale.")
    ] = 90,
    out: Annotated[Path | None, typer.Option(help="Write the list to this file, as CSV or JSON.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    json: Json = False,
) -> None:
    """Sort every account and group of the instance: managed, unassigned, local, ambiguous, protected or stale."""
    if csv and json:
        raise ConfigError("--csv and --json are given: choose one of them")
    if unknown := [each for each in state or () if each not in STATES]:
        raise ConfigError(f"--state {unknown[0]!r} is no state: use {', '.join(STATES)}")
    form = discovering.form_of(out, csv=csv, as_json=json)
    kinds = [kind for kind, only in (("user", users), ("group", groups)) if only or not (users or groups)]
    wanted = discovering.Wanted(
        cast("list[ObjectType]", kinds), tuple(cast("list[State]", state or [])), stale_days, form, out
    )
    _ended(discovering.run_discovery(_shell(context), wanted))


@cli.command()
def drift(
    context: typer.Context,
    *,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Only of records updated in so many days.")] = 7,
    everything: Annotated[bool, typer.Option("--all", help="Of every record that is managed.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the list to this file, as CSV or JSON.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    json: Json = False,
) -> None:
    """List what others changed in ServiceNow of what we wrote: who, when, and what the job does about it."""
    if csv and json:
        raise ConfigError("--csv and --json are given: choose one of them")
    form = discovering.form_of(out, csv=csv, as_json=json)
    _ended(drifting.run_drift(_shell(context), None if everything else days, form, out))


@cli.command()
def status(context: typer.Context, *, json: Json = False) -> None:
    """Where the job stands: last cycle, what is managed, what is held. Reads the state only."""
    shell = _shell(context)

    async def work() -> Exit:
        async with running.opened(shell) as app:
            return await answering.status(app, shell, as_json=json)

    _ended(work())


@cli.command("cycles")
def list_cycles(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many cycles.")] = 20,
    json: Json = False,
) -> None:
    """The cycles that came to rest, newest first: what each read, planned, wrote and left. Reads the state only."""
    _ended(cycles.cycles(_shell(context), limit, as_json=json))


@cli.command()
def notify(
    context: typer.Context,
    *,
    test: Annotated[bool, typer.Option("--test", help="Send a test to each way that is set.")] = False,
    json: Json = False,
) -> None:
    """Send what people are to be told of the job and has not arrived yet."""
    shell = _shell(context)

    async def work() -> Exit:
        async with running.opened(shell) as app:
            send = notifying.try_channels if test else notifying.notify
            return await send(app, shell, as_json=json)

    _ended(work())


@cli.command("logs")
def provisioning_logs(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    *,
    filter_: Annotated[
        str, typer.Option("--filter", help="As Graph's $filter: \"provisioningAction eq 'create' and ...\".")
    ] = "",
    orderby: Annotated[str, typer.Option(help="activityDateTime asc or desc; without it, newest first.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="From this day or time on: 2026-01-31T08:00:00Z.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to this time, or to the end of this day.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only entries with this outcome.")] = None,
    action: Annotated[logs.Action | None, typer.Option(help="Only entries of this action.")] = None,
    cycle: Annotated[str, typer.Option(metavar="ID", help="Only this cycle.")] = "",
    change_id: Annotated[str, typer.Option(metavar="ID", help="Only this change.")] = "",
    user: Annotated[str, typer.Option(help="Only this user or group: an id or a name.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="How many entries; without it 20 on the screen, all into a file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the entries to this file, as JSON or with --csv.")] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="Write Microsoft's three CSV files, here or into the folder of --out.")
    ] = False,
    json: Json = False,
) -> None:
    """Provisioning logs, newest first: searched, shown or exported."""
    if csv and json:
        raise ConfigError("--csv and --json are given: entries are written as one of them")
    search = logs.Search(filter_, orderby, since, until, status, action, cycle, change_id, user, limit)
    _ended(logs.logs(_shell(context), search, out=out, as_csv=csv, as_json=json))


@cli.command()
def audit(
    context: typer.Context,
    *,
    filter_: Annotated[
        str, typer.Option("--filter", help="As Graph's $filter of directoryAudit: \"activityDisplayName eq '...'\".")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many entries.")] = 20,
    json: Json = False,
) -> None:
    """Who ordered, changed and approved what, and what the job did to itself, newest first."""
    _ended(auditing.audit(_shell(context), filter_, limit, as_json=json))


@cli.command()
def expression(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="EXPRESSION", help="In Entra's mapping language.")],
    *,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A source attribute; NAME:=JSON for what is no text. Repeatable."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Take the attributes of this user from Microsoft Graph.")] = None,
    now: Annotated[str | None, typer.Option(help="The time that Now() answers, as ISO 8601.")] = None,
    domain: Annotated[str | None, typer.Option(help="What DefaultDomain() answers.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="With the documented quirks of Entra's engine.")] = False,
    json: Json = False,
) -> None:
    """Try an expression on given attributes or on a real user. Exit code 1: it has an error."""
    _ended(
        expressions.expression(
            _shell(context), text, attribute or (), user=user, now=now, domain=domain, strict=strict, as_json=json
        )
    )


@cli.command("waiting")
def waiting_list(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many references.")] = 100,
    json: Json = False,
) -> None:
    """List references that cannot be written yet: who waits, and for whom. Reads the state only."""
    _ended(waiting.list_waiting(_shell(context), limit, as_json=json))


links = typer.Typer(help="Which record of ServiceNow each user and group is linked to.")
cli.add_typer(links, name="links")


@links.command("list")
def links_list(
    context: typer.Context,
    *,
    kind: Annotated[Literal["user", "group"] | None, typer.Option("--type", help="Only users, or only groups.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many links.")] = 100,
    json: Json = False,
) -> None:
    """List links. Reads the state only."""
    _ended(linking.list_links(_shell(context), kind, limit, as_json=json))


@links.command("show")
def links_show(context: typer.Context, user_or_group: Linked, *, json: Json = False) -> None:
    """One link, why its object is in scope, and its memberships."""
    _ended(linking.show(_shell(context), user_or_group, as_json=json))


@links.command("verify")
def links_verify(context: typer.Context, *, json: Json = False) -> None:
    """Read every linked record, write nothing. Exit code 2: some vanished, have another key, or are linked twice."""
    _ended(linking.verify(_shell(context), as_json=json))


@links.command("relink")
def links_relink(
    context: typer.Context,
    user_or_group: Linked,
    sys_id: Annotated[str, typer.Argument(metavar="SYS_ID", help="Of the record that is the object's.")],
    *,
    json: Json = False,
) -> None:
    """Link a user or group in scope to a record that exists. The next cycle brings the record in line."""
    _ended(linking.relink(_shell(context), user_or_group, sys_id, as_json=json))


@links.command("unlink")
def links_unlink(context: typer.Context, user_or_group: Linked, *, json: Json = False) -> None:
    """Forget a link; the record stays as it is. The next cycle matches the object again."""
    _ended(linking.unlink(_shell(context), user_or_group, as_json=json))


@links.command("export")
def links_export(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Write them to this file.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV instead of JSON.")] = False,
) -> None:
    """Write all links as JSON or CSV."""
    _ended(linking.export(_shell(context), out, as_csv=as_csv))


schema = typer.Typer(help="The mappings and scoping filters of the job, as Microsoft's synchronizationSchema JSON.")
cli.add_typer(schema, name="schema")


@schema.command("import")
def schema_import(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The JSON that the portal has downloaded.")] = None,
    *,
    default: Annotated[bool, typer.Option("--default", help="Back to the schema that ships with the product.")] = False,
    json: Json = False,
) -> None:
    """Check a schema and store it for the next cycle. Exit code 1: it has errors, and nothing was stored."""
    if (file is None) != default:
        raise ConfigError("schema import needs a file, or --default for the schema that ships with the product")
    _ended(schemas.import_schema(_shell(context), file, as_json=json))


@schema.command("export")
def schema_export(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    default: Annotated[bool, typer.Option("--default", help="The schema that ships with the product.")] = False,
) -> None:
    """Print the schema that the next cycle works with, as it was imported."""
    _ended(schemas.export_schema(_shell(context), out, default=default))


@schema.command("validate")
def schema_validate(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A schema; without one, the schema in force.")] = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Without asking the instance for its columns.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="With the documented quirks of Entra's engine.")] = False,
    json: Json = False,
) -> None:
    """Check every mapping, expression and filter, and every target column. Exit code 1: there are errors."""
    if offline and file is None:
        raise ConfigError("schema validate --offline needs a file")
    _ended(schemas.validate_schema(_shell(context), file, offline=offline, strict=strict, as_json=json))


@schema.command("discover")
def schema_discover(
    context: typer.Context,
    *,
    table: Annotated[str | None, typer.Option(help="Only this table of ServiceNow.")] = None,
    json: Json = False,
) -> None:
    """List the columns of the instance, custom ones included; --json as a directory definition, ready to be mapped."""
    _ended(schemas.discover_schema(_shell(context), table, as_json=json))
