"""Notices on their way: stored with the change of state that causes them, sent afterwards, tried again with growing
pauses, given up after a day.

A delivery is put off before it is sent, and removed when the other side has taken it. So two workers never send the
same one at once, and whoever dies in between leaves it to be sent again: at least once, with the same id. Nothing that
happens here fails a cycle. Neither what is told nor the ways by which it goes are known here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from provisioning.engine.context import Context
from provisioning.engine.jobs import JOB
from provisioning.engine.keys import AFTER_ALL, digest
from provisioning.errors import ProvisioningError, RowConflict, Throttled, Unavailable
from provisioning.rows import Delete, Insert, Operation, Replace
from provisioning.rules.notices import Event, Notice

logger = logging.getLogger(__name__)

NOTICE = "notice|"
FIRST_PAUSE = 300.0
"""Outlives a try to send, with all that the transport does of its own."""
LONGEST_PAUSE = 4 * 3600.0
LIFETIME = 24 * 3600.0


class Delivery(Struct, frozen=True, omit_defaults=True):
    """One notice on one way. `due` is when it is tried next, in seconds since 1970; `code` that of the last failure."""

    notice: Notice
    channel: str
    due: float
    tries: int = 0
    code: str = ""


def notices_of(job: str, instance: str, at: float, events: Iterable[Event]) -> list[Notice]:
    return [Notice(digest("notice", job, repr(at), str(n))[:32], job, instance, at, e) for n, e in enumerate(events)]


def insertions(notices: Sequence[Notice], channels: Iterable[str]) -> list[Operation]:
    """The rows by which notices are stored, to be committed together with what causes them."""
    deliveries = [Delivery(notice, channel, notice.at) for channel in channels for notice in notices]
    return [Insert(_key(delivery), delivery) for delivery in deliveries]


async def waiting(context: Context) -> list[Delivery]:
    """What has not arrived yet, oldest first."""
    return [delivery for delivery, _ in await _load(context)]


async def deliver(context: Context) -> int:
    """Sends what is due and answers how many notices were taken. Raises nothing: what does not go now goes later."""
    sent = 0
    try:
        for delivery, etag in await _load(context):
            if delivery.due <= context.now():
                sent += await _try(context, delivery, etag)
    except Unavailable as error:
        logger.warning("notices wait", extra={"job": context.job.id, "code": error.code})
    return sent


async def _load(context: Context) -> list[tuple[Delivery, str]]:
    rows = await context.store.scan(JOB, context.job.id, after=NOTICE, before=f"{NOTICE}{AFTER_ALL}", limit=1000)
    return [(row.decode(Delivery), row.etag) for row in rows]


async def _try(context: Context, delivery: Delivery, etag: str) -> bool:
    key, job = _key(delivery), context.job.id
    channel = context.channels.get(delivery.channel)
    if channel is None:
        await context.store.commit(JOB, job, [Delete(key)])
        logger.warning("notice dropped, its channel is not set any more", extra=_named(delivery))
        return False
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(delivery.tries, 20))
    tried = replace(delivery, tries=delivery.tries + 1, due=context.now() + pause)
    try:
        (mine,) = await context.store.commit(JOB, job, [Replace(key, tried, etag)])
    except RowConflict:
        return False  # another worker sends it, or has sent it
    try:
        await channel.send(delivery.notice)
    except ProvisioningError as error:
        await _put_off(context, tried, mine or "", error)
        return False
    await context.store.commit(JOB, job, [Delete(key)])
    logger.info("notice sent", extra=_named(tried))
    return True


async def _put_off(context: Context, tried: Delivery, etag: str, error: ProvisioningError) -> None:
    """The error's text is the channel's, which keeps addresses out of it."""
    code = error.code if isinstance(error, Unavailable) else type(error).__name__
    asked = error.retry_after if isinstance(error, Throttled) else 0.0
    later = replace(tried, code=code, due=max(tried.due, context.now() + asked))
    given_up = later.due > tried.notice.at + LIFETIME
    operation: Operation = Replace(_key(tried), later, etag)
    try:
        await context.store.commit(JOB, context.job.id, [Delete(_key(tried)) if given_up else operation])
    except RowConflict:
        return  # it took so long that another worker has tried it since
    told = {**_named(later), "code": code, "reason": str(error)}
    if given_up:
        logger.error("notice given up", extra=told)
    else:
        logger.warning("notice not sent, tried again later", extra=told)


def _named(delivery: Delivery) -> dict[str, object]:
    notice = delivery.notice
    event = type(notice.event).__name__
    return {"job": notice.job, "notice": notice.id, "event": event, "way": delivery.channel, "tries": delivery.tries}


def _key(delivery: Delivery) -> str:
    return f"{NOTICE}{int(delivery.notice.at * 1000):015d}|{delivery.notice.id}|{delivery.channel}"
