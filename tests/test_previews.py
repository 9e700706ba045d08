"""What the next cycle would do, kept with the job: made by a dry run that changes neither side, in the order in which a
person wants to see it, never two at once, and gone with the job.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from provisioning.engine import control
from provisioning.engine.previewing import begin_preview, make_preview
from provisioning.engine.previews import SILENT, Previews
from provisioning.rules.review import Limits
from tests.test_mapping_stories import map_user
from tests.world import World, small_world


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path, users=30, groups=3) as found:
        yield found


def kept(world: World) -> Previews:
    return Previews(world.store, world.job_id)


def preview_of(world: World, **how: int):
    engine = world.engine()
    begun = world.run(begin_preview(engine, by="Ada"))
    assert begun is not None
    return world.run(make_preview(engine, world.engine(dry_run=True), begun, **how))


def decisions(world: World, preview, action: str = ""):
    found, following = world.run(kept(world).page(preview.id, action, "", 999))
    assert following == ""
    return found


def test_it_lists_what_a_first_cycle_then_does_and_writes_to_neither_side(world):
    preview = preview_of(world)
    assert world.writes() == {}
    listed = {each["id"] for each in decisions(world, preview) if each["object"] == "user"}
    assert preview.numbers == {"create": len(decisions(world, preview))}
    progress = world.cycle()
    assert len(listed) == progress.counts["users.created"] == preview.counts["users"]["created"]
    assert preview_of(world).numbers == {}


def test_what_takes_something_away_comes_first_and_each_action_by_itself(world):
    world.limits = Limits(absolute=1, share=1.0, floor=1)
    world.cycle()
    users = [each for each in world.directory.users if world.directory.is_in_scope(each)]
    for user in users[:3]:
        world.directory.delete_user(user)
    world.directory.update_user(users[4], jobTitle="Astronaut")
    preview = preview_of(world)
    assert preview.numbers == {"held": 3, "update": 1}
    assert [each["held"] for each in decisions(world, preview)] == [True, True, True, False]
    assert [each["id"] for each in decisions(world, preview, "update")] == [users[4]]
    assert decisions(world, preview, "delete") == []
    assert preview.held


def test_it_is_read_page_by_page(world):
    preview = preview_of(world)
    whole = decisions(world, preview)
    first, following = world.run(kept(world).page(preview.id, "create", "", 5))
    second, end = world.run(kept(world).page(preview.id, "create", following, 999))
    assert end == ""
    assert first + second == whole


def test_of_many_decisions_the_first_are_kept_and_all_are_counted(world):
    preview = preview_of(world, most=4)
    assert len(decisions(world, preview)) == 4
    assert preview.numbers["create"] > 4


def test_two_are_not_made_at_once_but_a_dead_one_is_not_waited_for(world):
    engine = world.engine()
    first = world.run(begin_preview(engine, by="Ada"))
    assert world.run(begin_preview(engine, by="Bob")) is None
    world.pass_time(SILENT + 1)
    second = world.run(begin_preview(engine, by="Bob"))
    assert second is not None
    assert first is not None
    assert second.id != first.id


def test_a_long_one_gives_signs_of_life(world):
    engine = world.engine()
    begun = world.run(begin_preview(engine, by="Ada"))

    async def story() -> None:
        making = asyncio.create_task(make_preview(engine, slow, begun))
        await asyncio.sleep(2 * SILENT)
        assert not making.done()
        found = await kept(world).newest()
        assert found is not None
        assert found.is_being_made(world.now())
        assert found.phase
        await making

    slow = world.engine(dry_run=True)
    world.instance.capacity.times = replace(world.instance.capacity.times, request=20.0)
    world.run(story())


def test_what_a_mapping_redacts_is_not_kept(world):
    map_user(world, "title", "Redact([employeeType])")
    name = next(iter(world.directory.users))
    world.directory.update_user(name, employeeType="Korrekt-Pferd-Batterie-77")
    whole = str(decisions(world, preview_of(world)))
    assert "[Redact]" in whole
    assert "Korrekt" not in whole


def test_when_a_side_does_not_answer_it_says_so(world):
    world.instance.accounts.clients.clear()
    preview = preview_of(world)
    assert preview.ended
    assert "refused the credentials" in preview.failure
    assert preview.numbers == {}


def test_a_new_one_takes_the_place_of_the_old_one(world):
    first, second = preview_of(world), preview_of(world)
    assert decisions(world, second)
    assert decisions(world, first) == []


@pytest.mark.parametrize("by", ["deletion", "age"])
def test_it_goes_with_the_job_and_with_the_retention_of_the_log(world, by):
    preview = preview_of(world)
    if by == "deletion":
        world.run(control.delete(world.engine(), by="Ada"))
    else:
        world.pass_time(31 * 86400.0)
        world.run(world.engine().prune())
    assert world.run(kept(world).newest()) is None
    assert decisions(world, preview) == []


def test_a_preview_that_lives_is_not_pruned(world):
    preview = preview_of(world)
    world.pass_time(29 * 86400.0)
    world.run(world.engine().prune())
    assert world.run(kept(world).newest()) == preview
