"""The functions of the language, by subject: each module lists its own. What they share is in `values`."""

from __future__ import annotations

from provisioning.expressions.functions import (
    chance,
    dates,
    encoding,
    letters,
    lists,
    logic,
    replacing,
    roles,
    tenancy,
    text,
)
from provisioning.expressions.signatures import Function

LIBRARY: dict[str, Function] = {
    each.signature.name: each
    for module in (text, letters, replacing, logic, lists, dates, encoding, roles, chance, tenancy)
    for each in module.FUNCTIONS
}
