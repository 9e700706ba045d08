"""`jobs`, `pause`, `start`, `restart`, `resync`, `delete`: what a person orders the job to do."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioning.cli.commands.words import Json, ended, shell_of
from provisioning.cli.completion import restart_scopes
from provisioning.cli.manual import Command
from provisioning.errors import ConfigError

commands = typer.Typer()


@commands.command(cls=Command)
def jobs(context: typer.Context, *, json: Json = False) -> None:
    """The jobs of this state and instance, and where each stands. Reads the state only."""
    from provisioning.cli import controlling

    ended(controlling.jobs(shell_of(context), as_json=json))


@commands.command(cls=Command)
def pause(context: typer.Context, *, json: Json = False) -> None:
    """Let the running cycle end, and begin no other one."""
    from provisioning.cli import controlling

    ended(controlling.pause(shell_of(context), as_json=json))


@commands.command(cls=Command)
def start(context: typer.Context, *, json: Json = False) -> None:
    """Go on where the job stopped: after a pause, or out of quarantine."""
    from provisioning.cli import controlling

    ended(controlling.start(shell_of(context), as_json=json))


@commands.command(cls=Command)
def restart(
    context: typer.Context,
    *,
    scope: Annotated[
        str,
        typer.Option(
            "--scope",
            "--reset-scope",
            autocompletion=restart_scopes,
            metavar="SCOPE,...",
            help="What to forget, with commas: Watermark, Escrows, QuarantineState (together the default), "
            "ConnectorDataStore, Full, ForceDeletes, None.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Begin anew with the next cycle: everybody is evaluated, and only what differs is written."""
    from provisioning.cli import controlling

    ended(controlling.restart(shell_of(context), scope, as_json=json))


@commands.command(cls=Command)
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
    json: Json = False,
) -> None:
    """Let the next cycle evaluate one user, one group with all its members, or all users who pass a filter, as if
    everything had changed.
    """
    from provisioning.cli import controlling

    if (user_or_group is None) == (not filter_):
        raise ConfigError("resync needs a user or group, or --filter 'department EQUALS Sales'; one of the two")
    shell = shell_of(context)
    if filter_:
        ended(controlling.resync_filter(shell, filter_, as_json=json))
    elif user_or_group is not None:
        ended(controlling.resync(shell, user_or_group, as_json=json))


@commands.command(cls=Command)
def secrets(
    context: typer.Context,
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="SyncAll, SkipOutOfScopeDeletions, HardDeletesEnabled, SyncNotificationSettings. An empty value takes "
            "a setting back.",
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """Keep settings with the job, as Microsoft's API keeps them; what the environment says goes before. Never
    credentials.
    """
    from provisioning.cli import controlling

    ended(controlling.keep(shell_of(context), pairs, as_json=json))


@commands.command(cls=Command)
def delete(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without being asked again.")] = False,
    json: Json = False,
) -> None:
    """Drop everything that is stored of the job. The accounts in ServiceNow stay as they are."""
    from provisioning.cli import controlling

    ended(controlling.delete(shell_of(context), sure=yes, as_json=json))
