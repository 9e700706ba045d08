"""Fixtures that all tests may use. What only one file needs stands in that file.

A browser is somebody's own business: where there is none, the tests that need one are skipped, which the summary shows.
With SKIPS=fail, as in CI, a run in which anything was skipped fails.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator

import pytest

from provisioning.adapters.overlay import OverlayStore
from provisioning.adapters.sqlite import SqliteStore
from provisioning.adapters.tables import TablesStore
from tests.azurite import NotInstalled, running_azurite
from tests.blocking_store import BlockingStore
from tests.browser import Browser, NoBrowser, running_browser


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of an Azurite that runs for this session. Without it, tests fail; they are not skipped."""
    try:
        with running_azurite() as connection_string:
            yield connection_string
    except NotInstalled as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def sqlite_store(runner, tmp_path):
    with BlockingStore(SqliteStore(tmp_path / "state.db"), runner) as store:
        yield store


@pytest.fixture
def overlay_store(runner, tmp_path):
    base, scratch = SqliteStore(tmp_path / "base.db"), SqliteStore(tmp_path / "scratch.db")
    with BlockingStore(OverlayStore(base, scratch), runner) as store:
        yield store


@pytest.fixture
def tables_store(runner, azurite):
    # Tables of its own for each test: they are made when first needed, and Azurite slows down with a table's size.
    store = TablesStore.from_connection_string(azurite, prefix=f"t{secrets.token_hex(8)}")
    with BlockingStore(store, runner) as blocking:
        yield blocking


@pytest.fixture(params=["sqlite", "overlay", "tables"])
def store(request) -> BlockingStore:
    """Each state store in turn: what holds for one has to hold for all."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium that runs for this session."""
    try:
        with running_browser() as found:
            yield found
    except NoBrowser as error:
        pytest.skip(str(error))


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("SKIPS") == "fail" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
