"""`jobs`, `pause`, `start`, `restart`, `approve`, `reject`, `resync` and `delete`: what a person orders the job to do.
Changes its state only.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.api.plans import ruling_resource
from provisioning.app import App
from provisioning.cli.documents import job_document
from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine import control
from provisioning.engine.executions import time_of
from provisioning.errors import ConfigError
from provisioning.rules.restart import parse_scopes
from provisioning.schema import read_clause
from provisioning.schema.names import select_name


async def jobs(shell: Shell, *, as_json: bool) -> Exit:
    """The job of these settings, then the others of the same state and instance: Graph's list of synchronizationJob."""
    async with opened(shell) as app:
        own, others = app.engine.context.job.id, await app.engine.registry.jobs()
        found = [await job_document(app, job) for job in (own, *sorted({*others} - {own}))]
    if as_json:
        shell.print_json(found)
        return Exit.OK
    for each in found:
        scope = others.get(each["id"])
        told = "" if scope is None else "all users" if scope.everyone else f"application {scope.application}"
        mine = ", of these settings" if each["id"] == own else ""
        shell.say(f"{each['status']['code']:<10} {each['id']}{mine}{': ' if told else ''}{told}")
    return Exit.OK


async def pause(shell: Shell, *, as_json: bool) -> Exit:
    async with opened(shell) as app:
        await control.pause(app.engine, by=shell.who)
        told = "The job is paused: a running cycle comes to its end, and no other one begins until `start`"
        return await _tell(app, shell, told, as_json=as_json)


async def start(shell: Shell, *, as_json: bool) -> Exit:
    async with opened(shell) as app:
        await control.start(app.engine, by=shell.who)
        told = "The job is started: the next cycle begins when it is due, or with `run`"
        return await _tell(app, shell, told, as_json=as_json)


async def restart(shell: Shell, scope: str, *, as_json: bool) -> Exit:
    """Raises `ConfigError` for a scope that is not known."""
    scopes = parse_scopes(scope)
    async with opened(shell) as app:
        held = (await app.engine.context.rows.state())[0].held
        await control.restart(app.engine, scopes, by=shell.who)
        if "ForceDeletes" in scopes and held is None:
            shell.note("ForceDeletes: no removals are held")
        return await _tell(app, shell, f"The next cycle begins anew ({', '.join(scopes)})", as_json=as_json)


async def _tell(app: App, shell: Shell, told: str, *, as_json: bool) -> Exit:
    """The job as it is now, or what was done to it in words."""
    if as_json:
        shell.print_json(await job_document(app))
    else:
        shell.say(told)
    return Exit.OK


async def rule(shell: Shell, plan_id: str, *, approves: bool, as_json: bool) -> Exit:
    """Also on what only a dry run has listed: the id says what that is, and the next cycle finds the same or not."""
    async with opened(shell) as app:
        held = (await app.engine.context.rows.state())[0].held
        ruling = await (app.engine.approve if approves else app.engine.reject)(plan_id, by=shell.who)
    if held is None or held.plan != plan_id:
        shell.note("No cycle holds this plan yet; the ruling counts if the next one finds exactly what it lists")
    word, until = "approved" if ruling.approves else "rejected", time_of(ruling.expires)
    if as_json:
        shell.print_json(ruling_resource(ruling))
    else:
        shell.say(f"Plan {ruling.plan} is {word}: for the next cycle that begins before {until}; `run` begins one now")
    return Exit.OK


async def resync(shell: Shell, user_or_group: str, *, as_json: bool) -> Exit:
    """Raises `ObjectError` for somebody whom neither Entra nor the job knows."""
    async with opened(shell, only_reads=True) as app:
        done = await control.resync_named(app.engine, user_or_group, by=shell.who)
    if as_json:
        shell.print_json({"type": done.kind, "id": done.id, "rejected": done.rejected})
        return Exit.OK
    shell.say(f"The next cycle evaluates {done.kind} {done.id} as if everything about it had changed")
    if done.rejected:
        shell.say(f"What was rejected of it is offered again: {done.rejected:,} removals")
    return Exit.OK


async def resync_filter(shell: Shell, texts: Sequence[str], *, as_json: bool) -> Exit:
    """Users who pass all clauses. Raises `ConfigError` for a clause that cannot be read."""
    clauses = [read_clause(text, "user") for text in texts]
    reading = [name for clause in clauses if (name := select_name(clause.attribute)) is not None]
    async with opened(shell, only_reads=True, reading=reading) as app:
        number = await control.resync_filter(app.engine, clauses, by=shell.who)
    if as_json:
        shell.print_json({"users": number})
        return Exit.OK
    shell.say(f"The next cycle evaluates {number:,} users as if everything about them had changed")
    return Exit.OK


async def keep(shell: Shell, pairs: Sequence[str], *, as_json: bool) -> Exit:
    """Raises `ConfigError` for a credential, for what the environment says already, and for what is no pair."""
    for pair in pairs:
        if "=" not in pair:
            raise ConfigError(f"{pair!r} is not KEY=VALUE: write, for example, SyncAll=false")
    given = {key.strip().lower(): value for key, _, value in (pair.partition("=") for pair in pairs)}
    async with opened(shell) as app:
        await app.keep(given, by=shell.who)
    if as_json:
        shell.print_json({"kept": sorted(pair.partition("=")[0].strip() for pair in pairs)})
    else:
        shell.say("Kept for the next cycle; `audit` has what was changed")
    return Exit.OK


async def delete(shell: Shell, *, sure: bool, as_json: bool) -> Exit:
    """Raises `ConfigError` unless the person is `sure`, `LeaseLost` while a cycle runs."""
    if not sure:
        raise ConfigError(
            "delete drops everything that is stored of the job: links, watermarks, held removals. The accounts stay, "
            "and another first cycle would match them again. If that is meant, repeat it with --yes"
        )
    async with opened(shell) as app:
        await control.delete(app.engine, by=shell.who)
        if as_json:
            shell.print_json(await job_document(app))
            return Exit.OK
    shell.say("What was stored of the job is gone but its log and audit trail; ServiceNow was not touched")
    shell.say("The job is paused: `start` lets it begin anew with an initial cycle")
    return Exit.OK
