"""What a link says, whether its record still bears it out, and what becomes of it when a person takes it in hand. Pure:
knows links and records, no store and no call.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from provisioning.model import Link, Record
from provisioning.rules.comparison import loose
from provisioning.rules.mapping import Key
from provisioning.schema import ObjectMapping

LinkState = Literal["intact", "vanished", "otherKey", "linkedTwice", "intended", "unlinked"]
STATES: tuple[LinkState, ...] = ("intact", "vanished", "otherKey", "linkedTwice", "intended", "unlinked")
AMISS: frozenset[LinkState] = frozenset({"vanished", "otherKey", "linkedTwice"})
"""What a person should look at."""
TYPES = {"user": "User", "group": "Group"}


class Checked(Struct, frozen=True):
    """A link and what the instance says of it. `keys` are those of the record, where it holds another one than the link
    remembers.
    """

    link: Link
    state: LinkState
    keys: tuple[str, ...] = ()


def state_of(link: Link) -> LinkState:
    """As far as the link itself tells."""
    if link.sys_id is None:
        return "unlinked"
    return "intended" if link.intended else "intact"


def check(link: Link, record: Record | None, mapping: ObjectMapping, *, twice: bool) -> Checked:
    """`record` is the link's, None where the instance does not hold it; `twice` that another object is linked to it."""
    if not link.linked:
        return Checked(link, state_of(link))
    if record is None:
        return Checked(link, "vanished")
    if twice:
        return Checked(link, "linkedTwice")
    found = keys_of(record, mapping)
    remembered = {loose(text) for text in (link.match_value, *link.other_keys) if text}
    if remembered and found and not remembered & {loose(text) for text in found}:
        return Checked(link, "otherKey", found)
    return Checked(link, "intact")


def keys_of(record: Record, mapping: ObjectMapping) -> tuple[str, ...]:
    """The keys that a record has in the columns that are matched on, as links remember them."""
    keys = (
        Key(tuple((each.target, record.get(each.target, "")) for each in attributes), ranked=rank > 0)
        for rank, attributes in enumerate(mapping.matching)
    )
    return tuple(key.text for key in keys if all(value for _, value in key.parts))


def relinked(link: Link, sys_id: str, keys: tuple[str, ...]) -> Link:
    """As if the record had been found by its key and its adoption were under way: the next cycle completes it under the
    same rules. What was known of another record says nothing of this one.
    """
    return replace(
        unlinked(link), sys_id=sys_id, match_value=keys[0], other_keys=keys[1:], origin="adopted", intended=True
    )


def unlinked(link: Link) -> Link:
    """Why the object is in scope stays known, the record does not; no sys_id that was chosen for it is used again."""
    generation = link.generation + (link.sys_id is not None)
    return Link(link.type, link.id, grants=link.grants, generation=generation, manager=link.manager)


def connection_of(link: Link) -> dict[str, Any]:
    """Graph's objectConnection, and beyond it what else is remembered. Values that were written stay out: they may be
    what no log is to name.
    """
    return {
        "objectId": link.id,
        "objectTypeName": TYPES[link.type],
        "sourceAnchor": link.id,
        "targetAnchor": link.sys_id,
        "displayName": link.match_value,
        "state": state_of(link),
        "origin": link.origin,
        "enabled": link.enabled,
        "generation": link.generation,
        "failure": link.escrow.code if link.escrow is not None else None,
        "managedBy": link.foreign.job or None if link.foreign is not None else None,
    }
