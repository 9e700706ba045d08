"""The HTTP API as it is served on a laptop, with a small tenant and an instance in this process: by ASGI, or on a real
web server for clients that want an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from provisioning.api.routes import ROUTES
from provisioning.app import App, open_app
from provisioning.config import Settings
from provisioning.process import Process
from provisioning.serving.local_host import LocalHost
from provisioning.serving.web import serve, web_app
from tests.emulators import graph, servicenow, tenant
from tests.graph_contract import Contract, ContractTransport

WHO = "somebody at this machine"


class ApiPlace:
    """`contract` holds each call against Microsoft's description of its API."""

    def __init__(self, folder, *, users: int = 12, groups: int = 2, **environ: str) -> None:
        self.directory = graph.Tenant(seed=1)
        tenant.seed(self.directory, users=users, groups=groups, seed=1)
        self.instance = servicenow.Instance(url="http://127.0.0.1")
        servicenow.seed_instance(self.instance)
        self.environ = {
            "ENTRA_TENANT_ID": self.directory.tenant_id,
            "ENTRA_SERVICE_PRINCIPAL_ID": self.directory.service_principal_id,
            "GRAPH_BASE_URL": "http://127.0.0.1/v1.0",
            "GRAPH_ACCESS_TOKEN": graph.ACCESS_TOKEN,
            "SERVICENOW_INSTANCE": "http://127.0.0.1",
            "SERVICENOW_CLIENT_ID": servicenow.CLIENT_ID,
            "SERVICENOW_CLIENT_SECRET": servicenow.CLIENT_SECRET,
            "STATE": f"sqlite:{folder / 'state.db'}",
            **environ,
        }
        self.settings = Settings.load(self.environ)
        self.host = LocalHost(Process(self.new_app))
        self.web = web_app(ROUTES, self.host, by=WHO, ticks=False)
        self.contract: Contract | None = Contract()
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    async def new_app(self) -> App:
        return await open_app(
            Settings.load(self.environ),
            graph_transport=httpx.ASGITransport(graph.create_app(self.directory)),
            servicenow_transport=httpx.ASGITransport(servicenow.create_app(self.instance)),
            now=self.now,
        )

    @property
    def principal(self) -> str:
        return f"/v1.0/servicePrincipals/{self.settings.service_principal_id}/synchronization"

    @property
    def job(self) -> str:
        return f"{self.principal}/jobs/{self.settings.job_id}"

    def run(self, story) -> Any:
        """The story is called with a client, whose addresses may be relative."""

        async def whole() -> Any:
            transport: httpx.AsyncBaseTransport = httpx.ASGITransport(self.web)
            if self.contract is not None:
                transport = ContractTransport(transport, self.contract)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                try:
                    return await story(client)
                finally:
                    await self.host.close()

        return asyncio.run(whole())

    def run_plainly(self, story) -> Any:
        """As `run`, for what no description covers: bodies that are no JSON, resources of our own."""
        self.contract = None
        return self.run(story)

    async def cycle(self, client: httpx.AsyncClient) -> None:
        """One whole cycle, begun over HTTP."""
        response = await client.post(f"{self.job}/start")
        assert response.status_code == 204, response.text
        await self.settled()

    async def settled(self) -> None:
        cycle = self.host._cycle
        if cycle is not None:
            await cycle

    def accounts(self) -> int:
        return len(self.instance.rows("sys_user", "user_nameLIKE@"))


@contextlib.asynccontextmanager
async def on_a_port(place: ApiPlace) -> AsyncIterator[str]:
    """The address of a real server, for as long as the block runs."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(place.web, 0, told.set_result))
    try:
        yield await told
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await place.host.close()


def error_of(response: httpx.Response) -> dict[str, Any]:
    return response.json()["error"]
