"""The pages of people and groups: a search, one of them in full, and the order to provision it now."""

from __future__ import annotations

import logging

from provisioning.api.answers import Refusal, Reply
from provisioning.api.routing import Host, Request, Role, Route
from provisioning.dashboard.frames import framed
from provisioning.dashboard.pages import Notice, form_of, page, see_other, shown
from provisioning.dashboard.views.people import ADDRESS, LONGEST, people_view
from provisioning.dashboard.views.person import Facts, person_view
from provisioning.engine.engine import Engine
from provisioning.engine.linking import GUID
from provisioning.engine.looking import Now, look, recall
from provisioning.engine.on_demand import Answer, provision_on_demand
from provisioning.engine.searching import search, shown_key
from provisioning.errors import ObjectError, ProvisioningError
from provisioning.model import Link
from provisioning.rules.summary import Initiator

logger = logging.getLogger(__name__)

DONE = {
    "written": Notice("good", "Done: the newest entry of the history says what was written."),
    "agreed": Notice("info", "Nothing had to be written: both sides agree already."),
    "skipped": Notice("info", "Nothing was written: the steps below say why."),
    "held": Notice("warn", "The guard against accidental removal holds this; the plan has the choice."),
    "failed": Notice("bad", "It could not be provisioned: the newest entry of the history says why."),
    "others": Notice("warn", "Done, but for some of its memberships: the log says which of them failed."),
}
MOST_MEMBERS = 50


async def people(request: Request, engine: Engine, host: Host) -> Reply:
    del host
    text = request.query.get("q", "").strip()
    if len(text) > LONGEST or not text.isprintable():
        raise Refusal(400, "Request_BadRequest", f"A name has at most {LONGEST} characters.")
    found = await search(engine.context, text) if text else None
    keys = [shown_key(engine.context, each.link) for each in found.found] if found is not None else []
    frame = framed(request, engine, "People and groups", "people", DONE)
    return page("people.html", frame, view=people_view(text, found, keys), longest=LONGEST)


async def person(request: Request, engine: Engine, host: Host) -> Reply:
    """What the job remembers is shown also where a side does not answer."""
    remembered = await recall(engine.context, _id(request))
    link, now, failure = remembered.link, None, ""
    try:
        now = await _look(host, link, request.caller.initiator)
    except ObjectError as error:
        failure = f"{error}: {error.way_out}"
    except ProvisioningError as error:
        logger.warning("object not seen", extra={"object": link.id, "error": type(error).__name__})
        failure = str(error)
    context = engine.context
    mapping = context.job.schema.mapping(link.type)
    view = person_view(Facts(context.now(), engine.instance, remembered, mapping, now, failure))
    return page("person.html", framed(request, engine, view.name, "people", DONE), view=view)


async def _look(host: Host, link: Link, by: Initiator) -> Now:
    async with (await host.app()).dry_run() as dry:
        return await look(dry.engine, link, by)


async def provision(request: Request, engine: Engine, host: Host) -> Reply:
    """Of a group, itself and the members that the form names."""
    del host
    id_, form = _id(request), form_of(request)
    members = None
    if form.get("kind") == "group":
        members = tuple(name for line in form.get("members", "").splitlines() if (name := line.strip()))
        if len(members) > MOST_MEMBERS:
            raise Refusal(400, "Request_BadRequest", f"At most {MOST_MEMBERS} members at once; a cycle does them all.")
    answer = await provision_on_demand(engine, id_, write=True, members=members, by=request.caller.initiator)
    return see_other(f"{ADDRESS}/{id_}?done={_outcome(answer)}")


def _outcome(answer: Answer) -> str:
    if answer.held:
        return "held"
    if not answer.entries:
        return "agreed"
    info, *others = [each["provisioningStatusInfo"] for each in answer.entries]
    if info["status"] == "failure":
        return "failed"
    if any(each["status"] == "failure" for each in others):
        return "others"
    written = any(each["status"] in {"success", "warning"} for each in (info, *others))
    if written:
        return "written"
    return "agreed" if (info["errorInformation"] or {}).get("errorCode") == "RedundantExport" else "skipped"


def _id(request: Request) -> str:
    id_ = request.params.get("id", "").lower()
    if not GUID.fullmatch(id_):
        raise Refusal(404, "Request_ResourceNotFound", "The address names no object: search for it by its name.")
    return id_


PEOPLE = (
    Route("dashboard_people", "GET", "dashboard/people", Role.READ, shown(people)),
    Route("dashboard_person", "GET", "dashboard/people/{id}", Role.READ, shown(person)),
    Route("dashboard_provision", "POST", "dashboard/people/{id}/provision", Role.OPERATE, shown(provision)),
)
