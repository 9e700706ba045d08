"""Credentials are tried and never kept, settings are kept and never read back: PUT secrets and validateCredentials."""

from __future__ import annotations

import json

import pytest

from provisioning.config import Settings
from provisioning.errors import ConfigError, RowConflict
from provisioning.graph_secrets import CREDENTIALS, kept_of, login_of
from tests.api_place import ApiPlace, error_of
from tests.emulators import servicenow


@pytest.fixture
def place(tmp_path) -> ApiPlace:
    return ApiPlace(tmp_path)


def secrets(**pairs: str) -> dict:
    return {"value": [{"key": key, "value": value} for key, value in pairs.items()]}


def credentials(*, saved: bool = False, **pairs: str) -> dict:
    return {
        "templateId": "ServiceNowOutDelta",
        "useSavedCredentials": saved,
        "credentials": [{"key": key, "value": value} for key, value in pairs.items()],
    }


def everything_stored(place: ApiPlace) -> bytes:
    path = place.environ["STATE"].removeprefix("sqlite:")
    folder = place.settings.state.path
    assert path == folder
    found = b""
    for suffix in ("", "-wal"):
        try:
            with open(path + suffix, "rb") as file:  # noqa: PTH123 - beside a database that is open
                found += file.read()
        except FileNotFoundError:
            continue
    return found


# --- validateCredentials --------------------------------------------------------------------------


def test_saved_credentials_that_work_are_answered_with_nothing(place):
    async def story(client):
        return await client.post(f"{place.job}/validateCredentials", json=credentials(saved=True))

    response = place.run(story)
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("key", ["BaseAddress", "InstanceName", "Url", "UserName"])
def test_with_saved_credentials_a_host_of_the_callers_is_refused(place, key):
    async def story(client):
        body = credentials(saved=True, **{key: "https://evil.example"})
        return await client.post(f"{place.job}/validateCredentials", json=body), dict(place.instance.counts)

    response, before = place.run(story)
    assert response.status_code == 400
    assert "shown to no other" in error_of(response)["message"]
    assert not before, "nobody was asked"


@pytest.mark.parametrize(
    "host", ["https://evil.example", "http://169.254.169.254", "https://service-now.com.evil.example", "localhost"]
)
def test_credentials_of_the_callers_go_to_instances_of_servicenow_only(place, host):
    async def story(client):
        body = credentials(InstanceName=host, UserName="admin", Password="admin")
        return await client.post(f"{place.job}/validateCredentials", json=body), dict(place.instance.counts)

    response, asked = place.run(story)
    assert (response.status_code, asked) == (400, {})


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"UserName": "admin", "Password": "admin"}, 204),
        ({"BaseAddress": "http://127.0.0.1", "UserName": "admin", "Password": "admin"}, 204),
        ({"UserName": "admin", "Password": "wrong-password-7"}, 400),
        ({"Oauth2ClientId": servicenow.CLIENT_ID, "Oauth2ClientSecret": servicenow.CLIENT_SECRET}, 204),
        ({"ClientIdentifier": servicenow.CLIENT_ID, "ClientSecret": "wrong-password-7"}, 400),
        ({"UserName": "admin"}, 400),
        ({"Nonsense": "x"}, 400),
        ({}, 400),
    ],
)
def test_given_credentials_are_tried_and_never_kept(place, given, status):
    async def story(client):
        response = await client.post(f"{place.job}/validateCredentials", json=credentials(**given))
        return response, everything_stored(place)

    response, stored = place.run(story)
    assert response.status_code == status, response.text
    for value in (given.get("Password", ""), given.get("ClientSecret", "")):
        if len(value) > 5:
            assert value not in response.text
            assert value.encode() not in stored
    assert place.contract.violations == []


def test_saved_credentials_that_are_refused_are_the_error_with_the_way_out(tmp_path):
    place = ApiPlace(tmp_path, SERVICENOW_CLIENT_SECRET="another-secret")

    async def story(client):
        return await client.post(f"{place.principal}/jobs/validateCredentials", json=credentials(saved=True))

    response = place.run(story)
    assert (response.status_code, error_of(response)["code"]) == (400, "ServiceNowCredentialsValidation")
    assert "another-secret" not in response.text


def test_a_secret_that_was_changed_is_tried_as_it_is_though_a_token_of_before_still_works(place):
    async def story(client) -> list[int]:
        first = await client.post(f"{place.job}/validateCredentials", json=credentials(saved=True))
        place.instance.accounts.add_client(servicenow.CLIENT_ID, "rotated")
        second = await client.post(f"{place.job}/validateCredentials", json=credentials(saved=True))
        return [first.status_code, second.status_code]

    assert place.run(story) == [204, 400]


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(CREDENTIALS))
def test_a_credential_is_refused_with_the_sentence_where_it_belongs(place, key):
    async def story(client):
        body = secrets(SyncAll="true", **{key: "hunter2hunter2"})
        response = await client.put(f"{place.principal}/secrets", json=body)
        return response, (await place.host.app()).settings.scope, everything_stored(place)

    response, scope, stored = place.run(story)
    assert response.status_code == 400
    assert "Key Vault" in error_of(response)["message"]
    assert CREDENTIALS[key] in error_of(response)["message"]
    assert "hunter2" not in response.text
    assert (scope, b"hunter2" in stored) == ("assigned", False), "nothing of it is kept"


def test_settings_are_kept_work_from_the_next_cycle_on_and_are_in_the_audit_trail(place):
    async def story(client):
        await place.cycle(client)
        few = place.accounts()
        response = await client.put(
            f"{place.principal}/secrets", json=secrets(SyncAll="true", SkipOutOfScopeDeletions="True")
        )
        assert (response.status_code, response.content) == (204, b"")
        await place.cycle(client)
        audits = (await client.get("/v1.0/auditLogs/directoryAudits")).json()["value"]
        return few, place.accounts(), audits

    few, many, audits = place.run(story)
    assert many > few, "everybody is in scope"
    (entry,) = [each for each in audits if each["activityDisplayName"] == "Update provisioning setting or credentials"]
    assert "SKIP_OUT_OF_SCOPE_DELETIONS" in json.dumps(entry)
    # Microsoft's page says 204, its description an answer.
    assert [each for each in place.contract.violations if "secrets: 204 without" not in each] == []


def test_a_setting_that_is_taken_back_is_what_the_app_settings_say(place):
    async def story(client) -> list[str]:
        seen = []
        for value in ("true", ""):
            await client.put(f"{place.principal}/secrets", json=secrets(SyncAll=value))
            seen.append((await place.host.app()).settings.scope)
        return seen

    assert place.run(story) == ["all", "assigned"]


def test_a_running_cycle_ends_with_the_settings_that_it_began_with(place):
    async def story(client) -> None:
        running = await place.host.app()
        await running.engine.begin_cycle()
        await client.put(f"{place.principal}/secrets", json=secrets(SyncAll="true"))
        assert (await place.host.app()).settings.scope == "assigned"
        assert (await place.new_app()).settings.scope == "assigned"

    place.run(story)


def test_an_app_of_before_does_not_go_on_with_a_cycle_that_began_with_other_settings(place):
    async def story(client) -> None:
        before = await place.new_app()
        await client.put(f"{place.principal}/secrets", json=secrets(SkipOutOfScopeDeletions="true"))
        later = await place.new_app()
        await later.engine.begin_cycle()
        await later.engine.end_lease_of_the_dead()
        with pytest.raises(RowConflict, match="other settings"):
            await before.engine.begin_cycle()
        await later.engine.end_lease_of_the_dead()
        await (await place.new_app()).engine.begin_cycle()

    place.run(story)


def test_an_app_setting_goes_before_and_says_so(tmp_path):
    place = ApiPlace(tmp_path, SCOPE="assigned", ON_UNASSIGNED="disable")

    async def story(client):
        asked = [secrets(SyncAll="true"), secrets(SkipOutOfScopeDeletions="1"), secrets(HardDeletesEnabled="true")]
        return [await client.put(f"{place.principal}/secrets", json=each) for each in asked]

    scope, skip, hard = place.run(story)
    assert (scope.status_code, skip.status_code, hard.status_code) == (400, 400, 204)
    assert "the app setting SCOPE says already" in error_of(scope)["message"]
    assert "ON_UNASSIGNED" in error_of(skip)["message"]


def test_an_app_setting_that_came_later_goes_before_what_was_kept():
    later = Settings.load(ENVIRON | {"SCOPE": "assigned", "REMOVAL_LIMIT": "7"})
    kept = later.keeping({"SCOPE": "all", "QUARANTINE_TOO_MANY_DELETES_THRESHOLD": "500", "HARD_DELETE": "delete"})
    assert (kept.scope, kept.removal_limits["users"], kept.departures.hard_deleted) == ("assigned", 7, "delete")


ENVIRON = {
    "ENTRA_TENANT_ID": "11111111-1111-4111-8111-111111111111",
    "ENTRA_SERVICE_PRINCIPAL_ID": "22222222-2222-4222-8222-222222222222",
    "ENTRA_CLIENT_ID": "33333333-3333-4333-8333-333333333333",
    "ENTRA_CLIENT_SECRET": "x",
    "SERVICENOW_INSTANCE": "contoso",
    "SERVICENOW_CLIENT_ID": "x",
    "SERVICENOW_CLIENT_SECRET": "x",
}
NOTIFICATIONS = '{"Enabled": true, "Recipients": "a@contoso.com;b@contoso.com", "DeleteThresholdEnabled": true, '
NOTIFICATIONS += '"DeleteThresholdValue": 40}'


def test_notifications_are_sent_to_those_whom_the_api_names():
    settings = Settings.load(ENVIRON | {"NOTIFY_MAIL_FROM": "from@contoso.com", "NOTIFY_MAIL_TO": "old@contoso.com"})
    kept = kept_of({"SyncNotificationSettings": NOTIFICATIONS})
    mail = settings.keeping({name: value for name, value in kept.items() if value is not None}, strictly=True)
    assert mail.notify.mail.recipients == ("a@contoso.com", "b@contoso.com")
    assert mail.removal_limits == {"users": 40, "groups": 40}
    silent = kept_of({"SyncNotificationSettings": '{"Enabled": false}'})
    assert settings.keeping({name: value or "" for name, value in silent.items()}).notify.mail is None
    with pytest.raises(ConfigError, match="NOTIFY_MAIL_FROM"):
        Settings.load(ENVIRON).keeping({"NOTIFY_MAIL_TO": "a@contoso.com"}, strictly=True)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("SyncAll", "maybe", "true or false"),
        ("SyncNotificationSettings", "x", "JSON object"),
        ("SyncNotificationSettings", "[]", "JSON object"),
        ("SyncNotificationSettings", '{"Recipients": 3}', "mail addresses"),
        ("SyncNotificationSettings", '{"DeleteThresholdValue": "many"}', "whole number"),
        ("SyncNotificationSettings", '{"DeleteThresholdValue": true}', "whole number"),
        ("InstanceName", "contoso", "SERVICENOW_INSTANCE"),
        ("PerformInboundEntitlementGrants", "true", "means nothing"),
    ],
)
def test_what_cannot_be_kept_is_refused(key, value, words):
    with pytest.raises(ConfigError, match=words):
        kept_of({key: value})


def test_the_way_to_log_in_follows_from_what_is_given():
    both = {"UserName": "u", "Password": "p", "Oauth2ClientId": "c", "Oauth2ClientSecret": "s"}
    assert login_of(both)[0] == "oauth-password"
    assert login_of({"SecretToken": "k", "Url": "contoso"}) == ("api-key", {"api_key": "k"}, "contoso")


@pytest.mark.parametrize(
    "body",
    [
        {"value": [{"key": "SyncAll", "value": "true"}, {"key": "syncall", "value": "false"}]},
        {"value": [{"value": "true"}]},
        {"value": 3},
        {"value": [{"key": "SyncAll", "value": "x"}] * 101},
        [],
    ],
)
def test_a_list_of_secrets_that_says_two_things_or_none_is_the_callers_fault(place, body):
    async def story(client):
        return await client.put(f"{place.principal}/secrets", json=body)

    response = place.run(story)
    assert (response.status_code, error_of(response)["code"]) == (400, "Request_BadRequest")
