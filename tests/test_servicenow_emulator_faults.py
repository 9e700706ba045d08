"""What goes wrong on an emulated instance, set by the control API: faults aimed at single calls and at items of
batches.
"""

from __future__ import annotations

import json

import httpx
import pytest

from tests.emulators.servicenow.faults import EFFECTS
from tests.emulators.servicenow.in_process import USERS, body_of, calling, item
from tests.emulators.servicenow.seed import NATASHA_ID


@pytest.fixture
def call():
    with calling() as call:
        yield call


@pytest.fixture
def instance(call):
    return call.instance


@pytest.fixture
def fault(call):
    """Adds a fault by the control API."""
    return lambda on, effect, **details: call.control("POST", "/faults", {"on": on, "effect": effect, **details})


def in_batch(call, *names):
    """Creates users in one batch; the status of each item, or None for what was not serviced."""
    reply = call.batch(*(item(name, "POST", USERS, {"user_name": name}) for name in names)).json()
    statuses = {one["id"]: one["status_code"] for one in reply["serviced_requests"]}
    return [statuses.get(name) for name in names]


# Aimed at calls


def test_the_next_calls_to_a_table_meet_the_fault_and_no_others(call, fault, instance):
    fault("POST sys_user", "status", status=503, times=2)
    call.insert("/api/now/table/sys_user_group", name="G")
    call.get(USERS)
    statuses = [call("POST", USERS, json={"user_name": name}).status_code for name in "abc"]
    assert statuses == [503, 503, 201]
    assert [fault["happened"] for fault in call.control("GET", "/faults")] == [2]
    assert instance.counts["POST sys_user"] == 3


def test_a_fault_meets_items_of_a_batch_as_well_as_calls(call, fault, instance):
    fault("POST sys_user", "status", status=503, times=2)
    assert in_batch(call, "a") == [503]
    assert call("POST", USERS, json={"user_name": "b"}).status_code == 503
    assert in_batch(call, "c") == [201]
    assert not instance.find("sys_user", user_name="a")


def test_a_fault_can_skip_calls_or_wait_for_a_certain_record(call, fault):
    fault("POST sys_user", "status", status=503, skip=1)
    fault("POST sys_user", "denied_after_write", where={"user_name": "c"})
    assert in_batch(call, *"abcd") == [201, 503, 403, 201]


def test_a_reply_lost_inside_a_batch_takes_the_reply_of_the_batch_along(call, fault, instance):
    fault("batch: POST sys_user", "reply_lost", times=1)
    assert call("POST", USERS, json={"user_name": "alone"}).status_code == 201
    with pytest.raises(httpx.RemoteProtocolError):
        in_batch(call, *"ab")
    assert instance.find("sys_user", user_name="a")
    assert instance.find("sys_user", user_name="b")


def test_a_batch_can_lose_its_reply_after_all_was_done(call, fault, instance):
    fault("POST batch", "reply_lost")
    with pytest.raises(httpx.RemoteProtocolError):
        in_batch(call, *"ab")
    assert instance.find("sys_user", user_name="b")


def test_an_item_of_a_batch_can_be_denied_after_it_was_written(call, fault, instance):
    fault("batch: POST sys_user", "denied_after_write", times=2)
    assert in_batch(call, *"abc") == [403, 403, 201]
    assert all(instance.find("sys_user", user_name=name) for name in "abc")


def test_an_item_of_a_batch_can_be_a_page_a_dropped_field_or_a_slow_one(call, fault, instance):
    fault("batch: POST sys_user", "hibernating", where={"user_name": "a"})
    fault("batch: POST sys_user", "drop_fields", fields=["title"], where={"user_name": "b"})
    fault("batch: POST sys_user", "slow", seconds=29, where={"user_name": "c"})
    fault("batch: POST sys_user", "slow", seconds=2, where={"user_name": "d"})
    items = [item(name, "POST", USERS, {"user_name": name, "title": "T"}) for name in "abcde"]
    reply = call.batch(*items).json()
    page, dropped, slow = reply["serviced_requests"]
    assert {"name": "Content-Type", "value": "text/html;charset=UTF-8"} in page["headers"]
    assert body_of(dropped)["result"]["title"] == ""
    assert slow["execution_time"] == 29_000
    assert reply["unserviced_requests"] == ["d", "e"]
    assert not instance.find("sys_user", user_name="a")


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 502, 504])
def test_an_error_status_comes_with_the_words_that_servicenow_has_for_it(call, fault, status):
    fault("GET sys_user", "status", status=status)
    reply = call("GET", USERS)
    assert reply.status_code == status
    words = {
        401: "User Not Authenticated",
        404: "No Record found",
        429: "Rate limit exceeded",
        500: "Transaction cancelled: maximum execution time exceeded",
    }
    assert reply.json()["error"]["message"] == words.get(status, "Service Unavailable")


def test_a_record_can_be_invisible_for_a_while_after_it_was_written(call, fault):
    made = call.insert(USERS, user_name="ada")
    fault("* sys_user", "not_yet_visible", times=2)
    call("PATCH", f"{USERS}/{made['sys_id']}", json={"title": "Countess"})  # it is there for who writes
    assert call("GET", f"{USERS}/{made['sys_id']}").status_code == 404
    reply = call("GET", USERS, params={"sysparm_query": "user_name=ada"})
    assert (reply.json(), reply.headers["X-Total-Count"]) == ({"result": []}, "0")
    assert call.get(USERS, sysparm_query="user_name=ada")[0]["title"] == "Countess"


def test_a_connection_can_break_in_the_middle_of_an_answer(call, fault, instance):
    fault("POST sys_user", "broken_body")
    with pytest.raises(httpx.RemoteProtocolError):
        call("POST", USERS, json={"user_name": "ada"})
    assert instance.find("sys_user", user_name="ada")


def test_a_token_can_be_refused_once_although_it_is_right(call, fault):
    fault("* sys_user", "unauthorized")
    assert [call("GET", USERS).status_code for _ in range(2)] == [401, 200]


def test_a_token_request_can_fail(call, fault):
    fault("POST token", "status", status=503)
    form = {"grant_type": "password", "username": "admin", "password": "admin"}
    client = ("provisioning-client", "provisioning-secret")
    assert [call("POST", "/oauth_token.do", data=form, auth=client).status_code for _ in range(2)] == [503, 200]


def test_faults_are_lifted_and_nonsense_is_refused(call, fault, instance):
    fault("GET sys_user", "status", times=None)
    assert call("GET", USERS).status_code == call("GET", USERS).status_code == 503
    call.control("DELETE", "/faults")
    assert call("GET", USERS).status_code == 200
    for body in ({"on": "GET sys_user", "effect": "nonsense"}, {"on": "sys_user", "effect": "slow"}):
        assert call("POST", "/_emulator/faults", json=body).status_code == 400
    assert instance.faults.planned == []


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_changes_what_the_caller_sees(effect):
    with calling() as call:
        call.instance.faults.add("GET sys_user", effect, seconds=5.0)
        if effect == "batch_cut":
            call.instance.faults.add("POST batch", effect)
            assert call.batch(item("a", "GET", USERS)).json()["unserviced_requests"] == ["a"]
        elif effect in {"drop_fields", "denied_after_write", "status_after_write", "literal_after_write"}:
            call.instance.faults.add("PATCH sys_user", effect, fields=["title"])
            reply = call("PATCH", f"{USERS}/{NATASHA_ID}", json={"title": "T"})
            assert reply.status_code != 200 or reply.json()["result"]["title"] == ""
        elif effect in {"reply_lost", "broken_body", "refused_connection"}:
            with pytest.raises(httpx.RemoteProtocolError):
                call("GET", USERS)
        elif effect == "slow":
            call.get(USERS)
            assert call.instance.capacity.busy_seconds == 5.0
        else:
            assert _seen(call("GET", USERS)) != (200, list, "")


def _seen(reply):
    try:
        body = reply.json()
    except json.JSONDecodeError:
        return reply.status_code, str, ""
    return reply.status_code, type(body.get("result") or None), body.get("error", "")
