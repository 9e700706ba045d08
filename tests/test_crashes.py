"""A process that ends anywhere resumes without a duplicate and without a lost change: each effect of each story (a
commit, a request to ServiceNow or to Graph) is tried with each fault, and what ServiceNow holds in the end is compared
with what the company's history says.

`make test` tries a part of the effects, spread evenly; CRASHES=all tries every one.
"""

from __future__ import annotations

import pytest

from provisioning.engine.jobs import LEASE_SECONDS
from tests.crashing import CRASHES, FAULTS, Kind, Mortal
from tests.stories import EXHAUSTIVE, STORIES, eve_of


def effects(world: Mortal) -> list[Kind]:
    """The kinds of the effects of the next cycle."""
    with world.copy() as copy:
        copy.fuse.set(0, "")
        assert copy.live()
        return [effect.kind for effect in copy.fuse.seen]


def tried(world: Mortal, number: int, fault: str, *, patient: bool) -> list[str]:
    """What is wrong in the end, after this fault at this effect."""
    with world.copy() as copy:
        copy.fuse.set(number, fault)
        outlived = copy.live()
        what = copy.fuse.seen[number - 1] if len(copy.fuse.seen) >= number else "never reached"
        copy.fuse.set(0, "")
        copy.restart()
        wrong = [] if outlived == (fault not in CRASHES) else ["the process " + ("lived on" if outlived else "ended")]
        if patient or outlived:
            copy.pass_time(LEASE_SECONDS)
        else:
            copy.bury()
        return [f"effect {number} ({what}), {fault}: {text}" for text in [*wrong, *copy.settle()]]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("everyone", [False, True], ids=["assigned", "everyone"])
def test_a_story_without_a_fault_ends_as_the_company_says(story, everyone):
    with eve_of(story, everyone=everyone).copy() as world:
        assert world.live()
        assert world.settle() == []


def points(world: Mortal, fault: str, kind: Kind, *, share: int) -> list[int]:
    """The numbers of the effects to try: all of this kind, or every `share`-th from one on that the fault chooses."""
    numbers = [number for number, each in enumerate(effects(world), 1) if each == kind]
    first = 0 if EXHAUSTIVE else sum(map(ord, fault)) % share
    return numbers[first :: 1 if EXHAUSTIVE else share]


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, faults in FAULTS.items() for fault in faults])
@pytest.mark.parametrize("story", STORIES)
def test_a_fault_at_any_effect_of_a_story_changes_nothing_in_the_end(story, kind, fault):
    world = eve_of(story)
    wrong = [
        text
        for number in points(world, fault, kind, share=1 if kind != "commit" else 5)
        for text in tried(world, number, fault, patient=number % 2 == 0)
    ]
    assert wrong == [], f"{story}:\n" + "\n".join(wrong)
