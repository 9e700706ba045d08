"""The emulator as ServiceNow's own Python client sees it, over HTTPS: what goes wrong, and who may not. PySNC turns
each refusal into the exception that it has for a real instance's.
"""

from __future__ import annotations

import pytest
from pysnc import ServiceNowClient
from pysnc.exceptions import (
    AuthenticationException,
    InstanceException,
    NoRecordException,
    RequestException,
    RoleException,
)

from tests.emulators.servicenow import CLIENT_SECRET, INTEGRATION_USER
from tests.emulators.servicenow.seed import ADMIN_ID
from tests.pysnc_world import client, connect, instance, queried, served

__all__ = ["client", "connect", "instance", "served"]


def test_an_unknown_table_is_a_bad_request(client):
    with pytest.raises(RequestException, match="Invalid table sys_user_list"):
        client.GlideRecord("sys_user_list").get("doesntmatter")


def test_a_url_that_is_too_long_is_answered_with_a_page(client):
    with pytest.raises(RequestException, match=r"^<.*html>.*"):
        client.GlideRecord("A" * 23000).get("doesntmatter")


def test_a_wrong_password_is_an_authentication_error(connect):
    with pytest.raises(AuthenticationException) as refused:
        connect(("admin", "this is not a real password")).GlideRecord("sys_user").get("does not matter")
    assert "User Not Authenticated" in str(refused.value)
    assert "Required to provide Auth information" in str(refused.value)


def test_an_interactive_account_is_refused_where_basic_is_restricted(connect, instance):
    instance.switches.basic_auth = "web_service_only"
    with pytest.raises(AuthenticationException):
        connect().GlideRecord("sys_user").get(ADMIN_ID)
    assert connect((INTEGRATION_USER, CLIENT_SECRET)).GlideRecord("sys_user").get(ADMIN_ID)


def test_a_table_that_may_not_be_read_is_a_role_error(client, instance):
    instance.access.no_query.add("syslog")
    with pytest.raises(RoleException, match="Insufficient rights to query records"):
        queried(client, "syslog")


def test_an_answer_that_was_cut_is_told_as_a_time_limit(client, instance, capsys):
    instance.faults.add("GET problem", "cut_stream")
    with pytest.raises(RequestException, match="Maximum execution time exceeded"):
        queried(client, "problem")
    capsys.readouterr()


def test_pysnc_comes_back_when_the_instance_is_busy(client, instance):
    instance.faults.add("GET sys_user", "too_many", times=1)
    assert client.GlideRecord("sys_user").get(ADMIN_ID)
    assert instance.statuses == {429: 1, 200: 1}


def test_what_pysnc_refuses_never_reaches_the_instance(client, instance):
    with pytest.raises(InstanceException):
        ServiceNowClient(instance.url.replace("https", "http"), ("admin", "admin"))
    record = queried(client, "sys_user", limit=1)
    with pytest.raises(NoRecordException):
        record.get_value("sys_id")
    assert instance.counts == {"GET sys_user": 1}
