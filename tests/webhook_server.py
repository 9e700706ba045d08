"""A web server on this machine that stands for Teams, Slack or anybody's own: it keeps what is posted, and answers as
it is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SECRET_PATH = "/workflows/5ecret/triggers/manual?sig=s3cr3t-signature"


@dataclass(frozen=True)
class Posted:
    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


@dataclass
class WebhookServer:
    """`answers` are (status, headers) for the next posts; afterwards each is taken with 202."""

    port: int = 0
    received: list[Posted] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    status: int = 202

    def take(self, path: str, headers: Mapping[str, str], content: bytes) -> tuple[int, dict[str, str]]:
        self.received.append(Posted(path, headers, content))
        return self.answers.pop(0) if self.answers else (self.status, {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same without a socket, for tests on virtual time."""
        request = Request(scope, receive)
        status, headers = self.take(request.url.path, dict(request.headers), await request.body())
        await Response(None, status, headers)(scope, receive, send)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SECRET_PATH}"

    @property
    def events(self) -> list[str]:
        """The names of the events in posts of our own format."""
        return [each.body["event"] for each in self.received]


@contextmanager
def webhook_server() -> Iterator[WebhookServer]:
    told = WebhookServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = told.take(self.path, dict(self.headers), content)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
