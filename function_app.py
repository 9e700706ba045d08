# The decorators of azure.functions carry no types:
# mypy: disable-error-code="untyped-decorator"
"""The Azure Functions app: triggers around the engine, and nothing that could be tested without Azure.

    tick                 every few minutes: starts a cycle when the job's own schedule says that one is due
    cycle                the orchestrator; advance, run_step, notify are its activities
    start_job, pause_job, restart_job, get_job, delete_job, provision_on_demand,
    list_object_connections, get_object_connection, delete_object_connection, list_executions
                         the HTTP resources of Microsoft Graph's synchronization API
    get_provisioning_logs, get_audits
                         what the job did, and what was ordered and changed
    health               whether the app answers

The worker reads the annotations of these functions: plain classes only, and no postponed evaluation.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import azure.durable_functions as df  # type: ignore[import-untyped]
import azure.functions as func

from provisioning.api import executions
from provisioning.api.answers import Call, Refusal, Reply, client_request_id, not_found
from provisioning.api.callers import caller, initiator
from provisioning.api.connections import asked_page, connection_resource, page_resource
from provisioning.api.jobs import job_resource, reset_criteria
from provisioning.api.logs import page_document, query_of
from provisioning.api.on_demand import asked_object, on_demand_answer
from provisioning.config import Settings
from provisioning.engine import control, linking, orchestration
from provisioning.engine.engine import Engine
from provisioning.engine.on_demand import provision_on_demand as provision
from provisioning.errors import ConfigError, LeaseLost, ObjectError, ProvisioningError, RowConflict, Throttled

if TYPE_CHECKING:
    from provisioning.app import App

logger = logging.getLogger(__name__)

JOB = "v1.0/servicePrincipals/{sp}/synchronization/jobs/{job}"
CONNECTION = JOB + "/objectConnections('{id}')"
BUSY = frozenset(
    {
        df.OrchestrationRuntimeStatus.Running,
        df.OrchestrationRuntimeStatus.Pending,
        df.OrchestrationRuntimeStatus.ContinuedAsNew,
        df.OrchestrationRuntimeStatus.Suspended,
    }
)
RUNNING = Refusal(409, "Conflict", "A cycle of this job is running already; it goes on, and no second one is started.")
IN_THE_WAY = Refusal(409, "Conflict", "A cycle of this job is running: pause the job, and delete it when it has ended.")

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


class Process:
    """What a worker process opens when it is first needed and keeps until it ends; anew when another schema is in
    force. The one before stays open for whoever is still at work with it.
    """

    def __init__(self) -> None:
        self._opened: list[App] = []
        self._open: Callable[[], Awaitable[App]] = _open_from_environment
        self._opening = asyncio.Lock()

    async def app(self) -> "App":
        """Raises `ConfigError`: at each call, so that each answer says what is wrong."""
        async with self._opening:
            if not self._opened or not await self._opened[-1].is_current():
                self._opened.append(await self._open())
            return self._opened[-1]

    def use(self, opening: "Callable[[], Awaitable[App]] | None") -> None:
        """For a process that opens its app itself."""
        self._opened = []
        self._open = opening or _open_from_environment
        self._opening = asyncio.Lock()


async def _open_from_environment() -> "App":
    from provisioning.app import open_app  # noqa: PLC0415 - health and indexing do without the adapters

    return await open_app(Settings.load(os.environ))


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
    running = await engine()
    await running.notify()
    if await is_busy(running, client):
        return
    if not await running.is_due():
        await running.prune()
        return
    try:
        await start_cycle(running, client)
    except (LeaseLost, RowConflict):
        logger.info("job is held elsewhere", extra={"job": running.context.job.id})


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


@app.function_name("health")
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    del req
    return _response(Call().answer({"status": "ok"}))


@app.function_name("get_job")
@app.route(JOB, methods=["GET"])
async def get_job(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        found = (await _job(req)).engine.context
        state, _ = await found.rows.state()
        progress = await found.rows.progress()
        history = await found.rows.history()
        return job_resource(found.job.id, found.job.pace.interval, state, progress[0] if progress else None, history)

    return await _answered(req, answer)


@app.function_name("start_job")
@app.route(f"{JOB}/start", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    async def answer() -> None:
        running = (await _job(req)).engine
        state, _ = await running.context.rows.state()
        busy = await is_busy(running, client)
        if busy and not state.paused:
            raise RUNNING
        await control.start(running, by=_by(req))
        if busy:
            return  # the pause is taken back, and the cycle that it had let go on runs
        try:
            await start_cycle(running, client)
        except (LeaseLost, RowConflict) as held:
            if not state.paused:
                raise RUNNING from held

    return await _answered(req, answer)


@app.function_name("pause_job")
@app.route(f"{JOB}/pause", methods=["POST"])
async def pause_job(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> None:
        await control.pause((await _job(req)).engine, by=_by(req))

    return await _answered(req, answer)


@app.function_name("restart_job")
@app.route(f"{JOB}/restart", methods=["POST"])
async def restart_job(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> None:
        engine, scopes = (await _job(req)).engine, reset_criteria(req.get_body())
        await control.restart(engine, scopes, by=_by(req))

    return await _answered(req, answer)


@app.function_name("delete_job")
@app.route(JOB, methods=["DELETE"])
async def delete_job(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> None:
        try:
            await control.delete((await _job(req)).engine, by=_by(req))
        except LeaseLost as held:
            raise IN_THE_WAY from held

    return await _answered(req, answer)


@app.function_name("get_provisioning_logs")
@app.route("v1.0/auditLogs/provisioning", methods=["GET"])
async def get_provisioning_logs(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        query = query_of(req.params, "provisioningObjectSummary")
        return page_document(await (await engine()).context.journal.search(query), req.url, "provisioning")

    return await _answered(req, answer)


@app.function_name("get_audits")
@app.route("v1.0/auditLogs/directoryAudits", methods=["GET"])
async def get_audits(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        query, context = query_of(req.params, "directoryAudit"), (await engine()).context
        page = await context.audit.search(query, principal=context.job.application)
        return page_document(page, req.url, "directoryAudits")

    return await _answered(req, answer)


@app.function_name("provision_on_demand")
@app.route(f"{JOB}/provisionOnDemand", methods=["POST"])
async def provision_on_demand(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        engine, asked, by = (await _job(req)).engine, asked_object(req.get_body()), initiator(_by(req))
        found = await provision(engine, asked.id, write=True, members=asked.members, by=by)
        if not found.entries:
            raise Refusal(409, "Conflict", "The object was changed elsewhere at the same moment; ask again.")
        return on_demand_answer(found.entries)

    return await _answered(req, answer)


@app.function_name("list_executions")
@app.route(f"{JOB}/executions", methods=["GET"])
async def list_executions(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        rows = (await _job(req)).engine.context.rows
        top, place = executions.asked_page(req.params.get("$top", ""), req.params.get("$skiptoken", ""))
        found, following = await rows.executions(top, place)
        return executions.page_resource(found, following, req.url.partition("?")[0], top)

    return await _answered(req, answer)


@app.function_name("list_object_connections")
@app.route(f"{JOB}/objectConnections", methods=["GET"])
async def list_object_connections(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        context = (await _job(req)).engine.context
        top, place = asked_page(req.params.get("$top", ""), req.params.get("$skiptoken", ""))
        links, following = await linking.page_of_linked(context, place, top)
        return page_resource(links, following, req.url.partition("?")[0], top)

    return await _answered(req, answer)


@app.function_name("get_object_connection")
@app.route(CONNECTION, methods=["GET"])
async def get_object_connection(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> dict[str, Any]:
        name = req.route_params.get("id", "")
        known = await linking.remembered_by_id((await _job(req)).engine.context, name)
        if known is None or known.link.sys_id is None:
            raise not_found(name)
        return connection_resource(known.link)

    return await _answered(req, answer)


@app.function_name("delete_object_connection")
@app.route(CONNECTION, methods=["DELETE"])
async def delete_object_connection(req: func.HttpRequest) -> func.HttpResponse:
    async def answer() -> None:
        engine = (await _job(req)).engine
        known = await linking.remembered_by_id(engine.context, req.route_params.get("id", ""))
        try:
            done = await linking.unlink_at_rest(engine, known, by=_by(req))
        except RowConflict as conflict:
            raise Refusal(409, "Conflict", str(conflict)) from conflict
        if not done:
            raise Refusal(409, "Conflict", "Pause the job first, and wait until a cycle that runs has ended.")

    return await _answered(req, answer)


async def _job(req: func.HttpRequest) -> "App":
    """The app, if it serves the job that the address names."""
    sp, job = req.route_params.get("sp", ""), req.route_params.get("job", "")
    found = await process.app()
    if sp.lower() != found.settings.service_principal_id.lower():
        raise not_found(sp)
    if job != found.settings.job_id:
        raise not_found(job)
    return found


def _by(req: func.HttpRequest) -> str:
    return caller(req.headers, os.environ)


async def _answered(req: func.HttpRequest, answer: Callable[[], Awaitable[dict[str, Any] | None]]) -> func.HttpResponse:
    call = Call(client_request_id(req.headers.get("client-request-id", "")))
    try:
        reply = call.answer(await answer())
    except Refusal as refusal:
        reply = call.refuse(refusal)
    except ObjectError as error:
        reply = call.refuse(Refusal(404, "Request_ResourceNotFound", f"{error}: {error.way_out}"))
    except ProvisioningError as error:
        logger.exception("request failed", extra={"request": call.request_id})
        reply = call.refuse(_refusal(error))
    except Exception:  # the SDK of Durable raises nothing narrower, and a client is owed an answer it can read
        logger.exception("request failed", extra={"request": call.request_id})
        reply = call.refuse(Refusal(500, "InternalServerError", "The request failed; the app's log says why."))
    return _response(reply)


def _refusal(error: ProvisioningError) -> Refusal:
    match error:
        case ConfigError():
            return Refusal(500, "InvalidConfiguration", str(error))
        case Throttled():
            return Refusal(429, "TooManyRequests", str(error))
        case _:
            return Refusal(503, getattr(error, "code", "ServiceUnavailable"), str(error))


def _response(reply: Reply) -> func.HttpResponse:
    return func.HttpResponse(reply.body, status_code=reply.status, headers=dict(reply.headers))
