"""What the pages show, read from the job's own state: neither side is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from provisioning.dashboard.views import overview, plan
from provisioning.engine import waiting_list
from provisioning.engine.context import Context
from provisioning.engine.engine import Engine
from provisioning.engine.planned import Place, page
from provisioning.engine.previews import Previews
from provisioning.model import ObjectType
from provisioning.rules.planned import as_json

CYCLES = 200
"""More than a day of cycles, at any interval that makes sense."""
PLANNED = 50
"""Decisions on a page."""
WAITING, NAMED = 1000, 20
"""References that are counted, and those that are listed: the page is asked for every few seconds."""
ENDS: tuple[ObjectType, ObjectType] = ("group", "user")
"""Of a membership, in the order of its ids."""


async def overview_facts(engine: Engine) -> overview.Facts:
    context = engine.context
    state, _ = await context.rows.state()
    found = await context.rows.progress()
    failing, more = await context.due.codes(state.escrows_cleared)
    pairs = await context.waiting.everything(WAITING)
    waiting = {**waiting_list.counted(pairs), "more": len(pairs) == WAITING}
    waits, _ = await waiting_list.rows_of(context, NAMED)
    return overview.Facts(
        now=context.now(),
        job=context.job.id,
        instance=engine.instance,
        everyone=context.job.policy.everyone,
        interval=context.job.pace.interval,
        state=state,
        progress=found[0] if found is not None else None,
        cycles=tuple(await context.rows.cycles(limit=CYCLES)),
        failing=failing,
        more_fail=more,
        waiting=waiting,
        waits=tuple(waits),
        rejected=await context.rejections.count(),
    )


async def plan_facts(engine: Engine, action: str, after: str) -> plan.Facts:
    """What of the newest preview is asked for; of what is held without one, as it is held now."""
    context = engine.context
    state, _ = await context.rows.state()
    previews = Previews(context.store, context.job.id)
    preview = await previews.newest()
    facts = plan.Facts(context.now(), state, preview, action, after=after)
    if preview is not None and preview.ended and not preview.failure:
        decisions, following = await previews.page(preview.id, action, after, PLANNED)
    elif state.held is not None and action in {"", "held"}:
        found, place = await page(engine, Place("held", after), PLANNED)
        decisions = [as_json(each.decision, held=True) for each in found]
        following = place.after if place is not None else ""
    else:
        return facts
    members = [each["id"] for each in decisions if each["object"] == "member" and not each["name"]]
    return replace(facts, decisions=decisions, following=following, names=await names_of(context, members))


async def names_of(context: Context, memberships: Iterable[str]) -> dict[str, str]:
    """Of the users and groups that memberships are about, as far as the job remembers them, by their ids."""
    wanted = {(kind, end) for each in memberships for kind, end in zip(ENDS, each.split(":"), strict=False)}
    known = await context.links.load(wanted) if wanted else {}
    return {source_id: found.link.match_value for (_, source_id), found in known.items() if found.link.match_value}
