"""What others do in ServiceNow."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.simulation.scene import DEPARTMENTS, FEW, Scene, happening, index, some_text


class InServiceNow(Scene):
    @happening(who=index, column=st.sampled_from(("title", "city", "first_name")), value=some_text)
    def edit_by_others(self, who: int, column: str, value: str) -> None:
        if key := self._in_scope_with_account(who):
            self.ledger.meddle(key, column, value)

    @happening(who=index)
    def delete_by_others(self, who: int) -> None:
        many = len(self.ledger.accounts()) >= FEW  # where most are gone, the program takes it for another instance
        if many and not self._destroyed and (key := self._in_scope_with_account(who)):
            self._destroyed = True
            self.ledger.destroy(key)

    @happening(name=st.sampled_from(DEPARTMENTS[3:]))
    def department_appears(self, name: str) -> None:
        if not self.world.instance.find("cmn_department", name=name):
            self.world.instance.insert("cmn_department", {"name": name})

    @happening(group=index)
    def stranger_joins(self, group: int) -> None:
        """Somebody in ServiceNow puts one of their own people into a group of ours."""
        records = [row for key in self.company.groups for row in self.ledger._records(key)]
        if records:
            (local,) = self.world.instance.find("sys_user", user_name="charlie.whitherspoon")
            record = records[group % len(records)]["sys_id"]
            if not self.world.instance.find("sys_user_grmember", group=record, user=local["sys_id"]):
                row = self.world.instance.insert("sys_user_grmember", {"group": record, "user": local["sys_id"]})
                self.company.foreign["sys_user_grmember", row["sys_id"]] = row

    # Backups of the instance

    @rule()
    def back_up(self) -> None:
        self._backup = self.world.instance.backup(), self.ledger.backup()

    @precondition(lambda self: self._backup is not None)
    @rule()
    def set_back(self) -> None:
        """The instance is restored from the backup: what was written since is lost there."""
        if self._backup is not None:
            rows, known = self._backup
            self.world.instance.restore(rows)
            self.ledger.restore(known)
            self.counts["instances restored"] += 1
