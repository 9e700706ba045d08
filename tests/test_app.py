"""The composition root: what the settings say arrives in the job, and a schema that cannot be used opens nothing."""

from __future__ import annotations

import asyncio
import json

import pytest

from provisioning.app import open_app
from provisioning.config import Settings
from provisioning.engine.context import Job
from provisioning.errors import ConfigError
from provisioning.rules.departures import Departures
from provisioning.rules.escrow import RetryPolicy
from provisioning.rules.protection import Protection
from provisioning.rules.review import Limits
from provisioning.schema import default_schema, dump
from tests.test_config import GOOD


def opened(tmp_path, document=None, **settings: str) -> Job:
    """The job of an app that was opened and closed again; nothing is sent for that."""

    async def job() -> Job:
        loaded = Settings.load({**GOOD, "STATE": f"sqlite:{tmp_path / 'state.db'}", **settings})
        app = await open_app(loaded, document=document)
        try:
            return app.engine.context.job
        finally:
            await app.close()

    return asyncio.run(job())


def test_by_default_a_job_does_as_entra_does(tmp_path):
    policy = opened(tmp_path).policy
    assert (policy.everyone, policy.default_access, policy.nested_groups) == (False, "auto", False)
    assert policy.departures == Departures()


def test_what_failed_is_tried_again_as_the_settings_say(tmp_path):
    assert opened(tmp_path).retries == RetryPolicy()
    found = opened(tmp_path, ESCROW_PAUSES="PT1H,PT3H", ESCROW_INTERVAL="P2D", ESCROW_DAYS="7").retries
    assert found == RetryPolicy((3600.0, 3 * 3600.0), 2 * 86400.0, 7 * 86400.0)


@pytest.mark.parametrize(
    ("setting", "value", "name", "expected"),
    [
        ("SCOPE", "all", "everyone", True),
        ("HARD_DELETE", "delete", "departures", Departures(hard_deleted="delete")),
        ("ON_UNASSIGNED", "leave", "departures", Departures(unassigned="leave")),
        ("ON_FILTERED", "delete", "departures", Departures(filtered="delete")),
        ("ON_DISABLED", "leave", "departures", Departures(disabled="leave")),
        ("ON_SOFT_DELETED", "delete", "departures", Departures(soft_deleted="delete")),
        ("SKIP_OUT_OF_SCOPE_DELETIONS", "True", "departures", Departures(unassigned="leave", filtered="leave")),
        ("SKIP_OUT_OF_SCOPE_DELETIONS", "0", "departures", Departures()),
        ("GROUPS_OUT_OF_SCOPE", "deactivate", "departures", Departures(groups="deactivate")),
        ("MEMBERSHIPS_OF_DISABLED", "remove", "departures", Departures(memberships="remove")),
        ("DEFAULT_ACCESS", "exclude", "default_access", "exclude"),
        ("NESTED_GROUPS", "expand", "nested_groups", True),
        ("PROTECTED_ACCOUNTS", "svc.mid,ada", "protection", Protection(accounts=("ada", "svc.mid"))),
        ("ALLOWED_ACCOUNTS", "ada", "protection", Protection(allowed_accounts=("ada",))),
        ("ALLOWED_GROUPS", "ServiceNow Admins", "protection", Protection(allowed_groups=("ServiceNow Admins",))),
    ],
)
def test_a_setting_changes_the_jobs_policy(tmp_path, setting, value, name, expected):
    assert getattr(opened(tmp_path, **{setting: value}).policy, name) == expected


def test_the_user_name_of_the_login_is_protected(tmp_path):
    login = {"SERVICENOW_AUTH": "basic", "SERVICENOW_USERNAME": "svc.entra", "SERVICENOW_PASSWORD": "secret"}
    assert opened(tmp_path, **login).policy.protection == Protection(own_name="svc.entra")


def with_expression(expression: str) -> dict:
    document = json.loads(json.dumps(dump(default_schema())))
    users = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    title = next(each for each in users if each["targetAttributeName"] == "title")
    title["source"] = {"type": "Function", "expression": expression}
    return document


def test_compatibility_with_entra_refuses_what_entra_refuses(tmp_path):
    document = with_expression('switch([jobTitle], "none", "a", "b")')
    assert opened(tmp_path, document).schema.user.reads
    with pytest.raises(ConfigError, match="switch"):
        opened(tmp_path, document, COMPATIBILITY="entra")


def test_each_rule_that_decides_about_people_evaluates_them_again_when_it_changes(tmp_path):
    base = opened(tmp_path).configuration
    changed = [
        opened(tmp_path, COMPATIBILITY="entra"),
        opened(tmp_path, NESTED_GROUPS="expand"),
        opened(tmp_path, DEFAULT_ACCESS="include"),
        opened(tmp_path, SCOPE="all"),
        opened(tmp_path, PROTECTED_ACCOUNTS="svc.mid"),
        opened(tmp_path, ALLOWED_GROUPS="ServiceNow Admins"),
        opened(tmp_path, with_expression("[department]")),
    ]
    assert len({base, *(job.configuration for job in changed)}) == len(changed) + 1


def test_the_guards_limits_come_from_the_settings_before_what_was_imported(tmp_path):
    imported = {"name": "QuarantineTooManyDeletesThreshold", "value": "2"}
    document = {**dump(default_schema()), "synchronizationJobSettings": [imported]}
    default = opened(tmp_path)
    assert default.limits_of("users") == default.limits_of("wipes") == Limits(500, 0.05, 3)
    job = opened(tmp_path, document, REMOVAL_LIMIT="groups=20", REMOVAL_SHARE="wipes=1 %")
    assert job.limits_of("users") == Limits(2, 0.05, 2)
    assert job.limits_of("groups") == Limits(20, 0.05, 3)
    assert job.limits_of("memberships") == Limits(500, 0.05, 3)
    assert job.limits_of("wipes") == Limits(500, 0.01, 3)
    assert opened(tmp_path, GROUP_REMOVAL_LIMIT="9").group_limits.removals == {"": 9}
