"""The log as JSON and as Microsoft's three CSV tables: nothing lost, nothing that a spreadsheet would calculate, and no
more in memory than an entry.
"""

from __future__ import annotations

import asyncio
import csv
import json
import tracemalloc

import pytest

from provisioning.cli.exporting import csv_paths, save_csv, save_json
from provisioning.cli.logs import Search
from provisioning.errors import ConfigError, QueryError
from provisioning.model import Create, Decision, Fail, ScopeCheck, Update, Written
from provisioning.rules.log_tables import COLUMNS, cell, rows_of
from provisioning.rules.summary import Occurrence, Origin, summarize

NOON = 1_790_000_000.0
ORIGIN = Origin("tenant", "job", "cycle", "principal", "ServiceNow", "contoso.service-now.com")


def entry(number=0, name="Zoë", fields=None):
    fields = {"active": "true"} if fields is None else fields
    decision = Decision(f"user:u{number}", Create("s1", 0, fields), name, scope=(ScopeCheck("Assigned", passed=True),))
    return summarize(Occurrence(decision, Written({"sys_id": "s1"}), f"change{number}", NOON), ORIGIN)


async def several(number, **more):
    for each in range(number):
        yield entry(each, **more)


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_an_entry_is_in_three_tables_that_the_change_id_joins(tmp_path):
    number = asyncio.run(save_csv(several(2, fields={"active": "true", "title": 'a "b", c\nd'}), csv_paths(tmp_path)))
    logs, steps, properties = (read(tmp_path / f"{name}.csv") for name in COLUMNS)
    assert number == len(logs) == 2
    assert logs[1]["changeId"] == "change1"
    assert logs[1]["sourceIdentity.displayName"] == "Zoë"
    assert logs[1]["provisioningStatusInfo.status"] == "success"
    assert logs[1]["provisioningStatusInfo.errorInformation.errorCode"] == ""
    assert [step["name"] for step in steps if step["changeId"] == "change1"] == [
        "EntryImportAdd",
        "EntrySynchronizationScoping",
        "EntrySynchronizationAdd",
        "EntryExportAdd",
    ]
    assert json.loads(steps[1]["details"])["Assigned"] == "True"
    assert [(row["displayName"], row["newValue"]) for row in properties if row["changeId"] == "change0"] == [
        ("active", "true"),
        ("title", 'a "b", c\nd'),
    ]


def test_the_reason_of_a_failure_is_in_the_first_table(tmp_path):
    async def failed():
        yield summarize(
            Occurrence(Decision("user:u", Fail("DuplicateTargetEntries", "two", "merge")), None, "c", 1.0), ORIGIN
        )

    asyncio.run(save_csv(failed(), csv_paths(tmp_path)))
    (row,) = read(tmp_path / "ProvisioningLogs.csv")
    error = {name.rpartition(".")[2]: value for name, value in row.items() if ".errorInformation." in name}
    assert (error["errorCode"], error["reason"], error["recommendedAction"]) == (
        "DuplicateTargetEntries",
        "two",
        "merge",
    )


@pytest.mark.parametrize(
    "name", ["=cmd|'/c calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1"]
)
def test_nothing_that_people_have_written_is_a_formula_in_a_spreadsheet(tmp_path, name):
    asyncio.run(save_csv(several(1, name=name, fields={"title": name}), csv_paths(tmp_path)))
    (row,) = read(tmp_path / "ProvisioningLogs.csv")
    (modified,) = read(tmp_path / "ProvisioningLogs_ModifiedProperties.csv")
    assert row["sourceIdentity.displayName"] == modified["newValue"] == f"'{name}"


@pytest.mark.parametrize("value", ["Ada", "a=b", "1-2", "", "'x", "Zoë @ work"])
def test_everything_else_is_written_as_it_is(value):
    assert cell(value) == value


def test_an_old_value_that_is_none_is_an_empty_cell():
    decision = Decision("user:u", Update("s", {"title": "x"}, {}))
    rows = dict(rows_of(summarize(Occurrence(decision, Written({}), "c", NOON), ORIGIN)))
    assert rows["ProvisioningLogs_ModifiedProperties"] == ("c", "title", "", "x")


@pytest.mark.parametrize("save", ["csv", "json"])
def test_a_long_log_takes_no_more_memory_than_a_short_one(tmp_path, save):
    def peak(number):
        tracemalloc.start()
        if save == "csv":
            asyncio.run(save_csv(several(number), csv_paths(tmp_path)))
        else:
            asyncio.run(save_json(several(number), tmp_path / "logs.json"))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(3000) < peak(300) + 100_000


def test_json_is_one_document_whatever_its_length(tmp_path):
    for number in (0, 1, 3):
        assert asyncio.run(save_json(several(number), tmp_path / "logs.json")) == number
        assert json.loads((tmp_path / "logs.json").read_text(encoding="utf-8")) == [entry(n) for n in range(number)]


def test_files_have_microsofts_names_or_the_name_that_was_given(tmp_path):
    assert [path.name for path in csv_paths(tmp_path).values()] == [f"{name}.csv" for name in COLUMNS]
    assert [str(path) for path in csv_paths(None).values()] == [f"{name}.csv" for name in COLUMNS]
    named = csv_paths(tmp_path / "june.csv")
    assert [path.name for path in named.values()] == [
        "june.csv",
        "june_ProvisioningSteps.csv",
        "june_ModifiedProperties.csv",
    ]


@pytest.mark.parametrize("save", [save_json, lambda entries, path: save_csv(entries, csv_paths(path))])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path, save):
    with pytest.raises(ConfigError, match="cannot be written"):
        asyncio.run(save(several(1), tmp_path / "nowhere" / "logs.csv"))


# --- what is searched for -----------------------------------------------------------------------


def asked(**search):
    return {(c.property, c.operator): c.value for c in Search(**search).query(20).conditions}


def test_every_option_is_one_more_condition():
    found = asked(
        filter="jobId eq 'j'",
        status="failure",
        action="create",
        cycle="c",
        change="d",
        since="2026-01-31",
        until="2026-02-01T08:00:00Z",
    )
    assert found == {
        ("jobId", "eq"): "j",
        ("provisioningStatusInfo/status", "eq"): "failure",
        ("provisioningAction", "eq"): "create",
        ("cycleId", "eq"): "c",
        ("changeId", "eq"): "d",
        ("activityDateTime", "ge"): 1_769_817_600_000,
        ("activityDateTime", "le"): 1_769_932_800_000,
    }


def test_until_a_day_is_until_its_end():
    assert asked(until="2026-01-31") == {("activityDateTime", "lt"): 1_769_904_000_000}


def test_the_screen_shows_twenty_and_whoever_wants_more_says_so():
    assert Search().query(20).top == 20
    assert Search(limit=7).query(20).top == 7


@pytest.mark.parametrize("search", [{"since": "yesterday"}, {"until": "2026-02-30"}])
def test_a_time_that_is_none_is_refused(search):
    with pytest.raises(ConfigError, match="is no time"):
        Search(**search).query(20)


@pytest.mark.parametrize("search", [{"filter": "x eq 1"}, {"order": "id"}])
def test_a_query_that_is_none_is_refused(search):
    with pytest.raises(QueryError):
        Search(**search).query(20)
