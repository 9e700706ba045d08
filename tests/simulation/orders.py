"""What a person orders the job to do, and how its configuration changes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from provisioning.engine import control
from provisioning.rules.restart import parse_scopes
from tests.mappings import clause
from tests.simulation.scene import TIGHT, Scene, index
from tests.test_scope_stories import with_user_filter

SCOPES = ("None", "Watermark", "Escrows", "QuarantineState", "Watermark, Escrows")


class Orders(Scene):
    @rule(scope=st.sampled_from(SCOPES))
    def restart_job(self, scope: str) -> None:
        self.world.run(control.restart(self.world.engine(), parse_scopes(scope), by="a person"))

    @rule(scope=st.sampled_from(("ConnectorDataStore", "Full")))
    def forget_links(self, scope: str) -> None:
        """Who is renamed between that and the next cycle would be a stranger, in Entra as here."""
        self._live()
        if self.ledger.names_agree:
            self.restart_job(scope)
            self.ledger.forget()
            self._live()

    @rule(who=index)
    def resync(self, who: int) -> None:
        if name := self._person(who):
            self.world.run(control.resync(self.world.engine(), "user", self.company.ids[name], by="a person"))

    @rule()
    def reconcile(self) -> None:
        self.world.run(control.reconcile(self.world.engine(), by="a person"))

    @rule(out=st.sampled_from(((), ("DE",), ("GB",))))
    def edit_filter(self, out: tuple[str, ...]) -> None:
        self.ledger.excluded = set(out)
        with_user_filter(self.world, *([[clause("usageLocation", "NOT EQUALS", *out)]] if out else []))

    @precondition(lambda self: self.world.limits is TIGHT)
    @rule()
    def approve_held(self) -> None:
        state, _ = self.world.run(self.world.engine().context.rows.state())
        if state.held is not None:
            self.world.run(self.world.engine().approve(state.held.plan, by="a person"))
            self._approved = True
