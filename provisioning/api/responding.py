"""One request, one reply: who has sent it is asked at the door, then the handler answers or refuses, in Graph's form,
with the request's id.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from urllib.parse import unquote_plus, urlsplit

from provisioning.api.access import WITH_KEY
from provisioning.api.answers import Call, Refusal, Reply, client_request_id
from provisioning.api.browsers import security_headers
from provisioning.api.doors import SignInFirst
from provisioning.api.routing import Caller, Door, Host, Request, Route
from provisioning.errors import ConfigError, ObjectError, ProvisioningError, Throttled

logger = logging.getLogger(__name__)


CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-functions-key", "x-zumo-auth"})
FROM_THE_PLATFORM = "x-ms-"
"""Who is signed in, and its tokens: no handler needs them, and so none can show them."""
KEYS = frozenset({"code", "clientid"})
"""Parameters in which the Functions host takes a key. Links to a next page are made of the address that was asked."""


async def respond(route: Route, request: Request, host: Host, door: Door) -> Reply:
    reply = await _reply(route, request, host, door)
    names = {name.casefold(): name for name in reply.headers}
    content_type = reply.headers[names["content-type"]] if "content-type" in names else ""
    guarded = security_headers(content_type, https=request.url.startswith("https:"))
    missing = {name: value for name, value in guarded.items() if name.casefold() not in names}
    return replace(reply, headers={**reply.headers, **missing})


async def _reply(route: Route, request: Request, host: Host, door: Door) -> Reply:
    call = Call(client_request_id(request.headers.get("client-request-id", "")))
    try:
        caller = await door.admit(request, route.role)
        found = await route.handler(_admitted(request, caller), host)
        return call.complete(found) if isinstance(found, Reply) else call.answer(found, route.answers)
    except SignInFirst as first:
        return Reply(302, "", {"Location": first.location, "Cache-Control": "no-store"})
    except Refusal as refusal:
        return call.refuse(refusal)
    except ObjectError as error:
        return call.refuse(Refusal(404, "Request_ResourceNotFound", f"{error}: {error.way_out}"))
    except ProvisioningError as error:
        logger.exception("request failed", extra={"request": call.request_id})
        reply = call.refuse(_refusal(error))
        if isinstance(error, Throttled):
            return replace(reply, headers={**reply.headers, "Retry-After": str(math.ceil(error.retry_after))})
        return reply
    except Exception:  # the SDK of Durable raises nothing narrower, and a client is owed an answer it can read
        logger.exception("request failed", extra={"request": call.request_id})
        return call.refuse(Refusal(500, "InternalServerError", "The request failed; the app's log says why."))


def _admitted(request: Request, caller: Caller) -> Request:
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in CREDENTIALS and not name.startswith(FROM_THE_PLATFORM)
    }
    admitted = replace(request, headers=headers, caller=caller)
    if caller is not WITH_KEY:
        return admitted
    parts = urlsplit(request.url)
    kept = [part for part in parts.query.split("&") if unquote_plus(part.partition("=")[0]).casefold() not in KEYS]
    query = {name: value for name, value in request.query.items() if name.casefold() not in KEYS}
    return replace(admitted, url=parts._replace(query="&".join(kept)).geturl(), query=query)


def _refusal(error: ProvisioningError) -> Refusal:
    match error:
        case ConfigError():
            return Refusal(500, "InvalidConfiguration", str(error))
        case Throttled():
            return Refusal(429, "TooManyRequests", str(error))
        case _:
            return Refusal(503, getattr(error, "code", "ServiceUnavailable"), str(error))
