"""The command line as a person uses it: a process of its own, against both emulators over HTTP."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.adapters.sqlite import SqliteStore
from provisioning.engine.neighbours import Waiters
from tests.served import ROOT, Served, serving, without_settings

USERS, GROUPS = 50, 4
WRITTEN = ("created", "updated", "disabled", "deleted")
SIOBHAN = "siobhan.o'brien@contoso.com"


@pytest.fixture(scope="session")
def emulators(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("emulators"), users=1, groups=1) as served:
        yield served


class Person:
    """Somebody at a keyboard, with a fresh tenant, a fresh instance and an empty state."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served = served
        self.environ = {**without_settings(), **served.settings, "STATE": f"sqlite:{folder / 'state.db'}"}
        self.folder = folder

    def types(self, *words: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=ROOT,
            env=self.environ_with(**changes),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def gets(self, *words: str, code: int = 0, **changes: str | None):
        """The JSON that a command prints."""
        done = self.types(*words, "--json", **changes)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def environ_with(self, **changes: str | None) -> dict[str, str]:
        changed = {**self.environ, **changes}
        return {name: value for name, value in changed.items() if value is not None}

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "provisioning", *words]


@pytest.fixture
def person(emulators, tmp_path) -> Person:
    emulators.begin_again(users=USERS, groups=GROUPS)
    return Person(emulators, tmp_path)


def accounts(served: Served) -> list[dict[str, str]]:
    return served.records("sys_user", "user_nameLIKE@")


# --- one cycle after the other ------------------------------------------------------------------


def test_the_first_run_provisions_everybody_and_prints_one_table(person):
    done = person.types("run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("created") == 1
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert int(rows["users"][0]) == len(accounts(person.served)) > 0
    assert "requests to Graph" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr


def test_a_second_run_over_an_unchanged_tenant_writes_nothing(person):
    assert person.types("run").returncode == 0
    person.served.forget_counts()
    summary = person.gets("run")
    assert person.served.writes == 0
    assert summary["kind"] == "incremental"
    assert not any(summary["counts"][kind][done] for kind in summary["counts"] for done in WRITTEN)


def test_the_table_is_the_same_on_a_terminal_where_progress_is_live(person):
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        person.command("run"), cwd=ROOT, env=person.environ_with(TERM="xterm"), stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    seen = read_to_the_end(master)
    assert process.wait(timeout=60) == 0
    assert "\x1b[" in seen
    assert "memberships" in seen
    assert "requests to Graph" in seen


def read_to_the_end(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end was closed
            part = b""
        if not part:
            os.close(terminal)
            return b"".join(parts).decode("utf-8", "replace")
        parts.append(part)


def test_without_a_terminal_a_long_run_reports_in_plain_lines(person):
    person.served.servicenow.put("/service-times", insert=0.06)
    done = person.types("run")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert any(" of " in line and "/s" in line and "requests" in line for line in lines), lines
    assert not any("Traceback" in line or "\x1b" in line for line in lines)


# --- plan ---------------------------------------------------------------------------------------


def test_a_plan_says_by_its_exit_code_whether_there_is_something_to_do(person):
    assert person.types("plan").returncode == 2
    assert person.served.writes == 0
    assert person.types("run").returncode == 0
    assert person.types("plan").returncode == 0
    person.served.graph.patch(f"/users/{SIOBHAN}", department="Legal")
    assert person.types("plan").returncode == 2


def test_a_plan_writes_every_decision_to_a_file_and_leaves_the_state_alone(person):
    assert person.types("run").returncode == 0
    person.served.graph.patch(f"/users/{SIOBHAN}", surname="Byrne", mail="siobhan.byrne@contoso.com")
    before = person.gets("status")
    path = person.folder / "plan.json"
    assert person.types("plan", "--out", str(path)).returncode == 2
    plan = json.loads(path.read_text(encoding="utf-8"))
    (decision,) = plan["decisions"]
    assert (decision["object"], decision["action"], decision["held"]) == ("user", "update", False)
    assert decision["fields"]["last_name"] == {"before": "O'Brien", "after": "Byrne"}
    assert any("assigned" in reason for reason in decision["reasons"])
    assert plan["counts"]["users"]["updated"] == 1
    assert {**person.gets("status"), "due": before["due"]} == before


def test_a_plan_foretells_what_the_run_does(person):
    planned = person.gets("plan", code=2)["counts"]
    done = person.gets("run")["counts"]
    assert planned == done


def test_removals_above_the_limit_are_held_until_exactly_they_are_approved(person):
    assert person.types("run").returncode == 0
    before = [row for row in accounts(person.served) if row["active"] == "true"]
    group = max((person.served.group(name) for name in ("ServiceNow Users", "ServiceNow ITIL")), key=size)
    person.served.graph.delete(f"/principals/{group['id']}/assignments")
    person.served.forget_counts()

    planned = person.types("plan")
    assert planned.returncode == 3, planned.stdout
    held = person.gets("run", code=3)
    assert held["planId"]
    assert held["planId"] in planned.stdout
    assert f"run --approve {held['planId']}" in planned.stdout
    assert held["counts"]["users"]["held"] > 0
    assert [row for row in accounts(person.served) if row["active"] == "true"] == before

    number = held["counts"]["users"]["held"]
    assert held["held"]["counts"]["users"] == number
    assert f"Held: {number:,} users to be disabled or deleted" in planned.stdout
    told = person.types("status").stdout
    assert f"Held        {number:,} users to be disabled or deleted, since " in told
    assert person.gets("status")["held"]["plan"] == held["planId"]
    assert "is to be disabled in ServiceNow" in person.types("logs", "--limit", "1000").stdout

    done = person.gets("run", "--approve", held["planId"])
    assert done["counts"]["users"]["disabled"] == held["counts"]["users"]["held"]
    assert len([row for row in accounts(person.served) if row["active"] == "true"]) < len(before)


def test_held_removals_can_be_rejected_and_a_ruling_is_good_for_one_run(person):
    assert person.types("run").returncode == 0
    before = [row for row in accounts(person.served) if row["active"] == "true"]
    group = max((person.served.group(name) for name in ("ServiceNow Users", "ServiceNow ITIL")), key=size)
    person.served.graph.delete(f"/principals/{group['id']}/assignments")
    plan = person.gets("plan", code=3)["planId"]
    person.served.forget_counts()
    done = person.types("run", "--reject", plan, USER="ada")
    assert (done.returncode, done.stderr) == (0, "")
    assert person.served.writes == 0
    assert [row for row in accounts(person.served) if row["active"] == "true"] == before
    assert person.gets("status")["held"] is None
    assert f"was rejected with plan {plan}" in person.types("logs").stdout
    again = person.types("run", "--approve", plan)
    assert again.returncode == 0
    assert f"The approval of {plan} did not apply" in again.stderr
    assert person.served.writes == 0


def size(group) -> int:
    return len(group["members"])


def test_an_approval_that_is_no_plan_id_is_refused(person):
    done = person.types("run", "--approve", "yes")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "not a plan id" in done.stderr
    plan = "0123456789abcdef"
    done = person.types("run", "--approve", plan, "--reject", plan)
    assert (done.returncode, "one run can do one of them" in done.stderr) == (1, True)


# --- one object ---------------------------------------------------------------------------------


def test_explain_answers_in_five_steps_and_writes_nothing(person):
    done = person.types("explain", SIOBHAN)
    assert done.returncode == 0, done.stderr
    for step in ("Import", "Scoping", "Matching", "Action"):
        assert step in done.stdout
    assert "would create" in done.stdout
    assert "assigned" in done.stdout
    assert person.served.writes == 0
    assert person.types("logs").stdout.startswith("no entries yet")


def test_explain_says_by_name_why_somebody_is_skipped_and_which_check_has_failed(person):
    person.served.graph.post(
        "/users", displayName="Grace Hopper", userPrincipalName="grace.hopper@contoso.com", mail="grace@contoso.com"
    )
    done = person.types("explain", "grace.hopper@contoso.com")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("user Grace Hopper (")
    assert "failed  not assigned to the application" in done.stdout
    assert done.stdout.count("failed  ") == 1
    assert "none was looked for" in done.stdout
    assert "Way out     Entra administrator: assign the user or group" in done.stdout
    assert person.served.writes == 0


def test_somebody_who_has_left_entra_is_still_found_by_name(person):
    assert person.types("run").returncode == 0
    person.served.graph.delete(f"/users/{SIOBHAN}")
    done = person.types("explain", SIOBHAN)
    assert done.returncode == 0, done.stderr
    assert "would disable" in done.stdout
    assert "was created in ServiceNow" in person.types("logs", "--user", SIOBHAN).stdout
    assert person.types("resync", SIOBHAN).returncode == 0
    assert person.types("on-demand", SIOBHAN).returncode == 0
    (record,) = [row for row in accounts(person.served) if row["user_name"] == SIOBHAN]
    assert record["active"] == "false"


def test_on_demand_provisions_one_user_and_the_log_has_it(person):
    answer = person.gets("on-demand", SIOBHAN)
    assert answer["entries"][0]["provisioningAction"] == "create"
    assert [row["user_name"] for row in accounts(person.served)] == [SIOBHAN]
    logged = person.types("logs", "--user", SIOBHAN)
    assert "Siobhán O'Brien" in logged.stdout
    assert "was created in ServiceNow" in logged.stdout
    assert len(person.gets("logs", "--user", answer["object"].partition(":")[2])) == 1


def test_of_a_group_on_demand_only_named_members_are_provisioned(person):
    person.types("run")
    group, *_ = (row["name"] for row in person.served.records("sys_user_group") if row["name"])
    one = accounts(person.served)[0]["user_name"]
    alone = person.gets("explain", group, "--no-members")
    assert {entry["sourceIdentity"]["identityType"] for entry in alone["entries"]} == {"Group"}
    named = person.gets("explain", group, "--member", one)
    assert len({entry["sourceIdentity"]["id"] for entry in named["entries"]}) == 3
    for words in ((group, "--member", one, "--no-members"), (one, "--member", one)):
        assert person.types("on-demand", *words).returncode == 1


def test_a_failed_connection_is_shown_as_a_step(person):
    done = person.types("on-demand", SIOBHAN, SERVICENOW_CLIENT_SECRET="wrong")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Connection  failure" in done.stdout or "Action      failure" in done.stdout
    assert "Way out     operator: correct the credentials" in done.stdout


def test_the_person_who_asks_is_in_the_log(person):
    person.types("on-demand", SIOBHAN, USER="grace")
    (entry,) = person.gets("logs", "--user", SIOBHAN)
    assert entry["initiatedBy"] == {"id": "", "displayName": "command line (grace)", "initiatorType": "user"}


def test_the_cycles_are_listed_newest_first(person):
    assert person.types("cycles").stdout.startswith("no cycles yet")
    for _ in range(3):
        person.types("run")
    found = person.gets("cycles")
    assert [each["kind"] for each in found] == ["incremental", "incremental", "initial"]
    assert found[-1]["countExported"] > 0
    assert found[-1]["state"] in {"Succeeded", "EntryLevelErrors"}
    assert found == sorted(found, key=lambda each: each["timeBegan"], reverse=True)
    assert person.gets("cycles", "--limit", "1") == found[:1]
    head, _, *rows = (line.split() for line in person.types("cycles").stdout.splitlines() if line.strip())
    assert head[:4] == ["began", "took", "kind", "state"]
    assert [row[-1] for row in rows] == [each["activityIdentifier"] for each in found]


def test_somebody_whom_entra_does_not_know_is_one_line_and_exit_code_1(person):
    done = person.types("explain", "nobody@contoso.com")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "nobody@contoso.com" in done.stderr


# --- check, status, logs ------------------------------------------------------------------------


def test_check_passes_where_everything_is_as_it_should_be(person):
    answer = person.gets("check")
    assert answer["ok"]
    assert {finding["side"] for finding in answer["findings"]} == {"Graph", "ServiceNow", "state"}
    assert person.served.writes == 0
    told = person.types("check").stdout.splitlines()
    assert len(told) == len(answer["findings"])
    assert any(line.startswith("ok      ServiceNow: roles: ") for line in told)
    (noted,) = [line for line in told if not line.startswith("ok ")]
    assert noted.startswith("WARNING ServiceNow: unknown filters: ")
    assert noted.endswith("[ServiceNow administrator]")


def test_check_writes_test_records_only_when_it_is_told_to_and_takes_them_away_again(person):
    accounts_before = person.served.records("sys_user")
    answer = person.gets("check", "--allow-test-writes")
    details = {finding["what"]: finding["detail"] for finding in answer["findings"]}
    assert "a test record was created" in details["writes to sys_user"]
    assert "honoured" in details["sys_ids of our choice"]
    assert person.served.writes > 0
    assert person.served.records("sys_user") == accounts_before


def test_check_names_the_permission_that_is_missing(person):
    person.served.graph.patch("/behaviour", permissions=["User.Read.All", "Application.Read.All"])
    answer = person.gets("check", code=1)
    (failed,) = [finding for finding in answer["findings"] if finding["verdict"] == "failed"]
    assert (failed["what"], failed["owner"]) == ("group members", "Entra administrator")
    assert "GroupMember.Read.All" in failed["detail"] + failed["wayOut"]


def test_check_tells_a_refused_login_from_a_missing_table_right(person):
    refused = person.types("check", SERVICENOW_CLIENT_SECRET="wrong")
    assert refused.returncode == 1
    assert "FAILED  ServiceNow: credentials" in refused.stdout
    assert "wrong" not in refused.stdout + refused.stderr


def test_status_tells_the_last_cycle_and_what_is_managed(person):
    assert person.gets("status")["lastCycle"] is None
    person.types("run")
    status = person.gets("status")
    assert status["lastCycle"]["kind"] == "initial"
    assert status["managed"]["user"] == len(accounts(person.served))
    assert not status["due"]


def test_status_tells_how_many_objects_wait_for_another_job(person):
    status = person.gets("status")
    assert status["managedByAnotherJob"] == {"user": 0, "group": 0}
    assert "Other jobs" not in person.types("status").stdout

    async def wait():
        async with SqliteStore(person.folder / "state.db") as store:
            await Waiters(store, status["id"]).add({"user:ada": "1", "user:bob": "2", "group:sales": "3"})

    asyncio.run(wait())
    assert person.gets("status")["managedByAnotherJob"] == {"user": 2, "group": 1}
    assert "Other jobs  2 users, 1 groups" in person.types("status").stdout


def test_status_tells_who_and_what_is_waited_for(person):
    person.served.graph.patch(f"/users/{SIOBHAN}", department="Astronomy")
    person.types("run")
    status = person.gets("status")
    assert status["waiting"]["forRecords"] == {"cmn_department": 1}
    assert status["waiting"]["objects"] == 1 + sum(status["waiting"]["forPeople"].values())
    assert "Waiting  " in person.types("status").stdout
    assert "Astronomy" not in person.types("status").stdout
    rows = person.gets("waiting")
    assert len(rows) == status["waiting"]["objects"]
    assert [row["name"] for row in rows if row.get("table") == "cmn_department"] == [SIOBHAN]
    told = person.types("waiting", "--limit", "1")
    assert (len(told.stdout.splitlines()), "--limit shows more" in told.stderr) == (1, len(rows) > 1)
    assert f"{SIOBHAN} (" in person.types("waiting").stdout
    assert "Astronomy" not in person.types("waiting").stdout


def test_logs_are_sentences_newest_first(person):
    person.types("run")
    person.served.graph.patch(f"/users/{SIOBHAN}", jobTitle="Astronaut")
    person.types("run")
    done = person.types("logs", "--limit", "3")
    first, *_ = done.stdout.splitlines()
    assert "Siobhán O'Brien" in first
    assert "-> 'Astronaut'" in first
    assert len(done.stdout.splitlines()) == 3
    named = r"membership of user \S+@contoso\.com in group ServiceNow \w+ \("
    assert re.search(named, person.types("logs", "--limit", "1000").stdout)


# --- interrupted and killed ---------------------------------------------------------------------


def test_logs_are_searched_and_exported_as_json_and_as_microsofts_tables(person, tmp_path):
    cycle = person.gets("run")["cycle"]
    assert len(person.gets("logs")) == 20
    person.types("logs", "--out", str(tmp_path / "all.json"))
    everything = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    failed = [entry for entry in everything if entry["provisioningStatusInfo"]["status"] == "failure"]
    assert failed
    assert len(everything) > 100
    assert person.gets("logs", "--status", "failure", "--cycle", cycle, "--limit", "1000") == failed
    one = everything[7]
    assert person.gets("logs", "--change-id", one["changeId"]) == [one]
    assert person.gets("logs", "--filter", f"changeId eq '{one['changeId']}'", "--action", "delete") == []
    oldest = person.gets("logs", "--orderby", "activityDateTime asc", "--limit", "2")
    assert [entry["id"] for entry in oldest] == [entry["id"] for entry in everything[:-3:-1]]
    assert person.gets("logs", "--until", "2020-01-01") == []
    assert "no entries that this search asks for" in person.types("logs", "--until", "2020-01-01").stdout
    done = person.types("logs", "--csv", "--out", str(tmp_path), "--status", "failure")
    assert (done.returncode, f"{len(failed):,} entries are in" in done.stdout) == (0, True)
    with (tmp_path / "ProvisioningLogs.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["changeId"] for row in csv.DictReader(file)] == [entry["changeId"] for entry in failed]
    for wrong in (
        ("--filter", "who eq 'x'"),
        ("--status", "broken"),
        ("--since", "yesterday"),
        ("--out", str(tmp_path / "nowhere" / "x.json")),
        ("--csv", "--json"),
    ):
        refused = person.types("logs", *wrong)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), wrong


def test_a_run_that_is_killed_in_the_middle_is_finished_by_the_next_one_without_a_duplicate(person):
    person.served.servicenow.put("/service-times", insert=0.03)
    process = subprocess.Popen(
        person.command("run"), cwd=ROOT, env=person.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    await_records(person.served, "sys_user", more_than=20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    person.served.servicenow.put("/service-times", insert=0.0)
    assert person.gets("status")["unfinished"] is not None

    assert person.types("run").returncode == 0
    summary = person.gets("run")
    assert not any(summary["counts"][kind]["created"] for kind in summary["counts"])
    assert_as_if_never_interrupted(person)


def assert_as_if_never_interrupted(person: Person) -> None:
    """What the instance holds is what a run without a break makes of the same tenant."""
    names = sorted(row["user_name"] for row in accounts(person.served))
    members = sorted((row["group"], row["user"]) for row in person.served.records("sys_user_grmember"))
    assert len(names) == len(set(names))
    assert len(members) == len(set(members))
    person.served.begin_again(users=USERS, groups=GROUPS)
    undisturbed = {"STATE": f"sqlite:{person.folder / 'undisturbed.db'}"}
    assert person.types("run", **undisturbed).returncode == 0
    assert names == sorted(row["user_name"] for row in accounts(person.served))
    assert members == sorted((row["group"], row["user"]) for row in person.served.records("sys_user_grmember"))


def await_records(served: Served, table: str, *, more_than: int) -> None:
    deadline = time.monotonic() + 30
    while len(served.records(table)) <= more_than:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_interrupt_ends_with_one_line_and_the_next_run_goes_on(person):
    person.served.servicenow.put("/service-times", insert=0.03)
    process = subprocess.Popen(
        person.command("run"), cwd=ROOT, env=person.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    await_records(person.served, "sys_user", more_than=20)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted: nothing is lost")
    assert "Traceback" not in said
    person.served.servicenow.put("/service-times", insert=0.0)
    assert person.types("run").returncode == 0
    assert_as_if_never_interrupted(person)


def test_two_runs_at_once_are_one_too_many(person):
    person.served.servicenow.put("/service-times", insert=0.5)
    first = subprocess.Popen(
        person.command("run"), cwd=ROOT, env=person.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    await_records(person.served, "sys_user", more_than=20)
    second = person.types("run")
    assert (second.returncode, len(second.stderr.splitlines())) == (1, 1)
    assert "another process runs a cycle on this state" in second.stderr
    person.served.servicenow.put("/service-times", insert=0.0)
    assert first.wait(timeout=60) == 0
    assert person.types("plan").returncode == 0


def test_a_plan_after_a_killed_run_writes_nothing(person):
    person.served.servicenow.put("/service-times", insert=0.03)
    process = subprocess.Popen(
        person.command("run"), cwd=ROOT, env=person.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    await_records(person.served, "sys_user", more_than=20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the instance finishes what it had begun
    person.served.forget_counts()
    done = person.types("plan")
    assert done.returncode == 2, done.stderr
    assert person.served.writes == 0


def test_a_job_is_paused_started_restarted_and_deleted_by_command(person):
    person.types("run")
    assert person.types("pause").returncode == 0
    assert person.gets("status")["status"]["code"] == "Paused"
    paused = person.types("run")
    assert (paused.returncode, "is paused" in paused.stderr) == (1, True)
    assert person.types("start").returncode == 0
    assert person.gets("status")["status"]["code"] == "Active"
    before = accounts(person.served)
    assert person.types("restart", "--scope", "Full").returncode == 0
    again = person.gets("run")["counts"]
    assert [again[kind]["created"] + again[kind]["disabled"] + again[kind]["deleted"] for kind in again] == [0, 0, 0]
    assert accounts(person.served) == before  # what the instance refused is tried once more, and refused
    person.served.forget_counts()
    assert person.types("run").returncode == 0
    assert person.served.writes == 0
    assert person.types("resync", SIOBHAN).returncode == 0
    assert person.types("resync", "nobody@contoso.com").returncode == 1
    everybody = person.gets("status")["managed"]["user"]
    done = person.types("resync", "--filter", "accountEnabled IS TRUE", "--filter", "userPrincipalName IS NOT NULL")
    assert int(done.stdout.split()[4]) >= everybody  # whom the instance refuses is known to the job as well
    assert "evaluates 0 users" in person.types("resync", "--filter", "employeeHireDate EQUALS never").stdout
    for wrong in ((), (SIOBHAN, "--filter", "city IS NULL"), ("--filter", "city Athens")):
        refused = person.types("resync", *wrong)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), wrong
    wrong = person.types("restart", "--scope", "Everything")
    assert (wrong.returncode, "resetScope" in wrong.stderr) == (1, True)
    assert person.types("delete").returncode == 1
    assert person.types("delete", "--yes", USER="ada").returncode == 0
    assert person.gets("status")["managed"] == {}
    assert person.gets("status")["status"]["code"] == "Paused"
    first, *_, last = person.gets("audit")
    assert first["activityDisplayName"] == "Delete provisioning configuration"
    assert first["initiatedBy"]["user"]["displayName"] == "command line (ada)"
    assert last["activityDisplayName"] == "Add provisioning configuration"
    told = person.types("audit", "--limit", "1").stdout
    assert "Delete provisioning configuration, by command line (ada): status Active -> Paused" in told
    only = person.gets("audit", "--filter", "activityDisplayName eq 'Resync'")
    assert [entry["targetResources"][1]["type"] for entry in only if entry["targetResources"][1:]] == ["User"]
    assert person.types("audit", "--filter", "who eq 'ada'").returncode == 1


def test_links_are_listed_shown_verified_exported_and_mended(person):
    assert person.types("run").returncode == 0
    everybody = accounts(person.served)
    links = person.gets("links", "list", "--type", "user", "--limit", "1000")
    assert {link["targetAnchor"] for link in links if link["targetAnchor"]} == {each["sys_id"] for each in everybody}
    assert person.types("links", "list", "--limit", "1").stdout.count("->") == 1
    ada, bob = everybody[:2]
    shown = person.gets("links", "show", ada["user_name"])
    assert (shown["targetAnchor"], bool(shown["grants"])) == (ada["sys_id"], True)
    assert (shown["lifecycle"], shown["lifecycleSince"][-1]) == ("in scope", "Z")
    assert "in scope since" in person.types("links", "show", ada["user_name"]).stdout
    status = person.gets("status")
    assert status["states"]["user"] == {"in scope": status["managed"]["user"]}
    assert f"users     {status['managed']['user']:,} in scope" in person.types("status").stdout
    person.served.forget_counts()
    assert person.types("links", "verify").returncode == 0
    person.served.servicenow.delete(f"/records/sys_user/{bob['sys_id']}")
    verified = person.gets("links", "verify", code=2)
    assert [(link["displayName"], link["state"]) for link in verified["links"]] == [(bob["user_name"], "vanished")]
    assert "vanished" in person.types("links", "verify").stdout
    refused = person.types("links", "relink", bob["user_name"], ada["sys_id"])
    assert (refused.returncode, "another source object" in refused.stderr) == (1, True)
    assert person.gets("links", "unlink", bob["user_name"])["targetAnchor"] == bob["sys_id"]
    assert person.types("links", "unlink", bob["user_name"]).returncode == 1
    assert person.served.writes == 0
    out = person.folder / "links.csv"
    assert person.types("links", "export", "--csv", "--out", str(out)).returncode == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["targetAnchor"] for row in rows if row["objectTypeName"] == "User"} >= {ada["sys_id"]}
    exported = json.loads(person.types("links", "export").stdout)
    assert [row["objectId"] for row in exported] == [row["objectId"] for row in rows]
    assert person.types("links", "export", "--out", str(person.folder / "none" / "links.csv")).returncode == 1


def test_a_cloned_instance_stops_a_run_until_a_person_accepts_it(person):
    assert person.types("run").returncode == 0
    person.served.servicenow.post("/clone", seed=2)
    person.served.graph.patch(f"/users/{SIOBHAN}", department="Legal")
    person.served.forget_counts()
    stopped = person.types("run")
    assert (stopped.returncode, "--accept-instance" in stopped.stderr) == (1, True)
    assert person.served.writes == 0
    assert person.gets("status")["status"]["quarantine"]["error"]["code"] == "ServiceNowInstanceInvalid"
    held = person.gets("run", "--accept-instance", code=3)
    assert held["held"]["counts"]["recreations"] > 0
    assert person.types("run", "--approve", held["planId"]).returncode == 0
    assert any(each["user_name"] == SIOBHAN for each in accounts(person.served))


def test_a_restored_backup_stops_a_run_until_a_person_accepts_it(person):
    assert person.types("run").returncode == 0
    person.served.servicenow.post("/backup")
    time.sleep(1.1)  # records tell the second in which they were updated
    person.served.graph.patch(f"/users/{SIOBHAN}", jobTitle="Director")
    assert person.types("run").returncode == 0
    person.served.servicenow.post("/restore")
    person.served.graph.patch(f"/users/{SIOBHAN}", department="Legal")
    person.served.forget_counts()
    stopped = person.types("run")
    assert (stopped.returncode, "set back to a time" in stopped.stderr) == (1, True)
    assert person.served.writes == 0
    assert person.types("run", "--accept-instance").returncode == 0
    (record,) = [each for each in accounts(person.served) if each["user_name"] == SIOBHAN]
    assert record["title"] == "Director"


def test_a_job_that_keeps_its_state_in_azure_tables_does_the_same(person, azurite):
    state = {"STATE": f"tables:{azurite}"}
    person.served.begin_again(users=12, groups=2)
    first = person.gets("run", **state)
    assert first["counts"]["users"]["created"] == len(accounts(person.served)) > 0
    person.served.forget_counts()
    assert person.types("plan", **state).returncode == 0
    assert person.gets("run", **state)["kind"] == "incremental"
    assert person.served.writes == 0
    assert person.types("check", **state).returncode == 0
