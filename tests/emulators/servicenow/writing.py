"""How records are stored, changed and removed: what the dictionary makes of the values, which rules have their say and
in which order, and what follows from a write elsewhere. Knows no access rules and no HTTP: who gets as far as this may
write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.emulators.servicenow import business_rules, cascade, errors, rules
from tests.emulators.servicenow.folding import fold
from tests.emulators.servicenow.roles import CONCERNED

if TYPE_CHECKING:
    from tests.emulators.servicenow.dictionary import Table
    from tests.emulators.servicenow.rows import Row, Rows
    from tests.emulators.servicenow.state import Instance


class Writing:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._numbers: Counter[str] = Counter()

    def insert(self, table: str, fields: Mapping[str, Any], by: str) -> Row:
        instance = self._instance
        definition = instance.table(table)
        row: Row = dict(definition.defaults)
        for name, text in self._accepted(definition, fields).items():
            if text:
                row[name] = text
            else:
                row.pop(name, None)
        for name, script in definition.computed.items():
            if name not in fields:
                row[name] = self._computed(script, table, by)
        rules.before_insert(table, row)
        business_rules.enforce(instance, table, "insert", row)
        sys_id = fields.get("sys_id")
        if not sys_id or instance.switches.client_sys_id == "ignored":
            sys_id = instance.new_sys_id()
        key = fold(sys_id)
        rows = instance.data(table)
        if key in rows.by_key or _collides(definition, rows, row, key):
            raise errors.database("insert", table, self._called(definition, row))
        row = self.store(table, sys_id, row, by)
        if table in CONCERNED:
            instance.roles.settle(instance.roles.concerned(table, row))
        return row

    def store(self, table: str, sys_id: str, row: Row, by: str = "system") -> Row:
        """Keeps a row as it is, and asks nobody."""
        instance = self._instance
        row["sys_id"] = sys_id
        row["sys_created_by"] = row["sys_updated_by"] = by
        row["sys_created_on"] = row["sys_updated_on"] = instance.timestamp()
        row["sys_mod_count"] = "0"
        if "sys_class_name" in instance.dictionary[table].columns:
            row["sys_class_name"] = table
        instance.data(table).add(fold(sys_id), row)
        instance.version += 1
        return row

    def update(self, table: str, sys_id: str, fields: Mapping[str, Any], by: str) -> Row:
        instance = self._instance
        definition = instance.table(table)
        rows = instance.data(table)
        key = fold(sys_id)
        row = rows.by_key.get(key)
        if row is None:
            raise errors.no_record()
        changes = {n: v for n, v in self._accepted(definition, fields).items() if row.get(n, "") != v}
        if not changes:
            return row
        rules.before_update(table, row, changes)
        business_rules.enforce(instance, table, "update", {**row, **changes})
        if _collides(definition, rows, changes, key):
            raise errors.database("update", table, self._called(definition, {**row, **changes}))
        changes["sys_updated_by"] = by
        changes["sys_updated_on"] = instance.timestamp()
        changes["sys_mod_count"] = str(int(row["sys_mod_count"]) + 1)
        concerned = instance.roles.concerned(table, dict(row)) if table in CONCERNED else set()
        rows.change(key, changes)
        instance.version += 1
        if table in CONCERNED:
            instance.roles.settle(concerned | instance.roles.concerned(table, row))
        return row

    def delete(self, table: str, sys_id: str) -> None:
        instance = self._instance
        instance.table(table)
        key = fold(sys_id)
        row = instance.data(table).by_key.get(key)
        if row is None:
            raise errors.no_record()
        business_rules.enforce(instance, table, "delete", row)
        concerned = instance.roles.concerned(table, row) if table in CONCERNED else set()
        instance.data(table).remove(key)
        instance.version += 1
        cascade.follow(instance, table, key)
        instance.roles.settle(concerned)

    def _accepted(self, definition: Table, fields: Mapping[str, Any]) -> dict[str, str]:
        """What of the sent fields is stored, and as which text."""
        writers = definition.writers
        accepted = {name: writers[name](value) for name, value in fields.items() if name in writers}
        for name, choices in definition.closed_choices.items():
            text = accepted.get(name)
            if text and text not in choices and not self._any_choice():
                del accepted[name]
        return accepted

    def _computed(self, script: str, table: str, by: str) -> str:
        """The two default values that base tables compute; of others nothing is known here."""
        if "getUserID" in script:
            return next(iter(self._instance.data("sys_user").keys_where("user_name", fold(by))), "")
        if "getNextObjNumberPadded" in script:
            self._numbers[table] += 1
            return f"{table[:3].upper()}{self._numbers[table]:07}"
        return ""

    def _called(self, definition: Table, row: Row) -> str:
        shown = self._instance.display(definition.name, row)
        return shown or next((row[c] for c in definition.unique if row.get(c)), "")

    def _any_choice(self) -> bool:
        return self._instance.property("glide.rest.choice.allow_non_existing_value") == "true"


def _collides(definition: Table, rows: Rows, values: Mapping[str, str], key: str) -> bool:
    """Whether a unique column would hold one value twice; case and accents do not tell values apart."""
    for column in definition.unique:
        value = values.get(column)
        if value and any(other != key for other in rows.keys_where(column, fold(value))):
            return True
    return False
