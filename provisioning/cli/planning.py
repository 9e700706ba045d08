"""A plan as a file: every decision that a dry run left in the plan, and those that were held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provisioning.engine.engine import Engine
from provisioning.engine.planned import planned
from provisioning.engine.summary import Summary
from provisioning.errors import ConfigError
from provisioning.rules.planned import as_json


async def write_plan(engine: Engine, summary: Summary, path: Path) -> None:
    """One JSON document; each decision on a line of its own, so that two plans can be compared line by line."""
    head = summary.as_json()
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write('{\n"plan": ' + _text(summary.held) + ",\n")
            file.writelines(f"{_text(name)}: {_text(value)},\n" for name, value in head.items())
            file.write('"decisions": [')
            separator = "\n"
            async for each in planned(engine):
                file.write(separator + _text(as_json(each.decision, held=each.held)))
                separator = ",\n"
            file.write("\n]\n}\n")
    except OSError as error:
        raise ConfigError(
            f"the plan cannot be written to {path}: {error.strerror}; name a file in a folder that exists"
        ) from error


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
