"""`pause`, `start` and `restart`: what a person says to the job. Changes its state only."""

from __future__ import annotations

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine import control


async def pause(shell: Shell) -> Exit:
    async with opened(shell) as app:
        await control.pause(app.engine.context)
    shell.say("The job is paused: a running cycle comes to its end, and no other one begins until `start`")
    return Exit.OK


async def start(shell: Shell) -> Exit:
    async with opened(shell) as app:
        await control.start(app.engine.context)
    shell.say("The job is started: the next cycle begins when it is due, or with `run`")
    return Exit.OK


async def restart(shell: Shell, scope: str) -> Exit:
    """Raises `ConfigError` for a scope that is not known, `LeaseLost` while a cycle is being driven."""
    scopes = control.reset_scopes(scope)
    async with opened(shell) as app:
        state = await control.restart(app.engine.context, scopes)
        if "ForceDeletes" in scopes and state.held is None:
            shell.note("ForceDeletes: no removals are held")
        elif "ForceDeletes" in scopes:
            await app.engine.force_deletes(by=shell.who)
    shell.say(f"The next cycle begins anew ({', '.join(sorted(scopes))})")
    return Exit.OK
