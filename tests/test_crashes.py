"""A process that ends anywhere resumes without a duplicate and without a lost change: each effect of each story (a
commit, a request to ServiceNow or to Graph) is tried with each fault, and what ServiceNow holds in the end is compared
with what the company's history says.

`make test` tries a part of the effects, spread evenly; CRASHES=all tries every one.
"""

from __future__ import annotations

import pytest

from provisioning.engine.jobs import LEASE_SECONDS
from tests.crashing import CRASHES, FAULTS, Kind, Mortal
from tests.stories import EXHAUSTIVE, LEAVERS, STORIES, eve_of, guarded_world


def effects(world: Mortal) -> list[Kind]:
    """The kinds of the effects of the next cycle."""
    with world.copy() as copy:
        copy.fuse.set(0, "")
        assert copy.live()
        return [effect.kind for effect in copy.fuse.seen]


def tried(world: Mortal, number: int, fault: str, *, patient: bool, held: int = 0) -> list[str]:
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
        return [f"effect {number} ({what}), {fault}: {text}" for text in [*wrong, *copy.settle(held=held)]]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("everyone", [False, True], ids=["assigned", "everyone"])
def test_a_story_without_a_fault_ends_as_the_company_says(story, everyone):
    with eve_of(story, everyone=everyone).copy() as world:
        assert world.live()
        assert world.settle() == []


SHARES: dict[Kind, int] = {"commit": 20, "write": 3, "read": 6, "graph": 6}
"""Of so many effects `make test` tries one, with each fault another one."""
CASES = [(kind, fault) for kind, faults in FAULTS.items() for fault in faults]
cases = pytest.mark.parametrize(("kind", "fault"), CASES, ids=[f"{kind}, {fault}" for kind, fault in CASES])


def points(world: Mortal, fault: str, kind: Kind, *, thinned: int = 1) -> list[int]:
    """The numbers of the effects to try."""
    numbers = [number for number, each in enumerate(effects(world), 1) if each == kind]
    if EXHAUSTIVE:
        return numbers
    share = SHARES[kind] * thinned
    return numbers[sum(map(ord, fault)) % min(share, len(numbers)) :: share] if numbers else []


@cases
@pytest.mark.parametrize("story", STORIES)
def test_a_fault_at_any_effect_of_a_story_changes_nothing_in_the_end(story, kind, fault):
    world = eve_of(story)
    wrong = [
        text for number in points(world, fault, kind) for text in tried(world, number, fault, patient=number % 2 == 0)
    ]
    assert wrong == [], f"{story}:\n" + "\n".join(wrong)


@cases
@pytest.mark.parametrize("story", ["the first load", "a day of changes"])
def test_a_fault_at_any_effect_changes_nothing_in_the_end_where_everyone_is_in_scope(story, kind, fault):
    world = eve_of(story, everyone=True)
    wrong = [
        text
        for number in points(world, fault, kind, thinned=3)
        for text in tried(world, number, fault, patient=number % 2 == 1)
    ]
    assert wrong == [], f"{story} for everyone:\n" + "\n".join(wrong)


@cases
@pytest.mark.parametrize("approved", [False, True], ids=["held", "approved"])
def test_a_fault_at_any_effect_neither_loses_nor_frees_a_removal_that_is_held(approved, kind, fault):
    with guarded_world() as world:
        if approved:
            held = world.cycle().held
            world.run(world.engine().approve(held, by="a test"))
            world.company.held.clear()
            world.company.expect()
        waiting = 0 if approved else len(LEAVERS)
        wrong = [
            text
            for number in points(world, fault, kind, thinned=2)
            for text in tried(world, number, fault, patient=number % 2 == 0, held=waiting)
        ]
    assert wrong == [], "\n".join(wrong)


def counted(world: Mortal) -> dict:
    engine = world.engine()
    found = world.run(engine.context.executed.count(engine.context.now()))
    return {kind: found[kind] for kind in ("users", "memberships")}


@cases
def test_what_was_removed_by_a_process_that_died_counts_in_the_limit_of_the_day(kind, fault):
    eve = eve_of("a day of changes")
    with eve.copy() as world:
        assert world.live()
        expected = counted(world)
    assert expected["users"] >= 4
    assert expected["memberships"] >= 4
    for number in points(eve, fault, kind, thinned=2):
        with eve.copy() as world:
            world.fuse.set(number, fault)
            world.live()
            world.fuse.set(0, "")
            world.restart()
            world.bury()
            assert world.live()
            assert counted(world) == expected, (number, fault)
