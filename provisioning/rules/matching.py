"""Which of the records that ServiceNow returned for a key is the object's own. Pure.

ServiceNow compares without case and accents, so that a query for `Muller` also returns `Müller`. A hit that is not
equal to the letter is a conflict that a person must look at, never a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provisioning.errors import ObjectError
from provisioning.model import Record
from provisioning.rules.comparison import loose
from provisioning.rules.mapping import Key

Preference = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The object's record. `others` have the same key and were passed over because of the mapping's preference."""

    record: Record
    others: tuple[str, ...] = ()


def resembling(key: Key, records: Sequence[Record]) -> tuple[Record, ...]:
    """The records that agree with every part of the key as ServiceNow compares."""
    if len(key.parts) == 1:  # the search has seen to it
        return tuple(records)
    return tuple(
        record for record in records if all(loose(record.get(name, "")) == loose(value) for name, value in key.parts)
    )


def choose_match(key: Key, hits: Sequence[Record], preferred: Preference = ()) -> Chosen | None:
    """The one exact hit, or None when nothing resembles the key. Of several exact hits, the one that has the preferred
    values (an active account before inactive ones), if there is just one. Raises `ObjectError` otherwise.
    """
    exact = [hit for hit in hits if all(hit.get(name) == value for name, value in key.parts)]
    fields = " and ".join(name for name, _ in key.parts)
    if len(exact) > 1:
        first = [hit for hit in exact if all(hit.get(name) == value for name, value in preferred)]
        if preferred and len(first) == 1:
            return Chosen(first[0], tuple(hit["sys_id"] for hit in exact if hit is not first[0]))
        raise ObjectError(
            "DuplicateTargetEntries",
            f"{len(exact)} records have the same {fields}: {', '.join(hit['sys_id'] for hit in exact[:5])}",
            "keep one of them in ServiceNow, or match on another attribute; nothing was written",
        )
    if exact:
        return Chosen(exact[0])
    if hits:
        raise ObjectError(
            "Conflict",
            f"{len(hits)} record(s) have a {fields} that differs only in case or accents "
            f"({', '.join(hit['sys_id'] for hit in hits[:5])}), which ServiceNow takes for the same key",
            f"correct the {fields} of the record, or the source value, so that both are equal",
        )
    return None
