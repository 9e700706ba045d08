"""`drift` and `run --reconcile` as a person uses them: both emulators over HTTP."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from tests.served import Served, serving
from tests.test_cli import Person


@pytest.fixture(scope="module")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


@pytest.fixture
def person(emulators, tmp_path) -> Person:
    emulators.begin_again(users=20, groups=2)
    person = Person(emulators, tmp_path)
    assert person.types("run").returncode == 0
    return person


def meddle(person, **values):
    """Somebody changes the first account that we made; answers its record before."""
    record = next(row for row in person.served.records("sys_user") if row["sys_created_by"] == "svc.provisioning")
    person.served.servicenow.patch(f"/records/sys_user/{record['sys_id']}", **values)
    return record


def test_drift_names_the_column_both_values_and_who_it_was_and_writes_nothing(person):
    before = meddle(person, last_name="Changed")
    person.served.forget_counts()
    done = person.types("drift")
    assert done.returncode == 0, done.stderr
    assert "1 values were changed by others" in done.stdout
    assert (
        f"last_name was {before['last_name']} and is Changed (record last updated by another.person on " in done.stdout
    )
    assert person.served.writes == 0


def test_nothing_is_told_where_nobody_changed_anything(person):
    assert person.types("drift").stdout == "Nothing that we wrote was changed by others\n"


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_json_and_csv_hold_every_change(person, tmp_path, options):
    record = meddle(person, last_name="=1+1", first_name="Changed")
    found = person.gets("drift", *options)
    assert [each["attribute"] for each in found["changes"]] == ["first_name", "last_name"]
    assert {each["sysId"] for each in found["changes"]} == {record["sys_id"]}
    assert person.types("drift", *options, "--out", str(tmp_path / "drift.csv")).returncode == 0
    rows = list(csv.DictReader((tmp_path / "drift.csv").read_text().splitlines()))
    assert [row["serviceNowValue"] for row in rows] == ["Changed", "'=1+1"]


def test_csv_and_json_at_once_are_refused(person):
    assert "choose one of them" in person.types("drift", "--csv", "--json").stderr


def test_run_reconcile_finds_the_record_that_somebody_deleted(person):
    record = next(row for row in person.served.records("sys_user") if row["sys_created_by"] == "svc.provisioning")
    person.served.servicenow.delete(f"/records/sys_user/{record['sys_id']}")
    names = lambda: {row["user_name"] for row in person.served.records("sys_user")}  # noqa: E731 - asked twice
    assert person.types("run").returncode == 0
    assert record["user_name"] not in names()
    assert person.types("run", "--reconcile").returncode == 0
    assert record["user_name"] in names()
