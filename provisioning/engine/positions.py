"""Where a cycle stands, in words and numbers, from its counts alone. Pure; does not know what a step does."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.engine.executions import KINDS
from provisioning.engine.progress import Decide
from provisioning.engine.progress import Progress as Cycle

WRITTEN = ("created", "updated", "disabled", "deleted", "failed")
LABELS = {"decide": "comparing", "act": "writing", "review": "reviewing", "finish": "finishing"}


@dataclass(frozen=True, slots=True)
class Position:
    """`total` is None while nobody knows how much there is."""

    phase: str
    done: int = 0
    total: int | None = None


def position_of(cycle: Cycle) -> Position:
    """In a dry run and before writing: objects compared with ServiceNow. While writing: planned writes carried out."""
    label = LABELS.get(cycle.phase.split(" ")[0])
    planned = _sum(cycle, "planned ", WRITTEN)
    match label:
        case "comparing":
            ahead = [step.rows for step in (*cycle.steps, *cycle.todo) if isinstance(step, Decide)]
            done = planned + _sum(cycle, "", ("skipped", "failed"))
            waiting = sum(sum(bins.values()) for bins in cycle.bins.values())
            return Position(label, done, done + sum(ahead) + waiting)
        case "writing":
            total = max(0, planned - _sum(cycle, "", ("held",)))
            return Position(f"writing {cycle.phase.partition(' ')[2]}", min(total, _sum(cycle, "", WRITTEN)), total)
        case None:
            return Position("reading Microsoft Entra ID")
        case _:
            return Position(label)


def _sum(cycle: Cycle, prefix: str, names: tuple[str, ...]) -> int:
    return sum(cycle.counts.get(f"{prefix}{kind}.{name}", 0) for kind in KINDS for name in names)
