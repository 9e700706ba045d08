"""An instance served on a free port of 127.0.0.1, from a thread of this process that ends with the block: for clients
that cannot be called in process, over HTTPS for those that speak nothing else. Knows no ServiceNow.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from tests.emulators.servicenow.app import create_app
from tests.emulators.servicenow.certificate import write_certificate

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """`certificate` is the file to trust: REQUESTS_CA_BUNDLE, SSL_CERT_FILE, or a client's own setting."""

    url: str
    certificate: Path


@contextlib.contextmanager
def serving_https(instance: Instance, folder: Path) -> Iterator[Address]:
    """The certificate is written to the folder, and so is its key for as long as the server needs it."""
    certificate, key = folder / "emulator.pem", folder / "emulator.key"
    write_certificate(certificate, key)
    tls = {"ssl_certfile": certificate, "ssl_keyfile": key}
    with _serving(instance, "https", tls, loaded=key.unlink) as url:
        yield Address(url, certificate)


@contextlib.contextmanager
def serving_http(instance: Instance) -> Iterator[str]:
    """The address, in plain http."""
    with _serving(instance, "http", {}, loaded=lambda: None) as url:
        yield url


@contextlib.contextmanager
def _serving(instance: Instance, scheme: str, tls: dict[str, Any], loaded: Callable[[], None]) -> Iterator[str]:
    # Without the protocol's number asyncio leaves Nagle's algorithm on, which costs 40 ms for every answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as door:
        door.bind(("127.0.0.1", 0))
        instance.url = f"{scheme}://127.0.0.1:{door.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(instance),
            lifespan="off",
            log_level="critical",
            date_header=False,  # the instance sends its own
            server_header=False,
            **tls,
        )
        config.load()
        loaded()
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([door],), name="ServiceNow emulator")
        thread.start()
        try:
            deadline = time.monotonic() + START_SECONDS
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.005)
            if not server.started:
                raise RuntimeError("the emulator did not start")
            yield instance.url
        finally:
            server.should_exit = True
            thread.join()
