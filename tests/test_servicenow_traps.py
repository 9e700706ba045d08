"""The twelve traps of ServiceNow that cost the most, each by its name: what whole cycles make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.adapters.servicenow import ServiceNowTarget, credentials
from provisioning.errors import Unauthorized
from tests.emulators.servicenow import CLIENT_SECRET, INTEGRATION_USER
from tests.servicenow_world import World as Adapter
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_scope_stories import configure, mapped_to
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def accounts(world) -> dict[str, dict[str, str]]:
    return {row["sys_id"]: dict(row) for row in world.instance.rows("sys_user")}


def failures(world) -> list[str]:
    """The error codes in the log, newest first."""
    told = [entry["provisioningStatusInfo"]["errorInformation"] for entry in world.journal()]
    return [error["errorCode"] for error in told if error is not None]


def test_trap_1_a_filter_that_the_instance_dropped_matches_nobody(world):
    hire(world, "ada")
    world.instance.access.no_match["sys_user"].add("user_name")
    world.instance.switches.query_acl = "dropped"
    before = accounts(world)
    progress = world.cycle()
    assert "nobody asked for" in progress.halted.message
    assert accounts(world) == before
    assert not world.writes()


def test_trap_1_a_mapping_to_a_column_that_does_not_exist_writes_nothing(world):
    hire(world, "ada", jobTitle="Analyst")
    user = mapped_to(world.schema.user, "u_no_such_column", "[jobTitle]")
    configure(world, replace(world.schema, user=user))
    before = accounts(world)
    world.cycle()
    assert accounts(world) == before
    assert failures(world) == ["SchemaAttributeNotFound"]


def test_trap_2_an_account_that_differs_by_an_accent_or_case_is_nobodys_match(world):
    world.instance.insert("sys_user", {"user_name": f"muller@{DOMAIN}", "first_name": "Somebody else"})
    hire(world, "müller", jobTitle="Analyst")
    before = accounts(world)
    world.cycle()
    assert accounts(world) == before
    assert failures(world) == ["Conflict"]


def test_trap_3_a_user_name_of_41_characters_is_not_cut_into_somebody_elses(world):
    mine, longer = "x" * (39 - len(DOMAIN)), "x" * (40 - len(DOMAIN))
    hire(world, mine)
    hire(world, longer)
    assert len(f"{longer}@{DOMAIN}") == 41
    world.cycle()
    assert account(world, mine) is not None
    assert failures(world) == ["InvalidAttributeValue"]
    assert [name for name in (row["user_name"] for row in world.instance.rows("sys_user")) if "xxx" in name] == [
        f"{mine}@{DOMAIN}"
    ]


def test_trap_4_who_comes_back_is_unlocked_as_well_as_activated(world):
    ada = hire(world, "ada")
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert state(world, "ada") == DISABLED
    world.directory.update_user(ada, accountEnabled=True)
    world.cycle()
    assert state(world, "ada") == ACTIVE


@pytest.mark.parametrize("effect", ["hibernating", "cut_stream", "error_in_stream", "html"])
def test_trap_5_a_200_that_is_a_failure_writes_nothing_and_forgets_nothing(world, effect):
    hire(world, "ada")
    world.instance.faults.add("batch: GET *", effect, status=200, times=None)
    assert world.cycle().halted is not None
    assert not world.writes()
    world.instance.faults.clear()
    world.cycle()
    assert state(world, "ada") == ACTIVE


@pytest.mark.parametrize("effect", ["cut_stream", "error_in_stream"])
def test_trap_5_a_create_whose_answer_of_200_was_cut_is_found_and_not_repeated(world, effect):
    ada = hire(world, "ada")
    world.cycle()
    world.directory.update_user(ada, jobTitle="Director")
    world.instance.faults.add("batch: PATCH sys_user", effect)
    world.forget_counts()
    world.cycle()
    assert account(world, "ada")["title"] == "Director"
    assert world.writes() == {"batch: PATCH sys_user": 1}


def test_trap_5_a_field_that_was_silently_dropped_is_a_warning_with_its_name(world):
    world.instance.access.unwritable["sys_user"].add("title")
    hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    (entry,) = world.journal()
    assert entry["provisioningStatusInfo"]["status"] == "warning"
    (warning,) = [step for step in entry["provisioningSteps"] if step["status"] == "warning"]
    assert warning["description"].startswith("title: ServiceNow answered success and did not store the value")


def test_trap_5_a_disablement_that_was_silently_dropped_is_a_failure(world):
    ada = hire(world, "ada")
    world.cycle()
    world.instance.access.unwritable["sys_user"].add("active")
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert failures(world) == ["InsufficientRights"]


def test_trap_6_a_202_is_no_success_and_no_cookie_is_ever_sent(world):
    hire(world, "ada")
    world.instance.faults.add("POST batch", "dropped_session", skip=4, times=2)
    world.instance.faults.add("batch: POST sys_user", "dropped_session", times=1)
    world.cycle()
    assert state(world, "ada") == ACTIVE
    assert len(world.instance.find("sys_user", user_name=f"ada@{DOMAIN}")) == 1
    assert world.instance.statuses[403] == 0  # a cookie would be refused from now on
    world.instance.switch_node()
    hire(world, "bob")
    world.cycle()
    assert state(world, "bob") == ACTIVE
    assert world.instance.statuses[403] == 0


@pytest.mark.parametrize("effect", ["denied_after_write", "reply_lost", "status_after_write"])
def test_trap_7_a_403_or_no_answer_to_a_create_that_took_place_leaves_one_account(world, effect):
    names = ["ada", "bob", "cy"]
    for name in names:
        hire(world, name)
    world.instance.faults.add("batch: POST sys_user", effect, times=2)
    world.cycle()
    world.cycle()
    assert [state(world, name) for name in names] == [ACTIVE] * 3
    assert world.writes() == {"batch: POST sys_user": 3}
    assert not failures(world)


def test_trap_8_a_window_full_of_hidden_rows_is_not_the_end(world):
    """Groups of the name that the integration user may not see stand before the one that it may."""
    for _ in range(60):
        world.instance.insert("sys_user_group", {"name": "Sales", "description": "secret"})
    world.instance.insert("sys_user_group", {"sys_id": "f" * 32, "name": "Sales"})
    world.instance.access.hidden_rows["sys_user_group"] = "description=secret"
    group_of(world, "Sales", hire(world, "ada"))
    world.cycle()
    assert len(world.instance.find("sys_user_group", name="Sales")) == 61
    assert len(world.instance.find("sys_user_grmember", group="f" * 32)) == 1


def test_trap_9_a_user_name_that_is_taken_is_a_conflict_although_the_403_does_not_say_so(world):
    world.instance.insert("sys_user", {"user_name": f"ada@{DOMAIN}", "first_name": "Hidden"})
    world.instance.access.hidden_rows["sys_user"] = "first_name=Hidden"
    hire(world, "ada")
    before = accounts(world)
    world.cycle()
    assert failures(world) == ["Conflict"]
    assert accounts(world) == before


def test_trap_10_a_membership_is_looked_for_first_and_every_row_of_it_goes(world):
    ada = hire(world, "ada")
    sales = group_of(world, "Sales", ada)
    world.cycle()
    (group,) = world.instance.find("sys_user_group", name="Sales")
    (row,) = world.instance.find("sys_user_grmember", group=group["sys_id"])
    world.instance.insert("sys_user_grmember", {"group": group["sys_id"], "user": row["user"]})
    world.instance.insert("sys_user_grmember", {"group": group["sys_id"], "user": ""})
    world.instance.insert("sys_user_grmember", {"group": "", "user": row["user"]})
    world.cycle()
    assert len(world.instance.find("sys_user_grmember", group=group["sys_id"], user=row["user"])) == 2
    world.directory.remove_member(sales, ada)
    world.cycle()
    assert world.instance.find("sys_user_grmember", group=group["sys_id"], user=row["user"]) == []
    assert len(world.instance.rows("sys_user_grmember", "userISEMPTY^ORgroupISEMPTY")) == 2


def test_trap_11_a_right_password_that_may_not_log_in_says_why_and_locks_nobody(runner):
    adapter = Adapter(runner)
    adapter.instance.switches.basic_auth = "web_service_only"
    adapter.instance.switches.lock_out_after = 5
    target = ServiceNowTarget(adapter.another_session(credentials("basic", username="admin", password="admin")))
    for _ in range(3):
        with pytest.raises(Unauthorized, match="snc_basic_auth_api_access"):
            adapter.do(target.dictionary())
    assert adapter.instance.statuses[401] == 2
    assert adapter.users["admin"]["locked_out"] != "true"
    given = {"username": INTEGRATION_USER, "password": CLIENT_SECRET}
    assert adapter.do(ServiceNowTarget(adapter.another_session(credentials("basic", **given))).dictionary())


def test_trap_12_what_does_not_fit_into_the_time_of_a_batch_is_written_once_all_the_same(world):
    world.instance.capacity.set_times(insert=2.6)
    names = [f"user{number}" for number in range(40)]
    for name in names:
        hire(world, name)
    world.cycle()
    assert [state(world, name) for name in names] == [ACTIVE] * len(names)
    made = [row["user_name"] for row in world.instance.rows("sys_user") if row["user_name"].startswith("user")]
    assert sorted(made) == sorted(f"{name}@{DOMAIN}" for name in names)
    assert not failures(world)
