"""The command `notify`, and `run` where somebody is told: processes of their own, mail in the Graph emulator, and a web
server that stands for Teams, Slack or anybody.
"""

from __future__ import annotations

import pytest

from tests.emulators.graph.behaviour import LEAST_PERMISSIONS
from tests.test_cli import Person, emulators  # noqa: F401 - a fixture
from tests.webhook_server import webhook_server

SENDER = "siobhan.o'brien@contoso.com"
KEY = "the key of the signature"


@pytest.fixture
def hook():
    with webhook_server() as found:
        yield found


@pytest.fixture
def person(emulators, tmp_path, hook) -> Person:  # noqa: F811 - the fixture of that name
    emulators.begin_again(users=30, groups=2)
    emulators.graph.patch("/behaviour", permissions=sorted(LEAST_PERMISSIONS | {"Mail.Send"}))
    found = Person(emulators, tmp_path)
    found.environ |= {
        "NOTIFY_MAIL_FROM": SENDER,
        "NOTIFY_MAIL_TO": "ops@contoso.com,boss@contoso.com",
        "NOTIFY_WEBHOOK_URL": hook.url,
        "NOTIFY_WEBHOOK_FORMAT": "json",
        "NOTIFY_WEBHOOK_SECRET": KEY,
    }
    return found


def test_a_test_goes_to_each_way_that_is_set(person, hook):
    done = person.types("notify", "--test")
    assert done.returncode == 0, done.stderr
    assert "mail: the test was taken" in done.stdout
    assert "webhook: the test was taken" in done.stdout
    (mail,) = person.served.graph.get("/mail")
    assert mail["to"] == ["boss@contoso.com", "ops@contoso.com"]
    assert hook.events == ["Trial"]
    assert hook.received[0].body["id"] in done.stdout


def test_a_test_that_does_not_arrive_says_why_and_the_others_go_all_the_same(person, hook):
    person.served.graph.patch("/behaviour", permissions=None)
    told = person.gets("notify", "--test", code=1)
    assert "Mail.Send" in told["channels"]["mail"]
    assert told["channels"]["webhook"] is None
    assert hook.events == ["Trial"]
    hook.status = 404
    done = person.types("notify", "--test")
    assert "NOTIFY_WEBHOOK_URL" in done.stdout
    assert "s3cr3t" not in done.stdout + done.stderr
    assert hook.url not in done.stdout + done.stderr


def test_where_no_way_is_set_the_command_says_which_settings_there_are(person):
    unset = dict.fromkeys([name for name in person.environ if name.startswith("NOTIFY_")])
    for words in (("notify",), ("notify", "--test")):
        done = person.types(*words, **unset)
        assert done.returncode == 1
        assert "NOTIFY_MAIL_TO" in done.stderr
        assert "NOTIFY_WEBHOOK_URL" in done.stderr


@pytest.mark.parametrize("state", ["sqlite", "tables"])
def test_a_run_that_holds_removals_tells_and_what_could_not_be_told_waits(person, hook, state, request):
    if state == "tables":
        person.environ["STATE"] = f"tables:{request.getfixturevalue('azurite')}"
        person.environ["JOB_ID"] = "notified"
    assert person.types("run").returncode == 0
    assert hook.events == []
    hook.status = 503
    leaver = next(row for row in person.served.records("sys_user", "user_nameLIKE@^active=true"))
    user = person.served.graph.get(f"/users/{leaver['user_name']}")
    person.served.graph.patch(f"/users/{user['id']}", accountEnabled=False)
    assert person.types("run", REMOVAL_LIMIT="0").returncode == 3
    mails = person.served.graph.get("/mail")
    assert [mail["message"]["subject"].partition(": ")[2] for mail in mails] == ["a removal waits for your word"]
    assert leaver["user_name"] not in str(mails)
    told = person.gets("notify")
    assert told["sent"] == 0
    assert [(each["channel"], each["code"]) for each in told["waiting"]] == [("webhook", "InternalServerError")]
    assert person.types("plan", REMOVAL_LIMIT="0").returncode == 3
    assert len(hook.received) == 1, "a dry run tells nobody"
