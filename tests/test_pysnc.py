"""The emulator as ServiceNow's own Python client sees it, over HTTPS: reading. The assertions are those that PySNC's
test suite makes of a real instance with demo data (counts, pages, fields, dot-walks, joins, what is silently ignored).
"""

from __future__ import annotations

import pytest
from pysnc.query import Query
from pysnc.record import GlideElement

from tests.emulators.servicenow.seed import ADMIN_ID, FINANCE_ID, NATASHA_ID
from tests.pysnc_world import client, connect, instance, queried, served

__all__ = ["client", "connect", "instance", "served"]


# Finding records


def test_a_record_is_got_by_its_sys_id_and_by_a_field(client):
    by_id, by_field = client.GlideRecord("sys_user"), client.GlideRecord("sys_user")
    assert by_id.get(ADMIN_ID)
    assert by_id.user_name == "admin"
    assert by_field.get("user_name", "admin")
    assert by_field.sys_id == ADMIN_ID


def test_a_record_that_does_not_exist_is_not_got(client):
    assert client.GlideRecord("sys_user").get("bunk") is False
    assert client.GlideRecord("sys_user").get("sys_id", "bunk") is False
    nothing = queried(client, "sys_user", ("sys_id", "bunk"))
    assert not nothing.has_next()
    assert list(nothing) == []


def test_or_conditions_find_either(client):
    tables = client.GlideRecord("sys_db_object")
    tables.add_query("name", "alm_asset").add_or_condition("name", "bsm_chart")
    tables.query()
    assert tables.get_row_count() == 2


def test_conditions_and_an_encoded_query_are_sent_together(client):
    users = client.GlideRecord("sys_user")
    users.add_query("active", "true")
    users.add_encoded_query("user_name=david.loo^ORuser_name=abel.tuter")
    users.query()
    assert [user.get_value("user_name") for user in users] == ["abel.tuter"]


def test_empty_and_filled_columns_are_told_apart(client, instance):
    everybody = len(queried(client, "sys_user", fields="sys_id"))
    with_phone = client.GlideRecord("sys_user")
    with_phone.add_not_null_query("mobile_phone")
    with_phone.query()
    without = client.GlideRecord("sys_user")
    without.add_null_query("mobile_phone")
    without.query()
    assert len(with_phone) == 1
    assert len(without) == everybody - 1
    assert everybody == instance.count("sys_user")


def test_a_list_in_a_condition_is_commas_and_a_python_list_is_a_trap(client):
    assert len(queried(client, "sys_user", ("user_name", "IN", "abel.tuter,beth.anglin,nobody"))) == 2
    # PySNC renders a Python list as it prints: IN['abel.tuter', 'beth.anglin'].
    assert len(queried(client, "sys_user", ("user_name", "IN", ["abel.tuter", "beth.anglin"]))) == 0


def test_conditions_that_make_no_sense_are_ignored_and_everything_comes_back(client, instance):
    assert len(queried(client, "sys_user", ("no_such_field", "x"))) == instance.count("sys_user")
    query = Query()
    query.add_query("sys_id", ADMIN_ID)
    query.add_query("second", "asdf")
    record = client.GlideRecord("sys_user")
    record.query(query)
    assert len(record) == 1


def test_a_query_too_long_for_a_url_goes_through_a_batch(client, instance):
    record = client.GlideRecord("sys_user")
    for _ in range(2300):
        record.add_query("AAAA", "BBBB")
    record.add_query("sys_id", ADMIN_ID)
    record.query()
    assert instance.counts["POST batch"] == 1
    assert instance.counts["GET sys_user"] == 0
    assert len(record) == 1
    assert record.next()
    assert record.sys_id == ADMIN_ID


def test_a_blank_in_a_query_survives_the_batch(client):
    record = client.GlideRecord("sys_user")
    for _ in range(1100):
        record.add_query("AAAA", "BBBB")
    record.add_query("name", "System Administrator")
    record.query()
    assert len(record) == 1


# Joins


def test_a_join_finds_the_managers_of_groups(client):
    managers = client.GlideRecord("sys_user")
    join = managers.add_join_query("sys_user_group", join_table_field="manager")
    join.add_query("active", "true")
    managers.query()
    assert {user.get_value("user_name") for user in managers} == {"natasha.ingram", "problem.admin"}


def test_a_join_finds_the_holders_of_a_role(client):
    holders = client.GlideRecord("sys_user")
    join = holders.add_join_query("sys_user_has_role", join_table_field="user")
    join.add_query("role", "2831a114c611228501d4ea6c309d626d")
    holders.query()
    assert 10 < len(holders) < 25


@pytest.mark.parametrize("written", ["by hand", "by PySNC"])
def test_a_related_list_query_finds_groups_that_carry_a_role(client, written):
    groups = client.GlideRecord("sys_user_group")
    if written == "by hand":
        groups.add_encoded_query("RLQUERYsys_group_has_role.group,>0,m2m^role.nameLIKEadmin^ENDRLQUERY")
    else:
        related = groups.add_rl_query("sys_group_has_role", "group", ">0", stop_at_relationship=True)
        related.add_query("role.name", "LIKE", "admin")
    groups.query()
    assert 2 < len(groups) < 8
    assert all(group.get_value("name").startswith("Holders of") for group in groups)


def test_a_related_list_query_finds_users_in_no_group(client, instance):
    users = client.GlideRecord("sys_user")
    users.add_query("active", "true")
    users.add_rl_query("sys_user_grmember", "user", "=0", stop_at_relationship=False)
    users.query()
    names = {user.get_value("user_name") for user in users}
    assert "natasha.ingram" in names
    assert not names & {"abel.tuter", "beth.anglin", "david.loo"}
    assert instance.count("sys_user_grmember") == 2


# Pages


@pytest.mark.parametrize(("limit", "calls"), [(9, 3), (7, 3)])
def test_a_limit_is_kept_over_several_pages(client, instance, limit, calls):
    problems = client.GlideRecord("problem")
    problems.fields = "sys_id"
    problems.batch_size = 3
    problems.limit = limit
    problems.query()
    assert len([problem.sys_id for problem in problems]) == limit
    assert instance.counts["GET problem"] == calls


def test_pages_are_read_until_all_rows_came(client, instance):
    lines = queried(client, "syslog", fields=["sys_id"])
    seen = {line.get_value("sys_id") for line in lines}
    assert len(seen) == len(lines) == instance.count("syslog") > 600
    assert instance.counts["GET syslog"] == 7  # a hundred each, and no surplus request


def test_rows_can_be_walked_twice_or_only_once(client):
    files = client.GlideRecord("sys_metadata", batch_size=100)
    files.fields = "sys_id"
    files.limit = 500
    files.query()
    assert len(files) > 500
    assert len([file.sys_id for file in files]) == len([file.sys_id for file in files]) == 500
    once = client.GlideRecord("sys_metadata", batch_size=250, rewindable=False)
    once.fields = "sys_id"
    once.limit = 500
    once.query()
    assert (len(list(once)), len(list(once))) == (500, 0)


def test_order_is_kept_over_pages(client):
    problems = client.GlideRecord("problem", batch_size=5)
    problems.order_by_desc("number")
    problems.query()
    numbers = [problem.get_value("number") for problem in problems]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 12


# Fields


def test_only_the_fields_that_were_asked_for_come(client):
    record = client.GlideRecord("sys_user")
    record.fields = "sys_id,name,no_such_field"
    assert record.get(ADMIN_ID)
    assert set(record.serialize()) == {"sys_id", "name"}
    assert "name" in record
    assert "whatever" not in record
    assert len(queried(client, "sys_user", limit=1).fields) > 10


def test_booleans_are_text_that_pysnc_understands(client):
    record = client.GlideRecord("sys_user")
    assert record.get(ADMIN_ID)
    assert record.active == record.get_display_value("active") == "true"
    assert bool(record.active)
    assert not record.locked_out


def test_fields_are_reached_along_references(client):
    record = client.GlideRecord("sys_user")
    record.fields = "sys_id,email,department,department.name,department.dept_head,department.dept_head.email"
    assert record.get(ADMIN_ID)
    assert record.department == FINANCE_ID
    assert record.department.name == "Finance"
    assert record.department.dept_head == NATASHA_ID
    assert type(record.department.dept_head.email) is GlideElement
    assert record.department.dept_head.email == "natasha.ingram@example.com"
    with pytest.raises(AttributeError, match="has no attribute"):
        _ = record.department.description


def test_values_and_display_values_differ_where_they_should(client):
    record = client.GlideRecord("sys_user")
    assert record.get(ADMIN_ID)
    assert record.get_display_value("department") == "Finance"
    assert record.get_display_value("user_password") == "********"
    assert record.get_value("sys_updated_on") != record.get_display_value("sys_updated_on")  # another time zone
    state = queried(client, "problem", fields="sys_id,short_description,state", limit=4).to_pandas()
    assert list(state) == ["sys_id", "short_description", "state__value", "state__display"]


def test_display_values_alone_or_not_at_all(client):
    plain, shown = client.GlideRecord("sys_user"), client.GlideRecord("sys_user")
    plain.display_value, shown.display_value = False, True
    assert plain.get(ADMIN_ID)
    assert shown.get(ADMIN_ID)
    assert plain.sys_updated_on.get_value() == plain.sys_updated_on.get_display_value()
    assert plain.get_value("sys_updated_on") != shown.get_value("sys_updated_on")
    assert (plain.get_value("department"), shown.get_value("department")) == (FINANCE_ID, "Finance")


def test_links_are_there_when_they_are_wanted(client, instance):
    record = client.GlideRecord("sys_user")
    record.exclude_reference_link = False
    assert record.get(ADMIN_ID)
    assert record.department.get_link() == f"{instance.url}/api/now/table/cmn_department/{FINANCE_ID}"
