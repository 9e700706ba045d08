# The decorators of azure.functions carry no types:
# mypy: disable-error-code="untyped-decorator"
"""The Azure Functions app: triggers around the engine, and nothing that could be tested without Azure.

    tick                 every few minutes: starts a cycle when the job's own schedule says that one is due
    cycle                the orchestrator; advance, run_step, notify are its activities
    one function for each route of provisioning.api.routes and provisioning.dashboard.routes

The worker reads the annotations of these functions: plain classes only, and no postponed evaluation.
"""

import logging
import os
from typing import TYPE_CHECKING

import azure.durable_functions as df  # type: ignore[import-untyped]
import azure.functions as func

from provisioning.api import ticking
from provisioning.api.callers import caller
from provisioning.api.responding import respond
from provisioning.api.routes import ROUTES
from provisioning.api.routing import Request, Route
from provisioning.dashboard.routes import PAGES
from provisioning.engine import orchestration
from provisioning.engine.engine import Engine
from provisioning.process import Process

if TYPE_CHECKING:
    from provisioning.app import App

logger = logging.getLogger(__name__)

BUSY = frozenset(
    {
        df.OrchestrationRuntimeStatus.Running,
        df.OrchestrationRuntimeStatus.Pending,
        df.OrchestrationRuntimeStatus.ContinuedAsNew,
        df.OrchestrationRuntimeStatus.Suspended,
    }
)

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


process = Process()


async def engine() -> Engine:
    return (await process.app()).engine


# --- Schedule and orchestration -----------------------------------------------------------------


@app.function_name("tick")
@app.timer_trigger(arg_name="timer", schedule="%PROVISIONING_SCHEDULE%", use_monitor=True)
@app.durable_client_input(client_name="client")
async def tick(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    if timer.past_due:
        logger.info("tick is late")
    await ticking.tick(AzureHost(client))


@app.function_name("cycle")
@app.orchestration_trigger(context_name="context")
def cycle(context: df.DurableOrchestrationContext) -> orchestration.Moves:
    return (yield from orchestration.orchestrate(context))


@app.function_name("advance")
@app.activity_trigger(input_name="turn")
async def advance(turn: dict) -> dict:  # type: ignore[type-arg] # the worker refuses parameters of a class
    return await orchestration.advance(await engine(), turn)


@app.function_name("run_step")
@app.activity_trigger(input_name="order")
async def run_step(order: dict) -> str:  # type: ignore[type-arg] # as above
    return await orchestration.run_step(await engine(), order)


@app.function_name("notify")
@app.activity_trigger(input_name="turn")
async def notify(turn: dict) -> int:  # type: ignore[type-arg] # as above
    del turn
    return await (await engine()).notify()


async def is_busy(running: Engine, client: df.DurableOrchestrationClient) -> bool:
    """To be asked first: an instance that is started anew is silently replaced while it runs."""
    status = await client.get_status(orchestration.instance_of(running.context.job.id))
    return status.runtime_status in BUSY


async def start_cycle(running: Engine, client: df.DurableOrchestrationClient) -> None:
    """Takes the job's lease first. Raises `LeaseLost` or `RowConflict` when somebody else was faster."""
    progress = await running.begin_cycle()
    instance = orchestration.instance_of(running.context.job.id)
    try:
        await client.start_new("cycle", instance, orchestration.order_of(progress))
    except BaseException:
        await running.context.rows.release_lease(progress.driver)  # nobody would drive it until the lease runs out
        raise
    logger.info("orchestration started", extra={"job": running.context.job.id, "cycle": progress.cycle})


# --- HTTP ---------------------------------------------------------------------------------------


class AzureHost:
    """Runs a route in this process; cycles are driven by Durable, which only a route with its binding can reach."""

    def __init__(self, client: df.DurableOrchestrationClient | None) -> None:
        self._client = client

    async def app(self) -> "App":
        return await process.app()

    async def is_busy(self) -> bool:
        return await is_busy(await engine(), self._client)

    async def start_cycle(self) -> None:
        await start_cycle(await engine(), self._client)


async def _response(
    route: Route, req: func.HttpRequest, client: df.DurableOrchestrationClient | None
) -> func.HttpResponse:
    headers = {name.lower(): value for name, value in req.headers.items()}
    request = Request(
        route.method, req.url, req.route_params, req.params, headers, req.get_body(), caller(headers, os.environ)
    )
    reply = await respond(route, request, AzureHost(client))
    return func.HttpResponse(reply.body, status_code=reply.status, headers=dict(reply.headers))


def _register(route: Route) -> None:
    async def plain(req: func.HttpRequest) -> func.HttpResponse:
        return await _response(route, req, None)

    async def driving(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        return await _response(route, req, client)

    level = func.AuthLevel.ANONYMOUS if route.role is None else func.AuthLevel.FUNCTION
    function = app.durable_client_input(client_name="client")(driving) if route.drives else plain
    app.function_name(route.name)(app.route(route.path, methods=[route.method], auth_level=level)(function))


for each in (*ROUTES, *PAGES):
    _register(each)
