"""What an instance made of a write: it answers success also when it dropped, cut or refused a value. Pure: compares
what was sent with the record that came back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from provisioning.model import Create, Decision, Disable, Fail, Remove, Skip, Update, WriteOutcome, Written

_LAST_OF_ONE_UNIT = 0xFFFF


def altered(fields: Mapping[str, str], record: Mapping[str, str]) -> dict[str, str]:
    """What the record holds of each field that it does not hold as sent; a field that may not be read is not told."""
    return {name: record[name] for name, value in fields.items() if name in record and record[name] != value}


def is_held(sent: str, stored: str, max_length: int) -> bool:
    """Whether a column of this length (0: not known) holds what was sent, cut at its end if it has to be. Databases
    count characters or UTF-16 units, and do not store half of a pair.
    """
    if stored == sent:
        return True
    if max_length < 1 or not stored or len(stored) >= len(sent) or not sent.startswith(stored):
        return False
    units = len(stored.encode("utf-16-le", "surrogatepass")) // 2
    halves_a_pair = units == max_length - 1 and ord(sent[len(stored)]) > _LAST_OF_ONE_UNIT
    return len(stored) == max_length or units == max_length or halves_a_pair


def warnings_of(decision: Decision, outcome: WriteOutcome | None) -> tuple[str, ...]:
    """A warning for each altered field, by its name; values are not repeated."""
    if not isinstance(outcome, Written):
        return ()
    fields, before = _sent(decision)
    found = altered(fields, outcome.record)
    return tuple(f"{name}: {_why(fields[name], now, before.get(name))}" for name, now in sorted(found.items()))


def _sent(decision: Decision) -> tuple[Mapping[str, str], Mapping[str, str]]:
    match decision.action:
        case Create(fields=fields):
            return fields, {}
        case Update(fields=fields, before=before) | Disable(fields=fields, before=before):
            return fields, before
        case Remove() | Skip() | Fail():
            return {}, {}
        case never:
            assert_never(never)


def _why(sent: str, now: str, before: str | None) -> str:
    if now and sent.startswith(now):
        return f"ServiceNow keeps {len(now)} of the {len(sent)} characters that were sent"
    if now == (before or ""):
        return (
            "ServiceNow answered success and did not store the value: the integration user may not write this field, "
            "or the value is none of its choices"
        )
    return "ServiceNow stored another value than was sent: a business rule of the instance changed it"
