"""Long lists of records as CSV and as JSON, written line by line: to standard output, or to a file that appears whole
or not at all. Knows no side and no state.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from provisioning.errors import ConfigError

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or for blanks before one."""


def write_csv(file: IO[str], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A cell that a spreadsheet would run as a formula gets an apostrophe before it."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)


def write_json(file: IO[str], head: Mapping[str, Any], name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One document: the members of `head`, then `name` with each of the rows on a line of its own."""
    file.write("{\n")
    file.writelines(f"{_text(key)}: {_text(value)},\n" for key, value in head.items())
    file.write(f"{_text(name)}: [")
    separator = "\n"
    for row in rows:
        file.write(separator + _text(row))
        separator = ",\n"
    file.write("\n]\n}\n")


def refuse_unwritable(out: Path) -> None:
    """Before any work is done for it. Raises `ConfigError`."""
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; name a file in a folder that exists")
    if out.is_dir():
        raise ConfigError(f"--out {out}: this is a folder; name a file in it")


@contextmanager
def whole(out: Path) -> Iterator[IO[str]]:
    """A file to write to that takes the place of `out` at the end of the block, and is gone if the block fails. Only
    its owner may read it. Raises `ConfigError` when it cannot be written.
    """
    try:
        number, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        part = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
                yield file
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror}; name a file in a folder that can be written to") from error


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
