"""Functions whose result is new at every evaluation, drawn from the system's cryptographic source."""

from __future__ import annotations

import secrets
import string
import uuid
from dataclasses import dataclass

from provisioning.expressions.signatures import Run, Site, built, eager
from provisioning.expressions.values import Unfit, integer

LONGEST = 256
SPECIAL = "~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/"
"""The special characters of Windows' password complexity rule."""
CLASSES = (string.digits, SPECIAL, string.ascii_uppercase, string.ascii_lowercase)
MINIMUMS = ("minimumNumbers", "minimumSpecialCharacters", "minimumCapital", "minimumLowerCase")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How many characters of which kinds. `parts` pairs how many at least with what to choose from."""

    length: int
    parts: tuple[tuple[int, str], ...]
    alphabet: str

    def draw(self) -> str:
        found = [secrets.choice(kind) for count, kind in self.parts for _ in range(count)]
        found += [secrets.choice(self.alphabet) for _ in range(self.length - len(found))]
        secrets.SystemRandom().shuffle(found)
        return "".join(found)


def recipe(length: int, minimums: tuple[int, ...], avoided: str) -> Recipe:
    """What remains after the minimums is drawn from the same kinds, or from all kinds when every minimum is 0."""
    if not 0 < length <= LONGEST:
        raise Unfit(f"makes 1 to {LONGEST} characters, not {length}")
    if min(minimums) < 0:
        raise Unfit(f"takes minimums of at least 0 and was given {min(minimums)}")
    if sum(minimums) > length:
        raise Unfit(f"is to make {length} characters and its minimums add up to {sum(minimums)}")
    kinds = ["".join(each for each in kind if each not in avoided) for kind in CLASSES]
    for count, kind, name in zip(minimums, kinds, MINIMUMS, strict=True):
        if count and not kind:
            raise Unfit(f"cannot meet {name}, because charactersToAvoid leaves none")
    used = [kind for count, kind in zip(minimums, kinds, strict=True) if count] or kinds
    alphabet = "".join(used)
    if not alphabet:
        raise Unfit("has nothing to choose from, because charactersToAvoid leaves nothing")
    return Recipe(length, tuple(zip(minimums, kinds, strict=True)), alphabet)


def random_string(site: Site) -> Run:
    """All arguments are literals, so that an impossible request is found when the expression is read."""
    texts = [site.written(at) for at in range(6)]
    for at, each in enumerate(texts):
        if each is None and site.filled(at):
            raise site.error("RandomString takes literals only", site.span_of(at))
    try:
        length, *minimums = (integer(each) for each in texts[:5])
        ready = recipe(length, tuple(minimums), texts[5] or "")
    except Unfit as error:
        raise site.error(f"RandomString {error}") from error
    return lambda _: ready.draw()


def guid() -> str:
    return str(uuid.uuid4())


FUNCTIONS = (
    built(
        "RandomString(length: Integer, minimumNumbers: Integer, minimumSpecialCharacters: Integer, "
        "minimumCapital: Integer, minimumLowerCase: Integer, charactersToAvoid: String?)",
        random_string,
    ),
    eager("Guid()", guid),
)
