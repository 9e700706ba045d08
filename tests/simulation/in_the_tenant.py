"""What happens in the tenant: people are hired, renamed, moved and leave, groups change, and who is assigned."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.company import DOMAIN
from tests.simulation.scene import ATTRIBUTES, COUNTRIES, DEPARTMENTS, OFFICES, Scene, happening, index, some_text


class InTheTenant(Scene):
    @happening(
        direct=st.booleans(),
        manager=index,
        department=st.sampled_from(DEPARTMENTS),
        office=st.sampled_from(OFFICES),
        country=st.sampled_from(COUNTRIES),
        found=st.booleans(),
    )
    def hire(self, *, direct: bool, manager: int, department: str, office: str, country: str, found: bool) -> None:
        """`found`: ServiceNow holds an account of the name already."""
        self._number += 1
        name, boss = f"p{self._number}", self._person(manager)
        if found:
            self.world.instance.insert("sys_user", {"user_name": f"{name}@{DOMAIN}", "title": "Clerk"})
            self.ledger.titles.add("Clerk")
        self.company.hire(
            name,
            direct=direct,
            manager=boss,
            department=department,
            officeLocation=office or None,
            usageLocation=country,
            employeeId=f"E{self._number}",
        )

    @happening(who=index, attribute=st.sampled_from(ATTRIBUTES), value=some_text)
    def change(self, who: int, attribute: str, value: str) -> None:
        if name := self._person(who):
            self.company.change(name, **{attribute: value or None})

    @happening(who=index, department=st.sampled_from(DEPARTMENTS), office=st.sampled_from(OFFICES))
    def move(self, who: int, department: str, office: str) -> None:
        if name := self._person(who):
            self.company.change(name, department=department, officeLocation=office or None)

    @happening(who=index, country=st.sampled_from(COUNTRIES))
    def emigrate(self, who: int, country: str) -> None:
        if name := self._person(who):
            self.company.change(name, usageLocation=country)

    @happening(who=index)
    def rename(self, who: int) -> None:
        if (name := self._person(who)) and not self._is_forgotten(name):
            self._number += 1
            self.company.change(name, userPrincipalName=f"{name}.{self._number}@{DOMAIN}", mail=f"{name}@{DOMAIN}")

    def _is_forgotten(self, name: str) -> bool:
        """Whom a restart has made a stranger is found again by name only, in Entra as here."""
        return self.company.ids[name] in self.ledger.forgotten

    @happening(one=index, other=index)
    def swap_names(self, one: int, other: int) -> None:
        first, second = self._person(one), self._person(other)
        if first is None or second is None or first == second:
            return
        if self._is_forgotten(first) or self._is_forgotten(second):
            return
        names = [
            self.company.people[self.company.ids[each]].attributes["userPrincipalName"] for each in (first, second)
        ]
        self._number += 1
        self.company.change(first, userPrincipalName=f"aside.{self._number}@{DOMAIN}")
        self.company.change(second, userPrincipalName=names[0])
        self.company.change(first, userPrincipalName=names[1])

    @happening(who=index, manager=st.one_of(st.none(), index))
    def report_to(self, who: int, manager: int | None) -> None:
        name, boss = self._person(who), self._person(manager) if manager is not None else None
        if name and boss != name:
            self.company.report_to(name, boss)

    @happening(who=index, enabled=st.booleans())
    def enable(self, who: int, *, enabled: bool) -> None:
        if name := self._person(who):
            self.company.enable(name, enabled=enabled)

    @happening(who=index, assigned=st.booleans())
    def assign(self, who: int, *, assigned: bool) -> None:
        if name := self._person(who):
            self._assign(name, assigned=assigned)

    def _assign(self, name: str, *, assigned: bool) -> None:
        key = self.company.ids[name]
        person, group = self.company.people.get(key), self.company.groups.get(key)
        if (person.direct if person else group.assigned) == assigned:
            return
        if assigned:
            self.company.assign(name)
        else:
            self.company.unassign(name)

    @happening(who=index)
    def delete(self, who: int) -> None:
        if (name := self._person(who)) and len(self._people()) > 1:
            self.company.delete(name)

    @happening(who=st.lists(index, min_size=3, max_size=5))
    def lay_off(self, who: list[int]) -> None:
        """Several leave at once."""
        for number in who:
            if name := self._person(number):
                self.company.enable(name, enabled=False)

    @happening(who=index)
    def restore(self, who: int) -> None:
        names = [n for n in self._people(deleted=True) if not self.company.people[self.company.ids[n]].purged]
        taken = {self.company.people[self.company.ids[n]].attributes["userPrincipalName"] for n in self._people()}
        if names:
            name = names[who % len(names)]
            if self.company.people[self.company.ids[name]].attributes["userPrincipalName"] not in taken:
                self.company.restore(name)

    @happening(who=index)
    def purge(self, who: int) -> None:
        names = [n for n in self._people(deleted=True) if not self.company.people[self.company.ids[n]].purged]
        if names:
            self.company.purge(names[who % len(names)])

    @happening(members=st.lists(index, max_size=3), assigned=st.booleans(), soft=st.booleans())
    def found_group(self, members: list[int], *, assigned: bool, soft: bool) -> None:
        self._number += 1
        name = f"G{self._number}"
        people = dict.fromkeys(self._person(each) for each in members)
        types = ["Unified"] if soft else []
        self.company.found(
            name, *(p for p in people if p), assigned=assigned, description=f"mark {name}", groupTypes=types
        )

    @happening(group=index)
    def rename_group(self, group: int) -> None:
        if name := self._group(group):
            self._number += 1
            self.company.rename_group(name, displayName=f"{name} {self._number}")

    @happening(group=index, who=index)
    def join(self, group: int, who: int) -> None:
        if (name := self._group(group)) and (person := self._person(who)):
            self.company.join(name, person)

    @happening(group=index, who=index)
    def part(self, group: int, who: int) -> None:
        if (name := self._group(group)) and (person := self._person(who)):
            self.company.part(name, person)

    @happening(outer=index, inner=index, inside=st.booleans())
    def nest(self, outer: int, inner: int, *, inside: bool) -> None:
        one, other = self._group(outer), self._group(inner)
        if one and other and one != other:
            (self.company.join if inside else self.company.part)(one, other)

    @happening(group=index, assigned=st.booleans())
    def assign_group(self, group: int, *, assigned: bool) -> None:
        if name := self._group(group):
            self._assign(name, assigned=assigned)

    @happening(group=index)
    def dissolve(self, group: int) -> None:
        if name := self._group(group):
            self.company.dissolve(name)

    @happening(group=index)
    def revive(self, group: int) -> None:
        soft = [
            n for n in self._groups(deleted=True) if self.company.groups[self.company.ids[n]].attributes["groupTypes"]
        ]
        if soft:
            self.company.revive(soft[group % len(soft)])
