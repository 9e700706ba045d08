"""A world for tests of the Graph adapter: a tenant, the emulator before it, something in between that can answer in its
place, and the adapter. It knows no test.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Self

import httpx

from provisioning.adapters.graph import GraphSession, GraphSource, StaticToken
from tests.emulators.graph import ACCESS_TOKEN, create_app
from tests.emulators.graph.state import Tenant

BASE_URL = "http://127.0.0.1:7101/v1.0"


class Between:
    """Stands before the emulator: keeps what was asked, and answers itself where it was told to."""

    def __init__(self, app) -> None:
        self.app = app
        self._canned: list[tuple[str, SimpleNamespace]] = []
        self.asked: list[SimpleNamespace] = []
        self.busy = 0
        self.busiest = 0

    def answer(self, path: str, status: int, body: bytes | str, *, times: int = 1, **headers: str) -> None:
        """Answer the next requests whose path ends so."""
        content = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        reply = SimpleNamespace(status=status, content=content, headers=headers)
        self._canned += [(path, reply)] * times

    async def __call__(self, scope, receive, send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append(SimpleNamespace(path=scope["path"], query=scope["query_string"].decode(), headers=headers))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            # Lets other requests in, as a network would.
            await asyncio.sleep(0)
            for canned in self._canned:
                if scope["path"].endswith(canned[0]):
                    self._canned.remove(canned)
                    await _send(send, canned[1])
                    return
            await self.app(scope, receive, send)
        finally:
            self.busy -= 1


async def _send(send, reply) -> None:
    headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.content})


class World:
    """A tenant, the adapter on it, and a loop to ask in. Waiting takes no time but is remembered."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.tenant = Tenant()
        self.between = Between(create_app(self.tenant))
        self.naps: list[float] = []
        self._runner = runner
        self._opened: list[GraphSource] = []
        self.source = self.adapter()

    def adapter(
        self,
        *,
        principal: str | None = None,
        users: tuple[str, ...] = ("mail", "manager"),
        groups: tuple[str, ...] = ("description",),
        tokens=None,
        transport: httpx.AsyncBaseTransport | None = None,
        base_url: str = BASE_URL,
        concurrency: int = 4,
    ) -> GraphSource:
        session = GraphSession(
            base_url,
            tokens or StaticToken(ACCESS_TOKEN),
            transport=transport or httpx.ASGITransport(self.between),
            sleep=self._nap,
            jitter=lambda: 0.0,
        )
        source = GraphSource(
            session,
            service_principal_id=principal or self.tenant.service_principal_id,
            user_attributes=users,
            group_attributes=groups,
            concurrency=concurrency,
        )
        self._opened.append(source)
        return source

    def ask(self, question):
        return self._runner.run(question)

    def round(self, kind: str, link: str | None = None) -> tuple[list, str]:
        """A whole delta round: its changes and the link for the next one."""
        changes: list = []
        while True:
            page = self.ask(self.source.delta(kind, link))
            changes += page.changes
            if page.delta_link is not None:
                assert page.next_link is None
                return changes, page.delta_link
            link = page.next_link

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._opened:
            self.ask(source.aclose())

    async def _nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0)
