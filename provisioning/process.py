"""What a process that serves requests opens when it is first needed and keeps until it ends. Knows nothing of who asks.

Importing it costs nothing: the adapters come with the app, when one is opened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from provisioning.config import Settings

if TYPE_CHECKING:
    from provisioning.app import App

Opening = Callable[[], Awaitable["App"]]


async def open_from_environment() -> App:
    from provisioning.app import open_app  # noqa: PLC0415 - health and indexing do without the adapters

    return await open_app(Settings.load(os.environ))


class Process:
    """The app: anew when another schema is in force. The one before stays open for whoever is still at work with it."""

    def __init__(self, opening: Opening = open_from_environment) -> None:
        self.use(opening)

    def use(self, opening: Opening) -> None:
        """For a process that opens its app itself."""
        self._open = opening
        self._opened: list[App] = []
        self._opening = asyncio.Lock()

    async def app(self) -> App:
        """Raises `ConfigError`: at each call, so that each answer says what is wrong."""
        async with self._opening:
            if not self._opened or not await self._opened[-1].is_current():
                self._opened.append(await self._open())
            return self._opened[-1]

    async def close(self) -> None:
        opened, self._opened = self._opened, []
        for each in opened:
            await each.close()
