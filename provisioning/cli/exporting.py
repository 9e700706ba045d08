"""Log entries to a file: one JSON array, or Microsoft's three CSV tables. An entry is forgotten once it is written, so
that a log of any length can be exported.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, get_args

from provisioning.errors import ConfigError
from provisioning.rules.log_tables import COLUMNS, Table, rows_of

MAIN: Table = "ProvisioningLogs"


async def write_json(entries: AsyncIterator[Mapping[str, Any]], file: IO[str]) -> int:
    """Answers how many there were."""
    number = 0
    file.write("[")
    async for entry in entries:
        file.write(",\n" if number else "\n")
        file.write(json.dumps(entry, ensure_ascii=False))
        number += 1
    file.write("\n]\n" if number else "]\n")
    return number


async def save_json(entries: AsyncIterator[Mapping[str, Any]], path: Path) -> int:
    """Raises `ConfigError` for a file that cannot be written."""
    try:
        with path.open("w", encoding="utf-8") as file:
            return await write_json(entries, file)
    except OSError as error:
        raise _unwritable(path, error) from error


async def save_csv(entries: AsyncIterator[Mapping[str, Any]], paths: Mapping[Table, Path]) -> int:
    """UTF-8 with the mark by which spreadsheets know it. Raises `ConfigError` for a file that cannot be written."""
    number, path = 0, paths[MAIN]
    try:
        with ExitStack() as opened:
            tables = {}
            for table, path in paths.items():
                file = opened.enter_context(path.open("w", encoding="utf-8-sig", newline=""))
                tables[table] = csv.writer(file)
                tables[table].writerow(COLUMNS[table])
            async for entry in entries:
                number += 1
                for table, row in rows_of(entry):
                    tables[table].writerow(row)
    except OSError as error:
        raise _unwritable(path, error) from error
    return number


def csv_paths(out: Path | None) -> dict[Table, Path]:
    """In a folder under Microsoft's names; else the first table in the file that is named, the others beside it."""
    names: tuple[Table, ...] = get_args(Table)
    if out is None or out.is_dir():
        return {name: (out or Path()) / f"{name}.csv" for name in names}
    return {name: out.with_name(f"{out.stem}{name.removeprefix(MAIN)}{out.suffix or '.csv'}") for name in names}


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error.strerror}; name a file in a folder that exists")
