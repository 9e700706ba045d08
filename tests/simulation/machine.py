"""Random histories: people are hired, renamed, moved and leave, groups change, others work in ServiceNow, and between
all that the program runs, meets faults, dies, is run twice at once, or is told something by a person.

Every history ends by settling: no fault any more, everything compared, held removals approved. Then both sides must
agree as the ledger says, and a further cycle writes nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from provisioning.engine import control
from provisioning.engine.driver import run_cycle
from provisioning.engine.jobs import LEASE_SECONDS
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import ConfigError, LeaseLost, ProvisioningError
from provisioning.rules.departures import Departures
from provisioning.rules.restart import parse_scopes
from provisioning.rules.review import Limits
from tests.company import DOMAIN
from tests.crashing import CRASHES, FAULTS, Kind, Mortal, mortal_world, mortality
from tests.emulators.graph import Duplicate, EmptyList, EmptyPage, ExpireDelta, Replay, UnknownRemoved
from tests.mappings import clause
from tests.simulation.ledger import Ledger
from tests.test_scope_stories import with_user_filter
from tests.world import GENEROUS

DAY = 86400.0
TIGHT = Limits(absolute=2, share=1.0, floor=2)
"""Two of a kind may be taken away without a person's word."""
MOST_CYCLES = 14
FIRST = 3
FEW = 4
MOST_EFFECTS = 5000
DEPARTMENTS = ("Engineering", "Design", "Legal", "Astronomy", "R^D")
"""The last two are not in ServiceNow from the beginning."""
OFFICES = ("Berlin", "London", "Athens", "")
COUNTRIES = ("GB", "DE")
ATTRIBUTES = ("jobTitle", "city", "givenName", "surname")
TEXTS = ("", "Analyst", "Clerk", "O'Neill", "a^b", "Ünal", "x" * 41)
FAULTY: tuple[tuple[Kind, str], ...] = tuple((kind, fault) for kind, faults in FAULTS.items() for fault in faults)
AT_GRAPH = (Replay(), Duplicate(3), UnknownRemoved(3), EmptyPage(), EmptyList(), *map(ExpireDelta, ("gone", "too-old")))
AT_SERVICENOW: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST batch", "hibernating", {}),
    ("POST batch", "too_many", {"times": 2, "retry_after": "30"}),
    ("POST batch", "dropped_session", {}),
    ("POST batch", "reply_lost", {"times": 2}),
    ("POST batch", "broken_body", {}),
    ("POST batch", "html", {"status": 502}),
    ("POST token", "status", {"status": 500}),
    ("* *", "unauthorized", {}),
    ("* *", "status", {"status": 503, "times": 3}),
    ("GET sys_user", "cut_stream", {}),
    ("GET sys_user", "error_in_stream", {}),
    ("GET sys_user_grmember", "cut_stream", {}),
    ("GET sys_user_grmember", "not_yet_visible", {}),
    ("batch: POST sys_user", "reply_lost", {}),
    ("batch: POST sys_user", "status_after_write", {"status": 500}),
    ("batch: POST sys_user", "denied_after_write", {}),
    ("batch: PATCH sys_user", "rule", {}),
    ("batch: POST sys_user_grmember", "rule", {}),
    ("batch: DELETE sys_user_grmember", "status", {"status": 503}),
)
SCOPES = ("None", "Watermark", "Escrows", "QuarantineState", "Watermark, Escrows")
index = st.integers(0, 11)
some_text = st.sampled_from(TEXTS)


def hold(wrong: list[str]) -> None:
    if wrong:
        raise AssertionError("\n".join(wrong))


class Histories(RuleBasedStateMachine):
    """`run` draws what the tenant and the job are like; each rule is one thing that happens."""

    world: Mortal
    ledger: Ledger
    counts: ClassVar[Counter[str]] = Counter()
    """What happened, over all histories of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._number = 0
        self._approved = False
        self._destroyed = False

    # The world

    @initialize(
        everyone=st.booleans(),
        nested=st.booleans(),
        deletes=st.booleans(),
        removes_memberships=st.booleans(),
        enforces=st.booleans(),
        tight=st.booleans(),
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
        self.ledger = Ledger(world.company, nested=nested, keeps_memberships=not removes_memberships, enforces=enforces)
        for _ in range(FIRST):
            self.hire(direct=True, manager=0, department="Design", office="Berlin", country="GB", found=False)
        self.found_group(members=[0, 1], assigned=True, soft=True)

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                hold(self.settle())
        finally:
            self._stack.close()

    @property
    def company(self):
        return self.world.company

    def _people(self, *, deleted: bool = False) -> list[str]:
        people = self.company.people
        return [n for n, key in self.company.ids.items() if key in people and people[key].deleted == deleted]

    def _person(self, number: int) -> str | None:
        people = self._people()
        return people[number % len(people)] if people else None

    def _groups(self, *, deleted: bool = False) -> list[str]:
        groups = self.company.groups
        return [n for n, key in self.company.ids.items() if key in groups and groups[key].deleted == deleted]

    def _group(self, number: int) -> str | None:
        groups = self._groups()
        return groups[number % len(groups)] if groups else None

    # What happens in the tenant

    @rule(
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

    @rule(who=index, attribute=st.sampled_from(ATTRIBUTES), value=some_text)
    def change(self, who: int, attribute: str, value: str) -> None:
        if name := self._person(who):
            self.company.change(name, **{attribute: value or None})

    @rule(who=index, department=st.sampled_from(DEPARTMENTS), office=st.sampled_from(OFFICES))
    def move(self, who: int, department: str, office: str) -> None:
        if name := self._person(who):
            self.company.change(name, department=department, officeLocation=office or None)

    @rule(who=index, country=st.sampled_from(COUNTRIES))
    def emigrate(self, who: int, country: str) -> None:
        if name := self._person(who):
            self.company.change(name, usageLocation=country)

    @rule(who=index)
    def rename(self, who: int) -> None:
        if (name := self._person(who)) and not self._is_forgotten(name):
            self._number += 1
            self.company.change(name, userPrincipalName=f"{name}.{self._number}@{DOMAIN}", mail=f"{name}@{DOMAIN}")

    def _is_forgotten(self, name: str) -> bool:
        """Whom a restart has made a stranger is found again by name only, in Entra as here."""
        return self.company.ids[name] in self.ledger.forgotten

    @rule(one=index, other=index)
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

    @rule(who=index, manager=st.one_of(st.none(), index))
    def report_to(self, who: int, manager: int | None) -> None:
        name, boss = self._person(who), self._person(manager) if manager is not None else None
        if name and boss != name:
            self.company.report_to(name, boss)

    @rule(who=index, enabled=st.booleans())
    def enable(self, who: int, *, enabled: bool) -> None:
        if name := self._person(who):
            self.company.enable(name, enabled=enabled)

    @rule(who=index, assigned=st.booleans())
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

    @rule(who=index)
    def delete(self, who: int) -> None:
        if (name := self._person(who)) and len(self._people()) > 1:
            self.company.delete(name)

    @rule(who=index)
    def restore(self, who: int) -> None:
        names = [n for n in self._people(deleted=True) if not self.company.people[self.company.ids[n]].purged]
        taken = {self.company.people[self.company.ids[n]].attributes["userPrincipalName"] for n in self._people()}
        if names:
            name = names[who % len(names)]
            if self.company.people[self.company.ids[name]].attributes["userPrincipalName"] not in taken:
                self.company.restore(name)

    @rule(who=index)
    def purge(self, who: int) -> None:
        names = [n for n in self._people(deleted=True) if not self.company.people[self.company.ids[n]].purged]
        if names:
            self.company.purge(names[who % len(names)])

    @rule(members=st.lists(index, max_size=3), assigned=st.booleans(), soft=st.booleans())
    def found_group(self, members: list[int], *, assigned: bool, soft: bool) -> None:
        self._number += 1
        name = f"G{self._number}"
        people = dict.fromkeys(self._person(each) for each in members)
        types = ["Unified"] if soft else []
        self.company.found(
            name, *(p for p in people if p), assigned=assigned, description=f"mark {name}", groupTypes=types
        )

    @rule(group=index)
    def rename_group(self, group: int) -> None:
        if name := self._group(group):
            self._number += 1
            self.company.rename_group(name, displayName=f"{name} {self._number}")

    @rule(group=index, who=index)
    def join(self, group: int, who: int) -> None:
        if (name := self._group(group)) and (person := self._person(who)):
            self.company.join(name, person)

    @rule(group=index, who=index)
    def part(self, group: int, who: int) -> None:
        if (name := self._group(group)) and (person := self._person(who)):
            self.company.part(name, person)

    @rule(outer=index, inner=index, inside=st.booleans())
    def nest(self, outer: int, inner: int, *, inside: bool) -> None:
        one, other = self._group(outer), self._group(inner)
        if one and other and one != other:
            (self.company.join if inside else self.company.part)(one, other)

    @rule(group=index, assigned=st.booleans())
    def assign_group(self, group: int, *, assigned: bool) -> None:
        if name := self._group(group):
            self._assign(name, assigned=assigned)

    @rule(group=index)
    def dissolve(self, group: int) -> None:
        if name := self._group(group):
            self.company.dissolve(name)

    @rule(group=index)
    def revive(self, group: int) -> None:
        soft = [n for n in self._groups(deleted=True) if self.company.ids[n] in self.world.directory.objects]
        if soft:
            self.company.revive(soft[group % len(soft)])

    # What happens in ServiceNow

    def _in_scope_with_account(self, who: int) -> str | None:
        accounts = self.ledger.accounts()
        found = [key for key in accounts if self.ledger.in_scope(key) and accounts[key][0]["employee_number"]]
        return found[who % len(found)] if found else None

    @rule(who=index, column=st.sampled_from(("title", "city", "first_name")), value=some_text)
    def edit_by_others(self, who: int, column: str, value: str) -> None:
        if key := self._in_scope_with_account(who):
            self.ledger.meddle(key, column, value)

    @rule(who=index)
    def delete_by_others(self, who: int) -> None:
        many = len(self.ledger.accounts()) >= FEW  # where most are gone, the program takes it for another instance
        if many and not self._destroyed and (key := self._in_scope_with_account(who)):
            self._destroyed = True
            self.ledger.destroy(key)

    @rule(name=st.sampled_from(DEPARTMENTS[3:]))
    def department_appears(self, name: str) -> None:
        if not self.world.instance.find("cmn_department", name=name):
            self.world.instance.insert("cmn_department", {"name": name})

    @rule(group=index)
    def stranger_joins(self, group: int) -> None:
        """Somebody in ServiceNow puts one of their own people into a group of ours."""
        records = [row for key in self.company.groups for row in self.ledger._records(key)]
        if records:
            (local,) = self.world.instance.find("sys_user", user_name="charlie.whitherspoon")
            record = records[group % len(records)]["sys_id"]
            if not self.world.instance.find("sys_user_grmember", group=record, user=local["sys_id"]):
                row = self.world.instance.insert("sys_user_grmember", {"group": record, "user": local["sys_id"]})
                self.company.foreign["sys_user_grmember", row["sys_id"]] = row

    # What happens to the program

    @rule(minutes=st.sampled_from((1, 10, 40, 400, 1500, 8 * 1440)))
    def time_passes(self, minutes: int) -> None:
        self.world.pass_time(minutes * 60.0)

    @rule()
    def run_a_cycle(self) -> None:
        self._live()

    @rule(of=st.sampled_from(FAULTY), number=st.integers(1, 12), times=st.integers(1, 2), buried=st.booleans())
    def run_a_cycle_with_a_fault(self, of: tuple[Kind, str], number: int, times: int, *, buried: bool) -> None:
        kind, fault = of
        self.world.fuse.set(number, fault, kind=kind, times=1 if fault in CRASHES else times)
        outlived = self._live()
        self.world.fuse.set(0, "")
        self.world.instance.faults.clear()
        self._mourn(outlived=outlived, buried=buried)

    def _mourn(self, *, outlived: bool, buried: bool) -> None:
        """The next process goes on at once where somebody can prove that this one is dead, else when its lease ends."""
        if not outlived and buried:
            self.world.bury()
        elif not outlived:
            self.world.pass_time(LEASE_SECONDS)

    @rule(number=st.integers(1, 60), fault=st.sampled_from(("crash before", "crash after")), buried=st.booleans())
    def run_a_cycle_that_dies(self, number: int, fault: str, *, buried: bool) -> None:
        self.world.fuse.set(number, fault)
        outlived = self._live()
        self.world.fuse.set(0, "")
        self._mourn(outlived=outlived, buried=buried)

    @rule(fault=st.sampled_from(AT_SERVICENOW), skip=st.integers(0, 5))
    def run_a_cycle_while_servicenow_fails(self, fault: tuple[str, str, dict[str, Any]], skip: int) -> None:
        on, effect, details = fault
        planned = self.world.instance.faults.add(on, effect, skip=skip, **details)  # type: ignore[arg-type]
        self._live()
        self.counts["runs that a fault met"] += planned.happened > 0
        self.world.instance.faults.clear()

    @rule(fault=st.sampled_from(AT_GRAPH), kind=st.sampled_from(("GET /users/delta", "GET /groups/delta", "*")))
    def run_a_cycle_while_graph_errs(self, fault: Any, kind: str) -> None:
        self.world.directory.behaviour.faults.add(fault, kind)
        self._live()
        self.counts["runs that a fault met"] += not self.world.directory.behaviour.faults.waiting
        self.world.directory.behaviour.faults.clear()

    @rule()
    def run_two_cycles_at_once(self) -> None:
        async def both() -> None:
            engines = self.world.engine(), self.world.engine()
            results = await asyncio.gather(*(run_cycle(each) for each in engines), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, LeaseLost | ConfigError):
                    raise result

        self._observed(lambda: self.world.run(both()))

    @rule(
        who=index, fault=st.sampled_from(("", "crash before", "crash after", "reply lost")), number=st.integers(1, 25)
    )
    def run_on_demand(self, who: int, fault: str, number: int) -> None:
        names = [*self._people(), *self._groups()]
        key = self.company.ids[names[who % len(names)]]

        def act() -> None:
            self.world.fuse.set(number, fault)
            with mortality():
                try:
                    self.world.run(provision_on_demand(self.world.engine(), key, write=True))
                except ProvisioningError:
                    return

        self._observed(act)
        self.world.fuse.set(0, "")
        self.world.restart()

    @rule()
    def plan(self) -> None:
        self.world.forget_counts()
        try:
            self.world.cycle(dry_run=True)
        except (LeaseLost, ConfigError):
            return
        hold(["a dry run writes"] if self.world.writes() else [])

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

    def _live(self) -> bool:
        self.world.fuse.seen.clear()
        outlived: list[bool] = []
        self._observed(lambda: outlived.append(self.world.live()))
        return bool(outlived and outlived[0])

    def _observed(self, act: Any) -> None:
        self.ledger.note()
        self.counts["runs"] += 1
        try:
            act()
        except (LeaseLost, ConfigError):
            return
        finally:
            wrong = list(self.ledger.ran(self.world.now()))
        self.counts["runs that a fault met"] += self.world.fuse.counted >= self.world.fuse.number > 0
        self.counts["runs that died"] += self.world.fuse.dead
        hold(wrong)

    @invariant()
    def within_the_limit(self) -> None:
        if not hasattr(self, "world") or self.world.limits is not TIGHT or self._approved:
            return
        number = self.ledger.disabled_within(DAY, self.world.now())
        hold([f"{number} were disabled in a day, {TIGHT.absolute} may be"] if number > TIGHT.absolute else [])

    # The end

    def settle(self) -> list[str]:
        """What is wrong when nothing fails any more: first after cycles that read changes alone, which must be enough
        unless others have changed what is ours, then after everything was compared.
        """
        world = self.world
        world.fuse.set(0, "")
        world.instance.faults.clear()
        world.directory.behaviour.faults.clear()
        world.restart()
        world.pass_time(LEASE_SECONDS)
        world.run(control.start(world.engine(), by="a person"))
        if not self.ledger.interfered and (wrong := self._come_to_rest()):
            return [f"before everything is compared: {text}" for text in wrong]
        world.run(control.reconcile(world.engine(), by="a person"))
        if not (wrong := self._come_to_rest()):
            self.counts["histories that settled"] += 1
            self.counts["accounts compared"] += len(self.ledger.accounts())
            self.ledger.settled()
        return wrong

    def _come_to_rest(self) -> list[str]:
        """Runs cycles until one writes nothing; what is wrong then."""
        world = self.world
        for number in range(MOST_CYCLES):
            state, _ = world.run(world.engine().context.rows.state())
            if state.held is not None:
                self._approved = True
                world.run(world.engine().approve(state.held.plan, by="a person"))
            world.forget_counts()
            world.fuse.set(0, "")
            self.ledger.note()
            progress = world.cycle()
            wrong = list(self.ledger.ran(world.now()))
            if wrong:
                return wrong
            idle = not world.writes() and not world.left()
            idle = idle or (self.ledger.is_blocked and number > MOST_CYCLES // 2)  # it is tried for ever
            # The first cycles may go on with what was begun, and what died an hour ago is cleared away then.
            if number > 1 and progress.finished and idle and progress.held is None:
                return [*self.ledger.differences(), *world.miscounted()]
            world.pass_time(world.pace.interval if idle else max(world.pace.interval, DAY + 1.0))
        halted = progress.halted.message if progress.halted else ""
        return [
            f"not settled: writes {world.writes()}, left {world.left()}, halted {halted!r}",
            *self.ledger.differences(),
        ]
