"""An instance of the emulator over HTTPS with the data that PySNC's own tests need, and PySNC's client connected to it:
fixtures for the tests that import them.
"""

from __future__ import annotations

import pytest

from tests.emulators.servicenow import Instance, seed_pysnc
from tests.emulators.servicenow.pysnc_clients import connecting
from tests.emulators.servicenow.serving import serving_https


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    instance = Instance()
    with serving_https(instance, tmp_path_factory.mktemp("https")) as address:
        yield instance, address


@pytest.fixture(autouse=True)
def instance(served):
    instance, _ = served
    instance.reset()
    seed_pysnc(instance)
    return instance


@pytest.fixture
def connect(served):
    with connecting(served[1]) as connect:
        yield connect


@pytest.fixture
def client(connect):
    return connect()


def queried(client, table, *conditions, fields=None, limit=None):
    record = client.GlideRecord(table)
    record.fields = fields
    record.limit = limit
    for condition in conditions:
        record.add_query(*condition)
    record.query()
    return record
