"""How many objects are under the job's care, by kind: what the removal guard takes its percentage of.

Each step counts what it links and what it forgets. The count of a step that died is lost, so a cycle in which that
happened counts everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.engine.context import Context
from provisioning.model import ObjectType

PARTITIONS = "0123456789abcdef"


def add_managed(managed: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """The numbers of linked objects after what was counted."""
    result = dict(managed)
    for name, number in counts.items():
        if name.startswith("managed."):
            kind = name.removeprefix("managed.")
            result[kind] = max(0, result.get(kind, 0) + number)
    return result


async def count_managed(context: Context) -> dict[str, int]:
    """Reads every link and every membership."""
    found = {"user": 0, "group": 0, "member": 0}
    kinds: tuple[ObjectType, ...] = ("user", "group")
    for kind in kinds:
        for partition in PARTITIONS:
            after = ""
            while links := await context.links.page(kind, partition, after):
                found[kind] += sum(1 for link in links if link.linked)
                after = links[-1].id
                if kind == "group":
                    for link in links:
                        found["member"] += await _count_members(context, link.id)
    return found


async def _count_members(context: Context, group: str) -> int:
    number, after = 0, ""
    while edges := await context.edges.page(group, after):
        number += sum(1 for edge in edges if edge.sys_id)
        after = edges[-1].member
    return number
