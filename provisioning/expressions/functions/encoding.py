"""Functions that turn values into other notations: Base64, hexadecimal, SIDs, distinguished names, bits."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from provisioning.expressions.signatures import Run, Site, built, eager
from provisioning.expressions.values import Unfit, integer, one, text

ENCODINGS = {"unicode": "utf-16-le", "ascii": "ascii", "utf8": "utf-8"}
SID_HEAD = 8
RDN = re.compile(r'(?:[^,\\"]|\\.|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
RDN_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
WIDEST = 64


def c_str(value: Any) -> str | None:
    return None if value is None else text(value)


def bit_and(value1: Any, value2: Any) -> int:
    first, second = integer(value1), integer(value2)
    if max(first.bit_length(), second.bit_length()) > WIDEST:
        raise Unfit(f"takes numbers of at most {WIDEST} bits")
    return first & second


def to_base64(source: Any) -> str | None:
    if source is None:
        return None
    return base64.b64encode(text(source).encode("utf-16-le", "surrogatepass")).decode("ascii")


def encoding(name: str) -> str:
    found = ENCODINGS.get(name.strip().lower())
    if found is None:
        raise Unfit(f"knows the encodings Unicode, ASCII and UTF8, not {name!r}")
    return found


def from_base64(site: Site) -> Run:
    source, codec = site.run(0), site.prepared(1, encoding, "utf-16-le")

    def run(scope: Any) -> str | None:
        value = source(scope)
        return None if value is None else _bytes(text(value)).decode(codec(scope), "replace")

    return run


def to_utf8_hex(source: Any) -> str | None:
    if source is None:
        return None
    # Half a surrogate pair has no bytes in UTF-8; .NET writes the replacement character.
    whole = text(source).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.encode().hex().upper()


def string_from_sid(source: Any) -> str | None:
    """Binary attributes arrive as Base64. A SID that is text already stays as it is."""
    value = one(source)
    if value is None:
        return None
    if isinstance(value, str) and value.startswith("S-1-"):
        return value
    raw = value if isinstance(value, bytes) else _bytes(text(value))
    if len(raw) < SID_HEAD or len(raw) != SID_HEAD + 4 * raw[1]:
        raise Unfit(f"takes the bytes of a SID and was given {len(raw)} others")
    parts = [int.from_bytes(raw[at : at + 4], "little") for at in range(SID_HEAD, len(raw), 4)]
    return "-".join(["S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)])


def dn_component(source: Any, which: Any) -> str:
    """The n-th value from the left of a distinguished name; "" when there are fewer."""
    names, at = RDN.findall(text(source)), integer(which)
    if not 1 <= at <= len(names):
        return ""
    _, sign, value = names[at - 1].partition("=")
    value = value.strip() if sign else names[at - 1].strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return RDN_ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], value)


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(re.sub(r"\s", "", value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit("takes Base64 and was given something else") from error


FUNCTIONS = (
    eager("CStr(value: String)", c_str),
    eager("BitAnd(value1: Integer, value2: Integer)", bit_and),
    eager("ConvertToBase64(source: String)", to_base64),
    built("ConvertFromBase64(source: String, encoding: String?[Unicode|ASCII|UTF8])", from_base64),
    eager("ConvertToUTF8Hex(source: String)", to_utf8_hex),
    eager("StringFromSid(source: Binary)", string_from_sid),
    eager("DNComponent(dn: String, componentNumber: Integer)", dn_component),
)
