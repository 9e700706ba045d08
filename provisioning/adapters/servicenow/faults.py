"""What an instance means when it says no: a status, and often only the text beside it, become a fault with Entra's
error code, the cause, and the way out with who can take it: the ServiceNow administrator, the Entra administrator, or
the operator of this application. Knows neither bodies nor transports, and not what was asked.
"""

from __future__ import annotations

from typing import Literal

from httpx import codes
from msgspec import Struct, structs

from provisioning.errors import ConfigError, ProvisioningError, Throttled, Unauthorized, Unavailable

Kind = Literal["refused", "missing", "no table", "login", "moved", "throttled", "asleep", "doubt"]

DEFAULT_PAUSE = 60.0
"""Seconds to stay away after a 429 that names no time: the semaphore queue of the instance was full."""

QUOTA = "maximum execution time exceeded"
_LONGEST_QUOTE = 300
_TOOK_TOO_LONG = frozenset({408, 499, 504})
"""499 is what a load balancer notes for a caller that left: whether the instance went on is not told."""
_PAGES_OF_THE_INSTANCE = frozenset({400, 405, 413, 414, 415, 431})


class ReplyLost(Unavailable):
    """The request was sent and no clear answer came: what it asked for may have been done."""


class Fault(Struct, frozen=True):
    """Why there is no result. `doubt` leaves open whether a write took place; the other kinds say that this very
    request was not carried out, save that the refusal of a write may only mean that reading it back was denied.
    `moved` is a refusal by the API as a whole, which also happens in passing when a session changes its node.
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
            case "login" | "moved":
                return Unauthorized(text, code=self.code)
            case "no table":
                return ConfigError(f"{self.code}: {text}")
            case "doubt":
                return ReplyLost(text, code=self.code)
            case "refused" if self.code in {"InsufficientRights", "NotPermitted"}:
                return Unauthorized(text, code=self.code)
            case _:
                return Unavailable(text, code=self.code)

    def about(self, table: str, *columns: str) -> Fault:
        """The same, with what was asked for: a query ACL closes one column of a table that can be read otherwise."""
        return structs.replace(self, message=f"{self.message}; asked for {table} by {' and '.join(columns)}")


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
            "Operator: check them. ServiceNow administrator: check that the account is active and not locked out, and "
            "that it may log in this way: ServiceNow refuses Basic authentication to interactive accounts, and a REST "
            "API access policy can refuse any",
        )
    if status == codes.TOO_MANY_REQUESTS:
        return Fault(
            "throttled",
            "TooManyRequests",
            "the instance asks for a pause (429)",
            "It is retried by itself. If it lasts, ServiceNow administrator: raise the rate limit rule or API_INT; or "
            "operator: give this job fewer slots",
            DEFAULT_PAUSE if pause is None else pause,
        )
    if status == codes.ACCEPTED:
        return Fault(
            "doubt",
            "Timeout",
            "the instance put the request aside (202), as it does with requests that queue up",
            "It is retried by itself. If it lasts, operator: look for a proxy that adds cookies",
        )
    if codes.is_redirect(status):
        return Fault(
            "asleep",
            "ServiceNowInstanceInvalid",
            f"the instance sends us elsewhere ({status}{', to ' + elsewhere if elsewhere else ''})",
            "Operator: give the instance's own address; a redirection is not followed because credentials would travel "
            "with it",
        )
    return None


def by_problem(status: int, problem: Problem) -> Fault:
    said = _quote(problem)
    lower = f"{problem.message}: {problem.detail}".lower()
    if QUOTA in lower:
        return timeout(f"the instance ended the request ({status}): {QUOTA}")
    if status in _TOOK_TOO_LONG:
        return timeout(f"the instance took too long ({status}){said}")
    if not codes.is_client_error(status):
        return Fault(
            "doubt",
            "InternalServerError",
            f"the instance reports an error of its own ({status}){said}",
            "It is retried by itself. If it lasts, ServiceNow administrator: look into the system log at this time",
        )
    match status:
        case 404 if "no record found" in lower:
            return Fault(
                "missing",
                "InvalidAnchor",
                f"the record does not exist, or access rules hide it (404){said}",
                "Operator: if somebody deleted it, restart the job, which matches again. ServiceNow administrator: "
                "else let the integration user read it",
            )
        case 404 if "does not represent any resource" in lower:
            return Fault(
                "no table",
                "NotImplemented",
                f"the instance has no such API (404){said}",
                "Operator: check SERVICENOW_INSTANCE. ServiceNow administrator: activate the REST Table and Batch API",
            )
        case 400 if "invalid table" in lower:
            return Fault(
                "no table",
                "SchemaAttributeNotFound",
                f"the instance has no such table (400){said}",
                "Entra administrator: correct the mapping. ServiceNow administrator: install the plugin that brings "
                "the table",
            )
        case 403:
            return _forbidden(said, lower)
        case 405:
            return Fault(
                "refused",
                "MethodNotAllowed",
                f"the method is not allowed (405){said}",
                "ServiceNow administrator: allow web services to write to the table",
            )
        case 409:
            return Fault(
                "refused",
                "Conflict",
                f"a value clashes with another record (409){said}",
                "Entra administrator: fix the values or the matching",
            )
        case _:
            return Fault(
                "refused",
                "UnprocessableEntity",
                f"the instance did not understand the request ({status}){said}",
                "Entra administrator: check the values of this object. If they are plain, operator: report a defect",
            )


class _Meaning(Struct, frozen=True):
    """What one kind of 403 says, found by a phrase in its text."""

    phrases: tuple[str, ...]
    code: str
    message: str
    way_out: str
    kind: Kind = "refused"


_FORBIDDEN = (
    _Meaning(
        ("error during insert", "error during update", "unique key violation"),
        "Conflict",
        "a unique value is taken already",
        "Entra administrator: another record holds one of these unique values, perhaps an inactive one: fix the "
        "matching or the values",
    ),
    _Meaning(
        ("business rule",),
        "NotPermitted",
        "a business rule stopped the write",
        "ServiceNow administrator: change the named business rule; or Entra administrator: change the values",
    ),
    _Meaning(
        ("data policy exception",),
        "MandatoryFieldsMissing",
        "a data policy stopped the write",
        "Entra administrator: map the fields that it demands; or ServiceNow administrator: relax the policy",
    ),
    _Meaning(
        ("api level acl", "user not authorized"),
        "InsufficientRights",
        "the integration user may not use the API",
        "ServiceNow administrator: give it the role snc_platform_rest_api_access, or relax the REST API ACL. "
        "A session that moved to another node is refused so in passing (KB2466644): that is why it was tried again",
        "moved",
    ),
    _Meaning(
        ("insufficient rights to query",),
        "InsufficientRights",
        "the integration user may not read the table, or may not query a column asked for",
        "ServiceNow administrator: give it a role that reads the table, allow web services to access the table, and "
        "check the query ACLs (query_match, query_range) of the columns",
    ),
    _Meaning(
        ("",),
        "InsufficientRights",
        "the integration user may not do this",
        "ServiceNow administrator: give it a role that writes the table (user_admin for users and memberships) and "
        "take read-only roles from it",
    ),
)


def _forbidden(said: str, lower: str) -> Fault:
    """403 has many meanings; the text tells them apart."""
    meaning = next(each for each in _FORBIDDEN if any(phrase in lower for phrase in each.phrases))
    return Fault(meaning.kind, meaning.code, f"{meaning.message} (403){said}", meaning.way_out)


def by_page(status: int, *, hibernates: bool) -> Fault:
    """What a web page in place of data means. The instance itself answers one to an address that is too long; other
    refusals come from something in front of it.
    """
    if hibernates:
        return Fault(
            "asleep",
            "ServiceNowInstanceInvalid",
            "the instance hibernates",
            "Wake it up on developer.servicenow.com (operator); it answers again after some minutes",
        )
    if status in _PAGES_OF_THE_INSTANCE or status in _TOOK_TOO_LONG:
        return by_problem(status, Problem())
    if codes.is_client_error(status):
        return Fault(
            "asleep",
            "ServiceNowInstanceInvalid",
            f"a web page answered in place of the instance ({status}): a proxy, a firewall or another site",
            "Operator: check SERVICENOW_INSTANCE and the proxy. ServiceNow administrator: check the instance's IP "
            "address access control",
        )
    return Fault(
        "doubt",
        "ServiceNowInstanceInvalid",
        f"the instance answered a web page ({status}) in place of data: maintenance, hibernation or a login",
        "It is retried by itself. If it lasts, operator: open the instance in a browser",
    )


def _quote(problem: Problem) -> str:
    """What the instance said, on one line and never long."""
    text = ": ".join(part for part in (problem.message, problem.detail) if part)
    text = "".join(c if c.isprintable() else " " for c in text[: _LONGEST_QUOTE + 1])
    if not text:
        return ""
    return f": {text}" if len(text) <= _LONGEST_QUOTE else f": {text[:_LONGEST_QUOTE]}..."


def timeout(message: str) -> Fault:
    return Fault(
        "doubt",
        "Timeout",
        message,
        "It is retried by itself. If it lasts, ServiceNow administrator: look for slow business rules of the table",
    )


def unreadable(what: str) -> Fault:
    return Fault(
        "doubt",
        "InternalServerError",
        f"the instance answered {what}",
        "It is retried by itself. If it lasts, operator: look for something between us and the instance that changes "
        "its answers",
    )
