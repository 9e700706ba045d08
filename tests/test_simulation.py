"""Random histories must all come to the right end. The seeds are the same each time, so that a change of the program
is what makes one fail; `make soak` takes new ones, and prints the one that finds something.
"""

from __future__ import annotations

import pytest

from tests.simulation.mistakes import MISTAKES, planted
from tests.simulation.running import run_histories

HISTORIES, STEPS = 150, 25


@pytest.mark.parametrize("seed", [1, 2])
def test_random_histories_with_faults_and_deaths_come_to_the_right_end(seed, record_property):
    counts = run_histories(seed, histories=HISTORIES, steps=STEPS)
    record_property("counts", dict(counts))
    assert counts["histories that settled"] >= HISTORIES
    assert counts["runs"] > 3 * HISTORIES
    assert counts["runs that a fault met"] > HISTORIES // 2
    assert counts["runs that died"] > HISTORIES // 5
    assert counts["accounts compared"] > 2 * HISTORIES


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_each_mistake_has_its_place_in_the_program(mistake, tmp_path):
    tree = planted(mistake, tmp_path)
    file = tree / "provisioning" / mistake.file
    compile(file.read_text(encoding="utf-8"), file.name, "exec")
