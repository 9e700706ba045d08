"""Whole cycles through the orchestrator, replayed from the start of its history at each episode: the real functions,
engine, adapters and SQLite on virtual time, with activities that fail, are repeated, late, out of order or cut off.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

import function_app
from provisioning.engine import orchestration
from provisioning.engine.cycle import Pace
from provisioning.process import open_from_environment
from tests.durable import InProcess
from tests.emulators.graph import ACCESS_TOKEN
from tests.emulators.graph.behaviour import Fail
from tests.emulators.servicenow import CLIENT_SECRET
from tests.orchestrated import Azure
from tests.world import World, small_world

TABLES = ("sys_user", "sys_user_group", "sys_user_grmember")
CHANGING = {"sys_created_on", "sys_updated_on", "sys_mod_count", "last_login_time"}
SMALL = Pace(slots=2, parallel=4, chunk=6, group_chunk=2, tries=40)
"""Steps of a few rows each, so that a small tenant makes many; patience for more bad luck than a real host has."""


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    yield
    function_app.process.use(open_from_environment)


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    with small_world(tmp_path, users=40, groups=4, pace=SMALL) as made:
        yield made


def records(world: World) -> dict[str, list[dict[str, str]]]:
    """What ServiceNow holds, without the times."""
    return {
        table: sorted(
            ({k: v for k, v in row.items() if k not in CHANGING} for row in world.instance.rows(table)),
            key=lambda row: row["sys_id"],
        )
        for table in TABLES
    }


def known(world: World):
    """What the job remembers, without the times."""
    state = world.run(world.engine().context.rows.state())[0]
    return state.managed, state.last_failure, sorted(state.watermarks)


def provisioned(tmp_path, **changes):
    """The same tenant after a cycle by the local driver."""
    with small_world(tmp_path, users=40, groups=4, pace=SMALL, **changes) as other:
        progress = other.cycle()
        assert progress.finished
        return records(other), known(other), progress.counts


def test_a_cycle_by_the_orchestrator_ends_as_one_by_the_local_driver(world, tmp_path):
    azure = Azure(world, moves=1000)  # in one history
    done = azure.cycle()
    assert done.status == "Completed"
    assert done.output["finished"]
    assert azure.host.longest > 300
    assert (records(world), known(world), done.output["counts"]) == provisioned(tmp_path)
    assert world.instance.count("sys_user_grmember") > 20


def test_the_custom_status_is_the_progress_of_the_cycle(world):
    done = Azure(world).cycle()
    assert done.custom_status == done.output
    assert done.custom_status["phase"] == "finish"
    assert done.custom_status["halted"] is None


def test_an_incremental_cycle_writes_only_what_changed(world):
    azure = Azure(world)
    azure.cycle()
    world.forget_counts()
    done = azure.cycle()
    assert done.output["kind"] == "incremental"
    assert world.writes() == {}


@pytest.mark.parametrize("moves", [1, 3])
def test_the_orchestration_continues_as_new_and_its_history_stays_short(world, tmp_path, moves):
    azure = Azure(world, moves=moves)
    done = azure.cycle()
    assert done.output["finished"]
    assert done.generation > 20 // moves
    # A round: OrchestratorStarted, one scheduled and one reported for each of at most five activities, and so on.
    assert azure.host.longest <= 30 * moves
    assert (records(world), known(world)) == provisioned(tmp_path)[:2]


FAULTS = ["fails", "fails afterwards", "twice", "twice at once", "again later", "killed"]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fault", [*FAULTS, "any"])
def test_activities_that_go_wrong_change_nothing_about_the_end(world, tmp_path, fault, seed):
    luck = random.Random(seed)
    chance = 0.1 if fault.startswith("fails") or fault == "any" else 0.3

    def choose(_: str):
        if luck.random() >= chance:
            return "none"
        return luck.choice(FAULTS) if fault == "any" else fault

    azure = Azure(world, choose=choose, luck=luck)
    done = azure.cycle()
    assert done.status == "Completed", done.output
    assert done.output["finished"], done.output
    assert (records(world), known(world)) == provisioned(tmp_path)[:2]
    world.forget_counts()
    azure.host.choose = lambda _: "none"
    assert azure.cycle().output["kind"] == "incremental"
    assert world.writes() == {}


def test_no_round_begins_before_every_step_of_the_last_one_has_ended(world):
    running: list[str] = []

    class Watched(InProcess):
        async def activity(self, name: str, text: str) -> str:
            assert name != "advance" or not running
            running.append(name)
            try:
                return await super().activity(name, text)
            finally:
                running.remove(name)

    luck = random.Random(5)
    azure = Azure(world, luck=luck, choose=lambda _: "fails" if luck.random() < 0.1 else "none")
    azure.host.runtime = Watched(function_app.app)
    assert azure.cycle().output["finished"]


def test_an_advance_that_fails_for_good_leaves_a_cycle_that_the_next_start_resumes(world, tmp_path):
    azure = Azure(world, choose=lambda name: "fails" if name == "advance" else "none")
    done = azure.cycle()
    assert done.status == "Completed"
    assert done.output == {"finished": False, "halted": "ActivityFailed"}
    world.pass_time(900)  # its lease has run out
    azure.host.choose = lambda _: "none"
    assert world.run(world.run(function_app.engine()).is_due())
    assert azure.cycle().output["finished"]
    assert (records(world), known(world)) == provisioned(tmp_path)[:2]


def test_an_orchestration_whose_cycle_another_driver_resumed_ends(world):
    azure = Azure(world)

    async def overtaken():
        progress = await (await function_app.engine()).begin_cycle()
        azure.host.start("cycle", "job-job", json.dumps(orchestration.order_of(progress)))
        await azure.host.episode("job-job")
        world.pass_time(901)
        await (await function_app.engine()).begin_cycle()
        return await azure.host.finish("job-job")

    assert world.run(overtaken()).output == {"finished": False, "halted": "LeaseLost"}


def test_a_side_that_is_down_is_waited_for_by_timers(world, tmp_path):
    world.directory.behaviour.faults.add(Fail(status=503), "GET /users/delta", times=40)
    azure, began = Azure(world), world.now()
    done = azure.cycle()
    assert done.output["finished"], done.output
    assert world.now() - began > 60
    assert (records(world), known(world)) == provisioned(tmp_path)[:2]


def test_a_job_that_halts_says_with_which_code(world):
    world.directory.behaviour.permissions = frozenset()
    done = Azure(world).cycle()
    assert done.status == "Completed"
    assert not done.output["finished"]
    assert done.output["halted"] == "InsufficientRights"


def test_what_travels_through_the_history_is_no_secret_and_nobodys_name(world):
    azure = Azure(world)
    azure.cycle()
    travelled = "\n".join(azure.host.texts)
    assert len(travelled) > 10_000
    people = [found.attributes for found in world.directory.objects.values()]
    names = {value for each in people for value in (each.get("displayName"), each.get("userPrincipalName")) if value}
    found = {secret for secret in (ACCESS_TOKEN, CLIENT_SECRET, "deltatoken", *names) if secret in travelled}
    assert found == set()
