"""What was ordered, changed and approved, by whom, and what the job did to itself: the audit trail."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from provisioning.config import Settings
from provisioning.engine import control
from provisioning.engine.schemas import Schemas
from provisioning.errors import ConfigError
from provisioning.rules.audit import differences
from provisioning.rules.log_query import LogQuery
from provisioning.rules.review import Limits
from provisioning.schema import changed_parts, default_schema, dump, read_clause
from tests.test_control_stories import restart
from tests.test_cycle_stories import hire
from tests.test_quarantine_stories import tick
from tests.world import small_world

BY = "Ada, an administrator"
START, PAUSE = "Enable/start provisioning configuration", "Disable/pause provisioning configuration"
RESTART = "Enable/restart provisioning configuration"


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        yield world


def trail(world):
    """Oldest first."""
    return world.run(world.engine().context.audit.newest())[::-1]


def activities(world):
    return [(entry.activity, entry.actor) for entry in trail(world)]


def order(world, coroutine):
    world.run(coroutine)
    world.pass_time(1.0)


def searched(world, **query):
    asked = LogQuery.parse(resource="directoryAudit", **query)
    return world.run(world.engine().context.audit.search(asked, principal="p"))


# --- orders -------------------------------------------------------------------------------------


def test_every_order_is_recorded_with_who_gave_it_when_and_what_it_was(world):
    ada = hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    engine = world.engine()
    began = world.now()
    order(world, control.pause(engine, by=BY))
    order(world, control.start(engine, by="Bob"))
    order(world, control.resync(engine, "user", ada, by=BY))
    clause = read_clause("userPrincipalName EQUALS ada@contoso.example", "user")
    order(world, control.resync_filter(engine, [clause], by=BY))
    restart(world, "Watermark")
    world.pass_time(1.0)
    order(world, control.delete(engine, by=BY))
    assert activities(world) == [
        (PAUSE, BY),
        (START, "Bob"),
        ("Resync", BY),
        ("Resync", BY),
        (RESTART, "a person"),
        ("Delete provisioning configuration", BY),
    ]
    paused, _, one, some, restarted, deleted = trail(world)
    assert (paused.at, paused.changes) == (began, {"status": ("Active", "Paused")})
    assert (one.subject.kind, one.subject.id) == ("User", ada)
    assert some.changes == {"filter": (None, "userPrincipalName EQUALS")}, "not whom"
    assert restarted.changes == {"resetScope": (None, "Watermark")}
    assert deleted.changes == {"status": ("Active", "Paused")}


def test_an_order_that_is_refused_is_not_recorded(world):
    engine = world.engine()
    with pytest.raises(ConfigError):
        world.run(engine.force_deletes(by=BY))
    assert trail(world) == []


@pytest.mark.parametrize(
    ("rule", "activity"),
    [("approve", "Approve held removals"), ("reject", "Reject held removals"), ("force", "Force held removals")],
)
def test_the_trail_says_who_ruled_on_how_much_and_the_cycle_that_it_was_good_for(tmp_path, rule, activity):
    with small_world(tmp_path, limits=Limits()) as world:
        users = [hire(world, f"user{n}") for n in range(20)]
        world.cycle()
        for user in users[:15]:
            world.directory.unassign_principal(user)
        plan = world.cycle().held
        engine = world.engine()
        world.pass_time(1.0)
        if rule == "force":
            world.run(control.restart(engine, ("ForceDeletes",), by=BY))
        else:
            world.run(getattr(engine, rule)(plan, by=BY))
        world.pass_time(1.0)
        cycle = world.cycle().cycle
        found = [entry for entry in trail(world) if "plan" in entry.changes]
        assert [(entry.activity, entry.actor) for entry in found] == [
            (activity, BY),
            ("Carry out ruling on held removals", "Provisioning Service"),
        ]
        assert found[0].changes == {"plan": (None, plan), "users": ("15", None)}
        assert found[1].changes == {"plan": (None, plan), "cycle": (None, cycle), "by": (None, BY)}


# --- changes of the configuration ---------------------------------------------------------------


def other_schema():
    document = copy.deepcopy(dump(default_schema()))
    users = document["synchronizationRules"][0]["objectMappings"][0]
    title = next(each for each in users["attributeMappings"] if each["targetAttributeName"] == "title")
    title["source"] = {"type": "Constant", "name": "hush", "expression": '"hush"', "parameters": []}
    users["attributeMappings"] = [m for m in users["attributeMappings"] if m["targetAttributeName"] != "fax"]
    clause = {
        "sourceOperandName": "department",
        "operatorName": "EQUALS",
        "targetOperand": {"values": ["secret project"]},
    }
    users["scope"] = {"groups": [{"name": "few", "clauses": [clause]}]}
    return document


def test_an_imported_schema_is_recorded_with_what_is_mapped_otherwise_and_without_values(world):
    schemas = Schemas(world.store, "job")
    version = world.run(schemas.save(other_schema(), by=BY, at=10.0))
    world.run(schemas.reset(by=BY, at=20.0))
    imported, default = trail(world)
    assert (imported.activity, imported.actor, imported.at) == ("Update attribute mappings or scope", BY, 10.0)
    assert imported.changes == {"schema": ("default", version)}
    assert default.changes == {"schema": (version, "default")}
    assert "title changed" in imported.reason
    assert "scope changed" in imported.reason
    assert "hush" not in imported.reason + default.reason
    assert "secret project" not in imported.reason + default.reason


def test_what_differs_between_two_schemas_is_named_by_its_place():
    old, new = dump(default_schema()), other_schema()
    assert changed_parts(old, old) == ()
    assert set(changed_parts(old, {**old, "version": "other"})) == set()
    found = changed_parts(old, new)
    assert any(each.endswith(": title changed") for each in found)
    assert any(each.endswith(": scope changed") for each in found)
    without = copy.deepcopy(old)
    del without["synchronizationRules"][0]["objectMappings"][1]
    assert [each.rpartition(" ")[2] for each in changed_parts(old, without)] == ["removed"]
    assert [each.rpartition(" ")[2] for each in changed_parts(without, old)] == ["added"]
    assert changed_parts(old, {**old, "directories": []}) == ("directories, metadata or other members changed",)


ENVIRON = {
    "ENTRA_TENANT_ID": "11111111-1111-1111-1111-111111111111",
    "ENTRA_SERVICE_PRINCIPAL_ID": "22222222-2222-2222-2222-222222222222",
    "GRAPH_BASE_URL": "http://127.0.0.1/v1.0",
    "GRAPH_ACCESS_TOKEN": "graph-token-1",
    "SERVICENOW_INSTANCE": "http://127.0.0.1",
    "SERVICENOW_AUTH": "basic",
    "SERVICENOW_USERNAME": "ada@contoso.com",
    "SERVICENOW_PASSWORD": "first secret",
    "PROTECTED_ACCOUNTS": "boss@contoso.com",
    "REMOVAL_LIMIT": "500",
    "STATE": "tables:DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
}
SECRETS = ("graph-token-1", "ada@contoso.com", "first secret", "second secret", "boss@contoso.com", "c2VjcmV0")


def with_settings(world, **changes):
    settings = Settings.load({**ENVIRON, **changes})
    hidden = frozenset(name for name in settings.given if name in {"SERVICENOW_PASSWORD", "SERVICENOW_USERNAME"})
    engine = world.engine()
    job = replace(engine.context.job, settings=settings.given, hidden_settings=hidden)
    world._engine = replace(engine, context=replace(engine.context, job=job))


def test_settings_that_differ_from_the_last_cycles_are_found_when_a_cycle_begins(world):
    with_settings(world)
    world.cycle()
    world.pass_time(60.0)
    world.cycle()
    with_settings(world, SERVICENOW_PASSWORD="second secret", REMOVAL_LIMIT="5", JOB_INTERVAL="PT1H")
    world.pass_time(60.0)
    world.cycle()
    added, changed = trail(world)
    assert (added.activity, changed.activity) == (
        "Add provisioning configuration",
        "Update provisioning setting or credentials",
    )
    assert changed.actor == "Provisioning Service"
    assert changed.changes == {
        "JOB_INTERVAL": (None, "PT1H"),
        "REMOVAL_LIMIT": ("500", "5"),
        "SERVICENOW_PASSWORD": ("[Redact]", "[Redact]"),
    }


def test_neither_a_secret_nor_the_name_of_a_person_is_stored_with_the_settings(world):
    with_settings(world)
    world.cycle()
    stored = str(world.store._connection.execute("SELECT * FROM rows WHERE table_name = 'job'").fetchall())
    assert "REMOVAL_LIMIT" in stored
    assert [secret for secret in SECRETS if secret in stored] == []
    assert "STATE" not in Settings.load(ENVIRON).given


def test_a_hidden_value_differs_without_being_shown():
    hidden = frozenset({"secret"})
    assert differences({"secret": "1f", "a": "1"}, {"secret": "2e", "a": "1"}, hidden) == {
        "secret": ("[Redact]", "[Redact]")
    }
    assert differences({}, {"secret": "2e"}, hidden) == {"secret": (None, "[Redact]")}
    assert differences({"a": "1"}, {}, hidden) == {"a": ("1", None)}


# --- what the job does to itself ----------------------------------------------------------------


def test_going_into_quarantine_and_coming_out_of_it_is_recorded_once_each(world):
    hire(world, "ada")
    world.instance.faults.add("POST token", "unauthorized", times=None)
    assert tick(world)
    world.restart()
    world.pass_time(3600.0)
    tick(world)
    world.instance.faults.clear()
    world.restart()
    world.pass_time(86400.0)
    tick(world)
    entered, left = trail(world)
    assert (entered.activity, entered.actor) == ("Quarantine", "Provisioning Service")
    reason = "EncounteredQuarantineException (ServiceNowCredentialsValidation)"
    assert entered.changes["quarantine"] == (None, reason)
    assert left.changes["quarantine"] == (reason, None)


def test_a_job_that_is_switched_off_after_four_weeks_in_quarantine_says_so(world):
    hire(world, "ada")
    world.instance.faults.add("POST token", "unauthorized", times=None)
    for _ in range(30):
        world.restart()
        tick(world)
        world.pass_time(86400.0)
    last = trail(world)[-1]
    assert (last.activity, last.actor, last.reason) == (PAUSE, "Provisioning Service", "four weeks in quarantine")


# --- how it is read -----------------------------------------------------------------------------


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_the_trail_is_read_in_graphs_shape_filtered_and_page_by_page(world):
    began, engine = world.now(), world.engine()
    for number in range(7):
        order(world, (control.pause if number % 2 else control.start)(engine, by=f"person {number}"))
    (newest, *_), token = (page := searched(world, top=3)).entries, page.next_token
    assert newest["activityDisplayName"] == START
    assert newest["initiatedBy"] == {
        "app": None,
        "user": {"id": None, "displayName": "person 6", "userPrincipalName": None, "ipAddress": None},
    }
    assert (newest["category"], newest["loggedByService"]) == ("ProvisioningManagement", "Account Provisioning")
    (resource,) = newest["targetResources"]
    assert (resource["id"], resource["type"]) == ("p", "ServicePrincipal")
    assert resource["modifiedProperties"] == [{"displayName": "status", "oldValue": "Paused", "newValue": "NotRun"}]
    assert newest["additionalDetails"] == [{"key": "JobId", "value": "job"}]
    assert json.loads(json.dumps(newest)) == newest

    def who(page):
        return [entry["initiatedBy"]["user"]["displayName"][-1] for entry in page.entries]

    second = searched(world, top=3, skip_token=token)
    third = searched(world, top=3, skip_token=second.next_token)
    assert (who(page), who(second), who(third)) == (["6", "5", "4"], ["3", "2", "1"], ["0"])
    assert third.next_token is None
    ascending = searched(world, top=4, order="activityDateTime asc")
    rest = searched(world, top=4, order="activityDateTime asc", skip_token=ascending.next_token)
    assert who(ascending) + who(rest) == list("0123456")
    assert who(searched(world, filter_=f"activityDisplayName eq '{PAUSE}'")) == ["5", "3", "1"]
    assert who(searched(world, filter_="initiatedBy/user/displayName eq 'person 4'")) == ["4"]
    between = f"activityDateTime ge {iso(began + 1)} and activityDateTime lt {iso(began + 3)}"
    assert who(searched(world, filter_=between)) == ["2", "1"]


def test_entries_go_when_their_time_is_up_and_not_before(world):
    order(world, control.pause(world.engine(), by=BY))
    order(world, control.start(world.engine(), by=BY))
    world.pass_time(29 * 86400.0)
    world.cycle()
    assert len(trail(world)) == 2
    order(world, control.pause(world.engine(), by=BY))
    order(world, control.start(world.engine(), by=BY))
    world.pass_time(2 * 86400.0)
    world.cycle()
    assert len(trail(world)) == 2
