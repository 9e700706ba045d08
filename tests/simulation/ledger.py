"""What ServiceNow must and may hold of a company with a random history, written for the tests and independent of the
program: it reads the company and the instance, and knows no link, no plan and no watermark.

A run that broke off may have written a value or not, so a column has a set of values that it may hold. What must hold
is exact for whoever is in scope: the values that the source has now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.company import COLUMNS, REFERENCES, Company, Person

DAY = 86400.0
ACTIVE, LOCKED = "active", "locked_out"
MARK = "employee_number"
"""Everybody has one for life, so that an account tells whose it is."""
Row = dict[str, str]
Backup = tuple[dict[tuple[str, str], Row], dict[tuple[str, str], str]]
"""What belonged to others, and what they had done to our accounts."""


@dataclass
class Ledger:
    """`existing` had an account, or a group's record, when all was settled last; `reached` may have got one since.
    `meddled` is what others did to our accounts, by account and column. `excluded` are the countries that the scoping
    filter leaves out. `titles` are those of accounts that were there before. `forgotten` are leavers whose links a
    restart has dropped: nothing can refer to them. `outside` are those who were out of scope at any time of the run;
    where Graph `lags`, what was true before is news to a later run. `skips`: who only lost the access stays as is.
    `kept_some`: whether the disabled keep their memberships was changed on the way. `sources` are the attributes that
    columns are filled from. What a person has `rejected` is left as it is, by object. `deletable` are those whose
    accounts were to be deleted at one time. `interfered` says that others have changed or deleted what is ours since
    all was settled, or set the instance back, which only a comparison of everything finds.
    """

    company: Company
    lags: bool = False
    nested: bool = False
    keeps_memberships: bool = True
    kept_some: bool = False
    skips: bool = False
    enforces: bool = False
    excluded: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=lambda: {column: name for name, column in COLUMNS.items()})
    rejected: set[str] = field(default_factory=set)
    deletable: set[str] = field(default_factory=set)
    existing: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    may: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    meddled: dict[tuple[str, str], str] = field(default_factory=dict)
    titles: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    disabled_at: list[tuple[float, str]] = field(default_factory=list)
    interfered: bool = False

    # The company as it is

    def effective(self, group: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """The people in a group; with nesting also those in the groups in it."""
        found: set[str] = set()
        for member in self.company.groups[group].members:
            if member in self.company.people:
                found.add(member)
            elif self.nested and member not in seen and not self.company.groups[member].deleted:
                found |= self.effective(member, seen | {group})
        return found

    def group_in_scope(self, group: str) -> bool:
        found = self.company.groups[group]
        return not found.deleted and (found.assigned or self.company.everyone)

    def in_scope(self, key: str) -> bool:
        person = self.company.people[key]
        if person.deleted or not person.enabled or person.attributes["usageLocation"] in self.excluded:
            return False
        if self.company.everyone or person.direct:
            return True
        groups = self.company.groups.items()
        return any(group.assigned and not group.deleted and key in self.effective(name) for name, group in groups)

    def wanted(self, key: str) -> dict[str, str]:
        """The values that the source asks for; what it has none of, and what nothing can be found for, is not there."""
        person = self.company.people[key]
        found = {column: self._cut(column, person.attributes.get(name) or "") for column, name in self.sources.items()}
        found["user_name"] = person.user_name
        for name, column in (("department", "department"), ("officeLocation", "location")):
            value = person.attributes.get(name) or ""
            found[column] = value if self.company.instance.find(REFERENCES[column], name=value) else ""
        boss = person.manager
        found["manager"] = boss if boss and self._can_be_named(boss) else ""
        return {column: value for column, value in found.items() if value}

    def _cut(self, column: str, value: str) -> str:
        """ServiceNow holds no more than its column has room for."""
        return value[: self.company.instance.dictionary["sys_user"].columns[column].max_length]

    # The instance as it is

    def accounts(self) -> dict[str, list[Row]]:
        """Our accounts by the person whom they are of."""
        marks = {person.attributes["employeeId"]: key for key, person in self.company.people.items()}
        found: dict[str, list[Row]] = {}
        others = []
        for row in self._ours("sys_user"):
            if key := marks.get(row[MARK]):
                found.setdefault(key, []).append(row)
            else:
                others.append(row)
        for row in others:
            if (key := self._by_name(row)) is not None and key not in found:
                found[key] = [row]
        return found

    def _has_account(self, key: str) -> bool:
        """Whether there is one that the program has made or adopted."""
        mark = self.company.people[key].attributes["employeeId"]
        return any(row[MARK] == mark for row in self._ours("sys_user"))

    def _can_be_named(self, boss: str) -> bool:
        """As a manager: Graph tells of no manager who is deleted."""
        return self._has_account(boss) and boss not in self.forgotten and not self.company.people[boss].deleted

    def _by_name(self, row: Row) -> str | None:
        """Of an account that was there before and that nobody has adopted yet."""
        people = self.company.people.items()
        return next((key for key, person in people if person.user_name == row["user_name"]), None)

    def _ours(self, table: str) -> list[Row]:
        return [row for row in self.company.instance.rows(table) if (table, row["sys_id"]) not in self.company.foreign]

    # What happens

    def note(self, at: float) -> None:
        """A run begins, which may write all that the source has now. `at` is what the program's clock says."""
        self.disabled_at = [each for each in self.disabled_at if at - each[0] < DAY]
        self.active = {key for key, rows in self.accounts().items() if rows[0][ACTIVE] == "true"}
        if not self.lags:
            self.outside = set()
        self.changed(running=True)

    def changed(self, *, running: bool = False) -> None:
        """The company is another one: what a run that is on its way may write from now on."""
        if not running and not self.lags:
            return
        for key in self.company.people:
            if self.in_scope(key):
                self.reached.add(key)
                self.forgotten.discard(key)
            else:
                self.outside.add(key)
            if self.company.people[key].purged and self.company.hard_delete == "delete":
                self._to_be_deleted(key)
            if key in self.reached:  # a cycle that goes on may not know yet that somebody has left
                for column, value in self._possible(key).items():
                    self._may_hold(key, column, value)
        for key, group in self.company.groups.items():
            if self.group_in_scope(key):
                self.reached.add(key)
                self._may_hold(key, "name", group.attributes["displayName"])

    def _to_be_deleted(self, key: str) -> None:
        """A run that decided before that may name the record once more."""
        if key not in self.deletable:
            self.deletable.add(key)
            for row in self.accounts().get(key, []):
                for other in self.company.people:
                    self._may_hold(other, "manager", row["sys_id"])

    def _possible(self, key: str) -> dict[str, str]:
        """As `wanted`, with a manager who may get an account in the same run."""
        boss = self.company.people[key].manager
        return {**self.wanted(key), **({"manager": boss} if boss else {})}

    def _may_hold(self, key: str, column: str, value: str) -> None:
        self.may.setdefault(key, {}).setdefault(column, {""}).add(value)

    def _may(self, key: str, column: str) -> set[str]:
        found = self.may.get(key, {}).get(column, {""})
        return found | self.titles if column == "title" else found

    def meddle(self, key: str, column: str, value: str) -> None:
        """Somebody in ServiceNow changes an account of ours."""
        (row,) = self.accounts()[key]
        after = self.company.instance.update("sys_user", row["sys_id"], {column: value}, by="abel.tuter")
        value = after[column]
        self.meddled[key, column] = value
        self.interfered = True
        self._may_hold(key, column, value)

    def hand_over(self, key: str, sys_id: str, row: Row) -> None:
        """An account of ours is somebody else's from now on, with its memberships; the person gets another."""
        self.company.foreign["sys_user", sys_id] = row
        for each in self.company.instance.find("sys_user_grmember", user=sys_id):
            self.company.foreign["sys_user_grmember", each["sys_id"]] = each
        self.titles.add("Clerk")
        for other in self.company.people:  # who is out of scope goes on naming it
            self._may_hold(other, "manager", sys_id)
        self.meddled = {place: value for place, value in self.meddled.items() if place[0] != key}
        self.may[key] = {column: values | {""} for column, values in self.may.get(key, {}).items()}

    def backup(self) -> Backup:
        return dict(self.company.foreign), dict(self.meddled)

    def restore(self, backup: Backup) -> None:
        """The instance is as it was then, and so is what others have in it."""
        self.company.foreign, self.meddled = dict(backup[0]), dict(backup[1])
        self.interfered = True
        self.existing = {key for key in self.existing if self._has_record(key)}

    def _has_record(self, key: str) -> bool:
        return bool(self._records(key)) if key in self.company.groups else self._has_account(key)

    def forget(self) -> None:
        """A person lets the program forget its links."""
        self.forgotten |= {key for key in self.accounts() if not self.in_scope(key)}

    def destroy(self, key: str) -> None:
        """Somebody in ServiceNow deletes an account of ours, which empties all references to it."""
        (row,) = self.accounts()[key]
        for other, rows in self.accounts().items():
            if any(each["manager"] == row["sys_id"] for each in rows):
                self.meddled[other, "manager"] = ""
        self.company.instance.delete("sys_user", row["sys_id"])
        self.interfered = True
        self.existing.discard(key)
        for other in self.company.people:  # a run that decided before that may name the record once more
            self._may_hold(other, "manager", row["sys_id"])

    def ran(self, at: float) -> Iterator[str]:
        """What a run has done that no run may do, however it ended."""
        yield from self._of_foreign()
        accounts = self.accounts()
        for key, rows in accounts.items():
            if len(rows) > 1:
                yield f"{self._who(key)} has {len(rows)} accounts"
            if key in self.active and rows[0][ACTIVE] == "false":
                self.disabled_at.append((at, key))
                if key not in self.outside:
                    yield f"{self._who(key)} is in scope and was disabled"
            if key not in self.reached and rows[0][MARK]:
                yield f"{self._who(key)} was never in scope and has an account"
        for (table, _), count in Counter(
            ("sys_user_grmember", (row["group"], row["user"])) for row in self._ours("sys_user_grmember")
        ).items():
            if count > 1:
                yield f"a row of {table} is there {count} times"

    def disabled_today(self, at: float) -> int:
        """In the 24 hours up to now, as the program's clock tells them: what it has taken for old is forgotten, also
        where the clock is set back.
        """
        return len({key for when, key in self.disabled_at if at - when < DAY})

    # What must be

    def differences(self) -> list[str]:
        """When all is settled: what ServiceNow holds otherwise than it must. Empty when all is well."""
        accounts = self.accounts()
        return [
            *self._of_foreign(),
            *(text for key in self.company.people for text in self._of_person(key, accounts.get(key, []))),
            *self._of_groups(),
            *self._of_memberships(accounts),
        ]

    def settled(self) -> None:
        """What is there now is what later histories begin with."""
        self.interfered = False
        accounts = self.accounts()
        self.existing = {key for key, rows in accounts.items() if rows[0][MARK]}
        self.existing |= {key for key in self.company.groups if self._records(key)}
        self.reached |= self.existing
        for key, rows in accounts.items():
            self.may[key] = {column: {"", value} for column, value in self._shown(rows[0]).items()}
        for key in self.company.groups:
            self.may[key] = {"name": {"", *(row["name"] for row in self._records(key))}}
        self.meddled = {
            (key, column): value
            for (key, column), value in self.meddled.items()
            if key in accounts and self._shown(accounts[key][0]).get(column) == value
        }

    def _of_person(self, key: str, rows: list[Row]) -> Iterator[str]:
        person, inside = self.company.people[key], self.in_scope(key)
        who = self._who(key)
        gone = person.purged and self.company.hard_delete == "delete"
        blocked = self._is_blocked(key, person)
        if not rows and not blocked and (inside or (key in self.existing and key not in self.deletable)):
            yield f"{who} has no account"
        for row in rows[:1]:
            if gone and key in self.existing and row[MARK] and not self._is_rejected(key):
                yield f"{who} is gone for good and has an account"
            elif not blocked and (row[MARK] or inside):  # one that was there before is nobody's until it is adopted
                yield from self._of_account(key, row)

    def _of_account(self, key: str, row: Row) -> Iterator[str]:
        inside, who = self.in_scope(key), self._who(key)
        expected = {ACTIVE: "true", LOCKED: "false"} if inside else {ACTIVE: "false", LOCKED: "true"}
        for column, value in expected.items():
            left_alone = not inside and (self._is_left_alone(key) or self._is_rejected(key))
            if row[column] not in {value, self._meddled(key, column)} and not left_alone:
                yield f"{who}: {column} is {row[column]!r}, not {value!r}"
        wanted = self.wanted(key) if inside else {}
        for column, value in self._shown(row).items():
            if column in wanted:
                if value not in {wanted[column], self._meddled(key, column)}:
                    yield f"{who}: {column} is {value!r}, not {wanted[column]!r}"
            elif value not in self._may(key, column):
                yield f"{who}: {column} is {value!r}, not one of {sorted(self._may(key, column))}"

    def _is_left_alone(self, key: str) -> bool:
        """Whether the job skips the deletions of those who left like this."""
        person = self.company.people[key]
        return self.skips and not person.deleted and person.enabled

    def _is_rejected(self, key: str) -> bool:
        return f"user:{key}" in self.rejected

    def _meddled(self, key: str, column: str) -> str | None:
        return None if self.enforces else self.meddled.get((key, column))

    @property
    def is_blocked(self) -> bool:
        """Whether somebody cannot be provisioned, for a reason that only a person can mend."""
        return any(self._is_blocked(key, person) for key, person in self.company.people.items() if self.in_scope(key))

    def _is_blocked(self, key: str, person: Person) -> bool:
        """Whether an account of somebody else has the user name, as that of one who left and was renamed after it."""
        name, own = person.user_name.casefold(), self.accounts().get(key, [])
        return any(row["user_name"].casefold() == name and row not in own for row in self._ours("sys_user"))

    @property
    def names_agree(self) -> bool:
        """Whether whoever has an account or a record is found by name on the other side."""
        people, groups = self.company.people, self.company.groups
        return all(rows[0]["user_name"] == people[key].user_name for key, rows in self.accounts().items()) and all(
            row["name"] == group.attributes["displayName"]
            for key, group in groups.items()
            for row in self._records(key)
        )

    def _shown(self, row: Row) -> dict[str, str]:
        instance = self.company.instance
        shown = {column: row[column] for column in (*COLUMNS.values(), "user_name")}
        for column, table in REFERENCES.items():
            found = instance.get(table, row[column]) if row[column] else None
            shown[column] = found["name"] if found else row[column]
        boss = instance.get("sys_user", row["manager"]) if row["manager"] else None
        marks = {person.attributes["employeeId"]: key for key, person in self.company.people.items()}
        shown["manager"] = marks.get(boss[MARK], boss["sys_id"]) if boss else row["manager"]
        return shown

    def _records(self, group: str) -> list[Row]:
        mark = self.company.groups[group].attributes["description"]
        return [row for row in self._ours("sys_user_group") if row["description"] == mark]

    def _of_groups(self) -> Iterator[str]:
        for key, group in self.company.groups.items():
            name, rows = group.attributes["displayName"], self._records(key)
            if len(rows) > 1:
                yield f"group {name} has {len(rows)} records"
            if not rows and (self.group_in_scope(key) or key in self.existing):
                yield f"group {name} has no record"
            if rows and key not in self.reached:
                yield f"group {name} was never in scope and has a record"
            if rows and self.group_in_scope(key) and rows[0]["name"] != name:
                yield f"group {name} is called {rows[0]['name']!r}"
            if rows and rows[0]["name"] not in self._may(key, "name"):
                yield f"group {name} is called {rows[0]['name']!r}, which it never was"

    def _of_memberships(self, accounts: dict[str, list[Row]]) -> Iterator[str]:
        people = {row["sys_id"]: key for key, rows in accounts.items() for row in rows}
        groups = {row["sys_id"]: key for key in self.company.groups for row in self._records(key)}
        actual = Counter(
            (groups.get(row["group"], row["group"]), people.get(row["user"], row["user"]))
            for row in self._ours("sys_user_grmember")
        )
        expected = {
            (group, member)
            for group in self.company.groups
            if self.group_in_scope(group)
            for member in self.effective(group)
            if member in accounts and (self.keeps_memberships or self.in_scope(member))
            if accounts[member][0][MARK]
        }
        for group, member in sorted(actual.keys() | expected):
            text = f"{self._who(member)} in {self.company.groups[group].attributes['displayName']}"
            if (group, member) not in actual:
                # Graph need not tell of the groups of somebody who is deleted.
                told = not self.company.people[member].deleted and member not in self.forgotten
                if told and (self.in_scope(member) or not self._is_unsure(group, member)):
                    yield f"{text} is missing"
            elif (group, member) not in expected and not self._may_stay(group, member):
                yield f"{text} is too much"
            elif actual[group, member] > 1:
                yield f"{text} is there {actual[group, member]} times"

    def _may_stay(self, group: str, member: str) -> bool:
        return f"member:{group}:{member}" in self.rejected or self._is_unsure(group, member)

    def _is_unsure(self, group: str, member: str) -> bool:
        """Of somebody who is disabled and still a member, where that was to be kept at one time and not at another, or
        who is out of scope and left alone.
        """
        stays = self.group_in_scope(group) and member in self.effective(group) and not self.in_scope(member)
        return stays and (self.kept_some or self._is_left_alone(member) or self._is_rejected(member))

    def _of_foreign(self) -> Iterator[str]:
        for (table, sys_id), row in self.company.foreign.items():
            now = self.company.instance.get(table, sys_id)
            if now != row and now != self._without_manager(row):
                yield f"{table} {sys_id} belongs to others and was {'changed' if now else 'deleted'}"

    def _without_manager(self, row: Row) -> Row:
        """ServiceNow empties each reference to a record that is deleted."""
        boss = row.get("manager")
        return {**row, "manager": ""} if boss and self.company.instance.get("sys_user", boss) is None else row

    def _who(self, key: str) -> str:
        return next((name for name, each in self.company.ids.items() if each == key), key)
