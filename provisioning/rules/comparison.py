"""How the instance's database compares texts. Pure."""

from __future__ import annotations

import unicodedata

_UNFOLDED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th"}
)


def loose(value: str) -> str:
    """A value as the instance's database compares it, or looser: no case, no accents, no blanks at the end.

    Collations differ, so that this errs towards equal: what is loosely equal is a hit for the rules to judge, what
    is not even that shows a dropped filter.
    """
    if value.isascii():
        return value.lower().rstrip()
    decomposed = unicodedata.normalize("NFKD", value.casefold()).translate(_UNFOLDED)
    kept = (c for c in decomposed if unicodedata.category(c) not in {"Mn", "Me", "Cf"})
    # MySQL gives every character beyond the basic plane the same weight.
    return "".join("\ufffd" if c > "\uffff" else c for c in kept).rstrip()
