"""Nodes, clocks and capacity of an emulated instance, set by the control API: sessions that move, clocks that are
wrong, slots that others take, grants, rate rules that count what is in a batch; and tables and time zones to add.
"""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

import pytest

from tests.emulators.servicenow.in_process import EPOCH, USERS, calling, item
from tests.emulators.servicenow.seed import ADMIN_ID, NATASHA_ID


@pytest.fixture
def call():
    with calling() as call:
        yield call


@pytest.fixture
def instance(call):
    return call.instance


def in_batch(call, *names):
    """Creates users in one batch; the status of each item, or None for what was not serviced."""
    reply = call.batch(*(item(name, "POST", USERS, {"user_name": name}) for name in names)).json()
    statuses = {one["id"]: one["status_code"] for one in reply["serviced_requests"]}
    return [statuses.get(name) for name in names]


# Nodes and clocks


def session_of(reply):
    return {"Cookie": f"JSESSIONID={reply.cookies['JSESSIONID']}"}


def test_a_session_that_moved_to_another_node_is_refused_and_a_new_one_is_not(call):
    old = session_of(call("GET", f"{USERS}/{ADMIN_ID}"))
    assert call("GET", USERS, headers=old).status_code == 200
    call.control("POST", "/node-switch")
    for _ in range(2):
        refused = call("GET", USERS, headers=old)
        assert refused.status_code == 403
        assert refused.json()["error"] == {
            "message": "User Not Authorized",
            "detail": "Failed API level ACL Validation",
        }
    fresh = call("GET", USERS)
    assert fresh.status_code == 200
    assert call("GET", USERS, headers=session_of(fresh)).status_code == 200


def test_one_call_can_meet_a_node_where_its_rights_are_not_known(call):
    call.control("POST", "/faults", {"on": "GET sys_user", "effect": "api_acl"})
    assert call("GET", USERS).json()["error"]["message"] == "User Not Authorized"
    assert call("GET", USERS).status_code == 200


def test_a_clock_that_is_wrong_shows_in_dates_and_records(call, instance):
    call.control("PATCH", "/switches", {"clock_skew": -7200})
    reply = call("POST", USERS, json={"user_name": "ada"})
    assert parsedate_to_datetime(reply.headers["Date"]).timestamp() == EPOCH - 7200
    assert reply.json()["result"]["sys_created_on"] == "2025-06-15 13:06:40"
    assert instance.now() == EPOCH - 7200


# Capacity


def read_together(call, number):
    """So many reads at once: how many were served and refused."""
    replies = call.together([("GET", f"{USERS}/{ADMIN_ID}", {})] * number)
    statuses = [reply.status_code for reply in replies]
    return statuses.count(200), statuses.count(429)


def test_others_take_slots_and_give_them_back_while_calls_run(call):
    call.control("PUT", "/capacity", {"nodes": 2, "slots_per_node": 4, "queue": 0})
    call.control("PUT", "/service-times", {"read": 1.0})
    assert read_together(call, 10) == (8, 2)
    call.control("PUT", "/competing-load", {"slots": 5})
    assert read_together(call, 10) == (3, 7)
    call.control("PUT", "/competing-load", {"slots": 0})
    assert read_together(call, 10) == (8, 2)
    assert call("PUT", "/_emulator/competing-load", auth=None, json={"slots": 9}).status_code == 400


def test_slots_that_come_back_are_used_by_who_waits(call, instance):
    instance.capacity.set(slots_per_node=2, queue=50)
    instance.capacity.set_times(read=1.0)
    instance.capacity.occupy(2)

    async def give_back():
        asyncio.get_running_loop().call_later(10.0, instance.capacity.occupy, 0)

    call._runner.run(give_back())
    assert read_together(call, 4) == (4, 0)
    assert instance.now() - EPOCH == pytest.approx(12.0)


def test_calls_beyond_the_grant_are_refused_without_rate_headers(call, instance):
    call.control("PUT", "/service-times", {"read": 1.0})
    call.control("PUT", "/grant", {"calls": 2})
    replies = call.together([("GET", f"{USERS}/{ADMIN_ID}", {})] * 5)
    refused = [reply for reply in replies if reply.status_code == 429]
    assert len(refused) == instance.capacity.measures()["refused"] == 3
    assert not any("ratelimit" in name.lower() or name.lower() == "retry-after" for name in refused[0].headers)
    call.control("PUT", "/grant", {"calls": None})
    assert read_together(call, 5) == (5, 0)


def test_a_call_that_waits_for_a_slot_is_part_of_the_grant(call):
    call.control("PUT", "/capacity", {"slots_per_node": 1})
    call.control("PUT", "/service-times", {"read": 1.0})
    call.control("PUT", "/grant", {"calls": 2})
    assert read_together(call, 5) == (2, 3)


def test_the_slot_seconds_that_could_have_been_used_are_measured(call, instance):
    call.control("PUT", "/capacity", {"nodes": 2, "slots_per_node": 4})
    call.control("PUT", "/service-times", {"read": 10.0})
    call.control("PUT", "/grant", {"calls": 4})
    read_together(call, 2)  # ten seconds of four granted slots, two in use
    assert instance.capacity.measures()["usable_seconds"] == pytest.approx(40.0)
    call.control("PUT", "/competing-load", {"slots": 6})
    read_together(call, 2)  # ten more, of the two that others left
    measures = call.control("GET", "/capacity")
    assert measures["usable_seconds"] == pytest.approx(60.0)
    assert measures["busy_seconds"] == pytest.approx(40.0)
    assert (measures["occupied"], measures["granted"], measures["peak_busy"]) == (6, 4, 2)


def test_whether_a_rate_rule_counts_what_is_in_a_batch_is_a_switch(call):
    call.control("PUT", "/rate-rule", {"limit": 2, "flush_every": 0})
    assert in_batch(call, *"abc") == [201, 201, 201]
    call.control("PATCH", "/switches", {"batch_items_in_rate_rule": "counted"})
    assert in_batch(call, *"defg") == [201, 201, 429, 429]
    reply = call("GET", USERS)
    assert reply.status_code == 429
    assert reply.headers["X-RateLimit-Limit"] == "2"
    call.control("PUT", "/rate-rule")
    assert call("GET", USERS).status_code == 200


def test_a_rate_rule_may_be_on_batches_instead(call):
    call.control("PUT", "/rate-rule", {"limit": 1, "resource": "Batch API", "flush_every": 0})
    assert call("GET", USERS).status_code == 200
    assert in_batch(call, "a") == [201]
    refused = call.batch(item("b", "POST", USERS, {"user_name": "b"}))
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0


# What an instance may hold


def test_tables_and_columns_are_added_by_the_control_api(call):
    columns = [{"name": "u_code", "max_length": 5}, {"name": "u_owner", "type": "reference", "reference": "sys_user"}]
    call.control("POST", "/tables", {"name": "u_team", "label": "Team", "display": "u_code", "columns": columns})
    call.control("POST", "/columns/sys_user", {"name": "u_team", "type": "reference", "reference": "u_team"})
    team = call.insert("/api/now/table/u_team", u_code="abcdefgh", u_owner=ADMIN_ID)
    assert (team["u_code"], team["sys_mod_count"]) == ("abcde", "0")
    call("PATCH", f"{USERS}/{NATASHA_ID}", json={"u_team": team["sys_id"]})
    shown = call.get(f"{USERS}/{NATASHA_ID}", sysparm_fields="u_team.u_owner.user_name,u_team", sysparm_display_value=1)
    assert shown["u_team.u_owner.user_name"] == "admin"
    known = call.get("/api/now/table/sys_dictionary", sysparm_query="name=u_team^element=u_owner")
    assert known[0]["reference"] == "sys_user"


def test_date_times_are_shown_and_read_in_the_time_zone_of_the_instance(call):
    call.control("PUT", "/properties", {"glide.sys.default.tz": "America/Los_Angeles"})
    one = f"{USERS}/{NATASHA_ID}"
    sent = {"last_login_time": "2026-07-01 12:00:00"}
    assert call("PATCH", one, json=sent).json()["result"]["last_login_time"] == "2026-07-01 12:00:00"
    assert call.get(one, sysparm_display_value="true")["last_login_time"] == "2026-07-01 05:00:00"
    by_display = call("PATCH", f"{one}?sysparm_input_display_value=true", json=sent).json()["result"]
    assert by_display["last_login_time"] == "2026-07-01 19:00:00"


def test_an_instance_can_be_seeded_for_pysnc_by_the_control_api(call):
    call.control("POST", "/reset")
    call.control("POST", "/seed", {"profile": "pysnc"})
    assert len(call.get("/api/now/table/problem")) == 12
    assert call("POST", "/_emulator/seed", auth=None, json={"profile": "nobody's"}).status_code == 400
