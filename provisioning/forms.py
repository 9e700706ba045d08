"""The forms that a setting may have: one of several words, a GUID, an address, a number, a schedule, a duration.

Each function answers the value in one spelling, or raises `ConfigError` with the setting's name, what it holds and what
it should hold. Which settings there are is not known here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

from provisioning.errors import ConfigError

SHORTEST_INTERVAL, LONGEST_INTERVAL = 60.0, 7 * 86400.0

MOST_DIGITS = 10
T = TypeVar("T")

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%?", re.ASCII)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_CRON_FIELDS = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def choice(name: str, text: str, choices: Collection[str]) -> str:
    if text.lower() in choices:
        return text.lower()
    raise ConfigError(f"{name} is {text!r}: use {' or '.join(choices)}")


def number(name: str, text: str, highest: int, what: str) -> int:
    """A whole number from 1 on; `what` says which one to choose."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= highest:
        return int(text)
    raise ConfigError(f"{name} is {text!r}: use a number from 1 to {highest}, {what}")


def count(name: str, text: str) -> int:
    """A whole number from 0 on."""
    digits = text.replace("_", "")
    if digits.isascii() and digits.isdigit() and len(digits) < MOST_DIGITS:
        return int(digits)
    raise ConfigError(f"{name} is {text!r}: use a whole number such as 500")


def share(name: str, text: str) -> float:
    """A percentage, with or without its sign; answered as a part of 1."""
    found = _PERCENT.fullmatch(text)
    if found is None or float(found[1]) > 100:  # noqa: PLR2004 - per cent
        raise ConfigError(f"{name} is {text!r}: use a percentage from 0 to 100, such as 5 %")
    return float(found[1]) / 100


def by_name(name: str, text: str, form: Callable[[str, str], T]) -> dict[str, T]:
    """As `by_kind`, with any names: casefolded, and "" for all that are not named."""
    found: dict[str, T] = {}
    for key, value in _parts(text):
        if key == "":
            raise ConfigError(f"{name} gives a value for no name: write {value} for all that are not named")
        known = (key or "").casefold()
        if known in found:
            raise ConfigError(f"{name} gives two values for {repr(key) if key else 'all that are not named'}: keep one")
        found[known] = form(name, value)
    return found


def by_kind(name: str, text: str, kinds: Collection[str], form: Callable[[str, str], T]) -> dict[str, T]:
    """One value for all kinds, or several as in `500, memberships=2000`, where a kind's own goes before that for all.
    Answers what is given, by kind.
    """
    common: dict[str, T] = {}
    own: dict[str, T] = {}
    for kind, value in _parts(text):
        if kind is None:
            common = dict.fromkeys(kinds, form(name, value))
        elif kind.lower() in kinds:
            own[kind.lower()] = form(name, value)
        else:
            raise ConfigError(f"{name} gives a value for {kind!r}: use {' or '.join(kinds)}")
    return {**common, **own}


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """The (key, value) pairs of `500, memberships=2000`; None for a value without a key."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, sign, value = (each.strip() for each in part.rpartition("="))
        yield (key if sign else None), value


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them, each once and in order; a name that holds a comma is given by its sys_id."""
    return tuple(sorted({name.strip() for name in text.split(",")} - {""}))


def guid(name: str, text: str, what: str) -> str:
    """`what` says which GUID it should be and where it is found."""
    if not _GUID.fullmatch(text.lower()):
        raise ConfigError(f"{name} is {text!r}, which is not a GUID: copy {what}")
    return text.lower()


def address(name: str, text: str, example: str, *, path: bool = False, loopback: bool = True) -> str:
    """An address without user, query and fragment: https, or http on this machine. Credentials are not repeated."""
    text = text or example
    parts = urlsplit(text if "://" in text else f"https://{text}")
    way_out = f"give an address such as {example}"
    try:
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{name} names no port that exists: {way_out}") from error
    if "@" in parts.netloc:
        raise ConfigError(f"{name} holds a user or a password before {host}: {way_out}")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigError(f"{name} holds a query after {host}: {way_out}")
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", parts.netloc) or not host:
        raise ConfigError(f"{name} is {text!r}, which names no host: {way_out}")
    if parts.path.strip("/") and not path:
        raise ConfigError(f"{name} holds a path after {host}: {way_out}")
    if parts.scheme == "http" and not (loopback and is_loopback(host)):
        raise ConfigError(f"{name} is {text!r}, and plain http is accepted for this machine only: use https")
    if parts.scheme not in {"http", "https"}:
        raise ConfigError(f"{name} is {text!r}, which is not an address: {way_out}")
    default = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default)}{parts.path.rstrip('/')}"


def secret_address(name: str, text: str) -> str:
    """An address that is a secret as a whole, path and query included: https, or http on this machine. No refusal
    repeats any of it.
    """
    way_out = "copy the whole address again, from https:// on"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"{name} is no address that can be reached: {way_out}") from error
    if parts.scheme not in {"http", "https"} or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", parts.netloc) or not host:
        raise ConfigError(f"{name} is no address, or holds a user or a password: {way_out}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(f"{name} begins with http, which is accepted for this machine only: {way_out}")
    if parts.fragment or any(character.isspace() for character in text):
        raise ConfigError(f"{name} holds a blank or a part after #: {way_out}")
    return text


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def schedule(text: str) -> str:
    """NCRONTAB: second, minute, hour, day, month, day of the week."""
    if text.upper().startswith("P"):
        raise ConfigError(
            f"PROVISIONING_SCHEDULE is {text!r}, an interval: put it in JOB_INTERVAL. PROVISIONING_SCHEDULE is how "
            "often the timer looks whether the job is due, such as 0 */5 * * * *"
        )
    fields = text.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ConfigError(
            f"PROVISIONING_SCHEDULE is {text!r}, which has {len(fields)} fields: use six (second, minute, hour, day, "
            "month, day of the week), such as 0 */5 * * * *"
        )
    for part, (what, low, high, names) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_is_cron_term(term, low, high, names) for term in part.lower().split(",")):
            raise ConfigError(
                f"PROVISIONING_SCHEDULE is {text!r}, and {part!r} is no {what} from {low} to {high}: "
                "write * for every one, */5 for every fifth, 1-5 or 1,3,5"
            )
    return " ".join(fields)


def _is_cron_term(term: str, low: int, high: int, names: Iterable[str]) -> bool:
    """`* | n | n-m`, each with `/step`; names of months and days stand for their numbers."""
    for number, name in enumerate(names, low):
        term = term.replace(name, str(number))
    found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", term)
    if found is None:
        return False
    first, last, step = (int(group) if group else None for group in found.groups())
    bounds = [number for number in (first, last) if number is not None]
    ordered = first is None or last is None or first <= last
    return all(low <= number <= high for number in bounds) and ordered and step != 0


def interval(name: str, text: str) -> float:
    """ISO 8601: P1D, PT40M, PT1H30M."""
    found = _DURATION.fullmatch(text.upper())
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups()) if found else (0, 0, 0, 0)
    total = float(days * 86400 + hours * 3600 + minutes * 60 + seconds)
    if SHORTEST_INTERVAL <= total <= LONGEST_INTERVAL:
        return total
    raise ConfigError(f"{name} is {text!r}: use a duration from PT1M to P7D, such as PT40M")
