"""The keys that Entra publishes, read from a real server on this machine: remembered, read again when there is reason,
and never replaced by trust.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import httpx
import pytest

from provisioning.adapters.signing_keys import LONGEST, PAUSE, PAUSE_AFTER_FAILURE, REFRESH, SigningKeys
from provisioning.errors import Unavailable
from tests.entra import STRANGERS, TENANT, Entra, key_pair, published, serving


class Watched:
    """Keys of a tenant that is served, and a clock that is put on by hand. `reads` counts how often they were read."""

    def __init__(self, entra: Entra) -> None:
        self.entra = entra
        self.now = 1000.0
        self.keys = SigningKeys(entra.authority, TENANT, clock=lambda: self.now)

    @property
    def reads(self) -> int:
        return sum(path.endswith("/v2.0/.well-known/openid-configuration") for path in self.entra.asked)

    async def finds(self, key: str, *, version: str = "2.0", issuer: str | None = None) -> bool:
        found = await self.keys.find(self.entra.issuer(version) if issuer is None else issuer, key)
        return found is not None and found.public_numbers() == key_pair(key).public_key().public_numbers()


@pytest.fixture
def entra() -> Iterator[Entra]:
    found = Entra()
    with serving(found):
        yield found


def run(entra: Entra, story) -> None:
    async def whole() -> None:
        watched = Watched(entra)
        try:
            await story(watched)
        finally:
            await watched.keys.aclose()

    asyncio.run(whole())


def test_keys_are_read_once_for_both_versions_and_remembered(entra):
    async def story(watched: Watched) -> None:
        for _ in range(3):
            assert await watched.finds("first")
            assert await watched.finds("first", version="1.0")
        assert watched.reads == 1
        assert len(entra.asked) == 4

    run(entra, story)


def test_many_at_once_read_once(entra):
    async def story(watched: Watched) -> None:
        assert all(await asyncio.gather(*(watched.finds("first") for _ in range(20))))
        assert watched.reads == 1

    run(entra, story)


def test_a_key_that_was_added_is_found_at_once_and_one_that_nobody_has_costs_one_reading_a_while(entra):
    async def story(watched: Watched) -> None:
        assert await watched.finds("first")
        watched.now += PAUSE
        entra.keys = [published("first"), published("second")]
        assert await watched.finds("second")
        assert watched.reads == 2
        for _ in range(20):
            assert not await watched.finds("third")
            watched.now += 1
        assert watched.reads == 2
        watched.now += PAUSE
        assert not await watched.finds("third")
        assert watched.reads == 3

    run(entra, story)


def test_a_key_that_was_withdrawn_is_forgotten_within_the_hour(entra):
    async def story(watched: Watched) -> None:
        assert await watched.finds("first")
        entra.keys = [published("second")]
        watched.now += REFRESH + 1
        assert not await watched.finds("first")
        assert await watched.finds("second")
        assert watched.reads == 2

    run(entra, story)


def test_unreachable_keys_open_nothing_and_are_not_asked_for_at_every_request(entra):
    async def story(watched: Watched) -> None:
        entra.down = 503
        for _ in range(5):
            with pytest.raises(Unavailable, match="cannot be read"):
                await watched.finds("first")
        assert watched.reads == 1
        entra.down = 0
        watched.now += PAUSE_AFTER_FAILURE
        assert await watched.finds("first")

    run(entra, story)


def test_nobody_listening_is_unreachable_too():
    async def story(watched: Watched) -> None:
        with pytest.raises(Unavailable):
            await watched.finds("first")

    gone = Entra()
    with serving(gone):
        pass
    run(gone, story)


def test_known_keys_outlive_an_outage_of_a_day_and_no_longer(entra):
    async def story(watched: Watched) -> None:
        assert await watched.finds("first")
        entra.down = 500
        watched.now += LONGEST - 10
        assert await watched.finds("first")
        with pytest.raises(Unavailable):  # whether this one is published meanwhile cannot be told
            await watched.finds("second")
        watched.now += 20
        with pytest.raises(Unavailable):
            await watched.finds("first")

    run(entra, story)


def test_an_issuer_that_does_not_speak_for_the_tenant_has_no_keys(entra):
    async def story(watched: Watched) -> None:
        stranger = Entra(tenant_id=STRANGERS, authority=entra.authority)
        assert not await watched.finds("first", issuer=stranger.issuer())
        assert not await watched.finds("first", issuer="")

    run(entra, story)


def ec_key() -> dict[str, str]:
    return {"kty": "EC", "crv": "P-256", "kid": "first", "x": "AA", "y": "AA"}


def private_key() -> dict[str, str]:
    return {**published("first"), "d": "AQAB"}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{**published("first"), "use": "enc"}],
        [{**published("first"), "kid": ""}],
        [{**published("first"), "n": "!"}],
        [{**published("first"), "n": 7}],
        [{"kty": "oct", "kid": "first", "k": base64.b64encode(b"secret").decode()}],
        [ec_key()],
        [private_key()],
        [{**published("short"), "kid": "first"}],
        "first",
        [None, "first", 7],
    ],
)
def test_what_is_no_rsa_key_for_signatures_of_2048_bits_is_no_key(entra, keys):
    async def story(watched: Watched) -> None:
        with pytest.raises(Unavailable):
            await watched.finds("first")
        entra.keys = [*(keys if isinstance(keys, list) else []), published("second")]
        watched.now += PAUSE_AFTER_FAILURE
        assert await watched.finds("second")
        assert not await watched.finds("first")

    entra.keys = keys
    run(entra, story)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://login.example/{tenantid}/v2.0"},
        {"issuer": f"https://login.example/{STRANGERS}/v2.0"},
        {"issuer": f"https://{TENANT}.evil.example/v2.0"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/keys"},
        {"jwks_uri": "https://"},
        {"jwks_uri": "http://127.0.0.1:1/keys"},
        {"jwks_uri": "http://[/keys"},
    ],
)
def test_metadata_of_another_tenant_or_that_lead_nowhere_open_nothing(entra, metadata):
    async def story(watched: Watched) -> None:
        with pytest.raises(Unavailable):
            await watched.finds("first")

    entra.metadata = metadata
    run(entra, story)


def test_keys_that_would_come_unencrypted_are_not_read():
    entra = Entra(metadata={"jwks_uri": f"http://login.example/{TENANT}/discovery/2.0/keys"})

    async def finds() -> bool:
        keys = SigningKeys(entra.authority, TENANT, transport=httpx.ASGITransport(entra))
        return await keys.find(entra.issuer(), "first") is not None

    with pytest.raises(Unavailable):
        asyncio.run(finds())
    entra.metadata = {}
    assert asyncio.run(finds())
