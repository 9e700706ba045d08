"""Limits of one group's members: what is too much of a change for a group waits for a person, the rest goes on."""

from __future__ import annotations

import pytest

from provisioning.cli.holding import sentences
from provisioning.engine.on_demand import provision_on_demand
from provisioning.model import Create, Remove, Skip
from provisioning.rules.group_limits import GroupLimits
from provisioning.rules.notice_text import lines
from provisioning.rules.notices import Notice, RemovalsHeld
from provisioning.rules.review import Limits
from tests.test_cycle_stories import ACTIVE, group_of, hire, state
from tests.test_guard_stories import BY, DAY, approve, counts, held_of, staged
from tests.world import World, small_world

ADD, REMOVE = Create("s1", 0, {}), Remove("s1", {})


@pytest.fixture(params=[120.0, 0.0], ids=["", "with a time box for one page"])
def world(tmp_path, request):
    with small_world(tmp_path, time_box=request.param) as world:
        yield world


def company(world: World, **groups: int) -> dict[str, list[str]]:
    """Groups of so many people each, provisioned; answers the people by the group's name."""
    people = {name: [hire(world, f"{name.lower()}{n}") for n in range(size)] for name, size in groups.items()}
    world.groups = {name: group_of(world, name, *members) for name, members in people.items()}
    world.cycle()
    return people


def leave(world: World, group: str, users) -> None:
    for user in users:
        world.directory.remove_member(world.groups[group], user)


def join(world: World, group: str, number: int, prefix: str = "joiner") -> list[str]:
    users = [hire(world, f"{prefix}{n}") for n in range(number)]
    for user in users:
        world.directory.add_member(world.groups[group], user)
    return users


def sizes(world: World) -> dict[str, int]:
    return {name: len(world.members(name)) for name in world.groups}


def test_a_group_that_loses_more_than_its_limit_keeps_its_members_and_the_others_lose_theirs(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=8, Sales=4)
    leave(world, "Engineers", people["Engineers"][:5])
    leave(world, "Sales", people["Sales"])
    hire(world, "newcomer")
    progress = world.cycle()
    assert sizes(world) == {"Engineers": 8, "Sales": 0}
    assert (progress.held, counts(world)) == (held_of(world).plan, {"memberships": 5})
    ((group, number, allowed),) = [(each.group, each.number, each.allowed) for each in held_of(world).groups]
    assert (group, number, allowed) == (world.groups["Engineers"], 5, 4)
    said = list(sentences(held_of(world), planned=True))
    assert said[:2] == [
        "5 memberships to be removed: more than their groups may lose at once",
        f"  group {group}: 5; 4 may be in 24 hours",
    ]
    assert (len(staged(world)), state(world, "newcomer")) == (5, ACTIVE)


def test_what_a_group_holds_is_offered_again_once_and_goes_with_a_persons_word(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=8, Sales=4)
    leave(world, "Engineers", people["Engineers"][:5])
    plan = world.cycle().held
    assert (world.cycle().held, len(staged(world))) == (plan, 5)
    leave(world, "Sales", people["Sales"][:3])
    approve(world, plan)
    assert world.cycle().held is None
    assert sizes(world) == {"Engineers": 3, "Sales": 1}
    assert world.cycle().counts.get("memberships.removed", 0) == 0


def test_an_approval_lets_through_what_was_listed_of_the_group_and_holds_the_next_of_it(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=8, Sales=4)
    leave(world, "Engineers", people["Engineers"][:5])
    approve(world, world.cycle().held)
    leave(world, "Engineers", people["Engineers"][5:6])
    leave(world, "Sales", people["Sales"][:1])
    world.cycle()
    assert sizes(world) == {"Engineers": 3, "Sales": 3}
    assert counts(world) == {"memberships": 1}
    world.cycle()
    assert (sizes(world)["Engineers"], held_of(world)) == (2, None)


def test_a_plan_that_a_dry_run_showed_lets_through_just_the_groups_that_it_listed(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=8, Sales=4)
    leave(world, "Engineers", people["Engineers"][:5])
    leave(world, "Sales", people["Sales"][:2])
    plan = world.cycle(dry_run=True).held
    approve(world, plan)
    assert world.cycle().held is None
    assert sizes(world) == {"Engineers": 3, "Sales": 2}


def test_a_member_who_comes_back_while_the_removals_of_the_group_are_held_stays(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=8)
    leave(world, "Engineers", people["Engineers"][:5])
    world.cycle()
    world.directory.add_member(world.groups["Engineers"], people["Engineers"][0])
    assert world.cycle().held is None
    assert sizes(world) == {"Engineers": 4}


def test_a_rejected_removal_of_members_leaves_the_group_as_it_is(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=8)
    leave(world, "Engineers", people["Engineers"][:5])
    world.run(world.engine().reject(world.cycle().held, by=BY))
    assert world.cycle().held is None
    assert (sizes(world), held_of(world)) == ({"Engineers": 8}, None)


def test_a_slow_bleed_of_one_group_trips_its_limit_of_the_day(world):
    world.group_limits = GroupLimits(removals={"": 4})
    people = company(world, Engineers=12)
    heads = iter(people["Engineers"])
    for left in (10, 8, 8):
        leave(world, "Engineers", [next(heads), next(heads)])
        world.pass_time(2400.0)
        world.cycle()
        assert sizes(world) == {"Engineers": left}
    assert counts(world) == {"memberships": 2}
    world.pass_time(DAY)
    world.cycle()
    assert (sizes(world), held_of(world)) == ({"Engineers": 6}, None)


def test_a_group_that_gains_more_than_its_limit_gets_nobody_and_the_accounts_are_there(world):
    world.group_limits = GroupLimits(additions={"engineers": 3})
    company(world, Engineers=2, Sales=1)
    join(world, "Engineers", 4)
    join(world, "Sales", 6, prefix="seller")
    progress = world.cycle()
    assert sizes(world) == {"Engineers": 2, "Sales": 7}
    assert counts(world) == {"additions": 4}
    assert {state(world, f"joiner{n}") for n in range(4)} == {ACTIVE}
    held = [entry for entry in world.journal() if "held by the limit" in entry["provisioningSteps"][-1]["description"]]
    assert {entry["provisioningAction"] for entry in held} == {"create"}
    assert (len(held), staged(world)) == (4, [])
    approve(world, progress.held)
    assert world.cycle().held is None
    assert sizes(world) == {"Engineers": 6, "Sales": 7}


def test_additions_within_the_limit_of_the_group_go_on_and_count_for_the_day(world):
    world.group_limits = GroupLimits(additions={"": 3})
    company(world, Engineers=2)
    join(world, "Engineers", 1)
    assert world.cycle().held is None
    assert sizes(world) == {"Engineers": 3}
    join(world, "Engineers", 1, prefix="next")
    world.cycle()
    assert counts(world) == {"additions": 1}
    world.pass_time(DAY)
    world.cycle()
    assert (sizes(world), held_of(world)) == ({"Engineers": 4}, None)


def test_who_leaves_again_while_the_addition_is_held_is_never_added(world):
    world.group_limits = GroupLimits(additions={"": 3})
    company(world, Engineers=2)
    world.pass_time(DAY)
    joiners = join(world, "Engineers", 4)
    assert world.cycle().held is not None
    leave(world, "Engineers", joiners[:2])
    world.cycle()
    assert (held_of(world), sizes(world)["Engineers"]) == (None, 4)


def test_a_limit_that_is_taken_away_lets_go_of_what_it_held(world):
    people = company(world, Engineers=2, Sales=4)
    world.group_limits = GroupLimits(additions={"": 2}, removals={"": 2})
    world.restart()
    join(world, "Engineers", 3)
    leave(world, "Sales", people["Sales"][:3])
    world.cycle()
    assert counts(world) == {"additions": 3, "memberships": 3}
    world.group_limits = GroupLimits()
    world.restart()
    world.cycle()
    assert (sizes(world), held_of(world)) == ({"Engineers": 5, "Sales": 1}, None)


def test_the_limit_of_all_groups_together_holds_beside_that_of_one(world):
    world.group_limits = GroupLimits(removals={"": 4})
    world.limits = Limits(absolute=3, share=0.05, floor=3)
    people = company(world, Engineers=8, Sales=4)
    leave(world, "Engineers", people["Engineers"][:5])
    leave(world, "Sales", people["Sales"][:1])
    world.cycle()
    assert counts(world) == {"memberships": 6}
    assert held_of(world).allowed == {"memberships": 3}
    assert held_of(world).groups == ()
    approve(world, held_of(world).plan)
    world.cycle()
    assert sizes(world) == {"Engineers": 3, "Sales": 3}


def test_on_demand_holds_a_group_that_would_gain_too_many(world):
    world.group_limits = GroupLimits(additions={"": 3})
    company(world, Engineers=1)
    join(world, "Engineers", 4)
    answer = world.run(provision_on_demand(world.engine(), world.groups["Engineers"], write=True))
    assert answer.held
    assert sizes(world) == {"Engineers": 1}
    assert counts(world) == {"additions": 4}


def test_a_limit_by_name_holds_for_a_group_that_the_same_cycle_creates(world):
    world.group_limits = GroupLimits(additions={"engineers": 1})
    company(world, Engineers=2, Sales=2)
    assert sizes(world) == {"Engineers": 0, "Sales": 2}
    assert counts(world) == {"additions": 2}
    assert [each.allowed for each in held_of(world).groups] == [1]
    approve(world, held_of(world).plan)
    world.cycle()
    assert (sizes(world), held_of(world)) == ({"Engineers": 2, "Sales": 2}, None)


def test_a_limit_by_object_id_holds_for_that_group_alone(world):
    people = company(world, Engineers=4, Sales=4)
    world.group_limits = GroupLimits(removals={world.groups["Engineers"]: 1, "sales": 3, "": 0})
    world.restart()
    leave(world, "Engineers", people["Engineers"][:2])
    leave(world, "Sales", people["Sales"][:3])
    world.cycle()
    assert sizes(world) == {"Engineers": 4, "Sales": 1}
    assert counts(world) == {"memberships": 2}


def test_a_notice_says_that_it_was_the_limit_of_groups():
    event = RemovalsHeld("plan-1", {"additions": 1200, "memberships": 7}, {"memberships": 3}, {"memberships": 90})
    said = lines(Notice("0", "job", "contoso", 0.0, event))
    assert "1,200 memberships to be added: more than their groups may gain at once." in said
    assert "7 memberships to be removed: 3 may be at once of 90." in said


@pytest.mark.parametrize(
    ("action", "names", "limit"),
    [
        (ADD, ("ID-1", "Other"), 1),
        (ADD, ("id-2", " payroll "), 2),
        (ADD, ("id-2",), 9),
        (REMOVE, ("id-2", "Payroll"), None),
        (Skip("RedundantExport", ""), ("id-1", "Payroll"), None),
    ],
)
def test_a_group_has_the_limit_of_its_id_or_its_name_or_that_of_all_others(action, names, limit):
    limits = GroupLimits(additions={"id-1": 1, "payroll": 2, "": 9})
    assert limits.of(action, names) == limit
