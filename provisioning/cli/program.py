"""The program: all commands under one name, and how one of them begins and ends. What each does stands elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, cast

import typer
from typer.core import TyperGroup

from provisioning.cli.commands import cycles, mappings, objects, orders, reports
from provisioning.cli.commands.words import no_reader
from provisioning.cli.completion import VARIABLE, Kind, prepare, script
from provisioning.cli.manual import PROGRAM, Program
from provisioning.cli.shell import Exit, Shell, complain, in_one_line, is_expected, writable

cli = typer.Typer(
    cls=Program,
    help="Provisions users and groups from Microsoft Entra ID into ServiceNow. Settings come from the environment; "
    "README.md describes them.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for each in (cycles, objects, orders, reports, mappings):
    cli.add_typer(each.commands)
cli.add_typer(objects.links, name="links")
cli.add_typer(mappings.schema, name="schema")


def program() -> TyperGroup:
    return cast("TyperGroup", typer.main.get_command(cli))


@cli.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    *,
    show_completion: Annotated[
        Kind | None,
        typer.Option(help="Print what makes this shell complete commands, options and their words."),
    ] = None,
) -> None:
    if show_completion is not None:
        typer.echo(script(show_completion), nl=False)
        raise typer.Exit(Exit.OK)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(Exit.ERROR)


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Runs one command and answers its exit code. An error that was foreseen is one line on standard error."""
    writable()
    prepare(os.environ)
    logging.getLogger().addHandler(logging.NullHandler())  # the operators' log has no reader here
    try:
        code = int(
            cli(arguments, obj=Shell(environ), prog_name=PROGRAM, complete_var=VARIABLE, standalone_mode=False)
            or Exit.OK
        )
        sys.stdout.flush()
        if code == Exit.INTERRUPTED:
            sys.stderr.write("interrupted: nothing is lost; an unfinished cycle goes on with the next `run`\n")
    except typer.TyperException as error:
        told = getattr(error, "format_message", error.__str__)()
        told = in_one_line(told).replace("Value error, ", "").rstrip(".")  # pydantic's words, of no use to anybody
        context = getattr(error, "ctx", None)
        sys.stderr.write(f"error: {told}. See `{context.command_path if context else PROGRAM} --help`\n")
        return Exit.ERROR
    except BrokenPipeError:
        return no_reader()
    except SystemExit as error:  # typer's own answer to a reader that has gone
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return no_reader()
    except BaseException as error:
        if not is_expected(error):
            raise
        return complain(error)
    return code
