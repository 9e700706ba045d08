"""What a person rejects is left alone, untold and unoffered, until it is something else or a person takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from provisioning.engine import control
from provisioning.engine.on_demand import provision_on_demand
from provisioning.engine.rejecting import offered_again
from provisioning.engine.rejections import FEW, Rejection, Rejections
from provisioning.model import Decision, Disable, Fail, Pending, Remove, Skip, Update
from provisioning.rules.departures import Departures
from provisioning.rules.restart import parse_scopes
from provisioning.rules.review import REJECTED, Limits, is_moot, is_same, version_of
from provisioning.schema import read_clause
from tests.served import Served, serving
from tests.stories import guarded_world
from tests.test_cli import Person
from tests.test_cycle_stories import ACTIVE, account, group_of, hire, state
from tests.test_guard_stories import BY, active, approve, counts, existing, five_leave, held_of
from tests.test_notification_stories import telling
from tests.world import World, small_world

WEEK = 7 * 86400.0


@pytest.fixture
def world(tmp_path):
    with small_world(tmp_path, limits=Limits()) as world:
        yield world


@pytest.fixture
def company(world):
    """Twenty people, of whom three may leave at once. Five have left, and a person has said that they stay."""
    five_leave(world)
    reject(world)
    return world


@pytest.fixture
def team(world):
    """Ten people in a group, five of whom left it, and stay by a person's word."""
    world.people = [hire(world, f"user{n}") for n in range(10)]
    world.group = group_of(world, "Engineers", *world.people)
    world.cycle()
    for user in world.people[:5]:
        world.directory.remove_member(world.group, user)
    reject(world)
    return world


def reject(world: World) -> str:
    plan = world.cycle().held
    assert plan
    world.run(world.engine().reject(plan, by=BY))
    assert world.cycle().held is None
    return plan


def rejected(world: World) -> dict[str, int]:
    return world.run(world.engine().context.rejections.count())


def told_of(world: World) -> list[str]:
    """Whose rejection the log has."""
    entries = [entry["provisioningStatusInfo"]["errorInformation"] for entry in world.journal()]
    return [found["reason"] for found in entries if found is not None and found["errorCode"] == REJECTED]


def restart(world: World, scopes: str = "") -> None:
    world.run(control.restart(world.engine(), parse_scopes(scopes), by=BY))
    world.restart()


def resync(world: World, kind: str, source_id: str) -> int:
    return world.run(control.resync(world.engine(), kind, source_id, by=BY))


def look_again(world: World) -> Iterator[object]:
    """Cycles of every kind that come by what was rejected: one that reads everything anew, one that compares all of it,
    a dry run, and one at ease.
    """
    restart(world)
    yield world.cycle()
    world.run(control.reconcile(world.engine(), by=BY))
    yield world.cycle()
    yield world.cycle(dry_run=True)
    world.pass_time(WEEK)
    yield world.cycle()


# --- Left alone -----------------------------------------------------------------------------------


def test_who_was_to_leave_stays_through_cycles_of_every_kind_and_is_told_once(company):
    company.forget_counts()
    for user in company.people[:5]:
        company.directory.update_user(user, jobTitle="Analyst")
    for progress in look_again(company):
        assert (progress.held, progress.counts.get("users.held", 0)) == (None, 0)
    assert (active(company), company.writes(), held_of(company)) == (set(range(20)), {}, None)
    assert (rejected(company), len(told_of(company))) == ({"users": 5}, 5)


def test_what_was_rejected_takes_nobody_elses_place_below_the_limit(company):
    for user in company.people[5:8]:
        company.directory.unassign_principal(user)
    restart(company)
    assert company.cycle().held is None
    assert active(company) == {*range(5), *range(8, 20)}


def test_nobody_is_told_again_of_what_was_rejected(world):
    told = telling(world)
    users = [hire(world, f"user{n}") for n in range(20)]
    told.tick()
    for user in users[:5]:
        world.directory.unassign_principal(user)
    world.pass_time(3600.0)
    told.tick()
    assert told.posted == ["RemovalsHeld"]
    world.run(world.engine().reject(held_of(world).plan, by=BY))
    world.pass_time(3600.0)
    told.tick()
    for _ in look_again(world):
        told.tick()
    assert (told.posted, rejected(world)) == (["RemovalsHeld", "QuarantineLeft"], {"users": 5})


def test_members_stay_through_cycles_of_every_kind_and_are_told_once(team):
    team.forget_counts()
    for progress in look_again(team):
        assert progress.held is None
    assert (len(team.members("Engineers")), team.writes(), len(told_of(team))) == (10, {}, 5)
    assert rejected(team) == {"memberships": 5}


def test_groups_stay_active(tmp_path):
    with small_world(tmp_path, limits=Limits(), departures=Departures(groups="deactivate")) as world:
        groups = [group_of(world, f"Group {n}") for n in range(10)]
        world.cycle()
        for group in groups[:5]:
            world.directory.unassign_principal(group)
        reject(world)
        for progress in look_again(world):
            assert progress.held is None
        rows = [world.instance.find("sys_user_group", name=f"Group {n}")[0] for n in range(10)]
        assert {row["active"] for row in rows} == {"true"}
        assert (rejected(world), resync(world, "group", groups[0])) == ({"groups": 5}, 1)
        world.cycle()
        (row,) = world.instance.find("sys_user_group", name="Group 0")
        assert (row["active"], rejected(world)) == ("false", {"groups": 4})


def test_accounts_keep_the_values_that_they_had_before_us(world):
    existing(world, 5, title="By hand")
    users = [hire(world, f"user{n}", jobTitle="Analyst") for n in range(5)]
    reject(world)
    for progress in look_again(world):
        assert progress.held is None
    assert {account(world, f"user{n}")["title"] for n in range(5)} == {"By hand"}
    assert (rejected(world), len(told_of(world))) == ({"wipes": 5}, 5)
    world.directory.update_user(users[0], jobTitle="Director")  # that is no longer what was rejected
    world.cycle()
    assert (account(world, "user0")["title"], rejected(world)) == ("Director", {"wipes": 4})


def test_on_demand_a_person_reads_why_nothing_is_done(company):
    answer = company.run(provision_on_demand(company.engine(), company.people[0], write=True))
    said = answer.entries[0]["provisioningSteps"][-1]["description"]
    assert "was rejected with plan" in said
    assert "resync" in said
    assert (state(company, "user0"), rejected(company)) == (ACTIVE, {"users": 5})


def test_who_was_put_into_an_owned_group_by_others_does_not_become_ours(world):
    owned = frozenset({"Engineers"})
    world.schema = replace(world.schema, group=replace(world.schema.group, owned=owned))
    world.group = group_of(world, "Engineers", hire(world, "ada"))
    world.cycle()
    (record,) = world.instance.find("sys_user_group", name="Engineers")
    for n in range(5):
        stranger = world.instance.insert("sys_user", {"user_name": f"local{n}"})["sys_id"]
        world.instance.insert("sys_user_grmember", {"group": record["sys_id"], "user": stranger}, by="fred.luddy")
    world.run(control.reconcile(world.engine(), by=BY))
    reject(world)
    for progress in look_again(world):
        assert progress.held is None
    assert len(world.members("Engineers")) == 6
    job, _ = world.run(world.engine().context.rows.state())
    assert (job.managed["member"], rejected(world)) == (1, {"memberships": 5})
    assert resync(world, "group", world.group) == 5
    world.cycle()
    assert (counts(world), rejected(world)) == ({"memberships": 5}, {})


# --- The end of a rejection -----------------------------------------------------------------------


def test_who_comes_back_and_leaves_again_goes(company):
    company.directory.assign(company.people[0])
    company.cycle()
    assert (rejected(company), state(company, "user0")) == ({"users": 4}, ACTIVE)
    company.directory.unassign_principal(company.people[0])
    company.cycle()
    assert active(company) == set(range(1, 20))


def test_a_member_who_comes_back_and_leaves_again_goes(team):
    team.directory.add_member(team.group, team.people[0])
    team.cycle()
    assert rejected(team) == {"memberships": 4}
    team.directory.remove_member(team.group, team.people[0])
    team.cycle()
    assert len(team.members("Engineers")) == 9


def test_a_deletion_in_place_of_a_deactivation_is_offered_anew(tmp_path):
    with small_world(tmp_path, limits=Limits(), hard_delete="delete") as world:
        users = [hire(world, f"user{n}") for n in range(20)]
        world.cycle()
        for user in users[:5]:
            world.directory.unassign_principal(user)
        first = reject(world)
        for user in users[:5]:
            world.directory.delete_user(user)
            world.directory.purge_user(user)
        second = world.cycle().held
        assert second not in {None, first}
        assert (counts(world), rejected(world), active(world)) == ({"users": 5}, {}, set(range(20)))


def test_a_resync_of_the_user_offers_it_again(company):
    assert resync(company, "user", company.people[5]) == 0
    assert resync(company, "user", company.people[0]) == 1
    assert rejected(company) == {"users": 4}
    company.cycle()
    assert active(company) == set(range(1, 20))
    (entry,) = [e for e in company.run(company.engine().context.audit.newest()) if e.changes.get("rejected removals")]
    assert (entry.activity, entry.changes["rejected removals"]) == ("Resync", ("1", None))


def test_what_a_resync_offers_passes_the_guard_and_can_be_approved(company):
    for user in company.people[:5]:
        resync(company, "user", user)
    plan = company.cycle().held
    assert (counts(company), active(company)) == ({"users": 5}, set(range(20)))
    approve(company, plan)
    assert company.cycle().held is None
    assert (active(company), rejected(company)) == (set(range(5, 20)), {})


def test_a_resync_by_a_filter_offers_again_what_was_rejected_of_its_people(team):
    team.directory.update_user(team.people[0], jobTitle="Analyst")
    team.cycle()
    clause = read_clause("jobTitle EQUALS Analyst", "user")
    assert team.run(control.resync_filter(team.engine(), [clause], by=BY)) == 1
    team.cycle()
    assert (len(team.members("Engineers")), rejected(team)) == (9, {"memberships": 4})


def test_a_resync_of_the_group_offers_again_all_that_was_rejected_of_it(team):
    assert resync(team, "group", team.group) == 5
    assert team.cycle().held is not None
    assert (counts(team), len(team.members("Engineers"))) == ({"memberships": 5}, 10)


def test_a_membership_that_was_rejected_is_read_again_before_it_goes(team):
    """The one who is a member again is told of by a change that the same cycle reads before it meets the resync."""
    team.directory.add_member(team.group, team.people[0])
    for user in team.people[:2]:
        assert resync(team, "user", user) == 1
    team.cycle()
    assert {f"user{n}@contoso.example" for n in range(10) if n != 1} == team.members("Engineers")
    assert rejected(team) == {"memberships": 3}


def test_who_is_a_member_again_stays_when_the_others_are_approved(team):
    for user in team.people[:5]:
        resync(team, "user", user)
    approve(team, team.cycle().held)
    team.directory.add_member(team.group, team.people[0])
    team.cycle()
    assert {f"user{n}@contoso.example" for n in (0, *range(5, 10))} == team.members("Engineers")


def test_a_restart_that_forgets_the_links_forgets_what_was_rejected_and_offers_it_again(company):
    restart(company, "ConnectorDataStore")
    assert company.cycle().held is not None
    assert (rejected(company), active(company)) == ({}, set(range(20)))


def test_force_deletes_is_about_what_is_held_and_leaves_what_was_rejected(company):
    for user in company.people[5:9]:
        company.directory.unassign_principal(user)
    company.cycle()
    restart(company, "ForceDeletes")
    company.cycle()
    assert (active(company), rejected(company)) == ({*range(5), *range(9, 20)}, {"users": 5})


def test_a_worker_may_die_anywhere_while_it_rejects():
    with guarded_world() as world:
        world.run(world.engine().reject(world.cycle().held, by=BY))
        number = sum(held_of(world).counts.values())
        with world.copy() as rehearsal:
            assert rehearsal.live()
            assert sum(rejected(rehearsal).values()) == len(told_of(rehearsal)) == number
            effects = [n for n, each in enumerate(rehearsal.fuse.seen, 1) if each.kind == "commit"]
        for effect in effects[::3]:
            with world.copy() as copy:
                copy.fuse.set(effect, "crash before" if effect % 2 else "crash after")
                assert not copy.live()
                copy.fuse.set(0, "")
                copy.bury()
                assert copy.settle() == [], f"effect {effect}"
                assert sum(rejected(copy).values()) == len(told_of(copy)) == number, f"effect {effect}"


# --- The rule -------------------------------------------------------------------------------------

DISABLE = Decision("user:1", Disable("s1", {"active": "false"}, {"active": "true"}))


@pytest.mark.parametrize(
    ("action", "same", "moot"),
    [
        (DISABLE.action, True, False),
        (Disable("s2", {"active": "false"}, {"active": "true"}), False, True),
        (Remove("s1", {"user_name": "ada"}), False, True),
        (Update("s1", {"title": "Analyst"}, {"title": ""}), False, True),
        (Skip("RedundantExport", ""), False, True),
        (Skip("NotEffectivelyEntitled", ""), False, True),
        (Skip("ProtectedRecord", ""), False, False),
        (Skip("NotPermitted", ""), False, False),
        (Fail("Timeout", "", ""), False, False),
    ],
)
def test_a_rejection_ends_when_something_else_is_decided_and_not_when_nothing_could_be(action, same, moot):
    version, decision = version_of(DISABLE), Decision("user:1", action)
    assert (is_same(version, decision), is_moot(version, decision)) == (same, moot)


def test_a_doubt_ends_no_rejection():
    assert not is_moot(version_of(DISABLE), Decision("user:1", Skip("RedundantExport", ""), recheck=True))


# --- The store ------------------------------------------------------------------------------------


@pytest.fixture
def rejections(store):
    return Rejections(store.behind, "job")


def rejection(key: str, version: str = "v1", **facts) -> Rejection:
    kind = "memberships" if key.startswith("member:") else "users"
    return Rejection(key, kind, version, "plan-1", "ada", 1.0, **facts)


@pytest.mark.parametrize("number", [FEW, 3 * FEW], ids=["one by one", "by a range"])
def test_what_was_rejected_is_found_by_its_object(rejections, runner, number):
    keys = [f"user:{n}" for n in range(number)]
    runner.run(rejections.add([rejection(key) for key in keys]))
    assert set(runner.run(rejections.load([*keys[1:], "user:never"]))) == set(keys[1:])
    assert runner.run(rejections.load([])) == {}
    runner.run(rejections.add([rejection(keys[0], "v2")]))
    assert runner.run(rejections.load(keys))[keys[0]].version == "v2"
    assert runner.run(rejections.count()) == {"users": number}
    runner.run(rejections.remove([rejection(key) for key in keys[1:]]))
    runner.run(rejections.remove([rejection(keys[1])]))
    assert runner.run(rejections.count()) == {"users": 1}


def test_what_was_rejected_is_found_by_either_end_of_a_membership(rejections, runner):
    kept = [rejection("user:u"), rejection("member:g:u", withdrawn=True), rejection("member:h:u", owned=True)]
    runner.run(rejections.add([*kept, rejection("member:g:v"), rejection("user:g")]))

    def of(kind, source_id):
        return {each.object: each for each in runner.run(rejections.of(kind, source_id))}

    assert of("user", "u") == {each.object: each for each in kept}
    assert set(of("group", "g")) == {"member:g:u", "member:g:v"}
    assert of("group", "u") == {}


def test_entra_is_not_asked_for_members_that_it_does_not_know():
    keys = ["user:u", "member:g:record.0123", "member:g:u"]
    offered = offered_again([rejection(key, withdrawn=True, owned=True) for key in keys])
    assert offered == [Pending(keys[2], "memberships", refresh=True, withdrawn=True, unproven=True, owned=True)]


# --- The command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


def test_status_plan_and_run_say_what_was_rejected_and_how_to_take_it_back(emulators, tmp_path):
    emulators.begin_again(users=40, groups=2)
    person = Person(emulators, tmp_path)
    assert person.types("run").returncode == 0
    assert person.gets("status")["rejected"] == {}
    assert "Rejected" not in person.types("status").stdout
    for name in ("ServiceNow Users", "ServiceNow ITIL"):
        emulators.graph.delete(f"/principals/{emulators.group(name)['id']}/assignments")
    held = person.gets("run", code=3)
    done = person.types("run", "--reject", held["planId"])
    number = held["held"]["counts"]["users"]
    told = f"{number:,} users to be disabled or deleted"
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("Rejected: ") and told in line for line in done.stdout.splitlines())
    for word in ("status", "plan"):
        said = person.types(word).stdout
        assert told in said
        assert "left as they are" in said
        assert "python -m provisioning resync USER_OR_GROUP" in said
        assert person.gets(word)["rejected"]["users"] == number
    entries = person.gets("logs", "--limit", "1000")
    ids = [
        entry["sourceIdentity"]["id"]
        for entry in entries
        if (entry["provisioningStatusInfo"]["errorInformation"] or {}).get("errorCode") == REJECTED
        and entry["sourceIdentity"]["identityType"] == "User"
    ]
    assert len(ids) == number
    emulators.graph.delete(f"/users/{ids[0]}")  # gone from Entra and still remembered here
    again = person.types("resync", ids[0])
    assert again.returncode == 0, again.stderr
    assert "What was rejected of it is offered again" in again.stdout
    assert person.gets("status")["rejected"]["users"] == number - 1
    assert person.gets("run")["counts"]["users"]["disabled"] == 1
