"""Reads, many to a call: lookups are packed into batches of GETs, sent again where the instance did not get to them
or gave no clear answer, split where an answer may have been cut at its limit. Does not know what the rows are for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import httpx
from msgspec import Struct

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import Answer, records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.query import Lookup
from provisioning.adapters.servicenow.session import ServiceNowSession
from provisioning.model import Record

READS_PER_BATCH = 25
"""Some 80 keys each, at 5 to 10 ms of the instance's time: far from the limit of a batch."""
TRIES = 3

Result = list[dict[str, str]] | Fault
_T = TypeVar("_T")


class Page(Struct, frozen=True):
    """`window` is how many rows there were before access rules took some out, as far as the instance tells."""

    rows: list[dict[str, str]]
    window: int


class Calls:
    """The calls to one instance. What a batch tells of its own time tells how long it waited there."""

    def __init__(self, session: ServiceNowSession) -> None:
        self.session = session
        self._numbers = itertools.count(1)

    async def get(self, path: str) -> Answer:
        return await self.session.get(path)

    async def get_with_headers(self, path: str) -> tuple[Answer, httpx.Headers]:
        return await self.session.get_with_headers(path)

    async def batch(self, items: Sequence[batch.Item]) -> batch.Reply | Fault:
        answer = await self.session.post_batch(batch.encode(next(self._numbers), items))
        reply = batch.decode(answer)
        if isinstance(reply, batch.Reply) and reply.seconds is not None:
            self.session.budget.queued(answer.seconds - reply.seconds, reply.seconds)
        return reply


class Reader:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def rows(self, lookups: Iterable[Lookup]) -> list[tuple[Lookup, list[Record]]]:
        """The rows of each lookup, every one of them asked for."""
        found: list[tuple[Lookup, list[Record]]] = []
        pending = list(lookups)
        while pending:
            cut: list[Lookup] = []
            for lookup, page in zip(pending, await self._pages([each.url for each in pending]), strict=True):
                if isinstance(page, Fault):
                    columns = (lookup.field, *((lookup.given[0],) if lookup.given else ()))
                    raise page.about(lookup.table, *columns).error(self._calls.session.host)
                checked = list(lookup.checked(page.rows))
                if page.window >= lookup.limit and lookup.narrower:
                    cut += lookup.narrower
                else:
                    found.append((lookup, checked))
            pending = cut
        return found

    async def results(self, urls: Sequence[str]) -> list[Result]:
        """The rows of each GET, or why there are none, in order."""
        return [page if isinstance(page, Fault) else page.rows for page in await self._pages(urls)]

    async def _pages(self, urls: Sequence[str]) -> list[Page | Fault]:
        starts = range(0, len(urls), READS_PER_BATCH)
        batches = await _side_by_side(self._one_batch(urls[start : start + READS_PER_BATCH]) for start in starts)
        return list(itertools.chain.from_iterable(batches))

    async def _one_batch(self, urls: Sequence[str]) -> list[Page | Fault]:
        results: list[Page | Fault] = [_UNSERVICED] * len(urls)
        waiting = list(range(len(urls)))
        for attempt in range(TRIES):
            if attempt:
                await self._calls.session.pause(attempt)
            reply = await self._calls.batch([batch.read(at, urls[at]) for at in waiting])
            if isinstance(reply, Fault):
                if reply.kind != "doubt" or attempt == TRIES - 1:
                    raise reply.error(self._calls.session.host)
                continue
            for at in waiting:
                answer = reply.answers.get(str(at))
                results[at] = _page(answer) if answer else _UNSERVICED
            waiting = [at for at in waiting if _may_pass(results[at], attempt)]
            if not waiting:
                break
        return results


_UNSERVICED = Fault(
    "doubt",
    "Timeout",
    f"the instance did not get to a read within {TRIES} batches",
    "It is retried by itself. If it lasts, ServiceNow administrator: look at the instance's load and its indexes",
)


def _page(answer: Answer) -> Page | Fault:
    rows = records_of(answer)
    return rows if isinstance(rows, Fault) else Page(rows, max(len(rows), answer.total or 0))


def _may_pass(result: Page | Fault, attempt: int) -> bool:
    """Whether to ask again: instances also answer 401 and the API's 403 in passing. A 401 is asked again only once."""
    return isinstance(result, Fault) and (
        result.kind in {"doubt", "moved"} or (result.kind == "login" and attempt == 0)
    )


async def _side_by_side(jobs: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """All results in order; the first failure ends the others."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
