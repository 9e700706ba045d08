"""What a probe found out about the instance is stored with the job and used by whoever opens it next."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from provisioning.adapters.sqlite import SqliteStore
from provisioning.app import App, open_app
from provisioning.config import Settings
from provisioning.engine.jobs import JobRows
from provisioning.errors import WriteForbidden
from provisioning.model import Capabilities, InsertRecord, Unsettled, Written
from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, Instance, seed_instance
from tests.servicenow_world import Wire
from tests.test_config import GOOD

KNOWN = Capabilities(instance="contoso.service-now.com", when=1.0, versions="1", batch=True, honours_sys_ids=False)
NEW = InsertRecord("new", "sys_user", f"{1:032x}", {"user_name": "new"})


@pytest.fixture
def rows(runner):
    store = SqliteStore(":memory:")
    yield JobRows(store, "job")
    runner.run(store.close())


def test_a_probe_without_test_writes_forgets_nothing_that_only_they_can_tell(runner, rows):
    assert runner.run(rows.capabilities(KNOWN.instance)) is None
    runner.run(rows.save_capabilities(KNOWN))
    later = replace(KNOWN, when=2.0, honours_sys_ids=None, sees_inactive=True)
    runner.run(rows.save_capabilities(later))
    assert runner.run(rows.capabilities(KNOWN.instance)) == replace(later, honours_sys_ids=False)
    runner.run(rows.save_capabilities(replace(later, honours_sys_ids=True)))
    assert runner.run(rows.capabilities(KNOWN.instance)).honours_sys_ids is True


def test_what_was_found_out_about_another_instance_does_not_count(runner, rows):
    runner.run(rows.save_capabilities(KNOWN))
    assert runner.run(rows.capabilities("fabrikam.service-now.com")) is None
    runner.run(rows.save_capabilities(replace(KNOWN, instance="fabrikam.service-now.com", honours_sys_ids=None)))
    assert runner.run(rows.capabilities("fabrikam.service-now.com")).honours_sys_ids is None


class Office:
    """One job with its state and its instance, opened as often as there are commands."""

    def __init__(self, folder) -> None:
        login = {"SERVICENOW_CLIENT_ID": CLIENT_ID, "SERVICENOW_CLIENT_SECRET": CLIENT_SECRET}
        self.settings = Settings.load({**GOOD, **login, "STATE": f"sqlite:{folder / 'state.db'}"})
        self.instance = Instance()
        seed_instance(self.instance)
        self.wire = Wire(self.instance)

    def opened(self, work, **how):
        async def run():
            app = await open_app(self.settings, servicenow_transport=self.wire, **how)
            try:
                return await work(app)
            finally:
                await app.close()

        return asyncio.run(run())


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


async def probe_and_keep(app: App) -> Capabilities:
    report = await app.check_instance(test_writes=True)
    assert report.capabilities is not None
    await app.engine.context.rows.save_capabilities(report.capabilities)
    return report.capabilities


async def write_new(app: App):
    return (await app.target.write([NEW]))["new"]


@pytest.mark.parametrize(("sys_ids", "expected"), [("honoured", Written), ("ignored", Unsettled)])
def test_whoever_opens_the_job_next_knows_whether_its_sys_ids_are_honoured(office, sys_ids, expected):
    office.instance.switches.client_sys_id = sys_ids
    assert office.opened(probe_and_keep).honours_sys_ids is (sys_ids == "honoured")
    office.instance.faults.add("POST batch", "dropped_session")
    assert isinstance(office.opened(write_new), expected)


def test_an_app_that_only_reads_refuses_to_write_below_everything(office):
    with pytest.raises(WriteForbidden):
        office.opened(write_new, only_reads=True)
    assert office.instance.find("sys_user", user_name="new") == []


def test_an_app_that_only_reads_still_keeps_its_state(office):
    async def keep(app: App) -> None:
        await app.engine.context.rows.save_capabilities(KNOWN)

    async def known(app: App):
        return await app.engine.context.rows.capabilities(KNOWN.instance)

    office.opened(keep, only_reads=True)
    assert office.opened(known) == KNOWN
