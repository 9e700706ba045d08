"""The instance itself: tables of records, written under the dictionary and the business rules, found through the query
language. It also carries what the HTTP side consults (accounts, capacity, faults, access, options, counts). Knows
no HTTP: tests may use it in process as "another person" who works in ServiceNow.
"""

from __future__ import annotations

import copy
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.emulators.servicenow import errors
from tests.emulators.servicenow.access import Access, Switches
from tests.emulators.servicenow.accounts import Accounts
from tests.emulators.servicenow.acls import Acls
from tests.emulators.servicenow.capacity import Capacity
from tests.emulators.servicenow.dictionary import Column, Table, baseline, new_table, with_column
from tests.emulators.servicenow.evaluation import Evaluation
from tests.emulators.servicenow.faults import Faults
from tests.emulators.servicenow.folding import fold
from tests.emulators.servicenow.query import parse
from tests.emulators.servicenow.rate_rule import RateRule
from tests.emulators.servicenow.rendering import Rendering
from tests.emulators.servicenow.roles import Roles
from tests.emulators.servicenow.rows import Row, Rows
from tests.emulators.servicenow.schema_tables import SCHEMA_TABLES, rows_of
from tests.emulators.servicenow.writing import Writing

IDENTITY = ("instance_id", "instance_name")


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
        self.node_moves = 0
        self.version = 0
        self._rng = random.Random(self._seed)
        self._data: dict[str, Rows] = {}
        self.evaluation = Evaluation(self)
        self.rendering = Rendering(self)
        self.roles = Roles(self)
        self.acls = Acls(self)
        self.writing = Writing(self)
        self._second, self._timestamp = -1, ""

    def reset(self) -> None:
        """Back to an empty instance: no records, faults, rules, options or counts. Capacity keeps its settings."""
        self._begin()
        self.capacity.forget()

    def backup(self) -> dict[str, Rows]:
        """All records as they are now."""
        return copy.deepcopy(self._data)

    def restore(self, backup: Mapping[str, Rows]) -> None:
        """The records as they were then; who may log in, and how, stays as it is."""
        self._data = copy.deepcopy(dict(backup))
        self.version += 1

    def clone_over(self, source: Instance) -> None:
        """Another instance's records take the place of this one's, which keeps its name, its id and its logins."""
        kept = {name: self.property(name) for name in IDENTITY}
        self.restore(source.backup())
        for name, value in kept.items():
            if value:
                self.set_property(name, value)

    def now(self) -> float:
        """By the instance's own clock, which may be wrong."""
        return self._clock() + self.switches.clock_skew

    def switch_node(self) -> None:
        """Sessions that are open now move to another node and keep stale rights there: 403 from then on."""
        self.node_moves += 1

    def timestamp(self) -> str:
        """Now as records store it: UTC, to the second, by the instance's own clock."""
        second = int(self.now())
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
        self._define(with_column(self.table(table), Column(name, **properties)))

    def add_table(self, name: str, *, label: str = "", display: str = "", columns: Iterable[Mapping[str, Any]]) -> None:
        """A table that the base dictionary of the emulator does not have. The platform's own columns come with it."""
        self._define(new_table(name, label or name, display, columns))

    def _define(self, definition: Table) -> None:
        self.dictionary[definition.name] = definition
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

    def time_zone(self) -> str:
        """Where display values of date-times live; each user's own zone is not emulated."""
        return self.property("glide.sys.default.tz") or "UTC"

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

    def run_script(self, script: str, by: str) -> str:
        """Evaluates a `javascript:` value just enough to show that somebody let one through: `gs.getUserID()` is the
        caller's sys_id.
        """
        self.scripts.append(script)
        (user,) = self.find("sys_user", user_name=by)[:1] or ({"sys_id": ""},)
        return user["sys_id"] if "getUserID" in script else ""

    # -- writing

    def insert(self, table: str, fields: Mapping[str, Any], *, by: str = "admin") -> dict[str, str]:
        """Stores a record and returns it whole. Unknown fields are ignored and what is too long is cut."""
        return {**self.table(table).blank, **self.writing.insert(table, fields, by)}

    def update(self, table: str, sys_id: str, fields: Mapping[str, Any], *, by: str = "admin") -> dict[str, str]:
        """Changes the fields that are sent and differ; a write that changes nothing leaves the audit fields alone."""
        return {**self.table(table).blank, **self.writing.update(table, sys_id, fields, by)}

    def delete(self, table: str, sys_id: str) -> None:
        """Removes a record, the link rows at either end of it, and every reference to it."""
        self.writing.delete(table, sys_id)

    def new_sys_id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"
