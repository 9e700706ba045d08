"""What Microsoft's API keeps among the secrets of an application, by the keys of its synchronizationSecret: settings,
which this program keeps too and by its own names, and credentials, which it never takes for keeping. Checks forms and
repeats no value that could be a credential.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provisioning.errors import ConfigError

SCOPE, SKIP, HARD, MAIL_TO = "SCOPE", "SKIP_OUT_OF_SCOPE_DELETIONS", "HARD_DELETE", "NOTIFY_MAIL_TO"
THRESHOLD = "QUARANTINE_TOO_MANY_DELETES_THRESHOLD"
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
MOST_DIGITS = 9
NOTIFICATIONS = "SyncNotificationSettings"
FLAGS: Mapping[str, tuple[str, str, str]] = {
    "SyncAll": (SCOPE, "all", "assigned"),
    "SkipOutOfScopeDeletions": (SKIP, "true", "false"),
    "HardDeletesEnabled": (HARD, "delete", "disable"),
}
"""The setting that a key stands for, and what it is when true and when false."""
HOSTS = ("BaseAddress", "InstanceName", "Url", "Server", "Domain", "Sandbox", "SandboxName")
USER, PASSWORD, CLIENT, CLIENT_SECRET, KEY = (
    "SERVICENOW_USERNAME",
    "SERVICENOW_PASSWORD",
    "SERVICENOW_CLIENT_ID",
    "SERVICENOW_CLIENT_SECRET",
    "SERVICENOW_API_KEY",
)
CREDENTIALS: Mapping[str, str] = {
    "UserName": USER,
    "Password": PASSWORD,
    "ClientIdentifier": CLIENT,
    "Oauth2ClientId": CLIENT,
    "ClientSecret": CLIENT_SECRET,
    "Oauth2ClientSecret": CLIENT_SECRET,
    "SecretToken": KEY,
    "AppKey": KEY,
}
"""The app setting in which a credential of ServiceNow belongs."""
IGNORED = frozenset({"authenticationtype", "singlesignontype"})
FORGOTTEN = ""
"""A value that takes a setting back to what the app settings say."""

Kept = dict[str, str | None]
"""Settings by this program's names; None for one that is no longer kept."""


def kept_of(secrets: Mapping[str, str]) -> Kept:
    """The settings that a PUT of secrets asks to keep. Raises `ConfigError`: with the sentence where a credential
    belongs, and for a key or a value that means nothing here.
    """
    kept: Kept = {}
    for key, value in secrets.items():
        name = _named(key, (*FLAGS, NOTIFICATIONS))
        if name is None:
            raise ConfigError(_why_not(key))
        if name == NOTIFICATIONS:
            kept |= _notifications(value)
            continue
        setting, when_true, when_false = FLAGS[name]
        if value.strip() == FORGOTTEN:
            kept[setting] = None
            continue
        truth = TRUTHS.get(value.strip().lower())
        if truth is None:
            raise ConfigError(f"{name} must be true or false")
        kept[setting] = when_true if truth else when_false
    return kept


def _why_not(key: str) -> str:
    credential = _named(key, CREDENTIALS)
    if credential is not None:
        setting = CREDENTIALS[credential]
        return (
            f"{credential} is a credential, and this API neither takes nor keeps one: put it into Key Vault and "
            f"let the app setting {setting} refer to it, as @Microsoft.KeyVault(SecretUri=...)"
        )
    host = _named(key, HOSTS)
    if host is not None:
        return f"{host} names the instance, which the app setting SERVICENOW_INSTANCE does: change it there"
    known = ", ".join((*FLAGS, NOTIFICATIONS))
    return f"the key {key[:60]!r} means nothing to this app: it keeps {known}; all else is an app setting"


def _named(key: str, names: Any) -> str | None:
    return next((name for name in names if name.lower() == key.strip().lower()), None)


def _notifications(text: str) -> Kept:
    """{"Enabled": true, "Recipients": "a@contoso.com", "DeleteThresholdEnabled": true, "DeleteThresholdValue": 500}"""
    if text.strip() == FORGOTTEN:
        return {MAIL_TO: None, THRESHOLD: None}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{NOTIFICATIONS} must be a JSON object inside a string") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{NOTIFICATIONS} must be a JSON object inside a string")
    members = {str(name).lower(): value for name, value in given.items()}
    kept: Kept = {}
    recipients = members.get("recipients")
    if members.get("enabled") is False:
        kept[MAIL_TO] = ""
    elif recipients is not None:
        if not isinstance(recipients, str):
            raise ConfigError(f"Recipients of {NOTIFICATIONS} must be mail addresses in one string")
        kept[MAIL_TO] = recipients.replace(";", ",").strip() or None
    if members.get("deletethresholdenabled") is False:
        kept[THRESHOLD] = None
    elif (limit := members.get("deletethresholdvalue")) is not None:
        text = str(limit)
        if isinstance(limit, bool) or not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            raise ConfigError(f"DeleteThresholdValue of {NOTIFICATIONS} must be a whole number such as 500")
        kept[THRESHOLD] = text
    return kept


def login_of(secrets: Mapping[str, str]) -> tuple[str, dict[str, str], str | None]:
    """How to log in with what was given for a test: the kind, as SERVICENOW_AUTH has it, what it needs, and the
    instance, where one is named. Raises `ConfigError`.
    """
    given: dict[str, str] = {}
    host = None
    for key, value in secrets.items():
        name = _named(key, CREDENTIALS)
        if name is not None:
            given[CREDENTIALS[name]] = value
        elif _named(key, HOSTS) is not None:
            host = value.strip() or host
        elif key.strip().lower() not in IGNORED and _named(key, (*FLAGS, NOTIFICATIONS)) is None:
            raise ConfigError(f"the key {key[:60]!r} is no credential that can be tried: give {', '.join(CREDENTIALS)}")
    given = {name: value for name, value in given.items() if value}
    for kind, needs in (
        ("oauth-password", (CLIENT, CLIENT_SECRET, USER, PASSWORD)),
        ("basic", (USER, PASSWORD)),
        ("oauth-client-credentials", (CLIENT, CLIENT_SECRET)),
        ("api-key", (KEY,)),
    ):
        if all(name in given for name in needs):
            return kind, {name.removeprefix("SERVICENOW_").lower(): given[name] for name in needs}, host
    raise ConfigError(
        "the credentials are not complete: give UserName and Password, Oauth2ClientId and Oauth2ClientSecret, or "
        "SecretToken; or useSavedCredentials"
    )
