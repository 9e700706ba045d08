"""The limits of one group: how many members it may get or lose without a person's word. Pure: a group is known by its
object id and its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioning.model import Action, Create, Remove

EVERY_OTHER = ""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How many members a group may get, and lose, in a cycle and in any 24 hours: by the object id or the name of the
    group (casefolded), and under `EVERY_OTHER` for all that are not named. What is not there has no limit.
    """

    additions: Mapping[str, int] = field(default_factory=dict)
    removals: Mapping[str, int] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.additions or self.removals)

    def of(self, action: Action, names: Iterable[str]) -> int | None:
        """The limit of what is to be done with a membership of the group that has these `names`, or None."""
        limits = self.additions if isinstance(action, Create) else self.removals
        if not limits or not isinstance(action, Create | Remove):
            return None
        keys = (*(name.strip().casefold() for name in names), EVERY_OTHER)
        return next((limits[key] for key in keys if key in limits), None)
