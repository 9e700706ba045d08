"""One cell of the matrix: a cycle that a fault meets at a kind of call, what was seen of it, and the name of that.

Whatever the result is called, every cell must end alike: nobody lost access for whom there was no reason, and after the
following cycles ServiceNow holds what the company says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioning.engine import control
from provisioning.engine.driver import run_cycle
from provisioning.engine.progress import Progress
from provisioning.errors import Unavailable
from provisioning.rules.restart import parse_scopes
from tests.crashing import Mortal, mortality
from tests.matrix.calls import SIDES, STORY, Call, counted, undisturbed, watch
from tests.matrix.faults import FAULTS, Fault
from tests.stories import eve_of

RESULTS: Mapping[str, str] = {
    "on": "the cycle goes on: no step failed, and nothing more was asked than without the fault",
    "again": "the call was made once more within its step, which did not fail",
    "looked up": "what had become of the call was looked up, and the step went on without making it again",
    "pause": "a step failed; the cycle paused, did the step again and came to its end",
    "anew": "Graph had forgotten a token; the cycle began anew, read everything and came to its end",
    "escrow": "objects failed alone and went into escrow; the cycle came to its end, and a later one tried them again",
    "next": "the cycle came to its end without a failure and left something, which the next one did",
    "week": "the answer was false and could not be told from a true one; the comparison of both sides, which gets "
    "around once a week, put it right",
    "restart": "ServiceNow reported success and stored something else; that is in the log and not sent again until "
    "the value changes or the job is restarted (Full), which put it right",
    "not begun": "the cycle could not begin, and nothing was sent; the next call of the schedule began it",
    "resumed": "the process died; the next one resumed the same cycle and came to its end",
    "afresh": "the process died before its cycle was on record; the next one began a cycle",
    "halt": "the cycle halted, the job stayed healthy; the next attempt resumed the cycle and came to its end",
    "quarantine": "the cycle halted and the job went into quarantine; the next attempt resumed the cycle, came to its "
    "end and ended the quarantine",
}
KINDS = ("users", "groups", "memberships")


WEEK = 8 * 86400.0


@dataclass(frozen=True)
class Seen:
    """What is to be seen of the cycle that a fault met, and of those after it. `repeated` is true when the call was
    made more often than without the fault, `asked` when anything else was. `following` is the next cycle, `same`
    whether it is the one that the fault met. `left` is what it wrote; `late` whether that was not all.
    """

    began: bool
    died: bool
    moves: tuple[Progress, ...]
    repeated: bool
    asked: bool
    quarantined: bool
    following: Progress
    same: bool
    left: bool
    late: bool = False
    restarted: bool = False


def result_of(seen: Seen) -> str:
    """The name of what was seen; "" for what has no name, which is an end that must not be."""
    last = seen.moves[-1] if seen.moves else None
    if not seen.following.finished:
        return ""
    if seen.died:
        return "resumed" if seen.same else "afresh"
    if last is None or not seen.began:
        return "not begun"
    if last.halted is not None:
        return ("quarantine" if seen.quarantined else "halt") if seen.same else ""
    checks = {
        "restart": seen.restarted,
        "week": seen.late,
        "escrow": any(last.counts.get(f"{kind}.failed") for kind in KINDS),
        "anew": last.passes > 0,
        "pause": any(move.failures for move in seen.moves),
        "next": seen.left,
        "again": seen.repeated,
        "looked up": seen.asked,
    }
    return next((name for name, holds in checks.items() if holds), "on")


def tried(call: Call, fault: Fault) -> tuple[str, list[str]]:
    """The result's name, and what is wrong in the end."""
    with eve_of(STORY).copy() as world:
        watch(world)
        world.fuse.set(0, "")
        before = _holdings(world)
        happened = fault.plant(world, call[1])
        seen, after = _met(world, call)
        assert happened(), f"{fault.name} did not meet {call[1]}"
        wrong = _end(world, seen)
        if wrong and not seen.died:
            seen, wrong = _wait(world, seen)
        name = result_of(seen)
        lost = [f"{each} was taken away without a reason" for each in before & _holdings(world) if each not in after]
    return name, [*lost, *wrong, *(() if name else ["this end has no name"])]


def _met(world: Mortal, call: Call) -> tuple[Seen, frozenset[str]]:
    """One cycle with the fault, and the next one without it, by another process."""
    engine = world.engine()
    moves: list[Progress] = []
    began = died = True
    with mortality():
        try:
            world.run(run_cycle(engine, watch=moves.append))
        except Unavailable:
            began = False
        died = False
    made, usual = counted(world.fuse.seen), counted(undisturbed())
    more = {each for each in made if made[each] > usual[each] and each[0] != SIDES[2]}
    world.fuse.set(0, "")
    world.instance.faults.clear()
    world.directory.behaviour.faults.clear()
    after = _holdings(world)
    found = world.run(engine.context.rows.progress())
    state, _ = world.run(engine.context.rows.state())
    if died:
        world.bury()
    else:
        world.pass_time(max(world.pace.interval, world.retries.pauses[0] + 1.0))
    world.forget_counts()
    following = world.cycle()
    seen = Seen(
        began=began,
        died=died,
        moves=tuple(moves),
        repeated=made[call] > usual[call],
        asked=bool(more),
        quarantined=state.in_quarantine is not None,
        following=following,
        same=found is not None and found[0].cycle == following.cycle,
        left=bool(world.writes()),
    )
    return seen, after


def _end(world: Mortal, seen: Seen) -> list[str]:
    """What is wrong once there is nothing to do any more, which is the case when the next cycle wrote nothing."""
    if seen.left or not seen.following.finished or world.left():
        world.pass_time(max(world.pace.interval, world.retries.pauses[0] + 1.0))
        return world.settle()
    return [*world.company.differences(), *world.miscounted()]


def _wait(world: Mortal, seen: Seen) -> tuple[Seen, list[str]]:
    """What it takes to put right what is wrong: the cycles of a week, or a restart."""
    began = world.now()
    while world.now() < began + WEEK:
        world.pass_time(6 * 3600.0)
        world.cycle()
        if not world.company.differences():
            return replace(seen, late=True), world.settle()
    world.run(control.restart(world.engine(), parse_scopes("Full"), by="a test"))
    return replace(seen, restarted=True), world.settle()


def _holdings(world: Mortal) -> frozenset[str]:
    """The access that the instance grants: accounts that are active, and memberships; a membership that was ended and
    begun anew is another one.
    """
    active = {f"account {row['sys_id']}" for row in world.instance.rows("sys_user") if row["active"] == "true"}
    members = {f"membership {row['sys_id']}" for row in world.instance.rows("sys_user_grmember")}
    return frozenset(active | members)


def column(call: Call) -> tuple[dict[str, str], list[str]]:
    """Every fault that can meet a call: the results by name, and what is wrong."""
    results: dict[str, str] = {}
    wrong: list[str] = []
    for fault in FAULTS:
        if fault.can_meet(call):
            results[fault.name], found = tried(call, fault)
            wrong += [f"{call[1]}, {fault.name}: {text}" for text in found]
    return results, wrong
