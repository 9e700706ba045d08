"""Counts everything that is under the job's care.

Each step counts what it links and what it forgets. The count of a step that died is lost, so a cycle in which that
happened counts everything anew.
"""

from __future__ import annotations

from collections import Counter

from provisioning.engine.context import Context
from provisioning.rules.managed import MANAGED, managed_as


async def count_managed(context: Context) -> dict[str, int]:
    """Reads every link and every membership; answers what a job would have counted that began with nothing."""
    found: Counter[str] = Counter({f"{MANAGED}user": 0, f"{MANAGED}group": 0, f"{MANAGED}member": 0})
    async for links in context.links.pages("user", "group"):
        for link in links:
            found.update(managed_as(link))
            if link.type == "group":
                found[f"{MANAGED}member"] += await _count_members(context, link.id)
    return dict(found)


async def _count_members(context: Context, group: str) -> int:
    number, after = 0, ""
    while edges := await context.edges.page(group, after):
        number += sum(1 for edge in edges if edge.sys_id)
        after = edges[-1].member
    return number
