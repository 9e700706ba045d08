"""A person looks at links and mends them: finds, verifies, relinks, unlinks; and what the cycles make of it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from provisioning.engine import linking
from provisioning.engine.control import resync
from provisioning.engine.jobs import JobState, counting
from provisioning.engine.managed import count_managed
from provisioning.engine.on_demand import provision_on_demand
from provisioning.errors import ObjectError, RowConflict
from provisioning.rules.protection import Protection
from provisioning.rules.review import Limits
from tests.test_cycle_stories import ACTIVE, account, group_of, hire, state
from tests.test_escrow_stories import link_of
from tests.test_quarantine_stories import job
from tests.world import small_world


@pytest.fixture
def world(tmp_path):
    """Two managed users in a group, and nothing left to do."""
    with small_world(tmp_path) as world:
        world.ada, world.bob = hire(world, "ada", jobTitle="Analyst"), hire(world, "bob")
        world.group = group_of(world, "Sales", world.ada, world.bob)
        world.cycle()
        world.cycle()
        yield world


def relink(world, key, sys_id):
    return world.run(linking.relink(world.engine(), key, sys_id, by="a person"))


def unlink(world, key):
    engine = world.engine()

    async def story():
        await linking.unlink(engine, await linking.find(engine.context, key), by="a person")

    world.run(story())


def verified(world):
    """What is not intact, by object."""

    async def read():
        pages = [page async for page in linking.verify(world.engine(dry_run=True).context)]
        return {each.link.id: each for page in pages for each in page if each.state != "intact"}

    return world.run(read())


def other_account(world, name="ada.old", **fields):
    return world.instance.insert("sys_user", {"user_name": f"{name}@contoso.example", "active": "true", **fields})


def members(world):
    (group,) = world.instance.find("sys_user_group", name="Sales")
    return {row["user"] for row in world.instance.find("sys_user_grmember", group=group["sys_id"])}


def is_counted_right(world):
    counted = counting(world.run(count_managed(world.engine().context)), JobState())
    managed = {kind: job(world).managed.get(kind, 0) for kind in counted.managed}
    return (managed, job(world).states) == (counted.managed, counted.states)


# --- finding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["id", "sys_id", "name", "id in capitals"])
def test_a_link_is_found_by_either_id_and_by_its_key_without_asking_anybody(world, key):
    ada = account(world, "ada")
    world.forget_counts()
    asked = {
        "id": world.ada,
        "sys_id": ada["sys_id"],
        "name": "Ada@contoso.example",
        "id in capitals": world.ada.upper(),
    }
    found = world.run(linking.remembered(world.engine().context, asked[key]))
    assert (found.link.id, found.link.sys_id) == (world.ada, ada["sys_id"])
    assert not world.directory.counts
    assert not world.instance.counts


def test_a_group_is_found_by_its_name_and_a_stranger_is_refused(world):
    assert world.run(linking.find(world.engine().context, "Sales")).link.id == world.group
    with pytest.raises(ObjectError, match="nobody@"):
        world.run(linking.find(world.engine().context, "nobody@contoso.example"))


def test_who_has_no_link_yet_is_found_by_the_names_that_entra_knows(world):
    eve = hire(world, "eve", assigned=False)
    found = world.run(linking.find(world.engine().context, "eve@contoso.example"))
    assert (found.link.id, found.link.sys_id, found.etag) == (eve, None, "")


# --- verify -------------------------------------------------------------------------------------


def test_links_that_are_as_remembered_are_intact_and_nothing_is_written(world):
    world.forget_counts()
    before = dict(world.store._connection.execute("SELECT key, data FROM rows").fetchall())
    assert verified(world) == {}
    assert world.writes() == {}
    assert dict(world.store._connection.execute("SELECT key, data FROM rows").fetchall()) == before


def test_verify_tells_a_vanished_record_from_one_with_another_key(world):
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])
    world.instance.update("sys_user", account(world, "bob")["sys_id"], {"user_name": "robert"})
    found = verified(world)
    assert {each: found[each].state for each in found} == {world.ada: "vanished", world.bob: "otherKey"}
    assert found[world.bob].keys == ("robert",)


def test_a_key_that_differs_in_case_only_is_the_same_to_servicenow(world):
    world.instance.update("sys_user", account(world, "bob")["sys_id"], {"user_name": "Bob@Contoso.example"})
    assert verified(world) == {}


def test_a_record_that_two_objects_are_linked_to_is_told_for_both_whatever_the_index_says(world):
    links, sys_id = world.engine().context.links, account(world, "ada")["sys_id"]
    known = world.run(links.load([("user", world.bob)]))["user", world.bob]
    world.run(links.save([(replace(known.link, sys_id=sys_id), known.etag)]))
    assert {each: found.state for each, found in verified(world).items()} == dict.fromkeys(
        (world.ada, world.bob), "linkedTwice"
    )


# --- a record that vanished ---------------------------------------------------------------------


def test_a_vanished_record_is_matched_again_and_its_replacement_is_adopted(world):
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])
    made_by_hand = other_account(world, "ada")
    world.directory.update_user(world.ada, city="Athens")
    world.forget_counts()
    world.cycle()
    assert link_of(world, world.ada).sys_id == made_by_hand["sys_id"]
    assert world.instance.counts["batch: POST sys_user"] == 0
    assert account(world, "ada")["city"] == "Athens"
    assert members(world) == {account(world, "ada")["sys_id"], account(world, "bob")["sys_id"]}
    assert verified(world) == {}
    assert is_counted_right(world)


def test_a_replacement_that_holds_every_value_already_gets_the_memberships_as_well(world):
    before = account(world, "ada")
    world.instance.delete("sys_user", before["sys_id"])
    columns = ("user_name", "first_name", "last_name", "name", "email", "title", "active", "locked_out")
    made_by_hand = world.instance.insert("sys_user", {name: before[name] for name in columns})
    world.run(resync(world.engine(), "user", world.ada, by="a person"))
    world.forget_counts()
    world.cycle()
    assert world.instance.counts["batch: PATCH sys_user"] == 0
    assert link_of(world, world.ada).sys_id == made_by_hand["sys_id"]
    assert members(world) == {made_by_hand["sys_id"], account(world, "bob")["sys_id"]}
    assert is_counted_right(world)
    assert world.run(linking.remembered(world.engine().context, made_by_hand["sys_id"])).link.id == world.ada


def test_a_vanished_record_that_nothing_replaces_is_created_once_under_an_id_of_its_own(world):
    before = account(world, "ada")["sys_id"]
    world.instance.delete("sys_user", before)
    world.directory.update_user(world.ada, city="Athens")
    for _ in range(3):
        world.cycle()
    (ada,) = world.instance.find("sys_user", user_name="ada@contoso.example")
    assert ada["sys_id"] != before
    assert members(world) == {ada["sys_id"], account(world, "bob")["sys_id"]}
    assert is_counted_right(world)


def test_two_records_with_the_key_of_a_vanished_one_are_left_to_a_person(world):
    world.instance.delete("sys_user", account(world, "ada")["sys_id"])
    taken = other_account(world, "somebody")
    for name in ("ada", "ada "):
        world.instance.insert("sys_user", {"user_name": "ADA@contoso.example"} if name == "ada" else {"email": "x"})
    world.directory.update_user(world.ada, city="Athens")
    world.forget_counts()
    world.cycle()
    assert world.instance.counts["batch: POST sys_user"] == 0
    assert link_of(world, world.ada).escrow.code == "Conflict"
    assert relink(world, world.ada, taken["sys_id"]).sys_id == taken["sys_id"]


def test_who_reports_to_somebody_with_another_record_refers_to_that(world):
    gone = account(world, "ada")["sys_id"]
    world.directory.set_manager(world.bob, world.ada)
    world.cycle()
    assert account(world, "bob")["manager"] == gone
    world.instance.delete("sys_user", gone)
    world.directory.update_user(world.ada, city="Athens")
    world.cycle()
    assert account(world, "ada")["sys_id"] != gone
    assert account(world, "bob")["manager"] == account(world, "ada")["sys_id"]


def test_who_is_created_while_the_manager_gets_another_record_refers_to_that(world):
    gone = account(world, "ada")["sys_id"]
    world.instance.delete("sys_user", gone)
    world.directory.update_user(world.ada, city="Athens")
    world.directory.set_manager(hire(world, "cy"), world.ada)
    world.cycle()
    assert account(world, "cy")["manager"] == account(world, "ada")["sys_id"] != gone


@pytest.mark.parametrize("replaced", [False, True], ids=["created anew", "replaced by hand"])
@pytest.mark.parametrize("drift", ["report", "adopt"])
def test_a_vanished_group_gets_another_record_with_all_its_members(tmp_path, replaced, drift):
    with small_world(tmp_path, drift=drift) as world:
        people = ("ada", "bob", "cy")
        group = group_of(world, "Sales", *(hire(world, name) for name in people))
        world.cycle()
        (gone,) = world.instance.find("sys_user_group", name="Sales")
        world.instance.delete("sys_user_group", gone["sys_id"])
        if replaced:
            world.instance.insert("sys_user_group", {"name": "Sales"})
        world.directory.update_group(group, description="Who sell")
        world.cycle()
        assert members(world) == {account(world, name)["sys_id"] for name in people}
        assert is_counted_right(world)
        world.forget_counts()
        world.cycle()
        assert world.writes() == {}


def test_a_record_that_vanishes_before_its_write_is_matched_again_by_the_next_cycle(world):
    gone = account(world, "ada")["sys_id"]
    world.directory.update_user(world.ada, city="Athens")

    def vanish(progress):
        if progress.phase == "act users" and world.instance.get("sys_user", gone):
            world.instance.delete("sys_user", gone)

    world.cycle(watch=vanish)
    assert link_of(world, world.ada).escrow.code == "InvalidAnchor"
    world.cycle()
    assert account(world, "ada")["city"] == "Athens"
    assert link_of(world, world.ada).escrow is None
    assert members(world) == {account(world, "ada")["sys_id"], account(world, "bob")["sys_id"]}


def test_many_vanished_records_at_once_are_created_anew_only_by_a_persons_word(tmp_path):
    """An instance that was restored from an old backup does not know whom it has got since."""
    with small_world(tmp_path, limits=Limits(absolute=500, share=0.05, floor=2)) as world:
        users = [hire(world, f"user{number}") for number in range(10)]
        world.cycle()
        for number in range(3):
            world.instance.delete("sys_user", account(world, f"user{number}")["sys_id"])
        for user in users:
            world.directory.update_user(user, city="Athens")
        world.forget_counts()
        held = world.cycle().held
        assert world.instance.counts["batch: POST sys_user"] == 0
        assert account(world, "user9")["city"] == "Athens", "everything else goes on"
        assert job(world).held.counts == {"recreations": 3}
        world.run(world.engine().approve(held, by="a person"))
        world.cycle()
        assert {account(world, f"user{number}")["city"] for number in range(10)} == {"Athens"}
        assert job(world).held is None
        assert is_counted_right(world)


def test_the_log_says_that_a_record_was_gone(world):
    gone = account(world, "ada")["sys_id"]
    world.instance.delete("sys_user", gone)
    world.run(resync(world.engine(), "user", world.ada, by="a person"))
    world.cycle()
    steps = [step["description"] for entry in world.journal() for step in entry["provisioningSteps"]]
    told = [text for text in steps if "InvalidAnchor" in text]
    assert len(told) == 1
    assert gone in told[0]


# --- relink -------------------------------------------------------------------------------------


def test_a_relinked_record_is_brought_in_line_by_the_next_cycle_and_the_old_one_is_left(world):
    before, other = account(world, "ada")["sys_id"], other_account(world)
    world.instance.update("sys_user", before, {"user_name": "retired"})
    left = world.instance.get("sys_user", before)
    world.forget_counts()
    relink(world, "ada@contoso.example", other["sys_id"])
    assert world.writes() == {}
    world.cycle()
    ada = account(world, "ada")
    assert (ada["sys_id"], ada["title"], state(world, "ada")) == (other["sys_id"], "Analyst", ACTIVE)
    assert world.instance.get("sys_user", before) == left
    assert {other["sys_id"], before} <= members(world), "the memberships of the old one are nobody's business now"
    link = link_of(world, world.ada)
    assert (link.linked, link.origin) == (True, "adopted")
    assert is_counted_right(world)
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}


def test_a_relinked_group_gets_its_members(world):
    (before,) = world.instance.find("sys_user_group", name="Sales")
    world.instance.update("sys_user_group", before["sys_id"], {"name": "Sales of old"})
    other = world.instance.insert("sys_user_group", {"name": "Selling"})
    relink(world, world.group, other["sys_id"])
    world.cycle()
    assert world.instance.find("sys_user_group", name="Sales")[0]["sys_id"] == other["sys_id"]
    assert len(members(world)) == 2
    assert world.instance.find("sys_user_grmember", group=before["sys_id"]), "the old one keeps what it had"
    assert is_counted_right(world)


def test_a_record_of_another_object_one_that_is_not_there_and_a_protected_one_are_refused(world):
    nobody = "0" * 32
    admin = world.instance.find("sys_user", user_name="admin")[0]["sys_id"]
    for sys_id, code in (
        (account(world, "bob")["sys_id"], "DuplicateSourceEntries"),
        (nobody, "InvalidAnchor"),
        (admin, "ProtectedRecord"),
    ):
        before = link_of(world, world.ada)
        with pytest.raises(ObjectError) as refused:
            relink(world, world.ada, sys_id)
        assert refused.value.code == code
        assert link_of(world, world.ada) == before
    world.cycle()
    assert verified(world) == {}


def test_what_is_protected_by_name_may_be_linked_once_it_is_allowed(world):
    other = other_account(world, web_service_access_only="true")
    with pytest.raises(ObjectError, match="web services"):
        relink(world, world.ada, other["sys_id"])
    world.protection = Protection(allowed_accounts=(other["user_name"],))
    assert relink(world, world.ada, other["sys_id"]).intended


def test_somebody_out_of_scope_is_not_linked_because_the_next_cycle_would_disable_the_account(world):
    eve, other = hire(world, "eve", assigned=False), other_account(world, "eve.old")
    with pytest.raises(ObjectError, match="not in scope"):
        relink(world, eve, other["sys_id"])
    for _ in range(2):
        world.cycle()
    assert world.instance.get("sys_user", other["sys_id"])["active"] == "true"


def test_whose_record_was_freed_by_a_relink_may_be_somebody_elses(world):
    freed, bobs, other = account(world, "ada")["sys_id"], account(world, "bob")["sys_id"], other_account(world)
    world.instance.update("sys_user", freed, {"user_name": "retired"})
    relink(world, world.ada, other["sys_id"])
    world.cycle()
    world.instance.update("sys_user", bobs, {"user_name": "retired too"})
    assert relink(world, world.bob, freed).sys_id == freed
    world.cycle()
    assert account(world, "bob")["sys_id"] == freed
    assert verified(world) == {}


def test_a_name_that_the_old_record_keeps_is_a_failure_of_this_one_object_and_no_end_of_waves(world):
    """The name is the object's own by all that is known, and yet somebody else's record has it."""
    before, other = account(world, "ada")["sys_id"], other_account(world)
    relink(world, world.ada, other["sys_id"])
    relink(world, world.bob, before)
    assert world.cycle().finished
    assert link_of(world, world.ada).escrow is not None
    assert world.instance.get("sys_user", other["sys_id"])["user_name"] == other["user_name"]


# --- unlink -------------------------------------------------------------------------------------


def test_an_unlinked_object_is_matched_again_and_nothing_is_doubled(world):
    sys_id = account(world, "ada")["sys_id"]
    held = members(world)
    world.forget_counts()
    unlink(world, "ada@contoso.example")
    assert world.writes() == {}
    assert link_of(world, world.ada).sys_id is None
    assert is_counted_right(world)
    assert world.run(linking.remembered(world.engine().context, sys_id)) is None
    world.cycle()
    assert world.writes() == {}
    assert link_of(world, world.ada).sys_id == sys_id
    assert members(world) == held
    assert is_counted_right(world)
    edges = world.run(world.engine().context.edges.load([(world.group, world.ada)]))
    assert edges[world.group, world.ada].sys_id is not None
    assert verified(world) == {}


def test_a_membership_of_somebody_unlinked_and_matched_again_is_still_taken_away(world):
    unlink(world, world.ada)
    world.cycle()
    world.directory.remove_member(world.group, world.ada)
    world.cycle()
    assert members(world) == {account(world, "bob")["sys_id"]}


def test_an_unlinked_group_is_matched_again_with_its_members(world):
    (group,) = world.instance.find("sys_user_group", name="Sales")
    unlink(world, "Sales")
    world.forget_counts()
    world.cycle()
    assert world.writes() == {}
    assert link_of_group(world).sys_id == group["sys_id"]
    assert is_counted_right(world)


def link_of_group(world):
    return world.run(world.engine().context.links.load([("group", world.group)]))["group", world.group].link


def test_what_nobody_has_changed_is_unlinked_only_once(world):
    engine = world.engine()

    async def story():
        known = await linking.find(engine.context, world.ada)
        await linking.unlink(engine, known, by="a person")
        with pytest.raises(RowConflict):
            await linking.unlink(engine, known, by="a person")

    world.run(story())
    assert is_counted_right(world)


# --- beside a cycle -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["unlink", "relink"])
@pytest.mark.parametrize("round_", range(1, 22, 2))
def test_a_link_that_is_changed_while_a_cycle_runs_is_decided_again(world, order, round_):
    """At whatever move of the cycle it happens, one account holds the key in the end, and the numbers agree."""
    world.directory.update_user(world.ada, city="Athens")
    before, other = account(world, "ada")["sys_id"], other_account(world)
    engine = world.engine()

    async def story():
        progress = await engine.begin_cycle()
        while not progress.at_rest:
            progress = await engine.advance(progress.turn)
            steps = [engine.run_step(progress, number) for number in range(len(progress.steps))]
            if progress.round == round_:
                steps.append(change(order))
            await asyncio.gather(*steps)
            if not steps:
                await asyncio.sleep(1)

    async def change(order):
        if order == "unlink":
            await linking.unlink(engine, await linking.find(engine.context, world.ada), by="a person")
        else:
            world.instance.update("sys_user", before, {"user_name": "retired"})
            await linking.relink(engine, world.ada, other["sys_id"], by="a person")

    try:
        world.run(story())
    except RowConflict:
        world.run(engine.end_lease_of_the_dead())
        return
    for _ in range(2):
        assert world.cycle().finished
    (ada,) = world.instance.find("sys_user", user_name="ada@contoso.example")
    link = link_of(world, world.ada)
    assert (link.sys_id, link.linked, ada["city"]) == (ada["sys_id"], True, "Athens")
    assert is_counted_right(world)
    assert ada["sys_id"] in members(world)
    assert verified(world) == {}


def test_a_run_on_demand_adopts_what_was_relinked_at_once(world):
    other = other_account(world)
    world.instance.update("sys_user", account(world, "ada")["sys_id"], {"user_name": "retired"})
    relink(world, world.ada, other["sys_id"])
    world.run(provision_on_demand(world.engine(), world.ada, write=True))
    assert account(world, "ada")["sys_id"] == other["sys_id"]
    world.cycle()
    assert is_counted_right(world)
