"""Finds people and groups by what somebody remembers of them: the beginning of a name, a user name, an id, a key, the
sys_id of a record. Entra is asked for names, so that who is not provisioned is found as well, and under the present
name; the job's own state knows whom Entra does not have any more. Nothing is searched through here, however many there
are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from provisioning.engine.context import Context
from provisioning.engine.linking import GUID, KINDS, remembered
from provisioning.errors import ProvisioningError
from provisioning.model import Link, ObjectType, SourceObject

MOST = 25
"""Of users, and as many groups: who does not see theirs among them writes more of the name."""


@dataclass(frozen=True, slots=True)
class Found:
    """A user or group, and what is remembered of it. Without `source`, Entra has not told anything of it."""

    link: Link
    source: SourceObject | None


@dataclass(frozen=True, slots=True)
class Search:
    """`more` says that there are more than these, `failure` why Entra could not be asked."""

    found: tuple[Found, ...]
    more: bool = False
    failure: str = ""


async def search(context: Context, text: str) -> Search:
    known = await remembered(context, text)
    failure = ""
    sources: list[SourceObject] = []
    more = False
    try:
        if known is not None or GUID.fullmatch(text.lower()):
            sources = await _by_id(context, known.link.id if known is not None else text.lower())
        if not GUID.fullmatch(text.lower()):
            pages = await asyncio.gather(*(context.source.search(kind, text, MOST + 1) for kind in KINDS))
            more = any(len(page) > MOST for page in pages)
            sources += [source for page in pages for source in _by_name(page)[:MOST]]
    except ProvisioningError as error:
        failure = str(error)
    by_id = {source.id: source for source in sources}
    links = await context.links.load([(source.type, source.id) for source in by_id.values()])
    found = [Found(links[source.type, source.id].link, source) for source in by_id.values()]
    if known is not None and known.link.id not in by_id:
        found.insert(0, Found(known.link, None))
    return Search(tuple(found), more, failure)


async def _by_id(context: Context, id_: str) -> list[SourceObject]:
    users, groups = await asyncio.gather(context.source.users([id_]), context.source.groups([id_]))
    return [*users.values(), *groups.values()]


def _by_name(sources: Sequence[SourceObject]) -> list[SourceObject]:
    return sorted(sources, key=lambda source: str(source.attributes.get("displayName") or "").casefold())


async def names_of(context: Context, objects: Sequence[tuple[ObjectType, str]]) -> dict[tuple[ObjectType, str], str]:
    """What the job remembers as the name of each: the key by which its record is known. Asks neither side, and tells
    none that may stand in no log.
    """
    links = await context.links.load(objects)
    return {(kind, id_): shown_key(context, known.link) for (kind, id_), known in links.items()}


def shown_key(context: Context, link: Link) -> str:
    mapping = context.job.schema.mapping(link.type)
    secret = any(each.target in mapping.redacted for key in mapping.matching for each in key)
    return "" if secret else link.match_value or ""
