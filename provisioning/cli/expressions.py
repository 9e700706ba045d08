"""`expression`: what an expression makes of given attributes, or of a real user's; and what the mapping language has.
Writes nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.trying import facts_of_user, properties_of
from provisioning.errors import ConfigError
from provisioning.expressions import FUNCTIONS, Expression, Tenant
from provisioning.rules.expression_trial import as_response, evaluated, read
from provisioning.schema.scope import operators


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
    async with opened(shell, dry_run=True, reading=properties_of(compiled, given)) as app:
        return await facts_of_user(app.engine.context, compiled, user, given, tenant)


def list_functions(shell: Shell, *, as_json: bool) -> None:
    """As Graph's attributeMappingFunctionSchema, or a line for each: what stands in [] may be left out, ... repeats."""
    found = [signature.as_graph() for _, signature in sorted(FUNCTIONS.items())]
    if as_json:
        shell.print_json(found)
        return
    for each in found:
        parameters = [
            f"{'' if one['required'] else '['}{one['name']}{'...' if one['allowMultipleOccurrences'] else ''}"
            f"{'' if one['required'] else ']'}"
            for one in each["parameters"]
        ]
        shell.say(f"{each['name']}({', '.join(parameters)})")


def list_operators(shell: Shell, *, as_json: bool) -> None:
    found = operators()
    if as_json:
        shell.print_json(found)
        return
    for each in found:
        shell.say(f"{each['name']:<24} {each['arity']:<7} {', '.join(each['supportedAttributeTypes'])}")
