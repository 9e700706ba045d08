"""A first cycle over a million users and 10,000 groups, and the same over a tenth of both: what a user costs, and what
the engine's process needs at most. The engine, its adapters and SQLite are the real ones in a process of their own, and
so is every call to the emulators in another one; only the time that ServiceNow works passes at once.
`make bench-million` writes docs/benchmarks-million.md; with --one it prints what it measured for one company as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from provisioning.adapters.counting import connection_to
from provisioning.app import open_app
from provisioning.config import Settings
from provisioning.engine.driver import run_cycle
from provisioning.engine.progress import Progress
from tests.bench.capacity import INSERT, READ
from tests.bench.memory import peak
from tests.bench.report import Measure, publish_million
from tests.served import ROOT, Served, serving
from tests.virtual_time import SpokenTimeLoop

USERS, USERS_A_GROUP, PART = 1_000_000, 100, 10
"""The smaller company has a tenth of the users and of the groups."""
SLOTS = "4"
MIB = 1024


class ServiceTime(httpx.AsyncBaseTransport):
    """The way to ServiceNow: an answer takes as long as an instance works for it, in virtual time, and says so."""

    def __init__(self, inner: httpx.AsyncBaseTransport, loop: SpokenTimeLoop) -> None:
        self._inner = inner
        self._loop = loop

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._loop.speaking():
            response = await self._inner.handle_async_request(request)
            await response.aread()
        works = _works(request)
        await asyncio.sleep(sum(works))
        told = b'"execution_time":%d' % (sum(works) / len(works) * 1000)
        content = response.content.replace(b'"execution_time":0', told)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx.Response(response.status_code, headers=headers, content=content, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _works(request: httpx.Request) -> list[float]:
    """Seconds that the instance works for each part of a call."""
    if not request.url.path.endswith("/batch"):
        return [READ]
    requests = json.loads(request.content)["rest_requests"]
    return [READ if each["method"] == "GET" else INSERT for each in requests]


class NoTime(httpx.AsyncBaseTransport):
    """The way to Graph."""

    def __init__(self, inner: httpx.AsyncBaseTransport, loop: SpokenTimeLoop) -> None:
        self._inner = inner
        self._loop = loop

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._loop.speaking():
            response = await self._inner.handle_async_request(request)
            await response.aread()
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def comparing(users: int) -> list[Measure]:
    small, large = _measured(users // PART), _measured(users)
    return [
        ("users, groups", f"{users:,}, {users // USERS_A_GROUP:,}", ""),
        ("  written: users, groups, memberships", f"{large['writes']:,}", ""),
        ("peak memory of the engine's process, MiB", f"{large['memory']:,.0f}", "at most 400"),
        (f"  / that of {users // PART:,} users", f"{large['memory'] / small['memory']:.2f}", "at most 1.3"),
        *(_per_user(name, key, small, large, users) for name, key in EACH.items()),
        ("CPU minutes of the engine", f"{large['cpu'] / 60:,.0f}", ""),
        ("minutes of this machine", f"{large['seconds'] / 60:,.0f}", ""),
        ("hours of virtual time", f"{large['hours']:,.1f}", ""),
        ("GiB of the state file", f"{large['bytes'] / 2**30:.1f}", ""),
        ("GiB of memory of both emulators", f"{large['emulators'] / MIB:.1f}", ""),
    ]


EACH = {"CPU milliseconds": "cpu", "calls to both sides": "calls", "rows in the state": "rows"}


def _per_user(name: str, key: str, small: Mapping[str, float], large: Mapping[str, float], users: int) -> Measure:
    unit = 1000 if key == "cpu" else 1
    few, many = small[key] * unit * PART / users, large[key] * unit / users
    digits = 2 if key == "cpu" else 4
    shown = f"{many:.{digits}f} / {few:.{digits}f} = {many / few:.2f}"
    return f"{name} a user / those over {users // PART:,}", shown, "at most 1.2"


def _measured(users: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.million", "--one", "--users", str(users)]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)


async def _measure(loop: SpokenTimeLoop, served: Served, state: Path, users: int) -> dict[str, Any]:
    settings = Settings.load({**served.settings, "STATE": f"sqlite:{state}", "SERVICENOW_SLOTS": SLOTS})
    began = time.time()
    instance = ServiceTime(connection_to(settings.instance_url), loop)
    app = await open_app(
        settings,
        graph_transport=NoTime(connection_to(settings.graph_base_url), loop),
        servicenow_transport=instance,
        now=lambda: began + loop.time(),
    )
    phase = ""

    def watch(progress: Progress) -> None:
        nonlocal phase
        if progress.phase != phase:
            phase = progress.phase
            _say(f"{users:,} users: {phase}, {time.process_time():,.0f} s of CPU, {peak():,.0f} MiB")

    try:
        cpu, seconds = time.process_time(), time.perf_counter()
        progress = await run_cycle(app.engine, watch=watch)
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - seconds
        assert progress.finished, progress.halted
        groups = users // USERS_A_GROUP
        assert app.writes == 2 * users + groups, f"{app.writes:,} writes for {users:,} users and {groups:,} groups"
        calls = app.graph_requests + app.servicenow_requests
    finally:
        await app.close()
    return {
        "cpu": cpu,
        "seconds": seconds,
        "hours": loop.time() / 3600,
        "calls": calls,
        "writes": app.writes,
        "memory": peak(),
        **_size(state),
    }


def _size(state: Path) -> dict[str, int]:
    connection = sqlite3.connect(state)
    (rows,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    connection.close()
    return {"rows": rows, "bytes": state.stat().st_size}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _one(users: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with serving(folder, users=users, groups=users // USERS_A_GROUP, plain=True) as served:
            loop = SpokenTimeLoop()
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                found = runner.run(_measure(loop, served, folder / "state.db", users))
    found["emulators"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MIB
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.million", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--one", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the Graph SDK's own deprecations
    if options.one:
        heard = logging.StreamHandler()
        heard.setFormatter(logging.Formatter("%(message)s %(code)s", defaults={"code": ""}))
        logging.basicConfig(level=logging.WARNING, handlers=[heard])
        _one(options.users)
        return
    title = f"{options.users:,} users beside {options.users // PART:,}, {USERS_A_GROUP} users a group"
    publish_million([(title, comparing(options.users))])


if __name__ == "__main__":
    main()
