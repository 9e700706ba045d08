"""`pause`, `start`, `restart`, `resync` and `delete`: what a person orders the job to do. Changes its state only."""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine import control
from provisioning.errors import ConfigError
from provisioning.rules.restart import parse_scopes
from provisioning.schema import read_clause
from provisioning.schema.names import select_name


async def pause(shell: Shell) -> Exit:
    async with opened(shell) as app:
        await control.pause(app.engine, by=shell.who)
    shell.say("The job is paused: a running cycle comes to its end, and no other one begins until `start`")
    return Exit.OK


async def start(shell: Shell) -> Exit:
    async with opened(shell) as app:
        await control.start(app.engine, by=shell.who)
    shell.say("The job is started: the next cycle begins when it is due, or with `run`")
    return Exit.OK


async def restart(shell: Shell, scope: str) -> Exit:
    """Raises `ConfigError` for a scope that is not known."""
    scopes = parse_scopes(scope)
    async with opened(shell) as app:
        held = (await app.engine.context.rows.state())[0].held
        await control.restart(app.engine, scopes, by=shell.who)
    if "ForceDeletes" in scopes and held is None:
        shell.note("ForceDeletes: no removals are held")
    shell.say(f"The next cycle begins anew ({', '.join(scopes)})")
    return Exit.OK


async def resync(shell: Shell, user_or_group: str) -> Exit:
    """Raises `ObjectError` for somebody whom neither Entra nor the job knows."""
    async with opened(shell, only_reads=True) as app:
        done = await control.resync_named(app.engine, user_or_group, by=shell.who)
    shell.say(f"The next cycle evaluates {done.kind} {done.id} as if everything about it had changed")
    if done.rejected:
        shell.say(f"What was rejected of it is offered again: {done.rejected:,} removals")
    return Exit.OK


async def resync_filter(shell: Shell, texts: Sequence[str]) -> Exit:
    """Users who pass all clauses. Raises `ConfigError` for a clause that cannot be read."""
    clauses = [read_clause(text, "user") for text in texts]
    reading = [name for clause in clauses if (name := select_name(clause.attribute)) is not None]
    async with opened(shell, only_reads=True, reading=reading) as app:
        number = await control.resync_filter(app.engine, clauses, by=shell.who)
    shell.say(f"The next cycle evaluates {number:,} users as if everything about them had changed")
    return Exit.OK


async def delete(shell: Shell, *, sure: bool) -> Exit:
    """Raises `ConfigError` unless the person is `sure`, `LeaseLost` while a cycle runs."""
    if not sure:
        raise ConfigError(
            "delete drops everything that is stored of the job: links, watermarks, held removals. The accounts stay, "
            "and another first cycle would match them again. If that is meant, repeat it with --yes"
        )
    async with opened(shell) as app:
        await control.delete(app.engine, by=shell.who)
    shell.say("What was stored of the job is gone but its log and audit trail; ServiceNow was not touched")
    shell.say("The job is paused: `start` lets it begin anew with an initial cycle")
    return Exit.OK
