"""The one place that decides what an answer of Graph means: JSON, or an error from our tree. Status and error code
decide, never the text of a message, because Microsoft changes texts. Whole responses and the items of a batch come
through here alike. It knows neither the requests nor what the JSON says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from provisioning.adapters.http import retry_after
from provisioning.errors import CursorExpired, ProvisioningError, Throttled, Unauthorized, Unavailable

DEFAULT_PAUSE = 30.0
_ABSENT = frozenset({"request_resourcenotfound", "directory_objectnotfound", "resourcenotfound"})
_PAGE_TOKEN_GONE = frozenset({"directory_expiredpagetoken", "directorypagetokennotfoundexception"})


class NotThere(Unavailable):
    """Graph says with its own error code that the object does not exist. Where that is an answer, it is caught."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a request reads, in words for a person, and the application permission that opens it. What it does where it
    does not read, and what is most likely wrong where Graph does not accept it.
    """

    what: str
    permission: str
    verb: str = "read"
    suspect: str = (
        "a source attribute of the mappings is one that Graph does not know or does not list; compare them with the "
        "properties in Graph"
    )


def json_of(response: httpx.Response, call: Call) -> dict[str, Any]:
    """The JSON object of a good answer; anything else raises."""
    body = _decoded(response)
    if response.is_success and isinstance(body, dict):
        return body
    raise _failure(response, body, call)


def accept(response: httpx.Response, call: Call) -> None:
    """For a request that is answered by its status alone. Raises unless it was taken."""
    if not response.is_success:
        raise _failure(response, _decoded(response), call)


def item_of(item: Mapping[str, Any], url: str, call: Call) -> dict[str, Any]:
    """As `json_of`, for one item of a batch."""
    status, body = item.get("status"), item.get("body")
    if isinstance(status, int) and httpx.codes.is_success(status) and isinstance(body, dict):
        return body
    raise _failure(item_response(item, url), body, call)


def item_response(item: Mapping[str, Any], url: str) -> httpx.Response:
    """A batch item as the response that it would have been on its own."""
    status = item.get("status")
    given = item.get("headers")
    headers = [
        (name.encode("ascii", "replace"), str(value).encode("ascii", "replace"))
        for name, value in (given.items() if isinstance(given, dict) else ())
    ]
    return httpx.Response(
        status if isinstance(status, int) else httpx.codes.BAD_GATEWAY,
        headers=headers,
        request=httpx.Request("GET", httpx.URL("https://batch.invalid").copy_with(raw_path=url.encode())),
    )


def values_of(body: Mapping[str, Any], call: Call) -> list[dict[str, Any]]:
    """The objects of a page. A page without a list is a fault, never an empty page."""
    values = body.get("value")
    if isinstance(values, list) and all(isinstance(value, dict) for value in values):
        return values
    raise Unavailable(f"Microsoft Graph answered the read of {call.what} with JSON that holds no list of objects")


def link_of(body: Mapping[str, Any], name: str, call: Call) -> str | None:
    """A link to go on by, None where there is none. What is no address is a fault, never the end."""
    found = body.get(name)
    if found is None or (isinstance(found, str) and found):
        return found
    raise Unavailable(f"Microsoft Graph answered the read of {call.what} with a {name} that is no address")


def next_of(body: Mapping[str, Any], asked: str | None, call: Call) -> str | None:
    """The link to the next page. One that leads to the page itself would be followed for ever."""
    found = link_of(body, "@odata.nextLink", call)
    if found is not None and found == asked:
        raise Unavailable(f"a page of {call.what} from Microsoft Graph names itself as the next one")
    return found


def error_code(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""


def _decoded(response: httpx.Response) -> Any:
    try:
        text = response.content.decode("utf-8-sig")
        body = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # Half a character can be neither stored nor sent on: a question mark stands for it.
            body = json.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return body


def _failure(response: httpx.Response, body: Any, call: Call) -> ProvisioningError:
    status, code = response.status_code, error_code(body)
    said = f"{status} {code}".rstrip() + _request_id(response, body)
    if _cursor_expired(response, code):
        return CursorExpired(f"Microsoft Graph no longer knows the position in its {call.what} ({said})")
    match status:
        case httpx.codes.UNAUTHORIZED:
            return Unauthorized(
                f"Microsoft Graph accepts neither our token nor a fresh one for {call.what} ({said}): check that "
                "ENTRA_TENANT_ID, ENTRA_CLIENT_ID and GRAPH_BASE_URL belong to the same tenant and cloud",
                code="Unauthorized",
            )
        case httpx.codes.FORBIDDEN:
            return Unauthorized(
                f"Microsoft Graph does not let this application {call.verb} {call.what} ({said}): grant it the "
                f"application permission {call.permission} with admin consent, in the Entra admin center under App "
                "registrations, API permissions (a managed identity gets it as an app role assignment to Microsoft "
                "Graph)",
                code="InsufficientRights",
            )
        case httpx.codes.NOT_FOUND if code.lower() in _ABSENT:
            return NotThere(f"Microsoft Graph does not find {call.what} ({said})", code="InternalError")
        case httpx.codes.TOO_MANY_REQUESTS:
            pause = retry_after(response)
            pause = DEFAULT_PAUSE if pause is None else pause
            return Throttled(
                f"Microsoft Graph asks for a pause of {pause:g} s before it answers for {call.what} ({said})",
                retry_after=pause,
            )
    return Unavailable(
        _unexpected(response, said, call),
        code="InternalServerError" if httpx.codes.is_server_error(status) else "InternalError",
    )


def _unexpected(response: httpx.Response, said: str, call: Call) -> str:
    status = response.status_code
    if response.has_redirect_location:
        host = _host(response.headers["Location"])
        return f"Microsoft Graph redirects {call.what} to {host} ({said}); not followed: check GRAPH_BASE_URL"
    if httpx.codes.is_success(status):
        kind = response.headers.get("Content-Type", "no content type").partition(";")[0]
        return (
            f"the answer for {call.what} is not the JSON of Microsoft Graph ({said}, {kind}, "
            f"{len(response.content)} bytes): look for a proxy or sign-in page on the way"
        )
    refused = {httpx.codes.BAD_REQUEST, httpx.codes.NOT_IMPLEMENTED}
    if status in refused or (call.verb != "read" and status == httpx.codes.NOT_FOUND):
        return f"Microsoft Graph does not accept the request for {call.what} ({said}): most likely {call.suspect}"
    return f"Microsoft Graph failed to answer for {call.what} ({said}); it is tried again later"


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or "elsewhere"
    except ValueError:
        return "elsewhere"


def _cursor_expired(response: httpx.Response, code: str) -> bool:
    """The shapes in which Graph says that a token has expired: only for a request that carried one."""
    status, name = response.status_code, code.lower()
    tokens = _tokens(response)
    if not tokens or not (httpx.codes.is_client_error(status) and status not in {401, 403, 429}):
        return False
    if status == httpx.codes.GONE or name in {"syncstatenotfound", "resyncrequired"}:
        return True
    if "$deltatoken" in tokens and status == httpx.codes.BAD_REQUEST and name == "request_unsupportedquery":
        return True
    return "$skiptoken" in tokens and name in _PAGE_TOKEN_GONE


def _tokens(response: httpx.Response) -> frozenset[str]:
    query = parse_qsl(response.request.url.query.decode(), keep_blank_values=True)
    return frozenset(
        name.lower()
        for name, value in query
        if name.lower() == "$skiptoken" or (name.lower() == "$deltatoken" and value.lower() != "latest")
    )


def _request_id(response: httpx.Response, body: Any) -> str:
    known = response.headers.get("request-id")
    error = body.get("error") if isinstance(body, dict) else None
    if known is None and isinstance(error, dict):
        inner = error.get("innerError") or error.get("innererror")
        known = inner.get("request-id") if isinstance(inner, dict) else None
    return f", request-id {known}" if isinstance(known, str) and known else ""
