"""`serve`: timer, HTTP API and dashboard on this machine, until it is interrupted."""

from __future__ import annotations

from provisioning.api.routes import ROUTES
from provisioning.app import App, open_app
from provisioning.cli.shell import Exit, Shell
from provisioning.config import Settings
from provisioning.dashboard.routes import HOME, PAGES
from provisioning.process import Process
from provisioning.serving.local_host import LocalHost
from provisioning.serving.web import serve, web_app


async def serve_here(shell: Shell, port: int, *, ticks: bool, as_json: bool) -> Exit:
    settings = Settings.load(shell.environ)

    async def opening() -> App:
        return await open_app(settings)

    app = web_app((HOME, *ROUTES, *PAGES), LocalHost(Process(opening)), by=shell.who, ticks=ticks)

    def tell(address: str) -> None:
        if as_json:
            shell.print_json({"address": address, "dashboard": f"{address}/dashboard"})
        else:
            shell.say(f"{address}/dashboard answers; Ctrl-C ends it.")

    await serve(app, port, tell)
    return Exit.OK
