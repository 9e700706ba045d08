"""Starts the real Functions worker in a process of its own, has it load the app and invokes functions through it, with
the host's own messages. It knows the messages and the bindings; orchestrations are the Durable host's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from tests.durable import WorkerDied
from tests.setup_worker import FOLDER, is_installed
from tests.worker_process import load_messages, read_messages, write_message

ROOT = Path(__file__).parent.parent
CAPABILITIES = {"RpcHttpBodyOnly": "true", "TypedDataCollection": "true"}


class NotInstalled(RuntimeError):
    """The worker is not there; the message says how to get it."""


class FunctionFailed(RuntimeError):
    """The worker's answer to an invocation was a failure."""


class Worker:
    """One worker process with the app loaded. `functions` are the bindings of each, as the worker reported them."""

    def __init__(self, process: asyncio.subprocess.Process, reader: Any, writer: Any, messages: Any) -> None:
        self.process = process
        self.functions: dict[str, list[dict[str, Any]]] = {}
        self._ids: dict[str, str] = {}
        self._reader, self._writer, self._messages = reader, writer, messages
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())

    async def load(self, folder: Path) -> None:
        """Raises `FunctionFailed` when the app cannot be indexed, with the worker's reason."""
        request = self._messages.WorkerInitRequest(
            host_version="4.0", capabilities=CAPABILITIES, function_app_directory=str(folder)
        )
        self._check((await self._ask(worker_init_request=request)).worker_init_response.result)
        request = self._messages.FunctionsMetadataRequest(function_app_directory=str(folder))
        found = (await self._ask(functions_metadata_request=request)).function_metadata_response
        self._check(found.result)
        for each in found.function_metadata_results:
            self.functions[each.name] = [json.loads(binding) for binding in each.raw_bindings]
            self._ids[each.name] = each.function_id
            request = self._messages.FunctionLoadRequest(function_id=each.function_id, metadata=each)
            self._check((await self._ask(function_load_request=request)).function_load_response.result)

    async def invoke(self, name: str, **inputs: Any) -> Any:
        """The answer of a function, as TypedData. Inputs are TypedData by the name of the binding."""
        invocation = str(uuid.uuid4())
        request = self._messages.InvocationRequest(
            invocation_id=invocation,
            function_id=self._ids[name],
            input_data=[self._messages.ParameterBinding(name=key, data=data) for key, data in inputs.items()],
        )
        response = (await self._ask(invocation_request=request)).invocation_response
        self._check(response.result)
        return response.return_value

    # --- The runtime of a Durable host ---

    async def orchestrator(self, name: str, body: str) -> str:
        return (await self.invoke(name, context=self._messages.TypedData(string=body))).json

    async def activity(self, name: str, text: str) -> str:
        (parameter,) = (each["name"] for each in self.functions[name] if each["type"] == "activityTrigger")
        return (await self.invoke(name, **{parameter: self._messages.TypedData(json=text)})).json

    # --- Other triggers ---

    async def tick(self, name: str, client: str) -> None:
        timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        await self.invoke(name, timer=self._messages.TypedData(json=json.dumps(timer)), client=self._text(client))

    async def request(
        self,
        name: str,
        *,
        client: str = "",
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON and headers of the answer to an HTTP request."""
        (trigger,) = (each for each in self.functions[name] if each["type"] == "httpTrigger")
        http = self._messages.RpcHttp(
            method=trigger["methods"][0],
            url="http://127.0.0.1/" + trigger["route"].format_map(dict(params or {})),
            headers=dict(headers or {}),
            params=dict(params or {}),
            body=self._text(json.dumps(body)) if body is not None else None,
        )
        inputs = {trigger["name"]: self._messages.TypedData(http=http)}
        if client:
            inputs["client"] = self._text(client)
        answer = (await self.invoke(name, **inputs)).http
        text = answer.body.bytes.decode() or answer.body.string
        return int(answer.status_code), json.loads(text) if text else None, dict(answer.headers)

    # --- Life and death ---

    def kill(self) -> None:
        self.process.kill()

    async def close(self) -> None:
        self._writer.close()
        try:
            await asyncio.wait_for(self.process.wait(), timeout=10)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self._reading
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def _text(self, text: str) -> Any:
        return self._messages.TypedData(string=text)

    async def _ask(self, **content: Any) -> Any:
        request_id = str(uuid.uuid4())
        answer = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            raise WorkerDied
        write_message(self._writer, self._messages.StreamingMessage(request_id=request_id, **content))
        return await answer

    async def _read(self) -> None:
        async for message in read_messages(self._reader, self._messages.StreamingMessage):
            if message.WhichOneof("content") != "start_stream":
                self._waiting.pop(message.request_id).set_result(message)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(WorkerDied())
        self._waiting.clear()

    def _check(self, result: Any) -> None:
        if result.status != self._messages.StatusResult.Success:
            raise FunctionFailed(result.exception.message)


@contextlib.asynccontextmanager
async def worker(environ: Mapping[str, str], *, folder: Path = ROOT, log: Path | None = None) -> AsyncIterator[Worker]:
    """A worker with the app of this folder loaded; it ends with the block."""
    if not is_installed():
        raise NotInstalled(f"the Functions worker is not in {FOLDER}: run make setup")
    messages = load_messages(FOLDER)
    connected: asyncio.Future[tuple[Any, Any]] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *streams: connected.set_result(streams), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    script = Path(__file__).with_name("worker_process.py")
    with (log or Path("/dev/null")).open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), str(port), str(FOLDER)),
            cwd=folder,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        reader, writer = await asyncio.wait_for(connected, timeout=30)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    finally:
        server.close()
    found = Worker(process, reader, writer, messages)
    try:
        await found.load(folder)
        yield found
    finally:
        await found.close()
