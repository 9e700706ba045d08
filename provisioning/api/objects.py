"""One user or group, and the links: why something is as it is, looking at it again, which record it has, and who waits
for whom. Beyond Microsoft's API; the command line's `explain`, `resync`, `links` and `waiting` do the same.
"""

from __future__ import annotations

import re
from typing import Any, cast

from provisioning.api import shapes
from provisioning.api.answers import bad_request, body_of, context_of, not_found, page_of, place_of, top_of
from provisioning.api.callers import initiator
from provisioning.api.jobs import jobs_fragment
from provisioning.api.routing import Host, Request, app_of, job_of
from provisioning.engine import control, linking
from provisioning.engine.context import Context
from provisioning.engine.linking import KINDS, Place
from provisioning.engine.on_demand import provision_on_demand
from provisioning.engine.waiting_list import rows_of
from provisioning.errors import ConfigError
from provisioning.rules.linkage import connection_of
from provisioning.schema import read_clause
from provisioning.schema.names import select_name

DEFAULT_TOP, MOST = 100, 999
MOST_CLAUSES = 20
_PLACE = re.compile(r"(user|group)\|([0-9a-f])\|([^/\\#?\x00-\x1f]{0,200})")


async def explain(request: Request, host: Host) -> dict[str, Any]:
    """What provisioning one user or group would find, decide and do now, without doing it."""
    app, asked = await app_of(request, host), body_of(request.body, shapes.ObjectToExplain)
    key, members = _key(asked.get("object", "")), asked.get("members")
    async with app.dry_run() as dry:
        found = await provision_on_demand(dry.engine, key, write=False, members=members, by=initiator(request.by))
    return {
        "@odata.context": _context(request, app.engine.context, "explanation"),
        "object": found.object,
        "name": found.name,
        "held": found.held,
        "value": list(found.entries),
    }


async def resync(request: Request, host: Host) -> dict[str, Any]:
    """The next cycle evaluates one user, one group with its members, or all users who pass a filter, as if everything
    had changed.
    """
    app, asked = await app_of(request, host), body_of(request.body, shapes.ResyncOrder)
    key, clauses = asked.get("object"), asked.get("filter")
    if (key is None) == (not clauses):
        raise bad_request('The body must be {"object": "..."} or {"filter": ["department EQUALS Sales"]}.')
    if key is not None:
        done = await control.resync_named(app.engine, _key(key), by=request.by)
        return {"type": done.kind, "id": done.id, "rejected": done.rejected}
    if len(clauses or ()) > MOST_CLAUSES:
        raise bad_request(f"filter must be at most {MOST_CLAUSES} clauses.")
    try:
        read = [read_clause(text, "user") for text in clauses or ()]
    except ConfigError as error:
        raise bad_request(f"{error}.") from error
    properties = [name for clause in read if (name := select_name(clause.attribute)) is not None]
    async with app.reading(properties) as reading:
        return {"users": await control.resync_filter(reading.engine, read, by=request.by)}


async def list_links(request: Request, host: Host) -> dict[str, Any]:
    """All that is remembered of each link, but what was written."""
    context = (await job_of(request, host)).context
    top = top_of(request.query.get("$top", ""), DEFAULT_TOP, MOST)
    only = request.query.get("type", "")
    if only not in {"", *KINDS}:
        raise bad_request("type must be user or group.")
    asked = place_of(request.query.get("$skiptoken", ""), _PLACE)
    start = Place(cast("Any", asked[1]), asked[2], asked[3]) if asked is not None else linking.START
    kinds = [kind for kind in KINDS if only in {"", kind}]
    links, following = await linking.page_of_linked(context, start, top, kinds)
    token = f"{following.kind}|{following.nibble}|{following.after}" if following is not None else ""
    options = {"$top": str(top), **({"type": only} if only else {})}
    page = page_of([connection_of(link) for link in links], request.url, options, token)
    return {"@odata.context": _context(request, context, "links"), **page}


async def get_link(request: Request, host: Host) -> dict[str, Any]:
    """One link, by object id or sys_id, with why its object is in scope, and its memberships."""
    context, name = (await job_of(request, host)).context, request.params.get("id", "")
    known = await linking.remembered_by_id(context, name)
    if known is None:
        raise not_found(name)
    return {"@odata.context": _context(request, context, "links"), **await linking.document_of(context, known.link)}


async def list_waiting(request: Request, host: Host) -> dict[str, Any]:
    """References that cannot be written yet: who waits, and for whom."""
    context = (await job_of(request, host)).context
    rows, more = await rows_of(context, top_of(request.query.get("$top", ""), DEFAULT_TOP, MOST))
    return {"@odata.context": _context(request, context, "waiting"), "more": more, "value": rows}


def _context(request: Request, context: Context, what: str) -> str:
    return context_of(request.url, f"{jobs_fragment(context)}('{context.job.id}')/{what}")


def _key(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise bad_request("object must be an id, a user principal name, or a group's exact name.")
    return text.strip()
