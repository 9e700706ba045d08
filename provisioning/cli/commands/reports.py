"""`logs`, `audit`, `waiting`, `discover`, `drift`: what was done, what waits, and what the instance holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from provisioning.cli.commands.words import Json, ended, shell_of
from provisioning.cli.completion import record_states
from provisioning.cli.manual import Command
from provisioning.errors import ConfigError

commands = typer.Typer()
Status = Literal["success", "failure", "skipped", "warning"]
Action = Literal["create", "update", "disable", "delete", "stagedDelete", "other"]
Csv = Annotated[bool, typer.Option("--csv", help="As CSV.")]
Out = Annotated[Path | None, typer.Option(help="Write the list to this file, as CSV or JSON.")]


@commands.command(cls=Command)
def logs(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    *,
    filter_: Annotated[
        str, typer.Option("--filter", help="As Graph's $filter: \"provisioningAction eq 'create' and ...\".")
    ] = "",
    orderby: Annotated[str, typer.Option(help="activityDateTime asc or desc; without it, newest first.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="From this day or time on: 2026-01-31T08:00:00Z.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Up to this time, or to the end of this day.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only entries with this outcome.")] = None,
    action: Annotated[Action | None, typer.Option(help="Only entries of this action.")] = None,
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
    from provisioning.cli.logs import Search, logs

    if csv and json:
        raise ConfigError("--csv and --json are given: entries are written as one of them")
    search = Search(filter_, orderby, since, until, status, action, cycle, change_id, user, limit)
    ended(logs(shell_of(context), search, out=out, as_csv=csv, as_json=json))


@commands.command(cls=Command)
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
    from provisioning.cli.auditing import audit

    ended(audit(shell_of(context), filter_, limit, as_json=json))


@commands.command(cls=Command)
def waiting(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many references.")] = 100,
    json: Json = False,
) -> None:
    """References that cannot be written yet: who waits, and for whom. Reads the state only."""
    from provisioning.cli.waiting import list_waiting

    ended(list_waiting(shell_of(context), limit, as_json=json))


@commands.command(cls=Command)
def discover(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    *,
    users: Annotated[bool, typer.Option("--users", help="Only accounts.")] = False,
    groups: Annotated[bool, typer.Option("--groups", help="Only groups.")] = False,
    state: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=record_states,
            help="Only records in this state: managed, unassigned, local, ambiguous, protected or stale. Repeatable.",
        ),
    ] = None,
    stale_days: Annotated[
        int, typer.Option(min=1, max=36_500, help="Days without a login after which a local account is stale.")
    ] = 90,
    out: Out = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Sort every account and group of the instance: managed, unassigned, local, ambiguous, protected or stale."""
    from provisioning.cli.discovering import KINDS, Wanted, form_of, run_discovery
    from provisioning.rules.discovery import STATES

    if csv and json:
        raise ConfigError("--csv and --json are given: choose one of them")
    if unknown := [each for each in state or () if each not in STATES]:
        raise ConfigError(f"--state {unknown[0]!r} is no state: use {', '.join(STATES)}")
    states = [each for each in STATES if each in (state or ())]
    form, only = form_of(out, csv=csv, as_json=json), {"user": users, "group": groups}
    kinds = [kind for kind in KINDS if only[kind] or not (users or groups)]
    ended(run_discovery(shell_of(context), Wanted(kinds, states, stale_days, form, out)))


@commands.command(cls=Command)
def drift(
    context: typer.Context,
    *,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Only of records updated in so many days.")] = 7,
    everything: Annotated[bool, typer.Option("--all", help="Of every record that is managed.")] = False,
    out: Out = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """What others changed in ServiceNow of what we wrote: who, when, and what the job does about it."""
    from provisioning.cli.discovering import form_of
    from provisioning.cli.drifting import run_drift

    if csv and json:
        raise ConfigError("--csv and --json are given: choose one of them")
    form = form_of(out, csv=csv, as_json=json)
    ended(run_drift(shell_of(context), None if everything else days, form, out))
