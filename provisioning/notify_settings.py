"""Settings of the ways by which people are told of a job: mail, a webhook, and after how long a silence. A webhook's
address is a secret and is not repeated in a refusal. Which other settings there are is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from provisioning.errors import ConfigError
from provisioning.forms import choice, count, names, secret_address

WebhookFormat = Literal["teams", "slack", "json"]

NOTIFY = (
    "NOTIFY_MAIL_FROM",
    "NOTIFY_MAIL_TO",
    "NOTIFY_WEBHOOK_URL",
    "NOTIFY_WEBHOOK_FORMAT",
    "NOTIFY_WEBHOOK_SECRET",
    "NOTIFY_NO_SUCCESS_HOURS",
)
HOURS = 24
"""After so many without a success somebody is told, or after three intervals of the job where that is longer."""
LONGEST_HOURS = 8760
MOST_RECIPIENTS = 50
SHORTEST_SECRET = 16

_MAIL = re.compile(r"[^@\s,;<>\"/\\]+@[^@\s,;<>\"/\\]+\.[^@\s,;<>\"/\\]+")
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class MailChannel:
    """`sender` is the user principal name or the id of a mailbox of the tenant."""

    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """`secret` signs the format `json`; for the others it is empty."""

    url: str = field(repr=False)
    format: WebhookFormat
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notify:
    """`patience` is for how many seconds no cycle needs to succeed; 0 for ever."""

    mail: MailChannel | None
    webhook: WebhookChannel | None
    patience: float


def notify_settings(values: Mapping[str, str], interval: float) -> Notify:
    """Raises `ConfigError`. `interval` is the job's, in seconds."""
    return Notify(_mail(values), _webhook(values), _patience(values, interval))


def _mail(values: Mapping[str, str]) -> MailChannel | None:
    given = [name for name in ("NOTIFY_MAIL_FROM", "NOTIFY_MAIL_TO") if name in values]
    if not given:
        return None
    if len(given) == 1:
        raise ConfigError(
            f"{given[0]} is set alone: mail needs NOTIFY_MAIL_FROM and NOTIFY_MAIL_TO, set both or neither"
        )
    sender = values["NOTIFY_MAIL_FROM"]
    if not _MAIL.fullmatch(sender) and not _ID.fullmatch(sender):
        raise ConfigError(
            f"NOTIFY_MAIL_FROM is {sender!r}: give the user principal name or Object ID of a mailbox, such as "
            "provisioning@contoso.com"
        )
    recipients = names(values["NOTIFY_MAIL_TO"])
    for each in recipients:
        if not _MAIL.fullmatch(each):
            raise ConfigError(f"NOTIFY_MAIL_TO holds {each!r}: give mail addresses with commas between them")
    if not 1 <= len(recipients) <= MOST_RECIPIENTS:
        raise ConfigError(
            f"NOTIFY_MAIL_TO holds {len(recipients)} addresses: give 1 to {MOST_RECIPIENTS}, or that of a mailing list"
        )
    return MailChannel(sender, recipients)


def _webhook(values: Mapping[str, str]) -> WebhookChannel | None:
    if "NOTIFY_WEBHOOK_URL" not in values:
        alone = [name for name in ("NOTIFY_WEBHOOK_FORMAT", "NOTIFY_WEBHOOK_SECRET") if name in values]
        if alone:
            raise ConfigError(f"{alone[0]} is set and NOTIFY_WEBHOOK_URL is not: set that too, or unset this")
        return None
    url = secret_address("NOTIFY_WEBHOOK_URL", values["NOTIFY_WEBHOOK_URL"])
    if "NOTIFY_WEBHOOK_FORMAT" not in values:
        raise ConfigError(
            "NOTIFY_WEBHOOK_FORMAT is not set: use teams, slack or json, by what NOTIFY_WEBHOOK_URL takes"
        )
    chosen = choice("NOTIFY_WEBHOOK_FORMAT", values["NOTIFY_WEBHOOK_FORMAT"], get_args(WebhookFormat))
    secret = values.get("NOTIFY_WEBHOOK_SECRET", "")
    if chosen == "json" and len(secret) < SHORTEST_SECRET:
        raise ConfigError(
            f"NOTIFY_WEBHOOK_SECRET has {len(secret)} characters: NOTIFY_WEBHOOK_FORMAT=json is signed with it, give "
            f"at least {SHORTEST_SECRET}, and the same to the receiver"
        )
    if chosen != "json" and secret:
        raise ConfigError(f"NOTIFY_WEBHOOK_SECRET is set, and {chosen} checks no signature: unset it")
    return WebhookChannel(url, cast("WebhookFormat", chosen), secret)


def _patience(values: Mapping[str, str], interval: float) -> float:
    name = "NOTIFY_NO_SUCCESS_HOURS"
    if name not in values:
        return max(HOURS * 3600.0, 3 * interval)
    hours = count(name, values[name])
    if hours > LONGEST_HOURS:
        raise ConfigError(f"{name} is {hours}: use at most {LONGEST_HOURS}, or 0 to be told of no silence")
    if hours and hours * 3600.0 <= interval:
        raise ConfigError(
            f"{name} is {hours}, and JOB_INTERVAL is not shorter: a job that is well would be told of. Use more hours"
        )
    return hours * 3600.0
