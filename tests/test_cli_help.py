"""What each command says of itself, and that it is true: every command is walked, none is named here twice."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from provisioning.cli import main
from provisioning.cli.manual import ALIASES, EXITS, PAGES, PROGRAM, SECTIONS, commands_of, options_of
from provisioning.cli.program import program
from provisioning.cli.shell import Exit
from tests.commands_page import DOCUMENT, page
from tests.served import ROOT
from tests.test_cli import Person, emulators

__all__ = ["emulators"]

USERS, GROUPS = 300, 8  # among so many, the person of the examples is assigned
COMMANDS = dict(commands_of(program()))
EXAMPLES = [(path, words) for path, told in PAGES.items() for words, _ in told.examples]
WITHOUT_SETTINGS = {"schema export", "expression", "schema validate", "schema functions", "schema operators"}
"""Commands that some of their options let do without a connection, a state and a job."""


def options(path: str) -> str:
    return " ".join(written for written, _ in options_of(COMMANDS[path]))


def test_every_command_has_a_page_with_an_example_and_stands_under_one_heading():
    assert set(PAGES) == set(COMMANDS)
    assert [path for path, told in PAGES.items() if not told.examples or not told.prints] == []
    listed = [name for _, names in SECTIONS for name in names]
    assert sorted(listed) == sorted({path.split()[0] for path in COMMANDS})


@pytest.mark.parametrize("path", COMMANDS)
def test_help_shows_what_a_command_does_its_examples_and_its_exit_codes(path, capsys):
    assert main([*path.split(), "--help"], {}) == 0
    told = capsys.readouterr().out
    assert f"{PROGRAM} {path}" in told
    for words, _ in PAGES[path].examples:
        assert f"  {PROGRAM} {words}\n" in told
    codes = told.partition("Exit codes:\n")[2].partition("\n\n")[0]
    assert [int(code) for code in re.findall(r"^  (\d+) ", codes, re.MULTILINE)] == list(PAGES[path].codes)
    assert set(EXITS) <= set(PAGES[path].codes) <= {int(code) for code in Exit}
    assert "With --json:" in told
    does = told.partition("\n\n")[2].partition("\n\n")[0]
    assert does.endswith(".")
    assert not does.endswith("...")


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_prints_json_when_it_is_asked_to(path):
    assert "--json" in options(path)


@pytest.mark.parametrize(("path", "words"), EXAMPLES)
def test_every_example_is_a_command_line_that_is_understood(path, words):
    typed = shlex.split(words)
    assert typed[: len(path.split())] == path.split()
    with COMMANDS[path].make_context(path, typed[len(path.split()) :]) as context:
        assert context.params


@pytest.mark.parametrize("path", COMMANDS)
def test_an_option_that_no_command_has_is_bad_input(path, capsys):
    assert main([*path.split(), "--no-such-option"], {}) == Exit.ERROR
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("error: No such option: --no-such-option")


@pytest.mark.parametrize(("path", "words"), [each for each in EXAMPLES if each[0] not in WITHOUT_SETTINGS])
def test_without_settings_a_command_says_which_ones_are_missing_and_ends_with_1(path, words, capsys, tmp_path):
    typed = with_a_schema(shlex.split(words), tmp_path)
    capsys.readouterr()
    assert main(typed, {}) == Exit.ERROR, path
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "ENTRA_TENANT_ID" in err


def with_a_schema(words: list[str], folder) -> list[str]:
    """The example with a file that is there, and files of its own to write."""
    schema = folder / "exported.json"
    if not schema.exists():
        assert main(["schema", "export", "--default", "--out", str(schema)], {}) == 0
    names = {"exported.json": schema, "plan.json": folder / "plan.json", ".": folder}
    names |= {name: folder / name for name in ("links.csv", "accounts.csv", "schema.json")}
    return [str(names.get(word, word)) for word in words]


def test_every_example_does_what_it_says_and_ends_with_a_code_that_is_documented(emulators, tmp_path, capsys):
    emulators.begin_again(users=USERS, groups=GROUPS)
    person = Person(emulators, tmp_path)
    assert main(["run"], person.environ) in PAGES["run"].codes
    seen: dict[int, set[str]] = {}
    # `serve` does not end by itself, and after `delete` there is nothing to show.
    finite = [each for each in EXAMPLES if each[0] != "serve"]
    for path, words in sorted(finite, key=lambda each: each[0] == "delete"):
        capsys.readouterr()
        code = main(with_a_schema(shlex.split(words), tmp_path), person.environ)
        told = capsys.readouterr()
        assert code in PAGES[path].codes, words
        if code == Exit.ERROR:
            assert "error: " in told.err, words
        seen.setdefault(code, set()).add(path)
    # What fails of these names a record, a department or a way to people that this tenant does not have.
    assert seen[Exit.ERROR] <= {"links relink", "notify"}
    assert set(seen) <= {Exit.OK, Exit.ERROR, Exit.CHANGES}


@pytest.mark.parametrize("path", sorted(set(PAGES) - {"notify", "links relink", "delete", "serve"}))
def test_what_a_command_prints_with_json_is_one_document(path, world, capsys, tmp_path):
    words = with_a_schema(shlex.split(PAGES[path].examples[0][0]), tmp_path)
    files = {str(tmp_path / name) for name in ("links.csv", "schema.json")}
    words = [word for word in words if word not in {"--csv", "--out", *files}]
    capsys.readouterr()
    assert main([*words, "--json"], world.environ) in PAGES[path].codes
    json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def world(emulators, tmp_path_factory) -> Person:
    emulators.begin_again(users=USERS, groups=GROUPS)
    person = Person(emulators, tmp_path_factory.mktemp("state"))
    assert main(["run"], person.environ) == 0
    return person


def test_the_words_of_microsofts_api_are_understood(capsys):
    for word in ("validateCredentials", "provisionOnDemand", "ParseExpression", "validate-credentials"):
        assert main([word, "--help"], {}) == 0
    assert "Test the connection" in capsys.readouterr().out
    assert set(ALIASES.values()) <= {path.split()[0] for path in COMMANDS}
    assert not set(ALIASES) & set(COMMANDS)
    assert main(["provisionOnDemands"], {}) == Exit.ERROR


def test_what_is_typed_wrong_is_answered_with_what_may_have_been_meant(capsys):
    assert main(["strat"], {}) == Exit.ERROR
    assert "Did you mean 'start'" in capsys.readouterr().err
    assert main(["logs", "--status", "bad"], {}) == Exit.ERROR
    err = capsys.readouterr().err
    assert err.startswith("error: Invalid value for '--status': 'bad' is not one of 'success', 'failure'")


def test_the_overview_names_every_command_with_a_whole_sentence_and_every_exit_code(capsys):
    assert main([], {}) == Exit.ERROR
    told = capsys.readouterr().out
    assert main(["--help"], {}) == 0
    assert capsys.readouterr().out == told
    for name in {path.split()[0] for path in COMMANDS}:
        assert re.search(rf"^  {name} ", told, re.MULTILINE), name
    assert "..." not in told.replace("ARGS]...", "")
    assert all(re.search(rf"^  {int(code)} ", told, re.MULTILINE) for code in Exit)
    assert max(map(len, told.splitlines())) <= 80


def test_the_page_of_all_commands_is_current():
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run `python -m tests.commands_page --write`"


def test_the_readme_shows_every_command_and_every_exit_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {path.split()[0] for path in COMMANDS}
    assert [name for name in names if f"{PROGRAM} {name}" not in readme] == []
    table = readme.partition("| exit code |")[2].split("\n\n")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {int(code) for code in Exit}
