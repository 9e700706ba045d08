"""Opaque page tokens: a position and everything that must not change between pages, written into the text
itself, so that the emulator keeps no sessions and a link can be asked twice. The text differs each
time it is handed out, as Graph's does; a client that compares or parses links will notice.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import zlib
from typing import Any


def seal(content: dict[str, Any]) -> str:
    plain = json.dumps(content | {"nonce": secrets.token_hex(6)}, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.compress(plain)).decode().rstrip("=")


def unseal(text: str) -> dict[str, Any] | None:
    """The content, or None for a text that was never a token."""
    try:
        plain = zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        content = json.loads(plain)
    except (ValueError, binascii.Error, zlib.error):
        return None
    return content if isinstance(content, dict) else None
