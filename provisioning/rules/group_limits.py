"""The limits of one group: how many members it may get or lose without a person's word. Pure: a group is known by its
object id and its name, a change of its members by the kind of harm it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioning.rules.review import HarmKind

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

    def of(self, kind: HarmKind, group: str, name: str | None) -> int | None:
        """The limit of a group for harm of a kind, or None."""
        limits = {"additions": self.additions, "memberships": self.removals}.get(kind)
        if not limits:
            return None
        keys = (group.casefold(), (name or "").strip().casefold(), EVERY_OTHER)
        return next((limits[key] for key in keys if key in limits), None)
