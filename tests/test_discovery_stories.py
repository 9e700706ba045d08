"""What `discover` says of the accounts and groups of an instance, state by state, against both emulators."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from provisioning.engine.discovery import Discovered, discover
from provisioning.engine.links import Links
from provisioning.engine.registry import Registered
from provisioning.errors import ConfigError, Unauthorized, Unavailable
from provisioning.model import Link
from provisioning.rules.departures import Departures
from provisioning.rules.protection import Protection
from provisioning.rules.scope import DEFAULT_ACCESS
from tests.emulators.graph.behaviour import Duplicate, EmptyList, Fail
from tests.mappings import clause, scope
from tests.test_cycle_stories import DOMAIN, group_of, hire
from tests.test_mapping_stories import map_user
from tests.test_protection_stories import grant, local_group
from tests.test_scope_stories import change_users
from tests.world import World, small_world

DAY = 86400.0
KEY = {"matching_priority": 1}


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        hire(world, "colleague")
        yield world


def local(world: World, name: str, *, idle: float = 1, domain: str = DOMAIN, **fields) -> str:
    """An account that ServiceNow's own people made, and whose owner logged in so many days ago."""
    login = datetime.fromtimestamp(world.now() - idle * DAY, UTC).strftime("%Y-%m-%d %H:%M:%S")
    known = {"user_name": f"{name}@{domain}", "active": "true", "last_login_time": login, **fields}
    return world.instance.insert("sys_user", known)["sys_id"]


def found(world: World, kind="user", *, stale_days: int = 90) -> dict[str, Discovered]:
    """Every record by sys_id, as a process of its own sees it."""
    engine = world.engine(dry_run=True)

    async def gather():
        jobs = await engine.registry.jobs()
        return await discover(engine.context, kind, jobs, lambda *_: None)

    return {each.sys_id: each for each in world.run(gather()).records(stale_days)}


def of(world: World, name: str, **options) -> Discovered:
    (only,) = [each for each in found(world, **options).values() if each.name == f"{name}@{DOMAIN}"]
    return only


def state(world: World, name: str, **options) -> str:
    return of(world, name, **options).state


# --- Managed --------------------------------------------------------------------------------------


def test_what_the_job_created_or_adopted_is_managed(world):
    adopted = local(world, "grace")
    hire(world, "ada")
    hire(world, "grace")
    world.cycle()
    ada = of(world, "ada")
    assert (ada.state, ada.job, ada.active, len(ada.sources)) == ("managed", "job", True, 1)
    assert found(world)[adopted].reason == "linked by this job"


def test_what_another_job_of_the_instance_holds_is_managed_by_that_job(world):
    theirs = local(world, "grace", idle=400)

    async def another_job():
        engine = world.engine()
        await engine.registry.enter("other", Registered("tenant", "application", everyone=False))
        await Links(world.store, "other").save([(Link("user", "grace-id", sys_id=theirs), "")])

    world.run(another_job())
    grace = found(world)[theirs]
    assert (grace.state, grace.job, grace.sources) == ("managed", "other", ("grace-id",))
    assert grace.reason == "linked by job other"


def test_who_is_in_scope_and_not_linked_yet_is_managed_by_the_next_cycle(world):
    known = local(world, "grace")
    hire(world, "grace")
    grace = found(world)[known]
    assert (grace.state, grace.job) == ("managed", "")
    assert "not linked yet" in grace.reason
    world.cycle()
    assert found(world)[known].reason == "linked by this job"


def test_members_of_assigned_groups_are_in_scope(world):
    known = local(world, "grace")
    grace = hire(world, "grace", assigned=False)
    group_of(world, "Pioneers", grace)
    assert found(world)[known].state == "managed"


def test_members_of_groups_within_count_where_the_job_expands_them(tmp_path):
    for nested_groups, expected in ((False, "unassigned"), (True, "managed")):
        with small_world(tmp_path, nested_groups=nested_groups) as world:
            known = local(world, "grace")
            grace = hire(world, "grace", assigned=False)
            inner = group_of(world, "Inner", grace, assigned=False)
            group_of(world, "Outer", inner)
            assert found(world)[known].state == expected


def test_with_everybody_in_scope_nobody_needs_an_assignment(tmp_path):
    with small_world(tmp_path, everyone=True) as world:
        known = local(world, "grace")
        hire(world, "grace", assigned=False)
        assert found(world)[known].state == "managed"
        assert not world.directory.counts["GET /servicePrincipals/{id}/appRoleAssignedTo"]


# --- Matched but unassigned -----------------------------------------------------------------------


def test_who_has_a_user_in_entra_without_an_assignment_is_unassigned(world):
    known = local(world, "grace", idle=400)
    grace = hire(world, "grace", assigned=False)
    told = found(world)[known]
    assert (told.state, told.sources) == ("unassigned", (grace,))
    assert "1) not assigned to the application" in told.reason


def test_who_is_assigned_and_filtered_out_or_disabled_is_unassigned_with_the_reason(world):
    change_users(world, scope=scope([clause("department", "EQUALS", "Finance")]))
    sales, leaver = local(world, "grace"), local(world, "linus")
    hire(world, "grace", department="Sales")
    world.directory.update_user(hire(world, "linus", department="Finance"), accountEnabled=False)
    told = found(world)
    assert [told[each].state for each in (sales, leaver)] == ["unassigned", "unassigned"]
    assert "scoping filter" in told[sales].reason
    assert "accountEnabled is false" in told[leaver].reason


def test_filters_on_groups_are_judged_as_in_a_cycle(world):
    inside, outside = local(world, "grace"), local(world, "linus")
    watched = group_of(world, "Watched", hire(world, "grace"), assigned=False)
    hire(world, "linus")
    change_users(world, scope=scope([clause("memberOf", "EQUALS", watched)]))
    told = found(world)
    assert (told[inside].state, told[outside].state) == ("managed", "unassigned")


def test_a_key_may_read_the_roles_that_give_access_directly_or_through_groups(world):
    map_user(world, "user_name", 'Join("-", [employeeId], SingleAppRoleAssignment([appRoleAssignments]))')
    map_user(world, "email", 'Join("-", [employeeId], SingleAppRoleAssignment([appRoleAssignments]))', **KEY)
    own, through = [local(world, name, email=name) for name in ("1-User", "2-User")]
    hire(world, "ada", employeeId="1")
    group_of(world, "Sales", hire(world, "bob", assigned=False, employeeId="2"))
    told = found(world)
    assert (told[own].state, told[through].state) == ("managed", "managed")


def test_default_access_does_not_put_anybody_in_scope_where_it_does_not_entitle(world):
    known = local(world, "grace")
    world.directory.assign(hire(world, "grace", assigned=False), DEFAULT_ACCESS)
    told = found(world)[known]
    assert told.state == "unassigned"
    assert "Default Access" in told.reason


def test_the_key_is_what_the_mapping_makes_of_the_source(world):
    map_user(world, "user_name", 'Join("-", "emp", [employeeId])', matching_priority=1)
    known = world.instance.insert("sys_user", {"user_name": "emp-7"})["sys_id"]
    other = local(world, "grace")
    hire(world, "grace", assigned=False, employeeId="7")
    told = found(world)
    assert (told[known].state, told[other].state) == ("unassigned", "local")


def test_a_second_key_finds_who_does_not_have_the_first(world):
    map_user(world, "employee_number", "employeeId", matching_priority=2)
    second = local(world, "g.hopper", employee_number="7")
    both = local(world, "ada", employee_number="8")
    of_ada = local(world, "countess", employee_number="8")
    hire(world, "grace", assigned=False, employeeId="7")
    hire(world, "ada", assigned=False, employeeId="8")
    told = found(world)
    assert (told[second].state, told[both].state) == ("unassigned", "unassigned")
    assert told[of_ada].state == "local", "the first key that finds something decides"


def test_a_tenant_of_several_pages_is_read_to_its_end(world):
    known = [local(world, f"u{n}") for n in range(2100)]
    for n in range(2100):
        hire(world, f"u{n}", assigned=False)
    told = found(world)
    assert {told[each].state for each in known} == {"unassigned"}
    assert world.directory.counts["GET /users"] == 3


def test_a_user_that_graph_lists_twice_is_one_user(world):
    known = local(world, "grace")
    hire(world, "grace", assigned=False)
    world.directory.behaviour.faults.add(Duplicate(count=9), "GET /users")
    assert found(world)[known].state == "unassigned"
    assert not world.directory.behaviour.faults.waiting, "it happened"


# --- Ambiguous ------------------------------------------------------------------------------------


def test_several_records_with_one_key_are_ambiguous(world):
    map_user(world, "user_name", "userPrincipalName")
    map_user(world, "email", "mail", matching_priority=1)
    twins = [local(world, f"grace{n}", email=f"grace@{DOMAIN}") for n in range(2)]
    alone = [local(world, f"nobody{n}", email="shared@local.example") for n in range(2)]
    without = [local(world, f"empty{n}", email="") for n in range(2)]
    hire(world, "grace")
    told = found(world)
    assert {told[each].state for each in (*twins, *alone)} == {"ambiguous"}
    assert f"{', '.join(sorted(twins))}" in told[twins[0]].reason
    assert {told[each].state for each in without} == {"local"}, "no key is no common key"


def test_of_records_with_one_key_the_only_active_one_is_taken(world):
    map_user(world, "user_name", "userPrincipalName")
    map_user(world, "email", "mail", matching_priority=1)
    old = local(world, "grace.old", email=f"grace@{DOMAIN}", active="false")
    new = local(world, "grace.new", email=f"grace@{DOMAIN}")
    hire(world, "grace", assigned=False)
    told = found(world)
    assert (told[old].state, told[new].state) == ("ambiguous", "unassigned")


def test_several_users_in_entra_with_one_key_make_their_record_ambiguous(world):
    map_user(world, "user_name", "mail", matching_priority=1)
    known = local(world, "grace")
    two = {hire(world, "grace"), world.directory.add_user(userPrincipalName="g2@x.example", mail=f"grace@{DOMAIN}")}
    told = found(world)[known]
    assert (told.state, set(told.sources)) == ("ambiguous", two)


def test_a_key_that_differs_in_case_or_accents_only_is_ambiguous(world):
    known = world.instance.insert("sys_user", {"user_name": f"GRACE@{DOMAIN}"})["sys_id"]
    hire(world, "grace")
    told = found(world)[known]
    assert told.state == "ambiguous"
    assert "case or accents" in told.reason


def test_a_record_with_the_key_of_somebody_who_has_another_record_is_ambiguous(world):
    hire(world, "grace")
    world.cycle()
    own = of(world, "grace").sys_id
    world.instance.update("sys_user", own, {"user_name": "renamed"})
    other = local(world, "grace")
    told = found(world)
    assert (told[own].state, told[other].state) == ("managed", "ambiguous")
    assert own in told[other].reason


# --- Protected ------------------------------------------------------------------------------------


def test_administrators_web_services_and_named_accounts_are_protected_even_if_idle(tmp_path):
    with small_world(tmp_path, protection=Protection(accounts=("break.glass",))) as world:
        administrator = local(world, "root", idle=400)
        grant(world, administrator)
        robot = local(world, "robot", idle=400, web_service_access_only="true")
        named = local(world, "x", idle=400, user_name="break.glass")
        told = found(world)
        assert {told[each].state for each in (administrator, robot, named)} == {"protected"}
        assert "holds the role admin" in told[administrator].reason
        assert "PROTECTED_ACCOUNTS" in told[named].reason


# --- Stale ----------------------------------------------------------------------------------------


def leave_behind(world: World, name: str) -> str:
    """Somebody is deleted in Entra, and the job leaves the account as it is."""
    user = hire(world, name)
    world.cycle()
    world.directory.delete_user(user)
    world.directory.purge_user(user)
    world.cycle()
    return of(world, name).sys_id


def test_an_account_that_outlived_its_user_in_entra_is_stale(tmp_path):
    left = Departures(unassigned="leave", filtered="leave", disabled="leave", soft_deleted="leave")
    with small_world(tmp_path, departures=left, hard_delete="leave") as world:
        hire(world, "colleague")
        sys_id = leave_behind(world, "grace")
        unassigned = hire(world, "ada")
        world.cycle()
        world.directory.unassign_principal(unassigned)
        told = found(world)[sys_id]
        assert told.state == "stale"
        assert "not in Microsoft Entra ID any more" in told.reason
        assert "not assigned to the application" in of(world, "ada").reason
        assert state(world, "ada") == "stale"
        grant(world, sys_id)
        world.pass_time(3600)
        told = found(world)[sys_id]
        assert told.state == "stale", "of all accounts, a leaver's with admin must not hide among the protected"
        assert "holds the role admin" in told.reason


def test_an_account_that_was_disabled_with_its_user_is_managed(world):
    user = hire(world, "grace")
    world.cycle()
    world.directory.delete_user(user)
    world.cycle()
    grace = of(world, "grace")
    assert (grace.state, grace.active) == ("managed", False)
    assert "inactive since" in grace.reason


@pytest.mark.parametrize(
    ("idle", "fields", "expected"),
    [
        (91, {}, "stale"),
        (90, {}, "local"),
        (91, {"active": "false"}, "local"),
        (0, {"last_login_time": ""}, "local"),
    ],
    ids=["idle", "just not", "inactive", "new"],
)
def test_a_local_account_is_stale_when_nobody_has_logged_in_for_too_long(world, idle, fields, expected):
    known = local(world, "grace", idle=idle, **fields)
    assert found(world)[known].state == expected
    if expected == "stale":
        assert found(world, stale_days=36_500)[known].state == "local"


def test_an_account_that_nobody_ever_logged_in_to_is_stale_when_it_is_old_itself(world):
    known = local(world, "grace", last_login_time="")
    world.pass_time(91 * DAY)
    told = found(world)[known]
    assert (told.state, told.last_login) == ("stale", None)
    assert "never logged in" in told.reason


def test_where_logins_cannot_be_read_nobody_is_called_stale_and_a_note_says_so(world):
    known = local(world, "grace", idle=400)
    world.instance.access.unreadable["sys_user"].add("last_login_time")
    engine = world.engine(dry_run=True)
    told = world.run(discover(engine.context, "user", (), lambda *_: None))
    assert {each.sys_id: each.state for each in told.records(90)}[known] == "local"
    assert any("last_login_time" in note for note in told.notes)


# --- Groups ---------------------------------------------------------------------------------------


def test_groups_are_sorted_like_accounts(world):
    group_of(world, "Managed")
    world.cycle()
    group_of(world, "Not assigned", assigned=False)
    hold = [local_group(world, "Not assigned"), local_group(world, "Only here"), local_group(world, "Twice")]
    hold += [local_group(world, "Twice"), local_group(world, "With roles", roles=("itil",))]
    told = found(world, "group")
    assert [told[each].state for each in hold] == ["unassigned", "local", "ambiguous", "ambiguous", "protected"]
    assert {each.state for each in told.values() if each.name == "Managed"} == {"managed"}


def test_a_group_that_outlived_its_group_in_entra_is_stale(world):
    group = group_of(world, "Pioneers")
    world.cycle()
    world.directory.delete_group(group)
    world.cycle()  # groups are left as they are
    (pioneers,) = [each for each in found(world, "group").values() if each.name == "Pioneers"]
    assert pioneers.state == "stale"


# --- How it is read -------------------------------------------------------------------------------


def test_nothing_is_written_to_either_side_or_to_the_state(world):
    local(world, "grace")
    hire(world, "grace")
    world.cycle()
    before = world.run(world.store.scan("job", "job"))
    world.forget_counts()
    found(world)
    found(world, "group")
    sent = {*world.instance.counts, *world.directory.counts}
    changing = ("POST sys", "PATCH", "PUT", "DELETE")
    assert not [kind for kind in sent if kind.removeprefix("batch: ").startswith(changing)]
    assert not world.writes()
    assert world.run(world.store.scan("job", "job")) == before


def test_an_instance_without_ranges_on_sys_id_is_read_by_offset(world):
    names = {f"u{n}@{DOMAIN}" for n in range(30)}
    for n in range(30):
        local(world, f"u{n}")
    world.instance.access.no_range["sys_user"].add("sys_id")
    assert names <= {each.name for each in found(world).values()}


def test_an_instance_that_answers_ranges_with_no_rows_is_refused(world):
    world.instance.access.no_range["sys_user"].add("sys_id")
    world.instance.switches.query_acl = "no_rows"
    with pytest.raises(Unauthorized, match="came back empty"):
        found(world)


def test_an_instance_that_drops_ranges_is_refused_with_the_way_out(world):
    world.instance.access.no_range["sys_user"].add("sys_id")
    world.instance.switches.query_acl = "dropped"
    for number in range(1_000):  # more than a page
        world.instance.insert("sys_user", {"user_name": f"local.{number}"})
    with pytest.raises(Unavailable, match="query_range"):
        found(world)


def test_an_instance_that_shows_no_account_at_all_is_refused(world):
    world.instance.access.hidden_rows["sys_user"] = "sys_idISNOTEMPTY"
    with pytest.raises(Unauthorized, match="came back empty"):
        found(world)


def test_without_the_key_column_nothing_is_said(world):
    world.instance.access.unreadable["sys_user"].add("user_name")
    with pytest.raises((Unauthorized, ConfigError), match="user_name"):
        found(world)


def test_a_page_of_entra_that_cannot_be_read_ends_it_with_the_error(world):
    for n in range(1100):
        hire(world, f"u{n}", assigned=False)
    world.directory.behaviour.faults.add(Fail(503), "GET /users", times=50, after=1)
    with pytest.raises(Unavailable):
        found(world)


def test_absence_from_the_list_is_confirmed_before_somebody_is_called_gone(world):
    hire(world, "grace")
    world.cycle()
    world.directory.behaviour.faults.add(EmptyList(), "GET /users")
    assert state(world, "grace") == "managed"


def test_a_mapping_that_is_switched_off_matches_nobody(world):
    change_users(world, flow_types=frozenset())
    known = local(world, "grace")
    hire(world, "grace")
    assert found(world)[known].state == "local"
    assert not world.directory.counts["GET /users"]
