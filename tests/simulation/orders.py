"""What a person orders the job to do."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from provisioning.engine import control, linking
from provisioning.engine.engine import Engine
from provisioning.rules.restart import parse_scopes
from tests.company import DOMAIN
from tests.simulation.scene import TIGHT, Scene, index

SCOPES = ("", "None", "Watermark", "Escrows", "QuarantineState", "ForceDeletes", "Watermark, Escrows, ForceDeletes")


class Orders(Scene):
    @rule(scope=st.sampled_from(SCOPES))
    def restart_job(self, scope: str) -> None:
        state, _ = self.world.run(self.world.engine().context.rows.state())
        self._approved |= "ForceDeletes" in scope and state.held is not None
        self.world.run(control.restart(self.world.engine(), parse_scopes(scope), by="a person"))

    @rule()
    def pause_job(self) -> None:
        self.world.run(control.pause(self.world.engine(), by="a person"))

    @rule()
    def start_job(self) -> None:
        self.world.run(control.start(self.world.engine(), by="a person"))

    @rule(scope=st.sampled_from(("ConnectorDataStore", "Full")))
    def forget_links(self, scope: str) -> None:
        """Who is renamed between that and the next cycle would be a stranger, in Entra as here."""
        if self._is_at_peace():
            self.restart_job(scope)
            self.ledger.forget()
            self._live()

    def _is_at_peace(self) -> bool:
        """The job runs, all that was to happen has happened, and everybody would be found by their names."""
        self._catch_up()
        self.world.directory.settle()
        self.world.instance.faults.clear()
        self.start_job()
        self._live()
        return self.ledger.names_agree

    @rule(who=index)
    def unlink(self, who: int) -> None:
        """The next cycle finds the account by its name."""
        if self._is_at_peace() and (key := self._in_scope_with_account(who)):
            engine = self.world.engine()
            self.world.run(self._unlink(engine, key))
            self._live()

    async def _unlink(self, engine: Engine, key: str) -> None:
        await linking.unlink(engine, await linking.find(engine.context, key), by="a person")

    @rule(who=index)
    def relink(self, who: int) -> None:
        """To an account that others have made; the old one, which they have renamed, is theirs from then on."""
        if not self._is_at_peace() or not (key := self._in_scope_with_account(who)):
            return
        self._number += 1
        instance, (old,) = self.world.instance, self.ledger.accounts()[key]
        new = instance.insert("sys_user", {"user_name": f"spare.{self._number}@{DOMAIN}", "title": "Clerk"})
        aside = {"user_name": f"old.{self._number}@{DOMAIN}", "employee_number": ""}
        self.ledger.hand_over(key, old["sys_id"], instance.update("sys_user", old["sys_id"], aside, by="abel.tuter"))
        self.world.run(linking.relink(self.world.engine(), key, new["sys_id"], by="a person"))
        self._live()

    @rule(who=index)
    def resync(self, who: int) -> None:
        if name := self._person(who):
            self.world.run(control.resync(self.world.engine(), "user", self.company.ids[name], by="a person"))

    @rule()
    def reconcile(self) -> None:
        self.world.run(control.reconcile(self.world.engine(), by="a person"))

    @precondition(lambda self: self.world.limits is TIGHT)
    @rule()
    def approve_held(self) -> None:
        state, _ = self.world.run(self.world.engine().context.rows.state())
        if state.held is not None:
            self.world.run(self.world.engine().approve(state.held.plan, by="a person"))
            self._approved = True

    @precondition(lambda self: self.world.limits is TIGHT)
    @rule()
    def reject_held(self) -> None:
        engine = self.world.engine()
        state, _ = self.world.run(engine.context.rows.state())
        if state.held is not None:
            self.ledger.rejected |= {pending.object for _, pending in self.world.run(engine.context.held.page())}
            self.world.run(engine.reject(state.held.plan, by="a person"))
            self.counts["rejections"] += 1
