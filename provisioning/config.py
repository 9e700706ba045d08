"""Settings of one job, from the environment: parsed and refused before anything starts.

Each refusal is one line that says which setting, what it holds and what it should hold; secrets are neither repeated
in a message nor shown in a `repr`. This module knows neither side: it checks forms, not whether anybody answers.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self, cast, get_args
from urllib.parse import urlsplit

from provisioning.errors import ConfigError
from provisioning.forms import (
    address,
    by_kind,
    by_name,
    choice,
    count,
    guid,
    interval,
    is_loopback,
    names,
    number,
    schedule,
    share,
)
from provisioning.graph_secrets import HARD, MAIL_TO, SCOPE, SKIP, THRESHOLD
from provisioning.model import DriftPolicy
from provisioning.notify_settings import NOTIFY, MailChannel, Notify, notify_settings
from provisioning.rules.departures import Departures, GroupLeave, Leave
from provisioning.rules.escrow import DAY, RetryPolicy
from provisioning.rules.group_limits import GroupLimits

Scope = Literal["assigned", "all"]
DefaultAccess = Literal["auto", "include", "exclude"]

KNOWN = (
    "ENTRA_TENANT_ID",
    "ENTRA_CLIENT_ID",
    "ENTRA_CLIENT_SECRET",
    "ENTRA_CLIENT_CERTIFICATE_PATH",
    "ENTRA_MANAGED_IDENTITY_CLIENT_ID",
    "ENTRA_AUTHORITY_HOST",
    "ENTRA_SERVICE_PRINCIPAL_ID",
    "GRAPH_BASE_URL",
    "GRAPH_ACCESS_TOKEN",
    "SERVICENOW_INSTANCE",
    "SERVICENOW_AUTH",
    "SERVICENOW_CLIENT_ID",
    "SERVICENOW_CLIENT_SECRET",
    "SERVICENOW_USERNAME",
    "SERVICENOW_PASSWORD",
    "SERVICENOW_API_KEY",
    "SERVICENOW_CLIENT_CERTIFICATE_PATH",
    "SERVICENOW_JWT_KEY_ID",
    "SERVICENOW_SLOTS",
    "STATE",
    "SCOPE",
    "HARD_DELETE",
    "ON_UNASSIGNED",
    "ON_FILTERED",
    "ON_DISABLED",
    "ON_SOFT_DELETED",
    "SKIP_OUT_OF_SCOPE_DELETIONS",
    "GROUPS_OUT_OF_SCOPE",
    "MEMBERSHIPS_OF_DISABLED",
    "DEFAULT_ACCESS",
    "NESTED_GROUPS",
    "REFERENCE_CREATE_TABLES",
    "REFERENCE_CREATE_LIMIT",
    "ESCROW_PAUSES",
    "ESCROW_INTERVAL",
    "ESCROW_DAYS",
    "QUARANTINE_SCALE",
    "PROTECTED_ACCOUNTS",
    "ALLOWED_ACCOUNTS",
    "ALLOWED_GROUPS",
    "REMOVAL_LIMIT",
    "REMOVAL_SHARE",
    "GROUP_ADDITION_LIMIT",
    "GROUP_REMOVAL_LIMIT",
    "QUARANTINE_TOO_MANY_DELETES_THRESHOLD",
    "COMPATIBILITY",
    "PROVISIONING_SCHEDULE",
    "JOB_INTERVAL",
    "JOB_ID",
    "LOG_RETENTION_DAYS",
    "DRIFT",
    "RECONCILE_EVERY",
    *NOTIFY,
)
SECRET = frozenset(
    {"ENTRA_CLIENT_SECRET", "GRAPH_ACCESS_TOKEN", "SERVICENOW_CLIENT_SECRET", "SERVICENOW_PASSWORD"}
    | {"SERVICENOW_API_KEY", "NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET"}
)
HIDDEN = SECRET | {
    "SERVICENOW_USERNAME",
    "PROTECTED_ACCOUNTS",
    "ALLOWED_ACCOUNTS",
    "NOTIFY_MAIL_FROM",
    "NOTIFY_MAIL_TO",
}
"""Secrets and the names of people: their values are in no log and no audit trail."""
MARK = 4
"""Hexadecimal digits by which two values of a hidden setting are told apart: too few to try guesses on."""
MOST_CREATED = 100_000
OURS = ("ENTRA_", "GRAPH_", "SERVICENOW_", "PROVISIONING_")
"""Prefixes that nobody else uses here: an unknown name behind one of them is a mistake."""
LOGINS: Mapping[str, tuple[str, ...]] = {
    "oauth-client-credentials": ("SERVICENOW_CLIENT_ID", "SERVICENOW_CLIENT_SECRET"),
    "oauth-password": (
        "SERVICENOW_CLIENT_ID",
        "SERVICENOW_CLIENT_SECRET",
        "SERVICENOW_USERNAME",
        "SERVICENOW_PASSWORD",
    ),
    "basic": ("SERVICENOW_USERNAME", "SERVICENOW_PASSWORD"),
    "oauth-jwt": (
        "SERVICENOW_CLIENT_ID",
        "SERVICENOW_CLIENT_SECRET",
        "SERVICENOW_USERNAME",
        "SERVICENOW_CLIENT_CERTIFICATE_PATH",
    ),
    "api-key": ("SERVICENOW_API_KEY",),
    "mtls": ("SERVICENOW_CLIENT_CERTIFICATE_PATH",),
}
"""The ways to log in to ServiceNow and what each needs."""
ENTERPRISE_APPLICATION = (
    "the Object ID under Enterprise applications, your ServiceNow application, Properties in the Entra admin center"
)
MOST_SLOTS = 64
OF_SERVICENOW = (".service-now.com", ".servicenowservices.com")
GUARDED = ("users", "groups", "memberships", "wipes", "recreations")
"""What the removal guard counts, and a setting can name."""
MOST_DAYS = 3650
OVERRULED: Mapping[str, tuple[str, ...]] = {
    SCOPE: ("SCOPE",),
    SKIP: ("SKIP_OUT_OF_SCOPE_DELETIONS", "ON_UNASSIGNED", "ON_FILTERED"),
    HARD: ("HARD_DELETE",),
    THRESHOLD: ("QUARANTINE_TOO_MANY_DELETES_THRESHOLD", "REMOVAL_LIMIT"),
}
"""The app settings that go before a setting that is kept with the job's state."""

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_INSTANCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class FixedToken:
    """An emulator's token; taken for an address on this machine only."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientSecret:
    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    client_id: str
    path: str


@dataclass(frozen=True, slots=True)
class AzureIdentity:
    """The identity that Azure gives the app; without a client id, its own."""

    client_id: str | None


SignIn = FixedToken | ClientSecret | ClientCertificate | AzureIdentity


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to ServiceNow: `kind` is SERVICENOW_AUTH, what it does not need is empty."""

    kind: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    client_certificate_path: str = ""
    jwt_key_id: str = ""


@dataclass(frozen=True, slots=True)
class SqliteState:
    path: str


@dataclass(frozen=True, slots=True)
class TablesAccount:
    url: str


@dataclass(frozen=True, slots=True)
class TablesConnection:
    connection_string: str = field(repr=False)


State = SqliteState | TablesAccount | TablesConnection


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a job needs to know from outside. `interval` is in seconds, `schedule` is NCRONTAB. `strict` is
    compatibility with the documented quirks of Entra's own engine. `reconciles_every` is in seconds, 0 for never.
    `removal_limits` and `removal_shares` are those of the removal guard that are set, by what they count, and
    `group_limits` those of each group's members. `given` are the settings that somebody has set, as the audit trail may
    keep them: without `STATE`, and with a mark in place of a hidden value.
    """

    tenant_id: str
    sign_in: SignIn
    authority_host: str
    graph_base_url: str
    service_principal_id: str
    instance_url: str
    login: Login
    slots: int
    state: State
    scope: Scope
    departures: Departures
    default_access: DefaultAccess
    nested_groups: bool
    retries: RetryPolicy
    quarantine_scale: float
    creatable: tuple[str, ...]
    create_limit: int
    protected_accounts: tuple[str, ...]
    allowed_accounts: tuple[str, ...]
    allowed_groups: tuple[str, ...]
    removal_limits: Mapping[str, int]
    removal_shares: Mapping[str, float]
    group_limits: GroupLimits
    strict: bool
    schedule: str
    interval: float
    job_id: str
    log_retention_days: int
    drift: DriftPolicy
    reconciles_every: float
    notify: Notify
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    mail_from: str = ""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises `ConfigError` with one line about the first thing that is wrong. An empty value counts as unset."""
        values = _present(environ)
        _refuse_misspelt(environ)
        _require(values)
        graph_base_url = address(
            "GRAPH_BASE_URL", values.get("GRAPH_BASE_URL", ""), "https://graph.microsoft.com/v1.0", path=True
        )
        tenant_id = guid(
            "ENTRA_TENANT_ID", values["ENTRA_TENANT_ID"], "the Directory (tenant) ID on Entra's overview page"
        )
        service_principal_id = guid(
            "ENTRA_SERVICE_PRINCIPAL_ID", values["ENTRA_SERVICE_PRINCIPAL_ID"], ENTERPRISE_APPLICATION
        )
        instance_url = _instance(values["SERVICENOW_INSTANCE"])
        job_id = _job_id(values.get("JOB_ID", ""), tenant_id, service_principal_id, instance_url)
        pause = interval("JOB_INTERVAL", values.get("JOB_INTERVAL", "PT40M"))
        return cls(
            tenant_id=tenant_id,
            sign_in=_sign_in(values, graph_base_url, in_azure="IDENTITY_ENDPOINT" in environ),
            authority_host=address(
                "ENTRA_AUTHORITY_HOST",
                values.get("ENTRA_AUTHORITY_HOST", ""),
                "https://login.microsoftonline.com",
                loopback=False,
            ),
            graph_base_url=graph_base_url,
            service_principal_id=service_principal_id,
            instance_url=instance_url,
            login=_login(values),
            slots=number(
                "SERVICENOW_SLOTS", values.get("SERVICENOW_SLOTS", "2"), MOST_SLOTS, "half of the instance's API slots"
            ),
            state=_state(values.get("STATE", "sqlite:provisioning.db"), in_azure="WEBSITE_INSTANCE_ID" in environ),
            scope=cast("Scope", choice("SCOPE", values.get("SCOPE", "assigned"), ("assigned", "all"))),
            departures=_departures(values),
            default_access=cast(
                "DefaultAccess",
                choice("DEFAULT_ACCESS", values.get("DEFAULT_ACCESS", "auto"), ("auto", "include", "exclude")),
            ),
            nested_groups=choice("NESTED_GROUPS", values.get("NESTED_GROUPS", "ignore"), ("ignore", "expand"))
            == "expand",
            retries=_retries(values),
            quarantine_scale=share("QUARANTINE_SCALE", values.get("QUARANTINE_SCALE", "100%")),
            creatable=names(values.get("REFERENCE_CREATE_TABLES", "")),
            create_limit=number(
                "REFERENCE_CREATE_LIMIT",
                values.get("REFERENCE_CREATE_LIMIT", "50"),
                MOST_CREATED,
                "how many records a cycle may create for references",
            ),
            protected_accounts=names(values.get("PROTECTED_ACCOUNTS", "")),
            allowed_accounts=_allowed_accounts(values),
            allowed_groups=names(values.get("ALLOWED_GROUPS", "")),
            removal_limits=_removal_limits(values),
            removal_shares=by_kind("REMOVAL_SHARE", values.get("REMOVAL_SHARE", ""), GUARDED, share),
            group_limits=GroupLimits(
                additions=by_name("GROUP_ADDITION_LIMIT", values.get("GROUP_ADDITION_LIMIT", ""), count),
                removals=by_name("GROUP_REMOVAL_LIMIT", values.get("GROUP_REMOVAL_LIMIT", ""), count),
            ),
            strict=choice("COMPATIBILITY", values.get("COMPATIBILITY", "sane"), ("sane", "entra")) == "entra",
            schedule=schedule(values.get("PROVISIONING_SCHEDULE", "0 */5 * * * *")),
            interval=pause,
            job_id=job_id,
            log_retention_days=number(
                "LOG_RETENTION_DAYS", values.get("LOG_RETENTION_DAYS", "30"), MOST_DAYS, "how long the logs are kept"
            ),
            drift=cast("DriftPolicy", choice("DRIFT", values.get("DRIFT", "report"), get_args(DriftPolicy))),
            reconciles_every=_reconciles_every(values.get("RECONCILE_EVERY", "P7D")),
            given={
                name: _mark(job_id, name, value) if name in HIDDEN else value
                for name, value in values.items()
                if name != "STATE"
            },
            notify=notify_settings(values, pause),
            mail_from=values.get("NOTIFY_MAIL_FROM", ""),
        )

    def keeping(self, kept: Mapping[str, str], *, strictly: bool = False) -> Self:
        """With the settings that are kept with the job's state, by their names. What an app setting says goes before
        them, except for who gets mail; `strictly` raises `ConfigError` where one does, and for what cannot be.
        """
        for name, spoken in OVERRULED.items():
            if name in kept and (by := next((each for each in spoken if each in self.given), None)) is not None:
                if strictly:
                    raise ConfigError(f"the app setting {by} says already what {name} would: change it there")
                kept = {each: value for each, value in kept.items() if each != name}
        values = {**self.given, **kept}
        mail = self.notify.mail
        if MAIL_TO in kept:
            mail = self._mail_to(kept[MAIL_TO], strictly=strictly)
        return replace(
            self,
            scope=cast("Scope", choice("SCOPE", values.get("SCOPE", "assigned"), ("assigned", "all"))),
            departures=_departures(values),
            removal_limits=_removal_limits(values),
            notify=replace(self.notify, mail=mail),
        )

    def _mail_to(self, recipients: str, *, strictly: bool) -> MailChannel | None:
        if not recipients:
            return None
        if self.mail_from:
            return notify_settings({"NOTIFY_MAIL_FROM": self.mail_from, MAIL_TO: recipients}, self.interval).mail
        if strictly:
            raise ConfigError("nobody sends mail: set the app setting NOTIFY_MAIL_FROM to a mailbox of the tenant")
        return None

    @property
    def instance_host(self) -> str:
        """The instance's name as people know it: host, and port where one is given."""
        return urlsplit(self.instance_url).netloc


def _reconciles_every(text: str) -> float:
    return 0.0 if text.casefold() == "never" else interval("RECONCILE_EVERY", text)


def _present(environ: Mapping[str, str]) -> dict[str, str]:
    """The known settings that are set, without blanks around them."""
    values: dict[str, str] = {}
    for name in KNOWN:
        text = environ.get(name, "").strip()
        if not text:
            continue
        if not text.isprintable():
            raise ConfigError(f"{name} holds a line break or a control character: enter it again, in one line")
        values[name] = text
    return values


def _mark(job: str, name: str, value: str) -> str:
    return hashlib.sha256(f"{job}\n{name}\n{value}".encode()).hexdigest()[:MARK]


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if name in KNOWN or not environ[name].strip():
            continue
        near = difflib.get_close_matches(name.upper(), KNOWN, n=1, cutoff=0.85 if "_" in name else 0.8)
        if name.upper().startswith(OURS):
            near = near or difflib.get_close_matches(name.upper(), KNOWN, n=1, cutoff=0.0)
            raise ConfigError(f"{name} is not a setting of this program: did you mean {near[0]}? Else unset it")
        if near and name.isupper():
            raise ConfigError(f"{name} is set and looks like a misspelt {near[0]}: rename it, or unset it")


def _require(values: Mapping[str, str]) -> None:
    """All that is missing in one line, so that a person need not come back for each."""
    required = ["ENTRA_TENANT_ID", "ENTRA_SERVICE_PRINCIPAL_ID", "SERVICENOW_INSTANCE"]
    if "ENTRA_CLIENT_SECRET" in values or "ENTRA_CLIENT_CERTIFICATE_PATH" in values:
        required.append("ENTRA_CLIENT_ID")
    kind = _login_kind(values)
    missing = [name for name in (*required, *LOGINS[kind]) if name not in values]
    if not missing:
        return
    verb = "is" if len(missing) == 1 else "are"
    needed = " (SERVICENOW_AUTH=" + kind + " needs it)" if any(name in LOGINS[kind] for name in missing) else ""
    raise ConfigError(
        f"{', '.join(missing)} {verb} not set{needed}: set {'it' if len(missing) == 1 else 'them'} in the environment, "
        "or in Azure as an app setting; README.md says where each value comes from"
    )


def _instance(text: str) -> str:
    """A name (contoso) or an address; the answer is always an address, so that both name the same job."""
    if _INSTANCE_NAME.fullmatch(text) and text.lower() != "localhost":
        return f"https://{text.lower()}.service-now.com"
    return address("SERVICENOW_INSTANCE", text, "https://contoso.service-now.com, or the name contoso")


def instance_of_servicenow(text: str, settings: Settings) -> str:
    """The address of an instance that somebody names for a test: ServiceNow's own, or the one that is set. Anything
    else would let a caller send this app's requests wherever he likes.
    """
    url = _instance(text.strip())
    host = urlsplit(url).hostname or ""
    if url != settings.instance_url and not host.endswith(OF_SERVICENOW):
        raise ConfigError(
            f"the instance must be one of ServiceNow ({', '.join(OF_SERVICENOW)}), or the one that SERVICENOW_INSTANCE "
            "names"
        )
    return url


def _sign_in(values: Mapping[str, str], graph_base_url: str, *, in_azure: bool) -> SignIn:
    given = [
        name
        for name in (
            "GRAPH_ACCESS_TOKEN",
            "ENTRA_CLIENT_SECRET",
            "ENTRA_CLIENT_CERTIFICATE_PATH",
            "ENTRA_MANAGED_IDENTITY_CLIENT_ID",
        )
        if name in values
    ]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} are set, and each is a way to sign in to Entra: keep one of them")
    if "ENTRA_CLIENT_ID" in values:
        guid("ENTRA_CLIENT_ID", values["ENTRA_CLIENT_ID"], "the Application (client) ID of the app registration")
    match given:
        case ["GRAPH_ACCESS_TOKEN"]:
            if not is_loopback(urlsplit(graph_base_url).hostname or ""):
                raise ConfigError(
                    f"GRAPH_ACCESS_TOKEN is for an emulator on this machine, and GRAPH_BASE_URL is {graph_base_url}: "
                    "set ENTRA_CLIENT_SECRET, ENTRA_CLIENT_CERTIFICATE_PATH or a managed identity instead"
                )
            return FixedToken(values["GRAPH_ACCESS_TOKEN"])
        case ["ENTRA_CLIENT_SECRET"]:
            return ClientSecret(values["ENTRA_CLIENT_ID"].lower(), values["ENTRA_CLIENT_SECRET"])
        case ["ENTRA_CLIENT_CERTIFICATE_PATH"]:
            return ClientCertificate(values["ENTRA_CLIENT_ID"].lower(), values["ENTRA_CLIENT_CERTIFICATE_PATH"])
        case ["ENTRA_MANAGED_IDENTITY_CLIENT_ID" as name]:
            return AzureIdentity(guid("ENTRA_MANAGED_IDENTITY_CLIENT_ID", values[name], "the identity's Client ID"))
        case _ if in_azure:  # it offers the app an identity of its own
            return AzureIdentity(None)
        case _:
            raise ConfigError(
                "no way to sign in to Entra is set: set ENTRA_CLIENT_SECRET or ENTRA_CLIENT_CERTIFICATE_PATH with "
                "ENTRA_CLIENT_ID; in Azure, give the app a managed identity"
            )


def _login_kind(values: Mapping[str, str]) -> str:
    kind = values.get("SERVICENOW_AUTH", "oauth-client-credentials").lower()
    return choice("SERVICENOW_AUTH", kind, tuple(LOGINS))


def _login(values: Mapping[str, str]) -> Login:
    kind = _login_kind(values)
    given = {name.removeprefix("SERVICENOW_").lower(): values[name] for name in LOGINS[kind]}
    if kind == "oauth-jwt":
        given["jwt_key_id"] = values.get("SERVICENOW_JWT_KEY_ID", "")
    return Login(kind, **given)


def _departures(values: Mapping[str, str]) -> Departures:
    """SKIP_OUT_OF_SCOPE_DELETIONS is the name that Entra has for leaving whoever only lost the access."""

    def action(name: str, default: Leave = "disable") -> Leave:
        return cast("Leave", choice(name, values.get(name, default), get_args(Leave)))

    skips = choice(
        "SKIP_OUT_OF_SCOPE_DELETIONS", values.get("SKIP_OUT_OF_SCOPE_DELETIONS", "false"), ("true", "false", "1", "0")
    )
    out_of_scope: Leave = "leave" if skips in {"true", "1"} else "disable"
    if out_of_scope == "leave" and (spoken := [n for n in ("ON_UNASSIGNED", "ON_FILTERED") if n in values]):
        raise ConfigError(f"SKIP_OUT_OF_SCOPE_DELETIONS and {spoken[0]} are both set: keep one of them")
    return Departures(
        unassigned=action("ON_UNASSIGNED", out_of_scope),
        filtered=action("ON_FILTERED", out_of_scope),
        disabled=action("ON_DISABLED"),
        soft_deleted=action("ON_SOFT_DELETED"),
        hard_deleted=action("HARD_DELETE"),
        groups=cast(
            "GroupLeave",
            choice("GROUPS_OUT_OF_SCOPE", values.get("GROUPS_OUT_OF_SCOPE", "leave"), get_args(GroupLeave)),
        ),
        memberships=cast(
            'Literal["keep", "remove"]',
            choice("MEMBERSHIPS_OF_DISABLED", values.get("MEMBERSHIPS_OF_DISABLED", "keep"), ("keep", "remove")),
        ),
    )


def _allowed_accounts(values: Mapping[str, str]) -> tuple[str, ...]:
    allowed = names(values.get("ALLOWED_ACCOUNTS", ""))
    protected = {name.casefold() for name in names(values.get("PROTECTED_ACCOUNTS", ""))}
    for name in allowed:
        if name.casefold() in protected:
            raise ConfigError(f"{name} is in PROTECTED_ACCOUNTS and in ALLOWED_ACCOUNTS: take it out of one of them")
    return allowed


def _retries(values: Mapping[str, str]) -> RetryPolicy:
    """Of what is not set: Entra's."""
    default = RetryPolicy()
    text = values.get("ESCROW_PAUSES", "")
    pauses = tuple(interval("ESCROW_PAUSES", part.strip()) for part in text.split(",")) if text else default.pauses
    if list(pauses) != sorted(set(pauses)):
        raise ConfigError(f"ESCROW_PAUSES is {text!r}: give the pauses since the first failure in rising order")
    every = interval("ESCROW_INTERVAL", values.get("ESCROW_INTERVAL", "P1D"))
    days = number("ESCROW_DAYS", values.get("ESCROW_DAYS", "28"), MOST_DAYS, "for how many days what fails is tried")
    return RetryPolicy(pauses, every, days * DAY)


def _removal_limits(values: Mapping[str, str]) -> dict[str, int]:
    """Microsoft's name for the limit counts users and groups only."""
    limits = by_kind("REMOVAL_LIMIT", values.get("REMOVAL_LIMIT", ""), GUARDED, count)
    microsoft = "QUARANTINE_TOO_MANY_DELETES_THRESHOLD"
    if microsoft not in values:
        return limits
    if limits.keys() & {"users", "groups"}:
        raise ConfigError(
            f"{microsoft} and REMOVAL_LIMIT both limit how many users and groups may go: keep one of them"
        )
    return {**limits, **dict.fromkeys(("users", "groups"), count(microsoft, values[microsoft]))}


def _state(text: str, *, in_azure: bool) -> State:
    kind, colon, rest = text.partition(":")
    rest = rest.strip()
    forms = "use sqlite:PATH, tables:https://ACCOUNT.table.core.windows.net or tables:CONNECTION_STRING"
    if not colon or not rest or kind.lower() not in {"sqlite", "tables"}:
        shown = f"{kind}:..." if colon else "of another form"
        raise ConfigError(f"STATE is {shown}, which is neither a file nor tables: {forms}")
    if kind.lower() == "sqlite":
        if in_azure:
            raise ConfigError(
                "STATE is a file, and in Azure files are lost when the app moves: set it to "
                "tables:https://ACCOUNT.table.core.windows.net and give the app the role Storage Table Data Contributor"
            )
        return SqliteState(rest)
    if "=" in rest and "://" not in rest.partition("=")[0]:
        return TablesConnection(rest)
    return TablesAccount(address("STATE", rest, "https://ACCOUNT.table.core.windows.net", path=True))


def _job_id(text: str, tenant_id: str, service_principal_id: str, instance_url: str) -> str:
    """As Entra names its jobs, and always the same for the same application and instance."""
    if text and not _JOB_ID.fullmatch(text):
        raise ConfigError(
            f"JOB_ID is {text!r}: use at most 100 letters, digits, dots, dashes and underscores, or leave it unset"
        )
    name = f"{service_principal_id} {urlsplit(instance_url).netloc}"
    return text or f"ServiceNowOutDelta.{tenant_id.replace('-', '')}.{uuid.uuid5(uuid.UUID(tenant_id), name)}"
