"""Notices by webhook, over real connections to a server on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import traceback

import httpx
import pytest

from provisioning.adapters.webhook import Webhook
from provisioning.errors import Throttled, Unauthorized, Unavailable
from provisioning.rules.notices import Notice, QuarantineLeft, RemovalsHeld
from tests.webhook_server import SECRET_PATH, webhook_server

KEY = "a key"
NOW = 1_800_000_000.0
NOTICE = Notice("0123abc", "job-1", "contoso", NOW, RemovalsHeld("plan-1", {"users": 5}, {"users": 3}, {"users": 60}))


@pytest.fixture
def server():
    with webhook_server() as found:
        yield found


def send(url, format_="json", secret=KEY, notice=NOTICE):
    async def whole() -> None:
        webhook = Webhook(url, format_, secret, now=lambda: NOW)
        try:
            await webhook.send(notice)
        finally:
            await webhook.aclose()

    asyncio.run(whole())


def test_teams_gets_an_adaptive_card_in_the_envelope_of_its_workflows(server):
    send(server.url, "teams")
    (posted,) = server.received
    assert posted.path == SECRET_PATH
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.body["type"] == "message"
    (attachment,) = posted.body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"][0]["text"] == "ServiceNow provisioning, contoso: 5 removals wait for your word"
    assert card["body"][0]["color"] == "Attention"
    assert any("run --approve plan-1" in block["text"] for block in card["body"])
    assert all(block["wrap"] for block in card["body"])


def test_slack_gets_a_text_and_blocks_without_characters_of_its_own_markup(server):
    server.status = 200
    send(server.url, "slack", notice=Notice("1", "a<b>&c", "contoso", NOW, QuarantineLeft("TooManyDeletes")))
    body = server.received[0].body
    assert body["text"] == "ServiceNow provisioning, contoso: the job has left quarantine"
    assert [block["type"] for block in body["blocks"]] == ["header", "section"]
    assert "Job a&lt;b&gt;&amp;c, instance contoso" in body["blocks"][1]["text"]["text"]


def test_our_own_format_is_signed_so_that_the_receiver_can_tell_who_sent_it_and_when(server):
    send(server.url)
    (posted,) = server.received
    assert posted.body["id"] == posted.headers["X-Provisioning-Notice"] == "0123abc"
    assert posted.body["event"] == "RemovalsHeld"
    assert posted.body["actionRequired"] is True
    assert posted.body["details"] == {
        "plan": "plan-1",
        "counts": {"users": 5},
        "allowed": {"users": 3},
        "managed": {"users": 60},
    }
    signed = posted.headers["X-Provisioning-Timestamp"].encode() + b"." + posted.content
    assert posted.headers["X-Provisioning-Timestamp"] == "1800000000"
    expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert posted.headers["X-Provisioning-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("format_", ["teams", "slack"])
def test_nothing_is_signed_where_nobody_checks_it(server, format_):
    send(server.url, format_)
    assert "X-Provisioning-Signature" not in server.received[0].headers


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_webhook_that_is_gone_is_told_with_the_setting_to_change(server, status):
    server.status = status
    with pytest.raises(Unauthorized, match=rf"\({status}\).*NOTIFY_WEBHOOK_URL"):
        send(server.url)


def test_a_pause_that_is_asked_for_goes_up(server):
    server.answers = [(429, {"Retry-After": "7"}), (429, {})]
    with pytest.raises(Throttled) as found:
        send(server.url)
    assert found.value.retry_after == 7
    with pytest.raises(Throttled) as found:
        send(server.url)
    assert found.value.retry_after == 60


def test_a_redirect_is_not_followed(server):
    server.answers = [(307, {"Location": server.url})]
    with pytest.raises(Unavailable, match="leads elsewhere"):
        send(server.url)
    assert len(server.received) == 1


def test_a_redirect_to_no_address_is_unavailable(server):
    server.answers = [(307, {"Location": "javascript:x"})]
    with pytest.raises(Unavailable):
        send(server.url)


@pytest.mark.parametrize(("status", "code"), [(400, "InternalError"), (500, "InternalServerError")])
def test_another_answer_names_its_status(server, status, code):
    server.status = status
    with pytest.raises(Unavailable, match=rf"answered {status}") as found:
        send(server.url)
    assert found.value.code == code


def _nobody_listens() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}{SECRET_PATH}"


def test_the_address_is_in_no_error_and_in_nothing_that_caused_it(server):
    told = []
    server.answers = [(307, {"Location": server.url}), *((status, {}) for status in (400, 404, 429, 500))]
    for url in [*[server.url] * 5, _nobody_listens()]:
        with pytest.raises(Unavailable) as found:
            send(url)
        told += [repr(found.value), *traceback.format_exception(found.value)]
    text = "".join(told)
    assert "127.0.0.1" in text
    assert "5ecret" not in text
    assert "s3cr3t" not in text


def test_a_server_that_does_not_answer_in_time_is_told_so():
    async def whole() -> None:
        def late(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("too late", request=request)

        webhook = Webhook("https://hooks.example/x", "slack", transport=httpx.MockTransport(late))
        with pytest.raises(Unavailable, match=r"hooks\.example did not answer in time") as found:
            await webhook.send(NOTICE)
        assert found.value.code == "Timeout"

    asyncio.run(whole())
