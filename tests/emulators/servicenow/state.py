"""The instance itself: tables of records, written under the dictionary and the business rules, found through the query
language. It also carries what the HTTP side consults (accounts, capacity, faults, access, options, counts). Knows
no HTTP: tests may use it in process as "another person" who works in ServiceNow.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.emulators.servicenow import errors, rules
from tests.emulators.servicenow.access import Access, Switches
from tests.emulators.servicenow.accounts import Accounts
from tests.emulators.servicenow.capacity import Capacity
from tests.emulators.servicenow.dictionary import Column, Table, baseline, with_column
from tests.emulators.servicenow.evaluation import Evaluation
from tests.emulators.servicenow.faults import Faults
from tests.emulators.servicenow.folding import fold
from tests.emulators.servicenow.query import parse
from tests.emulators.servicenow.rate_rule import RateRule
from tests.emulators.servicenow.rendering import Rendering
from tests.emulators.servicenow.rows import Row, Rows
from tests.emulators.servicenow.schema_tables import SCHEMA_TABLES, rows_of

# Link tables: the rows go with either end. For other tables a deleted record leaves an empty reference.
_LINKS = {
    "sys_user_grmember": ("user", "group"),
    "sys_user_has_role": ("user", "role"),
    "sys_group_has_role": ("group", "role"),
}


class Instance:
    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        url: str = "https://emulator.service-now.com",
        capacity: Capacity | None = None,
        seed: int = 1,
    ) -> None:
        self._clock = clock
        self._seed = seed
        self.url = url
        self.capacity = capacity or Capacity()
        self._begin()

    def _begin(self) -> None:
        self.dictionary: dict[str, Table] = dict(baseline())
        self.switches = Switches()
        self.access = Access()
        self.accounts = Accounts(self)
        self.faults = Faults()
        self.rate_rule: RateRule | None = None
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.recent: deque[tuple[str, str, int]] = deque(maxlen=1000)
        self.scripts: list[str] = []  # what `javascript:` values were evaluated: a client must never cause one
        self.version = 0
        self._rng = random.Random(self._seed)
        self._data: dict[str, Rows] = {}
        self.evaluation = Evaluation(self)
        self.rendering = Rendering(self)
        self._second, self._timestamp = -1, ""

    def reset(self) -> None:
        """Back to an empty instance: no records, faults, rules, options or counts. Capacity keeps its settings."""
        self._begin()
        self.capacity.forget()

    def now(self) -> float:
        return self._clock()

    def timestamp(self) -> str:
        """Now as records store it: UTC, to the second, by the instance's own clock."""
        second = int(self._clock() + self.switches.clock_skew)
        if second != self._second:
            self._timestamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
            self._second = second
        return self._timestamp

    # -- schema

    def definition(self, table: str) -> Table | None:
        return self.dictionary.get(table)

    def table(self, name: str) -> Table:
        definition = self.dictionary.get(name)
        if definition is None:
            raise errors.invalid_table(name)
        return definition

    def add_column(self, table: str, name: str, **properties: Any) -> None:
        """A custom column, such as u_entra_object_id."""
        properties.setdefault("label", name.removeprefix("u_").replace("_", " ").capitalize())
        self.dictionary[table] = with_column(self.table(table), Column(name, **properties))
        for schema_table in SCHEMA_TABLES:
            self._data.pop(schema_table, None)
        self.version += 1

    def data(self, table: str) -> Rows:
        rows = self._data.get(table)
        if rows is None:
            rows = self._data[table] = Rows()
            if table in SCHEMA_TABLES:
                for row in rows_of(table, self.dictionary):
                    rows.add(row["sys_id"], row)
        return rows

    def property(self, name: str) -> str:
        for key in self.data("sys_properties").keys_where("name", name):
            return self.data("sys_properties").by_key[key].get("value", "")
        return ""

    def set_property(self, name: str, value: str) -> None:
        for row in self.find("sys_properties", name=name):
            self.delete("sys_properties", row["sys_id"])
        self.insert("sys_properties", {"name": name, "value": value})

    # -- reading

    def get(self, table: str, sys_id: str) -> dict[str, str] | None:
        """The whole record, empty columns included, or None."""
        row = self.data(table).by_key.get(fold(sys_id))
        return None if row is None else {**self.table(table).blank, **row}

    def rows(self, table: str, query: str = "") -> list[dict[str, str]]:
        """Every record (or those of an encoded query) in order; copies."""
        blank, by_key = self.table(table).blank, self.data(table).by_key
        selection = self.evaluation.select(table, parse(query))
        return [{**blank, **by_key[key]} for key in selection.window(0, len(by_key))]

    def find(self, table: str, **fields: str) -> list[dict[str, str]]:
        """The records with exactly these values, spelling included."""
        blank, rows = self.table(table).blank, self.data(table)
        if unknown := fields.keys() - blank.keys():
            raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
        (first, value), *_ = fields.items()
        if first == "sys_id":
            keys = [fold(value)] if fold(value) in rows.by_key else []
        else:
            keys = sorted(rows.keys_where(first, fold(value)))
        candidates = ({**blank, **rows.by_key[key]} for key in keys)
        return [record for record in candidates if fields.items() <= record.items()]

    def count(self, table: str) -> int:
        self.table(table)
        return len(self.data(table))

    def row(self, table: str, sys_id: str) -> Row | None:
        """The stored row, sparse and live: for the emulator's own parts."""
        return self.data(table).by_key.get(fold(sys_id)) if table in self.dictionary else None

    def display(self, table: str, row: Row) -> str:
        definition = self.dictionary.get(table)
        return row.get(definition.display, "") if definition and definition.display else ""

    def display_of(self, table: str, sys_id: str) -> str:
        """The display value of a referenced record; empty where it does not exist or its table is not emulated."""
        row = self.row(table, sys_id)
        return self.display(table, row) if row else ""

    def run_script(self, script: str) -> str:
        """Evaluates a `javascript:` value just enough to show that somebody let one through."""
        self.scripts.append(script)
        (user,) = self.find("sys_user", user_name="admin")[:1] or ({"sys_id": ""},)
        return user["sys_id"] if "getUserID" in script else ""

    # -- writing

    def insert(self, table: str, fields: Mapping[str, Any], *, by: str = "admin") -> dict[str, str]:
        """Stores a record and returns it whole. Unknown fields are ignored and what is too long is cut."""
        return {**self.table(table).blank, **self.insert_row(table, fields, by)}

    def insert_row(self, table: str, fields: Mapping[str, Any], by: str) -> Row:
        definition = self.table(table)
        rows = self.data(table)
        row: Row = dict(definition.defaults)
        for name, text in self._accepted(definition, fields).items():
            if text:
                row[name] = text
            else:
                row.pop(name, None)
        rules.before_insert(table, row)
        sys_id = fields.get("sys_id")
        if not sys_id or self.switches.client_sys_id == "ignored":
            sys_id = f"{self._rng.getrandbits(128):032x}"
        key = fold(sys_id)
        if key in rows.by_key or self._collides(definition, rows, row, key):
            raise errors.database("insert", table, self._called(definition, row))
        now = self.timestamp()
        row["sys_id"] = sys_id
        row["sys_created_by"] = row["sys_updated_by"] = by
        row["sys_created_on"] = row["sys_updated_on"] = now
        row["sys_mod_count"] = "0"
        if "sys_class_name" in definition.columns:
            row["sys_class_name"] = table
        rows.add(key, row)
        self.version += 1
        return row

    def update(self, table: str, sys_id: str, fields: Mapping[str, Any], *, by: str = "admin") -> dict[str, str]:
        """Changes the fields that are sent and differ; a write that changes nothing leaves the audit fields alone."""
        return {**self.table(table).blank, **self.update_row(table, sys_id, fields, by)}

    def update_row(self, table: str, sys_id: str, fields: Mapping[str, Any], by: str) -> Row:
        definition = self.table(table)
        rows = self.data(table)
        key = fold(sys_id)
        row = rows.by_key.get(key)
        if row is None:
            raise errors.no_record()
        changes = {n: v for n, v in self._accepted(definition, fields).items() if row.get(n, "") != v}
        if not changes:
            return row
        rules.before_update(table, row, changes)
        if self._collides(definition, rows, changes, key):
            raise errors.database("update", table, self._called(definition, {**row, **changes}))
        changes["sys_updated_by"] = by
        changes["sys_updated_on"] = self.timestamp()
        changes["sys_mod_count"] = str(int(row["sys_mod_count"]) + 1)
        rows.change(key, changes)
        self.version += 1
        return row

    def delete(self, table: str, sys_id: str) -> None:
        """Removes a record, the link rows at either end of it, and every reference to it."""
        self.table(table)
        key = fold(sys_id)
        if key not in self.data(table).by_key:
            raise errors.no_record()
        self.data(table).remove(key)
        self.version += 1
        for other in self.dictionary.values():
            if other.name not in self._data or other.name in SCHEMA_TABLES:
                continue
            rows = self._data[other.name]
            for column, target in other.references.items():
                if target != table or column == "sys_domain":
                    continue
                for holder in list(rows.keys_where(column, key)):
                    if column in _LINKS.get(other.name, ()):
                        rows.remove(holder)
                    else:
                        rows.change(holder, {column: ""})

    def _accepted(self, definition: Table, fields: Mapping[str, Any]) -> dict[str, str]:
        """What of the sent fields is stored, and as which text."""
        writers = definition.writers
        accepted = {name: writers[name](value) for name, value in fields.items() if name in writers}
        for name, choices in definition.closed_choices.items():
            text = accepted.get(name)
            if text and text not in choices and not self._any_choice():
                del accepted[name]
        return accepted

    def _called(self, definition: Table, row: Row) -> str:
        return self.display(definition.name, row) or next((row[c] for c in definition.unique if row.get(c)), "")

    def _any_choice(self) -> bool:
        return self.property("glide.rest.choice.allow_non_existing_value") == "true"

    def _collides(self, definition: Table, rows: Rows, values: Mapping[str, str], key: str) -> bool:
        """Whether a unique column would hold one value twice; case and accents do not tell values apart."""
        for column in definition.unique:
            value = values.get(column)
            if value and any(other != key for other in rows.keys_where(column, fold(value))):
                return True
        return False
