"""Notices by mail, over Graph's own session to the Graph emulator."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from provisioning.adapters.graph import GraphSession, OnlyReads, StaticToken
from provisioning.adapters.http import ReadOnlyTransport
from provisioning.adapters.mail import Mail
from provisioning.errors import Throttled, Unauthorized, Unavailable, WriteForbidden
from provisioning.rules.notices import Notice, QuarantineLeft, RemovalsHeld
from tests.emulators import graph
from tests.emulators.graph.behaviour import LEAST_PERMISSIONS, Fail, ResetConnection, Throttle

ROOT = "http://127.0.0.1/v1.0"
SENDER = "no'reply#1@contoso.example"
NOTICE = Notice("0123abc", "job-1", "contoso.service-now.com", 1.8e9, RemovalsHeld("p", {"users": 5}, {}, {}))
KIND = "POST /users/{id}/sendMail"


@pytest.fixture
def tenant():
    found = graph.Tenant(seed=1)
    found.add_user(userPrincipalName=SENDER, displayName="Provisioning", mail=SENDER)
    found.add_user(userPrincipalName="nobox@contoso.example", displayName="No mailbox")
    found.behaviour.permissions = LEAST_PERMISSIONS | {"Mail.Send"}
    return found


def send(tenant, sender=SENDER, notice=NOTICE, to=("ops@contoso.example", "boss@contoso.example"), *, only_reads=False):
    async def whole() -> list[float]:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        way = httpx.ASGITransport(graph.create_app(tenant))
        way = ReadOnlyTransport(way, reads=OnlyReads(ROOT)) if only_reads else way
        session = GraphSession(ROOT, StaticToken(graph.ACCESS_TOKEN), transport=way, sleep=sleep)
        try:
            await Mail(session, sender, to).send(notice)
        finally:
            await session.aclose()
        return slept

    return asyncio.run(whole())


def test_one_mail_goes_to_everybody_with_the_notices_id_and_is_kept_in_no_folder(tenant):
    send(tenant)
    (sent,) = tenant.sent_mail
    assert sent["from"] == tenant.user(SENDER).id
    assert sent["to"] == ["ops@contoso.example", "boss@contoso.example"]
    message = sent["message"]
    assert message["subject"] == "ServiceNow provisioning, contoso.service-now.com: 5 removals wait for your word"
    assert message["body"]["contentType"] == "Text"
    assert "run --approve p" in message["body"]["content"]
    assert message["importance"] == "high"
    assert message["internetMessageHeaders"] == [{"name": "x-provisioning-notice", "value": "0123abc"}]


def test_good_news_are_not_important(tenant):
    send(tenant, notice=Notice("1", "job", "contoso", 1.8e9, QuarantineLeft("TooManyDeletes")))
    assert tenant.sent_mail[0]["message"]["importance"] == "normal"


def test_without_the_permission_the_error_names_it_and_no_address(tenant):
    tenant.behaviour.permissions = LEAST_PERMISSIONS
    with pytest.raises(
        Unauthorized, match=r"send mail as NOTIFY_MAIL_FROM \(403 ErrorAccessDenied.*Mail\.Send"
    ) as found:
        send(tenant)
    assert found.value.code == "InsufficientRights"
    assert "@" not in str(found.value)
    assert tenant.sent_mail == []


@pytest.mark.parametrize("sender", ["nobody@contoso.example", "nobox@contoso.example"])
def test_a_sender_without_a_mailbox_is_told_by_the_name_of_the_setting(tenant, sender):
    with pytest.raises(Unavailable, match=r"404 .*NOTIFY_MAIL_FROM is no mailbox") as found:
        send(tenant, sender)
    assert "@" not in str(found.value)


def test_recipients_that_graph_does_not_take_are_told_by_the_name_of_the_setting(tenant):
    with pytest.raises(Unavailable, match=r"400 ErrorInvalidRecipients.*NOTIFY_MAIL_TO"):
        send(tenant, to=("nobody",))


def test_a_mail_is_sent_again_after_429_as_graph_asks(tenant):
    tenant.behaviour.faults.add(Throttle("2.128"), KIND)
    assert send(tenant) == [2.128]
    assert len(tenant.sent_mail) == 1


def test_a_long_pause_goes_up(tenant):
    tenant.behaviour.faults.add(Throttle("900"), KIND)
    with pytest.raises(Throttled) as found:
        send(tenant)
    assert found.value.retry_after == 900


@pytest.mark.parametrize("effect", [Fail(503), Fail(504), ResetConnection()])
def test_a_mail_whose_answer_is_no_answer_is_not_sent_twice_at_once(tenant, effect):
    tenant.behaviour.faults.add(effect, KIND)
    with pytest.raises(Unavailable):
        send(tenant)
    assert tenant.counts[KIND] == 1


def test_where_only_reads_are_allowed_no_mail_goes_out(tenant):
    with pytest.raises(WriteForbidden):
        send(tenant, only_reads=True)
    assert tenant.counts[KIND] == 0


def test_the_emulators_control_api_shows_what_was_sent(tenant):
    send(tenant)

    async def look() -> tuple[int, int]:
        way = httpx.ASGITransport(graph.create_app(tenant))
        async with httpx.AsyncClient(transport=way, base_url="http://127.0.0.1") as client:
            before = (await client.get("/_emulator/mail")).json()
            await client.delete("/_emulator/mail")
            return len(before), len((await client.get("/_emulator/mail")).json())

    assert asyncio.run(look()) == (1, 0)
