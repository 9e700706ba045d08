"""Where output goes: rich's console, set up once for all commands. Knows nothing of what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TextIO

from rich.console import Console

WIDE = 1000
"""Columns where there is no terminal: nothing is broken or cut."""


class OurConsole(Console):
    """A reader that goes away ends the command as any other error does, not the process on the spot."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console_on(file: TextIO, environ: Mapping[str, str]) -> Console:
    """Colours on a terminal only, whatever FORCE_COLOR says, and none where NO_COLOR is set."""
    terminal = file.isatty()
    return OurConsole(
        file=file,
        force_terminal=terminal,
        no_color=bool(environ.get("NO_COLOR")),
        width=None if terminal else WIDE,
        highlight=False,
        markup=False,
    )


def moves_its_cursor(console: Console) -> bool:
    """Whether something can be drawn over: a terminal, and not one that only takes lines."""
    return console.is_terminal and not console.is_dumb_terminal
