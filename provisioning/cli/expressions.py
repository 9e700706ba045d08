"""`expression`: what an expression makes of given attributes, or of a real user's. Writes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.source_facts import described
from provisioning.errors import ConfigError, ObjectError
from provisioning.expressions import Expression, Tenant
from provisioning.rules.attributes import Facts
from provisioning.rules.expression_trial import as_response, evaluated, read
from provisioning.schema.names import select_name


async def expression(  # noqa: PLR0913 - the options of the command
    shell: Shell,
    text: str,
    attributes: Sequence[str],
    *,
    user: str | None,
    now: str | None,
    domain: str | None,
    strict: bool,
    as_json: bool,
) -> Exit:
    """Shows the value, or the error with a caret at its place. `attributes` are NAME=VALUE, or NAME:=JSON for what is
    no text; the same name again makes it a list.
    """
    given, moment = _attributes(attributes), _moment(now)
    tried = read(text, strict=strict)
    compiled = tried.compiled
    if compiled is not None:
        tenant = Tenant(default_domain=domain)
        facts: Mapping[str, Any] = given
        if user is not None:
            facts, tenant = await _of_user(shell, compiled, user, given, tenant)
        tried = evaluated(compiled, facts, moment, tenant)
    if as_json:
        shell.print_json(as_response(tried))
    if tried.error is not None:
        sys.stderr.write(f"error: {tried.error}\n")
        return Exit.ERROR
    if compiled is not None and not as_json:
        for note in compiled.notes:
            shell.note(f"note: {note}")
        for each in tried.values or ():
            shell.say(each)
    return Exit.OK


def _attributes(words: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name.rstrip(":"):
            raise ConfigError(f"--attribute {word!r} is not NAME=VALUE: write, for example, --attribute givenName=Ada")
        read: Any = value
        if name.endswith(":"):
            name = name[:-1]
            try:
                read = json.loads(value)
            except ValueError as error:
                raise ConfigError(f"--attribute {word!r}: what follows := must be JSON: {error}") from error
        if name in found:
            known = found[name]
            read = [*(known if isinstance(known, list) else [known]), read]
        found[name] = read
    return found


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--now {text!r} is no date: write, for example, 2026-01-31 or 2026-01-31T09:30:00Z"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


async def _of_user(
    shell: Shell, compiled: Expression, user: str, given: Mapping[str, Any], tenant: Tenant
) -> tuple[Mapping[str, Any], Tenant]:
    """A real user's attributes; what is given on the command line stands in for one of them."""
    asked = compiled.attributes - given.keys()
    reading = [name for each in asked if (name := select_name(each)) is not None]
    async with opened(shell, dry_run=True, reading=reading) as app:
        context = app.engine.context
        found = await context.source.find("user", user)
        if found is None:
            raise ObjectError(
                "NotFound", f"no user in Microsoft Entra ID answers to {user!r}", "give an object id or UPN"
            )
        assignments = (await context.source.grants("user", [found.id]))[found.id] or ()
        roles = await described(context, [assignment.role_id for assignment in assignments])
        if "DefaultDomain" in compiled.functions and tenant.default_domain is None:
            tenant = Tenant(default_domain=await context.source.default_domain())
        facts = Facts(found, roles=roles)
    return {**{name: facts.get(name) for name in asked}, **given}, tenant
