"""People and groups are found by what somebody remembers of them, however large the tenant is."""

from __future__ import annotations

import time

import pytest

from provisioning.engine.searching import search
from provisioning.model import Link
from tests.world import small_world


def names(found) -> list[str]:
    return [each.source.attributes["displayName"] if each.source else each.link.id for each in found.found]


def test_a_hundred_thousand_people_are_searched_within_300_milliseconds(tmp_path):
    with small_world(tmp_path, users=100_000, groups=100) as world:
        context = world.engine().context
        some = [key for key, _ in zip(world.directory.users, range(2000), strict=False)]
        world.run(context.links.put([Link("user", key, sys_id=key.replace("-", "")) for key in some]))
        world.run(context.links.claim([Link("user", key, sys_id=key.replace("-", "")) for key in some]))
        world.run(search(context, "s"))  # the emulator makes its index
        for text in ("s", "ann", "siobhan.o'brien@contoso.com", "zzz", some[77], some[78].replace("-", "")):
            began = time.perf_counter()
            found = world.run(search(context, text))
            assert time.perf_counter() - began < 0.3, text
            assert bool(found.found) == (text != "zzz")


@pytest.mark.parametrize("text", ["Ann", "ann", "Lee", "ann.lee@", "ANN.L", "lee, a"])
def test_a_name_is_found_by_its_beginning_and_nothing_else_is(tmp_path, text):
    with small_world(tmp_path) as world:
        world.directory.add_user(displayName="Ann Lee", givenName="Ann", surname="Lee", mail="Lee, A@x.example",
                                 userPrincipalName="ann.lee@x.example", accountEnabled=True)  # fmt: skip
        world.directory.add_user(displayName="Joann Eel", userPrincipalName="jo@x.example", accountEnabled=True)
        world.directory.add_group(displayName="The annual group")
        assert names(world.run(search(world.engine().context, text))) == ["Ann Lee"]


def test_who_is_renamed_is_found_by_the_new_name_and_no_more_by_the_old(tmp_path):
    with small_world(tmp_path) as world:
        key = world.directory.add_user(displayName="Ann", userPrincipalName="ann@x.example", accountEnabled=True)
        context = world.engine().context
        assert names(world.run(search(context, "Ann"))) == ["Ann"]
        world.directory.update_user(key, displayName="Zoe", userPrincipalName="zoe@x.example")
        assert names(world.run(search(context, "Zoe"))) == ["Zoe"]
        assert names(world.run(search(context, "Ann"))) == []


def test_where_graph_does_not_answer_the_job_tells_whom_it_remembers(tmp_path):
    with small_world(tmp_path, users=20, groups=1) as world:
        world.cycle()
        name = next(iter(world.instance.find("sys_user", active="true")))["user_name"]
        link = world.run(world.engine().context.links.owners_by_key("user", [name]))
        (id_,) = link.values()
        world.directory.behaviour.permissions = frozenset()
        found = world.run(search(world.engine().context, id_))
        assert [each.link.id for each in found.found] == [id_]
        assert "User.Read.All" in found.failure
