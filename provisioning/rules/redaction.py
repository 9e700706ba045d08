"""Keeps the values of redacted columns out of everything that is shown: logs, plan files, answers. Pure.

Entra shows `[Redact]` in their place. The decision itself holds the values, since they have to be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from provisioning.model import Create, Decision, Disable, Refused, Remove, Unsettled, Update, WriteOutcome, Written

REDACTED = "[Redact]"
SHORT = 4
"""A value of fewer characters is looked for as a word of its own: it would be found inside everything else."""


def shown(decision: Decision, column: str, value: str | None) -> str | None:
    """A value as a log may show it."""
    return REDACTED if value and column in decision.redacted else value


def masking(decision: Decision, outcome: WriteOutcome | None = None) -> Callable[[str], str]:
    """Takes the values of redacted columns out of a text, wherever they came into it: a record's former and new
    values, a key that was searched for, a message of the instance that repeats what it was sent.
    """
    if not decision.redacted:
        return as_it_is
    secrets = {value for fields in _values(decision, outcome) for value in fields}
    if not secrets:
        return as_it_is
    longest_first = sorted(secrets, key=len, reverse=True)
    pattern = re.compile("|".join(_pattern(secret) for secret in longest_first), re.IGNORECASE)
    return lambda text: pattern.sub(REDACTED, text)


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Every text within a JSON value, names of members excepted."""
    match value:
        case str():
            return mask(value)
        case Mapping():
            return {name: masked(each, mask) for name, each in value.items()}
        case list() | tuple():
            return [masked(each, mask) for each in value]
        case _:
            return value


def as_it_is(text: str) -> str:
    """The mask where nothing is to be hidden."""
    return text


def _values(decision: Decision, outcome: WriteOutcome | None) -> list[list[str]]:
    found: list[Mapping[str, str]] = []
    match decision.action:
        case Create(fields=fields):
            found.append(fields)
        case Update(fields=fields, before=before) | Disable(fields=fields, before=before):
            found += [fields, before]
        case Remove(before=before):
            found.append(before)
    match outcome:
        case Written(record=record):
            found.append(record)
        case Refused() | Unsettled() | None:
            pass
    shown_nowhere = [value for value in decision.secrets.values() if value]
    redacted = [[value for name, value in fields.items() if name in decision.redacted and value] for fields in found]
    return [*redacted, shown_nowhere]


def _pattern(secret: str) -> str:
    text = re.escape(secret)
    return text if len(secret) >= SHORT else rf"(?<!\w){text}(?!\w)"
