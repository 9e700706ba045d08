"""Groups that carry security_admin, story by story: ServiceNow lets nobody change their members who does not hold that
role elevated. Recognised by what the instance tells, asked for once, and written when the role is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from provisioning.engine import control
from provisioning.engine.on_demand import provision_on_demand
from provisioning.rules.quarantine import Thresholds
from tests.emulators.servicenow import INTEGRATION_USER
from tests.emulators.servicenow.in_process import MEMBERS, calling, item
from tests.emulators.servicenow.seed import NATASHA_ID
from tests.served import Served, serving
from tests.test_cli import Person, accounts
from tests.test_cycle_stories import ACTIVE, DOMAIN, group_of, hire, state
from tests.test_protection_stories import LATER, grant, role
from tests.world import World, small_world

CODE = "SecurityAdminGroup"
HOUR = 3600.0
INSERTS, DELETES = "batch: POST sys_user_grmember", "batch: DELETE sys_user_grmember"
ACL = "ACL Exception {} Failed due to security constraints"


class Asked(httpx.AsyncBaseTransport):
    """Notes how often the instance is asked who carries security_admin; if it is unwell, it does not say."""

    def __init__(self, world: Asking) -> None:
        self._world = world
        self._inner = World.way_to_servicenow(world)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "role.name" in request.url.params.get("sysparm_query", ""):
            self._world.reads += 1
            if self._world.unwell:
                return httpx.Response(503)
        return await self._inner.handle_async_request(request)


@dataclass
class Asking(World):
    reads: int = 0
    unwell: bool = False
    groups: dict[str, str] = field(default_factory=dict)
    """The groups by name, with their ids in Entra."""

    def way_to_servicenow(self) -> Any:
        return Asked(self)


@pytest.fixture
def world(tmp_path):
    """Two managed groups, each with one member from the beginning."""
    with small_world(tmp_path) as plain:
        world = Asking(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
        for name in ("Guards", "Readers"):
            world.groups[name] = group_of(world, name, hire(world, f"first of {name.lower()}".replace(" ", ".")))
        world.cycle()
        world.pass_time(LATER)
        world.forget_counts()
        yield world


def sys_id(world, name="Guards"):
    return world.instance.find("sys_user_group", name=name)[0]["sys_id"]


def guard(world, name="Guards"):
    """Somebody in ServiceNow gives the group the role; answers what takes it off again."""
    row = {"group": sys_id(world, name), "role": role(world, "security_admin")}
    return world.instance.insert("sys_group_has_role", row)["sys_id"]


def take_off(world, granted):
    world.instance.delete("sys_group_has_role", granted)


def join(world, number, group="Guards"):
    people = [hire(world, f"{group.lower()}{n}") for n in range(number)]
    for user in people:
        world.directory.add_member(world.groups[group], user)
    return people


def failures(world, code=CODE):
    """What the log tells of failures with that code, newest first."""
    found = [entry["provisioningStatusInfo"] for entry in world.journal()]
    return [each["errorInformation"] for each in found if each["status"] == "failure" and _code(each) == code]


def _code(info):
    return info["errorInformation"]["errorCode"]


def size(world, name="Guards"):
    return len(world.members(name))


# --- The emulator ---------------------------------------------------------------------------------


def test_the_emulator_refuses_to_change_the_members_of_a_group_with_the_role_in_the_words_of_an_acl():
    with calling() as call:
        instance = call.instance
        (elevated,) = instance.find("sys_user_role", name="security_admin")
        group = instance.insert("sys_user_group", {"name": "Guards"})["sys_id"]
        below = instance.insert("sys_user_group", {"name": "Below", "parent": group})["sys_id"]
        member = instance.insert("sys_user_grmember", {"group": group, "user": NATASHA_ID})["sys_id"]
        row = {"group": group, "role": elevated["sys_id"]}
        granted = instance.insert("sys_group_has_role", row)["sys_id"]
        for method, path, fields, operation in (
            ("POST", MEMBERS, {"group": group, "user": NATASHA_ID}, "Insert"),
            ("DELETE", f"{MEMBERS}/{member}", None, "Delete"),
        ):
            refused = call(method, path, json=fields) if fields else call(method, path)
            assert refused.status_code == 403
            error = {"message": "Operation Failed", "detail": ACL.format(operation)}
            assert refused.json() == {"error": error, "status": "failure"}
            in_batch = call.batch(item("1", method, path, fields)).json()["serviced_requests"]
            assert [each["status_code"] for each in in_batch] == [403]
        assert call("POST", MEMBERS, json={"group": below, "user": NATASHA_ID}).status_code == 201
        instance.delete("sys_group_has_role", granted)
        assert call("DELETE", f"{MEMBERS}/{member}").status_code == 204


def test_the_emulator_lets_pass_who_holds_the_role_and_has_elevated_to_it():
    with calling() as call:
        instance = call.instance
        (elevated,) = instance.find("sys_user_role", name="security_admin")
        group = instance.insert("sys_user_group", {"name": "Guards"})["sys_id"]
        instance.insert("sys_group_has_role", {"group": group, "role": elevated["sys_id"]})

        def status():
            return call("POST", MEMBERS, json={"group": group, "user": NATASHA_ID}).status_code

        call.control("PATCH", "/switches", {"elevation": "held"})
        assert status() == 403, "admin is not enough"
        (admin,) = instance.find("sys_user", user_name="admin")
        instance.insert("sys_user_has_role", {"user": admin["sys_id"], "role": elevated["sys_id"]})
        assert status() == 201
        call.control("PATCH", "/switches", {"elevation": "none"})
        assert status() == 403


# --- What a cycle tells ---------------------------------------------------------------------------


def test_an_addition_that_is_refused_names_the_group_the_number_that_waits_and_the_way_out(world):
    guard(world)
    join(world, 3)
    progress = world.cycle()
    assert progress.finished
    assert (size(world), progress.counts["memberships.failed"]) == (1, 3)
    (error, *others) = failures(world)
    assert len(others) == 2
    assert sys_id(world) in error["reason"]
    assert "3 memberships of it wait" in error["reason"]
    for way_out in ("ServiceNow administrator", "elevated", "take the role security_admin off", "from the scope"):
        assert way_out in error["recommendedAction"]
    assert state(world, "guards0") == ACTIVE


def test_a_removal_that_is_refused_tells_the_same_and_is_tried_in_each_cycle_with_one_call(world):
    people = join(world, 4)
    world.cycle()
    granted = guard(world)
    for user in people:
        world.directory.remove_member(world.groups["Guards"], user)
    for number in (1, 2):
        world.pass_time(LATER)
        world.cycle()
        assert world.instance.counts[DELETES] == number
        assert (size(world), len(failures(world)), world.reads) == (5, 4 * number, number)
        assert "4 memberships of it wait" in failures(world)[0]["reason"]
    take_off(world, granted)
    world.pass_time(2400.0)
    world.cycle()
    assert size(world) == 1


def test_fifty_members_cost_one_write_and_one_question_and_the_rest_of_the_cycle_goes_on(world):
    guard(world)
    join(world, 50)
    join(world, 5, "Readers")
    world.cycle()
    assert world.instance.counts[INSERTS] == 1 + 5
    assert world.reads == 1
    assert (size(world), size(world, "Readers")) == (1, 6)
    assert len(failures(world)) == 50
    assert {error["reason"].partition("; ")[2] for error in failures(world)} == {"50 memberships of it wait"}


def test_what_waits_for_its_next_try_is_in_the_number(world):
    guard(world)
    join(world, 3)
    world.cycle()
    world.directory.add_member(world.groups["Guards"], hire(world, "latecomer"))
    world.pass_time(2400.0)
    world.cycle()
    assert world.instance.counts[INSERTS] == 2
    assert "4 memberships of it wait" in failures(world)[0]["reason"]


def test_two_groups_are_told_apart_and_asked_for_together(world):
    guard(world)
    guard(world, "Readers")
    join(world, 3)
    join(world, 2, "Readers")
    world.cycle()
    assert (world.instance.counts[INSERTS], world.reads) == (2, 1)
    told = Counter(error["reason"].split()[2] for error in failures(world))
    assert told == {sys_id(world): 3, sys_id(world, "Readers"): 2}


def test_a_role_that_came_a_moment_ago_costs_no_more_than_what_was_under_way(world):
    join(world, 1)
    world.cycle()  # that the group carries no role is known for some minutes now
    guard(world)
    for user in [hire(world, f"crowd{n}") for n in range(50)]:
        world.directory.add_member(world.groups["Guards"], user)
    world.forget_counts()
    progress = world.cycle()
    assert world.instance.counts[INSERTS] <= 50
    assert (world.reads, len(failures(world))) == (1, 50)
    assert progress.counts["failed alike"] == 49


def test_a_group_counts_for_the_quarantine_as_one_failure(world):
    world.thresholds = Thresholds(least=2, share=0.0, most=2)
    world.restart()
    guard(world)
    join(world, 10)
    progress = world.cycle()
    state, _ = world.run(world.engine().context.rows.state())
    assert (progress.counts["memberships.failed"], state.quarantine) == (10, None)


def test_a_role_held_elevated_lets_the_memberships_through_without_a_question(world):
    guard(world)
    (own,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    (admin,) = world.instance.find("sys_user", user_name="admin")
    for account in (own, admin):
        grant(world, account["sys_id"], "security_admin")
    world.instance.switches.elevation = "held"
    join(world, 3)
    world.cycle()
    assert (size(world), world.reads) == (4, 0)


# --- When it is tried again -----------------------------------------------------------------------


def test_the_members_come_in_by_themselves_after_the_pause_once_the_role_is_gone(world):
    granted = guard(world)
    join(world, 5)
    world.cycle()
    take_off(world, granted)
    world.pass_time(2400.0)
    world.cycle()
    assert (size(world), world.instance.counts[INSERTS]) == (1, 1), "it is tried after six hours"
    world.pass_time(6 * HOUR)
    world.cycle()
    assert size(world) == 6


def test_as_long_as_the_role_is_there_each_pause_ends_with_one_try(world):
    guard(world)
    join(world, 5)
    world.cycle()
    for number, hours in ((2, 6.1), (3, 6.0), (4, 12.0)):
        world.pass_time(hours * HOUR)
        world.cycle()
        assert (world.instance.counts[INSERTS], world.reads) == (number, number)


def test_a_resync_of_the_group_tries_at_once(world):
    granted = guard(world)
    join(world, 5)
    world.cycle()
    take_off(world, granted)
    world.run(control.resync(world.engine(), "group", world.groups["Guards"], by="a person"))
    world.cycle()
    assert size(world) == 6


def test_members_that_an_administrator_put_in_by_hand_are_taken_for_ours(world):
    guard(world)
    join(world, 1)
    world.cycle()
    fields = {"group": sys_id(world), "user": world.account(f"guards0@{DOMAIN}")["sys_id"]}
    world.instance.insert("sys_user_grmember", fields)
    world.pass_time(7 * HOUR)
    assert world.cycle().counts.get("memberships.failed", 0) == 0
    assert (world.instance.counts[INSERTS], size(world)) == (1, 2)


# --- On demand ------------------------------------------------------------------------------------


def test_on_demand_shows_the_code_in_the_steps_of_each_membership_and_asks_once(world):
    guard(world)
    join(world, 4)
    answer = world.run(provision_on_demand(world.engine(), "Guards", write=True))
    members = [each for each in answer.entries if each["sourceIdentity"]["identityType"] == "GroupMembership"]
    steps = [each["provisioningSteps"][-1] for each in members if _code(each["provisioningStatusInfo"]) == CODE]
    assert [(step["status"], step["details"]["ErrorCode"]) for step in steps] == [("failure", CODE)] * 4
    assert (world.instance.counts[INSERTS], world.reads) == (1, 1)


# --- Other refusals -------------------------------------------------------------------------------


def test_a_right_that_is_missing_is_not_taken_for_the_role_of_the_group(world):
    (itil,) = world.instance.find("sys_user_role", name="itil")
    world.instance.insert("sys_group_has_role", {"group": sys_id(world), "role": itil["sys_id"]})
    guard(world, "Readers")
    world.instance.access.no_insert.add("sys_user_grmember")
    join(world, 5)
    world.cycle()
    told = failures(world, "InsufficientRights")
    assert (len(told), failures(world), world.reads) == (5, [], 1)
    assert not any("security_admin" in error["reason"] for error in told)
    assert world.instance.counts[INSERTS] == 5


def test_a_business_rule_is_no_question_of_rights(world):
    guard(world)
    rule = {"name": "No", "collection": "sys_user_grmember", "active": "true", "abort_action": "true"}
    everybody = {"action_insert": "true", "filter_condition": "userISNOTEMPTY"}
    world.instance.insert("sys_script", {**rule, **everybody})
    join(world, 2, "Readers")
    world.cycle()
    assert (len(failures(world, "NotPermitted")), world.reads) == (2, 0)


@pytest.mark.parametrize("forbidden", ["table", "rows", "name of the role"])
def test_where_the_reason_cannot_be_read_it_says_so_and_remains_a_lack_of_rights(world, forbidden):
    guard(world)
    match forbidden:
        case "table":
            world.instance.access.no_query.add("sys_group_has_role")
        case "rows":
            world.instance.access.hidden_rows["sys_group_has_role"] = f"group={sys_id(world)}"
        case "name of the role":
            world.instance.access.no_match["sys_user_role"].add("name")
    join(world, 3)
    world.cycle()
    told = failures(world, "InsufficientRights")
    assert (len(told), failures(world)) == (3, [])
    assert all("security_admin, which would explain it, is not known" in error["reason"] for error in told)
    assert all("sys_group_has_role" in error["recommendedAction"] for error in told)
    assert world.instance.counts[INSERTS] == 3, "without evidence nothing is left out"
    assert world.reads <= 2  # by sys_id, and where that is refused by offset


def test_an_instance_that_is_unwell_when_it_is_asked_costs_no_outcome(world):
    guard(world)
    join(world, 2)
    world.unwell = True
    assert world.cycle().counts["memberships.failed"] == 2
    told = failures(world, "InsufficientRights")
    assert ["is not known" in error["reason"] for error in told] == [True, True]
    world.unwell = False
    world.pass_time(7 * HOUR)
    world.cycle()
    assert len(failures(world)) == 2


# --- check ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


@pytest.fixture
def person(emulators, tmp_path) -> Person:
    emulators.begin_again(users=20, groups=2)
    return Person(emulators, tmp_path)


def a_managed_group(person):
    ours = {row["sys_id"] for row in accounts(person.served)}
    row = next(row for row in person.served.records("sys_user_grmember") if row["user"] in ours)
    return person.served.records("sys_user_group", f"sys_id={row['group']}")[0]


def told_by_check(person):
    (found,) = [each for each in person.gets("check")["findings"] if each["what"] == "groups with security_admin"]
    return found


def test_check_names_the_managed_groups_that_carry_the_role_and_no_others(person):
    (elevated,) = person.served.records("sys_user_role", "name=security_admin")
    local = person.served.servicenow.post("/records/sys_user_group", name="Local")
    row = {"role": elevated["sys_id"], "group": local["sys_id"]}
    person.served.servicenow.post("/records/sys_group_has_role", **row)
    assert person.types("run").returncode == 0
    assert told_by_check(person)["verdict"] == "ok"
    group = a_managed_group(person)
    person.served.servicenow.post("/records/sys_group_has_role", **(row | {"group": group["sys_id"]}))
    found = told_by_check(person)
    assert (found["verdict"], found["owner"]) == ("warning", "ServiceNow administrator")
    assert f"1 managed group: {group['name']} ({group['sys_id']})" in found["detail"]
    assert "elevated" in found["wayOut"]


def test_check_says_where_it_cannot_read_which_groups_carry_the_role(person):
    person.served.servicenow.patch("/access", no_query=["sys_group_has_role"])
    found = told_by_check(person)
    assert found["verdict"] == "warning"
    assert "sys_group_has_role" in found["wayOut"]
