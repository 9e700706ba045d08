"""The scene of a history: a company, an instance and a program between them, what the ledger makes of each run, and the
end. What can happen on it is in the modules beside this one.

Whatever others do may happen in the middle of a run: then it waits for the effect before which it is to happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from provisioning.engine import control
from provisioning.engine.jobs import LEASE_SECONDS
from provisioning.errors import ConfigError, LeaseLost
from provisioning.rules.review import Limits
from tests.company import Company
from tests.crashing import Mortal
from tests.simulation.ledger import Backup, Ledger

DAY = 86400.0
TIGHT = Limits(absolute=2, share=1.0, floor=2)
"""Two of a kind may be taken away without a person's word."""
MOST_CYCLES = 14
FEW = 4
DEPARTMENTS = ("Engineering", "Design", "Legal", "Astronomy", "R^D")
"""The last two are not in ServiceNow from the beginning."""
OFFICES = ("Berlin", "London", "Athens", "")
COUNTRIES = ("GB", "DE")
ATTRIBUTES = ("jobTitle", "city", "givenName", "surname")
TEXTS = ("", "Analyst", "Clerk", "O'Neill", "a^b", "Ünal", "x" * 41)
index = st.integers(0, 11)
some_text = st.sampled_from(TEXTS)
moments = st.integers(-90, 90).map(lambda number: max(number, 0))
"""Half of what happens does so at once, the rest before an effect of the next run."""


def hold(wrong: list[str]) -> None:
    if wrong:
        raise AssertionError("\n".join(wrong))


def happening(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule for what others do. It is called with a moment as well: 0 is now."""

    def made(body: Callable[..., None]) -> Any:
        def happens(self: Scene, *, moment: int, **details: Any) -> None:
            self.happens(moment, partial(body, self, **details))

        happens.__name__, happens.__qualname__, happens.__doc__ = body.__name__, body.__qualname__, body.__doc__
        return rule(moment=moments, **drawn)(happens)

    return made


class Scene(RuleBasedStateMachine):
    world: Mortal
    ledger: Ledger
    counts: ClassVar[Counter[str]] = Counter()
    """What happened, over all histories of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._number = 0
        self._approved = False
        self._destroyed = False
        self._backup: tuple[Any, Backup] | None = None

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                hold(self.settle())
        finally:
            self._stack.close()

    @property
    def company(self) -> Company:
        return self.world.company

    def _people(self, *, deleted: bool = False) -> list[str]:
        people = self.company.people
        return [n for n, key in self.company.ids.items() if key in people and people[key].deleted == deleted]

    def _person(self, number: int) -> str | None:
        people = self._people()
        return people[number % len(people)] if people else None

    def _groups(self, *, deleted: bool = False) -> list[str]:
        groups = self.company.groups
        return [n for n, key in self.company.ids.items() if key in groups and groups[key].deleted == deleted]

    def _group(self, number: int) -> str | None:
        groups = self._groups()
        return groups[number % len(groups)] if groups else None

    def _in_scope_with_account(self, who: int) -> str | None:
        accounts = self.ledger.accounts()
        found = [key for key in accounts if self.ledger.in_scope(key) and accounts[key][0]["employee_number"]]
        return found[who % len(found)] if found else None

    # What happens at once or in the next run

    def happens(self, moment: int, change: Callable[[], None]) -> None:
        if not moment:
            change()
            self.ledger.changed()
            return

        def in_a_run() -> None:
            self.counts["changes in a run"] += 1
            change()
            self.ledger.changed(running=True)

        self.world.fuse.after(moment, in_a_run)

    def _catch_up(self) -> None:
        """What waits for a run happens now."""
        for change in self.world.fuse.due():
            change()

    # Runs

    def _live(self) -> bool:
        outlived: list[bool] = []
        self._observed(lambda: outlived.append(self.world.live()))
        return bool(outlived and outlived[0])

    def _observed(self, act: Callable[[], None]) -> None:
        """What waits for a run happens before its effect, or else when the run is over."""
        self.world.fuse.seen.clear()
        self.ledger.note(self.world.clock())
        self.counts["runs"] += 1
        try:
            with self.world.fuse.happenings():
                act()
        except (LeaseLost, ConfigError):
            self.counts["runs that were refused"] += 1
            return
        finally:
            self._catch_up()
            wrong = list(self.ledger.ran(self.world.clock()))
        self.counts["runs that a fault met"] += self.world.fuse.counted >= self.world.fuse.number > 0
        self.counts["runs that died"] += self.world.fuse.dead
        hold(wrong)

    # The end

    def settle(self) -> list[str]:
        """What is wrong when nothing fails any more: first after cycles that read changes alone, which must be enough
        unless others have changed what is ours, then after everything was compared.
        """
        world = self.world
        self._catch_up()
        world.fuse.set(0, "")
        world.instance.faults.clear()
        world.directory.behaviour.faults.clear()
        world.directory.behaviour.replication_lag = 0.0
        world.directory.settle()
        world.restart()
        world.pass_time(LEASE_SECONDS)
        world.run(control.start(world.engine(), by="a person"))
        if not self.ledger.interfered and (wrong := self._come_to_rest()):
            return [f"before everything is compared: {text}" for text in wrong]
        world.run(control.reconcile(world.engine(), by="a person"))
        if not (wrong := self._come_to_rest()):
            self.counts["histories that settled"] += 1
            self.counts["accounts compared"] += len(self.ledger.accounts())
            self.ledger.settled()
        return wrong

    def _come_to_rest(self) -> list[str]:
        """Runs cycles until one writes nothing; what is wrong then."""
        world = self.world
        for number in range(MOST_CYCLES):
            state, _ = world.run(world.engine().context.rows.state())
            if state.held is not None:
                self._approved = True
                world.run(world.engine().approve(state.held.plan, by="a person"))
            world.run(control.accept_instance(world.engine(), by="a person"))
            world.forget_counts()
            world.fuse.set(0, "")
            self.ledger.note(world.clock())
            progress = world.cycle()
            wrong = list(self.ledger.ran(world.clock()))
            if wrong:
                return wrong
            idle = not world.writes() and not world.left()
            idle = idle or (self.ledger.is_blocked and number > MOST_CYCLES // 2)  # it is tried for ever
            # The first cycles may go on with what was begun, and what died an hour ago is cleared away then.
            if number > 1 and progress.finished and idle and progress.held is None:
                return [*self.ledger.differences(), *world.miscounted()]
            world.pass_time(world.pace.interval if idle else max(world.pace.interval, DAY + 1.0))
        halted = progress.halted.message if progress.halted else ""
        return [
            f"not settled: writes {world.writes()}, left {world.left()}, halted {halted!r}",
            *self.ledger.differences(),
        ]
