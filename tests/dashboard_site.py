"""The dashboard as it is served, for tests that look at it: the real app on a real local server in a thread of this
process, both emulators behind it, and a clock that stands still unless a test puts it on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from provisioning.api.routes import ROUTES
from provisioning.app import App, open_app
from provisioning.config import Settings
from provisioning.dashboard.routes import PAGES
from provisioning.engine.driver import run_cycle
from provisioning.engine.progress import Progress
from provisioning.process import Process
from provisioning.serving.local_host import LocalHost
from provisioning.serving.web import ADDRESS, web_app
from tests.emulators import graph, servicenow, tenant
from tests.virtual_time import EPOCH

SECONDS = 60.0


@dataclass
class Clock:
    """Stands still, or goes on by `pace` each time somebody looks."""

    at: float = EPOCH
    pace: float = 0.0

    def __call__(self) -> float:
        self.at += self.pace
        return self.at


@dataclass
class Site:
    """`directory` and `instance` are the two sides; `address` is where the pages are."""

    address: str
    directory: graph.Tenant
    instance: servicenow.Instance
    clock: Clock
    loop: asyncio.AbstractEventLoop
    process: Process
    host: LocalHost

    def run(self, work: Coroutine[Any, Any, Any], *, seconds: float = SECONDS) -> Any:
        """In the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    @property
    def app(self) -> App:
        return self.run(self.host.app())

    def cycle(self, *, later: float = 2400.0) -> Progress:
        """A whole cycle, and then some time passes."""
        progress = self.run(run_cycle(self.app.engine))
        self.clock.at += later
        return progress

    def finish(self) -> None:
        """Waits for the cycle that somebody has started."""

        async def ended() -> None:
            async with asyncio.timeout(SECONDS):
                while await self.host.is_busy():  # noqa: ASYNC110 - the host tells nobody
                    await asyncio.sleep(0.02)

        self.run(ended())

    def lock_out(self) -> None:
        """The instance knows our secret no more."""
        self.instance.accounts.add_client(servicenow.CLIENT_ID, "another", user=servicenow.INTEGRATION_USER)
        self.instance.accounts.revoke_tokens()

    def let_in(self) -> None:
        """Our secret is right again, and the app opened anew: what was refused is not shown again for a while."""
        self.instance.accounts.add_client(
            servicenow.CLIENT_ID, servicenow.CLIENT_SECRET, user=servicenow.INTEGRATION_USER
        )
        self.run(self.process.close())

    def people(self) -> list[str]:
        """The user principal names of the tenant, in order."""
        everybody = (
            each for each in self.directory.objects.values() if each.type == "user" and each.deleted_at is None
        )
        return sorted(each.attributes["userPrincipalName"] for each in everybody)

    def accounts(self) -> list[str]:
        """The user names of those who are provisioned and called there as in Entra, in order."""
        active = {row["user_name"] for row in self.instance.find("sys_user", active="true")}
        return [name for name in self.people() if name in active]

    def account(self, name: str) -> dict[str, str]:
        (found,) = self.instance.find("sys_user", user_name=name)
        return dict(found)

    def person(self, name: str) -> str:
        """Somebody's id in Entra, by user name."""
        found = self.directory.user(name)
        assert found is not None, name
        return found.id

    def leave(self, *names: str) -> None:
        for name in names:
            self.directory.delete_user(self.person(name))


def settings_of(directory: graph.Tenant, state: Path, **more: str) -> Settings:
    return Settings.load(
        {
            "ENTRA_TENANT_ID": directory.tenant_id,
            "ENTRA_SERVICE_PRINCIPAL_ID": directory.service_principal_id,
            "GRAPH_BASE_URL": "http://127.0.0.1/v1.0",
            "GRAPH_ACCESS_TOKEN": graph.ACCESS_TOKEN,
            "SERVICENOW_INSTANCE": "http://127.0.0.1",
            "SERVICENOW_CLIENT_ID": servicenow.CLIENT_ID,
            "SERVICENOW_CLIENT_SECRET": servicenow.CLIENT_SECRET,
            "STATE": f"sqlite:{state}",
            **more,
        }
    )


@contextmanager
def site_of(folder: Path, *, users: int = 40, groups: int = 3, **settings: str) -> Iterator[Site]:
    clock = Clock()
    directory = graph.Tenant(clock=clock, seed=1)
    tenant.seed(directory, users=users, groups=groups, seed=1)
    instance = servicenow.Instance(clock=clock, url="http://127.0.0.1")
    servicenow.seed_instance(
        instance,
        departments=tenant.DEPARTMENTS,
        locations=tuple(office.name for office in tenant.OFFICES),
        companies=tenant.COMPANIES,
        cost_centers=tenant.COST_CENTERS,
    )

    async def opening() -> App:
        return await open_app(
            settings_of(directory, folder / "state.db", **settings),
            graph_transport=httpx.ASGITransport(graph.create_app(directory)),
            servicenow_transport=httpx.ASGITransport(servicenow.create_app(instance)),
            now=clock,
        )

    process = Process(opening)
    host = LocalHost(process)
    web = web_app((*ROUTES, *PAGES), host, by="Ada at this machine", ticks=False)
    server = uvicorn.Server(uvicorn.Config(web, host=ADDRESS, port=0, log_config=None, access_log=False))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),), daemon=True)
    thread.start()
    end = time.monotonic() + SECONDS
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < end
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Site(f"http://{ADDRESS}:{port}", directory, instance, clock, loop, process, host)
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        loop.close()
