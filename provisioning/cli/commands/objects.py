"""`explain`, `on-demand`, and `links`: one user or group, and the record that each is linked to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from provisioning.cli.commands.words import Json, Key, ended, shell_of
from provisioning.cli.manual import Command, Group
from provisioning.cli.shell import Exit
from provisioning.errors import ConfigError

commands = typer.Typer()
links = typer.Typer(cls=Group, help="Which record of ServiceNow each user and group is linked to.")

Members = Annotated[
    list[str] | None,
    typer.Option(
        metavar="USER", help="Of a group's members only this one: an id or a user principal name. Repeatable."
    ),
]
NoMembers = Annotated[bool, typer.Option("--no-members", help="Only the group itself.")]
Linked = Annotated[
    str,
    typer.Argument(metavar="USER_OR_GROUP", help="An object id, a sys_id, a user principal name, or a group's name."),
]


@commands.command(cls=Command)
def explain(
    context: typer.Context,
    user_or_group: Key,
    *,
    member: Members = None,
    no_members: NoMembers = False,
    json: Json = False,
) -> None:
    """Why a user or group is provisioned as it is, or why not, in five steps. Writes to neither side."""
    members = _members(member, none=no_members)
    _one_object(context, user_or_group, members, write=False, as_json=json)


@commands.command("on-demand", cls=Command)
def on_demand(
    context: typer.Context,
    user_or_group: Key,
    *,
    member: Members = None,
    no_members: NoMembers = False,
    json: Json = False,
) -> None:
    """Provision one user or group now, and show what was found, decided and done."""
    members = _members(member, none=no_members)
    _one_object(context, user_or_group, members, write=True, as_json=json)


def _members(named: list[str] | None, *, none: bool) -> tuple[str, ...] | None:
    if named and none:
        raise ConfigError("--member and --no-members are given: choose one of them")
    return () if none else tuple(named) if named else None


def _one_object(
    context: typer.Context, key: str, members: tuple[str, ...] | None, *, write: bool, as_json: bool
) -> None:
    from provisioning.cli import answering
    from provisioning.cli.running import opened

    shell, asked = shell_of(context), answering.Asked(key, members, write=write)

    async def work() -> Exit:
        async with opened(shell, dry_run=not write) as app:
            return await answering.answer(app, shell, asked, as_json=as_json)

    ended(work())


@links.command("list", cls=Command)
def links_list(
    context: typer.Context,
    *,
    kind: Annotated[Literal["user", "group"] | None, typer.Option("--type", help="Only users, or only groups.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many links.")] = 100,
    json: Json = False,
) -> None:
    """List links. Reads the state only."""
    from provisioning.cli import linking

    ended(linking.list_links(shell_of(context), kind, limit, as_json=json))


@links.command("show", cls=Command)
def links_show(context: typer.Context, user_or_group: Linked, *, json: Json = False) -> None:
    """One link, why its object is in scope, and its memberships."""
    from provisioning.cli import linking

    ended(linking.show(shell_of(context), user_or_group, as_json=json))


@links.command("verify", cls=Command)
def links_verify(context: typer.Context, *, json: Json = False) -> None:
    """Read every linked record: which vanished, have another key, or are linked twice. Writes nothing."""
    from provisioning.cli import linking

    ended(linking.verify(shell_of(context), as_json=json))


@links.command("relink", cls=Command)
def links_relink(
    context: typer.Context,
    user_or_group: Linked,
    sys_id: Annotated[str, typer.Argument(metavar="SYS_ID", help="Of the record that is the object's.")],
    *,
    json: Json = False,
) -> None:
    """Link a user or group in scope to a record that exists. The next cycle brings the record in line."""
    from provisioning.cli import linking

    ended(linking.relink(shell_of(context), user_or_group, sys_id, as_json=json))


@links.command("unlink", cls=Command)
def links_unlink(context: typer.Context, user_or_group: Linked, *, json: Json = False) -> None:
    """Forget a link; the record stays as it is. The next cycle matches the object again."""
    from provisioning.cli import linking

    ended(linking.unlink(shell_of(context), user_or_group, as_json=json))


@links.command("export", cls=Command)
def links_export(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Write them to this file.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV instead of JSON.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON, which is also done without it.")] = False,
) -> None:
    """Write all links as JSON or CSV."""
    from provisioning.cli import linking

    if csv and json:
        raise ConfigError("--csv and --json are given: choose one of them")
    ended(linking.export(shell_of(context), out, as_csv=csv))
