"""objectConnection: which record an object is linked to, in Graph's shape; and, beyond Graph, pages of all of them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from provisioning.api.answers import Refusal, bad_request, not_found, top_of
from provisioning.api.routing import Host, Request, job_of
from provisioning.engine import linking
from provisioning.engine.linking import START, Place
from provisioning.errors import RowConflict
from provisioning.model import Link
from provisioning.rules.linkage import connection_of

PROPERTIES = ("objectId", "sourceAnchor", "targetAnchor", "displayName", "objectTypeName")
TYPE = "#microsoft.graph.objectConnection"
DEFAULT_TOP, MOST = 100, 999
_PLACE = re.compile(r"(user|group)\|([0-9a-f])\|(.*)")


async def list_object_connections(request: Request, host: Host) -> dict[str, Any]:
    """Which record each object is linked to."""
    context = (await job_of(request, host)).context
    top, place = asked_page(request.query.get("$top", ""), request.query.get("$skiptoken", ""))
    links, following = await linking.page_of_linked(context, place, top)
    return page_resource(links, following, request.url.partition("?")[0], top)


async def get_object_connection(request: Request, host: Host) -> dict[str, Any]:
    """The record of one object, by the object's id or the record's sys_id."""
    name = request.params.get("id", "")
    known = await linking.remembered_by_id((await job_of(request, host)).context, name)
    if known is None or known.link.sys_id is None:
        raise not_found(name)
    return connection_resource(known.link)


async def delete_object_connection(request: Request, host: Host) -> None:
    """Forgets a link of a paused job; the record stays as it is."""
    engine = await job_of(request, host)
    known = await linking.remembered_by_id(engine.context, request.params.get("id", ""))
    try:
        done = await linking.unlink_at_rest(engine, known, by=request.by)
    except RowConflict as conflict:
        raise Refusal(409, "Conflict", str(conflict)) from conflict
    if not done:
        raise Refusal(409, "Conflict", "Pause the job first, and wait until a cycle that runs has ended.")


def connection_resource(link: Link) -> dict[str, Any]:
    """Graph's properties and no other."""
    shown = connection_of(link)
    return {"@odata.type": TYPE, **{name: shown[name] for name in PROPERTIES}}


def asked_page(top: str, token: str) -> tuple[int, Place]:
    """What $top and $skiptoken ask for. Raises `Refusal`."""
    number = top_of(top, DEFAULT_TOP, MOST)
    if not token:
        return number, START
    try:
        text = base64.urlsafe_b64decode(token.encode("ascii")).decode()
    except (UnicodeError, binascii.Error) as error:
        raise bad_request("$skiptoken is none that this app has given out.") from error
    found = _PLACE.fullmatch(text)
    if found is None:
        raise bad_request("$skiptoken is none that this app has given out.")
    return number, Place("user" if found[1] == "user" else "group", found[2], found[3])


def page_resource(links: Sequence[Link], following: Place | None, url: str, top: int) -> dict[str, Any]:
    """`url` is the address that was asked, without its query."""
    page: dict[str, Any] = {"value": [connection_resource(link) for link in links]}
    if following is not None:
        token = base64.urlsafe_b64encode(f"{following.kind}|{following.nibble}|{following.after}".encode()).decode()
        page["@odata.nextLink"] = f"{url}?$top={top}&$skiptoken={quote(token)}"
    return page
