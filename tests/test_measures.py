"""Each cycle's calls to ServiceNow are counted and timed in its own counts, without a row more in the state."""

from __future__ import annotations

from tests.emulators.servicenow import ServiceTimes
from tests.world import small_world

TOKEN = 1
"""The call for a token: it takes no time here, and is answered."""


def seen(world) -> int:
    """Calls by the instance's own count; what is in a batch comes with it."""
    return sum(number for kind, number in world.instance.counts.items() if not kind.startswith("batch:"))


def test_calls_are_counted_and_timed_for_each_cycle(tmp_path):
    with small_world(tmp_path, users=20, groups=1) as world:
        world.instance.capacity.times = ServiceTimes(request=0.5)
        counts = world.cycle().counts
        assert counts["calls"] == seen(world) > 5
        assert counts["calls.milliseconds"] == 500 * (counts["calls"] - TOKEN)
        assert "calls.refused" not in counts
        world.forget_counts()
        world.pass_time(3600)
        assert world.cycle().counts.get("calls", 0) == seen(world) < counts["calls"]


def test_calls_without_an_answer_are_counted_also_where_the_step_fails_for_it(tmp_path):
    with small_world(tmp_path, users=5, groups=1) as world:
        world.instance.faults.add("GET *", "status", times=None)
        progress = world.cycle()
        assert progress.halted is not None
        assert progress.counts["calls.in trouble"] == progress.counts["calls"] - TOKEN > 3
