"""Which part of the emulator a path belongs to, and under which name the counts and faults know it. Knows the paths of
the real instance and nothing of what lies behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Route:
    part: Literal["table", "batch", "token", "meta", "unknown"]
    target: str  # as counts and faults say it: a table's name, "batch", "token", "meta", or the path
    table: str = ""
    sys_id: str = ""
    version: str = ""


TOKEN = Route("token", "token")
BATCH = Route("batch", "batch")


def route(path: str) -> Route:
    match path.strip("/").split("/"):
        case ["api", "now", "v1" | "v2" as version, *rest]:
            return _under_now(path, rest, version)
        case ["api", "now", *rest]:
            return _under_now(path, rest, "")
        case ["oauth_token.do"]:
            return TOKEN
    return Route("unknown", path)


def _under_now(path: str, rest: list[str], version: str) -> Route:
    match rest:
        case ["table", table]:
            return Route("table", table, table, "", version)
        case ["table", table, sys_id]:
            return Route("table", table, table, sys_id, version)
        case ["batch"] if version != "v2":
            return BATCH
        case ["ui", "meta", table] if not version:
            return Route("meta", "meta", table)
    return Route("unknown", path)
