""".NET's custom formats for dates, to read and to print: each format is compiled once. The culture is en-US."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timezone

from provisioning.errors import ExpressionError
from provisioning.expressions.dates import DAYS, MONTHS, full_year, hour_of, zone_of
from provisioning.expressions.values import Unfit

# A format of one letter stands for a longer one.
STANDARD = {
    "d": "M/d/yyyy",
    "D": "dddd, MMMM d, yyyy",
    "f": "dddd, MMMM d, yyyy h:mm tt",
    "F": "dddd, MMMM d, yyyy h:mm:ss tt",
    "g": "M/d/yyyy h:mm tt",
    "G": "M/d/yyyy h:mm:ss tt",
    "m": "MMMM d",
    "M": "MMMM d",
    "o": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "O": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "r": "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
    "R": "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
    "s": "yyyy-MM-ddTHH:mm:ss",
    "t": "h:mm tt",
    "T": "h:mm:ss tt",
    "u": "yyyy-MM-dd HH:mm:ss'Z'",
    "U": "dddd, MMMM d, yyyy h:mm:ss tt",
    "y": "MMMM yyyy",
    "Y": "MMMM yyyy",
}
PIECES = re.compile(
    r"(?P<field>y+|M+|d+|H+|h+|m+|s+|f+|\.?F+|t+|z+|K)"
    r"|'(?P<one>[^']*)'|\"(?P<two>[^\"]*)\"|\\(?P<bare>.)|(?P<percent>%(?=[^%]))|(?P<other>.)",
    re.DOTALL,
)
LEADING, TRAILING, INNER = "AllowLeadingWhite", "AllowTrailingWhite", "AllowInnerWhite"
STYLES = {
    "none": (),
    "allowleadingwhite": (LEADING,),
    "allowtrailingwhite": (TRAILING,),
    "allowinnerwhite": (INNER,),
    "allowwhitespaces": (LEADING, TRAILING, INNER),
    "nocurrentdatedefault": (),
    "adjusttouniversal": (),
    "assumelocal": (),
    "assumeuniversal": (),
    "roundtripkind": (),
}
MOST_DIGITS = 7
LONGEST = 200


def styles(names: str) -> frozenset[str]:
    """Which blanks may be ignored. The other styles say what a time without a zone means, and the zone here is UTC."""
    if not names.strip():
        return frozenset({LEADING, TRAILING})
    found: set[str] = set()
    for name in re.split(r"[,|]", names):
        known = STYLES.get(name.strip().removeprefix("DateTimeStyles.").lower())
        if known is None:
            raise Unfit(f"takes names of .NET's DateTimeStyles, not {name.strip()!r}")
        found.update(known)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A compiled format. `fields` are the format's parts as letters repeated; `parts` print a moment piece by piece."""

    text: str
    fields: tuple[str, ...]
    exact: re.Pattern[str]
    loose: re.Pattern[str]
    parts: tuple[Callable[[datetime], str], ...]

    def print(self, moment: datetime) -> str:
        return "".join([part(moment) for part in self.parts])

    def read(self, value: str, style: frozenset[str], today: date) -> datetime | None:
        """The moment that a text spells exactly in this format; in UTC when it names a zone. None when it does not."""
        if LEADING in style:
            value = value.lstrip()
        if TRAILING in style:
            value = value.rstrip()
        found = (self.loose if INNER in style else self.exact).fullmatch(value)
        return None if found is None else _moment(list(zip(self.fields, found.groups(), strict=True)), today)


def compile_format(written: str) -> DateFormat:
    if not written:
        raise Unfit("takes a date format and was given an empty one")
    if len(written) > LONGEST:
        raise Unfit(f"takes a date format of at most {LONGEST} characters")
    expanded = STANDARD.get(written, written)
    if len(written) == 1 and expanded == written:
        raise Unfit(f"does not know the date format {written!r}")
    pieces = [_piece(found) for found in PIECES.finditer(expanded)]
    fields = tuple(piece.field for piece in pieces if piece.field)
    rules = [f"({piece.rule})" if piece.field else piece.rule for piece in pieces]
    exact, loose = (re.compile(between.join(rules), re.IGNORECASE | re.ASCII) for between in ("", r"\s*"))
    return DateFormat(written, fields, exact, loose, tuple(piece.print for piece in pieces))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a format: a field, or ("") something literal."""

    field: str
    rule: str
    print: Callable[[datetime], str]


def _piece(found: re.Match[str]) -> Piece:
    if field := found["field"]:
        piece = _field(field)
        if piece is None:
            raise ExpressionError(f"{field} is too long for a date format", span=found.span())
        return piece
    if found["other"] in {"'", '"', "\\", "%"}:
        raise ExpressionError(f"the date format ends after {found['other']}", span=found.span())
    if found["other"] == "g":
        raise ExpressionError("eras (g) are not supported in a date format", span=found.span())
    literal = next((found[each] for each in ("one", "two", "bare", "other") if found[each] is not None), "")
    return Piece("", re.escape(literal), lambda _: literal)


DIGITS = r"(?>\d{1,2})"
NAMES = {
    "MMM": "|".join(each[:3] for each in MONTHS),
    "MMMM": "|".join(MONTHS),
    "ddd": "|".join(each[:3] for each in DAYS),
    "dddd": "|".join(DAYS),
}
NUMBERS: dict[str, Callable[[datetime], int]] = {
    "M": lambda moment: moment.month,
    "d": lambda moment: moment.day,
    "H": lambda moment: moment.hour,
    "h": lambda moment: moment.hour % 12 or 12,
    "m": lambda moment: moment.minute,
    "s": lambda moment: moment.second,
}


def _field(field: str) -> Piece | None:
    letter, size = field[-1], len(field)
    match letter:
        case "y":
            return _year(size)
        case "M" | "d" if size > 2:  # noqa: PLR2004
            return _name(letter * min(size, 4))
        case "f" | "F":
            return _fraction(field) if len(field.lstrip(".")) <= MOST_DIGITS else None
        case "t":
            rule = "[AP]" if size == 1 else "[AP]M"
            return Piece("t", rule, lambda moment: ("AM" if moment.hour < 12 else "PM")[: min(size, 2)])  # noqa: PLR2004
        case "z" | "K":
            return _zone(letter, min(size, 3))
    number = NUMBERS[letter]
    if size == 1:
        return Piece(letter, DIGITS, lambda moment: str(number(moment)))
    return Piece(letter, r"\d{2}", lambda moment: f"{number(moment):02}")


def _year(size: int) -> Piece:
    if size <= 2:  # noqa: PLR2004
        rule = DIGITS if size == 1 else r"\d{2}"
        return Piece("yy", rule, lambda moment: f"{moment.year % 100:0{size}}")
    return Piece("yyyy", rf"\d{{{size}}}", lambda moment: f"{moment.year:0{size}}")


def _name(field: str) -> Piece:
    names = MONTHS if field[0] == "M" else DAYS
    short = len(field) == 3  # noqa: PLR2004

    def name(moment: datetime) -> str:
        found = names[moment.month - 1 if names is MONTHS else moment.weekday()]
        return found[:3] if short else found

    return Piece(f"{field[0]}name", NAMES[field], name)


def _fraction(field: str) -> Piece:
    """`f` has exactly its digits. `F` has no closing zeros, and without digits no point before it."""
    size = len(field.lstrip("."))
    if field[-1] == "f":
        return Piece("fraction", rf"\d{{{size}}}", lambda moment: f"{moment.microsecond:06}0"[:size])
    point = "." if field[0] == "." else ""
    rule = rf"(?:\.\d{{1,{size}}})?" if point else rf"\d{{0,{size}}}"

    def fraction(moment: datetime) -> str:
        digits = f"{moment.microsecond:06}0"[:size].rstrip("0")
        return point + digits if digits else ""

    return Piece("fraction", rule, fraction)


def _zone(letter: str, size: int) -> Piece:
    """Every moment is in UTC when it is printed."""
    if letter == "K":
        return Piece("zone", r"Z|[+-]\d{2}:\d{2}|", lambda moment: "Z" if moment.tzinfo else "")
    rule = (r"[+-]\d{1,2}", r"[+-]\d{2}", r"[+-]\d{2}:?\d{2}")[size - 1]
    return Piece("zone", rule, lambda _: ("+0", "+00", "+00:00")[size - 1])


def _moment(pairs: list[tuple[str, str]], today: date) -> datetime | None:
    """A part that the format lacks is the first there is; without any part of a date, it is today."""
    found: dict[str, str] = {}
    for field, value in pairs:
        if found.setdefault(field, value) != value:
            return None
    hour = int(found.get("H", "0"))
    if "h" in found:
        half = hour_of(int(found["h"]), found.get("t", "A"))
        if half is None or ("H" in found and half != hour):
            return None
        hour = half
    zone = zone_of(found["zone"]) if found.get("zone") else None
    if found.get("zone") and zone is None:
        return None
    try:
        moment = datetime(
            *_day(found, today),
            hour,
            int(found.get("m", "0")),
            int(found.get("s", "0")),
            int((found.get("fraction", "").lstrip(".") + "000000")[:6]),
            tzinfo=zone,
        )
        moment = moment if zone is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    named = found.get("dname")
    return moment if named is None or DAYS[_weekday(moment, zone)][:3].lower() == named[:3].lower() else None


def _day(found: dict[str, str], today: date) -> tuple[int, int, int]:
    if not {"yyyy", "yy", "M", "Mname", "d"} & found.keys():
        return today.year, today.month, today.day
    year = int(found["yyyy"]) if "yyyy" in found else full_year(int(found["yy"])) if "yy" in found else today.year
    name = found.get("Mname")
    month = int(found.get("M", "1")) if name is None else _position(name)
    return year, month, int(found.get("d", "1"))


def _position(name: str) -> int:
    return next(at for at, each in enumerate(MONTHS, 1) if each[:3].lower() == name[:3].lower())


def _weekday(moment: datetime, zone: timezone | None) -> int:
    """The day of the week where the date was written, not in UTC."""
    return (moment if zone is None else moment.astimezone(zone)).weekday()
