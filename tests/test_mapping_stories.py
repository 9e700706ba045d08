"""What mappings make of a tenant, story by story: expressions, keys, unique values, clearing, redaction."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from provisioning.engine.on_demand import provision_on_demand
from tests.mappings import of
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, hire, state
from tests.test_scope_stories import change_users, colleague, mapped_to
from tests.world import World, small_world

__all__ = ["colleague"]


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def map_user(world: World, target: str, source: str, **options) -> None:
    change_users(world, attributes=mapped_to(world.schema.user, target, source, **options).attributes)


def errors(world: World) -> set[str]:
    """The codes of the failures in the log."""
    found = (entry["provisioningStatusInfo"]["errorInformation"] for entry in world.journal())
    return {error["errorCode"] for error in found if error and error["errorCategory"] != "success"}


# --- Values ---------------------------------------------------------------------------------------


def test_an_expression_fills_a_column_and_follows_every_attribute_that_it_reads(world):
    map_user(world, "title", 'Join(", ", [jobTitle], [employeeType])')
    ada = hire(world, "ada", jobTitle="Analyst", employeeType="Contractor")
    world.cycle()
    assert account(world, "ada")["title"] == "Analyst, Contractor"
    world.directory.update_user(ada, employeeType="Employee")
    world.cycle()
    assert account(world, "ada")["title"] == "Analyst, Employee"


def test_the_default_schema_maps_the_language(world):
    hire(world, "ada", preferredLanguage="en-GB")
    world.cycle()
    assert account(world, "ada")["preferred_language"] == "en"


def test_a_change_of_one_attribute_never_empties_what_another_expression_reads(world):
    map_user(world, "title", 'Switch([department], "none", "Sales", "Seller")')
    ada = hire(world, "ada", department="Sales", city="Oslo")
    world.cycle()
    world.directory.update_user(ada, city="Bergen")
    world.cycle()
    assert (account(world, "ada")["title"], account(world, "ada")["city"]) == ("Seller", "Bergen")


def test_the_tenants_default_domain_is_read_where_an_expression_asks_for_it(world):
    map_user(world, "title", 'Join("@", "desk", DefaultDomain())')
    hire(world, "ada")
    world.cycle()
    domain = world.directory.domain
    assert account(world, "ada")["title"] == f"desk@{domain}"
    assert world.directory.counts["GET /organization"] == 1


def test_without_such_an_expression_the_organization_is_not_read(world):
    hire(world, "ada")
    world.cycle()
    assert world.directory.counts["GET /organization"] == 0


def test_an_expression_that_fails_for_one_user_fails_no_other(world):
    map_user(world, "title", "CDate([employeeType])")
    hire(world, "ada", employeeType="no date")
    hire(world, "bob", employeeType="2026-01-02")
    world.cycle()
    assert account(world, "ada") is None
    assert account(world, "bob")["title"] == "1/2/2026 12:00:00 AM"
    assert errors(world) == {"ExpressionEvaluationFailed"}


def test_a_cleared_attribute_empties_its_column_where_the_mapping_clears(world):
    map_user(world, "title", "jobTitle", clears=True)
    ada = hire(world, "ada", jobTitle="Analyst", city="Oslo")
    world.cycle()
    world.directory.update_user(ada, jobTitle=None, city=None)
    world.cycle()
    assert (account(world, "ada")["title"], account(world, "ada")["city"]) == ("", "Oslo")
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_a_manager_who_was_taken_away_is_cleared_where_the_mapping_clears(world):
    map_user(world, "manager", "manager", clears=True)
    ada, grace = hire(world, "ada"), hire(world, "grace")
    world.directory.set_manager(ada, grace)
    world.cycle()
    assert account(world, "ada")["manager"] == account(world, "grace")["sys_id"]
    world.directory.set_manager(ada, None)
    world.cycle()
    assert account(world, "ada")["manager"] == ""


# --- Keys -----------------------------------------------------------------------------------------


def existing(world: World, **fields) -> str:
    return world.instance.insert("sys_user", fields)["sys_id"]


def test_the_second_key_finds_whom_the_first_does_not(world):
    map_user(world, "employee_number", "employeeId", matching_priority=2)
    sys_id = existing(world, user_name="a.byron", employee_number="7", active="true")
    hire(world, "ada", employeeId="7")
    world.cycle()
    assert account(world, "ada")["sys_id"] == sys_id
    assert len(world.instance.find("sys_user", employee_number="7")) == 1


def test_a_composite_key_tells_people_with_the_same_number_apart(world):
    people = world.schema.user
    keyless = tuple(replace(each, matching_priority=0) for each in people.attributes)
    users = mapped_to(replace(people, attributes=keyless), "employee_number", "employeeId", matching_priority=1)
    users = mapped_to(users, "city", "city", matching_priority=1)
    change_users(world, attributes=users.attributes)
    oslo = existing(world, user_name="old1", employee_number="7", city="Oslo")
    bergen = existing(world, user_name="old2", employee_number="7", city="Bergen")
    hire(world, "ada", employeeId="7", city="Bergen")
    world.cycle()
    assert account(world, "ada")["sys_id"] == bergen
    assert world.instance.get("sys_user", oslo)["user_name"] == "old1"


def test_two_new_people_who_share_a_key_of_any_precedence_are_told_and_only_one_is_created(world):
    map_user(world, "employee_number", "employeeId", matching_priority=2)
    ada, bob = hire(world, "ada", employeeId="7"), hire(world, "bob", employeeId="7")
    world.cycle()
    assert len(world.instance.find("sys_user", employee_number="7")) == 1
    assert errors(world) == {"DuplicateSourceEntries"}
    world.cycle()
    (made,) = world.instance.find("sys_user", employee_number="7")
    keeper = next(
        user
        for user in (ada, bob)
        if world.directory.objects[user].attributes["userPrincipalName"] == made["user_name"]
    )
    world.directory.update_user(keeper, employeeId="8")
    world.pass_time(2400.0)
    world.cycle()
    world.pass_time(2400.0)
    world.cycle()
    assert {row["employee_number"] for name in ("ada", "bob") if (row := account(world, name))} == {"7", "8"}


def test_somebody_with_neither_key_is_told(world):
    map_user(world, "employee_number", "employeeId", matching_priority=2)
    map_user(world, "user_name", "onPremisesSamAccountName", matching_priority=1)
    hire(world, "ada")
    world.cycle()
    assert errors(world) == {"EntryJoiningPropertyValueIsMissing"}


def test_of_two_records_with_the_same_number_the_active_one_is_adopted(world):
    map_user(world, "employee_number", "employeeId", matching_priority=1)
    map_user(world, "user_name", "userPrincipalName")
    old = existing(world, user_name="ada.old", employee_number="7", active="false")
    now = existing(world, user_name="ada.now", employee_number="7", active="true")
    hire(world, "ada", employeeId="7")
    world.cycle()
    assert account(world, "ada")["sys_id"] == now
    assert world.instance.get("sys_user", old)["active"] == "false"


def test_a_rehire_reactivates_the_inactive_record_and_makes_no_second_one(world):
    map_user(world, "employee_number", "employeeId", matching_priority=1)
    map_user(world, "user_name", "userPrincipalName")
    old = existing(world, user_name="ada.old", employee_number="7", active="false", locked_out="true")
    hire(world, "ada", employeeId="7")
    world.cycle()
    assert (account(world, "ada")["sys_id"], state(world, "ada")) == (old, ACTIVE)


@pytest.mark.parametrize("number", ["7^8", "a,b", 'say "hi"', "O'Neil", "Zoë", "7^NQactive=true", "100%", "a=b"])
def test_a_key_with_special_characters_finds_its_record_and_no_other(world, number):
    map_user(world, "employee_number", "employeeId", matching_priority=1)
    map_user(world, "user_name", "userPrincipalName")
    other = existing(world, user_name="other", employee_number="7", active="true")
    own = existing(world, user_name="own", employee_number=number.strip(), active="true")
    hire(world, "ada", employeeId=number)
    world.cycle()
    assert account(world, "ada")["sys_id"] == own
    assert world.instance.get("sys_user", other)["user_name"] == "other"


def test_a_key_that_the_instance_would_run_as_a_script_is_refused(world):
    map_user(world, "employee_number", "employeeId", matching_priority=1)
    map_user(world, "user_name", "userPrincipalName")
    hire(world, "ada", employeeId="javascript:gs.now()")
    world.cycle()
    assert errors(world) == {"InvalidAttributeValue"}
    assert account(world, "ada") is None


# --- Unique values --------------------------------------------------------------------------------

NICKNAMES = 'SelectUniqueValue([mailNickname], Join("", [mailNickname], "2"), Join("", [mailNickname], "3"))'


def unique_names(world: World) -> None:
    map_user(world, "employee_number", "employeeId", matching_priority=1)
    map_user(world, "user_name", NICKNAMES, flow_type="ObjectAddOnly")


def names(world: World) -> set[str]:
    return {row["user_name"] for row in world.instance.rows("sys_user")}


def test_a_unique_value_avoids_what_the_instance_has_and_what_this_plan_gives_away(world):
    unique_names(world)
    existing(world, user_name="ada")
    for number in range(3):
        hire(world, f"ada{number}", employeeId=str(number), mailNickname="ada")
    world.cycle()
    assert {"ada", "ada2", "ada3"} <= names(world)
    assert errors(world) == {"EntryConflict"}
    assert sum(1 for row in world.instance.rows("sys_user") if row["employee_number"] in {"0", "1", "2"}) == 2


def test_who_found_no_unique_value_gets_one_when_it_becomes_free(world):
    unique_names(world)
    taken = [existing(world, user_name=name) for name in ("ada", "ada2", "ada3")]
    hire(world, "ada0", employeeId="0", mailNickname="ada")
    world.cycle()
    assert not world.instance.find("sys_user", employee_number="0")
    world.instance.delete("sys_user", taken[1])
    world.pass_time(7 * 3600.0)  # the first of the pauses after a failure
    world.cycle()
    assert world.instance.find("sys_user", employee_number="0")[0]["user_name"] == "ada2"


def test_a_unique_value_stays_once_it_is_given(world):
    unique_names(world)
    existing(world, user_name="ada")
    ada = hire(world, "ada0", employeeId="0", mailNickname="ada")
    world.cycle()
    world.directory.update_user(ada, jobTitle="Chief")
    world.cycle()
    record = world.instance.find("sys_user", employee_number="0")[0]
    assert (record["user_name"], record["title"]) == ("ada2", "Chief")


def test_values_that_differ_in_case_or_accents_only_are_not_unique(world):
    unique_names(world)
    hire(world, "one", employeeId="1", mailNickname="Zoë")
    hire(world, "two", employeeId="2", mailNickname="zoe")
    world.cycle()
    found = {
        row["employee_number"]: row["user_name"] for row in world.instance.rows("sys_user") if row["employee_number"]
    }
    assert sorted(found.values()) in (["Zoë", "zoe2"], ["Zoë2", "zoe"])


def test_a_dry_run_reserves_nothing(world):
    unique_names(world)
    hire(world, "ada0", employeeId="0", mailNickname="ada")
    world.cycle(dry_run=True)
    hire(world, "ada1", employeeId="1", mailNickname="ada")
    world.cycle()
    assert {"ada", "ada2"} <= names(world)


# --- Redaction ------------------------------------------------------------------------------------

SECRET = "Korrekt-Pferd-Batterie-77"


def test_a_redacted_value_reaches_the_instance_and_no_log(world):
    map_user(world, "title", "Redact([employeeType])")
    ada = hire(world, "ada", employeeType=SECRET)
    world.cycle()
    assert account(world, "ada")["title"] == SECRET
    world.directory.update_user(ada, employeeType="Stapler-88")
    answer = world.run(provision_on_demand(world.engine(), f"ada@{DOMAIN}", write=True))
    logged = json.dumps([world.journal(), answer.entries])
    assert SECRET not in logged
    assert "Stapler-88" not in logged
    assert "[Redact]" in logged


def test_a_redacted_key_stands_in_no_log_either(world):
    map_user(world, "employee_number", "Redact([employeeId])", matching_priority=1)
    map_user(world, "user_name", "userPrincipalName")
    hire(world, "ada", employeeId=SECRET)
    existing(world, user_name="x", employee_number=SECRET.upper())
    world.cycle()
    assert errors(world) == {"Conflict"}
    assert SECRET.lower() not in json.dumps(world.journal()).lower()


# --- Actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "created", "updated", "disabled"),
    [
        ({"Add"}, True, False, False),
        ({"Update"}, False, False, False),
        ({"Add", "Update"}, True, True, True),
    ],
)
@pytest.mark.usefixtures("colleague")
def test_the_target_actions_say_what_may_be_done(world, actions, created, updated, disabled):
    change_users(world, flow_types=frozenset(actions))
    ada = hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    assert (account(world, "ada") is not None) is created
    if created:
        world.directory.update_user(ada, jobTitle="Chief")
        world.cycle()
        assert (account(world, "ada")["title"] == "Chief") is updated
        world.directory.unassign_principal(ada)
        world.cycle()
        assert (state(world, "ada") == DISABLED) is disabled


@pytest.mark.usefixtures("colleague")
def test_without_a_mapping_of_soft_deletion_a_leaver_keeps_the_account(world):
    change_users(world, attributes=tuple(a for a in world.schema.user.attributes if a.target != "active"))
    ada = hire(world, "ada")
    world.cycle()
    world.directory.unassign_principal(ada)
    world.cycle()
    assert state(world, "ada") == ACTIVE


@pytest.mark.usefixtures("colleague")
def test_what_depends_on_soft_deletion_is_written_when_somebody_is_unassigned(world):
    map_user(world, "title", 'IIF([IsSoftDeleted]="True", Join(" ", "former", [jobTitle]), [jobTitle])')
    ada = hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    world.directory.unassign_principal(ada)
    world.cycle()
    assert (account(world, "ada")["title"], state(world, "ada")) == ("former Analyst", DISABLED)
    world.directory.assign(ada)
    world.cycle()
    assert (account(world, "ada")["title"], state(world, "ada")) == ("Analyst", ACTIVE)


def test_an_object_that_the_mapping_ignores_is_not_provisioned(world):
    ignoring = of('IIF([employeeType]="robot", IgnoreObjectFlow, "")', "objectFilter")
    change_users(world, attributes=(*world.schema.user.attributes, ignoring))
    hire(world, "ada")
    hire(world, "marvin", employeeType="robot")
    world.cycle()
    assert (account(world, "ada") is not None, account(world, "marvin")) == (True, None)


@pytest.mark.parametrize(
    ("source", "expected", "failed"),
    [
        ('IIF([IsSoftDeleted]="True","0",IIF([accountEnabled]="False","0","1"))', DISABLED, set()),
        ('IIF([employeeType]="always","1",IIF([IsSoftDeleted]="True","0","1"))', DISABLED, set()),
        ('IIF([employeeType]="","1",IIF([IsSoftDeleted]="True","0","1"))', ACTIVE, {"ExpressionEvaluationFailed"}),
    ],
)
def test_somebody_who_is_deleted_is_disabled_or_told_whatever_else_the_mapping_reads(world, source, expected, failed):
    map_user(world, "active", source)
    ada = hire(world, "ada", employeeType="staff")
    world.cycle()
    world.directory.delete_user(ada)
    world.cycle()
    assert (state(world, "ada"), errors(world)) == (expected, failed)


def test_an_account_that_follows_account_enabled_is_disabled_with_it(world):
    map_user(world, "active", "accountEnabled")
    ada = hire(world, "ada")
    world.cycle()
    world.directory.update_user(ada, accountEnabled=False)
    world.cycle()
    assert state(world, "ada") == DISABLED


def test_an_adopted_account_keeps_its_value_where_that_is_one_of_the_candidates(world):
    unique_names(world)
    map_user(world, "user_name", NICKNAMES)
    existing(world, user_name="ada.old", employee_number="7", active="false")
    now = existing(world, user_name="ada", employee_number="7", active="true")
    hire(world, "ada0", employeeId="7", mailNickname="ada")
    world.cycle()
    assert world.instance.get("sys_user", now)["user_name"] == "ada"


def test_a_run_on_demand_takes_no_value_that_a_running_cycle_has_chosen(world):
    map_user(world, "title", NICKNAMES, flow_type="ObjectAddOnly")
    hire(world, "ada0", mailNickname="ada")
    engine = world.engine()
    progress = world.run(engine.begin_cycle())
    while not progress.phase.startswith("act"):
        for number in range(len(progress.steps)):
            world.run(engine.run_step(progress, number))
        progress = world.run(engine.advance())
    hire(world, "ada1", mailNickname="ada")
    world.run(provision_on_demand(world.engine(), f"ada1@{DOMAIN}", write=True))
    world.run(engine.end_lease_of_the_dead())
    world.cycle()
    assert {account(world, "ada0")["title"], account(world, "ada1")["title"]} == {"ada", "ada2"}


def test_the_redacted_name_of_a_record_that_does_not_exist_is_not_told(world):
    map_user(world, "department", "Redact([department])")
    hire(world, "ada", department=SECRET)
    world.cycle()
    answer = world.run(provision_on_demand(world.engine(dry_run=True), f"ada@{DOMAIN}", write=False))
    assert SECRET not in json.dumps([world.journal(), answer.entries])


def test_a_redacted_key_of_lower_precedence_names_nobody_who_is_gone(world):
    map_user(world, "user_name", "onPremisesSamAccountName", matching_priority=1)
    map_user(world, "employee_number", "Redact([employeeId])", matching_priority=2)
    existing(world, user_name="ada", employee_number=SECRET)
    ada = hire(world, "ada", employeeId=SECRET)
    world.cycle()
    world.directory.delete_user(ada)
    answer = world.run(provision_on_demand(world.engine(dry_run=True), ada, write=False))
    assert SECRET not in json.dumps([world.journal(), answer.entries])
