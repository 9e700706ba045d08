"""Columns that refer to records by value, story by story: what is found, what is not, and what a policy does then."""

from __future__ import annotations

import json

import pytest

from provisioning.engine.cycle import Pace
from provisioning.schema import default_schema, dump
from provisioning.schema.load import load_schema
from provisioning.schema.mappings import Lookup
from tests.test_cycle_stories import account, hire
from tests.test_mapping_stories import errors, map_user
from tests.test_scope_stories import configure, explain
from tests.world import World, small_world

DEPARTMENTS = "cmn_department"


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def with_policy(world: World, policy: str = "omit", *, target: str = "department", **options) -> None:
    map_user(world, target, target, lookup=Lookup(policy, **options))


def department(world: World, name: str) -> str:
    """The name of the department that ServiceNow holds for somebody; "" for none."""
    sys_id = account(world, name)["department"]
    return world.instance.get(DEPARTMENTS, sys_id)["name"] if sys_id else ""


def departments(world: World, name: str) -> list[dict]:
    return [row for row in world.instance.rows(DEPARTMENTS) if row["name"] == name]


def warnings(world: World) -> str:
    return json.dumps([entry["provisioningSteps"] for entry in world.journal()], ensure_ascii=False)


# --- What is found --------------------------------------------------------------------------------


def test_a_record_is_found_by_another_column_where_the_mapping_says_so(world):
    world.instance.insert(DEPARTMENTS, {"name": "Astronomy", "id": "D42"})
    with_policy(world, column="id")
    hire(world, "ada", department="D42")
    world.cycle()
    assert department(world, "ada") == "Astronomy"


def test_a_table_is_searched_by_the_column_that_its_people_know_it_by(world):
    columns = [{"name": "u_code", "max_length": 40}, {"name": "u_note", "max_length": 40}]
    world.instance.add_table("u_team", label="Team", display="u_code", columns=columns)
    world.instance.add_column("sys_user", "u_team", type="reference", reference="u_team")
    team = world.instance.insert("u_team", {"u_code": "T-1", "u_note": "the first"})
    map_user(world, "u_team", "jobTitle")
    hire(world, "ada", jobTitle="T-1")
    world.cycle()
    assert account(world, "ada")["u_team"] == team["sys_id"]


@pytest.mark.parametrize("near", ["Muller", "MÜLLER", "müller"])
def test_what_looks_alike_to_servicenow_is_not_the_same_record(world, near):
    world.instance.insert(DEPARTMENTS, {"name": near})
    hire(world, "ada", department="Müller")
    world.cycle()
    assert department(world, "ada") == ""
    world.instance.insert(DEPARTMENTS, {"name": "Müller"})
    world.pass_time(700.0)
    world.cycle()
    assert department(world, "ada") == "Müller"


def test_two_records_of_one_name_are_none_and_the_log_says_so(world):
    for _ in range(2):
        world.instance.insert(DEPARTMENTS, {"name": "Astronomy"})
    hire(world, "ada", department="Astronomy")
    world.cycle()
    assert department(world, "ada") == ""
    assert "2 records have it" in warnings(world)


@pytest.mark.parametrize("value", ["A^B", "A,B", "A^NQactive=true", "Sales & Co", "日本 🎉", "x" * 60, "'quoted'"])
def test_values_that_mean_something_to_a_query_are_looked_up_as_they_are(world, value):
    world.instance.insert(DEPARTMENTS, {"name": value})
    hire(world, "ada", department=value)
    world.cycle()
    assert department(world, "ada") == value


def test_a_value_that_would_run_as_a_script_is_never_asked_for(world):
    with_policy(world, "create")
    world.creatable = (DEPARTMENTS,)
    hire(world, "ada", department="javascript:gs.getUserID()")
    world.cycle()
    assert department(world, "ada") == ""
    assert "begins with javascript:" in warnings(world)
    assert departments(world, "javascript:gs.getUserID()") == []


# --- Policies -------------------------------------------------------------------------------------


def test_by_default_somebody_is_written_without_and_again_when_the_record_appears(world):
    hire(world, "ada", department="Astronomy")
    world.cycle()
    assert department(world, "ada") == ""
    world.instance.insert(DEPARTMENTS, {"name": "Astronomy"})
    world.pass_time(700.0)
    world.forget_counts()
    world.cycle()
    assert department(world, "ada") == "Astronomy"
    assert world.writes() == {"batch: PATCH sys_user": 1}


def test_a_mapping_may_fail_the_object_as_entra_does(world):
    with_policy(world, "fail")
    ada = hire(world, "ada", department="Astronomy")
    hire(world, "bob", department="Design")
    world.cycle()
    assert account(world, "ada") is None
    assert department(world, "bob") == "Design"
    assert errors(world) == {"InvalidLookupReference"}
    (failure,) = [e for e in world.journal() if e["sourceIdentity"]["id"] == ada]
    information = failure["provisioningStatusInfo"]["errorInformation"]
    assert "department refers to a record of cmn_department with the value 'Astronomy'" in information["reason"]
    assert "ServiceNow administrator: create the record" in information["recommendedAction"]
    world.instance.insert(DEPARTMENTS, {"name": "Astronomy"})
    world.pass_time(2400.0)  # no pause: nothing about ada will tell that the record is there
    world.cycle()
    assert department(world, "ada") == "Astronomy"


def test_a_default_stands_in_until_the_record_appears(world):
    world.instance.insert(DEPARTMENTS, {"name": "Unknown"})
    with_policy(world, "default", default="Unknown")
    hire(world, "ada", department="Astronomy")
    world.cycle()
    assert department(world, "ada") == "Unknown"
    world.instance.insert(DEPARTMENTS, {"name": "Astronomy"})
    world.pass_time(700.0)
    world.cycle()
    assert department(world, "ada") == "Astronomy"


def test_a_default_that_does_not_exist_either_leaves_the_column_alone(world):
    with_policy(world, "default", default="Unknown")
    hire(world, "ada", department="Astronomy")
    world.cycle()
    assert department(world, "ada") == ""
    assert "nor can the default be" in warnings(world)


def test_a_redacted_value_that_does_not_exist_stands_in_no_log(world):
    map_user(world, "department", "Redact([department])", lookup=Lookup("fail"))
    hire(world, "ada", department="Astronomy")
    world.cycle()
    assert account(world, "ada") is None
    assert "Astronomy" not in json.dumps(world.journal())


# --- Records that are created ---------------------------------------------------------------------


@pytest.fixture
def creating(tmp_path):
    with small_world(tmp_path, creatable=(DEPARTMENTS,)) as world:
        with_policy(world, "create")
        yield world


def test_a_missing_record_is_created_once_for_everybody_who_needs_it(creating):
    for name in ("ada", "bob", "cy"):
        hire(creating, name, department="Astronomy")
    hire(creating, "dee", department="Design")
    progress = creating.cycle()
    assert len(departments(creating, "Astronomy")) == 1
    assert {department(creating, name) for name in ("ada", "bob", "cy")} == {"Astronomy"}
    assert progress.counts["references.created"] == 1
    assert "'Astronomy' is created there" in warnings(creating)
    creating.forget_counts()
    creating.cycle()
    assert creating.writes() == {}
    assert creating.instance.counts["batch: POST cmn_department"] == 0


def test_steps_side_by_side_create_one_record(tmp_path):
    pace = Pace(slots=4, chunk=5)
    with small_world(tmp_path, creatable=(DEPARTMENTS,), pace=pace) as world:
        with_policy(world, "create")
        world.instance.capacity.set_times(insert=2.0, read=0.5)
        for number in range(40):
            hire(world, f"user{number}", department="Astronomy")
        world.cycle()
        assert len(departments(world, "Astronomy")) == 1
        assert all(department(world, f"user{number}") == "Astronomy" for number in range(40))


def test_a_department_that_changes_to_one_that_is_missing_is_created_for_an_update_too(creating):
    ada = hire(creating, "ada", department="Design")
    creating.cycle()
    creating.directory.update_user(ada, department="Astronomy")
    creating.cycle()
    assert department(creating, "ada") == "Astronomy"


def test_a_cycle_creates_no_more_than_the_limit_and_the_next_one_goes_on(creating):
    creating.create_limit = 2
    for number in range(5):
        hire(creating, f"user{number}", department=f"New {number}")
    creating.cycle()
    made = [row for row in creating.instance.rows(DEPARTMENTS) if row["name"].startswith("New ")]
    assert len(made) == 2
    assert all(account(creating, f"user{number}") is not None for number in range(5))
    assert "the limit of 2 records in a cycle is reached" in warnings(creating)


def test_in_a_table_that_is_not_on_the_list_nothing_is_created(world):
    world.creatable = ("cmn_location",)
    with_policy(world, "create")
    hire(world, "ada", department="Astronomy")
    world.cycle()
    assert (department(world, "ada"), departments(world, "Astronomy")) == ("", [])
    assert "REFERENCE_CREATE_TABLES" in warnings(world)


def test_no_user_is_ever_created_for_a_reference(world):
    world.creatable = ("sys_user",)
    map_user(world, "manager", "jobTitle", lookup=Lookup("create", column="user_name"))
    hire(world, "ada", jobTitle="nobody.special")
    world.cycle()
    assert world.instance.find("sys_user", user_name="nobody.special") == []


def test_a_dry_run_tells_what_would_be_created_and_creates_nothing(creating):
    ada = hire(creating, "ada", department="Astronomy")
    creating.cycle(dry_run=True)
    assert departments(creating, "Astronomy") == []
    assert "'Astronomy' is created there" in json.dumps(explain(creating, ada))
    assert departments(creating, "Astronomy") == []


def test_a_record_that_the_instance_refuses_to_create_leaves_the_column_open(creating):
    creating.instance.access.no_insert.add(DEPARTMENTS)
    hire(creating, "ada", department="Astronomy")
    creating.cycle()
    assert department(creating, "ada") == ""
    assert "could not be created" in warnings(creating)
    creating.instance.access.no_insert.clear()
    creating.instance.insert(DEPARTMENTS, {"name": "Astronomy"})
    creating.pass_time(700.0)
    creating.cycle()
    assert department(creating, "ada") == "Astronomy"


@pytest.mark.parametrize("effect", ["reply_lost", "denied_after_write", "status"])
def test_a_creation_without_a_clear_answer_is_not_repeated_blindly(creating, effect):
    on = "POST batch" if effect == "reply_lost" else "batch: POST cmn_department"
    hire(creating, "ada", department="Astronomy")
    creating.instance.faults.add(on, effect, skip=0, where={"name": "Astronomy"} if on != "POST batch" else {})
    creating.cycle()
    creating.pass_time(700.0)
    creating.cycle()
    assert len(departments(creating, "Astronomy")) == 1
    assert department(creating, "ada") == "Astronomy"


def test_a_process_that_dies_after_the_creation_makes_no_second_record(creating):
    hire(creating, "ada", department="Astronomy")
    creating.instance.faults.add(
        "batch: POST sys_user", "status", status=503, times=None, where={"user_name": "ada@contoso.example"}
    )
    creating.cycle()
    creating.restart()
    creating.instance.faults.planned.clear()
    creating.pass_time(700.0)
    creating.cycle()
    assert len(departments(creating, "Astronomy")) == 1
    assert department(creating, "ada") == "Astronomy"


# --- In the schema --------------------------------------------------------------------------------


def document_with(reference) -> dict:
    document = dump(default_schema())
    rule = document["synchronizationRules"][0]
    for mapping in rule["objectMappings"]:
        for attribute in mapping["attributeMappings"]:
            if attribute["targetAttributeName"] == "department":
                attribute["reference"] = reference
    return document


def test_the_policy_stands_in_the_schema_and_is_kept(world):
    reference = {"policy": "default", "column": "id", "default": "D0"}
    schema = load_schema(document_with(reference))
    lookup = next(each.lookup for each in schema.user.attributes if each.target == "department")
    assert lookup == Lookup("default", "id", "D0")
    assert dump(schema) == document_with(reference)
    configure(world, schema)
    world.instance.insert(DEPARTMENTS, {"name": "Nowhere", "id": "D0"})
    hire(world, "ada", department="D9")
    world.cycle()
    assert department(world, "ada") == "Nowhere"
