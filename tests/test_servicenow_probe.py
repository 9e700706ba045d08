"""What `check` finds out about an instance, row by row, good and bad; that it writes nothing unless it may, and then
leaves nothing behind.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest

from provisioning.adapters.servicenow import ServiceNowTarget, credentials
from provisioning.model import InsertRecord
from tests.emulators.servicenow.seed import INTEGRATION_USER
from tests.servicenow_world import World

COLUMNS = {
    "sys_user": ("user_name", "first_name", "email", "title", "department", "manager", "active"),
    "sys_user_group": ("name", "description"),
    "sys_user_grmember": ("group", "user"),
    "cmn_department": ("name",),
}
WRITTEN = {table: COLUMNS[table] for table in ("sys_user", "sys_user_group")}
MATCHING = (("sys_user", "user_name"), ("sys_user_group", "name"))


@pytest.fixture
def world():
    """The adapter's clock is the instance's own."""
    with asyncio.Runner() as runner:
        world = World(runner)
        world.session._now = lambda: world.time
        yield world


def looked(world, *, target=None, try_writing=None):
    """The findings by what they are about, and what is known of the instance then."""
    target = target or world.target
    findings, capabilities = world.do(target.check(COLUMNS, matching=MATCHING, try_writing=try_writing))
    assert len({finding.what for finding in findings}) == len(findings)
    for finding in findings:
        assert bool(finding.way_out) == (finding.warning or not finding.ok), finding
    return {finding.what: finding for finding in findings}, capabilities


def bad(found):
    return {what for what, finding in found.items() if not finding.ok}


def warnings(found):
    return {what for what, finding in found.items() if finding.warning}


def test_an_instance_as_it_should_be_has_no_failure(world):
    world.instance.insert("sys_user", {"user_name": "gone", "active": "false"})
    found, known = looked(world)
    assert bad(found) == set()
    assert warnings(found) == {"unknown fields in queries"}
    assert found["own account"].detail == INTEGRATION_USER
    assert "user_admin" in found["roles"].detail
    (integration,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    assert (known.own, known.batch, known.by_offset, known.sees_inactive) == (integration["sys_id"], True, (), True)
    assert (known.drops_unknown_fields, known.honours_sys_ids) == (True, None)
    assert found["sys_ids chosen by us"].detail.startswith("not tried")


def test_a_check_sends_nothing_that_writes(world):
    looked(world)
    kinds = {kind for kind, number in world.instance.counts.items() if number}
    assert all("GET" in kind or kind in {"POST batch", "POST token"} for kind in kinds), kinds


def test_a_check_works_below_a_transport_that_lets_nothing_but_reads_pass(world):
    target = ServiceNowTarget(world.another_session(dry_run=True))
    found, known = looked(world, target=target)
    assert bad(found) == set()
    assert known is not None


# --- Connection and credentials -------------------------------------------------------------------


def test_an_instance_that_hibernates_is_told_from_one_that_refuses(world):
    world.instance.faults.add("GET sys_user", "hibernating", times=None)
    found, known = looked(world)
    assert (bad(found), known) == ({"connection"}, None)
    assert "Wake it up" in found["connection"].way_out


def test_an_instance_that_cannot_be_reached_is_one_finding(world):
    world.wire.meddle = unreachable
    found, known = looked(world)
    assert (bad(found), known) == ({"connection"}, None)


def unreachable(request):
    raise httpx.ConnectError("no way", request=request)


def test_a_wrong_password_is_shown_twice_at_most(world):
    target = ServiceNowTarget(world.another_session(credentials("basic", username="admin", password="wrong")))
    found, known = looked(world, target=target)
    assert (bad(found), known) == ({"credentials"}, None)
    assert world.instance.statuses[401] <= 2


def test_trap_11_a_right_password_of_an_account_for_people_is_explained(world):
    world.instance.switches.basic_auth = "web_service_only"
    target = ServiceNowTarget(world.another_session(credentials("basic", username="admin", password="admin")))
    found, _ = looked(world, target=target)
    assert "interactive" in found["credentials"].detail + found["credentials"].way_out


# --- Rights ---------------------------------------------------------------------------------------


def test_a_table_that_may_not_be_read_is_named(world):
    world.instance.access.no_query.add("cmn_department")
    found, _ = looked(world)
    assert bad(found) == {"table cmn_department"}


def test_users_of_whom_not_one_is_visible_are_a_failure(world):
    world.instance.access.hidden_rows["sys_user"] = "user_nameISNOTEMPTY"
    found, _ = looked(world)
    assert "table sys_user" in bad(found)
    assert "not one record" in found["table sys_user"].detail


def test_each_field_that_may_not_be_read_is_named(world):
    world.instance.access.unreadable["sys_user"] = {"email", "title", "zip"}
    found, _ = looked(world)
    assert bad(found) == {"table sys_user"}
    assert found["table sys_user"].detail == "these fields cannot be read: email, title"


def test_a_key_that_may_not_be_searched_is_a_failure(world):
    world.instance.access.no_match["sys_user"] = {"user_name"}
    found, _ = looked(world)
    assert bad(found) == {"query sys_user.user_name"}
    world.instance.switches.query_acl = "dropped"
    found, _ = looked(world)
    assert bad(found) == {"query sys_user.user_name"}
    assert "dropped" in found["query sys_user.user_name"].detail


@pytest.mark.parametrize("how", ["refused", "dropped", "no_rows"])
def test_ranges_that_query_acls_forbid_are_noticed_whatever_the_instance_answers(world, how):
    world.instance.access.no_range["sys_user"] = {"sys_id"}
    world.instance.switches.query_acl = how
    found, known = looked(world)
    assert known.by_offset == ("sys_user",)
    assert "ranges on sys_id" in warnings(found)


def roles_of(world, *names):
    (integration,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    for row in world.instance.find("sys_user_has_role", user=integration["sys_id"]):
        world.instance.delete("sys_user_has_role", row["sys_id"])
    for name in names:
        known = world.instance.find("sys_user_role", name=name)
        role = known[0] if known else world.instance.insert("sys_user_role", {"name": name})
        world.instance.insert("sys_user_has_role", {"user": integration["sys_id"], "role": role["sys_id"]})


def test_a_read_only_role_is_a_failure_because_every_write_would_be_refused(world):
    roles_of(world, "user_admin", "itil", "snc_read_only")
    found, _ = looked(world)
    assert bad(found) == {"roles"}


def test_missing_roles_are_named_by_table(world):
    roles_of(world, "itil")
    found, _ = looked(world)
    assert "roles" in warnings(found)
    assert "user_admin for sys_user" in found["roles"].way_out
    assert "sys_user_group" not in found["roles"].detail


def test_an_administrator_is_told_that_less_would_do(world):
    roles_of(world, "admin")
    found, _ = looked(world)
    assert "more than provisioning needs" in found["roles"].detail


def test_roles_that_cannot_be_read_are_no_failure(world):
    world.instance.access.no_query |= {"sys_user_has_role"}
    found, _ = looked(world)
    assert bad(found) == set()
    assert {"roles", "who holds which role"} <= warnings(found)


def test_an_account_that_people_can_log_in_with_is_worth_a_word(world):
    (integration,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    world.instance.update("sys_user", integration["sys_id"], {"web_service_access_only": "false"})
    found, _ = looked(world)
    assert "web service only" in warnings(found)


def test_an_account_that_cannot_see_itself_is_to_be_named(world):
    world.instance.access.no_match["sys_user"] = {"sys_id"}
    found, known = looked(world)
    assert known.own == ""
    assert "PROTECTED_ACCOUNTS" in found["own account"].way_out


def test_a_dictionary_that_cannot_be_read_is_no_failure(world):
    world.instance.access.no_query |= {"sys_dictionary"}
    found, _ = looked(world)
    assert (bad(found), "dictionary" in warnings(found)) == (set(), True)


# --- Ways of the instance -------------------------------------------------------------------------


def test_unknown_fields_that_answer_with_nothing_are_good(world):
    world.instance.set_property("glide.invalid_query.returns_no_rows", "true")
    found, known = looked(world)
    assert known.drops_unknown_fields is False
    assert not found["unknown fields in queries"].warning


def test_inactive_users_that_a_rule_hides_are_a_warning(world):
    world.instance.access.before_query["sys_user"] = "active=true"
    found, known = looked(world)
    assert known.sees_inactive is False
    assert "inactive users" in warnings(found)


def test_a_batch_api_that_is_closed_is_a_failure(world):
    world.instance.faults.add("POST batch", "status", times=None, status=403)
    found, known = looked(world)
    assert "Batch API" in bad(found)
    assert known.batch is False


@pytest.mark.parametrize(("skew", "words"), [(0.0, "agrees"), (400.0, "400 s ahead"), (-90.0, "90 s behind")])
def test_a_clock_that_is_wrong_is_measured(world, skew, words):
    world.instance.switches.clock_skew = skew
    found, known = looked(world)
    assert words in found["clock"].detail
    assert known.skew == pytest.approx(skew, abs=2.0)
    assert found["clock"].warning == (abs(skew) > 60)


# --- Test writes ----------------------------------------------------------------------------------


def everything(world):
    return {table: world.instance.count(table) for table in ("sys_user", "sys_user_group")}


def test_test_writes_tell_whether_sys_ids_are_honoured_and_leave_nothing_behind(world):
    before = everything(world)
    found, known = looked(world, try_writing=WRITTEN)
    assert bad(found) == set()
    assert known.honours_sys_ids is True
    assert (found["write sys_user"].ok, found["write sys_user_group"].ok) == (True, True)
    assert everything(world) == before
    assert world.instance.counts["batch: POST sys_user"] == 1


def test_an_instance_that_chooses_sys_ids_itself_is_left_clean_too(world):
    world.instance.switches.client_sys_id = "ignored"
    before = everything(world)
    found, known = looked(world, try_writing=WRITTEN)
    assert known.honours_sys_ids is False
    assert "sys_ids chosen by us" in warnings(found)
    assert everything(world) == before


def test_test_writes_name_the_fields_that_an_acl_drops(world):
    world.instance.access.unwritable["sys_user"] = {"title"}
    found, _ = looked(world, try_writing=WRITTEN)
    assert bad(found) == {"write sys_user"}
    assert "did not store title" in found["write sys_user"].detail


def test_a_table_that_may_not_be_written_is_named_with_the_reason(world):
    world.instance.access.no_insert.add("sys_user_group")
    found, known = looked(world, try_writing=WRITTEN)
    assert bad(found) == {"write sys_user_group"}
    assert known.honours_sys_ids is True


def test_a_test_record_that_cannot_be_removed_is_named(world):
    world.instance.access.no_delete.add("sys_user")
    found, _ = looked(world, try_writing=WRITTEN)
    (left,) = [row for name, row in world.users.items() if name.startswith("provisioning-probe-")]
    assert bad(found) == {"test record in sys_user"}
    assert left["sys_id"] in found["test record in sys_user"].detail
    assert left["active"] == "false"


def test_a_test_record_is_removed_although_the_change_in_between_fails(world):
    before = everything(world)
    world.instance.access.no_update.add("sys_user")
    found, _ = looked(world, try_writing=WRITTEN)
    assert bad(found) == {"write sys_user"}
    assert everything(world) == before


# --- What is known is used ------------------------------------------------------------------------


def test_what_a_check_found_out_is_used(world):
    world.instance.access.no_range["sys_user_has_role"] = {"sys_id"}
    world.instance.switches.query_acl = "dropped"
    world.instance.switches.client_sys_id = "ignored"
    _, known = looked(world, try_writing=WRITTEN)
    target = ServiceNowTarget(world.session)
    target.expect(known)
    assert world.do(target.administrators()).ways  # by offset: by range the scan would be an error
    world.instance.faults.add("POST batch", "reply_lost")
    outcomes = world.do(target.write([InsertRecord("a", "sys_user", "a" * 32, {"user_name": "ada"})]))
    assert "chooses sys_ids itself" in str(outcomes["a"])
