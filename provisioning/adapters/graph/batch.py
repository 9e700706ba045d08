"""Many small reads in few requests: `$batch` with 20 of them at a time and several batches in flight. What does not
fill a batch waits for what others ask meanwhile. An item that is throttled or fails in passing is asked for again in a
batch of its own; a page's nextLink becomes an item of a later batch. It knows addresses below the root, not what they
hold.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from provisioning.adapters.graph.answers import Call, NotThere, item_of, item_response, link_of, values_of
from provisioning.adapters.graph.session import GraphSession
from provisioning.adapters.http import PASSING_STATUSES, retry_after
from provisioning.errors import CursorExpired, Unavailable

logger = logging.getLogger(__name__)

BATCH_SIZE = 20
PAGE = 999
ATTEMPTS = 5
LONGEST_WAIT = 60.0
EVENTUAL = {"ConsistencyLevel": "eventual"}
JSON = dict[str, Any]
# What may stand in a query as it is. urllib would look at each of 600 characters, most of which are ids.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.~$(),'=-]+")


def relative(*path: str, **options: str | int) -> str:
    """An address below the root: path pieces and values quoted, option names with their dollar sign."""
    address = "/" + "/".join(quote(piece, safe="") for piece in path)
    query = "&".join(f"${name}={_UNSAFE.sub(_quoted, str(value))}" for name, value in options.items())
    return f"{address}?{query}" if query else address


def _quoted(found: re.Match[str]) -> str:
    return quote(found.group(), safe="")


def literal(text: str) -> str:
    """A string in an OData filter."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


@dataclass(slots=True)
class _Line:
    """Addresses that are asked for in the same way, in the order of asking, with whoever waits for each answer."""

    call: Call
    headers: dict[str, str]
    waiting: list[tuple[str, asyncio.Future[JSON | None]]] = field(default_factory=list)
    under_way: int = 0


class Batches:
    """Reads through one session, at most `concurrency` batches at a time over all its callers."""

    def __init__(self, session: GraphSession, *, concurrency: int = 4) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(concurrency)
        self._lines: dict[tuple[Call, tuple[tuple[str, str], ...]], _Line] = {}
        self._sending = set[asyncio.Task[None]]()

    async def objects(
        self, urls: Sequence[str], call: Call, *, headers: dict[str, str] | None = None
    ) -> list[JSON | None]:
        """What each address holds, in their order; None where Graph says that there is nothing."""
        key = (call, tuple(sorted((headers or {}).items())))
        line = self._lines.setdefault(key, _Line(call, headers or {}))
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Future[JSON | None]] = [loop.create_future() for _ in urls]
        line.waiting += zip(urls, asked, strict=True)
        self._send_full(line)
        if not line.under_way:
            self._send_rest(line)
        answers: list[JSON | None] = []
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
        return answers

    def _send_full(self, line: _Line) -> None:
        while len(line.waiting) >= BATCH_SIZE:
            self._send(line)

    def _send_rest(self, line: _Line) -> None:
        """Nobody waits longer than for the batch that was under way."""
        self._send_full(line)
        if line.waiting:
            self._send(line)

    def _make_way(self, line: _Line) -> None:
        line.under_way -= 1
        self._send_rest(line)

    def _send(self, line: _Line) -> None:
        batch, line.waiting = line.waiting[:BATCH_SIZE], line.waiting[BATCH_SIZE:]
        line.under_way += 1
        task = asyncio.create_task(self._deliver(line, batch))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, line: _Line, batch: Sequence[tuple[str, asyncio.Future[JSON | None]]]) -> None:
        """Each answer to who waits for it. A failure is everybody's whose address was in the batch."""
        wanted = [(url, asked) for url, asked in batch if not asked.done()]  # others do not wait any more
        if not wanted:
            self._make_way(line)
            return
        try:
            answers = await self._settle([url for url, _ in wanted], line)
        except asyncio.CancelledError:
            for _, asked in wanted:
                asked.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            for _, asked in wanted:
                if not asked.done():
                    asked.set_exception(error)
        else:
            for (_, asked), answer in zip(wanted, answers, strict=True):
                if not asked.done():
                    asked.set_result(answer)

    async def collections(
        self, urls: Sequence[str], call: Call, *, headers: dict[str, str] | None = None
    ) -> list[list[JSON] | None]:
        """The objects of each list, all its pages read; None where the thing that has the list does not exist."""
        found: list[list[JSON] | None] = [[] for _ in urls]
        pages = list(enumerate(urls))
        while pages:
            bodies = await self.objects([url for _, url in pages], call, headers=headers)
            following = []
            for (number, asked), body in zip(pages, bodies, strict=True):
                values = found[number]
                if body is None or values is None:
                    # Also when it goes away while its pages are read.
                    found[number] = None
                    continue
                values += values_of(body, call)
                if link := link_of(body, "@odata.nextLink", call):
                    following.append((number, self._onward(link, asked, call)))
            pages = following
        return found

    def _onward(self, link: str, asked: str, call: Call) -> str:
        path = self._session.path_of(link)
        if path == asked:
            raise Unavailable(f"a page of {call.what} from Microsoft Graph names itself as the next one")
        return path

    async def _settle(self, urls: Sequence[str], line: _Line) -> list[JSON | None]:
        """The answers of up to 20 addresses, those that were put off asked for again."""
        answers: dict[int, JSON | None] = {}
        waiting = dict(enumerate(urls))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                items = await self._post(waiting, line.call, line.headers)
            finally:
                if attempt == 1:
                    self._make_way(line)
            waits = [] if attempt == ATTEMPTS else [self._wait(items[n], attempt) for n in waiting]
            pause = max((wait for wait in waits if wait is not None), default=0.0)
            put_off = {n: waiting[n] for n, wait in zip(waiting, waits, strict=False) if wait is not None}
            if pause > LONGEST_WAIT:
                put_off = {}
            answers |= {n: _answer(items[n], url, line.call) for n, url in waiting.items() if n not in put_off}
            waiting = put_off
            if not waiting:
                break
            logger.warning("batch items put off", extra={"items": len(waiting), "seconds": pause, "attempt": attempt})
            await self._session.sleep(pause)
        return [answers[number] for number in range(len(urls))]

    async def _post(self, urls: dict[int, str], call: Call, headers: dict[str, str]) -> dict[int, JSON]:
        requests: list[JSON] = [{"id": str(n), "method": "GET", "url": url} for n, url in urls.items()]
        if headers:
            requests = [request | {"headers": headers} for request in requests]
        async with self._slots:
            body = await self._session.post_batch(requests, call)
        responses = body.get("responses")
        given = [each for each in responses if isinstance(each, dict)] if isinstance(responses, list) else []
        items = {item["id"]: item for item in given if isinstance(item.get("id"), str)}
        missing = [n for n in urls if str(n) not in items]
        if missing:
            raise Unavailable(
                f"Microsoft Graph left out {len(missing)} of {len(urls)} answers of a batch for {call.what}"
            )
        return {n: items[str(n)] for n in urls}

    def _wait(self, item: JSON, attempt: int) -> float | None:
        """Seconds until this item should be asked for again, or None if its answer is final."""
        status = item.get("status")
        if not isinstance(status, int):
            return None
        if status != httpx.codes.TOO_MANY_REQUESTS and status not in PASSING_STATUSES:
            return None
        asked = retry_after(item_response(item, "/"))
        return 0.5 * 2 ** (attempt - 1) * (1 + self._session.jitter() / 2) if asked is None else asked


def _answer(item: JSON, url: str, call: Call) -> JSON | None:
    try:
        return item_of(item, url, call)
    except NotThere:
        return None
    except CursorExpired as error:
        # Nobody kept this one: the list is read from its beginning next time.
        raise Unavailable(f"{error}, which was in the middle of being read; it is read again later") from error
