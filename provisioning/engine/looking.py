"""One user or group as both sides have it at this moment: what provisioning it would find and decide, each mapped value
on both sides, its memberships and its history. Reads only; what is decided on the way is kept by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.engine import linking
from provisioning.engine.context import Context
from provisioning.engine.engine import Engine
from provisioning.engine.observe import observe
from provisioning.engine.on_demand import Answer, pending_of, provision_on_demand
from provisioning.engine.plan import CYCLE_PLAN
from provisioning.engine.searching import names_of, shown_key
from provisioning.model import Decision, Edge, Link, ObjectType
from provisioning.rules.decide import Seen, decide
from provisioning.rules.summary import SERVICE, Initiator

MEMBERSHIPS = 100
ENTRIES = 20


@dataclass(frozen=True, slots=True)
class Now:
    """What both sides say: the five steps of `answer`, and what was seen and decided."""

    answer: Answer
    seen: Seen
    decision: Decision


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the job itself knows. `names` are those of the other ends of memberships and of whoever is referred to;
    `more` says that there are more memberships than these.
    """

    link: Link
    key: str
    edges: tuple[Edge, ...] = ()
    more: bool = False
    names: Mapping[tuple[ObjectType, str], str] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()


async def recall(context: Context, key: str) -> Remembered:
    """Raises `ObjectError` for what nobody knows."""
    link = (await linking.find(context, key)).link
    edges: list[Edge] = []
    async for page in linking.memberships(context.edges, link):
        edges += page
        if len(edges) > MEMBERSHIPS:
            break
    shown = edges[:MEMBERSHIPS]
    others: list[tuple[ObjectType, str]] = [other_end(edge, link.type) for edge in shown]
    if link.manager:
        others.append(("user", link.manager))
    return Remembered(
        link,
        shown_key(context, link),
        tuple(shown),
        len(edges) > MEMBERSHIPS,
        await names_of(context, others) if others else {},
        await context.journal.of_object(f"{link.type}:{link.id}", ENTRIES),
    )


def other_end(edge: Edge, kind: ObjectType) -> tuple[ObjectType, str]:
    return ("group", edge.group) if kind == "user" else ("user", edge.member)


async def look(dry: Engine, link: Link, by: Initiator = SERVICE) -> Now:
    """`dry` is an engine for a dry run. Of a group the members are left out: they may be thousands. Raises
    `ObjectError` for what Entra does not know and no cycle remembers, `Unavailable` when a side does not answer.
    """
    members = None if link.type == "user" else ()
    answer = await provision_on_demand(dry, link.id, write=False, members=members, by=by)
    pending, _ = await pending_of(dry, link.id)
    context = dry.context
    (seen,) = await observe(context, context.plan(CYCLE_PLAN), [pending], link.type)
    return Now(answer, seen, decide(seen, context.job.schema.mapping(link.type), context.job.policy))
