"""What provisioning keeps its hands off, story by story: administrators, our own account, accounts for web services,
accounts that a person has named, and groups that carry roles.
"""

from __future__ import annotations

import pytest

from provisioning.engine.on_demand import provision_on_demand
from provisioning.rules.protection import PROTECTED, Protection
from tests.emulators.servicenow.seed import ADMIN_ROLE_ID, INTEGRATION_USER
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_mapping_stories import map_user
from tests.test_scope_stories import explain
from tests.world import World, small_world

LATER = 3600.0
"""Seconds until what was remembered of rights is asked for again."""


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        hire(world, "colleague")  # somebody stays: the very last assignment takes a permission of its own to prove
        yield world


def local(world: World, name: str, **fields) -> str:
    """An account that ServiceNow's own people made."""
    return world.instance.insert("sys_user", {"user_name": f"{name}@{DOMAIN}", "title": "Local", **fields})["sys_id"]


def role(world: World, name: str) -> str:
    found = world.instance.find("sys_user_role", name=name)
    return (found[0] if found else world.instance.insert("sys_user_role", {"name": name}))["sys_id"]


def grant(world: World, user: str, name: str = "admin") -> str:
    return world.instance.insert("sys_user_has_role", {"user": user, "role": role(world, name)})["sys_id"]


def local_group(world: World, name: str, *members: str, roles=(), parent: str = "") -> str:
    group = world.instance.insert("sys_user_group", {"name": name, "parent": parent})["sys_id"]
    for each in roles:
        world.instance.insert("sys_group_has_role", {"group": group, "role": role(world, each)})
    for user in members:
        world.instance.insert("sys_user_grmember", {"group": group, "user": user})
    return group


def cycle(world: World) -> None:
    """The next cycle, when what was known of rights is old."""
    world.pass_time(LATER)
    world.cycle()


def told(world: World) -> list[str]:
    """Why records were left alone, as the log tells, one text for each entry."""
    return [
        error["reason"]
        for entry in world.journal()
        if (error := entry["provisioningStatusInfo"]["errorInformation"]) and error["errorCode"] == PROTECTED
    ]


def untouched(world: World, sys_id: str) -> bool:
    record = world.instance.get("sys_user", sys_id)
    return record["title"] == "Local" and record["sys_mod_count"] == "0" and record["active"] == "true"


# --- Administrators -------------------------------------------------------------------------------


def by_direct_role(world, user):
    grant(world, user)


def by_security_admin(world, user):
    grant(world, user, "security_admin")


def by_group(world, user):
    local_group(world, "Platform", user, roles=("admin",))


def by_parent_of_group(world, user):
    local_group(world, "Team", user, parent=local_group(world, "Platform", roles=("security_admin",)))


def by_role_in_a_role(world, user):
    world.instance.insert("sys_user_role_contains", {"role": role(world, "owner"), "contains": ADMIN_ROLE_ID})
    grant(world, user, "owner")


@pytest.mark.parametrize(
    "make_admin", [by_direct_role, by_security_admin, by_group, by_parent_of_group, by_role_in_a_role]
)
def test_an_administrator_is_never_adopted_however_the_role_is_held(world, make_admin):
    ada = local(world, "ada")
    make_admin(world, ada)
    hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    assert untouched(world, ada)
    (why,) = told(world)
    assert "admin or security_admin" in why
    assert "ALLOWED_ACCOUNTS" in why


def test_somebody_with_another_role_is_adopted(world):
    ada = local(world, "ada")
    grant(world, ada, "itil")
    hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    assert (account(world, "ada")["sys_id"], account(world, "ada")["title"]) == (ada, "Analyst")
    assert told(world) == []


def test_an_administrator_who_needs_no_change_is_not_adopted_either(world):
    ada = hire(world, "ada")
    world.cycle()
    grant(world, account(world, "ada")["sys_id"])
    before = account(world, "ada")["sys_mod_count"]
    world.lose_state()
    cycle(world)
    assert (account(world, "ada")["sys_mod_count"], len(told(world))) == (before, 1)
    world.directory.delete_user(ada)
    cycle(world)
    assert state(world, "ada") == ACTIVE


def test_an_administrator_whom_a_person_has_allowed_is_managed(world):
    ada = local(world, "ada")
    grant(world, ada)
    world.protection = Protection(allowed_accounts=(f"ADA@{DOMAIN}",))
    hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    assert (account(world, "ada")["sys_id"], account(world, "ada")["title"]) == (ada, "Analyst")


def test_allowing_somebody_later_adopts_the_account_in_the_next_cycle(world):
    ada = local(world, "ada")
    grant(world, ada)
    hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    world.protection = Protection(allowed_accounts=(ada,))
    world.restart()
    world.cycle()
    assert account(world, "ada")["title"] == "Analyst"


def test_a_leaver_who_became_administrator_is_reported_and_not_disabled(world):
    ada = hire(world, "ada")
    world.cycle()
    right = grant(world, account(world, "ada")["sys_id"])
    world.directory.update_user(ada, accountEnabled=False)
    cycle(world)
    assert state(world, "ada") == ACTIVE
    for _ in range(3):
        cycle(world)
    assert len(told(world)) == 1, "the log does not grow with each cycle"
    world.instance.delete("sys_user_has_role", right)
    cycle(world)
    assert state(world, "ada") == DISABLED


def test_each_cycle_counts_whom_it_left_alone(world):
    ada = local(world, "ada")
    grant(world, ada)
    hire(world, "ada")
    for _ in range(3):
        world.pass_time(LATER)
        assert world.cycle().counts["users.skipped"] == 1


def test_an_administrator_is_not_changed_until_the_role_is_gone(world):
    ada = hire(world, "ada", jobTitle="Analyst")
    world.cycle()
    right = grant(world, account(world, "ada")["sys_id"])
    world.directory.update_user(ada, jobTitle="Director")
    cycle(world)
    assert account(world, "ada")["title"] == "Analyst"
    world.instance.delete("sys_user_has_role", right)
    cycle(world)
    assert account(world, "ada")["title"] == "Director"


def test_a_deleted_administrator_is_not_deleted_where_deletions_are_for_good(tmp_path):
    with small_world(tmp_path, hard_delete="delete") as world:
        hire(world, "colleague")
        ada = hire(world, "ada")
        world.cycle()
        right = grant(world, account(world, "ada")["sys_id"])
        world.directory.delete_user(ada)
        world.directory.purge_user(ada)
        cycle(world)
        assert state(world, "ada") == ACTIVE
        world.instance.delete("sys_user_has_role", right)
        cycle(world)
        assert account(world, "ada") is None


def test_on_demand_says_why_and_how_to_allow_it(world):
    grant(world, local(world, "ada"))
    hire(world, "ada")
    for write in (False, True):
        answer = world.run(provision_on_demand(world.engine(dry_run=not write), f"ada@{DOMAIN}", write=write))
        last = answer.entries[0]["provisioningSteps"][-1]
        assert last["details"] == {"SkipReason": PROTECTED}
        assert "name it in ALLOWED_ACCOUNTS" in last["description"]


def test_what_the_instance_tells_of_rights_is_asked_for_once_in_a_cycle(tmp_path):
    with small_world(tmp_path, users=120, groups=8) as world:
        for user in world.directory.users:
            name = world.directory.objects[user].attributes["userPrincipalName"]
            world.instance.insert("sys_user", {"user_name": name})
        world.cycle()
        assert world.instance.counts["GET sys_user_has_role"] == 1
        assert world.instance.counts["batch: GET sys_user_role"] == 1


# --- What Entra gave, Entra takes away ---------------------------------------------------------------


def test_who_is_administrator_through_a_group_that_entra_manages_loses_it_with_the_account(world):
    world.protection = Protection(allowed_groups=("ServiceNow Admins",))
    group = local_group(world, "ServiceNow Admins", roles=("admin",))
    ada = hire(world, "ada", jobTitle="Analyst")
    admins = group_of(world, "ServiceNow Admins", ada)
    world.cycle()
    assert world.members("ServiceNow Admins") == {f"ada@{DOMAIN}"}
    assert world.instance.find("sys_user_has_role", user=account(world, "ada")["sys_id"], granted_by=group)
    cycle(world)
    world.directory.update_user(ada, jobTitle="Director")
    cycle(world)
    assert account(world, "ada")["title"] == "Director"
    world.directory.remove_member(admins, ada)
    world.directory.delete_user(ada)
    cycle(world)
    assert (state(world, "ada"), world.members("ServiceNow Admins")) == (DISABLED, set())
    assert world.instance.find("sys_user_has_role", user=account(world, "ada")["sys_id"]) == []
    assert told(world) == []


def test_a_local_administrator_in_a_group_that_entra_manages_is_still_not_adopted(world):
    world.protection = Protection(allowed_groups=("ServiceNow Admins",))
    ada = local(world, "ada")
    local_group(world, "ServiceNow Admins", ada, roles=("admin",))
    group_of(world, "ServiceNow Admins", hire(world, "bob"))
    world.cycle()
    hire(world, "ada")
    cycle(world)
    assert untouched(world, ada)


# --- Our own account, accounts for web services, accounts that are named ---------------------------------


def named_like_us(world):
    return world.directory.add_user(
        userPrincipalName=INTEGRATION_USER, displayName="Integration", mail="i@contoso.example", accountEnabled=True
    )


def ours(world):
    (found,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    return found


def test_our_own_account_is_not_adopted_by_a_user_of_that_name(world):
    world.instance.update("sys_user", ours(world)["sys_id"], {"web_service_access_only": "false"})
    before = ours(world)
    world.directory.assign(named_like_us(world))
    world.cycle()
    assert ours(world) == before
    assert ["the integration's own account" in why for why in told(world)] == [True]


def test_where_the_instance_does_not_tell_who_we_are_the_user_name_of_the_login_does(world):
    world.instance.update("sys_user", ours(world)["sys_id"], {"web_service_access_only": "false"})
    world.instance.access.no_match["sys_user"].add("sys_id")
    world.instance.switches.query_acl = "dropped"  # the answer to "who am I" is everybody
    world.protection = Protection(own_name=INTEGRATION_USER)
    before = ours(world)
    world.directory.assign(named_like_us(world))
    world.cycle()
    assert ours(world) == before
    assert ["the integration's own account" in why for why in told(world)] == [True]


def test_an_account_for_web_services_is_not_adopted(world):
    robot = local(world, "robot", web_service_access_only="true")
    hire(world, "robot", jobTitle="Analyst")
    world.cycle()
    assert untouched(world, robot)
    assert "web_service_access_only" in told(world)[0]


def test_an_account_that_our_own_mapping_made_one_for_web_services_is_managed(world):
    map_user(world, "web_service_access_only", 'Switch([employeeType], "false", "Robot", "true")')
    robot = hire(world, "robot", employeeType="Robot", jobTitle="Worker")
    world.cycle()
    assert account(world, "robot")["web_service_access_only"] == "true"
    world.directory.update_user(robot, jobTitle="Foreman")
    cycle(world)
    assert account(world, "robot")["title"] == "Foreman"
    world.directory.delete_user(robot)
    cycle(world)
    assert state(world, "robot") == DISABLED


@pytest.mark.parametrize("by", ["user_name", "sys_id"])
def test_an_account_that_is_named_is_not_adopted(world, by):
    mid = local(world, "mid")
    world.protection = Protection(accounts=(world.instance.get("sys_user", mid)[by],))
    hire(world, "mid", jobTitle="Analyst")
    world.cycle()
    assert untouched(world, mid)
    assert "PROTECTED_ACCOUNTS" in told(world)[0]


def test_naming_somebody_later_protects_an_account_that_was_managed(world):
    ada = hire(world, "ada")
    world.cycle()
    world.protection = Protection(accounts=(f"ada@{DOMAIN}",))
    world.restart()
    world.directory.delete_user(ada)
    cycle(world)
    assert state(world, "ada") == ACTIVE


# --- Memberships ----------------------------------------------------------------------------------


def test_a_protected_user_is_put_into_no_group_and_taken_out_of_none(world):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    sales = group_of(world, "Sales", ada, bob)
    support = group_of(world, "Support", bob)
    world.cycle()
    right = grant(world, account(world, "ada")["sys_id"])
    world.directory.remove_member(sales, ada)
    world.directory.add_member(support, ada)
    for _ in range(3):
        cycle(world)
    assert world.members("Sales") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}
    assert world.members("Support") == {f"bob@{DOMAIN}"}
    assert len(told(world)) == 2, "one entry for each membership, and not one for each cycle"
    world.instance.delete("sys_user_has_role", right)
    cycle(world)
    assert world.members("Sales") == {f"bob@{DOMAIN}"}
    assert world.members("Support") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}


def test_a_protected_user_who_comes_back_into_a_group_meanwhile_stays_in_it(world):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    sales = group_of(world, "Sales", ada, bob)
    world.cycle()
    right = grant(world, account(world, "ada")["sys_id"])
    world.directory.remove_member(sales, ada)
    cycle(world)
    world.directory.add_member(sales, ada)
    world.instance.delete("sys_user_has_role", right)
    for _ in range(2):
        cycle(world)
        assert world.members("Sales") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}


# --- Groups that carry roles ------------------------------------------------------------------------


def carrying_itself(world):
    return local_group(world, "Platform", roles=("admin",))


def carrying_through_a_parent(world):
    top = local_group(world, "Top", roles=("itil",))
    return local_group(world, "Platform", parent=local_group(world, "Middle", parent=top))


@pytest.mark.parametrize("make_group", [carrying_itself, carrying_through_a_parent])
def test_a_group_that_carries_roles_is_not_adopted_and_gets_no_members(world, make_group):
    make_group(world)
    group_of(world, "Platform", hire(world, "mallory"))
    for _ in range(2):
        cycle(world)
    assert world.members("Platform") == set()
    assert len(world.instance.find("sys_user_group", name="Platform")) == 1
    assert account(world, "mallory") is not None, "the group gives access all the same"
    (why,) = told(world)
    assert "carries roles" in why
    assert "ALLOWED_GROUPS" in why


def test_a_group_whose_child_carries_roles_is_adopted(world):
    platform = local_group(world, "Platform")
    local_group(world, "Below", roles=("admin",), parent=platform)
    group_of(world, "Platform", hire(world, "ada"))
    world.cycle()
    assert world.members("Platform") == {f"ada@{DOMAIN}"}


@pytest.mark.parametrize("by", ["name", "sys_id"])
def test_a_group_that_a_person_has_allowed_is_adopted_and_the_log_says_what_its_members_get(world, by):
    platform = carrying_itself(world)
    world.protection = Protection(allowed_groups=(world.instance.get("sys_user_group", platform)[by],))
    group = group_of(world, "Platform", hire(world, "ada"))
    world.directory.update_group(group, description="Runs the platform")
    world.cycle()
    assert world.members("Platform") == {f"ada@{DOMAIN}"}
    assert "its members get them" in str(world.journal())


def test_a_group_of_ours_that_got_roles_since_is_managed_on_and_the_log_says_so(world):
    ada, bob = hire(world, "ada"), hire(world, "bob")
    group = group_of(world, "Platform", ada)
    world.cycle()
    (record,) = world.instance.find("sys_user_group", name="Platform")
    world.instance.insert("sys_group_has_role", {"group": record["sys_id"], "role": role(world, "itil")})
    world.directory.add_member(group, bob)
    world.directory.update_group(group, description="Runs the platform")
    cycle(world)
    assert world.members("Platform") == {f"ada@{DOMAIN}", f"bob@{DOMAIN}"}
    assert "its members get them" in str(world.journal())


def test_a_group_that_loses_its_roles_is_adopted_in_the_next_cycle(world):
    platform = carrying_itself(world)
    group_of(world, "Platform", hire(world, "ada"))
    world.cycle()
    for row in world.instance.find("sys_group_has_role", group=platform):
        world.instance.delete("sys_group_has_role", row["sys_id"])
    cycle(world)
    assert world.members("Platform") == {f"ada@{DOMAIN}"}


# --- Where rights cannot be read ----------------------------------------------------------------------


def no_table(world):
    world.instance.access.no_query |= {"sys_user_has_role"}


def no_roles(world):
    world.instance.access.no_query |= {"sys_user_role"}


def hidden_rows(world):
    world.instance.access.hidden_rows["sys_user_has_role"] = "userISNOTEMPTY"


def hidden_role(world):
    world.instance.access.hidden_rows["sys_user_role"] = "name=admin"


def invisible_rows(world):
    world.instance.access.before_query["sys_user_has_role"] = "user.user_name=nobody"


def no_column(world):
    world.instance.access.unreadable["sys_user_has_role"].add("role")


@pytest.mark.parametrize("forbid", [no_table, no_roles, hidden_rows, hidden_role, invisible_rows, no_column])
def test_where_holders_of_roles_cannot_be_read_accounts_are_adopted_with_a_warning_but_never_admin(world, forbid):
    forbid(world)
    ada = local(world, "ada")
    admin = world.directory.add_user(
        userPrincipalName="admin", displayName="Admin", mail="a@contoso.example", accountEnabled=True
    )
    world.directory.assign(admin)
    hire(world, "ada", jobTitle="Analyst")
    before = world.instance.find("sys_user", user_name="admin")
    world.cycle()
    assert (account(world, "ada")["sys_id"], account(world, "ada")["title"]) == (ada, "Analyst")
    assert world.instance.find("sys_user", user_name="admin") == before
    assert ["who holds that role cannot be read" in why for why in told(world)] == [True]
    assert "read sys_user_role and sys_user_has_role" in str(world.journal())


def test_who_was_seen_to_be_administrator_stays_one_while_roles_cannot_be_read(world):
    ada = hire(world, "ada")
    world.cycle()
    grant(world, account(world, "ada")["sys_id"])
    world.directory.update_user(ada, jobTitle="Director")
    cycle(world)
    no_table(world)
    world.directory.delete_user(ada)
    cycle(world)
    assert state(world, "ada") == ACTIVE


def no_group_roles(world):
    world.instance.access.no_query |= {"sys_group_has_role"}


def hidden_group_roles(world):
    world.instance.access.hidden_rows["sys_group_has_role"] = "groupISNOTEMPTY"


def no_parent(world):
    world.instance.access.unreadable["sys_user_group"].add("parent")


@pytest.mark.parametrize("forbid", [no_group_roles, hidden_group_roles, no_parent])
def test_where_roles_of_groups_cannot_be_read_no_group_is_adopted_unless_it_is_allowed(world, forbid):
    forbid(world)
    carrying_itself(world)
    local_group(world, "Named")
    world.protection = Protection(allowed_groups=("Named",))
    ada = hire(world, "ada")
    for name in ("Platform", "Named", "New"):
        group_of(world, name, ada)
    world.cycle()
    assert world.members("Platform") == set()
    assert world.members("Named") == world.members("New") == {f"ada@{DOMAIN}"}
    assert ["whether it carries roles cannot be read" in why for why in told(world)] == [True]


def test_a_refused_login_is_no_lack_of_rights(world):
    hire(world, "ada", jobTitle="Analyst")
    ada = local(world, "ada")
    world.instance.faults.add("GET sys_user_has_role", "unauthorized", times=None)
    assert not world.cycle().finished
    assert untouched(world, ada)


def test_explain_names_the_protection(world):
    grant(world, local(world, "ada"))
    hire(world, "ada")
    assert "it holds the role admin" in str(explain(world, f"ada@{DOMAIN}"))
