"""Runs histories from a seed: for the tests and for the command. Counts what happened in them, so that nobody takes
histories in which nothing happens for a proof.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import Histories


def run_histories(number: int, *, histories: int, steps: int, shrink: bool = True) -> Counter[str]:
    """Raises AssertionError with the history that is wrong."""
    counts: Counter[str] = Counter()
    machine = seed(number)(type("Histories", (Histories,), {"counts": counts}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        ),
    )
    return counts
