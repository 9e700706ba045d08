"""Every error code that is raised anywhere has its cause, its fix and its owner, and none is listed that never is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from provisioning.rules.drift import TARGET_CHANGED
from provisioning.rules.error_codes import ERROR_CODES, advice_for, is_passing
from provisioning.rules.protection import PROTECTED
from provisioning.rules.quarantine import CRITICAL
from provisioning.rules.review import REJECTED

PACKAGE = Path(__file__).parent.parent / "provisioning"
FIRST = {"ObjectError", "Refused", "Fail", "Failure", "Skip"}
"""Whose first argument is a code: a skip's reason stands in the log as one."""
SECOND = {"Fault", "_Meaning"}


def constants(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    """What each name of a module stands for, in whichever module."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                        found.setdefault(target.id, set()).add(node.value.value)
    return found


def codes_of(tree: ast.AST, names: Mapping[str, set[str]]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            place = 0 if name in FIRST else 1 if name in SECOND else None
            given = [node.args[place]] if place is not None and len(node.args) > place else []
            given += [each.value for each in node.keywords if each.arg == "code"]
            yield from (each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str))
            for each in given:
                if isinstance(each, ast.Name) and each.id.isupper():
                    assert each.id in names, f"{each.id} is a code and stands in no module as a text"
                    yield from names[each.id]
        elif isinstance(node, ast.FunctionDef):
            defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            for argument, default in defaults:
                if argument.arg == "code" and isinstance(default, ast.Constant):
                    yield default.value


def raised() -> set[str]:
    """The codes that the package writes down: as literals, for whoever adds one finds this test."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "error_codes.py"]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    names = constants(trees)
    return {code for tree in trees for code in codes_of(tree, names)}


def test_the_walk_finds_what_is_raised_in_every_way():
    found = raised()
    assert {"Conflict", "InvalidAnchor", "MandatoryFieldsMissing", "TooManyRequests", "InternalError"} <= found
    assert {"ServiceNowCredentialsValidation", "Restarted", "WebExceptionProtocolError", "NotFound"} <= found
    assert {"RedundantExport", "ImportSkipped", PROTECTED, REJECTED, TARGET_CHANGED} <= found


def test_every_code_that_is_raised_is_in_the_table():
    assert raised() - ERROR_CODES.keys() == set()


def test_every_code_of_the_table_can_occur():
    by_class = {"ConfigError"}  # a failure that halts a cycle is named after its class
    assert ERROR_CODES.keys() - raised() == by_class


def test_each_says_cause_fix_and_owner_in_one_line():
    for code, each in ERROR_CODES.items():
        assert code == each.code
        assert each.cause
        assert each.fix
        assert "\n" not in each.cause + each.fix
        assert not each.fix.endswith(".")
        assert advice_for(code).endswith(each.fix)


def test_what_mends_itself_is_nobodys_to_mend_and_what_nobody_mends_passes():
    assert all(each.passing for each in ERROR_CODES.values() if each.owner == "nobody")


def test_an_unknown_code_has_no_advice_and_does_not_pass():
    assert (advice_for("Nonsense"), is_passing("Nonsense")) == ("", False)


def test_critical_errors_are_in_the_table():
    assert ERROR_CODES.keys() >= CRITICAL
