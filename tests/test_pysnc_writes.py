"""The emulator as ServiceNow's own Python client sees it, over HTTPS: writing, batches, and tokens. The assertions are
those that PySNC's test suite makes of a real instance.
"""

from __future__ import annotations

import pytest
from pysnc.auth import ServiceNowClientCredentialsFlow, ServiceNowPasswordGrantFlow
from pysnc.exceptions import AuthenticationException, NotFoundException, RequestException, RoleException

from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, INTEGRATION_USER
from tests.emulators.servicenow.seed import ADMIN_ID, NATASHA_ID
from tests.emulators.servicenow.seed_pysnc import PROBLEM_ADMIN_ID
from tests.pysnc_world import client, connect, instance, served

__all__ = ["client", "connect", "instance", "served"]


@pytest.fixture
def trusting(served, monkeypatch):
    """PySNC asks for tokens outside its session: there only the environment says whom to trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served[1].certificate))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def make(client, table, **fields):
    record = client.GlideRecord(table)
    record.initialize()
    for name, value in fields.items():
        record.set_value(name, value)
    assert record.insert()
    return record


def like(client, text):
    problems = client.GlideRecord("problem")
    problems.add_query("short_description", "LIKE", text)
    problems.query()
    return problems


# One record


def test_a_record_is_inserted_read_updated_and_deleted(client):
    made = make(client, "problem", short_description="Unit Test - Insert", bunk_field="Bunk Field")
    assert len(made.opened_by) == 32
    assert made.get_display_value("opened_by") == "System Administrator"
    assert made.number
    assert made.get_value("bunk_field") is None  # ignored, without a word
    read = client.GlideRecord("problem")
    assert read.get(made.sys_id)
    read.short_description = "ABCDEFG0123"
    read.assigned_to = PROBLEM_ADMIN_ID
    assert read.update() == made.sys_id
    assert bool(read.active)
    assert read.get_display_value("assigned_to") == "Problem Administrator"
    again = client.GlideRecord("problem")
    assert again.get(made.sys_id)
    assert again.short_description == "ABCDEFG0123"
    assert again.delete()
    assert not client.GlideRecord("problem").get(made.sys_id)


def test_a_computed_default_gives_way_to_what_is_sent(client):
    assert make(client, "problem", opened_by=NATASHA_ID).opened_by == NATASHA_ID


def test_an_update_sends_and_changes_only_what_changed(client, instance):
    user = client.GlideRecord("sys_user")
    assert user.get(NATASHA_ID)
    instance.update("sys_user", NATASHA_ID, {"title": "Head"}, by="another.person")
    user.last_name = "Ingram-Jones"
    assert user.update()
    assert user.name == "Natasha Ingram-Jones"
    assert user.title == "Head"


def test_native_types_are_taken(client):
    user = make(client, "sys_user", user_name="ada", active=True, vip=False)
    assert (user.get_value("active"), user.get_value("vip")) == ("true", "false")


def test_the_sys_id_may_be_chosen(client):
    chosen = "AAAABBBBCCCCDDDDEEEEFFFF00001111"
    problem = client.GlideRecord("problem")
    problem.initialize()
    problem.set_new_guid_value(chosen)
    problem.short_description = "Unit Test - Test insert id update"
    assert problem.insert() == chosen
    assert client.GlideRecord("problem").get(chosen)
    again = client.GlideRecord("problem")
    again.initialize()
    again.set_new_guid_value(chosen)
    with pytest.raises(RoleException):
        again.insert()


def test_a_user_name_that_is_taken_is_a_role_error_that_does_not_say_so(client):
    user = client.GlideRecord("sys_user")
    user.initialize()
    user.user_name = "ÁDMIN"
    with pytest.raises(RoleException, match=r"Error during insert of sys_user"):
        user.insert()


def test_a_missing_record_cannot_be_deleted(client, instance):
    user = client.GlideRecord("sys_user")
    assert user.get(NATASHA_ID)
    instance.delete("sys_user", NATASHA_ID)
    with pytest.raises(NotFoundException):
        user.delete()


def test_a_deactivated_user_is_locked_and_stays_locked(client):
    user = client.GlideRecord("sys_user")
    assert user.get(NATASHA_ID)
    user.active = "false"
    assert user.update()
    user.active = "true"
    assert user.update()
    assert (user.get_value("active"), user.get_value("locked_out")) == ("true", "true")


def test_an_insert_that_failed_after_it_was_stored_is_not_repeated_by_pysnc(client, instance):
    # urllib3 repeats no POST by itself: the caller sees a failure although the record is there.
    instance.faults.add("POST problem", "status_after_write", status=503)
    problem = client.GlideRecord("problem")
    problem.initialize()
    problem.short_description = "only once"
    with pytest.raises(RequestException):
        problem.insert()
    assert len(like(client, "only once")) == 1


# Several records in a batch


def test_several_records_are_deleted_in_one_batch(client, instance):
    for number in range(5):
        make(client, "problem", short_description=f"Unit Test - BUNKZZ Multi Delete {number}")
    assert len(like(client, "BUNKZZ")) == 5
    problems = client.GlideRecord("problem")
    problems.add_query("short_description", "LIKE", "BUNKZZ")
    assert problems.delete_multiple()
    assert len(like(client, "BUNKZZ")) == 0
    assert (instance.counts["POST batch"], instance.counts["batch: DELETE problem"]) == (1, 5)


def test_several_records_are_updated_in_one_batch_and_only_those_that_changed(client, instance):
    for number in range(10):
        make(client, "problem", short_description=f"Unit Test - BUNKZZ {number}")
    problems = like(client, "BUNKZZ")
    changed = []
    for number, problem in enumerate(problems):
        if number % 2 == 0:
            problem.short_description = problem.short_description + " even"
            changed.append(problem.get_value("sys_id"))
    seen = []
    problems.update_multiple(lambda response: seen.append((response.status_code, response.json()["result"])))
    assert [status for status, _ in seen] == [200] * 5
    assert [result["sys_id"]["value"] for _, result in seen] == changed
    assert len(like(client, " even")) == 5
    assert instance.counts["batch: PATCH problem"] == 5


def test_a_batch_in_which_a_business_rule_aborts_half_is_half_done(client):
    make(
        client,
        "sys_script",
        name="test_multi_update_with_failures",
        collection="problem",
        active=True,
        when="before",
        order=100,
        action_insert=True,
        action_update=True,
        abort_action=True,
        message="rejected by test_multi_update_with_failures br",
        filter_condition="short_descriptionLIKEEICAR^ORdescriptionLIKEEICAR^EQ",
    )
    for number in range(10):
        make(client, "problem", short_description=f"Unit Test - BUNKZZ {number}")
    problems = like(client, "BUNKZZ")
    for number, problem in enumerate(problems):
        problem.short_description = problem.short_description + (" -- APPENDEDZZ" if number < 5 else " -- EICAR")
    assert problems.update_multiple() is False
    assert len(like(client, "APPENDEDZZ")) == 5
    assert len(like(client, "EICAR")) == 0
    refused = client.GlideRecord("problem")
    refused.initialize()
    refused.short_description = "EICAR"
    with pytest.raises(RoleException, match="was aborted by Business Rule 'test_multi_update_with_failures"):
        refused.insert()


def test_what_a_batch_did_not_service_is_sent_again(client, instance):
    for number in range(6):
        make(client, "problem", short_description=f"BUNKZZ {number}")
    instance.faults.add("POST batch", "batch_cut", after_items=4)
    assert like(client, "BUNKZZ").delete_multiple()
    assert instance.counts["POST batch"] == 2
    assert len(like(client, "BUNKZZ")) == 0


# Tokens


@pytest.mark.usefixtures("trusting")
def test_client_credentials_sign_in_as_the_application_user(connect, instance):
    user = make(connect(ServiceNowClientCredentialsFlow(CLIENT_ID, CLIENT_SECRET)), "sys_user", user_name="ada")
    assert user.get_value("sys_created_by") == INTEGRATION_USER
    assert instance.counts["POST token"] == 1
    with pytest.raises(AuthenticationException, match="access_denied"):
        connect(ServiceNowClientCredentialsFlow(CLIENT_ID, "wrong"))


@pytest.mark.usefixtures("trusting")
def test_a_password_is_changed_for_a_token(connect):
    flow = ServiceNowPasswordGrantFlow("admin", "admin", CLIENT_ID, CLIENT_SECRET)
    user = connect(flow).GlideRecord("sys_user")
    assert user.get(ADMIN_ID)
