"""A process that holds the Functions worker: what the host starts, as far as it matters to an app.

Loads the worker's library and hands it the host's messages, each one as it comes, on one event loop. The real host
speaks gRPC; here the same messages travel over a socket of 127.0.0.1, each behind its length. Run as a script; it knows
nothing of the app but the folder it is in.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """What the library expects: one message, and what else the process knows."""

    request: Any
    properties: dict[str, Any]


def load_messages(folder: Path) -> types.SimpleNamespace:
    """The classes of the messages, generated from Microsoft's FunctionRpc.proto."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    package = types.ModuleType("function_rpc")
    package.__path__ = [str(folder / "tests" / "protos")]
    sys.modules["function_rpc"] = package
    names = ("FunctionRpc_pb2", "shared.NullableTypes_pb2")
    modules = [importlib.import_module(f"function_rpc.{name}") for name in names]
    return types.SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})


async def read_messages(reader: asyncio.StreamReader, kind: Any) -> AsyncIterator[Any]:
    while True:
        try:
            length = int.from_bytes(await reader.readexactly(4), "big")
            yield kind.FromString(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return


def write_message(writer: asyncio.StreamWriter, message: Any) -> None:
    data = message.SerializeToString()
    writer.write(len(data).to_bytes(4, "big") + data)


async def main(port: int, folder: Path) -> None:
    messages = load_messages(folder)
    worker = importlib.import_module("azure_functions_runtime")
    worker.start_threadpool_executor()
    answers = {
        "worker_init_request": (worker.worker_init_request, "worker_init_response"),
        "functions_metadata_request": (worker.functions_metadata_request, "function_metadata_response"),
        "function_load_request": (worker.function_load_request, "function_load_response"),
        "invocation_request": (worker.invocation_request, "invocation_response"),
    }
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def answer(message: Any) -> None:
        handle, field = answers[message.WhichOneof("content")]
        response = await handle(Request(message, {"host": "127.0.0.1", "protos": messages}))
        write_message(writer, messages.StreamingMessage(request_id=message.request_id, **{field: response}))
        await writer.drain()

    write_message(writer, messages.StreamingMessage(start_stream=messages.StartStream(worker_id="worker")))
    running: set[asyncio.Task[None]] = set()
    async for message in read_messages(reader, messages.StreamingMessage):
        task = asyncio.create_task(answer(message))
        running.add(task)
        task.add_done_callback(running.discard)
    worker.stop_threadpool_executor()
    writer.close()


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())  # the app's folder, where the host starts the worker
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
