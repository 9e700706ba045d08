"""`check`, `plan`, `run`, `approve`, `reject`, `status`, `cycles`, `serve`, `notify`: the job and its cycles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from provisioning.cli.commands.words import Json, PlanId, ended, shell_of
from provisioning.cli.manual import Command
from provisioning.cli.shell import Exit
from provisioning.errors import ConfigError

commands = typer.Typer()
_PLAN_ID = re.compile(r"[0-9a-f]{16}")


@commands.command(cls=Command)
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
    from provisioning.cli.checking import check
    from provisioning.cli.running import opened

    shell = shell_of(context)

    async def work() -> Exit:
        async with opened(shell, only_reads=not allow_test_writes) as app:
            return await check(app, shell, test_writes=allow_test_writes, as_json=json)

    ended(work())


@commands.command(cls=Command)
def plan(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Write every decision to this file, as JSON.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="Plan with the schema in this file instead of the one in force.")
    ] = None,
    json: Json = False,
) -> None:
    """Dry run of a cycle: what it would do, and what the guard would hold. Writes to neither side."""
    from provisioning.cli import running
    from provisioning.cli.schemas import read_document

    document = read_document(schema) if schema is not None else None
    ended(running.plan(shell_of(context), out, document=document, as_json=json))


@commands.command(cls=Command)
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
    """Run one cycle, or go on with an unfinished one."""
    from provisioning.cli import running

    for option, given in (("--approve", approve), ("--reject", reject)):
        if given is not None:
            _refuse_other_than_plan_id(given, option)
    if approve is not None and reject is not None:
        raise ConfigError("--approve and --reject are given: one run can do one of them")
    orders = running.Orders(approve, reject, reconcile=reconcile, accept_instance=accept_instance)
    ended(running.run(shell_of(context), orders, as_json=json))


@commands.command(cls=Command)
def approve(context: typer.Context, plan_id: PlanId, *, json: Json = False) -> None:
    """Let the next cycle carry out exactly what a plan lists as held. Good for 24 hours."""
    from provisioning.cli.controlling import rule

    _refuse_other_than_plan_id(plan_id, "approve")
    ended(rule(shell_of(context), plan_id, approves=True, as_json=json))


@commands.command(cls=Command)
def reject(context: typer.Context, plan_id: PlanId, *, json: Json = False) -> None:
    """Let the next cycle leave as it is what a plan lists as held."""
    from provisioning.cli.controlling import rule

    _refuse_other_than_plan_id(plan_id, "reject")
    ended(rule(shell_of(context), plan_id, approves=False, as_json=json))


def _refuse_other_than_plan_id(given: str, by: str) -> None:
    if not _PLAN_ID.fullmatch(given):
        raise ConfigError(f"{by} {given!r} is not a plan id: copy the 16 characters that plan, run or status print")


@commands.command(cls=Command)
def status(context: typer.Context, *, json: Json = False) -> None:
    """Where the job stands: last cycle, what is managed, what is held. Reads the state only."""
    from provisioning.cli import answering
    from provisioning.cli.running import opened

    shell = shell_of(context)

    async def work() -> Exit:
        async with opened(shell) as app:
            return await answering.status(app, shell, as_json=json)

    ended(work())


@commands.command(cls=Command)
def metrics(context: typer.Context, *, json: Json = False) -> None:
    """Numbers for a monitor, as Prometheus' text. Reads the state only."""
    from provisioning.cli.measures import metrics

    ended(metrics(shell_of(context), as_json=json))


@commands.command(cls=Command)
def cycles(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many cycles.")] = 20,
    json: Json = False,
) -> None:
    """The cycles that came to rest, newest first: what each read, planned, wrote and left. Reads the state only."""
    from provisioning.cli.cycles import cycles

    ended(cycles(shell_of(context), limit, as_json=json))


@commands.command(cls=Command)
def serve(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 is any that is free.")] = 7071,
    ticks: Annotated[
        bool, typer.Option("--ticks/--no-ticks", help="Whether cycles begin by the job's schedule.")
    ] = True,
    json: Json = False,
) -> None:
    """Run the timer, the HTTP API and the dashboard on this machine, for this machine only."""
    from provisioning.cli.serving import serve_here

    ended(serve_here(shell_of(context), port, ticks=ticks, as_json=json))


@commands.command(cls=Command)
def notify(
    context: typer.Context,
    *,
    test: Annotated[bool, typer.Option("--test", help="Send a test to each way that is set.")] = False,
    json: Json = False,
) -> None:
    """Send what people are to be told of the job and has not arrived yet."""
    from provisioning.cli import notifying
    from provisioning.cli.running import opened

    shell = shell_of(context)

    async def work() -> Exit:
        async with opened(shell) as app:
            send = notifying.try_channels if test else notifying.notify
            return await send(app, shell, as_json=json)

    ended(work())
