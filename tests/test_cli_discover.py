"""`discover` as a person uses it: what is printed, what is written, which exit codes; both emulators over HTTP."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest

from provisioning.cli.listing import whole
from provisioning.errors import ConfigError, Unavailable
from tests.served import Served, serving
from tests.test_cli import Person

USERS, GROUPS = 30, 3
STATES = ["managed", "unassigned", "local", "ambiguous", "protected", "stale"]
FORMULA = '=HYPERLINK("http://evil.example")'


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


@pytest.fixture
def person(emulators, tmp_path) -> Person:
    emulators.begin_again(users=USERS, groups=GROUPS)
    emulators.servicenow.delete("/faults")
    return Person(emulators, tmp_path)


def insert(served: Served, **fields: str) -> None:
    served.servicenow.post("/records/sys_user", **fields)


def stored(person: Person) -> list[str]:
    with closing(sqlite3.connect(person.folder / "state.db")) as database:
        return list(database.iterdump())


def test_the_table_counts_every_record_by_state_and_names_what_needs_attention(person):
    insert(person.served, user_name="old", active="true", last_login_time="2001-01-01 00:00:00")
    assert person.types("run").returncode == 0
    person.served.forget_counts()
    done = person.types("discover")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert rows[0] == STATES
    counts = {row[0]: [int(n.replace(",", "")) for n in row[1:]] for row in rows[2:4]}
    assert sum(counts["users"]) == len(person.served.records("sys_user"))
    assert sum(counts["groups"]) == len(person.served.records("sys_user_group"))
    assert counts["users"][0] > 0
    assert counts["users"][STATES.index("stale")] == 1
    (stale,) = [line for line in done.stdout.splitlines() if line.startswith("stale")]
    assert "user old" in stale
    assert "last logged in" in stale
    assert person.served.writes == 0


def test_nothing_is_written_to_either_side_or_to_the_state(person):
    assert person.types("run").returncode == 0
    before = stored(person)
    person.served.forget_counts()
    assert person.types("discover").returncode == 0
    assert stored(person) == before
    asked = {**person.served.servicenow.get("/counts")["requests"], **person.served.graph.get("/counts")}
    sent = {kind.removeprefix("batch: ") for kind in asked}
    assert {kind for kind in sent if not kind.startswith("GET ")} <= {"POST token", "POST batch", "POST /$batch"}
    assert {"GET sys_user", "GET sys_user_group", "GET /users", "GET /groups"} <= sent


def test_json_is_one_document_with_counts_and_every_record(person):
    found = person.gets("discover")
    assert found["counts"]["users"].keys() == set(STATES)
    assert len(found["objects"]) == sum(sum(kind.values()) for kind in found["counts"].values())
    assert {"type", "sysId", "name", "state", "active", "job", "sourceIds", "lastLogin", "reason"} == set(
        found["objects"][0]
    )


def test_the_list_can_be_narrowed_to_a_type_and_to_states(person):
    both = person.gets("discover", "--state", "local", "--state", "protected")
    assert {each["state"] for each in both["objects"]} == {"local", "protected"}
    assert {each["type"] for each in both["objects"]} == {"user", "group"}
    groups = person.gets("discover", "--groups", "--state", "local")
    assert {(each["type"], each["state"]) for each in groups["objects"]} == {("group", "local")}
    assert groups["counts"].keys() == {"groups"}
    person.served.forget_counts()
    assert person.gets("discover", "--users")["counts"].keys() == {"users"}
    assert not [kind for kind in person.served.graph.get("/counts") if kind == "GET /groups"]


def test_csv_can_be_read_by_a_program_and_runs_nothing_in_a_spreadsheet(person):
    insert(person.served, user_name=FORMULA, active="true")
    out = person.folder / "accounts.csv"
    done = person.types("discover", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert f"Written to {out}" in done.stdout
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(person.served.records("sys_user")) + len(person.served.records("sys_user_group"))
    assert f"'{FORMULA}" in {row["name"] for row in rows}
    assert person.types("discover", "--csv").stdout == out.read_text(encoding="utf-8")


def test_how_long_an_account_may_be_idle_can_be_said(person):
    insert(person.served, user_name="old", active="true", last_login_time="2001-01-01 00:00:00")
    for days, number in (("90", 1), ("36500", 0)):
        assert person.gets("discover", "--users", "--stale-days", days)["counts"]["users"]["stale"] == number


def test_a_page_that_fails_half_way_is_one_line_and_leaves_no_file(person):
    # A page with rows is never the end, so that the second request follows whatever there is.
    person.served.servicenow.post("/faults", on="GET sys_user", effect="status", status=403, times=None, skip=1)
    out = person.folder / "accounts.json"
    out.write_text("from last week")
    done = person.types("discover", "--users", "--out", str(out))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
    assert out.read_text() == "from last week"
    assert [path.name for path in person.folder.glob("*accounts*")] + [*person.folder.glob(".*")] == ["accounts.json"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--csv", "--json"], "choose one"),
        (["--state", "odd"], "no state"),
        (["--out", "list.txt"], "--csv or --json"),
        (["--out", "/nowhere/list.csv"], "no folder"),
        (["--stale-days", "0"], "stale-days"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_is_asked(person, words, told):
    person.served.forget_counts()
    done = person.types("discover", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not person.served.graph.get("/counts")


def test_a_file_that_fails_while_it_is_written_is_gone(tmp_path):
    out = tmp_path / "list.csv"

    def write():
        with whole(out) as file:
            file.writelines(islice(iter(["a\n"] * 10), 5))
            raise Unavailable("the other side is unwell")

    with pytest.raises(Unavailable):
        write()
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_cannot_be_written_to_is_told_with_the_way_out(tmp_path):
    def write():
        with whole(tmp_path / "gone" / "list.csv"):
            pass

    with pytest.raises(ConfigError, match="name a file"):
        write()
