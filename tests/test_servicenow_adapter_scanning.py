"""Whole tables, page by page: what BATON's connector learnt in production (its keyset_test.go), and by offset."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx
import pytest

from provisioning.adapters.servicenow.reading import Calls
from provisioning.adapters.servicenow.scanning import (
    BY_OFFSET,
    MAY_UNDER_REPORT,
    MOST_PASSES,
    START,
    Among,
    Position,
    Scan,
    pages,
    read_page,
)
from provisioning.errors import Unauthorized, Unavailable
from tests.servicenow_world import World

TABLE = "cmn_building"


@pytest.fixture
def world(runner):
    world = World(runner)
    for row in world.instance.rows(TABLE):
        world.instance.delete(TABLE, row["sys_id"])
    return world


def number(n: int) -> str:
    return f"{n:032x}"


def numbers(first: int, last: int) -> list[str]:
    return [number(n) for n in range(first, last + 1)]


def fill(world, sys_ids, **fields):
    for sys_id in sys_ids:
        world.instance.insert(TABLE, {"sys_id": sys_id, "name": f"house {sys_id}", **fields})
    return sys_ids


def hide(world, *sys_ids):
    world.instance.access.hidden_rows[TABLE] = f"sys_idIN{','.join(sys_ids)}"


class Drained:
    """A scan to its end, one step at a time, as a caller would who stores each position. `between` runs after the first
    page, as another person who works in ServiceNow.
    """

    def __init__(self, world, scan=None, position=START, between=None):
        calls = Calls(world.session)
        self.scan = scan or Scan(TABLE, (), ("name",), limit=2)
        self.pages, self.ids = [], []
        met = {position}
        world.wire.forget()
        before = 0
        while position is not None:
            page = world.do(read_page(calls, self.scan, position))
            sent = len([each for each in world.wire.requests if each.method == "GET"])
            assert sent == before + 1, "one request a step"
            before = sent
            self.pages.append(page)
            self.ids += [row["sys_id"] for row in page.rows]
            position = page.next
            assert position not in met, "it would go round for ever"
            met.add(position)
            if between is not None:
                between()
                between = None


def iterated(world, scan, position=START):
    """The sys_ids of a scan through the iterator."""

    async def run():
        return [row["sys_id"] async for page in pages(Calls(world.session), scan, position) for row in page.rows]

    return world.do(run())


def asked(world):
    """The parameters of each list that was asked for."""
    return [
        {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        for request in world.wire.requests
        if request.method == "GET"
    ]


def with_count(world, text):
    """An instance, or a proxy, that sends this as X-Total-Count, or none."""

    def alter(response):
        response.headers.pop("X-Total-Count", None)
        if text is not None:
            response.headers["X-Total-Count"] = text

    world.wire.alter = alter


# --- By keyset ------------------------------------------------------------------------------------


def test_a_window_that_access_rules_emptied_is_not_the_end(world):
    fill(world, numbers(1, 6))
    hide(world, number(3), number(4))
    drained = Drained(world)
    assert drained.ids == [number(n) for n in (1, 2, 5, 6)]
    assert any(each["sysparm_offset"] == "2" and number(2) in each["sysparm_query"] for each in asked(world))


def test_a_hidden_run_longer_than_a_page_is_stepped_over(world):
    fill(world, numbers(1, 8))
    hide(world, *numbers(3, 6))
    drained = Drained(world)
    assert drained.ids == [number(n) for n in (1, 2, 7, 8)]
    assert {each["sysparm_limit"] for each in asked(world)} == {"2"}, "no request only asks for a count"


def test_a_short_page_is_not_the_end(world):
    fill(world, numbers(1, 6))
    hide(world, number(1), number(4))
    assert Drained(world).ids == [number(n) for n in (2, 3, 5, 6)]


def test_the_end_is_told_by_the_count_of_the_last_window(world):
    fill(world, numbers(1, 2))
    drained = Drained(world)
    assert (drained.ids, len(drained.pages)) == (numbers(1, 2), 1)
    assert drained.pages[-1].doubt == ""


def test_a_tail_that_is_hidden_ends_the_scan_and_the_count_tells_of_it(world):
    fill(world, numbers(1, 3))
    hide(world, number(2), number(3))
    drained = Drained(world)
    assert drained.ids == [number(1)]
    assert drained.pages[-1].total == 3


def test_a_table_of_hidden_rows_is_walked_once(world):
    hide(world, *fill(world, numbers(1, 8)))
    drained = Drained(world)
    assert drained.ids == []
    assert len(drained.pages) <= 5


def test_an_empty_table_costs_one_request(world):
    drained = Drained(world)
    assert (drained.ids, len(drained.pages), drained.pages[0].doubt) == ([], 1, "")


def test_without_a_count_the_scan_ends_at_an_empty_window_and_says_so(world):
    fill(world, numbers(1, 8))
    hide(world, number(3), number(4))
    with_count(world, None)
    drained = Drained(world)
    assert drained.ids == numbers(1, 2)
    assert drained.pages[-1].doubt == MAY_UNDER_REPORT


def test_a_count_that_is_no_number_counts_as_none(world):
    with_count(world, "not-a-number")
    drained = Drained(world)
    assert (drained.ids, drained.pages[-1].doubt) == ([], MAY_UNDER_REPORT)


def test_a_count_after_access_rules_cannot_be_told_from_the_end(world):
    """Documents the limit of the signal."""
    fill(world, numbers(1, 6))
    hide(world, number(3), number(4))
    with_count(world, "0")
    assert Drained(world).ids == numbers(1, 2)


def test_the_count_is_asked_for_because_that_of_the_window_tells_nothing(world):
    fill(world, numbers(1, 6))
    hide(world, number(3), number(4))
    assert world.instance.switches.no_count == "window"
    Drained(world)
    assert not any("sysparm_no_count" in each for each in asked(world))


def test_ids_that_are_not_hexadecimal_are_kept_as_they_are(world):
    odd = ["glean_user_role", "Glean-User.Role", "aB3", "AB4", "ab5", *numbers(1, 3), "Zz", "zy"]
    fill(world, odd)
    assert sorted(Drained(world).ids) == sorted(odd)
    cursors = {each["sysparm_query"].partition("^")[0].removeprefix("sys_id>") for each in asked(world)[1:]}
    assert cursors <= set(odd)
    assert any(cursor != cursor.lower() for cursor in cursors)


@pytest.mark.parametrize("bad", ["bad^id", "bad=id", "bad>id", "bad id", "x" * 33, ""])
def test_an_id_that_could_not_be_a_cursor_is_an_error_and_not_the_end(world, bad):
    world.wire.meddle = lambda request: (
        httpx.Response(200, json={"result": [{"sys_id": bad, "name": "x"}]}, headers={"X-Total-Count": "9"})
        if request.method == "GET"
        else request
    )
    with pytest.raises(Unavailable, match="cannot be asked for"):
        Drained(world)


def test_a_page_of_rows_without_ids_is_an_error_and_not_the_end(world):
    fill(world, numbers(1, 4))
    world.instance.access.unreadable[TABLE].add("sys_id")
    with pytest.raises(Unauthorized, match="without sys_id"):
        Drained(world)


def test_a_cursor_that_does_not_advance_is_an_error(world):
    fill(world, numbers(1, 4))
    world.instance.access.no_range[TABLE].add("sys_id")
    world.instance.switches.query_acl = "dropped"  # the condition is ignored: the first page comes again and again
    with pytest.raises(Unavailable, match="query_range"):
        Drained(world)


def test_a_scan_goes_on_from_a_stored_position(world):
    fill(world, numbers(1, 6))
    assert Drained(world, position=Position(after=number(3))).ids == numbers(4, 6)
    assert number(3) in asked(world)[0]["sysparm_query"]


def test_rows_that_come_and_go_between_pages_skip_and_repeat_nobody(world):
    fill(world, numbers(2, 9))

    def meanwhile():
        world.instance.delete(TABLE, number(2))
        world.instance.delete(TABLE, number(8))
        fill(world, [number(1), number(20)])

    drained = Drained(world, between=meanwhile)
    assert drained.ids == [*numbers(2, 7), number(9), number(20)]


def test_the_condition_stands_in_every_request_and_its_values_are_escaped(world):
    fill(world, numbers(1, 5), notes="left^right, or=wrong")
    fill(world, numbers(6, 9), notes="left")
    hide(world, number(3), number(4))
    scan = Scan(TABLE, (Among("notes", ("left^right, or=wrong", "other")),), (), limit=2)
    assert Drained(world, scan).ids == [number(n) for n in (1, 2, 5)]
    assert all("notes=left^^right, or=wrong^ORnotes=other^" in each["sysparm_query"] for each in asked(world))
    assert all(each["sysparm_query"].endswith("ORDERBYsys_id") for each in asked(world))


def test_trap_1_rows_that_nobody_asked_for_are_an_error(world):
    fill(world, numbers(1, 3), notes="other")
    scan = Scan(TABLE, (Among("notes", ("left",)),), (), limit=2)
    world.wire.meddle = lambda request: httpx.Request(
        request.method,
        str(request.url).replace("notes%3Dleft%5E", ""),
        headers=request.headers,
        content=request.content,
    )
    with pytest.raises(Unavailable, match="nobody asked for"):
        Drained(world, scan)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"limit": 0}, "needs at least 2"),
        ({"limit": 1}, "needs at least 2"),
        ({"conditions": (Among("name", ()),)}, "or none"),
        ({"conditions": (Among("name", ("javascript:gs.getUserID()",)),)}, "cannot be asked for"),
        ({"conditions": (Among("name", tuple(f"{n:0100}" for n in range(30))),)}, "one address"),
    ],
)
def test_a_scan_that_would_fetch_nothing_or_ask_for_a_script_is_a_defect_of_ours(wrong, why):
    with pytest.raises(ValueError, match=why):
        Scan(**({"table": TABLE, "conditions": (), "fields": ()} | wrong))


@pytest.mark.parametrize("effect", ["cut_stream", "error_in_stream", "html", "dropped_session"])
def test_trap_5_a_page_that_only_looks_good_is_asked_for_again(world, effect):
    fill(world, numbers(1, 5))
    world.instance.faults.add(f"GET {TABLE}", effect, times=2)
    assert iterated(world, Scan(TABLE, (), (), limit=2)) == numbers(1, 5)


def test_a_table_that_may_not_be_read_is_refused_and_not_empty(world):
    world.instance.access.no_query.add(TABLE)
    with pytest.raises(Unauthorized, match="may not read the table"):
        iterated(world, Scan(TABLE, (), (), limit=2))


# --- By offset --------------------------------------------------------------------------------------


@pytest.fixture
def guarded(world):
    """Query ACLs forbid ranges and orders on sys_id."""
    world.instance.access.no_range[TABLE].add("sys_id")
    return world


def test_where_ranges_on_sys_id_are_forbidden_the_scan_goes_by_offset(guarded):
    fill(guarded, numbers(1, 7))
    hide(guarded, number(3), number(4))
    assert iterated(guarded, Scan(TABLE, (), ("name",), limit=2)) == [*numbers(1, 2), *numbers(5, 7)]
    assert all("sys_id" not in each.get("sysparm_query", "") for each in asked(guarded)[1:])


def test_by_offset_when_told_so_no_range_is_tried(world):
    fill(world, numbers(1, 5))
    world.wire.forget()
    assert iterated(world, Scan(TABLE, (), (), limit=2), BY_OFFSET) == numbers(1, 5)
    assert all("sys_id" not in each.get("sysparm_query", "") for each in asked(world))


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 6])
def test_by_offset_every_row_comes_once_whatever_the_page(world, limit):
    fill(world, numbers(1, 5))
    assert iterated(world, Scan(TABLE, (), (), limit=limit), BY_OFFSET) == numbers(1, 5)


def test_by_offset_a_row_that_went_between_pages_makes_the_scan_begin_again(world):
    fill(world, numbers(1, 7))
    drained = Drained(world, position=BY_OFFSET, between=lambda: world.instance.delete(TABLE, number(1)))
    assert set(drained.ids) == set(numbers(1, 7))
    assert [each["sysparm_offset"] for each in asked(world)].count("0") == 2


def test_by_offset_a_row_that_came_while_another_went_is_noticed_too(world):
    """The count stays the same and all rows behind move up by one."""
    fill(world, numbers(1, 7))

    def meanwhile():
        world.instance.delete(TABLE, number(1))
        fill(world, [number(30)])

    drained = Drained(world, position=BY_OFFSET, between=meanwhile)
    assert set(drained.ids) == {*numbers(1, 7), number(30)}


def test_by_offset_a_table_that_never_rests_is_an_error_and_not_half_an_answer(world):
    fill(world, numbers(1, 7))
    came = iter(range(100, 200))

    def restless(request):
        if request.method == "GET":
            fill(world, [number(next(came))])
        return request

    world.wire.meddle = restless
    with pytest.raises(Unavailable, match=f"each of {MOST_PASSES} scans"):
        iterated(world, Scan(TABLE, (), (), limit=2), BY_OFFSET)


def test_by_offset_without_a_count_the_scan_ends_at_an_empty_page_and_says_so(world):
    fill(world, numbers(1, 3))
    with_count(world, None)
    drained = Drained(world, position=BY_OFFSET)
    assert set(drained.ids) == set(numbers(1, 3))
    assert drained.pages[-1].doubt == MAY_UNDER_REPORT


def test_by_offset_a_table_that_may_not_be_read_is_refused(world):
    world.instance.access.no_query.add(TABLE)
    with pytest.raises(Unauthorized, match="may not read the table"):
        iterated(world, Scan(TABLE, (), (), limit=2), BY_OFFSET)
