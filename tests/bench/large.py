"""Cycles of a company in a process of its own, with both emulators in another one and no service time: CPU, memory, and
what a cycle asks of both sides and of the state when nothing, or little, has changed. Run as a program it prints what
it measured for one company as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning.app import App, open_app
from provisioning.config import Settings
from provisioning.engine.driver import run_cycle
from provisioning.engine.engine import Engine
from tests.bench.memory import peak
from tests.bench.report import Measure
from tests.counted_store import CountedStore
from tests.served import ROOT, Served, serving

GROUPS, CHANGES = 200, 100


def growing(small: int, large: int) -> list[Measure]:
    direct, few, many = _measured(small, 0), _measured(small, GROUPS), _measured(large, GROUPS)
    quiet, changed = many["quiet"], many["changed"]
    operations = changed["operations"] / few["changed"]["operations"]
    return [
        (f"engine CPU: {small:,} users read to written, users per CPU second", _n(direct["speed"]), "at least 1,500"),
        (f"  {large:,} users with a membership each", _n(many["speed"]), ""),
        (
            f"peak memory, {large:,} users / {small:,}",
            f"{many['memory'] / few['memory']:.2f}",
            "at most 1.3",
        ),
        (f"  at {large:,} users, MiB", f"{many['memory']:,.0f}", "at most 400"),
        (f"nothing changed in {large:,} users: calls to both sides", f"{quiet['calls']}", "at most 12"),
        ("  seconds", f"{quiet['seconds']:.1f}", "at most 3"),
        ("  writes to ServiceNow", f"{quiet['writes']}", "at most 0"),
        (
            f"  store operations / those over {small:,}",
            (
                f"{quiet['operations']} / {few['quiet']['operations']} = "
                f"{quiet['operations'] / few['quiet']['operations']:.2f}"
            ),
            "at most 1.0: whatever the number of links",
        ),
        (
            f"nothing changed in {small:,} directly assigned users: calls beyond those with groups",
            f"{direct['quiet']['calls'] - few['quiet']['calls']}",
            f"at most {-(-small // 999)}: one for each 999",
        ),
        ("  calls with the first part of the weekly comparison of everything", f"{many['comparing']['calls']}", ""),
        (f"{CHANGES} changes in {large:,} users: calls to both sides", f"{changed['calls']}", "at most 30"),
        (f"  store operations / those over {small:,}", f"{operations:.2f}", "at most 1.1"),
    ]


def _n(number: float) -> str:
    return f"{number:,.0f}"


def _measured(users: int, groups: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.large", "--users", str(users), "--groups", str(groups)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


async def _measure(served: Served, folder: Path, users: int) -> dict[str, Any]:
    settings = Settings.load({**served.settings, "STATE": f"sqlite:{folder / 'state.db'}", "SERVICENOW_SLOTS": "4"})
    app = await open_app(settings)
    try:
        store = CountedStore(app.engine.context.store)
        engine = replace(app.engine, context=replace(app.engine.context, store=store))
        load = await _cycle(app, engine, store)
        assert app.writes >= users, f"{app.writes} of {users} users were written"
        memory = peak()
        comparing = await _cycle(app, engine, store)  # takes its share of the weekly comparison with both sides
        quiet = await _cycle(app, engine, store)
        for number in range(CHANGES):
            served.graph.patch(f"/users/user{number}@contoso.example", jobTitle="Another")
        changed = await _cycle(app, engine, store)
        assert changed["writes"] == CHANGES, "not every change was written"
    finally:
        await app.close()
    return {"speed": users / load["cpu"], "memory": memory, "load": load} | {
        "comparing": comparing,
        "quiet": quiet,
        "changed": changed,
    }


async def _cycle(app: App, engine: Engine, store: CountedStore) -> dict[str, float]:
    calls, writes = app.graph_requests + app.servicenow_requests, app.writes
    operations, cpu, began = store.operations, time.process_time(), time.perf_counter()
    progress = await run_cycle(engine)
    assert progress.finished, progress.halted
    return {
        "calls": app.graph_requests + app.servicenow_requests - calls,
        "writes": app.writes - writes,
        "operations": store.operations - operations,
        "cpu": time.process_time() - cpu,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.large", description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=GROUPS, help="0: everybody is assigned directly")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the Graph SDK's own deprecations
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with serving(folder, users=options.users, groups=options.groups, plain=True) as served:
            sys.stdout.write(json.dumps(asyncio.run(_measure(served, folder, options.users))) + "\n")


if __name__ == "__main__":
    main()
