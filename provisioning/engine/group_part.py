"""The plan of a run on demand for some members of a group: what concerns the others is not lost, it is put where the
next cycle finds it. Knows the keys and grants of rows, and nothing of what is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from provisioning.engine.due import Due
from provisioning.engine.keys import ends
from provisioning.engine.plan import Bins, Plan
from provisioning.engine.ports import Store
from provisioning.model import Pending, group_key


def group_id(object_key: str) -> str:
    return object_key.removeprefix("group:")


class PartOfGroup(Plan):
    """Takes only those members of a group whose ids are in `members`."""

    def __init__(
        self, store: Store, job: str, name: str, now: Callable[[], float], group: str, members: Collection[str]
    ) -> None:
        super().__init__(store, job, name)
        self._due = Due(store, job)
        self._now = now
        self._group = group
        self._members = members

    async def stage(self, changes: Iterable[Pending], *, earlier: bool = False) -> Bins:
        own: list[Pending] = []
        others: list[Pending] = []
        for change in changes:
            (others if self._concerns_others(change) else own).append(change)
        at = self._now() - 1  # apart from what is put there of the same objects when they are settled
        await self._due.add([(at, change) for change in self._in_short(others)])
        return await super().stage(own, earlier=earlier)

    def _concerns_others(self, change: Pending) -> bool:
        kind, _, rest = change.object.partition(":")
        match kind:
            case "member":
                group, member = ends(change.object)
                return group == self._group and member not in self._members
            case "user":
                return f"group:{self._group}" in change.grants and rest not in self._members
            case _:
                return False

    def _in_short(self, others: Collection[Pending]) -> list[Pending]:
        """Whoever is a member is found by the group: one row for all of them. What has ended is not found any more."""
        grant = f"group:{self._group}"
        ended = [change for change in others if change.withdrawn or change.grants.get(grant) is False]
        if len(ended) == len(others):
            return ended
        return [*ended, Pending(group_key(self._group), "groups", refresh=True, expand=True)]
