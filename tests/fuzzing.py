"""How much fuzz tests try, and how an answer of the other side is spoilt on its way: it is cut off, replaced, or its
JSON has places that hold something else than they should.

What no reader could notice is never made: a list that is shorter than it was, another id, a switch that is off.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Collection, Iterator
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

LONG = os.environ.get("FUZZ") == "long"
"""`make test` tries the same few examples each time; FUZZ=long tries many more, and others each time."""
TIMES = 50

SEEDS = st.integers(0, 2**32)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 7, 10**30, -(10**400), 1.5, 1e308, float("inf"), float("nan")),
    *("", " ", "x", "\x00", "\ud800", "\u202e", "x" * 5_000, "-1", "1e999", "javascript:x", "NULL", "2026-13-45T99:99"),
    *([None], [[]], [1], ["x"], [{}], {}, {"id": None}, {"value": {"value": None}}, {"": ""}),
)


def trying(examples: int) -> settings:
    return settings(
        max_examples=examples * (TIMES if LONG else 1),
        derandomize=not LONG,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a smaller seed is no smaller example
        suppress_health_check=list(HealthCheck),
    )


def spoilt(document: Any, chance: random.Random, *, sure: Collection[str] = (), odd: tuple[Any, ...] = ODD) -> Any:
    """A copy in which one to three places hold something else, or are not there. A place whose name is in `sure` may
    lack its value, or hold one of another kind, but no other text.
    """
    document = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(document))
        if not places:
            return document
        # Few places are near the root, and what they hold decides about all of the others.
        parent, name = chance.choice(places if chance.random() < 0.7 else places[:12])
        value = parent[name]
        if isinstance(parent, dict) and chance.random() < 0.25:
            del parent[name]
            continue
        other = _other(value, chance, odd)
        known = name in sure and isinstance(value, str)
        while known and isinstance(other, str) and other.strip():
            other = _other(value, chance, odd)
        parent[name] = other
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document, the outer ones first."""
    layer = [document]
    while layer:
        deeper = []
        for each in layer:
            if isinstance(each, dict | list):
                names = list(each) if isinstance(each, dict) else range(len(each))
                yield from ((each, name) for name in names)
                deeper += [each[name] for name in names]
        layer = deeper


def _other(value: Any, chance: random.Random, odd: tuple[Any, ...]) -> Any:
    match chance.randrange(4):
        case 0:
            return [value]
        case 1:
            return {"value": value}
        case 2 if isinstance(value, int | float):
            return str(value)
        case _:
            return copy.deepcopy(chance.choice(odd))


def written(document: Any) -> bytes:
    """As JSON. Python writes and reads what is none: NaN, halves of characters, numbers without an end."""
    return json.dumps(document).encode()


def broken(content: bytes, chance: random.Random) -> bytes:
    """Bytes that are no JSON, or not the JSON that they were."""
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        (
            content[:at],
            content[:at] + b"\xff\xfe" + content[at:],
            content[:at] + b"\x00" + content[at:],
            content[at:],
            b"\xef\xbb\xbf" + content,
            content + content,
            b"<html><title>Sign in</title></html>",
            b"",
            b"null",
            b"[]",
            b"{}",
            b"9" * 10_000,
            b"[" * 200_000,
            b'{"value":' * 200_000,
            content.decode("utf-8", "replace").encode("utf-16"),
        )
    )


class Spoiling(httpx.AsyncBaseTransport):
    """Before the emulator of the other side: answers from the request `first` on, `times` of them, go through `spoil`.
    No request may go to another host.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        spoil: Callable[[httpx.Request, httpx.Response], httpx.Response],
        first: int,
        times: int = 1,
    ) -> None:
        self._inner = inner
        self._spoil = spoil
        self._spoiling = range(first, first + times)
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "127.0.0.1", f"a request to {request.url.host!r}, with {list(request.headers)}"
        number, self.asked = self.asked, self.asked + 1
        response = await self._inner.handle_async_request(request)
        if number not in self._spoiling:
            return response
        await response.aread()
        return self._spoil(request, response)

    async def aclose(self) -> None:
        await self._inner.aclose()


def answer(response: httpx.Response, content: bytes, *, status: int = 0, **headers: str) -> httpx.Response:
    """The same answer with another content. Headers are sent as bytes, whatever they hold."""
    kept = {
        name: value
        for name, value in response.headers.items()
        if name.lower() not in {"content-length", "content-encoding", "transfer-encoding"}
    }
    kept |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in kept.items()]
    return httpx.Response(status or response.status_code, headers=raw, content=content)
