"""What the adapter reads from ServiceNow: columns, records by value and by sys_id, memberships."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from provisioning.adapters.servicenow import ServiceNowTarget, refusal
from provisioning.errors import ConfigError, Throttled, Unauthorized, Unavailable
from tests.emulators.servicenow.seed import ADMIN_ID
from tests.servicenow_world import World

NASTY = [
    "caret^inside",
    "doubled^^caret",
    "x^NQuser_nameISNOTEMPTY",
    "x^ORuser_name=admin",
    "comma, inside",
    "trailing,",
    "O'Brien",
    'say "hi"',
    "müller@contoso.com",
    "日本語",
    "smile😀",
    "per%cent",
    "plus+and&amp;=",
    "a<b>c!",
    "back\\slash",
    "not javascript:alert(1)",
    "INFO@LIKE.in",
    "two  blanks",
]


@pytest.fixture
def world(runner):
    return World(runner)


def sent_urls(world):
    return [item["url"] for batch in world.wire.batches for item in batch]


def drop_the_filter(request):
    """What the instance does with a condition that it does not understand."""
    if not request.url.path.endswith("/batch"):
        return request
    body = json.loads(request.content)
    for item in body["rest_requests"]:
        item["url"] = item["url"].replace("sysparm_query=user_name", "sysparm_query=zz_no_such_field")
    headers = {**request.headers, "content-length": str(len(json.dumps(body).encode()))}
    return httpx.Request("POST", request.url, headers=headers, content=json.dumps(body).encode())


def test_records_come_grouped_by_the_value_asked_for_inactive_ones_included(world):
    found = world.find("sys_user", "user_name", ["abel.tuter", "david.loo", "nobody"], ["active", "email"])
    assert set(found) == {"abel.tuter", "david.loo"}
    (david,) = found["david.loo"]
    assert david["active"] == "false"
    assert set(david) == {"sys_id", "user_name", "active", "email"}


def test_values_of_several_tables_are_found_in_one_call_each_where_it_was_asked_for(world):
    world.instance.insert("cmn_department", {"name": "Astronomy"})
    world.instance.insert("cmn_location", {"name": "Observatory"})
    world.do(world.target.dictionary())
    before = len(world.wire.batches)
    asked = {
        ("cmn_department", "name"): ["Astronomy", "Observatory", "caret^"],
        ("cmn_location", "name"): ["Observatory", "Astronomy"],
    }
    found = world.do(world.target.find_named(asked))
    assert len(world.wire.batches) == before + 1
    names = {place: {value: [hit["name"] for hit in hits] for value, hits in of.items()} for place, of in found.items()}
    assert names == {
        ("cmn_department", "name"): {"Astronomy": ["Astronomy"]},
        ("cmn_location", "name"): {"Observatory": ["Observatory"]},
    }


@pytest.mark.parametrize("value", NASTY)
def test_a_value_with_signs_of_the_query_language_finds_itself_and_nobody_else(world, value):
    assert refusal(value) is None
    sys_id = world.user(value)
    world.user("bystander")
    found = world.find("sys_user", "user_name", [value, "bystander", "nobody"])
    assert [row["sys_id"] for row in found[value]] == [sys_id]
    assert set(found) == {value, "bystander"}
    assert [row["sys_id"] for row in world.find("sys_user", "user_name", [value])[value]] == [sys_id]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("javascript:gs.getUserID()", "script"),
        ("  JavaScript:gs.getUserID()", "script"),
        ("line\nbreak", "U+000A"),
        ("nul\x00", "U+0000"),
        ("half\ud800", "U+D800"),
        ("", "empty"),
        ("   ", "empty"),
        ("NULL", "empty"),
        ("x" * 1001, "longer"),
    ],
)
def test_a_value_that_cannot_be_asked_for_says_why_and_leaves_the_others_alone(world, value, reason):
    assert reason in refusal(value)
    found = world.find("sys_user", "user_name", [value, "admin"])
    assert set(found) == {"admin"}
    assert world.instance.scripts == []


def test_trap_1_a_field_that_the_dictionary_lacks_is_refused_before_anybody_is_asked(world):
    with pytest.raises(ConfigError, match=r"SchemaAttributeNotFound.*sys_user.*u_no_such_field"):
        world.find("sys_user", "u_no_such_field", ["x"])
    with pytest.raises(ConfigError, match="u_other"):
        world.find("sys_user", "user_name", ["x"], ["u_other"])
    with pytest.raises(ConfigError, match="u_table"):
        world.find("u_table", "name", ["x"])
    assert world.instance.counts["batch: GET sys_user"] == 0


def test_trap_1_rows_that_nobody_asked_for_are_an_error_and_never_a_match(world):
    world.do(world.target.dictionary())
    world.wire.meddle = drop_the_filter
    with pytest.raises(Unavailable, match="nobody asked for"):
        world.find("sys_user", "user_name", ["abel.tuter"], ["email"])


def test_trap_2_hits_that_differ_in_case_or_accents_are_reported_as_hits(world):
    world.user("muller@contoso.com")
    found = world.find("sys_user", "user_name", ["MÜLLER@contoso.com", "muller@contoso.com"])
    assert found["MÜLLER@contoso.com"] == found["muller@contoso.com"]
    assert found["MÜLLER@contoso.com"][0]["user_name"] == "muller@contoso.com"


def test_trap_6_cookies_that_the_instance_sets_are_never_sent_back(world):
    for _ in range(3):
        world.find("sys_user", "user_name", ["admin"])
    assert len(world.wire.requests) > 3
    assert not any("cookie" in request.headers for request in world.wire.requests)


def test_trap_6_a_read_that_was_put_aside_with_202_is_asked_again(world):
    world.instance.faults.add("POST batch", "dropped_session", times=2)
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    world.instance.faults.add("batch: GET sys_user", "dropped_session", times=1)
    assert "admin" in world.find("sys_user", "user_name", ["admin"])


@pytest.mark.parametrize("effect", ["cut_stream", "error_in_stream", "html", "status"])
def test_trap_5_an_answer_that_only_looks_good_is_asked_again_and_then_an_error(world, effect):
    world.find("sys_user", "user_name", ["admin"])
    world.instance.faults.add("batch: GET sys_user", effect, times=2)
    assert set(world.find("sys_user", "user_name", ["admin", "abel.tuter"])) == {"admin", "abel.tuter"}
    world.instance.faults.add("batch: GET sys_user", effect, times=3)
    with pytest.raises(Unavailable):
        world.find("sys_user", "user_name", ["admin", "abel.tuter"])


def test_trap_5_a_hibernating_instance_is_named_so(world):
    world.instance.faults.add("POST batch", "hibernating")
    with pytest.raises(Unavailable, match="hibernates") as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.code == "ServiceNowInstanceInvalid"
    world.instance.faults.add("POST batch", "html", status=503, times=None)
    with pytest.raises(Unavailable, match="maintenance"):
        world.find("sys_user", "user_name", ["admin"])


def test_trap_8_more_rows_than_an_answer_holds_hide_no_other_value(world):
    for _ in range(90):
        world.instance.insert("sys_user_group", {"name": "Twin"})
    world.instance.insert("sys_user_group", {"name": "Zebra"})
    found = world.find("sys_user_group", "name", ["Twin", "Zebra", "Network", "Nobody"])
    assert set(found) == {"Twin", "Zebra", "Network"}
    assert len(found["Twin"]) > 1
    assert len(found["Zebra"]) == 1


@pytest.mark.parametrize("names", [["Zebra"], ["Twin", "Zebra", "Network"], ["Zebra", "Nobody"]])
def test_trap_8_a_window_full_of_hidden_rows_hides_no_record_that_is_visible(world, names):
    """The window is cut before access rules: an answer without a row can be the first part of a longer one."""
    for _ in range(300):
        world.instance.insert("sys_user_group", {"name": "Twin", "description": "secret"})
        if len(names) != 3:
            world.instance.insert("sys_user_group", {"name": "Zebra", "description": "secret"})
    world.instance.insert("sys_user_group", {"sys_id": "f" * 32, "name": "Zebra"})
    world.instance.access.hidden_rows["sys_user_group"] = "description=secret"
    found = world.find("sys_user_group", "name", names)
    assert [row["sys_id"] for row in found["Zebra"]] == ["f" * 32]


def test_a_key_that_may_not_be_read_is_said_instead_of_matched_without(world):
    world.instance.access.unreadable["sys_user"].add("user_name")
    with pytest.raises(Unauthorized, match="user_name") as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.code == "InsufficientRights"


def test_a_table_that_may_not_be_queried_is_a_matter_of_rights(world):
    world.instance.access.no_query.add("sys_user")
    with pytest.raises(Unauthorized, match="may not read the table") as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.code == "InsufficientRights"


def test_ten_thousand_keys_are_matched_in_at_most_thirty_calls(world):
    names = [f"somebody.number{n:05}@contoso.example" for n in range(10_000)]
    for name in names[::100]:
        world.user(name)
    found = world.find("sys_user", "user_name", names, ["active", "email", "first_name", "last_name", "manager"])
    assert len(found) == 100
    assert len(world.wire.requests) <= 30
    assert max(map(len, sent_urls(world))) < 1_960


def test_every_question_stays_below_two_thousand_characters_and_asks_plainly(world):
    world.find("sys_user", "user_name", [f"müller, nr. {n} 日本" for n in range(300)], ["email"] * 3)
    world.do(world.target.read("sys_user", [f"{n:032x}" for n in range(300)], ["email"]))
    for url in sent_urls(world):
        assert len(url) < 1_960
        if url.startswith("/api/now/table/"):
            asked = parse_qs(urlsplit(url).query)
            assert asked["sysparm_exclude_reference_link"] == ["true"]
            assert asked["sysparm_suppress_pagination_header"] == ["true"]
            assert asked["sysparm_no_count"] == ["true"]
            assert int(asked["sysparm_limit"][0]) > 0


def test_reads_that_the_instance_did_not_get_to_are_sent_again(world):
    world.do(world.target.dictionary())
    names = [f"u{n}" for n in range(3000)]
    world.user("u2999")
    world.instance.faults.add("POST batch", "batch_cut", after_items=3, times=1)
    assert set(world.find("sys_user", "user_name", names)) == {"u2999"}
    world.instance.faults.add("POST batch", "batch_cut", after_items=0, times=None)
    with pytest.raises(Unavailable, match="did not get to"):
        world.find("sys_user", "user_name", names)


def test_records_are_read_by_sys_id_and_those_that_do_not_exist_are_absent(world):
    found = world.do(world.target.read("sys_user", [ADMIN_ID, "f" * 32, "not an id ^NQ"], ["email", "manager"]))
    assert found == {ADMIN_ID: {"sys_id": ADMIN_ID, "email": "admin@example.com", "manager": ""}}


@pytest.mark.parametrize("many", ["groups", "users"])
def test_memberships_are_found_with_every_duplicate_from_either_side(world, many):
    groups = [world.instance.insert("sys_user_group", {"name": f"G{n}"})["sys_id"] for n in range(3)]
    users = [world.user(f"u{n}") for n in range(50)]
    if many == "groups":
        groups += [world.instance.insert("sys_user_group", {"name": f"H{n}"})["sys_id"] for n in range(60)]
        users = users[:3]
    rows = {
        (g, u): tuple(
            world.instance.insert("sys_user_grmember", {"group": g, "user": u})["sys_id"]
            for _ in range(2 if u == users[0] else 1)
        )
        for g in groups[:2]
        for u in users[:3]
    }
    world.instance.insert("sys_user_grmember", {"group": groups[0], "user": ""})
    world.instance.insert("sys_user_grmember", {"group": "", "user": users[0]})
    pairs = [(g, u) for g in groups for u in users]
    with world.counted() as asked:
        found = world.do(world.target.memberships([*pairs, ("^NQ", "x")]))
    assert {pair: set(ids) for pair, ids in found.items()} == {pair: set(ids) for pair, ids in rows.items()}
    assert asked["batch: GET sys_user_grmember"] <= 6


def test_columns_come_from_the_dictionary_with_lengths_and_references(world):
    columns = world.do(world.target.dictionary())
    assert columns["sys_user"]["user_name"].max_length == 40
    assert columns["sys_user"]["manager"].reference == "sys_user"
    assert columns["sys_user_grmember"]["group"].reference == "sys_user_group"
    with world.counted() as asked:
        world.do(world.target.dictionary())
    assert not asked


def test_columns_of_the_tables_that_a_table_extends_are_its_own_too(world):
    instance = world.instance
    instance.add_column("core_company", "u_inherited")
    instance.add_column("sys_db_object", "super_class", type="reference", reference="sys_db_object")
    rows = instance.data("sys_db_object")
    keys = {row["name"]: key for key, row in rows.by_key.items()}
    rows.change(keys["cmn_department"], {"super_class": keys["core_company"]})
    columns = world.do(ServiceNowTarget(world.session, tables=["cmn_department"]).dictionary())
    assert set(columns) == {"cmn_department"}
    assert {"u_inherited", "dept_head"} <= set(columns["cmn_department"])


@pytest.mark.parametrize("hidden", ["refused", "empty"])
def test_where_the_dictionary_is_closed_the_form_metadata_tells_the_columns(world, hidden):
    open_columns = world.do(world.target.dictionary())
    if hidden == "refused":
        world.instance.access.no_query |= {"sys_dictionary", "sys_db_object"}
    else:
        world.instance.access.hidden_rows["sys_dictionary"] = "nameISNOTEMPTY"
    columns = world.do(ServiceNowTarget(world.session).dictionary())
    assert world.instance.counts["GET meta"] == 7
    assert columns["sys_user"]["user_name"] == open_columns["sys_user"]["user_name"]
    assert set(columns["sys_user"]) == set(open_columns["sys_user"])


def test_no_more_calls_run_at_once_than_there_are_slots(world):
    world.instance.capacity.set_times(request=0.002)
    target = ServiceNowTarget(world.another_session(slots=3))
    names = [f"somebody.number{n:05}@contoso.example" for n in range(20_000)]

    async def both():
        await target.dictionary()
        await asyncio.gather(target.find("sys_user", "user_name", names, []), target.read("sys_user", ["f" * 32], []))

    world.do(both())
    assert world.instance.capacity.peak_busy == 3


def test_a_long_pause_goes_up_at_once(world):
    world.instance.faults.add("POST batch", "too_many", retry_after="1800")
    with pytest.raises(Throttled) as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.retry_after == 1800.0
