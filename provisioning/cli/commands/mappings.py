"""`schema` and `expression`: the mappings and scoping filters of the job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioning.cli.commands.words import Json, ended, shell_of
from provisioning.cli.manual import Command, Group
from provisioning.errors import ConfigError

commands = typer.Typer()
schema = typer.Typer(
    cls=Group, help="The mappings and scoping filters of the job, as Microsoft's synchronizationSchema JSON."
)
Strict = Annotated[bool, typer.Option("--strict", help="With the documented quirks of Entra's engine.")]


@schema.command("import", cls=Command)
def schema_import(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The JSON that the portal has downloaded.")] = None,
    *,
    default: Annotated[bool, typer.Option("--default", help="Back to the schema that ships with the product.")] = False,
    json: Json = False,
) -> None:
    """Check a schema and store it for the next cycle. With errors in it nothing is stored."""
    from provisioning.cli.schemas import import_schema

    if (file is None) != default:
        raise ConfigError("schema import needs a file, or --default for the schema that ships with the product")
    ended(import_schema(shell_of(context), file, as_json=json))


@schema.command("export", cls=Command)
def schema_export(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    default: Annotated[bool, typer.Option("--default", help="The schema that ships with the product.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON, which is also done without it.")] = False,
) -> None:
    """Print the schema that the next cycle works with, as it was imported."""
    from provisioning.cli.schemas import export_schema

    del json  # there is no other form
    ended(export_schema(shell_of(context), out, default=default))


@schema.command("validate", cls=Command)
def schema_validate(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A schema; without one, the schema in force.")] = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Without asking the instance for its columns.")] = False,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Check every mapping, expression and filter, and every target column."""
    from provisioning.cli.schemas import validate_schema

    if offline and file is None:
        raise ConfigError("schema validate --offline needs a file")
    ended(validate_schema(shell_of(context), file, offline=offline, strict=strict, as_json=json))


@schema.command("discover", cls=Command)
def schema_discover(
    context: typer.Context,
    *,
    table: Annotated[str | None, typer.Option(help="Only this table of ServiceNow.")] = None,
    json: Json = False,
) -> None:
    """List the columns of the instance, custom ones included; --json as a directory definition, ready to be mapped."""
    from provisioning.cli.schemas import discover_schema

    ended(discover_schema(shell_of(context), table, as_json=json))


@schema.command("functions", cls=Command)
def schema_functions(context: typer.Context, *, json: Json = False) -> None:
    """List the functions of the mapping language, with their parameters. Needs no settings."""
    from provisioning.cli.expressions import list_functions

    list_functions(shell_of(context), as_json=json)


@schema.command("operators", cls=Command)
def schema_operators(context: typer.Context, *, json: Json = False) -> None:
    """List the operators of scoping filters, with the types that they take. Needs no settings."""
    from provisioning.cli.expressions import list_operators

    list_operators(shell_of(context), as_json=json)


@commands.command(cls=Command)
def expression(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="EXPRESSION", help="In Entra's mapping language.")],
    *,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A source attribute; NAME:=JSON for what is no text. Repeatable."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Take the attributes of this user from Microsoft Graph.")] = None,
    now: Annotated[str | None, typer.Option(help="The time that Now() answers, as ISO 8601.")] = None,
    domain: Annotated[str | None, typer.Option(help="What DefaultDomain() answers.")] = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Try an expression of the mapping language on given attributes or on a real user."""
    from provisioning.cli.expressions import expression

    ended(
        expression(
            shell_of(context), text, attribute or (), user=user, now=now, domain=domain, strict=strict, as_json=json
        )
    )
