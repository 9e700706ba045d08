"""The real Functions worker, in a process of its own, loads the app and runs it: timer, orchestrator and activities,
HTTP. The worker and the app are real, and so are both emulators over HTTP; the host is ours.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.config import Settings
from tests.durable import Host, WorkerDied
from tests.durable_client import offering
from tests.served import Served, serving, without_settings
from tests.setup_worker import FOLDER, is_installed
from tests.worker_host import FunctionFailed, worker

USERS, GROUPS = 30, 3
TICK = {"PROVISIONING_SCHEDULE": "0 */5 * * * *"}


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if not is_installed():
        pytest.fail(f"the Functions worker is not in {FOLDER}: run make setup", pytrace=False)


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


@pytest.fixture
def environ(emulators, tmp_path) -> dict[str, str]:
    emulators.begin_again(users=USERS, groups=GROUPS)
    return {**without_settings(), **emulators.settings, **TICK, "STATE": f"sqlite:{tmp_path / 'state.db'}"}


def address_of(environ) -> dict[str, str]:
    settings = Settings.load(environ)
    return {"sp": settings.service_principal_id, "job": settings.job_id}


def test_a_tick_starts_a_cycle_that_the_worker_runs_to_its_end(emulators, environ, tmp_path):
    async def story() -> None:
        job = address_of(environ)
        async with worker(environ, log=tmp_path / "worker.log") as azure:
            host = Host(azure, time.time)
            async with offering(host) as client:
                await azure.tick("tick", client)
                (instance,) = host.instances
                assert instance == f"job-{job['job']}"
                assert (await azure.request("keyed_start_job", client=client, params=job))[0] == 409
                done = await host.finish(instance)
                assert done.status == "Completed", done.output
                assert done.output["finished"], done.output
                await azure.tick("tick", client)
                assert host.instances[instance] is done  # nothing is due so soon
                status, found, _ = await azure.request("keyed_get_job", params=job)
                assert (status, found["status"]["lastExecution"]["state"]) == (200, "Succeeded")
                status, found, headers = await azure.request("keyed_start_job", client=client, params=job)
                assert (status, found) == (204, None)
                assert headers["request-id"]
                assert (await host.finish(instance)).output["kind"] == "incremental"

    asyncio.run(story())
    accounts = emulators.records("sys_user", "user_nameLIKE@")
    assert len(accounts) > 10
    assert emulators.records("sys_user_grmember")


def test_somebody_is_provisioned_on_demand_and_again_without_a_change(emulators, environ, tmp_path):
    user = emulators.graph.get("/users/siobhan.o'brien@contoso.com")
    subject = {"objectId": user["id"], "objectTypeName": "User"}
    body = {"parameters": [{"ruleId": "any", "subjects": [subject]}]}

    async def story() -> list[tuple[int, dict]]:
        async with worker(environ, log=tmp_path / "worker.log") as azure:
            job = address_of(environ)
            answers = [await azure.request("keyed_provision_on_demand", params=job, body=body) for _ in range(2)]
            return [(status, found) for status, found, _ in answers]

    (first, created), (second, repeated) = asyncio.run(story())
    assert (first, second) == (200, 200)
    assert json.loads(created["key"])["result"] == "Success"
    assert json.loads(created["value"])["action"] == "Create"
    assert json.loads(repeated["key"])["result"] == "Skipped"
    assert len(emulators.records("sys_user", "user_nameLIKE@")) == 1


def test_a_worker_killed_while_it_writes_is_followed_by_one_that_ends_the_cycle(emulators, environ, tmp_path):
    emulators.servicenow.put("/service-times", insert=0.05)

    def leave() -> None:
        raise WorkerDied

    def until_something_is_written() -> None:
        while not emulators.writes:
            time.sleep(0.01)

    async def kill_when_writing(process) -> None:
        await asyncio.to_thread(until_something_is_written)
        process.kill()

    async def story() -> None:
        host = Host(None, time.time, died=leave)
        async with worker(environ, log=tmp_path / "worker.log") as first:
            host.runtime = first
            async with offering(host) as client:
                await first.tick("tick", client)
            (instance,) = host.instances
            killing = asyncio.create_task(kill_when_writing(first))
            with pytest.raises(WorkerDied):
                await host.finish(instance)
            await killing
        async with worker(environ, log=tmp_path / "worker.log") as second:
            host.runtime = second
            done = await host.finish(instance)
            assert done.output["finished"], done.output

    asyncio.run(story())
    names = [account["user_name"] for account in emulators.records("sys_user", "user_nameLIKE@")]
    assert len(names) == len(set(names)) > 10


def test_health_answers_where_nothing_is_configured_and_the_rest_says_what_is_missing(tmp_path):
    async def story():
        async with worker({**without_settings(), **TICK}, log=tmp_path / "worker.log") as azure:
            job = {"sp": "a", "job": "b"}
            return [
                await azure.request("health"),
                await azure.request("keyed_get_job", params=job),
                await azure.request("get_job", params=job),
            ]

    (status, found, _), (refused, error, _), (shut, stranger, _) = asyncio.run(story())
    assert (status, found) == (200, {"status": "ok"})
    assert (shut, stranger["error"]["code"]) == (500, "InvalidConfiguration")
    assert "ENTRA" not in stranger["error"]["message"]  # a stranger is told nothing of the settings
    assert (refused, error["error"]["code"]) == (500, "InvalidConfiguration")
    assert "ENTRA_TENANT_ID" in error["error"]["message"]


BROKEN = {
    "the orchestrator's parameter has another name": (
        '@app.orchestration_trigger(context_name="it")\ndef cycle(it):\n    yield\n',
        "context",
    ),
    "a parameter is a generic class": (
        '@app.activity_trigger(input_name="order")\nasync def step(order: dict[str, int]) -> str: ...\n',
        "non-type annotation",
    ),
    "a parameter has another name than its binding": (
        '@app.route("x")\nasync def step(request: func.HttpRequest) -> func.HttpResponse: ...\n',
        "declared in Python but not in the function definition",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_this_worker_refuses_what_the_platform_refuses(name, tmp_path):
    text, complaint = BROKEN[name]
    head = "import azure.durable_functions as df\nimport azure.functions as func\napp = df.DFApp()\n"
    (tmp_path / "function_app.py").write_text(head + text, encoding="utf-8")

    async def story() -> None:
        async with worker(without_settings(), folder=Path(tmp_path)):
            pass

    with pytest.raises(FunctionFailed, match=complaint):
        asyncio.run(story())
