"""A company and what ServiceNow must hold of it, written for the tests and independent of the program: who is employed,
who is assigned, and the accounts, groups and memberships that follow. Each change is made here and in the tenant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.emulators.graph import Tenant
from tests.emulators.servicenow import Instance

DOMAIN = "contoso.example"
COLUMNS = {
    "givenName": "first_name",
    "surname": "last_name",
    "mail": "email",
    "jobTitle": "title",
    "employeeId": "employee_number",
    "city": "city",
}
REFERENCES = {"department": "cmn_department", "location": "cmn_location"}
OWN_TABLES = ("sys_user", "sys_user_group", "sys_user_grmember")


@dataclass
class Person:
    attributes: dict[str, Any]
    enabled: bool = True
    direct: bool = False
    deleted: bool = False
    purged: bool = False
    manager: str | None = None

    @property
    def user_name(self) -> str:
        upn = self.attributes["userPrincipalName"]
        if "#EXT#@" in upn:
            alias, _, domain = upn.partition("#EXT#@")[0].rpartition("_")
            return f"{alias}@{domain}"
        return upn


@dataclass
class Group:
    attributes: dict[str, Any]
    members: set[str] = field(default_factory=set)
    assigned: bool = False
    deleted: bool = False


@dataclass
class Company:
    """`accounts` is what each person who ever was in scope must have, as of the last `expect`."""

    directory: Tenant
    instance: Instance
    everyone: bool = False
    hard_delete: str = "disable"
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    foreign: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    adopted: set[tuple[str, str]] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    """Names of those whose removal waits for a person: their accounts stay as they are."""

    # What happens in the company

    def hire(self, name: str, *, direct: bool = True, manager: str | None = None, **attributes: Any) -> None:
        attributes = {
            "userPrincipalName": f"{name}@{DOMAIN}",
            "displayName": name.title(),
            "givenName": name.title(),
            "surname": "Example",
            "mail": f"{name}@{DOMAIN}",
            **attributes,
        }
        enabled = attributes.pop("accountEnabled", True)
        person = self.ids[name] = self.directory.add_user(**attributes, accountEnabled=enabled)
        self.people[person] = Person(attributes, enabled=enabled)
        if manager is not None:
            self.report_to(name, manager)
        if direct:
            self.assign(name)

    def change(self, name: str, **attributes: Any) -> None:
        self.directory.update_user(self.ids[name], **attributes)
        self.people[self.ids[name]].attributes.update(attributes)

    def enable(self, name: str, *, enabled: bool) -> None:
        self.directory.update_user(self.ids[name], accountEnabled=enabled)
        self.people[self.ids[name]].enabled = enabled

    def report_to(self, name: str, manager: str | None) -> None:
        boss = self.ids[manager] if manager else None
        self.directory.set_manager(self.ids[name], boss)
        self.people[self.ids[name]].manager = boss

    def delete(self, name: str) -> None:
        self.directory.delete_user(self.ids[name])
        self.people[self.ids[name]].deleted = True

    def restore(self, name: str) -> None:
        self.directory.restore_user(self.ids[name])
        self.people[self.ids[name]].deleted = False

    def purge(self, name: str) -> None:
        gone = self.ids[name]
        self.directory.purge_user(gone)
        self.people[gone].deleted = self.people[gone].purged = True
        for person in self.people.values():
            if person.manager == gone:
                person.manager = None
        for group in self.groups.values():
            group.members.discard(gone)

    def found(self, name: str, *members: str, assigned: bool = True, **attributes: Any) -> None:
        """A new group."""
        attributes = {"displayName": name, **attributes}
        self.ids[name] = self.directory.add_group(**attributes, members=[self.ids[member] for member in members])
        self.groups[self.ids[name]] = Group(attributes, {self.ids[member] for member in members})
        if assigned:
            self.assign(name)

    def rename_group(self, name: str, **attributes: Any) -> None:
        self.directory.update_group(self.ids[name], **attributes)
        self.groups[self.ids[name]].attributes.update(attributes)

    def dissolve(self, name: str) -> None:
        """The group is deleted."""
        self.directory.delete_group(self.ids[name])
        self.groups[self.ids[name]].deleted = True

    def revive(self, name: str) -> None:
        self.directory.restore_group(self.ids[name])
        self.groups[self.ids[name]].deleted = False

    def join(self, group: str, name: str) -> None:
        self.directory.add_member(self.ids[group], self.ids[name])
        self.groups[self.ids[group]].members.add(self.ids[name])

    def part(self, group: str, name: str) -> None:
        self.directory.remove_member(self.ids[group], self.ids[name])
        self.groups[self.ids[group]].members.discard(self.ids[name])

    def assign(self, name: str) -> None:
        self.directory.assign(self.ids[name])
        self._assigned(name, value=True)

    def unassign(self, name: str) -> None:
        self.directory.unassign_principal(self.ids[name])
        self._assigned(name, value=False)

    def _assigned(self, name: str, *, value: bool) -> None:
        key = self.ids[name]
        if key in self.people:
            self.people[key].direct = value
        else:
            self.groups[key].assigned = value

    # What ServiceNow must hold

    def remember_foreign(self) -> None:
        """Everything that the instance holds now belongs to others, except what is adopted."""
        for table in (*OWN_TABLES, *REFERENCES.values()):
            for row in self.instance.rows(table):
                if (table, row["sys_id"]) not in self.adopted:
                    self.foreign[table, row["sys_id"]] = row

    def in_scope(self, key: str) -> bool:
        person = self.people[key]
        if person.deleted or not person.enabled:
            return False
        through = any(group.assigned and key in group.members for group in self.groups.values())
        return self.everyone or person.direct or through

    def expect(self) -> None:
        """Brings what must be there up to date, once a cycle is through: values follow those who are in scope, and
        those who left keep what they had, inactive and locked. A value or manager that was taken away stays (null is
        never written), and so does one that ServiceNow cannot refer to.
        """
        inside = [key for key in self.people if self.in_scope(key)]
        for key in inside:
            self.accounts.setdefault(key, dict.fromkeys([*COLUMNS.values(), "manager", "department", "location"], ""))
        if self.hard_delete == "delete":
            self._delete_purged()
        waiting = {self.ids[name] for name in self.held}
        for key, account in self.accounts.items():
            if key in waiting:
                continue
            if key not in inside:
                account |= {"active": "false", "locked_out": "true"}
                continue
            person = self.people[key]
            account |= {"active": "true", "locked_out": "false", "user_name": person.user_name}
            for source, column in COLUMNS.items():
                account[column] = person.attributes.get(source) or account[column]
            for source, column in (("department", "department"), ("officeLocation", "location")):
                name = person.attributes.get(source)
                if name and self.instance.find(REFERENCES[column], name=name):
                    account[column] = name
            if person.manager in self.accounts:
                account["manager"] = person.manager
        for key, group in self.groups.items():
            if group.assigned or self.everyone:
                known = self.records.setdefault(key, {"name": "", "description": ""})
                known["name"] = group.attributes["displayName"]
                known["description"] = group.attributes.get("description") or known["description"]

    def _delete_purged(self) -> None:
        """ServiceNow empties every reference to a record that is deleted."""
        gone = {key for key, person in self.people.items() if person.purged}
        self.accounts = {key: account for key, account in self.accounts.items() if key not in gone}
        for account in self.accounts.values():
            if account["manager"] in gone:
                account["manager"] = ""

    def differences(self) -> list[str]:
        """What ServiceNow holds otherwise than it must; empty when all is well."""
        return [*self._of_foreign(), *self._of_accounts(), *self._of_groups(), *self._of_memberships()]

    def _of_foreign(self) -> list[str]:
        return [
            f"{table} {sys_id} belongs to others and was {'changed' if now else 'deleted'}"
            for (table, sys_id), row in self.foreign.items()
            if (now := self.instance.get(table, sys_id)) != row
        ]

    def _ours(self, table: str) -> list[dict[str, str]]:
        return [row for row in self.instance.rows(table) if (table, row["sys_id"]) not in self.foreign]

    def _name(self, table: str, sys_id: str, column: str = "name") -> str:
        row = self.instance.get(table, sys_id) if sys_id else None
        return row[column] if row else sys_id

    def _of_accounts(self) -> list[str]:
        expected = {
            account["user_name"]: account
            | {"manager": self.accounts[account["manager"]]["user_name"] if account["manager"] else ""}
            for account in self.accounts.values()
        }
        actual: dict[str, dict[str, str]] = {}
        found = []
        for row in self._ours("sys_user"):
            columns = [*COLUMNS.values(), "active", "locked_out", "user_name"]
            shown = {column: row[column] for column in columns}
            shown["manager"] = self._name("sys_user", row["manager"], "user_name")
            shown |= {column: self._name(table, row[column]) for column, table in REFERENCES.items()}
            if row["user_name"] in actual:
                found.append(f"two accounts of {row['user_name']}")
            actual[row["user_name"]] = shown
        return found + _compared("account", expected, actual)

    def _of_groups(self) -> list[str]:
        names = [row["name"] for row in self._ours("sys_user_group")]
        expected = {row["name"]: row for row in self.records.values()}
        actual = {
            row["name"]: {"name": row["name"], "description": row["description"]}
            for row in self._ours("sys_user_group")
        }
        double = [f"two groups {name}" for name in {name for name in names if names.count(name) > 1}]
        return double + _compared("group", expected, actual)

    def _of_memberships(self) -> list[str]:
        expected = sorted(
            f"{self.records[key]['name']} has {self.accounts[member]['user_name']}"
            for key, group in self.groups.items()
            if group.assigned or self.everyone
            for member in group.members & self.accounts.keys()
        )
        actual = sorted(
            f"{self._name('sys_user_group', row['group'])} has {self._name('sys_user', row['user'], 'user_name')}"
            for row in self._ours("sys_user_grmember")
        )
        missing = [f"missing: {text}" for text in expected if text not in actual]
        extra = [f"too much: {text}" for text in actual if text not in expected]
        double = [f"twice: {text}" for text in set(actual) if actual.count(text) > 1]
        return missing + extra + double


def _compared(kind: str, expected: dict[str, dict[str, str]], actual: dict[str, dict[str, str]]) -> list[str]:
    found = [f"{kind} {name} is missing" for name in expected.keys() - actual.keys()]
    found += [f"{kind} {name} should not be there: {actual[name]}" for name in actual.keys() - expected.keys()]
    for name in expected.keys() & actual.keys():
        found += [
            f"{kind} {name}: {column} is {actual[name][column]!r}, not {value!r}"
            for column, value in expected[name].items()
            if actual[name][column] != value
        ]
    return found
