"""Worlds whose cycles the function app runs: the real orchestrator and activities on the Durable host of the tests."""

from __future__ import annotations

import json
from types import SimpleNamespace

import function_app
from provisioning.engine import orchestration
from tests.durable import Host, InProcess
from tests.world import World


class Azure:
    """A world whose cycles are run by the function app on a Durable host."""

    def __init__(self, world: World, *, moves: int = 5, **host) -> None:
        self.world = world
        self.moves = moves
        self.host = Host(InProcess(function_app.app), world.now, died=self.restart, **host)
        self.restart()

    def restart(self) -> None:
        """A new worker process: nothing is left but what is stored."""
        function_app.process.use(self._open)

    async def _open(self) -> SimpleNamespace:
        """The app as far as the orchestration needs it."""
        settings = SimpleNamespace(service_principal_id=self.world.directory.service_principal_id, job_id="job")
        return SimpleNamespace(engine=self.world.engine(), settings=settings, is_current=_always)

    def cycle(self):
        return self.world.run(self._cycle())

    async def _cycle(self):
        progress = await (await function_app.engine()).begin_cycle()
        order = orchestration.order_of(progress, self.moves)
        self.host.start("cycle", "job-job", json.dumps(order))
        return await self.host.finish("job-job")


async def _always() -> bool:
    return True
