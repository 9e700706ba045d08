"""What several commands have in common: how an option is spelt, and how work is begun and ended."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, cast

import typer

from provisioning.cli.shell import Exit, Shell
from provisioning.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]
Key = Annotated[str, typer.Argument(metavar="USER_OR_GROUP", help="An id, a user principal name, or a group's name.")]
PlanId = Annotated[str, typer.Argument(metavar="PLAN_ID", help="The 16 characters that plan, run or status print.")]
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a full disk answers, or a device that takes nothing."""


def shell_of(context: typer.Context) -> Shell:
    return cast("Shell", context.obj)


def ended(work: Coroutine[Any, Any, Exit]) -> None:
    """Runs a command's work to its end, which an interrupt brings about in good order, and which comes early where
    nobody reads on.
    """
    import asyncio

    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        code = no_reader()
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        raise ConfigError(
            f"the output cannot be written: {error.strerror}; what was done stays done, `status` tells how far it came"
        ) from error
    raise typer.Exit(code)


def no_reader() -> Exit:
    """Whoever read our output has gone (`| head`). What is still in the buffer goes nowhere, and nothing complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return Exit.NO_READER
