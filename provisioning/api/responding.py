"""One request, one reply: what a handler answers or refuses, in Graph's form, with the request's id."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

from provisioning.api.answers import Call, Refusal, Reply, client_request_id
from provisioning.api.routing import Host, Request, Route
from provisioning.errors import ConfigError, ObjectError, ProvisioningError, Throttled

logger = logging.getLogger(__name__)


async def respond(route: Route, request: Request, host: Host) -> Reply:
    call = Call(client_request_id(request.headers.get("client-request-id", "")))
    try:
        found = await route.handler(request, host)
        return call.complete(found) if isinstance(found, Reply) else call.answer(found, route.answers)
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


def _refusal(error: ProvisioningError) -> Refusal:
    match error:
        case ConfigError():
            return Refusal(500, "InvalidConfiguration", str(error))
        case Throttled():
            return Refusal(429, "TooManyRequests", str(error))
        case _:
            return Refusal(503, getattr(error, "code", "ServiceUnavailable"), str(error))
