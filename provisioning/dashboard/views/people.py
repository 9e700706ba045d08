"""Who was found by a name, and how each of them stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioning.dashboard.views.wording import Badge, counted, sentence_case
from provisioning.engine.searching import MOST, Found, Search
from provisioning.model import Link

ADDRESS = "/dashboard/people"
LONGEST = 120


@dataclass(frozen=True, slots=True)
class Person:
    """A row of the result: `known_as` is what the object is known by beside its name."""

    name: str
    known_as: str
    kind: str
    address: str
    state: Badge
    note: str


@dataclass(frozen=True, slots=True)
class PeopleView:
    text: str
    people: tuple[Person, ...]
    told: str
    failure: str


def people_view(text: str, search: Search | None, keys: Sequence[str]) -> PeopleView:
    """`keys` are what the job remembers of each, in the same order; None where nobody was looked for."""
    if search is None:
        return PeopleView(text, (), "", "")
    people = tuple(_person(found, key) for found, key in zip(search.found, keys, strict=True))
    return PeopleView(text, people, _told(search), sentence_case(search.failure))


def _person(found: Found, key: str) -> Person:
    link, attributes = found.link, found.source.attributes if found.source is not None else {}
    name = str(attributes.get("displayName") or key or link.id)
    account = str(attributes.get("userPrincipalName") or attributes.get("mail") or key or "")
    known_as = account if account and account != name else link.id
    gone = "" if found.source is not None else "Microsoft Entra ID does not have it any more"
    return Person(name, known_as, link.type, f"{ADDRESS}/{link.id}", state_of(link), gone or note_of(link))


def state_of(link: Link) -> Badge:
    """As the job remembers it: neither side was asked."""
    if link.escrow is not None:
        return Badge("Fails", "bad")
    if link.foreign is not None and link.foreign.job:
        return Badge("Another job's", "quiet")
    if link.state in {"in scope", "restored"}:
        return Badge("Provisioned", "good") if link.linked else Badge("In scope", "info")
    if link.linked:
        return Badge("Out of scope", "warn") if link.state is not None else Badge("Linked", "info")
    return Badge("Not provisioned", "quiet")


def note_of(link: Link) -> str:
    if link.escrow is not None:
        return f"{link.escrow.code}, tried {counted(link.escrow.attempts, 'time')}"
    if link.state is not None and link.state not in {"in scope", "restored"}:
        return link.state
    return ""


def _told(search: Search) -> str:
    if not search.found:
        return "Nobody of that name. Names are searched from their beginning: write the first letters."
    return " ".join(_counted(search))


def _counted(search: Search) -> Iterator[str]:
    number = {kind: sum(found.link.type == kind for found in search.found) for kind in ("user", "group")}
    yield f"{counted(number['user'], 'user')} and {counted(number['group'], 'group')}."
    if search.more:
        yield f"There are more than {MOST} of a kind: write more of the name."
