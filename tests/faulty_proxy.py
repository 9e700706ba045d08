"""A proxy between a client and a server on real sockets that breaks connections on purpose, by a seeded dice: before a
request went through, after it was carried out, in the middle of the answer, or by saying nothing. It repeats nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Literal, Self
from urllib.parse import urlsplit

Fault = Literal["none", "reset before", "reset after", "cut and reset", "cut and close", "delayed", "silent"]
FAULTS: dict[Fault, int] = {
    "none": 48,
    "reset before": 10,
    "reset after": 12,
    "cut and reset": 10,
    "cut and close": 10,
    "delayed": 9,
    "silent": 1,
}
"""How often each happens, of a hundred."""
DELAY = 0.01


class FaultyProxy:
    """`on` says by its path which requests meet faults; `happened` counts them. Use as an asynchronous context."""

    def __init__(self, server: str, *, seed: int, on: Callable[[str], bool]) -> None:
        parts = urlsplit(server)
        self._server = (str(parts.hostname), int(parts.port or 80))
        self._dice = random.Random(seed)
        self._on = on
        self._open: set[asyncio.StreamWriter] = set()
        self.is_faulty = True
        self.happened: Counter[Fault] = Counter()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._door = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._door.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._door.wait_closed()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection carries one request: the answer says that it closes."""
        self._open.add(writer)
        try:
            request = await _message(reader)
            await self._pass_on(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)

    async def _pass_on(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault: Fault = "none"
        if self.is_faulty and self._on(request.split(b" ", 2)[1].decode()):
            (fault,) = self._dice.choices(list(FAULTS), list(FAULTS.values()))
        self.happened[fault] += 1
        if fault == "reset before":
            writer.transport.abort()
            return
        answer = await self._asked(request)
        match fault:
            case "reset after":
                writer.transport.abort()
            case "silent":
                await reader.read()  # until the client gives up
                writer.close()
            case "cut and reset" | "cut and close":
                writer.write(answer[: self._dice.randrange(len(answer))])
                await writer.drain()
                if fault == "cut and reset":
                    writer.transport.abort()
                writer.close()
            case "delayed" | "none":
                await asyncio.sleep(DELAY if fault == "delayed" else 0)
                writer.write(answer)
                await writer.drain()
                writer.close()

    async def _asked(self, request: bytes) -> bytes:
        """The whole answer of the server, over a connection of its own."""
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        reader, writer = await asyncio.open_connection(*self._server)
        try:
            writer.write(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            return await reader.read()
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head
