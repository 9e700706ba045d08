"""Every kind of call that a cycle makes, times every fault that can meet it: each cell ends as the company says, and
its result is the one that docs/reliability.md shows. `python -m tests.matrix --write` writes it anew.
"""

from __future__ import annotations

from typing import get_args

import pytest

from tests.crashing import FAULTS as OF_THE_FUSE
from tests.emulators.graph import behaviour
from tests.emulators.servicenow.faults import EFFECTS
from tests.matrix.calls import SIDES, calls
from tests.matrix.cells import RESULTS, column
from tests.matrix.document import documented, drawn, written
from tests.matrix.faults import FAULTS


@pytest.mark.parametrize("call", calls(), ids=[f"{side}: {kind}" for side, kind in calls()])
def test_a_fault_at_a_call_ends_well_and_as_the_document_says(call):
    results, wrong = column(call)
    assert wrong == []
    assert results == documented().get(call)


def test_the_document_is_what_the_matrix_draws():
    shown = documented()
    assert set(shown) == set(calls())
    assert written() == drawn({call: shown[call] for call in calls()}).strip()


def test_no_fault_that_the_emulators_and_the_fuse_know_is_left_out():
    tried = {fault.source for fault in FAULTS}
    assert {effect.__name__ for effect in get_args(behaviour.Effect)} <= tried
    assert set(EFFECTS) <= tried
    assert set(OF_THE_FUSE["commit"]) <= tried


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.side}: {fault.name}" for fault in FAULTS])
def test_each_fault_meets_a_call(fault):
    assert any(fault.can_meet(call) for call in calls())


def test_the_cycle_makes_the_calls_that_matter_most():
    """They are found by watching, so a cycle that did nothing would be an empty matrix."""
    seen = set(calls())
    graph, servicenow, store = SIDES
    assert {(graph, f"GET /{kind}/delta") for kind in ("users", "groups")} <= seen
    writes = {"POST sys_user", "PATCH sys_user", "POST sys_user_group", "PATCH sys_user_group"}
    writes |= {"POST sys_user_grmember", "DELETE sys_user_grmember"}
    assert {(servicenow, f"batch: {write}") for write in writes} <= seen
    assert {(store, f"Replace job: {row}") for row in ("lease", "state", "progress")} <= seen


def test_every_name_of_a_result_occurs():
    assert {result for each in documented().values() for result in each.values()} == set(RESULTS)
