"""Settings: what is taken, what is refused, and in which words. No refusal repeats a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.config import (
    KNOWN,
    AzureIdentity,
    ClientCertificate,
    ClientSecret,
    FixedToken,
    Settings,
    SqliteState,
    TablesAccount,
    TablesConnection,
)
from provisioning.errors import ConfigError

TENANT = "7c5e1a52-6f0d-4c2f-9a55-0f4c9be3d1a7"
PRINCIPAL = "1edfc422-b57f-475a-bba4-115149c10218"
CLIENT = "202ff901-6b03-40fb-80fb-4ec3efc34d73"
SECRET = "kept-to-ourselves"
GOOD = {
    "ENTRA_TENANT_ID": TENANT,
    "ENTRA_CLIENT_ID": CLIENT,
    "ENTRA_CLIENT_SECRET": SECRET,
    "ENTRA_SERVICE_PRINCIPAL_ID": PRINCIPAL,
    "SERVICENOW_INSTANCE": "contoso",
    "SERVICENOW_CLIENT_ID": "client",
    "SERVICENOW_CLIENT_SECRET": SECRET,
}
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"


def load(**changes: str | None) -> Settings:
    """The good settings with changes; None takes a setting away."""
    return Settings.load({name: value for name, value in {**GOOD, **changes}.items() if value is not None})


def refusal(**changes: str | None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_few_settings_are_enough():
    settings = load()
    assert settings.sign_in == ClientSecret(CLIENT, SECRET)
    assert settings.graph_base_url == "https://graph.microsoft.com/v1.0"
    assert settings.authority_host == "https://login.microsoftonline.com"
    assert settings.instance_url == "https://contoso.service-now.com"
    assert settings.login.kind == "oauth-client-credentials"
    assert settings.state == SqliteState("provisioning.db")
    assert (settings.scope, settings.departures.hard_deleted, settings.slots) == ("assigned", "disable", 2)
    assert (settings.interval, settings.schedule) == (2400.0, "0 */5 * * * *")


def test_an_empty_setting_counts_as_unset():
    assert load(SCOPE="", GRAPH_BASE_URL=" ", SERVICENOW_PASSWORD="") == load()


def test_the_job_id_is_that_of_entra_and_stays_the_same_for_the_same_application_and_instance():
    one = load().job_id
    template, tenant, last = one.split(".")
    assert (template, tenant, len(last)) == ("ServiceNowOutDelta", TENANT.replace("-", ""), 36)
    assert load(SERVICENOW_INSTANCE="https://CONTOSO.service-now.com/").job_id == one
    assert load(SERVICENOW_CLIENT_SECRET="another", SCOPE="all").job_id == one
    assert load(SERVICENOW_INSTANCE="fabrikam").job_id != one
    assert load(ENTRA_SERVICE_PRINCIPAL_ID=CLIENT).job_id != one


def test_a_job_id_can_be_given_if_it_can_be_a_key_of_azure_tables():
    assert load(JOB_ID="my-job_1.2").job_id == "my-job_1.2"
    for bad in ("a/b", "a\\b", "a#b", "a?b", "a|b", "a b", "a" * 101):
        assert refusal(JOB_ID=bad).startswith("JOB_ID is ")


def test_no_secret_shows_in_the_settings():
    everything = load(
        SERVICENOW_AUTH="oauth-password",
        SERVICENOW_USERNAME="someone",
        SERVICENOW_PASSWORD=SECRET,
        STATE=f"tables:{CONNECTION}",
    )
    assert SECRET not in repr(everything)
    assert "c2VjcmV0" not in repr(everything)
    assert SECRET not in repr(load(SERVICENOW_AUTH="api-key", SERVICENOW_API_KEY=SECRET))


@pytest.mark.parametrize(
    ("changes", "sign_in"),
    [
        (
            {
                "ENTRA_CLIENT_SECRET": None,
                "GRAPH_ACCESS_TOKEN": "token",
                "GRAPH_BASE_URL": "http://127.0.0.1:7101/v1.0",
            },
            FixedToken("token"),
        ),
        (
            {"ENTRA_CLIENT_SECRET": None, "ENTRA_CLIENT_CERTIFICATE_PATH": "app.pem"},
            ClientCertificate(CLIENT, "app.pem"),
        ),
        (
            {"ENTRA_CLIENT_SECRET": None, "ENTRA_CLIENT_ID": None, "ENTRA_MANAGED_IDENTITY_CLIENT_ID": CLIENT.upper()},
            AzureIdentity(CLIENT),
        ),
        (
            {"ENTRA_CLIENT_SECRET": None, "ENTRA_CLIENT_ID": None, "IDENTITY_ENDPOINT": "http://169.254.129.4"},
            AzureIdentity(None),
        ),
    ],
)
def test_each_way_to_sign_in_to_entra_is_taken(changes, sign_in):
    assert load(**changes).sign_in == sign_in


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("sqlite:/var/lib/state.db", SqliteState("/var/lib/state.db")),
        ("tables:https://account.table.core.windows.net", TablesAccount("https://account.table.core.windows.net")),
        (f"tables:{CONNECTION}", TablesConnection(CONNECTION)),
        ("tables:UseDevelopmentStorage=true", TablesConnection("UseDevelopmentStorage=true")),
        ("tables:http://127.0.0.1:10002/devstoreaccount1", TablesAccount("http://127.0.0.1:10002/devstoreaccount1")),
    ],
)
def test_each_form_of_the_state_is_taken(text, state):
    assert load(STATE=text).state == state


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SCOPE", "everyone", "SCOPE is 'everyone': use assigned or all"),
        ("HARD_DELETE", "purge", "HARD_DELETE is 'purge': use disable or delete or leave"),
        ("ESCROW_PAUSES", "P1D,PT6H", "in rising order"),
        ("ESCROW_INTERVAL", "daily", "ESCROW_INTERVAL is 'daily': use a duration"),
        ("ESCROW_DAYS", "0", "ESCROW_DAYS"),
        ("ESCROW_PAUSES", "often", "ESCROW_PAUSES is 'often': use a duration"),
        ("QUARANTINE_SCALE", "tiny", "QUARANTINE_SCALE is 'tiny'"),
        ("ON_FILTERED", "lock", "ON_FILTERED is 'lock': use disable or delete or leave"),
        ("GROUPS_OUT_OF_SCOPE", "disable", "GROUPS_OUT_OF_SCOPE is 'disable': use leave or deactivate or delete"),
        ("SKIP_OUT_OF_SCOPE_DELETIONS", "yes", "SKIP_OUT_OF_SCOPE_DELETIONS is 'yes': use true or false or 1 or 0"),
        ("SERVICENOW_AUTH", "ntlm", "oauth-password or basic or oauth-jwt or api-key or mtls"),
        ("SERVICENOW_AUTH", "mtls", "SERVICENOW_CLIENT_CERTIFICATE_PATH is not set"),
        ("DEFAULT_ACCESS", "perhaps", "DEFAULT_ACCESS is 'perhaps': use auto or include or exclude"),
        ("NESTED_GROUPS", "yes", "NESTED_GROUPS is 'yes': use ignore or expand"),
        ("COMPATIBILITY", "full", "COMPATIBILITY is 'full': use sane or entra"),
        ("ENTRA_TENANT_ID", "contoso.com", "not a GUID: copy the Directory (tenant) ID"),
        ("ENTRA_CLIENT_ID", "1234", "not a GUID: copy the Application (client) ID"),
        ("ENTRA_SERVICE_PRINCIPAL_ID", "ServiceNow", "Enterprise applications"),
        ("SERVICENOW_INSTANCE", "https://contoso.service-now.com/nav_to.do", "holds a path after"),
        ("SERVICENOW_INSTANCE", "contoso.service-now.com/login.do", "holds a path after"),
        ("SERVICENOW_INSTANCE", "https://contoso.service-now.com?x=1", "holds a query after"),
        ("SERVICENOW_INSTANCE", f"https://admin:{SECRET}@contoso.service-now.com", "holds a user or a password"),
        ("SERVICENOW_INSTANCE", "http://contoso.service-now.com", "plain http"),
        ("SERVICENOW_INSTANCE", "con toso", "names no host"),
        ("SERVICENOW_INSTANCE", "contoso.service-now.com:port", "port"),
        ("GRAPH_BASE_URL", "http://graph.microsoft.com/v1.0", "plain http"),
        ("GRAPH_BASE_URL", "ftp://graph.microsoft.com", "not an address"),
        ("ENTRA_AUTHORITY_HOST", "http://127.0.0.1:7101", "plain http"),
        ("STATE", "provisioning.db", "use sqlite:PATH"),
        ("STATE", "redis:localhost", "use sqlite:PATH"),
        ("STATE", "tables:http://account.table.core.windows.net", "plain http"),
        ("STATE", "sqlite:", "use sqlite:PATH"),
        ("SERVICENOW_SLOTS", "0", "from 1 to 64"),
        ("SERVICENOW_SLOTS", "two", "from 1 to 64"),
        ("JOB_INTERVAL", "40 minutes", "such as PT40M"),
        ("JOB_INTERVAL", "PT0S", "from PT1M to P7D"),
        ("JOB_INTERVAL", "P8D", "from PT1M to P7D"),
        ("JOB_INTERVAL", "PT", "such as PT40M"),
        ("PROVISIONING_SCHEDULE", "PT40M", "put it in JOB_INTERVAL"),
        ("PROVISIONING_SCHEDULE", "*/5 * * * *", "has 5 fields: use six"),
        ("PROVISIONING_SCHEDULE", "0 */5 25 * * *", "no hour from 0 to 23"),
        ("PROVISIONING_SCHEDULE", "0 */0 * * * *", "no minute from 0 to 59"),
        ("PROVISIONING_SCHEDULE", "0 0 0 * never *", "no month"),
        ("ENTRA_CLIENT_SECRET", "two\nlines", "line break"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_the_way_out(name, value, words):
    message = refusal(**{name: value})
    assert name in message
    assert words in message


@pytest.mark.parametrize("text", ["0 30 9-17 * * mon-fri", "0 0,30 * * * *", "*/10 * * 1 jan sun"])
def test_schedules_that_azure_takes_are_taken(text):
    assert load(PROVISIONING_SCHEDULE=text).schedule == text


@pytest.mark.parametrize(("text", "seconds"), [("PT40M", 2400), ("pt1h30m", 5400), ("P1D", 86400), ("PT90S", 90)])
def test_intervals_are_durations_of_iso_8601(text, seconds):
    assert load(JOB_INTERVAL=text).interval == seconds


def test_all_missing_settings_are_named_at_once():
    message = refusal(ENTRA_TENANT_ID=None, SERVICENOW_INSTANCE="", SERVICENOW_CLIENT_SECRET=None)
    assert message.startswith("ENTRA_TENANT_ID, SERVICENOW_INSTANCE, SERVICENOW_CLIENT_SECRET are not set")


def test_a_login_without_its_settings_is_refused_with_the_name_of_the_login():
    message = refusal(SERVICENOW_AUTH="basic", SERVICENOW_USERNAME="admin")
    assert message.startswith("SERVICENOW_PASSWORD is not set (SERVICENOW_AUTH=basic needs it)")


def test_no_way_to_sign_in_and_two_ways_are_both_refused():
    assert "no way to sign in to Entra is set" in refusal(ENTRA_CLIENT_SECRET=None)
    assert "keep one of them" in refusal(ENTRA_CLIENT_CERTIFICATE_PATH="app.pem")


@pytest.mark.parametrize("text", ["https://contoso.service-now.com:443", "https://CONTOSO.service-now.com/", "contoso"])
def test_an_instance_has_one_name_however_it_is_written(text):
    settings = load(SERVICENOW_INSTANCE=text)
    assert settings.instance_host == "contoso.service-now.com"
    assert settings.job_id == load(SERVICENOW_INSTANCE="https://contoso.service-now.com").job_id


@pytest.mark.parametrize("address", [None, "https://graph.microsoft.com/v1.0", "https://127.0.0.1.example.com/v1.0"])
def test_an_emulators_token_is_for_this_machine_only(address):
    message = refusal(ENTRA_CLIENT_SECRET=None, GRAPH_ACCESS_TOKEN=SECRET, GRAPH_BASE_URL=address)
    assert message.startswith("GRAPH_ACCESS_TOKEN is for an emulator on this machine")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SERVICENOW_INSTANCES", "SERVICENOW_INSTANCE"),
        ("SERVICE_NOW_INSTANCE", "SERVICENOW_INSTANCE"),
        ("ENTRA_TENNANT_ID", "ENTRA_TENANT_ID"),
        ("entra_client_secrets", "ENTRA_CLIENT_SECRET"),
        ("GRAPH_BASEURL", "GRAPH_BASE_URL"),
        ("PROVISIONING_SHEDULE", "PROVISIONING_SCHEDULE"),
        ("SCOPES", "SCOPE"),
        ("STATES", "STATE"),
        ("HARD_DELETES", "HARD_DELETE"),
        ("JOB_INTERVALL", "JOB_INTERVAL"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_name_that_was_meant(name, meant):
    message = refusal(**{name: SECRET})
    assert message.startswith(name)
    assert meant in message


def test_settings_of_other_programs_are_left_alone():
    others = {"PATH": "/bin", "AZURE_CLIENT_ID": "x", "AZURE_TENANT_ID": "x", "JOB_NAME": "x", "JOB_URL": "x"}
    assert load(**others, STATE_DIR="x", XDG_STATE_HOME="x", scope="x", AzureWebJobsStorage="x") == load()


def test_names_come_with_commas_between_them_each_once():
    settings = load(PROTECTED_ACCOUNTS=" svc.mid, admin,,admin ", ALLOWED_GROUPS="ServiceNow Admins")
    assert settings.protected_accounts == ("admin", "svc.mid")
    assert (settings.allowed_accounts, settings.allowed_groups) == ((), ("ServiceNow Admins",))


def test_an_account_that_is_both_protected_and_allowed_is_refused():
    message = refusal(PROTECTED_ACCOUNTS="svc.mid,Ada", ALLOWED_ACCOUNTS="ada")
    assert "PROTECTED_ACCOUNTS and in ALLOWED_ACCOUNTS" in message


def test_in_azure_the_state_must_not_be_a_file():
    assert "in Azure files are lost" in refusal(WEBSITE_INSTANCE_ID="1")
    assert load(WEBSITE_INSTANCE_ID="1", STATE=f"tables:{CONNECTION}").state == TablesConnection(CONNECTION)


def test_the_readme_explains_every_setting():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in KNOWN if f"`{name}`" not in readme] == []


# --- The removal guard ------------------------------------------------------------------------------


def test_the_guards_limits_are_for_all_that_it_counts_or_for_one_kind():
    settings = load(REMOVAL_LIMIT="200, Memberships = 2_000", REMOVAL_SHARE="wipes=2.5 %")
    others = dict.fromkeys(("users", "groups", "wipes", "recreations"), 200)
    assert settings.removal_limits == {**others, "memberships": 2000}
    assert settings.removal_shares == {"wipes": 0.025}
    assert (load().removal_limits, load().removal_shares) == ({}, {})
    assert load(REMOVAL_SHARE="10%").removal_shares["groups"] == 0.1


def test_a_groups_limits_are_for_every_group_or_for_those_that_are_named():
    limits = load(GROUP_ADDITION_LIMIT="500, Payroll = 0", GROUP_REMOVAL_LIMIT="a=b=7").group_limits
    assert limits.additions == {"": 500, "payroll": 0}
    assert limits.removals == {"a=b": 7}
    assert not load().group_limits.any


def test_microsofts_name_limits_users_and_groups():
    settings = load(QUARANTINE_TOO_MANY_DELETES_THRESHOLD="10", REMOVAL_LIMIT="wipes=7")
    assert settings.removal_limits == {"users": 10, "groups": 10, "wipes": 7}
    message = refusal(QUARANTINE_TOO_MANY_DELETES_THRESHOLD="10", REMOVAL_LIMIT="7")
    assert "keep one of them" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GROUP_ADDITION_LIMIT", "many"),
        ("GROUP_ADDITION_LIMIT", "=5"),
        ("GROUP_REMOVAL_LIMIT", "Payroll=1,payroll=2"),
        ("REMOVAL_LIMIT", "-1"),
        ("REMOVAL_LIMIT", "5 %"),
        ("REMOVAL_LIMIT", "people=5"),
        ("REMOVAL_LIMIT", "12345678901"),
        ("REMOVAL_SHARE", "101 %"),
        ("REMOVAL_SHARE", "users=some"),
        ("REMOVAL_SHARE", "-5 %"),
        ("QUARANTINE_TOO_MANY_DELETES_THRESHOLD", "many"),
    ],
)
def test_limits_that_are_none_are_refused(name, value):
    assert name in refusal(**{name: value})


# --- Notifications ----------------------------------------------------------------------------------

HOOK = "https://prod-1.westeurope.logic.azure.com:443/workflows/1/triggers/manual/run?api-version=1&sig=" + SECRET
KEY = f"{SECRET}, and longer"


def test_nobody_is_told_unless_a_way_is_set():
    assert (load().notify.mail, load().notify.webhook) == (None, None)


def test_mail_and_webhook_are_set_side_by_side_and_no_address_of_a_webhook_shows():
    settings = load(
        NOTIFY_MAIL_FROM="prov@contoso.com",
        NOTIFY_MAIL_TO="b@contoso.com, a@contoso.com,",
        NOTIFY_WEBHOOK_URL=HOOK,
        NOTIFY_WEBHOOK_FORMAT="Teams",
    )
    assert settings.notify.mail.recipients == ("a@contoso.com", "b@contoso.com")
    assert (settings.notify.webhook.url, settings.notify.webhook.format) == (HOOK, "teams")
    assert SECRET not in repr(settings)
    ours = load(NOTIFY_WEBHOOK_URL="http://127.0.0.1:80/x", NOTIFY_WEBHOOK_FORMAT="json", NOTIFY_WEBHOOK_SECRET=KEY)
    assert ours.notify.webhook.secret == KEY
    assert SECRET not in repr(ours)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"NOTIFY_MAIL_FROM": "prov@contoso.com"}, "NOTIFY_MAIL_FROM is set alone"),
        ({"NOTIFY_MAIL_TO": "a@contoso.com"}, "NOTIFY_MAIL_TO is set alone"),
        ({"NOTIFY_MAIL_FROM": "Provisioning", "NOTIFY_MAIL_TO": "a@contoso.com"}, "NOTIFY_MAIL_FROM is 'Provisioning'"),
        ({"NOTIFY_MAIL_FROM": CLIENT, "NOTIFY_MAIL_TO": "a@contoso.com; b@c.de"}, "NOTIFY_MAIL_TO holds"),
        ({"NOTIFY_MAIL_FROM": CLIENT, "NOTIFY_MAIL_TO": ","}, "NOTIFY_MAIL_TO holds 0 addresses"),
        ({"NOTIFY_WEBHOOK_URL": HOOK}, "NOTIFY_WEBHOOK_FORMAT is not set"),
        ({"NOTIFY_WEBHOOK_URL": HOOK, "NOTIFY_WEBHOOK_FORMAT": "email"}, "teams or slack or json"),
        ({"NOTIFY_WEBHOOK_URL": HOOK, "NOTIFY_WEBHOOK_FORMAT": "json"}, "NOTIFY_WEBHOOK_SECRET has 0 characters"),
        (
            {"NOTIFY_WEBHOOK_URL": HOOK, "NOTIFY_WEBHOOK_FORMAT": "slack", "NOTIFY_WEBHOOK_SECRET": KEY},
            "slack checks no signature",
        ),
        ({"NOTIFY_WEBHOOK_FORMAT": "slack"}, "NOTIFY_WEBHOOK_URL is not"),
        ({"NOTIFY_WEBHOOK_SECRET": KEY}, "NOTIFY_WEBHOOK_URL is not"),
        ({"NOTIFY_NO_SUCCESS_HOURS": "a day"}, "NOTIFY_NO_SUCCESS_HOURS is 'a day'"),
        ({"NOTIFY_NO_SUCCESS_HOURS": "9000"}, "at most 8760"),
        ({"NOTIFY_NO_SUCCESS_HOURS": "24", "JOB_INTERVAL": "P1D"}, "JOB_INTERVAL is not shorter"),
    ],
)
def test_settings_of_notifications_that_do_not_fit_are_refused(changes, said):
    assert said in refusal(**changes)


@pytest.mark.parametrize(
    "address",
    [
        f"http://hooks.example/{SECRET}",
        f"ftp://hooks.example/{SECRET}",
        f"hooks.example/{SECRET}",
        f"https://me:{SECRET}@hooks.example/x",
        f"https://hooks.example:{SECRET}/x",
        f"https://hooks.example/{SECRET} x",
        f"https://hooks.example/#{SECRET}",
        f"https:///{SECRET}",
    ],
)
def test_an_address_of_a_webhook_is_refused_without_being_repeated(address):
    message = refusal(NOTIFY_WEBHOOK_URL=address, NOTIFY_WEBHOOK_FORMAT="slack")
    assert message.startswith("NOTIFY_WEBHOOK_URL ")
    assert "hooks.example" not in message


def test_a_silence_is_told_after_a_day_or_three_intervals_or_as_set_or_never():
    assert load().notify.patience == 24 * 3600
    assert load(JOB_INTERVAL="P1D").notify.patience == 3 * 24 * 3600
    assert load(NOTIFY_NO_SUCCESS_HOURS="6").notify.patience == 6 * 3600
    assert load(NOTIFY_NO_SUCCESS_HOURS="0").notify.patience == 0
