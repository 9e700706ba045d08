"""Clients of the PySNC library for an instance that is served over HTTPS. For tests; the emulator itself knows no
client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from pysnc import ServiceNowClient

from tests.emulators.servicenow.serving import Address


@contextlib.contextmanager
def connecting(address: Address) -> Iterator[Callable[..., ServiceNowClient]]:
    """Opens clients, by default as the administrator, and closes them all at the end."""
    with contextlib.ExitStack() as opened:

        def connect(auth: Any = ("admin", "admin")) -> ServiceNowClient:
            client = ServiceNowClient(address.url, auth, verify=str(address.certificate))
            client.session.trust_env = False  # neither proxies nor other certificates
            opened.callback(client.session.close)
            return client

        yield connect
