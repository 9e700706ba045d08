"""Each delivery of an activity of a cycle goes wrong in turn: the worker dies before it or after it, Durable delivers
it twice, or takes what was done for a failure. However it was disturbed, both sides and the state agree in the end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import function_app
from provisioning.process import open_from_environment
from tests.durable import Fault
from tests.orchestrated import Azure
from tests.stories import EXHAUSTIVE, eve_of

STORIES = ("the first load", "a day of changes", "a day of purges")
FAULTS: tuple[Fault, ...] = ("dies before", "dies after", "twice", "twice at once", "fails afterwards", "again later")
SHARE = 1 if EXHAUSTIVE else 23
"""Every so many deliveries one is tried."""


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    yield
    function_app.process.use(open_from_environment)


class Nth:
    """One fault, at the delivery of that number."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.left = number
        self.fault: Fault = fault

    def __call__(self, name: str) -> Fault:
        self.left -= 1
        return self.fault if self.left == 0 and name != "notify" else "none"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", STORIES)
def test_a_fault_at_any_delivery_changes_nothing_about_the_end(story, fault):
    number, wrong = 1 + FAULTS.index(fault) % SHARE, []
    while True:
        with eve_of(story).copy() as world:
            nth = Nth(number, fault)
            done = Azure(world, choose=nth, luck=random.Random(number)).cycle()
            if nth.left > 0:
                break  # the cycle has no delivery of that number
            if done.status != "Completed" or not done.output["finished"]:
                wrong.append(f"{fault} at delivery {number}: {done.status}, {done.output}")
            wrong += [f"{fault} at delivery {number}: {text}" for text in world.settle()]
        number += SHARE
    assert wrong == []
    assert number > 20
