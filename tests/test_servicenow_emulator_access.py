"""What an emulated instance keeps from its callers: query ACLs, rows that a before-query rule hides, data policies,
roles that only read, restricted log-ins. Each is set by the control API, and by code where that says more.
"""

from __future__ import annotations

import pytest

from tests.emulators.servicenow import CLIENT_SECRET, INTEGRATION_USER
from tests.emulators.servicenow.in_process import GROUPS, USERS, calling
from tests.emulators.servicenow.seed import ADMIN_ID, FINANCE_ID, NATASHA_ID


@pytest.fixture
def call():
    with calling() as call:
        yield call


@pytest.fixture
def instance(call):
    return call.instance


# Query ACLs


@pytest.mark.parametrize(
    "query",
    ["sys_id>1", "sys_idSTARTSWITHa", "sys_idBETWEENa@b", "ORDERBYsys_id", "ORDERBYDESCsys_id", "active=true^sys_id<f"],
)
def test_without_query_range_a_column_takes_neither_ranges_nor_an_order(call, query):
    call.control("PATCH", "/access", {"no_range": {"sys_user": ["sys_id"]}})
    reply = call("GET", USERS, params={"sysparm_query": query})
    assert reply.status_code == 403
    assert reply.json()["error"]["message"] == "Insufficient rights to query records"


@pytest.mark.parametrize("query", [f"sys_id={ADMIN_ID}", f"sys_idIN{ADMIN_ID},x", "sys_id!=x", "sys_idISNOTEMPTY"])
def test_without_query_range_a_column_can_still_be_matched(call, query):
    call.control("PATCH", "/access", {"no_range": {"sys_user": ["sys_id"]}})
    assert "admin" in call.names(query)
    assert call.names("user_name>z") == []  # other columns are as they were


def test_without_query_match_a_column_cannot_be_asked_for_at_all(call, instance):
    call.control("PATCH", "/access", {"no_match": {"sys_user": ["email"]}})
    assert call("GET", USERS, params={"sysparm_query": "email=admin@example.com"}).status_code == 403
    assert call("GET", USERS, params={"sysparm_query": "emailLIKEadmin"}).status_code == 403
    assert call("GET", USERS, params={"email": "admin@example.com"}).status_code == 403
    assert call.get(f"{USERS}/{ADMIN_ID}")["email"] == "admin@example.com"  # it may be read
    assert instance.rows("sys_user", "email=admin@example.com")  # and the Python interface is nobody's caller


def test_a_query_acl_holds_at_the_end_of_a_dot_walk(call):
    call.control("PATCH", "/access", {"no_range": {"sys_user": ["name"]}})
    departments = "/api/now/table/cmn_department"
    assert call("GET", departments, params={"sysparm_query": "dept_head.nameLIKEnat"}).status_code == 403
    assert call("GET", departments, params={"sysparm_query": "nameLIKEfin"}).status_code == 200


def test_what_a_query_acl_does_is_a_switch_because_nobody_recorded_it(call, instance):
    call.control("PATCH", "/access", {"no_range": {"sys_user": ["user_name"]}})
    call.control("PATCH", "/switches", {"query_acl": "no_rows"})
    assert call.names("user_nameLIKEabel") == []
    call.control("PATCH", "/switches", {"query_acl": "dropped"})
    assert len(call.names("user_nameLIKEabel")) == instance.count("sys_user")
    assert call.names("user_nameLIKEabel^active=false") == ["david.loo"]


# Rows, tables and fields


def test_a_before_query_rule_hides_rows_before_the_window_is_cut_and_counted(call, instance):
    call.control("PATCH", "/access", {"before_query": {"sys_user": "active=true"}})
    (david,) = instance.find("sys_user", user_name="david.loo")
    reply = call("GET", USERS, params={"sysparm_limit": 2, "sysparm_query": "ORDERBYuser_name"})
    assert len(reply.json()["result"]) == 2
    assert reply.headers["X-Total-Count"] == str(instance.count("sys_user") - 1)
    assert call.names("active=false") == []
    assert call("GET", f"{USERS}/{david['sys_id']}").status_code == 404
    assert call("POST", USERS, json={"user_name": "David.Loo"}).status_code == 403  # yet the name is taken


def test_rows_can_be_hidden_by_what_they_are_related_to(call):
    members = "RLQUERYsys_user_grmember.user,>0^ENDRLQUERY"
    call.control("PATCH", "/access", {"hidden_rows": {"sys_user": members}})
    names = call.names("active=true")
    assert "admin" in names
    assert not {"abel.tuter", "beth.anglin"} & set(names)


def test_a_data_policy_refuses_what_lacks_a_mandatory_column(call, instance):
    call.control("PATCH", "/access", {"mandatory": {"sys_user": ["email", "vip"]}})
    refused = call("POST", USERS, json={"user_name": "ada", "vip": False})
    assert refused.status_code == 403
    assert refused.json()["error"] == {
        "message": "Data Policy Exception: The following fields are mandatory: Email",
        "detail": None,
    }
    assert call("POST", USERS, json={"user_name": "ada", "vip": False, "email": "ada@x.org"}).status_code == 201
    assert call("PATCH", f"{USERS}/{NATASHA_ID}", json={"email": ""}).status_code == 403
    assert call("PATCH", f"{USERS}/{NATASHA_ID}", json={"title": "Head"}).status_code == 200
    call.control("PATCH", "/switches", {"data_policy_in": "detail"})
    refused = call("PATCH", f"{USERS}/{NATASHA_ID}", json={"email": ""}).json()["error"]
    assert (refused["message"], refused["detail"][:21]) == ("Operation Failed", "Data Policy Exception")
    assert instance.get("sys_user", NATASHA_ID)["email"]


def test_the_access_rules_by_table_are_set_and_lifted_by_the_control_api(call):
    call.control(
        "PATCH",
        "/access",
        {
            "hidden_rows": {"sys_user": "active=false"},
            "unreadable": {"sys_user": ["email"]},
            "unwritable": {"sys_user": ["title"]},
            "no_update": ["sys_user_group"],
            "no_delete": ["sys_user"],
            "no_query": ["cmn_department"],
        },
    )
    assert call.names("active=false") == []
    assert "email" not in call.get(f"{USERS}/{ADMIN_ID}")
    assert call("PATCH", f"{USERS}/{ADMIN_ID}", json={"title": "T"}).json()["result"]["title"] == ""
    (group, *_) = call.get(GROUPS)
    assert call("PATCH", f"{GROUPS}/{group['sys_id']}", json={"name": "N"}).status_code == 403
    assert call("DELETE", f"{USERS}/{NATASHA_ID}").status_code == 403
    assert call("GET", "/api/now/table/cmn_department").status_code == 403
    call.control("PATCH", "/access", {"hidden_rows": {}, "no_delete": [], "unwritable": {}})
    assert call.names("active=false") == ["david.loo"]
    assert call("PATCH", f"{USERS}/{ADMIN_ID}", json={"title": "T"}).json()["result"]["title"] == "T"
    assert call("DELETE", f"{USERS}/{NATASHA_ID}").status_code == 204


def test_the_read_only_role_takes_every_write_away(call, instance):
    role = instance.insert("sys_user_role", {"name": "snc_read_only"})["sys_id"]
    instance.insert("sys_user_has_role", {"user": ADMIN_ID, "role": role})
    assert call("GET", f"{USERS}/{ADMIN_ID}").status_code == 200
    for method, path in (("POST", USERS), ("PATCH", f"{USERS}/{NATASHA_ID}"), ("DELETE", f"{USERS}/{NATASHA_ID}")):
        reply = call(method, path, json={"title": "T"})
        assert reply.status_code == 403
        assert "ACL Exception" in reply.json()["error"]["detail"]
    integration = (INTEGRATION_USER, CLIENT_SECRET)
    assert call("PATCH", f"{USERS}/{NATASHA_ID}", json={"title": "T"}, auth=integration).status_code == 200


# Business rules


def test_a_business_rule_with_a_condition_aborts_inserts_and_updates(call):
    call.control(
        "POST",
        "/records/sys_script",
        {
            "name": "No Finance",
            "collection": "sys_user",
            "abort_action": True,
            "action_insert": True,
            "action_update": True,
            "filter_condition": "department.name=Finance^EQ",
        },
    )
    refused = call("POST", USERS, json={"user_name": "ada", "department": FINANCE_ID})
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "Operation Failed"
    assert "Operation against file 'sys_user' was aborted by Business Rule 'No Finance^" in refused.text
    made = call.insert(USERS, user_name="ada")
    assert call("PATCH", f"{USERS}/{made['sys_id']}", json={"department": FINANCE_ID}).status_code == 403
    assert call("DELETE", f"{USERS}/{NATASHA_ID}").status_code == 204  # from Finance, but a deletion


def test_an_inactive_business_rule_aborts_nothing(call, instance):
    rule = {"name": "R", "collection": "sys_user", "abort_action": True, "action_delete": True, "active": False}
    rule = instance.insert("sys_script", rule)
    assert call("DELETE", f"{USERS}/{NATASHA_ID}").status_code == 204
    instance.update("sys_script", rule["sys_id"], {"active": True})
    assert call("DELETE", f"{USERS}/{ADMIN_ID}").status_code == 403


# Log-ins


def test_a_role_opens_restricted_basic_authentication(call, instance):
    call.control("PATCH", "/switches", {"basic_auth": "web_service_only"})
    assert call("GET", USERS).status_code == 401
    role = instance.insert("sys_user_role", {"name": "snc_basic_auth_api_access"})["sys_id"]
    instance.insert("sys_user_has_role", {"user": ADMIN_ID, "role": role})
    assert call("GET", USERS).status_code == 200
    call.control("PATCH", "/switches", {"basic_auth": "none"})
    assert call("GET", USERS).status_code == 401


def test_failed_log_ins_lock_an_account_where_the_instance_is_set_so(call, instance):
    call.control("PATCH", "/switches", {"lock_out_after": 3})
    call.control("PUT", "/credentials", {"abel.tuter": "secret"})
    for password, status in (("wrong", 401), ("wrong", 401), ("secret", 200), ("wrong", 401), ("wrong", 401)):
        assert call("GET", USERS, auth=("abel.tuter", password)).status_code == status
    assert call("GET", USERS, auth=("abel.tuter", "wrong")).status_code == 401
    assert call("GET", USERS, auth=("abel.tuter", "secret")).status_code == 401
    assert instance.find("sys_user", user_name="abel.tuter")[0]["locked_out"] == "true"


def test_the_control_api_hands_out_keys_and_clients_and_takes_tokens_back(call):
    call.control("PUT", "/api-keys", {"key": INTEGRATION_USER})
    assert call("GET", USERS, auth=None, headers={"x-sn-apikey": "key"}).status_code == 200
    call.control("PUT", "/oauth-clients", {"client_id": "c", "secret": "s", "user": "abel.tuter"})
    form = {"client_id": "c", "client_secret": "s", "grant_type": "client_credentials"}
    token = call("POST", "/oauth_token.do", data=form, auth=None).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert call("GET", USERS, auth=None, headers=bearer).status_code == 200
    call.control("DELETE", "/tokens")
    assert call("GET", USERS, auth=None, headers=bearer).status_code == 401


def test_an_oauth_client_may_name_itself_in_a_header(call):
    form = {"grant_type": "password", "username": "admin", "password": "admin"}
    reply = call("POST", "/oauth_token.do", data=form, auth=("provisioning-client", CLIENT_SECRET))
    assert reply.status_code == 200
    assert call("POST", "/oauth_token.do", data=form, auth=("provisioning-client", "x")).status_code == 401


@pytest.mark.parametrize(
    "setting",
    [{"basic_auth": "nobody"}, {"batch_limit": "long"}, {"lock_out_after": True}, {"no_such_switch": 1}],
)
def test_a_switch_does_not_take_what_it_does_not_know(call, instance, setting):
    before = repr(instance.switches)
    assert call("PATCH", "/_emulator/switches", auth=None, json=setting).status_code == 400
    assert repr(instance.switches) == before


# Rules by role


SERVICE = (INTEGRATION_USER, CLIENT_SECRET)


def test_a_table_that_asks_for_a_role_is_closed_to_who_lacks_it(call):
    for operation in ("read", "write", "create", "delete"):
        call.control("POST", "/acls", {"name": "sys_user", "operation": operation, "roles": ["hr_admin"]})
    listed = call("GET", USERS, auth=SERVICE)
    assert (listed.status_code, listed.json()["error"]["message"]) == (403, "Insufficient rights to query records")
    assert call("GET", f"{USERS}/{ADMIN_ID}", auth=SERVICE).status_code == 404
    assert call("POST", USERS, json={"user_name": "x"}, auth=SERVICE).status_code == 403
    assert call("GET", GROUPS, auth=SERVICE).status_code == 200
    assert call("GET", USERS).status_code == 200  # admin passes every rule
    assert call("POST", USERS, json={"user_name": "x"}).status_code == 201


def test_one_role_of_any_rule_is_enough_and_writing_is_not_reading(call):
    call.control("POST", "/acls", {"name": "sys_user", "operation": "write", "roles": ["hr_admin"]})
    assert call("GET", f"{USERS}/{NATASHA_ID}", auth=SERVICE).status_code == 200
    assert call("PATCH", f"{USERS}/{NATASHA_ID}", json={"title": "x"}, auth=SERVICE).status_code == 403
    call.control("POST", "/acls", {"name": "sys_user", "operation": "write", "roles": ["nobody_has", "user_admin"]})
    assert call("PATCH", f"{USERS}/{NATASHA_ID}", json={"title": "x"}, auth=SERVICE).status_code == 200


def test_a_column_that_asks_for_a_role_is_absent_or_silently_not_written(call, instance):
    call.control("POST", "/acls", {"name": "sys_user.email", "operation": "read", "roles": ["hr_admin"]})
    call.control("POST", "/acls", {"name": "sys_user.*", "operation": "write", "roles": ["hr_admin"]})
    call.control("POST", "/acls", {"name": "sys_user.title", "operation": "write", "roles": ["user_admin"]})
    sent = {"title": "Chief", "city": "Rome"}
    reply = call("PATCH", f"{USERS}/{NATASHA_ID}", json=sent, auth=SERVICE)
    assert reply.status_code == 200
    assert "email" not in reply.json()["result"]
    natasha = instance.get("sys_user", NATASHA_ID)
    assert (natasha["title"], natasha["city"]) == ("Chief", "")
    assert call.get(f"{USERS}/{NATASHA_ID}")["email"] == "natasha.ingram@example.com"


def test_the_rules_themselves_are_for_administrators(call):
    rules = "/api/now/table/sys_security_acl_role"
    call.control("POST", "/acls", {"name": "sys_user.email", "operation": "read", "roles": ["hr_admin"]})
    fields = "sys_security_acl.name,sys_user_role.name"
    assert call.get(rules, sysparm_fields=fields) == [
        {"sys_security_acl.name": "sys_user.email", "sys_user_role.name": "hr_admin"}
    ]
    assert call("GET", rules, auth=SERVICE).status_code == 403


def test_a_table_without_web_service_access_is_closed_to_everybody(call, instance):
    (table,) = instance.find("sys_db_object", name="sys_user_group")
    assert table["ws_access"] == "true"
    call.control("PATCH", f"/records/sys_db_object/{table['sys_id']}", {"ws_access": False})
    assert call("GET", GROUPS).status_code == 403
    assert call("GET", USERS).status_code == 200


def test_a_script_in_a_query_tells_the_caller_who_it_is(call):
    query = {"sysparm_query": "sys_id=javascript:gs.getUserID()", "sysparm_fields": "user_name"}
    for user, password in (("admin", "admin"), SERVICE):
        reply = call("GET", USERS, params=query, auth=(user, password))
        assert reply.json()["result"] == [{"user_name": user}]
