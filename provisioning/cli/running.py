"""`run` and `plan`: one cycle of the engine with progress, and at its end one table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.app import App, open_app
from provisioning.cli.holding import rejected_sentence, sentences
from provisioning.cli.planning import write_plan
from provisioning.cli.shell import Exit, Shell, complain
from provisioning.cli.summary import footer_of, table_of
from provisioning.cli.watching import watching
from provisioning.config import Settings
from provisioning.engine import control
from provisioning.engine.driver import run_cycle
from provisioning.engine.planned import summary_of
from provisioning.engine.progress import Progress
from provisioning.engine.summary import Summary
from provisioning.errors import ConfigError, Unavailable

FAILURES_SHOWN = 5


@asynccontextmanager
async def opened(
    shell: Shell,
    *,
    dry_run: bool = False,
    only_reads: bool = False,
    document: Any = None,
    reading: Collection[str] = (),
) -> AsyncIterator[App]:
    settings = Settings.load(shell.environ)
    app = await open_app(settings, dry_run=dry_run, only_reads=only_reads, document=document, reading=reading)
    try:
        yield app
    finally:
        await app.close()


@dataclass(frozen=True, slots=True)
class Orders:
    """What a person wants done before the cycle: plan ids to approve or to reject, everything to be compared, the
    instance to be taken as it is.
    """

    approve: str | None = None
    reject: str | None = None
    reconcile: bool = False
    accept_instance: bool = False


async def run(shell: Shell, orders: Orders, *, as_json: bool) -> Exit:
    async with opened(shell) as app, app.driving() as leave_name:
        await app.engine.notify()  # also where the cycle cannot begin: nothing else tells of a long silence
        if not await app.engine.is_due():
            await app.engine.prune()  # also of a job that is paused
        await reach_both(app)
        by = shell.who
        approve, reject = orders.approve, orders.reject
        if orders.accept_instance and await control.accept_instance(app.engine, by=by) is None:
            shell.note("--accept-instance: nothing about the instance is in doubt")
        if approve is not None:
            await app.engine.approve(approve, by=by)
        if reject is not None:
            await app.engine.reject(reject, by=by)
        if orders.reconcile:
            await control.reconcile(app.engine, by=by)
        summary = await _run_cycle(app, shell, leave_name)
        if as_json:
            shell.print_json(summary.as_json())
        else:
            _show(summary, shell)
        if (ruled := approve or reject) is not None:
            await _tell_unused(app, ruled, shell)
    if summary.halted is not None:
        return complain(Unavailable(f"the cycle stopped: {summary.halted}. Run again to go on where it stopped"))
    return Exit.HELD if summary.held else Exit.OK


async def _tell_unused(app: App, plan_id: str, shell: Shell) -> None:
    """What the plan listed was carried out, came back or changed since, so that there was nothing to rule on."""
    trail = await app.engine.context.audit.newest()
    newest = next((entry for entry in trail if entry.changes.get("plan", ("", ""))[1] == plan_id), None)
    if newest is None or newest.activity == "Carry out ruling on held removals":
        return
    word = "approval" if newest.activity == "Approve held removals" else "rejection"
    shell.note(f"The {word} of {plan_id} did not apply: nothing that this plan lists is held any more as it was")


async def plan(shell: Shell, out: Path | None, *, document: Any = None, as_json: bool) -> Exit:
    """Raises `ConfigError` for a file that cannot be written, and for a `document` that is no usable schema."""
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; name a file in a folder that exists")
    async with opened(shell, dry_run=True, document=document) as app:
        await reach_both(app)
        began = time.monotonic()
        async with watching(app, shell) as watch:
            progress = await run_cycle(app.engine, dry_run=True, watch=watch)
        summary = await _summary(app, progress, time.monotonic() - began, planned=True)
        if summary.halted is not None:
            return complain(Unavailable(f"the plan is not complete: {summary.halted}"))
        if out is not None:
            await write_plan(app.engine, summary, out)
    if as_json:
        shell.print_json(summary.as_json())
    else:
        _show(summary, shell)
        if out is not None:
            shell.say(f"Every decision is in {out}.")
    if summary.held:
        return Exit.HELD
    return Exit.CHANGES if summary.changes else Exit.OK


async def reach_both(app: App) -> None:
    """Raises where a side cannot be reached or does not let us in, before anything is stored or sent: a person who
    mistyped a setting should not wait until the engine has lost its patience. A job that has succeeded before is
    spared the request to ServiceNow, because a cycle without changes needs none.
    """
    await app.engine.context.service_principal()
    state, _ = await app.engine.context.rows.state()
    if state.last_failure or not state.last_succeeded:
        await app.target.dictionary()


async def _run_cycle(app: App, shell: Shell, leave_name: Callable[[str], None]) -> Summary:
    """An interrupt ends the driver in good order, so that the next one need not wait for its lease to run out."""
    began = time.monotonic()
    driver = ""
    async with watching(app, shell) as watch:

        def seen(progress: Progress) -> None:
            nonlocal driver
            if progress.driver != driver:
                driver = progress.driver
                leave_name(driver)
            watch(progress)

        try:
            progress = await run_cycle(app.engine, watch=seen)
        except asyncio.CancelledError:
            await app.end_lease_of(driver)
            raise
    return await _summary(app, progress, time.monotonic() - began, planned=False)


async def _summary(app: App, progress: Progress, seconds: float, *, planned: bool) -> Summary:
    sent = (app.graph_requests, app.servicenow_requests)
    return await summary_of(app.engine, progress, seconds, sent, dry=planned)


def _show(summary: Summary, shell: Shell) -> None:
    shell.show(table_of(summary))
    shell.say(footer_of(summary))
    for failed in summary.failures[:FAILURES_SHOWN]:
        shell.say(f"Failed: {failed.name}: {failed.reason} ({failed.code}). {failed.way_out}".rstrip())
    if len(summary.failures) > FAILURES_SHOWN:
        shell.say(f"and {len(summary.failures) - FAILURES_SHOWN} more failures; see the logs command")
    if summary.guard is not None:
        for sentence in sentences(summary.guard, planned=summary.planned):
            shell.say(f"Held: {sentence}")
    if (told := rejected_sentence(summary.rejected)) is not None:
        shell.say(f"Rejected: {told}")
