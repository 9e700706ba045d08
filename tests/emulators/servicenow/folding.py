"""How ServiceNow's database compares text: without case and without accents (`A` = `a` = `Å`). Knows nothing else."""

from __future__ import annotations

import unicodedata


def fold(value: str) -> str:
    if value.isascii():
        return value.lower()
    decomposed = unicodedata.normalize("NFKD", value.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
