"""Imports point inward. Each module of the package belongs to a part, and each part may import only what lies further
in; names from outside are bound to the parts that need them. A module that fits no part fails the test too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A part is a module or package; what stands further down may be imported by what stands above, where it is listed.
MAY_IMPORT = {
    "function_app": {"dashboard", "api", "process", "app", "engine", "model", "errors"},
    "provisioning.__main__": {"cli"},
    "provisioning.cli": {
        *("serving", "process", "dashboard", "api", "app", "config"),
        *("engine", "rules", "schema", "expressions", "model", "rows", "errors"),
    },
    "provisioning.serving": {"api", "process", "app", "engine", "errors"},
    "provisioning.process": {"app", "config", "errors"},
    "provisioning.dashboard": {"api", "engine", "rules", "schema", "model", "errors"},
    "provisioning.api": {"engine", "rules", "schema", "expressions", "model", "errors"},
    "provisioning.app": {
        *("config", "graph_secrets", "engine", "adapters", "rules", "schema", "model", "rows", "errors"),
    },
    "provisioning.config": {"forms", "notify_settings", "graph_secrets", "rules", "model", "errors"},
    "provisioning.graph_secrets": {"errors"},
    "provisioning.notify_settings": {"forms", "errors"},
    "provisioning.forms": {"errors"},
    "provisioning.engine": {"rules", "schema", "expressions", "model", "rows", "errors"},
    "provisioning.adapters": {"rules", "schema", "model", "rows", "errors"},
    "provisioning.rules": {"expressions", "schema", "model", "errors"},
    "provisioning.schema": {"expressions", "model", "errors"},
    "provisioning.expressions": {"errors"},
    "provisioning.model": set(),
    "provisioning.rows": set(),
    "provisioning.errors": set(),
    "provisioning": set(),
}
# Who may import a name from outside: the longest that fits counts, and what is not named here anybody may import.
OUTSIDE = {
    "azure": {"function_app", "provisioning.app", "provisioning.adapters.tables"},
    "msgraph": {"provisioning.adapters"},
    "kiota_abstractions": {"provisioning.adapters"},
    "kiota_http": {"provisioning.adapters"},
    "msal": {"provisioning.adapters"},
    "httpx": {"provisioning.adapters", "provisioning.app"},
    "sqlite3": {"provisioning.adapters"},
    "starlette": {"provisioning.serving"},
    "uvicorn": {"provisioning.serving"},
    "jinja2": {"provisioning.dashboard"},
    "typer": {"provisioning.cli"},
    "rich": {"provisioning.cli"},
    "tests": set(),
}
IMPURE = {"asyncio", "logging", "os", "time", "random", "socket", "sqlite3", "subprocess"}


def imports_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "relative"
            elif node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """The part that a module belongs to: the longest name that covers it."""
    parts = [part for part in MAY_IMPORT if module == part or module.startswith(f"{part}.")]
    longest = max(parts, key=len, default=None)
    return None if longest == "provisioning" != module else longest


def complaints(module: str, source: str) -> list[str]:
    """What is wrong with a module's imports, in words."""
    tree = ast.parse(source)
    part = part_of(module)
    if part is None:
        return [f"{module} belongs to no part of the design"]
    found = [problem for name in set(imports_of(tree)) for problem in _wrong_import(module, part, name)]
    if part in {"provisioning.rules", "provisioning.schema"}:
        found += _impurities(module, tree)
    return sorted(set(found))


def _wrong_import(module: str, part: str, name: str) -> Iterator[str]:
    if name == "relative":
        yield f"{module} has a relative import"
    root = name.split(".", maxsplit=1)[0]
    if root == "provisioning" and name != "provisioning":
        other = part_of(name)
        allowed = {part, *(f"provisioning.{each}" for each in MAY_IMPORT[part])}
        # `from provisioning.engine import x` names both the part and something in it: the part decides.
        if other is not None and other not in allowed:
            yield f"{module} imports {other}"
    if root in OUTSIDE and not any(module == each or module.startswith(f"{each}.") for each in OUTSIDE[root]):
        yield f"{module} imports {root}"


def _impurities(module: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{module} waits for something, and rules are pure"
    yield from (f"{module} imports {name}" for name in imports_of(tree) if name.split(".")[0] in IMPURE)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "provisioning").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path
    if (ROOT / "function_app.py").exists():
        yield "function_app", ROOT / "function_app.py"


def test_imports_point_inward():
    found = [each for name, path in modules() for each in complaints(name, path.read_text(encoding="utf-8"))]
    assert found == []


def test_every_part_of_the_design_has_modules():
    present = {part_of(name) for name, _ in modules()}
    assert set(MAY_IMPORT) - present <= {"function_app"}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("provisioning.adapters.graph.source", "from provisioning.engine.ports import Source", "imports provisioning"),
        ("provisioning.engine.acting", "from provisioning.adapters.sqlite import SqliteStore", "imports provisioning"),
        ("provisioning.engine.acting", "from provisioning import app", "imports provisioning.app"),
        ("provisioning.rules.scope", "from provisioning.engine.keys import digest", "imports provisioning.engine"),
        ("provisioning.rules.scope", "from datetime import datetime\nimport time", "imports time"),
        ("provisioning.rules.scope", "async def look(): ...", "rules are pure"),
        ("provisioning.model", "from provisioning.schema import Schema", "imports provisioning.schema"),
        ("provisioning.config", "from provisioning.adapters.graph import graph_host", "imports provisioning.adapters"),
        ("provisioning.adapters.sqlite", "from azure.data.tables import TableEntity", "imports azure"),
        ("provisioning.app", "def build():\n    from msgraph import GraphServiceClient", "imports msgraph"),
        ("provisioning.cli.running", "from tests.emulators import tenant", "imports tests"),
        ("provisioning.engine.engine", "from .acting import act_range", "relative import"),
        ("provisioning.utils", "", "belongs to no part"),
    ],
)
def test_an_import_that_points_outward_is_found(module, source, complaint):
    assert any(complaint in each for each in complaints(module, source))


def test_an_import_that_points_inward_is_not_complained_of():
    source = "import asyncio\nfrom provisioning.rules.decide import decide\nfrom provisioning.model import Link"
    assert complaints("provisioning.engine.acting", source) == []
