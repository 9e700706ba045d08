"""Reads, many to a call: lookups are packed into batches of GETs, sent again where the instance did not get to them
or gave no clear answer, split where an answer may have been cut at its limit. Never more calls at once than there are
slots. Does not know what the rows are for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import httpx

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


class Calls:
    """The calls to one instance: so many at once, and no more."""

    def __init__(self, session: ServiceNowSession, slots: int) -> None:
        self.session = session
        self._slots = asyncio.Semaphore(slots)
        self._numbers = itertools.count(1)

    async def get(self, path: str) -> Answer:
        async with self._slots:
            return await self.session.get(path)

    async def get_with_headers(self, path: str) -> tuple[Answer, httpx.Headers]:
        async with self._slots:
            return await self.session.get_with_headers(path)

    async def batch(self, items: Sequence[batch.Item]) -> batch.Reply | Fault:
        content = batch.encode(next(self._numbers), items)
        async with self._slots:
            answer = await self.session.post_batch(content)
        return batch.decode(answer)


class Reader:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def rows(self, lookups: Iterable[Lookup]) -> list[tuple[Lookup, list[Record]]]:
        """The rows of each lookup, every one of them asked for."""
        found: list[tuple[Lookup, list[Record]]] = []
        pending = list(lookups)
        while pending:
            cut: list[Lookup] = []
            for lookup, rows in zip(pending, await self.results([each.url for each in pending]), strict=True):
                if isinstance(rows, Fault):
                    raise rows.error(self._calls.session.host)
                checked = list(lookup.checked(rows))
                if len(rows) >= lookup.limit and len(lookup.values) > 1:
                    cut += lookup.halves()
                else:
                    found.append((lookup, checked))
            pending = cut
        return found

    async def results(self, urls: Sequence[str]) -> list[Result]:
        """The rows of each GET, or why there are none, in order."""
        starts = range(0, len(urls), READS_PER_BATCH)
        batches = await _side_by_side(self._one_batch(urls[start : start + READS_PER_BATCH]) for start in starts)
        return list(itertools.chain.from_iterable(batches))

    async def _one_batch(self, urls: Sequence[str]) -> list[Result]:
        results: list[Result] = [_UNSERVICED] * len(urls)
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
                results[at] = records_of(answer) if answer else _UNSERVICED
            waiting = [at for at in waiting if _is_doubtful(results[at])]
            if not waiting:
                break
        return results


_UNSERVICED = Fault(
    "doubt",
    "Timeout",
    f"the instance did not get to a read within {TRIES} batches",
    "It is retried by itself; if it lasts, the instance is overloaded or its indexes are missing",
)


def _is_doubtful(result: Result) -> bool:
    return isinstance(result, Fault) and result.kind == "doubt"


async def _side_by_side(jobs: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """All results in order; the first failure ends the others."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
