"""What every state store does, tested on SQLite, on an overlay and on Azure Tables as Azurite serves it."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec import ValidationError, to_builtins

from provisioning.errors import RowConflict, RowTooLarge
from provisioning.model import Link
from provisioning.rows import MAX_KEY_CHARACTERS, Delete, Insert, Put, Replace

KIB = 1024
ODD_KEYS = [
    *(
        "it's",
        "''",
        "50%",
        "%41",
        "a b",
        " lead",
        "trail ",
        "a+b",
        "a&b",
        "a=b",
        "a,b;c:d",
        "x|y",
        "@p",
        "(x)",
        "$batch",
    ),
    *(
        '"q"',
        "<x>",
        "{b}",
        "~",
        "A",
        "a",
        "aa",
        "a-",
        "_",
        "é",
        "e\u0301",
        "İ",
        "ß",
        "日本",
        "𠮷",
        "😀",
        "\ue000",
        "\uff21",
        "\ufffd",
    ),
]

# azure-core hands the body to aiohttp as bytes; copying a few MiB holds up the event loop for a millisecond.
large_body = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


def keys(rows):
    return [row.key for row in rows]


def in_table_order(texts):
    return sorted(texts, key=lambda text: text.encode("utf-16-be"))


def row_of(counted_kib):
    """Data that Azure Tables counts as slightly less than so many KiB: two bytes for each character."""
    return {"text": "x" * (counted_kib * KIB // 2 - 500)}


def test_a_row_that_was_inserted_is_read_back(store):
    (etag,) = store.commit("link", "p", Insert("k", {"name": "Ada"}))
    row = store.get("link", "p", "k")
    assert (row.partition, row.key, row.data, row.etag) == ("p", "k", {"name": "Ada"}, etag)


def test_what_was_never_written_is_absent(store):
    assert store.get("link", "p", "k") is None
    assert store.get_many("link", [("p", "k")]) == {}
    assert store.scan("link", "p") == []


def test_rows_of_other_tables_partitions_and_cases_are_other_rows(store):
    store.commit("link", "p", Insert("k", {"n": 1}))
    store.commit("link", "P", Insert("k", {"n": 2}))
    store.commit("edge", "p", Insert("k", {"n": 3}))
    store.commit("link", "p", Insert("K", {"n": 4}))
    assert store.get("link", "p", "k").data == {"n": 1}
    assert keys(store.scan("link", "p")) == ["K", "k"]
    assert [row.data for row in store.scan("edge", "p")] == [{"n": 3}]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"none": None, "yes": True, "list": [1, "2", {"three": 3.5}], "nested": {"": {}}},
        {"big": 2**80, "negative": -(2**63), "small": 1e-300},
        {"text": "line\nbreak\ttab \x00 \x7f \u2028 ' \" \\ </x> %41 \ufffe"},
        {"😀": "𠮷" * 10, "half a pair": "\ud800", "other half": "\udc00é"},
    ],
    ids=["empty", "types", "numbers", "characters", "surrogates"],
)
def test_data_comes_back_as_it_was_given(store, data):
    store.commit("link", "p", Put("k", data))
    assert store.get("link", "p", "k").data == data


@pytest.mark.parametrize("name", ["Ada", "Zoë 😀", "half a pair \ud800", "line\u2028\x00"])
def test_a_struct_is_stored_as_its_json_and_decoded_as_what_it_was(store, name):
    known = Link("user", "u1", grants=("role:r",), sys_id="s1", written={"name": name}, since=1.5)
    store.commit("link", "p", Insert("k", known))
    row = store.get("link", "p", "k")
    assert row.decode(Link) == known
    assert row.data == json.loads(json.dumps(to_builtins(known)))


def test_a_row_that_is_not_what_it_is_taken_for_is_refused(store):
    store.commit("link", "p", Put("k", {"type": "user", "id": 7}))
    with pytest.raises(ValidationError, match="id"):
        store.get("link", "p", "k").decode(Link)


def test_a_number_that_json_does_not_know_is_refused(store):
    with pytest.raises(ValueError, match="JSON"):
        store.commit("link", "p", Put("k", {"n": float("nan")}))


def test_inserting_a_row_that_exists_is_a_conflict_and_changes_nothing(store):
    (etag,) = store.commit("link", "p", Insert("k", {"n": 1}))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Insert("k", {"n": 2}))
    assert store.get("link", "p", "k").etag == etag


def test_putting_adds_a_row_or_replaces_all_of_it(store):
    store.commit("link", "p", Put("k", {"old": "x" * 100 * KIB}))
    store.commit("link", "p", Put("k", {"new": 1}))
    assert store.get("link", "p", "k").data == {"new": 1}


def test_replacing_asks_for_the_etag_that_was_read(store):
    (first,) = store.commit("link", "p", Insert("k", {"n": 1}))
    (second,) = store.commit("link", "p", Replace("k", {"n": 2}, first))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Replace("k", {"n": 3}, first))
    row = store.get("link", "p", "k")
    assert (row.data, row.etag) == ({"n": 2}, second)


def test_replacing_a_row_that_is_gone_is_a_conflict(store):
    (etag,) = store.commit("link", "p", Insert("k", {"n": 1}))
    store.commit("link", "p", Delete("k"))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Replace("k", {"n": 2}, etag))
    assert store.get("link", "p", "k") is None


def test_deleting_with_an_etag_asks_for_the_one_that_was_read(store):
    (first,) = store.commit("link", "p", Insert("k", {"n": 1}))
    (second,) = store.commit("link", "p", Put("k", {"n": 1}))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Delete("k", first))
    assert store.commit("link", "p", Delete("k", second)) == [None]
    with pytest.raises(RowConflict):
        store.commit("link", "p", Delete("k", second))
    assert store.get("link", "p", "k") is None


def test_deleting_an_absent_row_without_an_etag_is_fine(store):
    assert store.commit("link", "p", Delete("k")) == [None]
    store.commit("link", "p", Insert("present", {}))
    assert store.commit("link", "p", Delete("k"), Delete("present"), Delete("other")) == [None] * 3
    assert store.scan("link", "p") == []


def test_absent_rows_in_a_transaction_do_not_keep_the_others_from_being_written(store):
    store.commit("link", "p", Insert("gone", {}), Insert("kept", {"n": 1}))
    etags = store.commit("link", "p", Delete("absent"), Put("kept", {"n": 2}), Delete("gone"), Insert("new", {"n": 3}))
    rows = store.scan("link", "p")
    assert [(row.key, row.data["n"]) for row in rows] == [("kept", 2), ("new", 3)]
    assert etags == [None, rows[0].etag, None, rows[1].etag]


def test_absent_rows_in_a_transaction_do_not_hide_a_conflict(store):
    store.commit("link", "p", Insert("taken", {"n": 1}))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Delete("absent"), Put("other", {}), Insert("taken", {"n": 2}))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Delete("absent"), Put("other", {}), Delete("taken", _stale_etag(store)))
    assert [(row.key, row.data) for row in store.scan("link", "p")] == [("taken", {"n": 1})]


def _stale_etag(store):
    (etag,) = store.commit("link", "elsewhere", Put("k", {}))
    store.commit("link", "elsewhere", Put("k", {}))
    return etag


def test_every_write_changes_the_etag_even_when_the_data_is_the_same(store):
    etags = [store.commit("link", "p", Put("k", {"n": 1}))[0] for _ in range(5)]
    store.commit("link", "p", Delete("k"))
    etags += store.commit("link", "p", Insert("k", {"n": 1}))
    assert len(set(etags)) == 6


def test_a_transaction_whose_last_condition_fails_writes_nothing(store):
    (etag,) = store.commit("link", "p", Insert("a", {"n": 1}))
    store.commit("link", "p", Insert("z", {}))
    with pytest.raises(RowConflict):
        store.commit("link", "p", Delete("a", etag), Put("b", {}), Insert("c", {}), Insert("z", {}))
    assert keys(store.scan("link", "p")) == ["a", "z"]


def test_a_transaction_takes_1_to_100_rows(store):
    store.commit("link", "p", *(Insert(f"{n:03}", {"n": n}) for n in range(100)))
    for size in (0, 101):
        with pytest.raises(ValueError, match=f"transaction of {size} rows"):
            store.commit("link", "p", *(Put(f"{n:03}", {}) for n in range(size)))
    assert [row.data["n"] for row in store.scan("link", "p")] == list(range(100))


def test_a_key_occurs_once_in_a_transaction(store):
    with pytest.raises(ValueError, match="twice"):
        store.commit("link", "p", Put("k", {}), Delete("k"))
    assert store.get("link", "p", "k") is None


@pytest.mark.parametrize("kib", [63, 65, 900, 1023])
def test_a_row_may_have_up_to_1_mib(store, kib):
    store.commit("link", "p", Put("k", row_of(kib)))
    assert store.get("link", "p", "k").data == row_of(kib)


def test_a_row_of_more_than_1_mib_is_refused_with_its_whole_transaction(store):
    with pytest.raises(RowTooLarge, match="Azure Tables takes 1,048,576"):
        store.commit("link", "p", Put("small", {}), Put("k", row_of(1026)))
    assert store.scan("link", "p") == []


def test_characters_beyond_the_basic_plane_count_twice(store):
    # Not nearer to the limit: Azurite counts each of them as the 12 bytes that it is sent as.
    fits, exceeds = {"text": "a" + "😀" * 80_000}, {"text": "😀" * 263_000}
    store.commit("link", "p", Put("k", fits))
    assert store.get("link", "p", "k").data == fits
    with pytest.raises(RowTooLarge):
        store.commit("link", "p", Put("k", exceeds))


@large_body
def test_a_transaction_may_have_up_to_4_mib(store):
    rows = [Put(f"{n}", row_of(900)) for n in range(10)]
    store.commit("link", "p", *rows[:9])
    with pytest.raises(RowTooLarge, match="Azure Tables takes 4,194,304"):
        store.commit("link", "q", *rows)
    assert len(store.scan("link", "p")) == 9
    assert store.scan("link", "q") == []


@large_body
def test_what_grows_on_the_wire_counts_as_it_is_sent(store):
    # Each of these characters becomes 12 bytes of the request, so that 18 rows do not fit, though they have 1.4 MiB.
    rows = [Put(f"{n:03}", {"text": "😀" * 20_000}) for n in range(18)]
    store.commit("link", "p", *rows[:17])
    with pytest.raises(RowTooLarge):
        store.commit("link", "p", *rows)


@pytest.mark.parametrize("character", ["/", "\\", "#", "?", "\x00", "\n", "\x1f", "\x7f", "\x9f", "\ud83d"])
def test_a_key_with_a_character_that_azure_tables_refuses_is_refused(store, character):
    bad = f"a{character}b"
    for refused in (
        lambda: store.get("link", "p", bad),
        lambda: store.get("link", bad, "k"),
        lambda: store.get_many("link", [("p", "k"), ("p", bad)]),
        lambda: store.scan("link", bad),
        lambda: store.commit("link", bad, Put("k", {})),
        lambda: store.commit("link", "p", Put("k", {}), Delete(bad)),
    ):
        with pytest.raises(ValueError, match="encode it"):
            refused()
    assert store.scan("link", "p") == []


@pytest.mark.parametrize("character", ["k", "é", "日", "😀"])
def test_a_key_has_1_to_512_utf16_units(store, character):
    units = len(character.encode("utf-16-le")) // 2
    longest = character * (MAX_KEY_CHARACTERS // units)
    store.commit("link", longest, Insert(longest, {"n": 1}))
    assert store.get("link", longest, longest).data == {"n": 1}
    for bad in ("", longest + "k"):
        with pytest.raises(ValueError, match="1 to 512"):
            store.commit("link", "p", Put(bad, {}))
        with pytest.raises(ValueError, match="1 to 512"):
            store.get("link", bad, "k")


def test_keys_of_any_other_characters_can_be_written_read_scanned_and_deleted(store):
    etags = store.commit("link", "it's 50% 日本", *(Insert(key, {"key": key}) for key in ODD_KEYS))
    partition = "it's 50% 日本"
    assert all(store.get("link", partition, key).data == {"key": key} for key in ODD_KEYS)
    assert len(store.get_many("link", [(partition, key) for key in ODD_KEYS])) == len(ODD_KEYS)
    ordered = in_table_order(ODD_KEYS)
    assert keys(store.scan("link", partition)) == ordered
    for number, key in enumerate(ordered):
        assert keys(store.scan("link", partition, after=key, limit=1)) == ordered[number + 1 : number + 2]
    pairs = list(zip(ODD_KEYS, etags, strict=True))
    etags = store.commit("link", partition, *(Replace(key, {}, etag) for key, etag in pairs))
    pairs = list(zip(ODD_KEYS, etags, strict=True))
    store.commit("link", partition, *(Delete(key, etag) for key, etag in pairs))
    assert store.scan("link", partition) == []


def test_a_scan_returns_the_keys_between_two_bounds_in_order(store):
    store.commit("link", "p", *(Put(key, {}) for key in ("b", "a", "c1", "c", "B", "d", "c2")))
    assert keys(store.scan("link", "p")) == ["B", "a", "b", "c", "c1", "c2", "d"]
    assert keys(store.scan("link", "p", after="b")) == ["c", "c1", "c2", "d"]
    assert keys(store.scan("link", "p", before="c1")) == ["B", "a", "b", "c"]
    assert keys(store.scan("link", "p", after="a", before="d", limit=3)) == ["b", "c", "c1"]
    assert keys(store.scan("link", "p", after="bb", before="c")) == []


def test_a_scan_goes_on_after_its_last_key_until_a_page_is_short(store):
    wanted = [f"{n:05}" for n in range(2_000)]
    for start in range(0, 2_000, 100):
        store.commit("plan", "p", *(Insert(key, {}) for key in wanted[start : start + 100]))
    store.commit("plan", "other", Insert("00000", {}))
    seen, after, sizes = [], "", []
    while True:
        page = store.scan("plan", "p", after=after)
        seen, sizes = [*seen, *keys(page)], [*sizes, len(page)]
        if len(page) < 1000:
            break
        after = page[-1].key
    assert seen == wanted
    assert sizes == [1000, 1000, 0]


def test_a_scan_returns_1_to_1000_rows(store):
    for limit in (0, -1, 1001):
        with pytest.raises(ValueError, match="1 to 1000"):
            store.scan("link", "p", limit=limit)


def test_many_point_reads_answer_the_rows_that_exist(store):
    for partition in ("p", "q"):
        store.commit("link", partition, *(Insert(f"{n}", {"at": [partition, n]}) for n in range(50)))
    asked = [(partition, f"{n}") for partition in ("p", "q", "r") for n in range(0, 60, 2)]
    found = store.get_many("link", [*asked, asked[0]])
    assert {where: row.data["at"] for where, row in found.items()} == {
        (partition, f"{n}"): [partition, n] for partition in ("p", "q") for n in range(0, 50, 2)
    }
    assert store.get_many("link", []) == {}


def test_of_writers_that_insert_the_same_row_one_succeeds(store):
    async def insert(name):
        try:
            await store.behind.commit("link", "p", [Insert("k", {"by": name}), Put(f"log {name}", {})])
        except RowConflict:
            return None
        return name

    async def race():
        return await asyncio.gather(*(insert(f"{n}") for n in range(8)))

    store.commit("link", "q", Put("k", {}))
    winners = [name for name in store.run(race()) if name]
    assert len(winners) == 1
    assert keys(store.scan("link", "p")) == ["k", f"log {winners[0]}"]


def test_writers_that_read_again_after_a_conflict_lose_no_update(store):
    async def add_one():
        while True:
            row = await store.behind.get("link", "p", "counter")
            try:
                await store.behind.commit("link", "p", [Replace("counter", {"n": row.data["n"] + 1}, row.etag)])
            except RowConflict:
                continue
            return

    async def race():
        await asyncio.gather(*(add_one() for _ in range(8)))

    store.commit("link", "p", Insert("counter", {"n": 0}))
    store.run(race())
    assert store.get("link", "p", "counter").data == {"n": 8}
