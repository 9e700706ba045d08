"""What every command works with: the environment, where output goes, and how errors are told. One line, no traceback.

Results go to standard output, everything about getting there to standard error, so that `--json` can be piped.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from provisioning.errors import ObjectError, ProvisioningError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDEST = 10_000
"""More columns than anything needs."""


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    HELD = 3
    INTERRUPTED = 130
    NO_READER = 141


def writable() -> None:
    """Standard output and error take whatever is written to them: they may be closed (`>&-`), and their encoding may
    know fewer characters than names have.
    """
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - it stays open as long as the process


@dataclass(frozen=True)
class Shell:
    """`environ` holds the settings; the two consoles know by themselves whether they are terminals."""

    environ: Mapping[str, str]

    @cached_property
    def out(self) -> Console:
        from provisioning.cli.console import console_on  # noqa: PLC0415 - what prints nothing, or JSON, does without

        return console_on(sys.stdout, self.environ)

    @cached_property
    def err(self) -> Console:
        from provisioning.cli.console import console_on  # noqa: PLC0415 - as above

        return console_on(sys.stderr, self.environ)

    @property
    def who(self) -> str:
        """Who types, as the machine knows them."""
        name = self.environ.get("USER") or self.environ.get("USERNAME")
        return f"command line ({name})" if name else "command line"

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line on standard output, never broken where there is no terminal to fit."""
        self.out.print(text, style=style, soft_wrap=True)

    def show(self, thing: RenderableType) -> None:
        """A table or a tree; where there is no terminal, as wide as it needs and without blanks at the ends."""
        if self.out.is_terminal:
            self.out.print(thing)
            return
        with self.out.capture() as captured:
            self.out.print(thing)
        self.out.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    def fits(self, thing: RenderableType) -> bool:
        """Whether all of it can be seen at once, in its whole width."""
        needs = self.out.measure(thing, options=self.out.options.update(max_width=WIDEST)).maximum
        return needs <= self.out.width

    def note(self, text: str) -> None:
        """A line on standard error."""
        self.err.print(text, soft_wrap=True)

    def print_json(self, value: Any) -> None:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def complain(error: BaseException) -> Exit:
    """The error as one line on standard error."""
    sys.stderr.write(f"error: {in_one_line(message_of(error))}\n")
    return Exit.ERROR


def message_of(error: BaseException) -> str:
    """What happened and the way out; of several errors that happened side by side, the first."""
    match error:
        case BaseExceptionGroup():
            return message_of(error.exceptions[0])
        case ObjectError(way_out=way_out) if way_out:
            return f"{error}: {way_out}"
        case _:
            return str(error)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def is_expected(error: BaseException) -> bool:
    """Whether the error is one that this program raises on purpose; anything else is a defect and shows its origin."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_expected(each) for each in error.exceptions)
    return isinstance(error, ProvisioningError)
