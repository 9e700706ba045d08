"""A process that dies, or a state store that fails, in the middle of an order: the job works on as if the order had
been given or had not, the order can be given again, and the audit trail tells of everything that took effect.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from provisioning.engine import control
from provisioning.engine.engine import Engine
from provisioning.engine.jobs import LEASE_SECONDS
from provisioning.errors import Unavailable
from provisioning.rules.restart import parse_scopes
from provisioning.schema import read_clause
from tests.crashing import FAULTS, Mortal, mortal_world, mortality
from tests.stories import EXHAUSTIVE, small_company

BY = "a person"
Order = Callable[[Mortal, Engine], Coroutine[Any, Any, Any]]
CLAUSE = read_clause("accountEnabled IS TRUE", "user")
ORDERS: dict[str, tuple[Order, str]] = {
    "pause": (lambda _, engine: control.pause(engine, by=BY), "Disable/pause provisioning configuration"),
    "start": (lambda _, engine: control.start(engine, by=BY), "Enable/start provisioning configuration"),
    "restart": (
        lambda _, engine: control.restart(engine, parse_scopes(""), by=BY),
        "Enable/restart provisioning configuration",
    ),
    "restart with Full": (
        lambda _, engine: control.restart(engine, parse_scopes("Full"), by=BY),
        "Enable/restart provisioning configuration",
    ),
    "resync of a user": (lambda world, engine: control.resync(engine, "user", one(world, "user"), by=BY), "Resync"),
    "resync of a group": (lambda world, engine: control.resync(engine, "group", one(world, "group"), by=BY), "Resync"),
    "resync by a filter": (lambda _, engine: control.resync_filter(engine, [CLAUSE], by=BY), "Resync"),
    "delete": (lambda _, engine: control.delete(engine, by=BY), "Delete provisioning configuration"),
}
DROPS_LINKS = {"delete"}
TRIED = 8
"""Of the effects of an order, spread evenly, unless CRASHES=all asks for every one."""


def one(world: Mortal, kind: str) -> str:
    return next(each.id for each in world.directory.objects.values() if each.type == kind)


def eve_of(world: Mortal, order: str) -> None:
    """A settled company on a day of changes, with whatever the order needs."""
    small_company(world)
    world.company.expect()
    assert world.settle() == []
    world.company.hire("new")
    if order not in DROPS_LINKS:  # who leaves while links are dropped is nobody's any more
        world.company.unassign("kim")
    world.company.expect()
    if order == "start":
        world.run(control.pause(world.engine(), by=BY))


def give(world: Mortal, order: str) -> None:
    world.run(ORDERS[order][0](world, world.engine()))


def told(world: Mortal, activity: str) -> int:
    return sum(entry.activity == activity for entry in world.run(world.engine().context.audit.newest()))


def effects(world: Mortal, order: str) -> list[tuple[int, str]]:
    with world.copy() as copy:
        copy.fuse.set(0, "")
        give(copy, order)
        return [(number, effect.kind) for number, effect in enumerate(copy.fuse.seen, 1)]


def cases(world: Mortal, order: str) -> list[tuple[int, str]]:
    found = effects(world, order)
    found = found if EXHAUSTIVE else found[:: max(1, len(found) // TRIED)]
    faults = [[(number, fault) for fault in FAULTS[kind]] for number, kind in found]
    if EXHAUSTIVE:
        return [case for each in faults for case in each]
    return [case for n, each in enumerate(faults) for case in (each if len(faults) <= 2 else [each[n % len(each)]])]


@pytest.mark.parametrize("again", [True, False], ids=["given again", "left as it is"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_fault_at_any_effect_of_an_order_loses_nothing(order, again):
    with mortal_world() as eve:
        eve_of(eve, order)
        activity = ORDERS[order][1]
        before = told(eve, activity)
        wrong = []
        for number, fault in cases(eve, order):
            with eve.copy() as world:
                world.fuse.set(number, fault)
                with mortality(), suppress(Unavailable):  # nobody knows then whether the order was taken
                    give(world, order)
                world.fuse.set(0, "")
                world.restart()
                world.pass_time(LEASE_SECONDS)
                state, _ = world.run(world.engine().context.rows.state())
                if (order == "pause" and state.paused) or (order == "start" and not state.paused):
                    assert told(world, activity) > before, (number, fault)
                if again:
                    give(world, order)
                    assert told(world, activity) > before, (number, fault)
                world.run(control.start(world.engine(), by=BY))
                world.restart()
                wrong += [f"effect {number}, {fault}: {text}" for text in world.settle()]
    assert wrong == [], f"{order}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("again", [True, False], ids=["given again", "left as it is"])
def test_a_job_whose_deletion_was_cut_short_is_paused_and_begins_with_nothing_of_what_is_left(again):
    with mortal_world() as eve:
        eve_of(eve, "delete")
        numbers = [number for number, kind in effects(eve, "delete") if kind == "commit"]
        for number in numbers[3 : -2 : max(1, len(numbers) // TRIED)]:
            with eve.copy() as world:
                world.fuse.set(number, "crash after")
                with mortality():
                    give(world, "delete")
                world.fuse.set(0, "")
                world.restart()
                if again:
                    give(world, "delete")
                else:
                    world.pass_time(LEASE_SECONDS)
                assert not world.run(world.engine().is_due()), number
                world.run(control.start(world.engine(), by=BY))
                assert world.cycle().kind == "initial", number
                assert world.settle() == [], number
