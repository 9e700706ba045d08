"""The one place where an answer of ServiceNow becomes data or a fault. It knows every way in which the instance says
no: by status, by an HTML page with 200, by JSON that was cut off, by result and error in one body, by 202. Whole
replies and the items of a batch go through here alike. It must not know who asked, nor what was being written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import httpx
import msgspec
from httpx import codes
from msgspec import Struct

from provisioning.adapters.http import retry_after
from provisioning.errors import ConfigError, ProvisioningError, Throttled, Unauthorized, Unavailable

Kind = Literal["refused", "missing", "no table", "login", "throttled", "asleep", "doubt"]

DEFAULT_PAUSE = 60.0
"""Seconds to stay away after a 429 that names no time: the semaphore queue of the instance was full."""

_QUOTA = "maximum execution time exceeded"
_LONGEST_QUOTE = 300


class ReplyLost(Unavailable):
    """The request was sent and no clear answer came: what it asked for may have been done."""


class Answer(Struct, frozen=True):
    """What came back, of the whole call or of one item of a batch."""

    status: int
    body: bytes
    content_type: str = "application/json"
    pause: float | None = None
    location: str = ""


def answer_of(response: httpx.Response) -> Answer:
    """A whole reply that has been read."""
    return Answer(
        response.status_code,
        response.content,
        response.headers.get("Content-Type", ""),
        _pause(response) if response.status_code == codes.TOO_MANY_REQUESTS else None,
        _elsewhere(response) if response.has_redirect_location else "",
    )


def _pause(response: httpx.Response) -> float | None:
    """Seconds to stay away: Retry-After, else until the rate rule's window ends."""
    asked = retry_after(response)
    if asked is not None:
        return asked
    try:
        return max(0.0, float(response.headers["X-RateLimit-Reset"]) - time.time())
    except (KeyError, ValueError):
        return None


def _elsewhere(response: httpx.Response) -> str:
    """The host of a redirection and nothing else: its query may hold a secret."""
    try:
        return response.request.url.join(response.headers["Location"]).host
    except httpx.InvalidURL:
        return ""


class Fault(Struct, frozen=True):
    """Why there is no result. `doubt` leaves open whether a write took place; the other kinds say that this very
    request was not carried out, save for a refused insert, whose answer may only mean that reading back was denied.
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


class _Record(Struct, frozen=True):
    result: dict[str, str]
    error: Any = None


class _Records(Struct, frozen=True):
    result: list[dict[str, str]]
    error: Any = None


_record = msgspec.json.Decoder(_Record)
_records = msgspec.json.Decoder(_Records)


def record_of(answer: Answer) -> dict[str, str] | Fault:
    """The record that a write echoes; {} for a deletion."""
    if answer.status == codes.NO_CONTENT:
        return {}
    if codes.is_success(answer.status) and answer.status != codes.ACCEPTED:
        try:
            decoded = _record.decode(answer.body)
        except msgspec.MsgspecError:
            pass
        else:
            if decoded.error is None:
                return decoded.result
    body = body_of(answer)
    if isinstance(body, Fault):
        return body
    result = body.get("result")
    return _strings(result) if isinstance(result, dict) else _unreadable("JSON without a record")


def records_of(answer: Answer) -> list[dict[str, str]] | Fault:
    """The rows of a list. Version 1 of the API says 404 where the others answer an empty list."""
    if answer.status == codes.OK:
        try:
            decoded = _records.decode(answer.body)
        except msgspec.MsgspecError:
            pass
        else:
            if decoded.error is None:
                return decoded.result
    body = body_of(answer)
    if isinstance(body, Fault):
        return [] if body.kind == "missing" else body
    result = body.get("result")
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        return _unreadable("JSON without a list of records")
    return [_strings(row) for row in result]


def body_of(answer: Answer) -> dict[str, Any] | Fault:
    """The JSON object of a good answer, else the fault."""
    fault = _by_status(answer) or _by_page(answer)
    if fault is not None:
        return fault
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        if _QUOTA.encode() in answer.body:
            return _timeout("the answer was cut off by the instance: " + _QUOTA)
        if codes.is_error(answer.status):
            return _by_problem(answer.status, Problem())
        return _unreadable("an answer that is not JSON, or was cut off")
    if not isinstance(body, dict):
        return _unreadable("JSON that is not an object")
    if codes.is_error(answer.status) or body.get("error") is not None:
        return _by_problem(answer.status, _problem(body))
    return body


def _by_status(answer: Answer) -> Fault | None:
    """What the status alone decides."""
    status = answer.status
    if status == codes.UNAUTHORIZED:
        return Fault(
            "login",
            "ServiceNowCredentialsValidation",
            "the instance does not accept the credentials (401)",
            "Check them, that the account is active and not locked out, and that it may log in this way: ServiceNow "
            "refuses Basic authentication to interactive accounts, and a REST API access policy can refuse any",
        )
    if status == codes.TOO_MANY_REQUESTS:
        pause = DEFAULT_PAUSE if answer.pause is None else answer.pause
        return Fault(
            "throttled",
            "TooManyRequests",
            "the instance asks for a pause (429)",
            "It is retried by itself; if it lasts, raise the rate limit rule or API_INT, or give this job fewer slots",
            pause,
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
            f"the instance sends us elsewhere ({status}{', to ' + answer.location if answer.location else ''})",
            "Give the instance's own address; a redirection is not followed because credentials would travel with it",
        )
    return None


def _by_page(answer: Answer) -> Fault | None:
    """HTML is told by its content type or first byte: tags and entities occur in JSON values too."""
    start = answer.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"<") and "html" not in answer.content_type:
        return None
    if b"instance hibernating" in answer.body[:4096].lower():
        return Fault(
            "asleep",
            "ServiceNowInstanceInvalid",
            "the instance hibernates",
            "Wake it up on developer.servicenow.com; it answers again after some minutes",
        )
    if codes.is_client_error(answer.status):
        return _by_problem(answer.status, Problem())
    return Fault(
        "doubt",
        "ServiceNowInstanceInvalid",
        f"the instance answered a web page ({answer.status}) in place of data: maintenance, hibernation or a login",
        "Open the instance in a browser; it is retried by itself",
    )


def _problem(body: Mapping[str, Any]) -> Problem:
    try:
        return msgspec.convert(body.get("error"), Problem)
    except msgspec.ValidationError:
        return Problem(message=str(body.get("error")), detail=str(body.get("error_description") or "") or None)


def _by_problem(status: int, problem: Problem) -> Fault:
    said = _quote(problem)
    lower = said.lower()
    if _QUOTA in lower:
        return _timeout(f"the instance ended the request ({status}): {_QUOTA}")
    if not codes.is_client_error(status):
        if status == codes.GATEWAY_TIMEOUT:
            return _timeout(f"the instance took too long ({status}){said}")
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
            return _timeout(f"the instance took too long (408){said}")
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


def _timeout(message: str) -> Fault:
    return Fault(
        "doubt", "Timeout", message, "It is retried by itself; if it lasts, the table's business rules are slow"
    )


def _unreadable(what: str) -> Fault:
    return Fault(
        "doubt",
        "InternalServerError",
        f"the instance answered {what}",
        "It is retried by itself; if it lasts, something between us and the instance changes its answers",
    )


def _strings(row: Mapping[str, Any]) -> dict[str, str]:
    """Every value a string, also where a display form or a plug-in made it something else."""
    return {name: _string(value) for name, value in row.items()}


def _string(value: Any) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict():
            return _string(value.get("value", value.get("display_value")))
        case _:
            return str(value)
