"""`notify`: sends what people are to be told of the job, or a test to each way that is set; says what came of it."""

from __future__ import annotations

import uuid

from msgspec import to_builtins

from provisioning.app import App
from provisioning.cli.shell import Exit, Shell, in_one_line
from provisioning.engine.outbox import waiting
from provisioning.engine.ports import Channel
from provisioning.errors import ConfigError, ProvisioningError
from provisioning.rules.notices import Notice, Trial

NOBODY = (
    "nobody is told of this job: set NOTIFY_MAIL_FROM and NOTIFY_MAIL_TO, or NOTIFY_WEBHOOK_URL and "
    "NOTIFY_WEBHOOK_FORMAT; README.md describes them"
)


async def try_channels(app: App, shell: Shell, *, as_json: bool) -> Exit:
    """Past the outbox, so that the answer is there at once. Raises `ConfigError` where no way is set."""
    context = app.engine.context
    _refuse_nobody(app)
    notice = Notice(uuid.uuid4().hex, context.job.id, app.engine.instance, context.now(), Trial())
    results = {name: await _result(channel, notice) for name, channel in context.channels.items()}
    if as_json:
        shell.print_json({"notice": notice.id, "channels": results})
    else:
        for name, result in results.items():
            shell.say(f"{name}: {result or f'the test was taken, notice {notice.id}'}")
    return Exit.ERROR if any(results.values()) else Exit.OK


async def _result(channel: Channel, notice: Notice) -> str | None:
    """None when the test was taken, else why not."""
    try:
        await channel.send(notice)
    except ProvisioningError as error:
        return in_one_line(str(error))
    return None


async def notify(app: App, shell: Shell, *, as_json: bool) -> Exit:
    """What the timer does at each tick. Raises `ConfigError` where no way is set."""
    _refuse_nobody(app)
    sent = await app.engine.notify()
    left = await waiting(app.engine.context)
    if as_json:
        shell.print_json({"sent": sent, "waiting": [to_builtins(each) for each in left]})
        return Exit.OK
    shell.say(f"{sent} sent, {len(left)} wait for another try")
    for each in left:
        why = f", last with {each.code}" if each.code else ""
        shell.say(f"{each.channel}: {type(each.notice.event).__name__}, {each.tries} tries{why}")
    return Exit.OK


def _refuse_nobody(app: App) -> None:
    if not app.engine.context.channels:
        raise ConfigError(NOBODY)
