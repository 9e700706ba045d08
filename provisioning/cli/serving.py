"""`serve`: timer, HTTP API and dashboard on this machine, until it is interrupted."""

from __future__ import annotations

from provisioning.api.routes import ROUTES
from provisioning.app import App, open_app
from provisioning.cli.shell import Exit, Shell
from provisioning.config import Settings
from provisioning.dashboard.routes import PAGES
from provisioning.process import Process
from provisioning.serving.local_host import LocalHost
from provisioning.serving.web import serve, web_app


async def serve_here(shell: Shell, port: int, *, ticks: bool) -> Exit:
    settings = Settings.load(shell.environ)

    async def opening() -> App:
        return await open_app(settings)

    app = web_app((*ROUTES, *PAGES), LocalHost(Process(opening)), by=shell.who, ticks=ticks)
    await serve(app, port, lambda address: shell.say(f"{address}/dashboard answers; Ctrl-C ends it."))
    return Exit.OK
