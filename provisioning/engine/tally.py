"""What a step has done so far. Kept apart from the step, so that a failure half-way loses none of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.engine.keys import add_counts, bin_of
from provisioning.engine.plan import Bins
from provisioning.engine.progress import StepResult
from provisioning.model import Action, Create, Decision, Disable, Fail, Lane, Link, Pending, Remove, Skip, Update
from provisioning.rules.instance import Ended, newest, newest_ended
from provisioning.rules.managed import managed_as
from provisioning.rules.summary import Occurrence

KINDS = {"user": "users", "group": "groups", "member": "memberships"}


@dataclass(slots=True)
class Tally:
    """Counts by kind and action ("users.created"), and the rows staged and decided. `occurrences`, where wanted, keeps
    everything that was settled, for an on-demand answer. `written` and `ended` are as in `StepResult`.
    """

    counts: dict[str, int] = field(default_factory=dict)
    staged: dict[str, Any] = field(default_factory=dict)
    decided: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    done: int = 0
    deferred: int = 0
    occurrences: list[Occurrence] | None = None

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + number

    def count_managed(self, before: Link | None, after: Link | None) -> None:
        """What a change of a link means for the numbers of managed objects."""
        for name in managed_as(before):
            self.count(name, -1)
        for name in managed_as(after):
            self.count(name)

    def add_staged(self, bins: Bins) -> None:
        self.staged = add_counts(self.staged, bins)

    def add_decided(self, lane: Lane, object_key: str) -> None:
        bins = self.decided.setdefault(lane, {})
        name = bin_of(object_key)
        bins[name] = bins.get(name, 0) + 1

    def add_row(self, pending: Pending) -> None:
        """A row of the plan that no step covers."""
        if pending.decision is None:
            self.add_staged({pending.lane: {bin_of(pending.object): 1}})
        else:
            self.add_decided(pending.lane, pending.object)

    def add_written(self, written: Mapping[str, str], ended: Collection[Ended]) -> None:
        self.written = newest({**self.written, **written})
        self.ended = newest_ended((*self.ended, *ended))

    def result(self) -> StepResult:
        return StepResult(
            staged=self.staged,
            decided=self.decided,
            counts=self.counts,
            written=self.written,
            ended=self.ended,
            done=self.done,
            deferred=self.deferred,
        )


def tense(action: Action, *, failed: bool = False) -> str:
    """How the summary table names what became of an object."""
    if failed:
        return "failed"
    match action:
        case Create():
            return "created"
        case Update():
            return "updated"
        case Disable():
            return "disabled"
        case Remove():
            return "deleted"
        case Fail():
            return "failed"
        case Skip():
            return "skipped"


def kind_of(decision: Decision) -> str:
    """The row of the summary table: users, groups or memberships."""
    return KINDS[decision.object.split(":", 1)[0]]
