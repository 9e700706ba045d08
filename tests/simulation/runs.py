"""How the program runs: well, beside faults of either side, to its death, twice at once, for one object, or dry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from provisioning.engine.driver import run_cycle
from provisioning.engine.jobs import LEASE_SECONDS
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import ConfigError, LeaseLost, ProvisioningError
from tests.crashing import CRASHES, FAULTS, Kind, mortality
from tests.emulators.graph import (
    Duplicate,
    EmptyList,
    EmptyPage,
    ExpireDelta,
    ExpirePage,
    Fail,
    Late,
    Replay,
    ResetConnection,
    Slow,
    Throttle,
    UnknownRemoved,
)
from tests.emulators.graph.behaviour import Effect
from tests.simulation.scene import DAY, Scene, happening, hold, index

FAULTY: tuple[tuple[Kind, str], ...] = tuple((kind, fault) for kind, faults in FAULTS.items() for fault in faults)
CLOCK_JUMPS = (-2 * DAY, -3 * 3600.0, -400.0, -5.0, 5.0, 400.0, 3 * 3600.0, 2 * DAY)
LIES = (Replay(), Late(), Duplicate(2), UnknownRemoved(3), EmptyPage(), EmptyList())
EXPIRED = (*map(ExpireDelta, ("gone", "too-old", "sync-state-not-found")), ExpirePage())
REFUSALS = (Throttle("7"), Throttle(None), Fail(503), Fail(500), ResetConnection(), Slow(40.0))
CALLS_TO_GRAPH = (
    *("GET /users/delta", "GET /groups/delta", "*", "GET /users", "GET /users/{id}"),
    *("GET /servicePrincipals/{id}/appRoleAssignedTo", "GET /groups/{id}/members", "POST /users/{id}/getMemberGroups"),
)
AT_GRAPH = st.tuples(st.sampled_from((*LIES, *EXPIRED, *REFUSALS)), st.sampled_from(CALLS_TO_GRAPH), st.integers(0, 3))
AT_SERVICENOW: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST batch", "hibernating", {}),
    ("POST batch", "too_many", {"times": 2, "retry_after": "30"}),
    ("POST batch", "dropped_session", {}),
    ("POST batch", "reply_lost", {"times": 2}),
    ("POST batch", "broken_body", {}),
    ("POST batch", "html", {"status": 502}),
    ("POST token", "status", {"status": 500}),
    ("* *", "unauthorized", {}),
    ("* *", "status", {"status": 503, "times": 3}),
    ("GET sys_user", "cut_stream", {}),
    ("GET sys_user", "error_in_stream", {}),
    ("GET sys_user_grmember", "cut_stream", {}),
    ("GET sys_user_grmember", "not_yet_visible", {}),
    ("GET sys_user_grmember", "error_in_stream", {}),
    ("GET sys_user_group", "cut_stream", {}),
    ("GET *", "html", {"status": 200}),
    ("GET *", "hibernating", {"times": 4}),
    ("* *", "hibernating", {"times": 60}),
    ("* *", "dropped_session", {"times": 2}),
    ("* *", "api_acl", {}),
    ("* *", "refused_connection", {"times": 2}),
    ("* *", "too_many", {"times": 3}),
    ("POST batch", "slow", {"seconds": 70.0}),
    ("POST batch", "batch_cut", {"after_items": 1, "times": 2}),
    ("batch: POST sys_user", "reply_lost", {}),
    ("batch: POST sys_user", "status_after_write", {"status": 500}),
    ("batch: POST sys_user", "denied_after_write", {}),
    ("batch: PATCH sys_user", "rule", {}),
    ("batch: PATCH sys_user", "reply_lost", {}),
    ("batch: PATCH sys_user", "status_after_write", {"status": 500}),
    ("batch: PATCH sys_user", "denied_after_write", {}),
    ("batch: POST sys_user_group", "status_after_write", {"status": 500}),
    ("batch: POST sys_user_grmember", "rule", {}),
    ("batch: POST sys_user_grmember", "status_after_write", {"status": 500}),
    ("batch: POST sys_user_grmember", "denied_after_write", {}),
    ("batch: DELETE sys_user_grmember", "status", {"status": 503}),
)


class Runs(Scene):
    @rule(minutes=st.sampled_from((1, 10, 40, 400, 1500, 8 * 1440)))
    def time_passes(self, minutes: int) -> None:
        self.world.pass_time(minutes * 60.0)

    @happening(seconds=st.sampled_from(CLOCK_JUMPS))
    def clock_jumps(self, seconds: float) -> None:
        """The program's: a machine that slept, or a clock that is set right. It stays wrong until it jumps again."""
        self.world.fast += seconds
        self.counts["clock jumps"] += 1

    @rule()
    def clock_is_set(self) -> None:
        self.world.fast = 0.0

    @rule()
    def run_a_cycle(self) -> None:
        self._live()

    @rule(of=st.sampled_from(FAULTY), number=st.integers(1, 12), times=st.integers(1, 2), buried=st.booleans())
    def run_a_cycle_with_a_fault(self, of: tuple[Kind, str], number: int, times: int, *, buried: bool) -> None:
        kind, fault = of
        self.world.fuse.set(number, fault, kind=kind, times=1 if fault in CRASHES else times)
        outlived = self._live()
        self.world.fuse.set(0, "")
        self.world.instance.faults.clear()
        self._mourn(outlived=outlived, buried=buried)

    def _mourn(self, *, outlived: bool, buried: bool) -> None:
        """The next process goes on at once where somebody can prove that this one is dead, else when its lease ends."""
        if not outlived and buried:
            self.world.bury()
        elif not outlived:
            self.world.pass_time(LEASE_SECONDS)

    @rule(number=st.integers(1, 60), fault=st.sampled_from(("crash before", "crash after")), buried=st.booleans())
    def run_a_cycle_that_dies(self, number: int, fault: str, *, buried: bool) -> None:
        self.world.fuse.set(number, fault)
        outlived = self._live()
        self.world.fuse.set(0, "")
        self._mourn(outlived=outlived, buried=buried)

    @rule(seed=st.integers(0, 999), chance=st.sampled_from((0.01, 0.05, 0.2)), buried=st.booleans())
    def run_a_cycle_while_the_store_fails(self, seed: int, chance: float, *, buried: bool) -> None:
        """Each thing that it is asked may fail, and each reply to a commit may be lost."""
        fuse = self.world.fuse
        fuse.set(0, "")
        fuse.chance, fuse.luck = chance, random.Random(seed)
        outlived = self._live()
        fuse.chance = 0.0
        self.counts["runs that a fault met"] += fuse.unanswered > 0
        self.counts["times that the store failed"] += fuse.unanswered
        fuse.set(0, "")
        self._mourn(outlived=outlived, buried=buried)

    @rule(
        faults=st.lists(st.tuples(st.sampled_from(AT_SERVICENOW), st.integers(0, 5)), min_size=1, max_size=3),
    )
    def run_a_cycle_while_servicenow_fails(self, faults: list[tuple[tuple[str, str, dict[str, Any]], int]]) -> None:
        planned = self.world.instance.faults
        for (on, effect, details), skip in faults:
            planned.add(on, effect, skip=skip, **details)  # type: ignore[arg-type]
        self._live()
        self.counts["runs that a fault met"] += any(fault.happened for fault in planned.planned)
        planned.clear()

    @happening(calls=st.sampled_from((1, 3, 60)))
    def instance_falls_asleep(self, calls: int) -> None:
        self.world.instance.faults.add("* *", "hibernating", times=calls)

    @rule()
    def instance_wakes_up(self) -> None:
        self.world.instance.faults.clear()

    @happening()
    def tokens_are_revoked(self) -> None:
        self.world.instance.accounts.revoke_tokens()

    @happening()
    def sessions_move_to_another_node(self) -> None:
        self.world.instance.switch_node()

    @rule(faults=st.lists(AT_GRAPH, min_size=1, max_size=3))
    def run_a_cycle_while_graph_errs(self, faults: list[tuple[Effect, str, int]]) -> None:
        """A list comes empty once: what two questions deny is not there."""
        planned = self.world.directory.behaviour.faults
        for effect, kind, after in faults:
            if effect != EmptyList() or not any(each.effect == effect for each in planned.waiting):
                planned.add(effect, kind, after=after)
        number = len(planned.waiting)
        self._live()
        self.counts["runs that a fault met"] += len(planned.waiting) < number
        planned.clear()

    @rule(fault=st.sampled_from(("", "", "reply lost", "503", "429")), number=st.integers(1, 40))
    def run_two_cycles_at_once(self, fault: str, number: int) -> None:
        async def both() -> None:
            engines = self.world.engine(), self.world.engine()
            await self._side_by_side(*(run_cycle(each) for each in engines))

        self.world.fuse.set(number, fault)
        self._observed(lambda: self.world.run(both()))
        self.world.fuse.set(0, "")

    @rule(who=index, later=st.integers(0, 60))
    def run_on_demand_beside_a_cycle(self, who: int, later: int) -> None:
        names = [*self._people(), *self._groups()]
        key = self.company.ids[names[who % len(names)]]

        async def on_demand() -> None:
            for _ in range(later):
                await asyncio.sleep(0)
            await provision_on_demand(self.world.engine(), key, write=True)

        async def both() -> None:
            await self._side_by_side(run_cycle(self.world.engine()), on_demand())

        self._observed(lambda: self.world.run(both()))

    async def _side_by_side(self, *runs: Awaitable[Any]) -> None:
        for result in await asyncio.gather(*runs, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, ProvisioningError):
                raise result

    @rule(
        who=index, fault=st.sampled_from(("", "crash before", "crash after", "reply lost")), number=st.integers(1, 25)
    )
    def run_on_demand(self, who: int, fault: str, number: int) -> None:
        names = [*self._people(), *self._groups()]
        key = self.company.ids[names[who % len(names)]]

        def act() -> None:
            self.world.fuse.set(number, fault)
            with mortality():
                try:
                    self.world.run(provision_on_demand(self.world.engine(), key, write=True))
                except ProvisioningError:
                    return

        self._observed(act)
        self.world.fuse.set(0, "")
        self.world.restart()

    @rule()
    def plan(self) -> None:
        self.world.forget_counts()
        try:
            self.world.cycle(dry_run=True)
        except (LeaseLost, ConfigError):
            return
        hold(["a dry run writes"] if self.world.writes() else [])
