"""Both emulators in a process of their own, reached over HTTP as a person's command line would reach them: the settings
that lead there, and the control API. For the demonstration and for the tests of the command line.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.emulators.tenant import COMPANIES, COST_CENTERS, DEPARTMENTS, OFFICES

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
USERS_A_SECOND = 1000
"""That are seeded at worst."""


class NotStarted(RuntimeError):
    """The emulators did not come up; the message is what they said."""


class Served:
    """`settings` are those that reach the emulators; `graph` and `servicenow` speak to their control APIs."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        self.graph = Control(settings["GRAPH_BASE_URL"].removesuffix("/v1.0"))
        self.servicenow = Control(settings["SERVICENOW_INSTANCE"])

    def begin_again(self, *, users: int, groups: int, seed: int = 1) -> None:
        """A fresh tenant of that size, and a fresh instance."""
        self.graph.post("/reset")
        self.graph.post("/seed", users=users, groups=groups, seed=seed)
        self.servicenow.put("/capacity", nodes=1, slots_per_node=4, queue=50)
        self.servicenow.put("/service-times", insert=0.0, update=0.0, delete=0.0, read=0.0, request=0.0)
        self.servicenow.post("/reset")
        self.servicenow.post(
            "/seed",
            departments=list(DEPARTMENTS),
            locations=[office.name for office in OFFICES],
            companies=list(COMPANIES),
            cost_centers=list(COST_CENTERS),
        )
        self.forget_counts()

    def forget_counts(self) -> None:
        self.graph.delete("/counts")
        self.servicenow.delete("/counts")

    def records(self, table: str, query: str = "") -> list[dict[str, str]]:
        return self.servicenow.get(f"/records/{table}", query=query)

    def group(self, name: str) -> dict[str, Any]:
        """The group of that name with its members' ids, the name looked up as any client of Graph would."""
        found = httpx.get(
            f"{self.settings['GRAPH_BASE_URL']}/groups",
            params={"$filter": f"displayName eq '{name}'", "$select": "id"},
            headers={"Authorization": f"Bearer {self.settings['GRAPH_ACCESS_TOKEN']}"},
            trust_env=False,
        )
        return self.graph.get(f"/groups/{found.raise_for_status().json()['value'][0]['id']}")

    @property
    def writes(self) -> int:
        """Records that ServiceNow was asked to insert, change or delete since the counts were last forgotten."""
        kinds = self.servicenow.get("/counts")["requests"]
        return sum(number for kind, number in kinds.items() if _is_write(kind))

    def close(self) -> None:
        self.graph.close()
        self.servicenow.close()


def _is_write(kind: str) -> bool:
    """Kinds are "POST sys_user" or, within a batch, "batch: POST sys_user"."""
    method, _, table = kind.removeprefix("batch: ").partition(" ")
    return method in {"POST", "PUT", "PATCH", "DELETE"} and table not in {"token", "batch"}


class Control:
    """The control API of one emulator."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=f"{address}/_emulator", timeout=60.0, trust_env=False)

    def get(self, path: str, **query: str) -> Any:
        return self._answer(self._http.get(path, params=query))

    def post(self, path: str, **body: Any) -> Any:
        return self._answer(self._http.post(path, json=body))

    def put(self, path: str, **body: Any) -> Any:
        return self._answer(self._http.put(path, json=body))

    def patch(self, path: str, **body: Any) -> Any:
        return self._answer(self._http.patch(path, json=body))

    def delete(self, path: str) -> Any:
        return self._answer(self._http.delete(path))

    def close(self) -> None:
        self._http.close()

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if response.is_error:
            raise ValueError(f"{response.request.method} {response.request.url}: {response.text}")
        return response.json()


@contextlib.contextmanager
def serving(folder: Path, *, users: int, groups: int, seed: int = 1, plain: bool = False) -> Iterator[Served]:
    """Starts the emulators on free ports of 127.0.0.1 and ends them with the block, whatever happens in it. `plain` is
    for companies of any size.
    """
    env_file = folder / "emulators.env"
    said = folder / "emulators.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.emulators", "--graph-port", "0", "--servicenow-port", "0"),
                *("--users", str(users), "--groups", str(groups), "--seed", str(seed), "--env-file", str(env_file)),
                *(("--plain",) if plain else ()),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _await_settings(process, env_file, said, START_SECONDS + users / USERS_A_SECOND)
        served = Served(read_env_file(env_file))
        try:
            yield served
        finally:
            served.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_settings(process: subprocess.Popen[bytes], env_file: Path, said: Path, patience: float) -> None:
    """The file appears, complete, once both answer."""
    deadline = time.monotonic() + patience
    while not env_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStarted(f"the emulators did not start: {said.read_text(errors='replace').strip()}")
        time.sleep(0.02)


def read_env_file(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def without_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without anything that could be a setting of ours."""
    ours = ("ENTRA_", "GRAPH_", "SERVICENOW_", "PROVISIONING_", "STATE", "SCOPE", "HARD_DELETE", "JOB_")
    return {name: value for name, value in environ.items() if not name.startswith(ours)}
