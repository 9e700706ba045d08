"""`serve`, in a process of its own: the timer runs cycles, the routes answer, an interrupt ends it in good order."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from provisioning.config import Settings
from tests.served import ROOT, Served, serving, without_settings


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


@pytest.fixture
def environ(emulators, tmp_path) -> dict[str, str]:
    emulators.begin_again(users=30, groups=3)
    return {**without_settings(), **emulators.settings, "STATE": f"sqlite:{tmp_path / 'state.db'}"}


@contextmanager
def served(environ: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "provisioning", "serve", "--port", "0", *options],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address, said
        with httpx.Client(base_url=address.group(), timeout=30) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def command(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provisioning", *words],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def job_address(environ: dict[str, str]) -> str:
    settings = Settings.load(environ)
    return f"/v1.0/servicePrincipals/{settings.service_principal_id}/synchronization/jobs/{settings.job_id}"


def until(asked, seconds: float = 60.0):
    """The first answer that is true."""
    end = time.monotonic() + seconds
    while not (found := asked()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def last_execution(client: httpx.Client, job: str) -> dict | None:
    return client.get(job).json()["status"]["lastExecution"]


def test_the_timer_runs_the_first_cycle_and_a_person_the_second(emulators, environ):
    job = job_address(environ)
    with served(environ) as (_, client):
        assert client.get("/health").json() == {"status": "ok"}
        first = until(lambda: last_execution(client, job))
        assert first["state"] == "Succeeded"
        assert len(emulators.records("sys_user", "user_nameLIKE@")) > 10
        until(lambda: client.post(f"{job}/start").status_code == 204)  # until then the first one ends
        second = until(lambda: (found := last_execution(client, job)) != first and found)
        assert second["state"] == "Succeeded"
        assert second["countExports"] == 0


def test_without_ticks_a_cycle_begins_when_it_is_asked_for(environ):
    job = job_address(environ)
    with served(environ, "--no-ticks") as (_, client):
        assert client.get(job).json()["status"]["code"] == "NotRun"
        assert client.post(f"{job}/start").status_code == 204
        assert client.post(f"{job}/start").status_code == 409
        assert until(lambda: last_execution(client, job))["state"] == "Succeeded"


def test_while_it_drives_a_cycle_no_other_process_does(emulators, environ):
    job = job_address(environ)
    emulators.servicenow.put("/service-times", request=2.0)
    with served(environ, "--no-ticks") as (_, client):
        assert client.post(f"{job}/start").status_code == 204
        other = command(environ, "run")
    assert other.returncode == 1
    assert "another process runs a cycle on this state" in other.stderr


def test_an_interrupt_ends_it_in_good_order_and_the_cycle_goes_on_at_once_elsewhere(emulators, environ):
    job = job_address(environ)
    emulators.servicenow.put("/service-times", request=2.0)
    with served(environ, "--no-ticks") as (process, client):
        assert client.post(f"{job}/start").status_code == 204
        until(lambda: emulators.records("sys_user", "user_nameLIKE@"))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in {0, 130}
    emulators.servicenow.put("/service-times", request=0.0)
    again = command(environ, "run")
    assert again.returncode == 0, again.stderr
    assert "initial cycle, done" in again.stdout


def test_a_port_that_is_taken_is_named(environ):
    with served(environ, "--no-ticks") as (_, client):
        port = str(client.base_url.port)
        other = command(environ, "serve", "--port", port)
    assert other.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be had" in other.stderr


def test_what_fails_at_a_tick_is_logged_and_the_routes_answer_all_the_same(environ):
    with served({**environ, "GRAPH_ACCESS_TOKEN": "wrong"}) as (_, client):
        assert client.get("/health").status_code == 200
        assert client.get(job_address(environ)).status_code == 200
