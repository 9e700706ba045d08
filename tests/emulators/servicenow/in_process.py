"""An instance called in this process, without a server and without waiting: a caller that keeps no cookies, and an
event loop whose clock jumps to the next timer, so that service times, quotas and tokens take no real time. For tests.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import selectors
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

from tests.emulators.servicenow.app import create_app
from tests.emulators.servicenow.seed import seed_instance
from tests.emulators.servicenow.state import Instance

USERS = "/api/now/table/sys_user"
GROUPS = "/api/now/table/sys_user_group"
MEMBERS = "/api/now/table/sys_user_grmember"
_JSON = [{"name": "Content-Type", "value": "application/json"}]

EPOCH = 1_750_000_000

Call = tuple[str, str, dict[str, Any]]


class Caller:
    """A client without cookies, one call at a time or several at once."""

    def __init__(self, instance: Instance, runner: asyncio.Runner) -> None:
        self.instance = instance
        self._app = create_app(instance)
        self._runner = runner

    def __call__(self, method: str, path: str, *, auth: Any = ("admin", "admin"), **sent: Any) -> httpx.Response:
        (reply,) = self.together([(method, path, sent)], auth=auth)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def together(self, calls: Sequence[Call], *, auth: Any = ("admin", "admin")) -> list[httpx.Response | Exception]:
        async def speak() -> list[httpx.Response | Exception]:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://instance", auth=auth) as client:
                requests = [client.request(method, path, **sent) for method, path, sent in calls]
                return await asyncio.gather(*requests, return_exceptions=True)

        return self._runner.run(speak())

    def get(self, path: str, **params: Any) -> Any:
        reply = self("GET", path, params=params)
        assert reply.status_code == 200, reply.text
        return reply.json()["result"]

    def names(self, query: str, **params: Any) -> list[str]:
        return [row["user_name"] for row in self.get(USERS, sysparm_query=query, **params)]

    def insert(self, path: str, **fields: Any) -> dict[str, Any]:
        reply = self("POST", path, json=fields)
        assert reply.status_code == 201, reply.text
        return reply.json()["result"]

    def batch(self, *items: dict[str, Any], batch_id: Any = "1", **sent: Any) -> httpx.Response:
        body = {"batch_request_id": batch_id, "rest_requests": [dict(item) for item in items]}
        return self("POST", "/api/now/v1/batch", json=body, **sent)

    def pass_time(self, seconds: float) -> None:
        self._runner.run(asyncio.sleep(seconds))

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control API."""
        reply = self(method, f"/_emulator{path}", auth=None, json=body or {})
        assert reply.status_code == 200, reply.text
        return reply.json()


class NoWaiting(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__(_Jumping(self))
        self.passed = 0.0

    def time(self) -> float:
        return getattr(self, "passed", 0.0)


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: NoWaiting) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self._loop.passed += timeout
        return super().select(0)


@contextlib.contextmanager
def calling(fill: Callable[[Instance], None] = seed_instance) -> Iterator[Caller]:
    """A filled instance whose time passes only where something waits for it, and a caller of it."""
    with asyncio.Runner(loop_factory=NoWaiting) as runner:
        loop = runner.get_loop()
        instance = Instance(clock=lambda: EPOCH + loop.time())
        fill(instance)
        yield Caller(instance, runner)


def item(identity: Any, method: str, url: str, fields: Any = None, **more: Any) -> dict[str, Any]:
    """One request of a batch."""
    request = {"id": identity, "method": method, "url": url, "headers": _JSON, **more}
    if fields is not None:
        request["body"] = base64.b64encode(json.dumps(fields).encode()).decode()
    return request


def body_of(serviced: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(serviced["body"]))
