"""What is wrong is said in one line, with the place and the way out; exit code 1, and nothing was written anywhere."""

from __future__ import annotations

import pytest

from tests.test_cli import GROUPS, USERS, Person, emulators

__all__ = ["emulators"]

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def world(emulators):
    """One tenant and instance for all these tests: what is refused changes neither."""
    emulators.begin_again(users=USERS, groups=GROUPS)
    return emulators


@pytest.fixture
def person(world, tmp_path) -> Person:
    world.graph.patch("/behaviour", permissions=None)
    return Person(world, tmp_path)


def assert_refused(person: Person, *words: str, says: tuple[str, ...], **changes: str | None) -> None:
    done = person.types(*words, **changes)
    lines = done.stderr.splitlines()
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for text in says:
        assert text in lines[0]
    assert done.stdout == ""
    assert person.served.writes == 0


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"SCOPE": "everyone"}, ("SCOPE", "'everyone'", "assigned or all")),
        ({"SERVICENOW_INSTANCE": None}, ("SERVICENOW_INSTANCE", "not set")),
        ({"SERVICENOW_CLIENT_SECRET": "wrong"}, ("127.0.0.1", "client id and secret")),
        (
            {"SERVICENOW_AUTH": "basic", "SERVICENOW_USERNAME": "admin", "SERVICENOW_PASSWORD": "wrong"},
            ("127.0.0.1", "credentials"),
        ),
        ({"GRAPH_ACCESS_TOKEN": "wrong"}, ("Graph", "token", "ENTRA_TENANT_ID")),
        ({"SERVICENOW_INSTANCE": "https://contoso.invalid"}, ("contoso.invalid", "SERVICENOW_INSTANCE")),
        ({"SERVICENOW_INSTANCE": "https://contoso.service-now.com/nav_to.do"}, ("SERVICENOW_INSTANCE", "path")),
        ({"ENTRA_SERVICE_PRINCIPAL_ID": NOBODY}, ("ENTRA_SERVICE_PRINCIPAL_ID", NOBODY, "Enterprise applications")),
        ({"STATE": "sqlite:/no/such/folder/state.db"}, ("/no/such/folder/state.db", "folder that exists")),
    ],
)
def test_a_wrong_setting_is_refused(person, command, changes, says):
    assert_refused(person, command, says=says, **changes)


def test_an_unknown_graph_host_is_refused(person):
    changes = {"GRAPH_BASE_URL": "https://graph.invalid/v1.0", "GRAPH_ACCESS_TOKEN": None}
    # Without an emulator's token the sign-in comes first, and its host is not known either.
    changes |= {"ENTRA_CLIENT_SECRET": "secret", "ENTRA_AUTHORITY_HOST": "https://login.invalid"}
    assert_refused(person, "run", says=("login.invalid", "ENTRA_AUTHORITY_HOST"), **changes)


@pytest.mark.parametrize(
    ("permissions", "missing"),
    [
        (["GroupMember.Read.All", "Application.Read.All"], "User.Read.All"),
        (["User.Read.All", "Application.Read.All"], "GroupMember.Read.All"),
        (["User.Read.All", "GroupMember.Read.All"], "Application.Read.All"),
    ],
)
def test_a_token_without_a_permission_is_refused_with_the_name_of_the_permission(person, permissions, missing):
    person.served.graph.patch("/behaviour", permissions=permissions)
    done = person.types("run")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert missing in line
    assert "admin consent" in line
    assert person.served.writes == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fly",), ("fly", "--help")),
        (("run", "--fast"), ("--fast", "--help")),
        (("explain",), ("USER_OR_GROUP", "--help")),
        (("logs", "--limit", "many"), ("--limit", "integer", "--help")),
    ],
)
def test_a_command_that_does_not_exist_is_refused_like_any_bad_input(person, words, says):
    assert_refused(person, *words, says=says)


def test_a_plan_that_cannot_be_written_is_refused(person):
    assert_refused(person, "plan", "--out", str(person.folder / "no" / "plan.json"), says=("plan.json", "folder"))
