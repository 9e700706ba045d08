"""The ServiceNow emulator keeps the promises that its users build on. Spoken to over HTTP, as a client would; the
parser of the query language is also tested by itself.
"""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.emulators.servicenow import (
    CLIENT_ID,
    CLIENT_SECRET,
    INTEGRATION_USER,
    Instance,
    RateRule,
    Refusal,
    create_app,
    seed_instance,
)
from tests.emulators.servicenow.in_process import GROUPS, USERS, Caller, NoWaiting, body_of, item
from tests.emulators.servicenow.query import Condition, NotEmulated, Order, escape, parse
from tests.emulators.servicenow.seed import ADMIN_ID, FINANCE_ID, NATASHA_ID


@pytest.fixture
def runner():
    with asyncio.Runner(loop_factory=NoWaiting) as runner:
        runner.get_loop()
        yield runner


@pytest.fixture
def instance(runner):
    loop = runner.get_loop()
    instance = Instance(clock=lambda: 1_750_000_000 + loop.time())
    seed_instance(instance)
    return instance


@pytest.fixture
def call(instance, runner):
    return Caller(instance, runner)


@pytest.fixture
def pass_time(runner):
    return lambda seconds: runner.run(asyncio.sleep(seconds))


# The query language by itself


def test_a_query_is_groups_of_clauses_of_conditions():
    query = parse("a=1^ORa=2^bSTARTSWITHx^NQcISEMPTY^ORDERBYd^ORDERBYDESCe")
    first, second = query.groups
    assert first == (
        (Condition("a", "=", "1"), Condition("a", "=", "2")),
        (Condition("b", "STARTSWITH", "x"),),
    )
    assert second == ((Condition("c", "ISEMPTY", ""),),)
    assert query.order == (Order("d"), Order("e", descending=True))


@pytest.mark.parametrize("value", ["a^b", "^", "^^", "x^NQuser_nameISNOTEMPTY", "a^^^b", "^ORa=1"])
def test_an_escaped_value_cannot_leave_its_condition(value):
    query = parse(f"name={escape(value)}^active=true")
    assert query.groups == (((Condition("name", "=", value),), (Condition("active", "=", "true"),)),)


def test_a_caret_that_is_not_doubled_widens_the_query():
    assert len(parse("name=x^NQuser_nameISNOTEMPTY").groups) == 2


@pytest.mark.parametrize(
    ("text", "operator", "value"),
    [
        ("sys_idINa,b", "IN", "a,b"),
        ("sys_idNOT INa,b", "NOT IN", "a,b"),
        ("name!=x", "!=", "x"),
        ("sys_mod_count>=3", ">=", "3"),
        ("manager.nameLIKEx", "LIKE", "x"),
        ("nameCONTAINSx", "LIKE", "x"),
        ("name*x", "LIKE", "x"),
        ("sys_created_onBETWEENa@b", "BETWEEN", "a@b"),
        ("name=INx", "=", "INx"),
    ],
)
def test_operators_are_told_apart(text, operator, value):
    (((condition,),),) = parse(text).groups
    assert (condition.operator, condition.value) == (operator, value)


def test_what_cannot_be_read_is_dropped_and_said_so():
    query = parse("active=true^no operator here^EQ")
    assert query.groups == (((Condition("active", "=", "true"),),),)
    assert query.dropped == ("no operator here",)


def test_parts_that_servicenow_knows_and_the_emulator_does_not_are_refused_loudly(call):
    with pytest.raises(NotEmulated):
        parse("sys_created_onONToday@javascript:gs.beginningOfToday()")
    assert call("GET", USERS, params={"sysparm_query": "JOINsys_user.sys_id=x.user"}).status_code == 501


# Queries over the Table API


def test_equality_ignores_case_and_accents(call):
    call.insert(USERS, user_name="Müller@x.org")
    assert call.names("user_name=MULLER@x.org") == ["Müller@x.org"]
    assert call.names("user_nameINnobody,mullER@X.org") == ["Müller@x.org"]


def test_or_binds_to_the_condition_before_it_and_nq_starts_over(call):
    names = call.names("active=false^user_name=david.loo^ORuser_name=abel.tuter")
    assert names == ["david.loo"]
    widened = call.names("user_name=david.loo^active=true^NQuser_name=abel.tuter")
    assert widened == ["abel.tuter"]


def test_conditions_and_fields_walk_along_references(call):
    (row,) = call.get(
        USERS, sysparm_query="department.dept_head.user_name=natasha.ingram", sysparm_fields="department.name"
    )
    assert row == {"department.name": "Finance"}


def test_not_equal_matches_empty_values(call):
    assert "abel.tuter" in call.names("vip!=true^user_nameLIKEabel")
    assert call.names("department!=" + FINANCE_ID + "^user_name=abel.tuter") == ["abel.tuter"]


def test_empty_values_are_found(call):
    assert "abel.tuter" in call.names("departmentISEMPTY")
    assert call.names("departmentISNOTEMPTY") == ["natasha.ingram"]
    assert "abel.tuter" in call.names("department=NULL")


def test_rows_come_in_the_order_that_was_asked_for(call):
    up = call.names("user_nameINabel.tuter,beth.anglin,david.loo^ORDERBYuser_name")
    assert up == ["abel.tuter", "beth.anglin", "david.loo"]
    assert call.names("user_nameINabel.tuter,beth.anglin,david.loo^ORDERBYDESCuser_name") == up[::-1]


def test_text_and_range_operators_select(call):
    assert call.names("user_nameSTARTSWITHABEL") == ["abel.tuter"]
    assert call.names("user_nameENDSWITHtuter") == ["abel.tuter"]
    assert call.names("user_nameLIKEel.tu") == ["abel.tuter"]
    assert call.names("user_nameBETWEENabf@abz") == []
    assert call.names("user_nameBETWEENabd@abf") == ["abel.tuter"]
    assert call.names("sys_mod_count<1^user_name=abel.tuter") == ["abel.tuter"]
    assert call.names("sys_created_by=system^user_nameSAMEASuser_name^user_nameLIKEabel") == ["abel.tuter"]


def test_a_typing_error_in_a_filter_returns_the_whole_table(call, instance):
    everybody = {row["user_name"] for row in instance.rows("sys_user")}
    assert set(call.names("usr_name=abel.tuter")) == everybody
    assert set(call.names("nonsense")) == everybody


def test_an_instance_can_be_set_to_return_nothing_for_an_invalid_query(call, instance):
    instance.set_property("glide.invalid_query.returns_no_rows", "true")
    assert call.names("usr_name=abel.tuter") == []
    assert call.names("user_name=abel.tuter") == ["abel.tuter"]


def test_a_javascript_value_is_evaluated_and_leaves_a_mark(call, instance):
    assert call.names("sys_id= javascript:gs.getUserID()") == ["admin"]
    assert instance.scripts == ["gs.getUserID()"]


def test_the_id_that_a_script_asks_for_is_that_of_the_caller(call, instance):
    instance.accounts.passwords["abel.tuter"] = "secret"
    query = {"sysparm_query": "sys_id=javascript:gs.getUserID()"}
    found = call("GET", USERS, auth=("abel.tuter", "secret"), params=query).json()["result"]
    assert [row["user_name"] for row in found] == ["abel.tuter"]


def test_plain_pairs_accept_display_values_and_give_way_to_a_query(call):
    assert [row["user_name"] for row in call.get(USERS, department="Finance")] == ["natasha.ingram"]
    rows = call.get(USERS, department="Finance", sysparm_query="user_name=abel.tuter")
    assert [row["user_name"] for row in rows] == ["abel.tuter"]


# Reading


def test_values_are_strings_and_references_are_links(call, instance):
    (row,) = call.get(USERS, sysparm_query="user_name=natasha.ingram")
    assert row["active"] == "true"
    assert row["manager"] == ""
    assert row["sys_mod_count"] == "0"
    assert row["department"] == {
        "link": f"{instance.url}/api/now/table/cmn_department/{FINANCE_ID}",
        "value": FINANCE_ID,
    }
    assert row["sys_domain"]["value"] == "global"


def test_the_display_modes(call, instance):
    link = f"{instance.url}/api/now/table/cmn_department/{FINANCE_ID}"
    fields = {"sysparm_query": "user_name=natasha.ingram", "sysparm_fields": "department,country,title,notification"}

    def read(**params):
        return call.get(USERS, **fields, **params)[0]

    assert read(sysparm_exclude_reference_link="true")["department"] == FINANCE_ID
    shown = read(sysparm_display_value="True")
    assert shown["department"] == {"display_value": "Finance", "link": link}
    assert shown["country"] is None  # an empty choice is null, any other empty column ""
    assert shown["title"] == ""
    assert shown["notification"] == "Enable"
    both = read(sysparm_display_value="all")
    assert both["department"] == {"display_value": "Finance", "value": FINANCE_ID, "link": link}
    assert both["title"] == {"display_value": "", "value": ""}
    plain = read(sysparm_display_value="all", sysparm_exclude_reference_link="TRUE")
    assert plain["department"] == {"display_value": "Finance", "value": FINANCE_ID}


def test_unknown_fields_are_left_out_and_an_empty_list_means_all(call):
    (row,) = call.get(USERS, sysparm_query="user_name=admin", sysparm_fields="user_name,no_such_field")
    assert row == {"user_name": "admin"}
    (row,) = call.get(USERS, sysparm_query="user_name=admin", sysparm_fields="")
    assert "sys_updated_on" in row


def test_pages_carry_the_count_of_all_and_links_to_the_others(call, instance):
    total = instance.count("sys_user")
    reply = call(
        "GET", USERS, params={"sysparm_limit": 2, "sysparm_offset": 2, "sysparm_query": "active=true^ORactive=false"}
    )
    assert reply.headers["X-Total-Count"] == str(total)
    assert len(reply.json()["result"]) == 2
    for relation in ("first", "prev", "next", "last"):
        assert f'rel="{relation}"' in reply.headers["Link"]
    params = {"sysparm_limit": 2, "sysparm_suppress_pagination_header": "true"}
    assert "Link" not in call("GET", USERS, params=params).headers
    assert call("GET", USERS, params={"sysparm_offset": -1}).status_code == 400


def test_keyset_pages_reach_every_row_once(call, instance):
    for number in range(25):
        instance.insert(
            "sys_user", {"user_name": f"u{number}", "sys_id": f"Mixed_{number}" if number % 5 == 0 else None}
        )
    seen, cursor = [], ""
    while rows := call.get(
        USERS, sysparm_query=f"sys_id>{cursor}^ORDERBYsys_id", sysparm_limit=4, sysparm_fields="sys_id"
    ):
        seen += [row["sys_id"] for row in rows]
        cursor = seen[-1]
    assert len(seen) == len(set(seen)) == instance.count("sys_user")


def test_rows_are_hidden_after_the_window_was_cut(call, instance):
    instance.access.hidden_rows["sys_user"] = "active=true"
    reply = call("GET", USERS, params={"sysparm_limit": 100})
    assert [row["user_name"] for row in reply.json()["result"]] == ["david.loo"]
    assert reply.headers["X-Total-Count"] == str(instance.count("sys_user"))
    assert call("GET", f"{USERS}/{ADMIN_ID}").status_code == 404


def test_unreadable_fields_are_absent(call, instance):
    instance.access.unreadable["sys_user"] = {"locked_out"}
    assert "locked_out" not in call.get(f"{USERS}/{ADMIN_ID}")
    assert call.get(f"{USERS}/{ADMIN_ID}", sysparm_fields="locked_out,user_name") == {"user_name": "admin"}


def test_an_empty_list_is_404_in_version_1_only(call):
    for version, status in (("v1/", 404), ("v2/", 200), ("", 200)):
        reply = call("GET", f"/api/now/{version}table/sys_user?sysparm_query=user_name=nobody")
        assert reply.status_code == status


def test_head_answers_without_a_body(call):
    reply = call("HEAD", USERS)
    assert (reply.status_code, reply.content) == (200, b"")
    assert int(reply.headers["X-Total-Count"]) > 0


def test_answers_carry_the_headers_of_the_instance(call):
    headers = call("GET", f"{USERS}/{ADMIN_ID}").headers
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["Server"] == "ServiceNow"
    assert headers["X-Is-Logged-In"] == "true"
    assert "JSESSIONID=" in headers["Set-Cookie"]
    assert "X-RateLimit-Limit" not in headers


# Writing


def test_a_record_is_created_read_changed_and_deleted(call):
    made = call("POST", USERS, json={"user_name": "ada", "first_name": "Ada", "last_name": "Byron", "vip": True})
    row = made.json()["result"]
    assert made.status_code == 201
    assert made.headers["Location"].endswith(f"{USERS}/{row['sys_id']}")
    assert (row["name"], row["vip"], row["sys_created_by"], row["sys_mod_count"]) == ("Ada Byron", "true", "admin", "0")
    changed = call("PATCH", f"{USERS}/{row['sys_id']}", json={"last_name": "King", "title": ""}).json()["result"]
    assert (changed["name"], changed["sys_mod_count"], changed["user_name"]) == ("Ada King", "1", "ada")
    same = call("PUT", f"{USERS}/{row['sys_id']}", json={"last_name": "King"}).json()["result"]
    assert same["sys_mod_count"] == "1"
    gone = call("DELETE", f"{USERS}/{row['sys_id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert call("DELETE", f"{USERS}/{row['sys_id']}").status_code == 404


def test_values_are_cut_to_the_column_and_unknown_fields_ignored(call):
    row = call.insert(USERS, user_name="x" * 50, title="t" * 70, bunk_field="y", sys_created_by="somebody")
    assert (row["user_name"], row["title"], row["sys_created_by"]) == ("x" * 40, "t" * 60, "admin")
    assert "bunk_field" not in row


def test_choices_that_do_not_exist_are_not_stored_unless_allowed(call, instance):
    assert call.insert(USERS, user_name="a", country="Germany", gender="x")["country"] == ""
    assert call.insert(USERS, user_name="b", country="DE")["country"] == "DE"
    instance.set_property("glide.rest.choice.allow_non_existing_value", "true")
    assert call.insert(USERS, user_name="c", country="XX")["country"] == "XX"


def test_a_user_name_is_unique_whatever_its_case_and_accents(call):
    call.insert(USERS, user_name="josé", first_name="José", last_name="Diaz")
    reply = call("POST", USERS, json={"user_name": "JOSE", "first_name": "Jo", "last_name": "D"})
    assert reply.status_code == 403
    assert reply.json() == {
        "error": {"message": "Operation Failed", "detail": "Error during insert of sys_user (Jo D)"},
        "status": "failure",
    }
    renamed = call("PATCH", f"{USERS}/{NATASHA_ID}", json={"user_name": "José"})
    assert renamed.status_code == 403
    assert call("PATCH", f"{USERS}/{NATASHA_ID}", json={"user_name": "Natasha.INGRAM"}).status_code == 200


def test_a_client_may_choose_the_sys_id_once(call, instance):
    chosen = "c" * 32
    assert call.insert(GROUPS, name="A", sys_id=chosen)["sys_id"] == chosen
    assert call("POST", GROUPS, json={"name": "B", "sys_id": chosen}).status_code == 403
    instance.switches.client_sys_id = "ignored"
    assert call.insert(GROUPS, name="C", sys_id=chosen)["sys_id"] != chosen


def test_deactivation_locks_and_reactivation_does_not_unlock(call):
    user = f"{USERS}/{NATASHA_ID}"
    call("PATCH", user, json={"active": False, "locked_out": False})
    assert call.get(user)["locked_out"] == "true"
    call("PATCH", user, json={"active": True})
    assert (call.get(user)["active"], call.get(user)["locked_out"]) == ("true", "true")
    call("PATCH", user, json={"locked_out": False})
    assert call.get(user)["locked_out"] == "false"


def test_deletion_clears_references_and_takes_memberships_along(call, instance):
    group = call.insert(GROUPS, name="Team", manager=NATASHA_ID)
    for _ in range(2):  # the same membership twice is allowed
        call.insert("/api/now/table/sys_user_grmember", user=NATASHA_ID, group=group["sys_id"])
    assert len(instance.find("sys_user_grmember", user=NATASHA_ID)) == 2
    call("DELETE", f"{USERS}/{NATASHA_ID}")
    assert instance.find("sys_user_grmember", user=NATASHA_ID) == []
    assert call.get(f"{GROUPS}/{group['sys_id']}")["manager"] == ""
    assert call.get(f"/api/now/table/cmn_department/{FINANCE_ID}")["dept_head"] == ""


def test_a_reference_is_stored_as_sent_unless_display_values_are_input(call):
    assert call.insert(USERS, user_name="a", department="Finance")["department"]["value"] == "Finance"
    by_name = call(
        "POST", f"{USERS}?sysparm_input_display_value=true", json={"user_name": "b", "department": "finance"}
    )
    assert by_name.json()["result"]["department"]["value"] == FINANCE_ID


def test_a_write_can_go_without_a_reply_body(call):
    reply = call("POST", USERS, json={"user_name": "quiet"}, headers={"X-no-response-body": "true"})
    assert (reply.status_code, reply.content) == (201, b"")
    assert call.names("user_name=quiet") == ["quiet"]


def test_the_method_can_be_overridden(call):
    reply = call("POST", f"{USERS}/{NATASHA_ID}", json={"title": "X"}, headers={"X-HTTP-Method-Override": "PATCH"})
    assert (reply.status_code, reply.json()["result"]["title"]) == (200, "X")


def test_protected_fields_are_not_written_and_nobody_is_told(call, instance):
    instance.access.unwritable["sys_user"] = {"email"}
    reply = call("PATCH", f"{USERS}/{NATASHA_ID}", json={"email": "new@example.com", "title": "Y"})
    assert reply.status_code == 200
    assert reply.json()["result"]["email"] == "natasha.ingram@example.com"
    assert reply.json()["result"]["title"] == "Y"


def test_a_custom_column_is_a_column(call, instance):
    instance.add_column("sys_user", "u_entra_object_id", max_length=36)
    assert call.insert(USERS, user_name="a", u_entra_object_id="1" * 40)["u_entra_object_id"] == "1" * 36
    assert call.names("u_entra_object_id=" + "1" * 36) == ["a"]


# Refusals


@pytest.mark.parametrize(
    ("request_line", "sent", "status", "message", "detail"),
    [
        ("GET /api/now/table/nope", {}, 400, "Invalid table nope", None),
        (f"POST {USERS}/{ADMIN_ID}", {"json": {}}, 405, "Method not supported", None),
        (f"PATCH {USERS}", {"json": {}}, 405, "Method not supported", None),
        (
            f"GET {USERS}/nope",
            {},
            404,
            "No Record found",
            "Record doesn't exist or ACL restricts the record retrieval",
        ),
        (
            f"POST {USERS}",
            {"content": b"x", "headers": {"Content-Type": "text/plain"}},
            415,
            "Unsupported Media Type",
            "text/plain",
        ),
    ],
)
def test_refusals_say_what_servicenow_says(call, request_line, sent, status, message, detail):
    reply = call(*request_line.split(), **sent)
    assert reply.status_code == status
    assert reply.json() == {"error": {"message": message, "detail": detail}, "status": "failure"}


def test_a_body_that_is_not_json_is_refused(call):
    reply = call("POST", USERS, content=b"{", headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "Exception while reading request")


def test_access_rules_refuse_with_their_own_words(call, instance):
    instance.access.no_insert.add("sys_user")
    instance.access.no_update.add("sys_user")
    instance.access.no_query.add("sys_user_group")
    detail = call("POST", USERS, json={}).json()["error"]["detail"]
    assert detail == "ACL Exception Insert Failed due to security constraints"
    detail = call("PATCH", f"{USERS}/{ADMIN_ID}", json={}).json()["error"]["detail"]
    assert detail == "ACL Exception Update Failed due to security constraints"
    reply = call("GET", GROUPS)
    assert (reply.status_code, reply.json()["error"]["message"]) == (403, "Insufficient rights to query records")


def test_an_unknown_route_is_refused_loudly(call):
    reply = call("GET", "/api/now/stats/sys_user")
    assert reply.status_code == 404
    assert "the ServiceNow emulator does not know GET /api/now/stats/sys_user" in reply.json()["error"]["detail"]


def test_a_url_beyond_the_limit_gets_an_html_page(call):
    reply = call("GET", USERS, params={"sysparm_query": "sys_idIN" + "x" * 23_000})
    assert reply.status_code == 400
    assert reply.headers["Content-Type"].startswith("text/html")


# Signing in


def test_wrong_or_missing_credentials_are_401(call):
    for auth in (None, ("admin", "wrong"), ("nobody", "")):
        reply = call("GET", USERS, auth=auth)
        assert reply.status_code == 401
        assert reply.json()["error"]["message"] == "User Not Authenticated"


def test_an_account_that_is_locked_or_inactive_cannot_sign_in(call, instance):
    instance.accounts.passwords["abel.tuter"] = "secret"
    (abel,) = instance.find("sys_user", user_name="abel.tuter")
    assert call("GET", USERS, auth=("abel.tuter", "secret")).status_code == 200
    instance.update("sys_user", abel["sys_id"], {"locked_out": True})
    assert call("GET", USERS, auth=("abel.tuter", "secret")).status_code == 401


def test_new_instances_refuse_basic_authentication_of_interactive_accounts(call, instance):
    instance.switches.basic_auth = "web_service_only"
    assert call("GET", USERS).status_code == 401
    assert call("GET", USERS, auth=(INTEGRATION_USER, CLIENT_SECRET)).status_code == 200


def token(call, **form):
    form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **form}
    return call("POST", "/oauth_token.do", data=form, auth=None)


def use(call, access_token):
    return call("GET", USERS, auth=None, headers={"Authorization": f"Bearer {access_token}"}).status_code


def test_client_credentials_give_the_same_token_while_it_lives(call, pass_time):
    first = token(call, grant_type="client_credentials").json()
    assert (first["expires_in"], first["token_type"], first["scope"]) == (1799, "Bearer", "useraccount")
    assert "refresh_token" not in first
    assert use(call, first["access_token"]) == 200
    pass_time(600)
    again = token(call, grant_type="client_credentials").json()
    assert (again["access_token"], again["expires_in"]) == (first["access_token"], 1199)
    pass_time(1300)
    assert use(call, first["access_token"]) == 401
    assert token(call, grant_type="client_credentials").json()["access_token"] != first["access_token"]


def test_writes_are_signed_by_the_application_user(call):
    access_token = token(call, grant_type="client_credentials").json()["access_token"]
    made = call("POST", USERS, json={"user_name": "a"}, auth=None, headers={"Authorization": f"Bearer {access_token}"})
    assert made.json()["result"]["sys_created_by"] == INTEGRATION_USER


def test_a_password_gives_a_token_that_can_be_refreshed(call, pass_time):
    first = token(call, grant_type="password", username="admin", password="admin").json()
    pass_time(2000)
    second = token(call, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["access_token"] != first["access_token"]
    assert use(call, second["access_token"]) == 200
    # An account for web services only cannot use the password grant.
    denied = token(call, grant_type="password", username=INTEGRATION_USER, password=CLIENT_SECRET)
    assert denied.status_code == 401


def test_a_signed_assertion_is_good_once(call, instance):
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    instance.accounts.add_client(CLIENT_ID, CLIENT_SECRET, public_key=public.decode())
    claims = {"aud": CLIENT_ID, "sub": "abel.tuter", "exp": int(instance.now()) + 60, "jti": "1"}
    sent = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": jwt.encode(claims, key, algorithm="ES256"),
    }
    assert use(call, token(call, **sent).json()["access_token"]) == 200
    assert token(call, **sent).status_code == 401


def test_a_wrong_secret_and_a_json_body_are_denied(call):
    denied = {"error_description": "access_denied", "error": "server_error"}
    wrong = token(call, grant_type="client_credentials", client_secret="wrong")
    assert (wrong.status_code, wrong.json()) == (401, denied)
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert call("POST", "/oauth_token.do", json=form, auth=None).json() == denied


def test_revoked_tokens_are_401_at_once(call, instance):
    access_token = token(call, grant_type="client_credentials").json()["access_token"]
    instance.accounts.revoke_tokens()
    assert use(call, access_token) == 401
    assert use(call, token(call, grant_type="client_credentials").json()["access_token"]) == 200


def test_an_api_key_signs_in(call, instance):
    instance.accounts.api_keys["key"] = INTEGRATION_USER
    assert call("GET", USERS, auth=None, headers={"x-sn-apikey": "key"}).status_code == 200
    assert call("GET", USERS, auth=None, headers={"x-sn-apikey": "other"}).status_code == 401


# Batches


def test_a_batch_answers_each_item_with_its_own_status(call, instance):
    reply = call.batch(
        item("a", "POST", USERS, {"user_name": "new"}),
        item("b", "PATCH", f"{USERS}/nope", {"title": "x"}),
        item(3, "DELETE", f"{USERS}/{NATASHA_ID}"),
        item("d", "GET", f"{USERS}?sysparm_query=name=Abel+Tuter&sysparm_fields=user_name"),
        item("e", "GET", "/api/now/unknown"),
        batch_id=7,
    ).json()
    assert reply["batch_request_id"] == "7"
    assert reply["unserviced_requests"] == []
    statuses = {one["id"]: (one["status_code"], one["status_text"]) for one in reply["serviced_requests"]}
    assert statuses == {
        "a": (201, "Created"),
        "b": (404, "Not Found"),
        "3": (204, "No Content"),
        "d": (200, "OK"),
        "e": (404, "Not Found"),
    }
    by_id = {one["id"]: one for one in reply["serviced_requests"]}
    assert by_id["3"]["body"] == ""
    assert body_of(by_id["d"]) == {"result": [{"user_name": "abel.tuter"}]}
    assert {"name": "Content-Type", "value": "application/json;charset=UTF-8"} in by_id["a"]["headers"]
    assert instance.get("sys_user", NATASHA_ID) is None


def test_an_item_with_a_body_needs_a_content_type(call):
    bare = item("a", "POST", USERS, {"user_name": "x"})
    bare["headers"] = []
    assert call.batch(bare).json()["serviced_requests"][0]["status_code"] == 400


def test_a_batch_ends_after_thirty_seconds_of_service_time(call, instance, runner):
    instance.capacity.set_times(insert=4.0)
    began = runner.get_loop().time()
    items = [item(str(number), "POST", USERS, {"user_name": f"u{number}"}) for number in range(10)]
    reply = call.batch(*items).json()
    assert len(reply["serviced_requests"]) == 7
    assert reply["unserviced_requests"] == ["7", "8", "9"]
    assert reply["serviced_requests"][0]["execution_time"] == 4000
    assert runner.get_loop().time() - began == pytest.approx(30.0)
    assert not instance.find("sys_user", user_name="u7")


def test_the_item_in_flight_at_the_limit_may_have_been_done(call, instance):
    instance.capacity.set_times(insert=20.0)
    instance.switches.batch_in_flight = "done"
    reply = call.batch(*(item(str(n), "POST", USERS, {"user_name": f"u{n}"}) for n in range(3))).json()
    assert reply["unserviced_requests"] == ["1", "2"]
    assert instance.find("sys_user", user_name="u1")
    assert not instance.find("sys_user", user_name="u2")


def test_a_batch_occupies_one_slot_for_all_its_items(call, instance):
    instance.capacity.set_times(insert=1.0)
    call.batch(*(item(str(n), "POST", USERS, {"user_name": f"u{n}"}) for n in range(5)))
    measures = instance.capacity.measures()
    assert (measures["busy_seconds"], measures["peak_busy"]) == (5.0, 1)


# Capacity


def test_four_slots_serve_four_at_a_time_and_the_queue_waits(call, instance, runner):
    instance.capacity.set_times(insert=1.0)
    began = runner.get_loop().time()
    replies = call.together([("POST", USERS, {"json": {"user_name": f"u{n}"}}) for n in range(12)])
    assert {reply.status_code for reply in replies} == {201}
    assert runner.get_loop().time() - began == pytest.approx(3.0)
    assert instance.capacity.measures()["peak_busy"] == 4


def test_beyond_slots_and_queue_calls_are_refused_without_rate_headers(call, instance):
    instance.capacity.set_times(read=1.0)
    replies = call.together([("GET", f"{USERS}/{ADMIN_ID}", {})] * 60)
    refused = [reply for reply in replies if reply.status_code == 429]
    assert len(refused) == 6
    assert not any(name.lower().startswith("x-ratelimit") for name in refused[0].headers)


def test_nodes_take_turns(call, instance):
    instance.capacity.set(nodes=2, slots_per_node=1, queue=0)
    instance.capacity.set_times(read=1.0)
    replies = call.together([("GET", f"{USERS}/{ADMIN_ID}", {})] * 3)
    assert sorted(reply.status_code for reply in replies) == [200, 200, 429]


def test_service_times_spread_around_their_mean_and_repeat(instance):
    instance.capacity.set_times(insert=1.0, spread=0.4)
    drawn = [instance.capacity.draw("insert") for _ in range(4000)]
    assert sum(drawn) / len(drawn) == pytest.approx(1.0, abs=0.05)
    instance.capacity.forget()
    assert instance.capacity.draw("insert") == drawn[0]


def test_the_instance_finishes_what_a_caller_has_left(instance, runner):
    instance.capacity.set_times(insert=5.0)

    async def impatient():
        transport = httpx.ASGITransport(create_app(instance))
        async with httpx.AsyncClient(transport=transport, base_url="http://x", auth=("admin", "admin")) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.post(USERS, json={"user_name": "late"})
        await asyncio.sleep(10)

    runner.run(impatient())
    assert instance.find("sys_user", user_name="late")
    assert instance.capacity.measures()["busy"] == 0


def test_work_beyond_the_transaction_limit_is_cancelled(call, instance):
    instance.capacity.set_times(read=61.0)
    reply = call("GET", USERS)
    assert reply.status_code == 500
    assert reply.json()["error"]["message"] == "Transaction cancelled: maximum execution time exceeded"


def test_calls_that_share_a_session_wait_for_each_other_and_are_thrown_away(call, instance):
    instance.capacity.set_times(read=1.0)
    shared = {"headers": {"Cookie": "JSESSIONID=1"}}
    replies = call.together([("GET", f"{USERS}/{ADMIN_ID}", shared)] * 20)
    statuses = [reply.status_code for reply in replies]
    assert (statuses.count(200), statuses.count(202)) == (11, 9)
    assert instance.capacity.measures()["peak_busy"] == 1


def test_a_rate_rule_says_when_to_come_back_but_only_after_its_counters_were_flushed(call, instance, pass_time):
    instance.rate_rule = RateRule(limit=3)
    burst = [call("GET", f"{USERS}/{ADMIN_ID}") for _ in range(5)]
    assert {reply.status_code for reply in burst} == {200}
    assert burst[0].headers["X-RateLimit-Limit"] == "3"
    pass_time(31)
    late = call("GET", f"{USERS}/{ADMIN_ID}")
    assert late.status_code == 429
    assert late.json()["error"]["detail"] == "Rate limit of 3 requests per hour for Table API exceeded"
    assert 0 < int(late.headers["Retry-After"]) <= 3600
    pass_time(3600)
    assert call("GET", f"{USERS}/{ADMIN_ID}").status_code == 200


# Faults


def test_the_next_two_inserts_lose_their_reply(call, instance):
    instance.faults.add("POST sys_user", "reply_lost", times=2)
    for name in ("a", "b"):
        with pytest.raises(httpx.RemoteProtocolError):
            call("POST", USERS, json={"user_name": name})
        assert instance.find("sys_user", user_name=name)
    assert call("POST", USERS, json={"user_name": "c"}).status_code == 201


def test_a_fault_can_meet_an_item_of_a_batch(call, instance):
    instance.faults.add("batch: POST sys_user", "denied_after_write", where={"user_name": "b"})
    reply = call.batch(*(item(name, "POST", USERS, {"user_name": name}) for name in "abc")).json()
    assert [one["status_code"] for one in reply["serviced_requests"]] == [201, 403, 201]
    assert instance.find("sys_user", user_name="b")


def test_a_lost_item_loses_the_reply_of_its_batch_but_not_the_work(call, instance):
    instance.faults.add("POST sys_user", "reply_lost")
    with pytest.raises(httpx.RemoteProtocolError):
        call.batch(*(item(name, "POST", USERS, {"user_name": name}) for name in "ab"))
    assert instance.find("sys_user", user_name="b")


def test_a_batch_can_be_cut_after_some_items(call, instance):
    instance.faults.add("POST batch", "batch_cut", after_items=1)
    reply = call.batch(*(item(name, "POST", USERS, {"user_name": name}) for name in "ab")).json()
    assert reply["unserviced_requests"] == ["b"]


@pytest.mark.parametrize(
    ("effect", "details", "status", "done"),
    [
        ("status", {"status": 503}, 503, False),
        ("html", {"status": 502}, 502, False),
        ("hibernating", {}, 200, False),
        ("unauthorized", {}, 401, False),
        ("too_many", {"retry_after": "7"}, 429, False),
        ("dropped_session", {}, 202, False),
        ("rule", {"detail": "No more users"}, 403, False),
        ("denied_after_write", {}, 403, True),
        ("status_after_write", {"status": 500}, 500, True),
        ("slow", {"seconds": 20.0}, 201, True),
    ],
)
def test_faults_of_single_calls(call, instance, effect, details, status, done):
    fault = instance.faults.add("POST sys_user", effect, **details)
    reply = call("POST", USERS, json={"user_name": "a"})
    assert reply.status_code == status
    assert bool(instance.find("sys_user", user_name="a")) is done
    assert fault.happened == 1
    assert reply.headers.get("Retry-After") == details.get("retry_after")
    assert reply.headers.get("Content-Type", "").startswith("text/html") is (effect in {"html", "hibernating"})
    if effect == "rule":
        assert "was aborted by Business Rule 'No more users^" in reply.json()["error"]["detail"]


def test_a_stream_can_be_cut_under_a_200(call, instance):
    instance.faults.add("GET sys_user", "cut_stream")
    reply = call("GET", USERS)
    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert "Transaction cancelled" in reply.text
    instance.faults.add("GET sys_user", "error_in_stream")
    reply = call("GET", USERS).json()
    assert len(reply["result"]) == 1
    assert reply["error"]["message"].startswith("Transaction cancelled")


def test_fields_can_be_dropped_from_a_write_under_a_200(call, instance):
    instance.faults.add("PATCH sys_user", "drop_fields", fields=("email",))
    row = call("PATCH", f"{USERS}/{NATASHA_ID}", json={"email": "x@example.com", "title": "T"}).json()["result"]
    assert (row["email"], row["title"]) == ("natasha.ingram@example.com", "T")


def test_a_connection_can_break_before_anything_is_done(call, instance):
    instance.faults.add("* sys_user", "refused_connection")
    with pytest.raises(httpx.RemoteProtocolError):
        call("POST", USERS, json={"user_name": "a"})
    assert not instance.find("sys_user", user_name="a")


# The dictionary and the control API


def test_the_schema_is_readable_as_rows_and_as_meta(call):
    (column,) = call.get("/api/now/table/sys_dictionary", sysparm_query="name=sys_user^element=user_name")
    assert (column["max_length"], column["unique"], column["internal_type"]) == ("40", "true", "string")
    assert call.get("/api/now/table/sys_db_object", sysparm_query="name=sys_user")[0]["label"] == "User"
    choices = call.get("/api/now/table/sys_choice", sysparm_query="name=sys_user^element=notification")
    assert {choice["value"] for choice in choices} == {"1", "2"}
    columns = call.get("/api/now/ui/meta/sys_user")["columns"]
    assert columns["manager"]["reference"] == "sys_user"
    roles = call.get(
        "/api/now/table/sys_user_has_role", sysparm_query="user.user_name=admin", sysparm_fields="role.name"
    )
    assert roles == [{"role.name": "admin"}]


def test_requests_are_counted_by_kind_and_the_control_api_is_not(call):
    call("GET", USERS)
    call.batch(item("a", "PATCH", f"{USERS}/{NATASHA_ID}", {"title": "x"}), item("b", "GET", USERS))
    counts = call("GET", "/_emulator/counts", auth=None).json()
    assert counts["requests"] == {
        "GET sys_user": 1,
        "POST batch": 1,
        "batch: PATCH sys_user": 1,
        "batch: GET sys_user": 1,
    }
    assert counts["statuses"] == {"200": 2}


def test_the_control_api_acts_as_another_person(call, instance):
    made = call(
        "POST", "/_emulator/records/sys_user", auth=None, json={"user_name": "by.hand", "by": "abel.tuter"}
    ).json()
    assert made["sys_created_by"] == "abel.tuter"
    path = f"/_emulator/records/sys_user/{made['sys_id']}"
    assert call("PATCH", path, auth=None, json={"title": "T"}).json()["title"] == "T"
    assert call("GET", "/_emulator/records/sys_user?query=user_name=by.hand", auth=None).json()[0]["title"] == "T"
    assert call("DELETE", path, auth=None).status_code == 200
    assert instance.get("sys_user", made["sys_id"]) is None


def test_the_control_api_sets_what_goes_wrong_and_how_fast(call, instance):
    assert (
        call("POST", "/_emulator/faults", json={"on": "GET sys_user", "effect": "status", "status": 500}).status_code
        == 200
    )
    assert call("GET", USERS).status_code == 500
    assert call("POST", "/_emulator/faults", json={"on": "GET sys_user", "effect": "nonsense"}).status_code == 400
    call("PUT", "/_emulator/service-times", json={"read": 2.0})
    call("PUT", "/_emulator/capacity", json={"nodes": 2})
    call("GET", USERS)
    measures = call("GET", "/_emulator/capacity").json()
    assert (measures["busy_seconds"], measures["nodes"]) == (2.0, 2)
    call("PATCH", "/_emulator/switches", json={"client_sys_id": "ignored"})
    call("PATCH", "/_emulator/access", json={"unreadable": {"sys_user": ["email"]}, "no_insert": ["sys_user"]})
    call("PUT", "/_emulator/rate-rule", json={"limit": 5})
    call("PUT", "/_emulator/properties", json={"glide.invalid_query.returns_no_rows": "true"})
    assert instance.switches.client_sys_id == "ignored"
    assert instance.access.unreadable["sys_user"] == {"email"}
    assert instance.rate_rule.limit == 5
    assert instance.property("glide.invalid_query.returns_no_rows") == "true"


def test_the_control_api_names_its_routes_to_who_guesses_wrong(call, instance):
    reply = call("GET", "/_emulator/nope", auth=None)
    assert reply.status_code == 404
    assert "POST /_emulator/faults" in reply.json()["known"]
    assert call("GET", "/_emulator", auth=None).json()["records"]["sys_user"] == instance.count("sys_user")
    assert not instance.counts


def test_the_control_api_resets_and_seeds_with_given_names(call, instance):
    call("POST", "/_emulator/reset")
    assert instance.count("sys_user") == 0
    call("POST", "/_emulator/seed", json={"departments": ["Astronomy"], "seed": 2})
    assert [row["name"] for row in instance.rows("cmn_department")] == ["Astronomy"]
    assert instance.get("sys_user", ADMIN_ID)["name"] == "System Administrator"


# In process, and at size


def test_the_state_is_usable_without_http():
    instance = Instance()
    ada = instance.insert("sys_user", {"user_name": "ada", "first_name": "Ada"}, by="me")
    assert instance.update("sys_user", ada["sys_id"], {"active": False})["locked_out"] == "true"
    assert instance.find("sys_user", user_name="ada")[0]["sys_created_by"] == "me"
    instance.delete("sys_user", ada["sys_id"])
    assert instance.rows("sys_user") == []
    with pytest.raises(Refusal):
        instance.delete("sys_user", ada["sys_id"])
    with pytest.raises(KeyError):
        instance.find("sys_user", no_such_column="x")


def test_lookups_and_pages_do_not_grow_with_the_table(call, instance):
    group = instance.insert("sys_user_group", {"name": "Big"})["sys_id"]
    for number in range(20_000):
        user = instance.insert("sys_user", {"user_name": f"user{number}@contoso.com", "active": True})["sys_id"]
        if number % 10 == 0:
            instance.insert("sys_user_grmember", {"user": user, "group": group})
    some = ",".join(f"USER{number}@contoso.com" for number in range(0, 20_000, 400))
    assert len(call.names(f"user_nameIN{some}")) == 50
    users = ",".join(row["sys_id"] for row in instance.rows("sys_user", f"user_nameIN{some}"))
    began = time.process_time()
    for _ in range(20):
        assert len(call.names(f"user_nameIN{some}", sysparm_fields="user_name")) == 50
        assert len(call.get("/api/now/table/sys_user_grmember", sysparm_query=f"group={group}^userIN{users}")) == 50
        page = call.get(
            USERS, sysparm_query="active=true^sys_id>8^ORDERBYsys_id", sysparm_limit=20, sysparm_fields="sys_id"
        )
        assert len(page) == 20
    assert (time.process_time() - began) / 60 < 0.02  # a scan of each would take several times as long


def test_rows_stay_in_order_while_they_come_and_go():
    instance = Instance()
    made = [instance.insert("sys_user", {"user_name": f"u{number}"})["sys_id"] for number in range(300)]
    for gone in made[::3]:
        instance.delete("sys_user", gone)
    assert [row["sys_id"] for row in instance.rows("sys_user")] == sorted(set(made) - set(made[::3]))
    for back in made[:30:3]:
        instance.insert("sys_user", {"user_name": back, "sys_id": back})
        assert instance.rows("sys_user", f"user_name={back}")[0]["sys_id"] == back
    present = [row["sys_id"] for row in instance.rows("sys_user")]
    assert present == sorted(present)
    assert len(present) == instance.count("sys_user") == 210


_FIELDS = st.sampled_from(["user_name", "title", "department", "active", "sys_id", "department.name", "nope"])
_VALUES = st.sampled_from(["", "a", "A", "ä", "b", "NULL", "true", "false", "a,b", FINANCE_ID, "1" * 32])
_TERMS = st.builds(
    "{}{}{}".format, _FIELDS, st.sampled_from(["=", "!=", "IN", "NOT IN", "STARTSWITH", ">", "LIKE"]), _VALUES
)
_QUERIES = st.lists(st.tuples(st.sampled_from(["^", "^OR", "^NQ"]), _TERMS), min_size=1, max_size=4).map(
    lambda parts: "".join(joint + term for joint, term in parts)
)


@given(
    query=_QUERIES,
    users=st.lists(st.tuples(_VALUES, st.sampled_from(["", FINANCE_ID]), st.booleans()), max_size=6),
)
def test_an_index_and_a_look_at_every_row_select_alike(query, users):
    instance = Instance()
    instance.insert("cmn_department", {"sys_id": FINANCE_ID, "name": "a"})
    for number, (title, department, active) in enumerate(users):
        fields = {"user_name": f"{title}{number}", "title": title, "department": department, "active": active}
        instance.insert("sys_user", fields | ({"sys_id": "1" * 32} if number == 0 else {}))
    accepts = instance.evaluation.accepting("sys_user", parse(query))
    expected = [row["sys_id"] for row in instance.rows("sys_user") if accepts(row)]
    assert [row["sys_id"] for row in instance.rows("sys_user", query)] == expected
