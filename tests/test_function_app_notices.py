"""Notifications from the function app: the orchestrator's last activity, and the timer at each tick."""

from __future__ import annotations

from dataclasses import replace

import pytest

import function_app
from provisioning.notify_settings import Notify, WebhookChannel
from provisioning.process import open_from_environment
from provisioning.rules.quarantine import Thresholds
from tests.test_function_app import DAY, Place, run
from tests.test_function_app_cycles import Azure
from tests.test_notification_stories import hire, lock_out, telling
from tests.webhook_server import webhook_server
from tests.world import small_world

KEY = "the key of the signature"


@pytest.fixture(autouse=True)
def _own_process():
    yield
    function_app.process.use(open_from_environment)


def quarantined(tmp_path, **host):
    """What the function app's own activity has told of a job that nobody lets in, and what waits."""
    with small_world(tmp_path, thresholds=Thresholds()) as world:
        told = telling(world)
        hire(world, "ada")
        lock_out(world)
        azure = Azure(world, **host)
        done = azure.cycle()
        assert (done.status, done.output["halted"]) == ("Completed", "ServiceNowCredentialsValidation")
        return told.posted, told.mailed, [each.channel for each in told.waiting()], told


def test_the_orchestrator_tells_when_a_cycle_has_come_to_rest(tmp_path):
    posted, mailed, waiting, _ = quarantined(tmp_path)
    assert posted == ["QuarantineEntered"]
    assert len(mailed) == 1
    assert waiting == []


def test_a_notification_that_fails_for_good_fails_no_orchestration_and_waits_for_the_timer(tmp_path):
    posted, _, waiting, _ = quarantined(tmp_path, choose=lambda name: "fails" if name == "notify" else "none")
    assert posted == []
    assert sorted(waiting) == ["mail", "webhook"]


def test_an_activity_that_is_delivered_twice_at_once_sends_once(tmp_path):
    posted, mailed, _, _ = quarantined(tmp_path, choose=lambda name: "twice at once" if name == "notify" else "none")
    assert (posted, len(mailed)) == (["QuarantineEntered"], 1)


def test_each_tick_of_the_timer_looks_for_a_silence_whatever_becomes_of_the_cycle(tmp_path):
    place = Place(tmp_path)
    with webhook_server() as hook:
        place.settings = replace(
            place.settings, notify=Notify(None, WebhookChannel(hook.url, "json", KEY), 24 * 3600.0)
        )

        async def story() -> None:
            await place.tick()
            await place.host.finish(place.instance_id)
            assert hook.events == []
            await place.app.engine.begin_cycle()  # somebody else's, who never comes to an end
            place.ahead = DAY + 600
            await place.tick()
            await place.tick()

        run(place, story)
        assert hook.events == ["NoSuccess"]
        assert hook.received[0].body["details"]["runs"] is True
