"""Who is a direct member of which group. The members of a group may be users, groups and other things; a filter on one
id proves a single membership or its absence. It knows nothing of who is assigned to what.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provisioning.adapters.graph import decode
from provisioning.adapters.graph.batch import PAGE, Batches, literal, relative
from provisioning.adapters.graph.calls import MEMBERS
from provisioning.model import Member


class Memberships:
    """Reads members by batches."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    async def members(self, groups: Collection[str]) -> Mapping[str, tuple[Member, ...] | None]:
        ids = tuple(dict.fromkeys(groups))
        # No cast to users: nested groups have to be seen, to be warned about.
        urls = [relative("groups", group, "members", select="id", top=PAGE) for group in ids]
        lists = await self._batches.collections(urls, MEMBERS)
        return {
            group: None if found is None else tuple(decode.member(body, MEMBERS) for body in found)
            for group, found in zip(ids, lists, strict=True)
        }

    async def are_members(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
        """Asks each group's members for the one id: that filter works on the live list. The same question from the
        member's side takes `ConsistencyLevel: eventual`, an index that lags behind and so proves nothing.
        """
        once = tuple(dict.fromkeys(pairs))
        urls = [
            relative("groups", group, "members", filter=f"id eq {literal(member)}", select="id")
            for group, member in once
        ]
        lists = await self._batches.collections(urls, MEMBERS)
        return {
            pair: found is not None and any(decode.id_of(body) == pair[1] for body in found)
            for pair, found in zip(once, lists, strict=True)
        }
