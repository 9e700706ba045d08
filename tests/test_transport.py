"""What is sent again and after which pause, and that a dry run lets nothing through that writes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.adapters.http import ReadOnlyTransport, RetryTransport, WholeTransport, is_idempotent, retry_after
from provisioning.errors import WriteForbidden

URL = "https://remote.example/api"
BROKEN = httpx.ReadError("the connection broke")


class Body(httpx.AsyncByteStream):
    """An answer's body that knows whether it was given back."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"answer"

    async def aclose(self) -> None:
        self.closed = True


class Remote(httpx.AsyncBaseTransport):
    """The other side: answers with these statuses and headers in turn, or fails, and remembers what it was sent."""

    def __init__(self, *answers: int | tuple[int, dict[str, str]] | Exception) -> None:
        self._answers = iter(answers)
        self.requests: list[tuple[str, bytes]] = []
        self.bodies: list[Body] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, await request.aread()))
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        self.bodies.append(Body())
        return httpx.Response(status, headers=headers, stream=self.bodies[-1])

    async def aclose(self) -> None:
        self.closed = True


def ask(remote: Remote, method: str = "GET", **options) -> tuple[httpx.Response | Exception, list[float]]:
    """What a client gets to see of it, and how long it slept in between."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def talk() -> httpx.Response:
        transport = RetryTransport(remote, sleep=sleep, **{"jitter": lambda: 0.0, **options})
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, URL, content=b"question")

    try:
        return asyncio.run(talk()), slept
    except httpx.TransportError as error:
        return error, slept


# --- Sending again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 301, 400, 401, 403, 404, 409, 410, 501])
def test_an_answer_is_an_answer(status):
    remote = Remote(status)
    response, slept = ask(remote)
    assert (response.status_code, slept, len(remote.requests)) == (status, [], 1)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 509])
def test_what_passes_is_asked_again_after_growing_pauses(status):
    remote = Remote(status, status, 200)
    response, slept = ask(remote)
    assert (response.status_code, slept) == (200, [0.5, 1.0])
    assert remote.requests == [("GET", b"question")] * 3


def test_a_broken_connection_is_tried_again():
    response, slept = ask(Remote(BROKEN, httpx.ConnectTimeout("slow"), 200))
    assert (response.status_code, slept) == (200, [0.5, 1.0])


def test_after_the_last_attempt_the_answer_goes_up():
    remote = Remote(503, 503, 503, 503, 200)
    response, slept = ask(remote)
    assert (response.status_code, slept, len(remote.requests)) == (503, [0.5, 1.0, 2.0], 4)


def test_after_the_last_attempt_the_error_goes_up():
    response, slept = ask(Remote(BROKEN, BROKEN), attempts=2)
    assert (response, slept) == (BROKEN, [0.5])


def test_one_attempt_is_one_attempt():
    remote = Remote(503, 200)
    response, slept = ask(remote, attempts=1)
    assert (response.status_code, slept, len(remote.requests)) == (503, [], 1)


@pytest.mark.parametrize("answer", [500, 502, 503, 504, BROKEN])
def test_a_post_whose_fate_is_unknown_is_never_sent_again(answer):
    remote = Remote(answer, 200)
    ask(remote, "POST")
    assert len(remote.requests) == 1


def test_a_post_that_was_throttled_was_not_carried_out_and_is_sent_again():
    remote = Remote(429, 201)
    response, _ = ask(remote, "POST")
    assert (response.status_code, remote.requests) == (201, [("POST", b"question")] * 2)


def test_who_knows_better_says_what_may_be_sent_again():
    remote = Remote(503, BROKEN, 200)
    response, _ = ask(remote, "POST", may_resend=lambda request: request.url.path == "/api")
    assert response.status_code == 200
    remote = Remote(503)
    response, _ = ask(remote, "GET", may_resend=lambda _: False)
    assert response.status_code == 503


@pytest.mark.parametrize(
    ("method", "idempotent"),
    [
        ("GET", True),
        ("HEAD", True),
        ("OPTIONS", True),
        ("PUT", True),
        ("PATCH", True),
        ("DELETE", True),
        ("POST", False),
    ],
)
def test_a_repeat_does_no_harm_but_for_a_post(method, idempotent):
    assert is_idempotent(httpx.Request(method, URL)) is idempotent


def test_answers_that_nobody_gets_to_see_are_given_back():
    remote = Remote(503, 429, 200)
    response, _ = ask(remote)
    assert response.content == b"answer"
    assert [body.closed for body in remote.bodies] == [True, True, True]


def test_a_mistake_of_ours_is_no_broken_connection():
    remote = Remote(ValueError("a defect"), 200)
    with pytest.raises(ValueError, match="a defect"):
        ask(remote)


@given(
    st.lists(st.sampled_from([200, 404, 429, 500, 503, BROKEN]), min_size=6, max_size=6),
    st.sampled_from(["GET", "POST", "PATCH"]),
    st.integers(1, 5),
)
def test_a_request_is_sent_until_it_is_answered_and_never_once_more(answers, method, attempts):
    remote = Remote(*answers)
    result, slept = ask(remote, method, attempts=attempts)
    passing = {429, 500, 503, BROKEN} if method != "POST" else {429}
    asked = min(attempts, 1 + sum(1 for _ in itertools.takewhile(passing.__contains__, answers)))
    assert len(remote.requests) == asked
    assert len(slept) == asked - 1
    last = answers[asked - 1]
    assert result is last if last is BROKEN else result.status_code == last


# --- Pauses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("header", "pause"), [("7", 7.0), ("2.128", 2.128), ("0", 0.0), ("60", 60.0), ("soon", 0.5)])
def test_the_pause_is_as_long_as_the_other_side_asks_for(header, pause):
    response, slept = ask(Remote((429, {"Retry-After": header}), 200))
    assert (response.status_code, slept) == (200, [pause])


def test_a_server_error_may_ask_for_a_pause_too():
    _, slept = ask(Remote((503, {"Retry-After": "9"}), 200))
    assert slept == [9.0]


@pytest.mark.parametrize("seconds", ["61", "3600", "1e300"])
def test_a_pause_that_is_too_long_goes_up_at_once(seconds):
    remote = Remote((429, {"Retry-After": seconds}), 200)
    response, slept = ask(remote)
    assert (response.status_code, slept, response.content) == (429, [], b"answer")
    assert ask(Remote((429, {"Retry-After": "3"}), 200), longest_wait=2.0)[1] == []


@pytest.mark.parametrize(
    ("jitter", "pauses"), [(0.0, [0.5, 1.0, 2.0]), (0.5, [0.625, 1.25, 2.5]), (1.0, [0.75, 1.5, 3.0])]
)
def test_workers_do_not_return_together(jitter, pauses):
    _, slept = ask(Remote(503, 503, 503, 200), jitter=lambda: jitter)
    assert slept == pauses


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("2.128", 2.128),
        ("-5", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 10.0),
        ("Wed, 21 Oct 2015 09:28:00 +0200", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header, seconds):
    response = httpx.Response(429, headers={} if header is None else {"Retry-After": header})
    assert retry_after(response, now=lambda: 1445412470.0) == seconds


@pytest.mark.parametrize("skew", [-7200, 0, 7200])
def test_a_date_to_come_back_is_measured_by_the_clock_of_the_answer_that_names_it(skew):
    there = 1445412480 + skew
    headers = {"Date": formatdate(there, usegmt=True), "Retry-After": formatdate(there + 90, usegmt=True)}
    assert retry_after(httpx.Response(429, headers=headers), now=lambda: 1445412480.0) == 90.0


@pytest.mark.parametrize("broken", [httpx.ReadError("broke"), httpx.DecodingError("no gzip")])
def test_an_answer_that_breaks_in_the_middle_is_asked_for_again_where_that_is_safe(broken):
    """Its status had come already: only who reads it to its end learns that it is none."""

    class Breaking(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"answ"
            raise broken

    class Server(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.asked = 0

        async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
            self.asked += 1
            return httpx.Response(200, stream=Breaking() if self.asked == 1 else Body())

    async def talk(server: Server, method: str) -> httpx.Response:
        transport = RetryTransport(WholeTransport(server), sleep=lambda _: asyncio.sleep(0))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, URL)

    server = Server()
    assert asyncio.run(talk(server, "GET")).content == b"answer"
    server = Server()
    with pytest.raises(httpx.TransportError):
        asyncio.run(talk(server, "POST"))
    assert server.asked == 1


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])) | st.from_regex(r"\w+, \d+ \w+ \d+ \d+:\d+ GMT")
)
def test_whatever_the_header_says_the_pause_is_none_or_one_that_ends(header):
    seconds = retry_after(httpx.Response(429, headers=[(b"Retry-After", header.encode())]))
    assert seconds is None or 0.0 <= seconds < float("inf")


# --- Dry runs -------------------------------------------------------------------------------------


def forbid(remote: Remote, method: str) -> httpx.Response:
    async def talk() -> httpx.Response:
        transport = ReadOnlyTransport(remote, reads=lambda request: request.method == "GET")
        async with httpx.AsyncClient(transport=RetryTransport(transport)) as client:
            return await client.request(method, URL)

    return asyncio.run(talk())


def test_a_dry_run_reads():
    assert forbid(Remote(200), "GET").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_dry_run_sends_nothing_that_writes_and_says_what_it_was(method):
    remote = Remote(200)
    with pytest.raises(WriteForbidden, match=f"{method} /api"):
        forbid(remote, method)
    assert remote.requests == []


def test_closing_the_client_closes_the_connection_below():
    remote = Remote(200)
    forbid(remote, "GET")
    assert remote.closed


@pytest.mark.parametrize("location", ["javascript:x", "http:x", "http://127.0.0.1:0x50/"])
def test_a_location_of_which_no_request_can_be_made_is_taken_away(location):
    class Server(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002 - httpx's signature
            return httpx.Response(302, headers={"Location": location})

    async def talk() -> httpx.Response:
        async with httpx.AsyncClient(transport=WholeTransport(Server())) as client:
            return await client.get(URL)

    response = asyncio.run(talk())
    assert (response.status_code, response.has_redirect_location) == (302, False)
