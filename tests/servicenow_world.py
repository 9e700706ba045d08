"""A ServiceNow instance, and the adapter that talks to it over HTTP in one process. What travels is recorded, and can
be meddled with on its way, for what the emulator's own faults cannot do.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import contextmanager

import httpx

from provisioning.adapters.servicenow import Report, ServiceNowSession, ServiceNowTarget, Task, credentials
from provisioning.schema import Schema, default_schema
from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, Instance, create_app, seed_instance

Meddle = Callable[[httpx.Request], httpx.Request | httpx.Response]


class Wire(httpx.AsyncBaseTransport):
    """Records every request; `meddle` may answer in the instance's place, change the request, or raise. `alter` may
    change the answer.
    """

    def __init__(self, instance: Instance) -> None:
        self._inner = httpx.ASGITransport(create_app(instance))
        self.requests: list[httpx.Request] = []
        self.meddle: Meddle | None = None
        self.alter: Callable[[httpx.Response], None] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.meddle is not None:
            met = self.meddle(request)
            if isinstance(met, httpx.Response):
                return met
            request = met
        response = await self._inner.handle_async_request(request)
        if self.alter is not None:
            self.alter(response)
        return response

    @property
    def batches(self) -> list[list[dict]]:
        """The items of each batch that was sent, bodies decoded."""
        sent = [json.loads(request.content) for request in self.requests if request.url.path.endswith("/batch")]
        for batch in sent:
            for item in batch["rest_requests"]:
                if "body" in item:
                    item["body"] = json.loads(base64.b64decode(item["body"]))
        return [batch["rest_requests"] for batch in sent]

    def forget(self) -> None:
        self.requests.clear()


class World:
    """`do` runs one call of the adapter to its end. Waits between attempts are noted and not waited for."""

    def __init__(self, runner: asyncio.Runner, *, auth: httpx.Auth | None = None, dry_run: bool = False) -> None:
        self._runner = runner
        self.time = 1_750_000_000.0
        self.instance = Instance(lambda: self.time)
        seed_instance(self.instance)
        self.wire = Wire(self.instance)
        self.waits: list[float] = []
        self.session = self.another_session(auth, dry_run=dry_run)
        self.target = ServiceNowTarget(self.session)

    def another_session(
        self, auth: httpx.Auth | None = None, *, slots: int = 2, dry_run: bool = False
    ) -> ServiceNowSession:
        auth = auth or credentials("oauth-client-credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        return ServiceNowSession("contoso", auth, slots=slots, dry_run=dry_run, transport=self.wire, sleep=self._note)

    async def _note(self, seconds: float) -> None:
        self.waits.append(seconds)

    def do(self, call):
        return self._runner.run(call)

    def find(self, table, field, values, fields=()):
        return self.do(self.target.find(table, field, values, fields))

    def write(self, *writes):
        return self.do(self.target.write(writes))

    def check(
        self,
        target: ServiceNowTarget | None = None,
        *,
        schema: Schema | None = None,
        login: str = "oauth-client-credentials",
        test_writes: bool = False,
    ) -> Report:
        """A probe of what the instance lets a job do; another target of this instance learns everything anew."""
        target = target or ServiceNowTarget(self.session)
        task = Task(schema or default_schema(), login, test_writes, now=lambda: self.time)
        return self.do(target.check(task))

    def user(self, user_name, **fields) -> str:
        return self.instance.insert("sys_user", {"user_name": user_name, **fields})["sys_id"]

    @property
    def users(self) -> dict[str, dict[str, str]]:
        return {row["user_name"]: row for row in self.instance.rows("sys_user")}

    @contextmanager
    def counted(self):
        """What the instance is asked inside the block, by kind."""
        before = self.instance.counts.copy()
        asked: dict[str, int] = {}
        yield asked
        asked.update(self.instance.counts - before)
