"""Which of the records that ServiceNow returned for a key is the object's own. Pure.

ServiceNow compares without case and accents, so that a query for `Muller` also returns `Müller`. A hit that is not
equal to the letter is a conflict that a person must look at, never a match.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.errors import ObjectError
from provisioning.model import Record


def choose_match(field: str, value: str, hits: Sequence[Record]) -> Record | None:
    """The one exact hit, or None when nothing resembles the key. Raises `ObjectError` otherwise."""
    exact = [hit for hit in hits if hit.get(field) == value]
    if len(exact) > 1:
        raise ObjectError(
            "DuplicateTargetEntries",
            f"{len(exact)} records have the same {field}: {', '.join(hit['sys_id'] for hit in exact[:5])}",
            "keep one of them in ServiceNow, or match on another attribute; nothing was written",
        )
    if exact:
        return exact[0]
    if hits:
        raise ObjectError(
            "Conflict",
            f"{len(hits)} record(s) have a {field} that differs only in case or accents "
            f"({', '.join(hit['sys_id'] for hit in hits[:5])}), which ServiceNow takes for the same key",
            f"correct the {field} of the record, or the source value, so that both are equal",
        )
    return None
