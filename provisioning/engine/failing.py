"""How many objects fail as things are: what adds up over the cycles. Knows neither cycles nor thresholds."""

from __future__ import annotations

from provisioning.engine.context import Context
from provisioning.engine.keys import identity

AT_ONCE = 1000


async def count_failing(context: Context, least: int) -> int:
    """Objects that have failed and are tried again, each once; exact where there are more than `least`. Who has changed
    and succeeded meanwhile may still be due for a while, which the link tells.
    """
    state, _ = await context.rows.state()
    due = await context.due.failing(state.escrows_cleared)
    if len(due) <= least:
        return len(due)
    people = sorted(key for key in due if not key.startswith("member:"))
    failing = len(due) - len(people)
    for some in (people[start : start + AT_ONCE] for start in range(0, len(people), AT_ONCE)):
        links = await context.links.load([identity(key) for key in some])
        failing += sum(known.link.escrow is not None for known in links.values())
    return failing
