"""docs/api.md lists every route as the table of routes has it. `python -m tests.test_api_document` writes the list."""

from __future__ import annotations

import inspect
from pathlib import Path

from provisioning.api.routes import ROUTES

PATH = Path(__file__).parent.parent / "docs" / "api.md"
BEGIN, END = "<!-- routes -->\n", "<!-- end of routes -->\n"
SHORT = {
    "v1.0/servicePrincipals/{sp}/synchronization/jobs/{job}": "JOB",
    "v1.0/servicePrincipals/{sp}/synchronization": "SYNC",
}


def table() -> str:
    lines = [
        "`SYNC` is `/v1.0/servicePrincipals/{id}/synchronization`, `JOB` is `SYNC/jobs/{id}`.\n",
        "| | address | role | |",
        "|---|---|---|---|",
    ]
    for route in ROUTES:
        path = f"/{route.path}"
        for long, short in SHORT.items():
            path = path.replace(f"/{long}", short)
        told = inspect.cleandoc(route.handler.__doc__ or "").replace("\n", " ").partition(". ")[0].rstrip(".")
        lines.append(f"| {route.method} | `{path}` | {route.role or 'none'} | {told} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    text = PATH.read_text(encoding="utf-8")
    return f"{text.partition(BEGIN)[0]}{BEGIN}\n{table()}\n{END}{text.partition(END)[2]}"


def test_the_document_lists_the_routes_that_there_are():
    assert PATH.read_text(encoding="utf-8") == written(), "python -m tests.test_api_document"


if __name__ == "__main__":
    PATH.write_text(written(), encoding="utf-8")
