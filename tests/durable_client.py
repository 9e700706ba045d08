"""What functions reach a Durable host by: its HTTP API on 127.0.0.1, and the text of the binding that leads there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web
from azure.durable_functions.models.utils import http_utils

from tests.durable import Host


@contextlib.asynccontextmanager
async def offering(host: Host) -> AsyncIterator[str]:
    """The value of a durableClient binding, for as long as the block runs."""

    async def start(request: web.Request) -> web.Response:
        if not host.accepts:
            return web.json_response("the task hub is not there", status=503)
        # The body is JSON text inside a JSON string: that is what the SDK sends.
        host.start(request.match_info["name"], request.match_info["instance"], await request.json())
        return web.json_response({"id": request.match_info["instance"]}, status=202)

    async def status(request: web.Request) -> web.Response:
        found = host.status(request.match_info["instance"])
        if found is None:
            return web.Response(status=404)
        return web.json_response(found, status=202 if host.instances[found["instanceId"]].running else 200)

    app = web.Application()
    app.router.add_post("/durabletask/orchestrators/{name}/{instance}", start)
    app.router.add_get("/durabletask/instances/{instance}", status)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/durabletask/"
        yield json.dumps(
            {
                "taskHubName": "ProvisioningHub",
                "creationUrls": {},
                "managementUrls": {"id": "INSTANCEID"},
                "rpcBaseUrl": address,
            }
        )
    finally:
        await http_utils._close_session()  # the SDK keeps one for the process and ties it to this loop
        await runner.cleanup()
