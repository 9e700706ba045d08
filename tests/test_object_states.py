"""Where an object stands, from its first day to its last; whose doing an inactive account is; and what a restart that
drops the links may not forget: both emulators, whole cycles.
"""

from __future__ import annotations

import pytest

from provisioning.engine import control
from provisioning.model import Link
from provisioning.rules.departures import Departures, lifecycle
from provisioning.rules.linkage import loosened
from provisioning.rules.restart import parse_scopes
from provisioning.rules.review import Limits
from provisioning.rules.scope import ACTIVE as IS_ACTIVE
from provisioning.rules.scope import ASSIGNED, FILTERED
from tests.crashing import mortal_world
from tests.mappings import clause
from tests.stories import small_company
from tests.test_cycle_stories import ACTIVE, DISABLED, DOMAIN, account, group_of, hire, state
from tests.test_departures import failing
from tests.test_drift_stories import after, drift_entries, drift_step, meddle
from tests.test_escrow_stories import link_of
from tests.test_quarantine_stories import MINUTE
from tests.test_scope_stories import with_user_filter
from tests.world import small_world

TICK = 40 * MINUTE


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path) as world:
        hire(world, "bob", department="Design")  # somebody stays
        world.ada = hire(world, "ada", department="Design")
        world.cycle()
        after(world, TICK)
        yield world


def stands(world, user=None):
    link = link_of(world, user or world.ada)
    return link.state, link.since


def job(world):
    return world.run(world.engine().context.rows.state())[0]


def restart(world, scope="Full"):
    world.run(control.restart(world.engine(), parse_scopes(scope), by="a person"))


# --- The states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "failed", "gone", "expected"),
    [
        (None, (), None, "in scope"),
        ("unassigned", (), None, "in scope"),
        ("hard-deleted", (), None, "in scope"),
        ("soft-deleted", (), None, "restored"),
        ("restored", (), None, "restored"),
        ("restored", (ASSIGNED,), None, "unassigned"),
        ("in scope", (FILTERED,), None, "filtered"),
        ("unassigned", (IS_ACTIVE, ASSIGNED), None, "disabled"),
        ("disabled", (IS_ACTIVE,), "restorable", "soft-deleted"),
        ("soft-deleted", (IS_ACTIVE,), "permanent", "hard-deleted"),
    ],
)
def test_the_state_follows_from_the_one_before_and_what_is_found(before, failed, gone, expected):
    assert lifecycle(before, failing(*failed), gone) == expected


def test_every_state_of_a_life_is_remembered_with_its_beginning(world):
    with_user_filter(world, [clause("department", "NOT EQUALS", "Accounting")])
    after(world, TICK)
    tenant, ada = world.directory, world.ada
    life = [
        (lambda: tenant.unassign_principal(ada), "unassigned", DISABLED),
        (lambda: tenant.assign(ada), "in scope", ACTIVE),
        (lambda: tenant.update_user(ada, department="Accounting"), "filtered", DISABLED),
        (lambda: tenant.update_user(ada, department="Design"), "in scope", ACTIVE),
        (lambda: tenant.update_user(ada, accountEnabled=False), "disabled", DISABLED),
        (lambda: tenant.update_user(ada, accountEnabled=True), "in scope", ACTIVE),
        (lambda: tenant.delete_user(ada), "soft-deleted", DISABLED),
        (lambda: tenant.restore_user(ada), "restored", ACTIVE),
        (lambda: tenant.delete_user(ada), "soft-deleted", DISABLED),
        (lambda: tenant.purge_user(ada), "hard-deleted", DISABLED),
    ]
    assert stands(world)[0] == "in scope"
    for event, expected, found in life:
        event()
        before = world.now()
        after(world, TICK)
        name, since = stands(world)
        assert (name, state(world, "ada")) == (expected, found)
        assert before < since <= world.now()
        assert job(world).states == (
            {"user.in scope": 2} if expected == "in scope" else {"user.in scope": 1, f"user.{expected}": 1}
        )
    since = stands(world)[1]
    world.run(control.reconcile(world.engine(), by="a person"))
    after(world, TICK)
    assert stands(world) == ("hard-deleted", since), "it is that since then"


def test_an_account_that_goes_with_its_owner_is_counted_nowhere(world):
    world.hard_delete = "delete"
    world.restart()
    world.directory.delete_user(world.ada)
    world.directory.purge_user(world.ada)
    after(world, TICK)
    assert account(world, "ada") is None
    assert job(world).states == {"user.in scope": 1}


def test_a_group_has_a_state_as_well(world):
    group = group_of(world, "Engineers", world.ada)
    after(world, TICK)
    assert job(world).states["group.in scope"] == 1
    world.directory.unassign_principal(group)
    after(world, TICK)
    assert job(world).states["group.unassigned"] == 1


def test_links_that_an_older_version_stored_are_counted_as_unknown_until_they_are_looked_at(world):
    context = world.engine().context
    old = [Link("user", link.id, grants=link.grants, sys_id=link.sys_id, enabled=True) for link in everybody(world)]
    world.run(context.links.put(old))
    world.run(context.rows.change_state(lambda found: type(found)(watermarks=found.watermarks, managed=found.managed)))
    after(world, TICK)
    assert sum(job(world).states.values()) == 2
    restart(world, "Watermark")
    after(world, TICK)
    assert job(world).states == {"user.in scope": 2}


def everybody(world):
    links = world.engine().context.links
    return [link for nibble in "0123456789abcdef" for link in world.run(links.page("user", nibble, ""))]


# --- Whose doing ----------------------------------------------------------------------------------------


def away_and_back(world, how):
    tenant, ada = world.directory, world.ada
    if how == "unassigned":
        leave, come = (lambda: tenant.unassign_principal(ada)), (lambda: tenant.assign(ada))
    else:
        leave, come = (
            lambda: tenant.update_user(ada, accountEnabled=False),
            lambda: tenant.update_user(ada, accountEnabled=True),
        )
    leave()
    after(world, TICK)
    come()
    after(world, TICK)


@pytest.mark.parametrize("how", ["unassigned", "disabled"])
def test_an_account_that_others_deactivated_is_not_revived_when_its_owner_was_away(world, how):
    meddle(world, "ada", active="false")
    after(world, TICK)
    told = len(drift_entries(world))
    away_and_back(world, how)
    assert state(world, "ada") == DISABLED
    entries = drift_entries(world)
    assert len(entries) == told + 1, "it is told on the return, although nothing has changed in ServiceNow since"
    assert {s["details"]["Attribute"] for s in entries[0]["provisioningSteps"] if "Attribute" in s["details"]} == {
        "active",
        "locked_out",
    }
    for _ in range(2):
        after(world, TICK)
    assert (state(world, "ada"), len(drift_entries(world))) == (DISABLED, told + 1)


@pytest.mark.parametrize("how", ["unassigned", "disabled"])
def test_an_account_that_we_deactivated_is_revived_and_one_that_others_lock_then_is_told(world, how):
    away_and_back(world, how)
    assert state(world, "ada") == ACTIVE
    assert drift_entries(world) == []
    meddle(world, "ada", active="false")
    away_and_back(world, how)
    assert state(world, "ada") == DISABLED, "that was not us"


def test_what_others_locked_before_we_deactivated_it_stays_locked_when_its_owner_returns(world):
    meddle(world, "ada", locked_out="true")
    after(world, TICK)
    away_and_back(world, "unassigned")
    after(world, TICK)
    assert state(world, "ada") == ("true", "true")
    assert "locked_out" in {drift_step(entry)["details"]["Attribute"] for entry in drift_entries(world)}


def test_a_leaver_whom_others_activated_and_deactivated_after_the_return_is_not_revived(world):
    world.directory.unassign_principal(world.ada)
    after(world, TICK)
    meddle(world, "ada", active="true", locked_out="false")
    world.directory.assign(world.ada)
    after(world, TICK)
    assert state(world, "ada") == ACTIVE
    meddle(world, "ada", active="false")
    world.directory.update_user(world.ada, jobTitle="Director")
    after(world, TICK)
    assert (state(world, "ada"), account(world, "ada")["title"]) == (DISABLED, "Director")


def test_an_account_that_others_locked_is_told_and_stays_locked_while_the_rest_is_written(world):
    meddle(world, "ada", locked_out="true")
    after(world, TICK)
    world.directory.update_user(world.ada, jobTitle="Director")
    after(world, TICK)
    assert (state(world, "ada"), account(world, "ada")["title"]) == (("true", "true"), "Director")
    assert {drift_step(entry)["details"]["Attribute"] for entry in drift_entries(world)} == {"locked_out"}


def test_who_comes_back_after_a_process_has_died_anywhere_in_the_disabling_is_active_again():
    with mortal_world() as eve:
        small_company(eve)
        eve.company.expect()
        assert eve.settle() == []
        eve.company.unassign("kim")
        eve.company.expect()
        with eve.copy() as world:
            world.fuse.set(0, "")
            assert world.live()
            effects = len(world.fuse.seen)
        for number in range(1, effects + 1):
            with eve.copy() as world:
                world.fuse.set(number, "crash after")
                world.live()
                world.fuse.set(0, "")
                world.bury()
                assert world.settle() == [], number
                world.company.assign("kim")
                world.company.expect()
                assert world.settle() == [], number


# --- A restart that drops the links -----------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["Full", "ConnectorDataStore"])
def test_held_leavers_are_held_after_a_restart_and_disabled_once_they_are_approved(tmp_path, scope):
    with small_world(tmp_path, limits=Limits()) as world:
        people = [hire(world, f"u{n}") for n in range(20)]
        world.cycle()
        after(world, TICK)
        for user in people[:5]:
            world.directory.unassign_principal(user)
        after(world, TICK)
        held = job(world).held
        assert held.counts == {"users": 5}
        restart(world, scope)
        after(world, TICK)
        assert job(world).held.counts == {"users": 5}
        assert [state(world, f"u{n}") for n in range(6)] == [ACTIVE] * 6
        staged = [e for e in world.journal() if e["provisioningAction"] == "stagedDelete"]
        assert len(staged) == 5, "told once, before the restart"
        world.run(world.engine().approve(job(world).held.plan, by="a person"))
        after(world, TICK)
        assert [state(world, f"u{n}") for n in range(6)] == [DISABLED] * 5 + [ACTIVE]
        assert job(world).states == {"user.in scope": 15, "user.unassigned": 5}


def test_an_approval_from_before_a_restart_lets_go_what_was_held_then(tmp_path):
    with small_world(tmp_path, limits=Limits()) as world:
        people = [hire(world, f"u{n}") for n in range(20)]
        world.cycle()
        after(world, TICK)
        for user in people[:5]:
            world.directory.unassign_principal(user)
        after(world, TICK)
        world.run(world.engine().approve(job(world).held.plan, by="a person"))
        restart(world)
        after(world, TICK)
        assert [state(world, f"u{n}") for n in range(6)] == [DISABLED] * 5 + [ACTIVE]


def test_memberships_that_are_held_are_still_taken_away_after_a_restart(tmp_path):
    with small_world(tmp_path, limits=Limits()) as world:
        people = [hire(world, f"u{n}") for n in range(20)]
        group = group_of(world, "Engineers", *people)
        world.cycle()
        after(world, TICK)
        for user in people[:5]:
            world.directory.remove_member(group, user)
        after(world, TICK)
        assert job(world).held.counts == {"memberships": 5}
        restart(world)
        after(world, TICK)
        assert (job(world).held.counts, len(world.members("Engineers"))) == ({"memberships": 5}, 20)
        world.run(world.engine().approve(job(world).held.plan, by="a person"))
        after(world, TICK)
        assert len(world.members("Engineers")) == 15


@pytest.mark.parametrize("event", ["unassigned", "soft-deleted", "hard-deleted"])
def test_who_leaves_on_the_day_of_a_restart_is_disabled_and_loses_the_groups(world, event):
    world.departures = Departures(memberships="remove")
    world.restart()
    group_of(world, "Engineers", world.ada)
    after(world, TICK)
    if event == "unassigned":
        for principal in (world.ada, *(g.id for g in world.directory.objects.values() if g.type == "group")):
            world.directory.unassign_principal(principal)
    else:
        world.directory.delete_user(world.ada)
    if event == "hard-deleted":
        world.directory.purge_user(world.ada)
    restart(world)
    after(world, TICK)
    after(world, TICK)
    assert state(world, "ada") == DISABLED
    assert stands(world)[0] == event
    assert world.members("Engineers") == set()


def test_who_was_disabled_before_a_restart_and_is_deleted_later_is_not_forgotten(world):
    world.hard_delete = "delete"
    world.restart()
    world.directory.unassign_principal(world.ada)
    after(world, TICK)
    restart(world)
    after(world, TICK)
    world.directory.delete_user(world.ada)
    after(world, TICK)
    assert state(world, "ada") == DISABLED
    world.directory.purge_user(world.ada)
    after(world, TICK)
    assert account(world, "ada") is None
    assert (job(world).managed["user"], job(world).states) == (1, {"user.in scope": 1})


def test_who_was_left_alone_before_a_restart_is_disabled_when_the_time_comes(world):
    world.departures = Departures(unassigned="leave")
    world.restart()
    world.directory.unassign_principal(world.ada)
    after(world, TICK)
    restart(world)
    after(world, TICK)
    assert state(world, "ada") == ACTIVE
    world.directory.delete_user(world.ada)
    after(world, TICK)
    assert state(world, "ada") == DISABLED


def test_somebody_who_has_the_record_of_a_leaver_by_now_keeps_it(world):
    world.directory.unassign_principal(world.ada)
    after(world, TICK)
    world.directory.delete_user(world.ada)
    world.directory.purge_user(world.ada)
    after(world, TICK)
    new = hire(world, "ada")
    restart(world)
    for _ in range(3):
        after(world, TICK)
    assert link_of(world, new).sys_id == account(world, "ada")["sys_id"]
    assert state(world, "ada") == ACTIVE, "a rehire"
    assert len(world.instance.find("sys_user", user_name=f"ada@{DOMAIN}")) == 1
    restart(world, "Watermark")
    after(world, TICK)
    assert state(world, "ada") == ACTIVE
    assert link_of(world, world.ada).former is None


def test_who_comes_back_after_a_restart_is_reactivated(world):
    world.directory.unassign_principal(world.ada)
    after(world, TICK)
    restart(world)
    after(world, TICK)
    assert state(world, "ada") == DISABLED
    world.directory.assign(world.ada)
    after(world, TICK)
    assert state(world, "ada") == ACTIVE


def test_an_account_that_others_deactivated_is_no_rehire_after_a_restart(world):
    meddle(world, "ada", active="false")
    after(world, TICK)
    restart(world)
    after(world, TICK)
    assert state(world, "ada") == DISABLED
    assert link_of(world, world.ada).linked
    newest = next(e for e in world.journal() if e["sourceIdentity"]["id"] == world.ada)
    assert "deactivated in ServiceNow" in str(newest)
    world.directory.update_user(world.ada, jobTitle="Director")
    after(world, TICK)
    assert (state(world, "ada"), account(world, "ada")["title"]) == (DISABLED, "Director")


def test_a_rehire_whom_nobody_knew_before_the_restart_is_reactivated_by_it(world):
    world.instance.insert("sys_user", {"user_name": f"eve@{DOMAIN}", "active": "false", "locked_out": "true"})
    hire(world, "eve")
    restart(world)
    after(world, TICK)
    assert state(world, "eve") == ACTIVE


def test_a_link_that_named_the_wrong_record_is_matched_anew(world):
    other = world.instance.insert("sys_user", {"user_name": "somebody.else", "active": "true"})
    right = account(world, "ada")["sys_id"]
    link = link_of(world, world.ada)
    wrong = Link("user", link.id, grants=link.grants, sys_id=other["sys_id"], match_value=link.match_value)
    world.run(world.engine().context.links.put([wrong]))
    restart(world)
    after(world, TICK)
    assert link_of(world, world.ada).sys_id == right
    assert world.instance.get("sys_user", other["sys_id"])["active"] == "true"


def test_what_a_restart_leaves_of_a_link_is_enough_to_find_a_leaver_and_no_more():
    link = Link("user", "u", grants=("role:r",), sys_id="s", match_value="ada", enabled=True, written={"title": "x"})
    assert loosened(link) == Link("user", "u", match_value="ada", former="s")
    assert loosened(Link("user", "u", grants=("role:r",))) is None
