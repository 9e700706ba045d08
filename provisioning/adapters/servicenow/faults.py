"""What an instance means when it says no: a status, and often only the text beside it, become a fault with Entra's
error code and the way out. Knows neither bodies nor transports, and not what was asked.
"""

from __future__ import annotations

from typing import Literal

from httpx import codes
from msgspec import Struct

from provisioning.errors import ConfigError, ProvisioningError, Throttled, Unauthorized, Unavailable

Kind = Literal["refused", "missing", "no table", "login", "throttled", "asleep", "doubt"]

DEFAULT_PAUSE = 60.0
"""Seconds to stay away after a 429 that names no time: the semaphore queue of the instance was full."""

QUOTA = "maximum execution time exceeded"
_LONGEST_QUOTE = 300


class ReplyLost(Unavailable):
    """The request was sent and no clear answer came: what it asked for may have been done."""


class Fault(Struct, frozen=True):
    """Why there is no result. `doubt` leaves open whether a write took place; the other kinds say that this very
    request was not carried out, save that the refusal of a write may only mean that reading it back was denied.
    """

    kind: Kind
    code: str
    message: str
    way_out: str
    pause: float = DEFAULT_PAUSE

    def error(self, host: str) -> ProvisioningError:
        """The exception for a call that cannot go on."""
        text = f"{host}: {self.message}. {self.way_out}"
        match self.kind:
            case "throttled":
                return Throttled(text, retry_after=self.pause)
            case "login":
                return Unauthorized(text, code=self.code)
            case "no table":
                return ConfigError(f"{self.code}: {text}")
            case "doubt":
                return ReplyLost(text, code=self.code)
            case "refused" if self.code in {"InsufficientRights", "NotPermitted"}:
                return Unauthorized(text, code=self.code)
            case _:
                return Unavailable(text, code=self.code)


class Problem(Struct, frozen=True):
    message: str | None = None
    detail: str | None = None


def by_status(status: int, pause: float | None, elsewhere: str) -> Fault | None:
    """What the status alone decides."""
    if status == codes.UNAUTHORIZED:
        return Fault(
            "login",
            "ServiceNowCredentialsValidation",
            "the instance does not accept the credentials (401)",
            "Check them, that the account is active and not locked out, and that it may log in this way: ServiceNow "
            "refuses Basic authentication to interactive accounts, and a REST API access policy can refuse any",
        )
    if status == codes.TOO_MANY_REQUESTS:
        return Fault(
            "throttled",
            "TooManyRequests",
            "the instance asks for a pause (429)",
            "It is retried by itself; if it lasts, raise the rate limit rule or API_INT, or give this job fewer slots",
            DEFAULT_PAUSE if pause is None else pause,
        )
    if status == codes.ACCEPTED:
        return Fault(
            "doubt",
            "Timeout",
            "the instance put the request aside (202), as it does with requests that queue up",
            "It is retried by itself; if it lasts, look for a proxy that adds cookies",
        )
    if codes.is_redirect(status):
        return Fault(
            "asleep",
            "ServiceNowInstanceInvalid",
            f"the instance sends us elsewhere ({status}{', to ' + elsewhere if elsewhere else ''})",
            "Give the instance's own address; a redirection is not followed because credentials would travel with it",
        )
    return None


def by_problem(status: int, problem: Problem) -> Fault:
    said = _quote(problem)
    lower = said.lower()
    if QUOTA in lower:
        return timeout(f"the instance ended the request ({status}): {QUOTA}")
    if not codes.is_client_error(status):
        if status == codes.GATEWAY_TIMEOUT:
            return timeout(f"the instance took too long ({status}){said}")
        return Fault(
            "doubt",
            "InternalServerError",
            f"the instance reports an error of its own ({status}){said}",
            "It is retried by itself; if it lasts, look into the instance's system log at this time",
        )
    match status:
        case 404 if "no record found" in lower:
            return Fault(
                "missing",
                "InvalidAnchor",
                f"the record does not exist, or access rules hide it (404){said}",
                "If somebody deleted it, a restart matches again; else let the integration user read it",
            )
        case 400 if "invalid table" in lower:
            return Fault(
                "no table",
                "SchemaAttributeNotFound",
                f"the instance has no such table (400){said}",
                "Correct the mapping, or install the plugin that brings the table",
            )
        case 403:
            return _forbidden(said)
        case 405:
            return Fault(
                "refused",
                "MethodNotAllowed",
                f"the method is not allowed (405){said}",
                "Check the table's web service access",
            )
        case 408:
            return timeout(f"the instance took too long (408){said}")
        case 409:
            return Fault(
                "refused",
                "Conflict",
                f"a value clashes with another record (409){said}",
                "Fix the values or the matching",
            )
        case _:
            return Fault(
                "refused",
                "UnprocessableEntity",
                f"the instance did not understand the request ({status}){said}",
                "Check the values of this object; if they are plain, report it as a defect",
            )


class _Meaning(Struct, frozen=True):
    """What one kind of 403 says, found by a phrase in its text."""

    phrases: tuple[str, ...]
    code: str
    message: str
    way_out: str


_FORBIDDEN = (
    _Meaning(
        ("error during insert", "error during update", "unique key violation"),
        "Conflict",
        "a unique value is taken already",
        "Another record holds one of these unique values, perhaps an inactive one: fix the matching or the values",
    ),
    _Meaning(
        ("business rule",),
        "NotPermitted",
        "a business rule stopped the write",
        "Change the named business rule of the instance, or the values",
    ),
    _Meaning(
        ("data policy exception",),
        "MandatoryFieldsMissing",
        "a data policy stopped the write",
        "Map the fields that the data policy demands, or relax the policy",
    ),
    _Meaning(
        ("api level acl", "user not authorized"),
        "InsufficientRights",
        "the integration user may not use the API",
        "Give it the role snc_platform_rest_api_access, or relax the REST API ACL",
    ),
    _Meaning(
        ("insufficient rights to query",),
        "InsufficientRights",
        "the integration user may not read the table",
        "Give it a role that reads the table, and allow web services to access the table",
    ),
    _Meaning(
        ("",),
        "InsufficientRights",
        "the integration user may not do this",
        "Give it a role that writes the table (user_admin for users and memberships) and take read-only roles from it",
    ),
)


def _forbidden(said: str) -> Fault:
    """403 has many meanings; the text tells them apart."""
    lower = said.lower()
    meaning = next(each for each in _FORBIDDEN if any(phrase in lower for phrase in each.phrases))
    return Fault("refused", meaning.code, f"{meaning.message} (403){said}", meaning.way_out)


def _quote(problem: Problem) -> str:
    """What the instance said, on one line and never long."""
    text = ": ".join(part for part in (problem.message, problem.detail) if part)
    text = "".join(c if c.isprintable() else " " for c in text[: _LONGEST_QUOTE + 1])
    if not text:
        return ""
    return f": {text}" if len(text) <= _LONGEST_QUOTE else f": {text[:_LONGEST_QUOTE]}..."


def timeout(message: str) -> Fault:
    return Fault(
        "doubt", "Timeout", message, "It is retried by itself; if it lasts, the table's business rules are slow"
    )


def unreadable(what: str) -> Fault:
    return Fault(
        "doubt",
        "InternalServerError",
        f"the instance answered {what}",
        "It is retried by itself; if it lasts, something between us and the instance changes its answers",
    )
