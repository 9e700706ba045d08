"""`/oauth_token.do`: token requests as ServiceNow takes them: form-encoded, everything in the body, only the client may
come in a header instead. Knows the wire; who gets a token is for the accounts to say.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tests.emulators.servicenow import errors
from tests.emulators.servicenow.messages import Reply, Request, encode

if TYPE_CHECKING:
    from tests.emulators.servicenow.routes import Route
    from tests.emulators.servicenow.state import Instance

_DENIED = encode({"error_description": "access_denied", "error": "server_error"})


def answer(instance: Instance, request: Request, _route: Route) -> Reply:
    if request.method != "POST":
        raise errors.method_not_supported()
    form: dict[str, str] = {}
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = _client_in_header(request) | dict(parse_qsl(request.body.decode("utf-8", "replace")))
    grant = instance.accounts.grant(form)
    if grant is None:
        return Reply(401, _DENIED)
    answer = {"access_token": grant.access.text}
    if grant.refresh:
        answer["refresh_token"] = grant.refresh.text
    # A fresh token says 1799; the same token, asked for again, says how much is left.
    left = max(int(grant.access.expires - instance.now()) - 1, 0)
    return Reply(200, encode({**answer, "scope": "useraccount", "token_type": "Bearer", "expires_in": left}))


def _client_in_header(request: Request) -> dict[str, str]:
    """requests-oauthlib sends the client so, and PySNC's tests of it pass against real instances."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": client_id, "client_secret": secret}
