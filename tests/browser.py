"""A real browser for tests: Chromium as the system has it, driven by Playwright, whose own browsers are never
downloaded; and axe, which knows what makes a page hard to use.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-quic", "--no-first-run", "--disable-gpu"),
)
WIDE, NARROW = 1440, 390
Scheme = Literal["light", "dark"]


class NoBrowser(RuntimeError):
    """There is no Chromium on this machine."""


@dataclass
class Watched:
    """A page, and what went wrong on it without anybody noticing: errors of scripts, refused styles, other origins."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """What the browser itself may say, however late: parts of it."""

    def violations(self) -> list[str]:
        """What axe finds, in words."""
        source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.page.evaluate(source)
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]

    def is_too_wide(self) -> bool:
        """Whether one must scroll sideways to see all of it."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@dataclass
class Browser:
    chromium: Chromium

    @contextmanager
    def open(
        self, address: str, *, width: int = WIDE, scheme: Scheme = "light", scripts: bool = True
    ) -> Iterator[Watched]:
        """A fresh window; at its end everything must have been quiet."""
        context = self.chromium.new_context(
            base_url=address,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,
            locale="en-GB",
            timezone_id="UTC",
        )
        try:
            watched = Watched(context.new_page())
            _watch(context, watched, address)
            yield watched
            loud = [text for text in watched.complaints if not any(part in text for part in watched.expected)]
            assert not loud, loud
        finally:
            context.close()


def _watch(context: BrowserContext, watched: Watched, address: str) -> None:
    page, told = watched.page, watched.complaints
    page.on("pageerror", lambda error: told.append(f"script: {error}"))
    page.on("console", lambda said: told.append(said.text) if said.type in {"error", "warning"} else None)
    context.on("request", lambda asked: None if asked.url.startswith(f"{address}/") else told.append(asked.url))


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Raises `NoBrowser`."""
    path = find_chromium()
    if path is None:
        raise NoBrowser("no Chromium on this machine: install Debian's package chromium to see the pages tested")
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*QUIET, *root])
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
