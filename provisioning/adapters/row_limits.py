"""What Azure Tables refuses, decided here so that all stores refuse it alike: keys, sizes, transactions.

Azurite counts sizes in another way than the service and breaks on more than 100 operations, so nothing is left to the
other side. Sizes are counted as the service counts them, on the JSON text that both stores keep. This module
knows no store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import msgspec

from provisioning.errors import RowTooLarge
from provisioning.rows import (
    MAX_KEY_CHARACTERS,
    MAX_ROW_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_TRANSACTION_ROWS,
    Data,
    Delete,
    Operation,
)

MAX_SCAN_ROWS = 1000
PROPERTY_UNITS = 32_000
"""UTF-16 units of one property; the service takes 32,768."""

# Row size as the service counts it: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_ROW_OVERHEAD = 4
_PROPERTY_OVERHEAD = 8 + 4
_TIMESTAMP_BYTES = 8 + 2 * len("Timestamp") + 8

# azure-data-tables 12.7 sends 520 bytes of headers and boundaries for an operation; the rest is for long host names.
_WIRE_OVERHEAD = 1000
_WIRE_PROPERTY_OVERHEAD = 60
_WIRE_KEY_UNIT = 15
"""One UTF-16 unit of a key: escaped in the body (6 bytes) and percent-encoded in the address (9 bytes)."""
_WIRE_TEXT_UNIT = 6


_REFUSED = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN_KEY = re.compile(rf"[ !\"$-.0->@-\[\]-~]{{1,{MAX_KEY_CHARACTERS}}}")
"""Hardly any key is another one: looking at each character took a tenth of the CPU of a load."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_key(name: str, value: str) -> None:
    """Refuse what Azure Tables refuses as a key, and the empty key, which no scan would find."""
    if _PLAIN_KEY.fullmatch(value):
        return
    if not 0 < utf16_units(value) <= MAX_KEY_CHARACTERS:
        raise ValueError(f"{name} has {len(value)} characters; a key has 1 to {MAX_KEY_CHARACTERS}.")
    if (found := _REFUSED.search(value)) is None:
        return
    if "\ud800" <= found.group() <= "\udfff":
        raise ValueError(f"{name} {value!r} holds half a surrogate pair; encode it before it becomes a key.")
    raise ValueError(f"{name} {value!r} holds {found.group()!r}; encode it before it becomes a key.")


def key_bytes(key: str) -> bytes:
    """Bytes that compare as Azure Tables orders keys, which is by UTF-16 unit: U+1F600 stands before U+FF21.

    They are UTF-8, but for characters beyond U+FFFF, which are written as their two halves.
    """
    if not key.isascii():
        units = key.encode("utf-16-be", "surrogatepass")
        key = "".join(chr(int.from_bytes(units[at : at + 2])) for at in range(0, len(units), 2))
    return key.encode("utf-8", "surrogatepass")


def key_text(raw: bytes) -> str:
    """The key that `key_bytes` wrote."""
    text = raw.decode("utf-8", "surrogatepass")
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_SCAN_ROWS:
        raise ValueError(f"A scan of {limit} rows was asked for; it returns 1 to {MAX_SCAN_ROWS}.")


def encode_transaction(table: str, partition: str, operations: Sequence[Operation]) -> list[str]:
    """The JSON text of each operation ("" for a deletion), once the whole transaction is known to be acceptable."""
    if not 1 <= len(operations) <= MAX_TRANSACTION_ROWS:
        raise ValueError(f"A transaction of {len(operations)} rows; it takes 1 to {MAX_TRANSACTION_ROWS}.")
    check_key("partition", partition)
    seen: set[str] = set()
    texts: list[str] = []
    for operation in operations:
        check_key("key", operation.key)
        if operation.key in seen:
            raise ValueError(f"Key {operation.key!r} occurs twice in one transaction; merge the two operations.")
        seen.add(operation.key)
        texts.append("" if isinstance(operation, Delete) else encode(operation.data))
    for operation, text in zip(operations, texts, strict=True):
        if len(text) <= PROPERTY_UNITS // 2:
            continue  # far below the limit, whatever its characters
        size = row_bytes(partition, operation.key, text)
        if size > MAX_ROW_BYTES:
            raise RowTooLarge(
                f"Row {operation.key!r} of partition {partition!r} in table {table!r} needs {size:,} bytes; "
                f"Azure Tables takes {MAX_ROW_BYTES:,} (two for each character). Store less in it."
            )
    _check_transaction_bytes(table, partition, operations, texts)
    return texts


def encode(data: Data) -> str:
    """The JSON text of a row. Half surrogate pairs, which no encoding of text can carry, are escaped."""
    if isinstance(data, msgspec.Raw):
        return bytes(data).decode()
    if isinstance(data, msgspec.Struct):
        try:
            return msgspec.json.encode(data).decode()
        except UnicodeEncodeError:
            return json.dumps(msgspec.to_builtins(data), separators=(",", ":"), allow_nan=False)
    text = _JSON.encode(dict(data))
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(dict(data), separators=(",", ":"), allow_nan=False)
    return text


def split(text: str) -> Iterator[str]:
    """Pieces of at most `PROPERTY_UNITS` UTF-16 units; a surrogate pair stays together."""
    # A text of plain characters has one unit each; otherwise half as many characters are never too many units.
    step = PROPERTY_UNITS if utf16_units(text) == len(text) else PROPERTY_UNITS // 2
    for start in range(0, len(text), step):
        yield text[start : start + step]


def row_bytes(partition: str, key: str, text: str) -> int:
    """The size of a row as Azure Tables counts it: two bytes for each UTF-16 unit, names and types included."""
    size = _ROW_OVERHEAD + 2 * (utf16_units(partition) + utf16_units(key)) + _TIMESTAMP_BYTES
    if len(text) <= PROPERTY_UNITS // 2:
        return size + _PROPERTY_OVERHEAD + 2 * len("d0") + 2 * utf16_units(text)
    for number, piece in enumerate(split(text)):
        size += _PROPERTY_OVERHEAD + 2 * len(f"d{number}") + 2 * utf16_units(piece)
    return size


def utf16_units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def request_bytes(partition: str, operations: Sequence[Operation], texts: Sequence[str]) -> int:
    """An upper bound of what azure-data-tables sends for a transaction."""
    return _request_overhead(partition, operations, texts) + sum(len(json.dumps(text)) for text in texts)


def _request_overhead(partition: str, operations: Sequence[Operation], texts: Sequence[str]) -> int:
    partition_units = utf16_units(partition)
    return sum(
        _WIRE_OVERHEAD
        + _WIRE_KEY_UNIT * (partition_units + utf16_units(operation.key))
        + _WIRE_PROPERTY_OVERHEAD * (1 + 2 * len(text) // PROPERTY_UNITS)
        for operation, text in zip(operations, texts, strict=True)
    )


def _check_transaction_bytes(table: str, partition: str, operations: Sequence[Operation], texts: Sequence[str]) -> None:
    # The escaped text is only measured where the cheap bounds do not settle it, which is hardly ever. A character is
    # two units at most.
    characters = sum(map(len, texts))
    keys = len(operations) * len(partition) + sum([len(operation.key) for operation in operations])
    properties = len(operations) + 4 * characters // PROPERTY_UNITS
    bound = _WIRE_OVERHEAD * len(operations) + _WIRE_PROPERTY_OVERHEAD * properties
    if bound + 2 * _WIRE_KEY_UNIT * keys + 2 * _WIRE_TEXT_UNIT * characters <= MAX_TRANSACTION_BYTES:
        return
    units = sum(utf16_units(text) for text in texts)
    if _request_overhead(partition, operations, texts) + _WIRE_TEXT_UNIT * units <= MAX_TRANSACTION_BYTES:
        return
    size = request_bytes(partition, operations, texts)
    if size > MAX_TRANSACTION_BYTES:
        raise RowTooLarge(
            f"A transaction of {len(operations)} rows on partition {partition!r} of table {table!r} needs up to "
            f"{size:,} bytes; Azure Tables takes {MAX_TRANSACTION_BYTES:,}. Commit fewer rows at once."
        )
