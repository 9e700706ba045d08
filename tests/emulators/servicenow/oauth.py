"""`/oauth_token.do`: token requests as ServiceNow takes them, form-encoded and with everything in the body. Knows the
wire; who gets a token is for the accounts to say.
"""

from __future__ import annotations

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
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    grant = instance.accounts.grant(form)
    if grant is None:
        return Reply(401, _DENIED)
    answer = {"access_token": grant.access.text}
    if grant.refresh:
        answer["refresh_token"] = grant.refresh.text
    # A fresh token says 1799; the same token, asked for again, says how much is left.
    left = max(int(grant.access.expires - instance.now()) - 1, 0)
    return Reply(200, encode({**answer, "scope": "useraccount", "token_type": "Bearer", "expires_in": left}))
