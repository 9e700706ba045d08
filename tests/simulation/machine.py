"""Random histories: people are hired, renamed, moved and leave, groups change, others work in ServiceNow, and between
all that, and at the same time, the program runs, meets faults, dies, is run twice at once, or is told something by a
person.

Every history ends by settling: no fault any more, everything compared, held removals approved. Then both sides must
agree as the ledger says, and a further cycle writes nothing.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from provisioning.rules.departures import Departures
from tests.crashing import mortal_world
from tests.simulation.configuration import Configuration
from tests.simulation.in_servicenow import InServiceNow
from tests.simulation.in_the_tenant import InTheTenant
from tests.simulation.ledger import Ledger
from tests.simulation.orders import Orders
from tests.simulation.runs import Runs
from tests.simulation.scene import TIGHT, hold
from tests.world import GENEROUS

FIRST = 4
MOST_EFFECTS = 5000


class Histories(InTheTenant, InServiceNow, Configuration, Runs, Orders):
    """`begin` draws what the tenant and the job are like; each rule is one thing that happens."""

    @initialize(
        everyone=st.booleans(),
        nested=st.booleans(),
        deletes=st.booleans(),
        removes_memberships=st.booleans(),
        enforces=st.booleans(),
        tight=st.booleans(),
        lag=st.sampled_from((0.0, 0.0, 0.0, 30.0, 900.0, 2 * 3600.0)),
        page=st.sampled_from((200, 2, 1)),
    )
    def begin(
        self,
        *,
        everyone: bool,
        nested: bool,
        deletes: bool,
        removes_memberships: bool,
        enforces: bool,
        tight: bool,
        lag: float,
        page: int,
    ) -> None:
        hard_delete = "delete" if deletes else "disable"
        self.world = world = self._stack.enter_context(
            mortal_world(
                everyone=everyone,
                nested_groups=nested,
                hard_delete=hard_delete,
                departures=Departures(memberships="remove" if removes_memberships else "keep"),
                drift="enforce" if enforces else "report",
                limits=TIGHT if tight else GENEROUS,
            )
        )
        world.fuse.most = MOST_EFFECTS
        world.company.remember_foreign()
        behaviour = world.directory.behaviour
        behaviour.replication_lag, behaviour.delta_page_size, behaviour.members_per_delta_page = lag, page, page
        self.ledger = Ledger(
            world.company, lags=lag > 0, nested=nested, keeps_memberships=not removes_memberships, enforces=enforces
        )
        for _ in range(FIRST):
            self.hire(moment=0, direct=True, manager=0, department="Design", office="Berlin", country="GB", found=False)
        self.found_group(moment=0, members=[0, 1], assigned=True, soft=True)

    @invariant()
    def within_the_limit(self) -> None:
        if not hasattr(self, "world") or self.world.limits is not TIGHT or self._approved:
            return
        number = self.ledger.disabled_today(self.world.clock())
        hold([f"{number} were disabled in a day, {TIGHT.absolute} may be"] if number > TIGHT.absolute else [])
