"""The capability probe: each thing that it looks at, well and not well, with what is missing named in words, and what
it leaves behind: nothing.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest

from provisioning.adapters.servicenow import ServiceNowTarget, credentials
from provisioning.adapters.servicenow.trial import try_writes
from provisioning.adapters.servicenow.usage import usages
from provisioning.model import Column
from provisioning.schema import default_schema, dump, load_schema
from tests.emulators.servicenow import CLIENT_SECRET, INTEGRATION_USER, RateRule
from tests.servicenow_world import World

WRITES = ("POST sys_", "PUT sys_", "PATCH sys_", "DELETE sys_")
MAPPED = ("sys_user", "sys_user_group", "sys_user_grmember")
ENTRA_OBJECT = "u_entra_object_id"


@pytest.fixture
def world(runner):
    return World(runner)


def found(report):
    """The findings by what they are about."""
    by_what = {finding.what: finding for finding in report.findings}
    assert len(by_what) == len(report.findings)
    return by_what


def bad(report):
    return {what: finding for what, finding in found(report).items() if finding.verdict != "ok"}


def worse(world, **how):
    """What is not as it is in the world as it was made, where only the default of ServiceNow's filters is noted."""
    return {what: finding for what, finding in bad(world.check(**how)).items() if what != "unknown filters"}


def writes(world):
    return {
        kind: number
        for kind, number in world.instance.counts.items()
        if kind.removeprefix("batch: ").startswith(WRITES) and number
    }


def snapshot(world):
    return {table: world.instance.rows(table) for table in MAPPED}


def service_user(world):
    (user,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    return user["sys_id"]


def take_roles(world, *names):
    for name in names:
        (role,) = world.instance.find("sys_user_role", name=name)
        for row in world.instance.find("sys_user_has_role", user=service_user(world), role=role["sys_id"]):
            world.instance.delete("sys_user_has_role", row["sys_id"])


def give_role(world, name):
    known = world.instance.find("sys_user_role", name=name)
    role = known[0] if known else world.instance.insert("sys_user_role", {"name": name})
    fields = {"user": service_user(world), "role": role["sys_id"], "state": "active"}
    world.instance.insert("sys_user_has_role", fields)


def basic(world, *login):
    user, password = login or ("admin", "admin")
    session = world.another_session(credentials("basic", username=user, password=password))
    return world.check(ServiceNowTarget(session), login="basic")


# The instance as it should be


def test_a_check_that_finds_all_well_says_what_it_looked_at_and_writes_nothing(world):
    before = snapshot(world)
    report = world.check()
    assert worse(world) == {}
    whats = [finding.what for finding in report.findings]
    assert whats[:5] == ["client", "connection", "credentials", "clock", "rate limit"]
    assert "readable, with all 21 columns" in found(report)["table sys_user"].detail
    assert found(report)["roles"].detail == "itil, personalize_dictionary, user_admin"
    assert writes(world) == {}
    assert snapshot(world) == before


def test_what_is_not_well_always_comes_with_a_way_out_and_who_can_do_it(world):
    take_roles(world, "user_admin")
    world.instance.access.unreadable["sys_user"].add("email")
    world.instance.access.no_query.add("cmn_location")
    world.instance.switches.clock_skew = 100
    findings = bad(world.check()).values()
    assert len(findings) >= 5
    assert all(finding.way_out and finding.owner for finding in findings)


def test_the_capabilities_say_what_the_instance_can_do_and_who_asked_when(world):
    known = world.check().capabilities
    assert known.instance == "contoso.service-now.com"
    assert (known.when, known.skew) == (world.time, 0)
    assert "httpx" in known.versions
    assert (known.batch, known.honours_sys_ids) == (True, None)
    assert (known.drops_unknown_filters, known.sees_inactive) == (True, True)
    assert known.own_sys_id == service_user(world)
    assert {"sys_user", "sys_user_group", "sys_user_grmember", "cmn_department"} <= set(known.ranges_on)


def test_mappings_that_are_switched_off_need_no_rights(world):
    document = dump(default_schema())
    for rule in document["synchronizationRules"]:
        for mapping in rule["objectMappings"]:
            if mapping["targetObjectName"] == "sys_user_group":
                mapping["enabled"] = False
    world.instance.access.no_query |= {"sys_user_group", "sys_user_grmember"}
    take_roles(world, "itil")
    schema = load_schema(document)
    assert not any("group" in what or "grmember" in what for what in found(world.check(schema=schema)))
    assert worse(world, schema=schema) == {}


# The way in


def unreachable(request):
    raise httpx.ConnectError("no route", request=request)


def test_a_host_that_cannot_be_reached_is_the_last_thing_said(world):
    world.wire.meddle = unreachable
    report = world.check()
    assert [finding.what for finding in report.findings] == ["client", "connection"]
    failed = report.findings[-1]
    assert (failed.verdict, failed.owner) == ("failed", "operator of this app")
    assert "SERVICENOW_INSTANCE" in failed.way_out
    assert report.capabilities is None


@pytest.mark.parametrize("where", ["GET sys_user", "POST batch"])
def test_an_instance_that_hibernates_is_told_with_how_to_wake_it(world, where):
    world.instance.faults.add(where, "hibernating", times=None)
    report = world.check()
    failed = report.findings[-1]
    assert (failed.what, failed.verdict) == ("connection", "failed")
    assert "Wake it up" in failed.way_out
    assert report.capabilities is None


def test_wrong_credentials_are_shown_at_most_twice_and_never_told(runner):
    world = World(runner)
    world.instance.switches.lock_out_after = 3
    report = basic(world, INTEGRATION_USER, "wrong-secret")
    failed = report.findings[-1]
    assert [finding.what for finding in report.findings] == ["client", "connection", "credentials"]
    assert (failed.verdict, failed.owner) == ("failed", "ServiceNow administrator")
    assert len(world.wire.requests) == 2
    assert "wrong-secret" not in repr(report)
    assert basic(world, INTEGRATION_USER, CLIENT_SECRET).capabilities is not None  # it is not locked


def test_a_right_password_that_gets_401_is_told_with_the_restriction_of_basic_authentication(world):
    world.instance.switches.basic_auth = "web_service_only"
    failed = basic(world).findings[-1]
    assert (failed.what, failed.verdict) == ("credentials", "failed")
    assert "shut for interactive accounts" in failed.detail
    for way in ("SERVICENOW_AUTH=oauth-client-credentials", "Web service access only", "snc_basic_auth_api_access"):
        assert way in failed.way_out
    assert len(world.wire.requests) == 2
    assert basic(world, INTEGRATION_USER, CLIENT_SECRET).capabilities is not None


def test_an_oauth_client_that_is_refused_is_not_told_about_basic_authentication(world):
    world.instance.accounts.clients.clear()
    failed = world.check().findings[-1]
    assert (failed.what, failed.verdict) == ("credentials", "failed")
    assert "application user" in failed.way_out
    assert "interactive" not in failed.detail


@pytest.mark.parametrize(
    ("skew", "login", "verdict", "says"),
    [
        (30, "oauth-jwt", "ok", "within 60 s"),
        (90, "oauth-jwt", "warning", "90 s ahead of"),
        (-7200, "basic", "warning", "7,200 s behind"),
        (-400, "oauth-jwt", "failed", "signed assertions need less than 300 s"),
    ],
)
def test_the_clock_of_the_instance_is_compared_with_ours(world, skew, login, verdict, says):
    world.instance.switches.clock_skew = skew
    clock = found(world.check(login=login))["clock"]
    assert clock.verdict == verdict
    assert says in clock.detail


def test_an_instance_that_tells_no_time_is_noted(world):
    world.wire.meddle = lambda request: (
        httpx.Response(200, json={"result": []}) if request.url.path.endswith("/sys_user") else request
    )
    report = world.check()
    assert found(report)["clock"].verdict == "warning"
    assert report.capabilities.skew is None


def test_a_rule_that_limits_requests_is_told_with_its_limit(world):
    world.instance.rate_rule = RateRule(limit=1000)
    limited = found(world.check())["rate limit"]
    assert limited.verdict == "warning"
    assert "1000 requests an hour" in limited.detail


# The account


def test_who_we_are_is_told_for_every_kind_of_login(world):
    assert found(world.check())["account"].detail.startswith(f"{INTEGRATION_USER}, sys_id {service_user(world)}")
    assert found(basic(world))["account"].detail.startswith("admin, sys_id ")


def test_an_account_that_can_log_in_to_the_user_interface_is_noted(world):
    assert found(world.check())["web service access only"].verdict == "ok"
    noted = bad(basic(world))
    assert noted["web service access only"].verdict == "warning"
    assert "it is admin" in noted["roles"].detail


def test_an_account_that_is_locked_out_is_told(world):
    (admin,) = world.instance.find("sys_user", user_name="admin")
    world.instance.update("sys_user", admin["sys_id"], {"locked_out": "true"})
    assert bad(basic(world))["account state"].verdict == "failed"


def test_an_account_that_may_not_read_itself_leaves_its_roles_unknown_and_no_more(world):
    world.instance.access.hidden_rows["sys_user"] = f"user_name={INTEGRATION_USER}"
    wrong = worse(world)
    assert set(wrong) == {"account", "roles", *(f"writes to {table}" for table in MAPPED)}
    assert {finding.verdict for finding in wrong.values()} == {"warning"}
    assert world.check().capabilities.own_sys_id == ""


@pytest.mark.parametrize(
    ("role", "missing_for"), [("user_admin", ("sys_user", "sys_user_grmember")), ("itil", ("sys_user_group",))]
)
def test_the_role_that_is_missing_is_named_with_the_table_that_needs_it(world, role, missing_for):
    take_roles(world, role)
    wrong = worse(world)
    assert set(wrong) == {f"writes to {table}" for table in missing_for}
    assert all(finding.verdict == "failed" and role in finding.detail for finding in wrong.values())


def test_a_role_of_the_customers_own_may_give_the_right_and_only_a_test_write_tells(world):
    take_roles(world, "user_admin")
    give_role(world, "u_identity_writer")
    wrong = worse(world)
    assert {finding.verdict for finding in wrong.values()} == {"warning"}
    assert "u_identity_writer" in wrong["writes to sys_user"].detail
    assert "--allow-test-writes" in wrong["writes to sys_user"].way_out


def test_an_account_that_may_only_read_is_told_before_the_first_write_fails(world):
    give_role(world, "snc_read_only")
    wrong = worse(world)
    assert set(wrong) == {"roles", *(f"writes to {table}" for table in MAPPED)}
    assert all(f.verdict == "failed" and "snc_read_only" in f.way_out for f in wrong.values())


def test_roles_that_cannot_be_read_are_not_taken_for_missing(world):
    world.instance.access.no_query.add("sys_user_has_role")
    wrong = worse(world)
    assert "cannot be told" in wrong["roles"].detail
    assert {finding.verdict for finding in wrong.values()} == {"warning"}


def test_where_rules_by_role_may_be_read_the_role_that_a_column_asks_for_is_named(world):
    world.instance.acls.add("sys_user.email", "write", ["hr_admin", "hr_manager"])
    world.instance.acls.add("sys_user.title", "write", ["user_admin"])
    assert worse(world) == {}  # these rules are for administrators
    give_role(world, "security_admin")
    wrong = worse(world)
    assert set(wrong) == {"ACL sys_user.email"}
    assert "hr_admin or hr_manager" in wrong["ACL sys_user.email"].detail


# Tables, columns and filters


def test_tables_that_cannot_be_read_are_named_and_one_that_hides_everybody(world):
    world.instance.access.no_query.add("cmn_location")
    world.instance.access.hidden_rows["sys_user"] = "user_nameISNOTEMPTY"
    wrong = {what for what, finding in bad(world.check()).items() if finding.verdict == "failed"}
    assert wrong == {"table cmn_location", "table sys_user"}


def test_a_table_that_asks_for_another_role_is_named(world):
    world.instance.acls.add("sys_user_group", "read", ["group_reader"])
    wrong = worse(world)
    assert set(wrong) == {"table sys_user_group"}
    assert wrong["table sys_user_group"].verdict == "failed"


def test_a_table_without_web_service_access_is_told_with_the_tick_that_is_missing(world):
    (table,) = world.instance.find("sys_db_object", name="cmn_department")
    world.instance.update("sys_db_object", table["sys_id"], {"ws_access": "false"})
    wrong = worse(world)
    assert set(wrong) == {"table cmn_department"}
    assert "Allow access to this table via web services" in wrong["table cmn_department"].way_out


def test_a_column_that_may_not_be_read_is_named(world):
    world.instance.acls.add("sys_user.email", "read", ["hr_admin"])
    wrong = worse(world)
    assert set(wrong) == {"columns of sys_user"}
    assert wrong["columns of sys_user"].verdict == "warning"
    assert "not readable: email" in wrong["columns of sys_user"].detail
    assert "sys_user.email" in wrong["columns of sys_user"].way_out


@pytest.mark.parametrize("column", ["user_name", "active"])
def test_a_column_without_which_nobody_can_be_matched_safely_is_a_failure(world, column):
    world.instance.acls.add(f"sys_user.{column}", "read", ["hr_admin"])
    failed = worse(world)["columns of sys_user"]
    assert failed.verdict == "failed"
    assert f"without {column} no record can be matched safely" in failed.detail


def with_column(name):
    document = dump(default_schema())
    (users,) = [
        mapping
        for rule in document["synchronizationRules"]
        for mapping in rule["objectMappings"]
        if mapping["targetObjectName"] == "sys_user"
    ]
    users["attributeMappings"].append(
        {
            "targetAttributeName": name,
            "matchingPriority": 0,
            "flowBehavior": "FlowWhenChanged",
            "flowType": "Always",
            "source": {"name": "objectId", "type": "Attribute", "expression": "[objectId]", "parameters": []},
        }
    )
    return load_schema(document)


def test_a_mapped_column_that_the_table_does_not_have_is_named(world):
    failed = worse(world, schema=with_column(ENTRA_OBJECT))["columns of sys_user"]
    assert (failed.verdict, failed.detail) == ("failed", f"the table has no {ENTRA_OBJECT}")
    world.instance.add_column("sys_user", ENTRA_OBJECT, max_length=36)
    assert worse(world, schema=with_column(ENTRA_OBJECT)) == {}


@pytest.mark.parametrize(
    ("acl", "says"), [("refused", "refused"), ("dropped", "rows that nobody asked for"), ("no_rows", "finds nothing")]
)
def test_a_matching_column_that_may_not_be_searched_by_is_named_whatever_the_instance_does(world, acl, says):
    world.instance.switches.query_acl = acl
    world.instance.access.no_match["sys_user"].add("user_name")
    wrong = worse(world)
    assert set(wrong) == {"searches in sys_user"}
    assert wrong["searches in sys_user"].verdict == "failed"
    assert "by user_name: " in wrong["searches in sys_user"].detail
    assert says in wrong["searches in sys_user"].detail
    assert "query_match" in wrong["searches in sys_user"].way_out


@pytest.mark.parametrize("acl", ["refused", "dropped", "no_rows"])
def test_ranges_of_sys_ids_that_are_not_allowed_are_told_and_remembered(world, acl):
    world.instance.switches.query_acl = acl
    world.instance.access.no_range["sys_user"].add("sys_id")
    report = world.check()
    assert found(report)["ranges in sys_user"].verdict == "warning"
    assert "query_range" in found(report)["ranges in sys_user"].way_out
    assert "ranges in sys_user_group" not in found(report)
    assert "sys_user" not in report.capabilities.ranges_on
    assert "sys_user_group" in report.capabilities.ranges_on


def test_what_becomes_of_an_unknown_filter_is_tried_out(world):
    dropped = found(world.check())["unknown filters"]
    assert dropped.verdict == "warning"
    assert "finds everybody" in dropped.detail
    world.instance.set_property("glide.invalid_query.returns_no_rows", "true")
    report = world.check()
    assert found(report)["unknown filters"].verdict == "ok"
    assert "is true" in found(report)["unknown filters"].detail
    assert report.capabilities.drops_unknown_filters is False
    world.instance.access.no_query.add("sys_properties")
    assert found(world.check())["unknown filters"].verdict == "ok"


def test_inactive_users_that_a_rule_hides_are_missed(world):
    world.instance.access.before_query["sys_user"] = "active=true"
    report = world.check()
    assert "before-query rule" in found(report)["inactive users"].detail
    assert report.capabilities.sees_inactive is False


def test_a_search_for_inactive_users_that_is_not_allowed_proves_nothing(world):
    world.instance.access.no_match["sys_user"].add("active")
    for acl in ("refused", "dropped"):
        world.instance.switches.query_acl = acl
        report = world.check()
        assert found(report)["inactive users"].verdict == "warning"
        assert report.capabilities.sees_inactive is None


def test_a_dictionary_that_cannot_be_read_is_told_and_the_rest_is_looked_at_all_the_same(world):
    world.instance.access.no_query |= {"sys_dictionary", "sys_db_object"}
    world.instance.faults.add("GET meta", "status", status=403, times=None)
    report = world.check()
    assert "personalize_dictionary" in found(report)["dictionary"].way_out
    assert found(report)["table sys_user"].verdict == "ok"
    assert report.capabilities is not None


def test_without_the_batch_api_the_rest_is_asked_one_by_one(world):
    world.instance.faults.add("POST batch", "status", status=404, times=None)
    report = world.check(test_writes=True)
    failed = [finding.what for finding in report.findings if finding.verdict == "failed"]
    assert failed == ["batches"]
    assert "/api/now/v1/batch" in found(report)["batches"].way_out
    assert report.capabilities.batch is False
    assert writes(world) == {}


# Test writes


def test_test_writes_tell_what_no_read_can_and_leave_nothing_behind(world):
    before = snapshot(world)
    report = world.check(test_writes=True)
    assert worse(world, test_writes=True) == {}
    assert found(report)["writes to sys_user"].detail == "a test record was created and changed"
    assert "honoured" in found(report)["sys_ids of our choice"].detail
    assert "user_name at 40" in found(report)["long values in sys_user"].detail
    assert "name at 80" in found(report)["long values in sys_user_group"].detail
    assert report.capabilities.honours_sys_ids is True
    made = [item["body"] for batch in world.wire.batches for item in batch if item["method"] == "POST"]
    assert {next(v for k, v in body.items() if k in {"user_name", "name"})[:18] for body in made} == {
        "provisioning probe"
    }
    assert all(body["active"] == "false" for body in made)
    assert snapshot(world) == before


def test_an_instance_that_chooses_sys_ids_itself_is_found_out_and_cleaned_up(world):
    world.instance.switches.client_sys_id = "ignored"
    before = snapshot(world)
    report = world.check(test_writes=True)
    assert found(report)["sys_ids of our choice"].verdict == "warning"
    assert report.capabilities.honours_sys_ids is False
    assert snapshot(world) == before


@pytest.mark.parametrize("sys_ids", ["honoured", "ignored"])
@pytest.mark.parametrize("effect", ["denied_after_write", "reply_lost", "status_after_write", "too_many"])
@pytest.mark.parametrize("on", ["POST", "PATCH"])
def test_whatever_goes_wrong_with_a_test_write_nothing_is_left(world, on, effect, sys_ids):
    world.instance.switches.client_sys_id = sys_ids
    before = snapshot(world)
    world.instance.faults.add(f"batch: {on} sys_user", effect)
    world.instance.faults.add(f"batch: {on} sys_user_group", effect, skip=1)
    world.check(test_writes=True)
    assert snapshot(world) == before
    assert any(kind.startswith("batch: DELETE sys_user") for kind in writes(world))


def test_a_record_that_was_made_although_the_answer_says_no_counts_as_made(world):
    world.instance.faults.add("batch: POST sys_user", "denied_after_write")
    report = world.check(test_writes=True)
    assert found(report)["writes to sys_user"].verdict == "ok"
    assert report.capabilities.honours_sys_ids is True


def test_a_test_record_that_cannot_be_deleted_is_named_by_its_sys_id(world):
    world.instance.access.no_delete.add("sys_user")
    wrong = worse(world, test_writes=True)
    (left,) = world.instance.rows("sys_user", "user_nameSTARTSWITHprovisioning probe")
    assert set(wrong) == {"test record in sys_user"}
    assert f"sys_id {left['sys_id']}" in wrong["test record in sys_user"].detail
    assert (left["active"], left["locked_out"]) == ("false", "true")
    assert not world.instance.rows("sys_user_group", "nameSTARTSWITHprovisioning probe")


def test_a_search_that_finds_everybody_deletes_nobody_but_the_test_record(world):
    world.instance.switches.query_acl = "dropped"
    world.instance.access.no_range["sys_user"].add("user_name")
    world.instance.switches.client_sys_id = "ignored"
    before = snapshot(world)
    assert "test record in sys_user" not in worse(world, test_writes=True)
    assert snapshot(world) == before


def test_a_test_record_that_is_known_to_be_gone_is_not_named_where_no_search_can_confirm_it(world):
    world.instance.access.no_range["sys_user"].add("user_name")
    assert worse(world, test_writes=True) == {}


def test_a_test_record_that_may_have_been_made_and_cannot_be_found_is_named(world):
    world.instance.access.no_range["sys_user"].add("user_name")
    world.instance.switches.client_sys_id = "ignored"
    world.instance.faults.add("batch: POST sys_user", "reply_lost")
    wrong = worse(world, test_writes=True)
    (left,) = world.instance.rows("sys_user", "user_nameSTARTSWITHprovisioning probe")
    assert f"perhaps one named {left['user_name']}" in wrong["test record in sys_user"].detail
    assert "the connection broke" in wrong["test writes to sys_user"].detail


def test_a_test_record_that_access_rules_hide_is_not_taken_for_deleted(world):
    world.instance.access.hidden_rows["sys_user_group"] = "nameSTARTSWITHprovisioning probe"
    wrong = worse(world, test_writes=True)
    (left,) = world.instance.rows("sys_user_group", "nameSTARTSWITHprovisioning probe")
    assert left["sys_id"] in wrong["test record in sys_user_group"].detail


def test_a_second_create_without_a_clear_answer_says_nothing_about_sys_ids(world):
    before = snapshot(world)
    world.instance.faults.add("batch: POST sys_user_group", "status", status=500, skip=1)
    assert worse(world, test_writes=True) == {}
    assert snapshot(world) == before


@pytest.mark.parametrize("fault", [("status", 500), ("reply_lost", 503)])
def test_a_deletion_that_gets_no_clear_answer_is_tried_again(world, fault):
    effect, status = fault
    world.instance.faults.add("batch: DELETE sys_user", effect, status=status)
    before = snapshot(world)
    assert worse(world, test_writes=True) == {}
    assert snapshot(world) == before


def test_a_check_that_is_interrupted_cleans_up_too(world):
    before = snapshot(world)

    async def interrupted():
        target = ServiceNowTarget(world.session)
        columns = await target.dictionary()
        (users, *_) = usages(default_schema(), columns)
        trying = asyncio.create_task(try_writes(target._calls, users, columns["sys_user"]))

        def interrupt_changes(request):
            if [item["method"] for item in world.wire.batches[-1]] == ["PATCH"]:
                trying.cancel()
            return request

        world.wire.meddle = interrupt_changes
        await asyncio.gather(trying, return_exceptions=True)
        assert trying.cancelled()

    world.do(interrupted())
    assert writes(world)["batch: POST sys_user"] == 1
    assert snapshot(world) == before


def test_a_test_write_names_the_role_without_which_it_is_refused(world):
    take_roles(world, "user_admin")
    world.instance.acls.add("sys_user", "create", ["user_admin"])
    wrong = worse(world, test_writes=True)
    assert wrong["writes to sys_user"].verdict == "failed"
    assert wrong["writes to sys_user"].way_out == "Give the account the role user_admin"


def test_a_test_write_proves_the_right_that_a_role_of_the_customers_own_gives(world):
    take_roles(world, "user_admin")
    give_role(world, "u_identity_writer")
    wrong = worse(world, test_writes=True)
    assert set(wrong) == {"writes to sys_user_grmember"}  # no membership is made for a test


def test_a_record_that_may_be_made_but_not_changed_is_told(world):
    world.instance.access.no_update.add("sys_user_group")
    wrong = worse(world, test_writes=True)
    assert set(wrong) == {"writes to sys_user_group"}
    assert "could not be changed" in wrong["writes to sys_user_group"].detail


def test_a_column_that_is_silently_not_written_is_named(world):
    world.instance.acls.add("sys_user.title", "write", ["hr_admin"])
    wrong = worse(world, test_writes=True)
    assert set(wrong) == {"writes to sys_user"}
    assert "not its title, without an error" in wrong["writes to sys_user"].detail
    assert "sys_user.title" in wrong["writes to sys_user"].way_out


def test_a_value_that_is_cut_before_the_dictionary_says_so_is_told(world):
    target = ServiceNowTarget(world.session)
    columns = dict(world.do(target.dictionary())["sys_user"])
    columns["title"] = Column("title", "string", 100)
    (users, *_) = usages(default_schema(), {})
    trial = world.do(try_writes(target._calls, users, columns))
    assert trial.shorter == {"title": 60}
    assert trial.cut["user_name"] == 40


def test_a_dry_run_lets_no_test_write_pass(runner):
    world = World(runner, dry_run=True)
    report = world.check(test_writes=True)
    assert "dry run" in found(report)["test writes to sys_user"].detail
    assert writes(world) == {}
