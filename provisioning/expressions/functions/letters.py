"""Functions that change letters: their case, and the marks on them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from provisioning.expressions.signatures import Run, Site, built, eager
from provisioning.expressions.values import Unfit, Value, each

CULTURE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
DOTTED = {"tr", "az"}
"""Languages in which i and I are letters of two different pairs."""
DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"
TURKISH_LOWER = str.maketrans({"I": DOTLESS, "İ": "i"})
TURKISH_UPPER = str.maketrans({"i": "İ", DOTLESS: "I"})
# What remains of a letter after Unicode has taken its marks away, and is no plain letter yet.
PLAIN = {
    "ø": "oe", "Ø": "OE", "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ł": "l", "Ł": "L", DOTLESS: "i",
}  # fmt: skip
SEPARATORS = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"})
"""Unicode's categories of what ends a word, unless PCase is told its separators."""

Change = Callable[[str], str]


def lower(value: str) -> str:
    """Character by character as .NET's invariant culture does: ß stays one character, and İ stays itself."""
    return value.lower() if value.isascii() else "".join(map(_lower, value))


def upper(value: str) -> str:
    return value.upper() if value.isascii() else "".join(map(_upper, value))


def turkish_lower(value: str) -> str:
    return lower(value.translate(TURKISH_LOWER))


def turkish_upper(value: str) -> str:
    return upper(value.translate(TURKISH_UPPER))


def lowering(culture: str) -> Change:
    return turkish_lower if _is_dotted(culture) else lower


def uppering(culture: str) -> Change:
    return turkish_upper if _is_dotted(culture) else upper


def to_lower(site: Site) -> Run:
    return _cased(site, site.prepared(1, lowering, lower))


def to_upper(site: Site) -> Run:
    return _cased(site, site.prepared(1, uppering, upper))


def proper_case(separators: str | None) -> Change:
    """The first letter of each word upper, the others lower."""
    ends = _ends_word if separators is None else frozenset(separators).__contains__

    def change(value: str) -> str:
        found: list[str] = []
        starts = True
        for character in value:
            found.append(_upper(character) if starts else _lower(character))
            starts = ends(character)
        return "".join(found)

    return change


def p_case(site: Site) -> Run:
    """An apostrophe separates too, as the documented categories have it; .NET itself would not split there."""
    return _cased(site, site.prepared(1, proper_case, proper_case(None)))


def normalize_diacritics(source: Any) -> Value:
    return each(source, without_diacritics)


def without_diacritics(value: str) -> str:
    """Latin letters without their marks: ä is a and ø is oe. Other scripts, and đ ð þ ħ ŋ ẞ, stay as they are."""
    if value.isascii():
        return value
    found: list[str] = []
    after_latin = False
    for character in value:
        if unicodedata.combining(character):
            if not after_latin:
                found.append(character)
            continue
        plain = _plain(character)
        after_latin = plain is not None
        found.append(character if plain is None else plain)
    return "".join(found)


def _cased(site: Site, change: Callable[[Any], Change]) -> Run:
    source = site.run(0)
    return lambda scope: each(source(scope), change(scope))


def _is_dotted(culture: str) -> bool:
    name = culture.strip()
    if name and not CULTURE.fullmatch(name):
        raise Unfit(f"takes the name of a culture such as tr-TR, not {culture!r}")
    return name.split("-", 1)[0].lower() in DOTTED


def _lower(character: str) -> str:
    low = character.lower()
    return low if len(low) == 1 else character


def _upper(character: str) -> str:
    high = character.upper()
    return high if len(high) == 1 and character != DOTLESS else character


@lru_cache(maxsize=4096)
def _ends_word(character: str) -> bool:
    return unicodedata.category(character) in SEPARATORS


@lru_cache(maxsize=4096)
def _plain(character: str) -> str | None:
    """A Latin letter without marks, None for any other character."""
    base = unicodedata.normalize("NFD", character)[0]
    if not unicodedata.name(base, "").startswith("LATIN "):
        return None
    return PLAIN.get(base, base)


FUNCTIONS = (
    built("ToLower(source: String, culture: String?)", to_lower),
    built("ToUpper(source: String, culture: String?)", to_upper),
    built("PCase(source: String, wordSeparators: String?)", p_case),
    eager("NormalizeDiacritics(source: String)", normalize_diacritics),
)
