"""`python -m tests.screenshots`: the pictures of the dashboard in the README, taken of an emulated company on a day on
which something is to be seen.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser import NARROW, WIDE, Browser, NoBrowser, Scheme, running_browser
from tests.dashboard_site import Site, site_of
from tests.served import ROOT

FOLDER = ROOT / "docs"
HEIGHT = 1000


def main() -> int:
    try:
        with (
            running_browser() as browser,
            tempfile.TemporaryDirectory(prefix="screenshots-") as folder,
            site_of(Path(folder), users=400, groups=8, REMOVAL_LIMIT="5") as site,
        ):
            live(site)
            for path in taken(browser, site):
                sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    except NoBrowser as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def live(site: Site) -> None:
    """A first load, and half a day after it."""
    site.clock.pace = 0.01
    site.directory.delete_user(site.person(next(name for name in site.people() if len(name) > 40)))
    site.cycle()
    names = site.accounts()
    titles = ("Analyst", "Engineer", "Director", "Porter")
    for number in range(16):
        for name in names[number * 9 : number * 9 + (number * 5) % 8]:
            site.directory.update_user(site.person(name), jobTitle=titles[number % 4])
        if number % 5 == 3:
            site.leave(names[-1 - number])
        site.cycle()
    site.directory.update_user(site.person(names[50]), department="Astronomy")
    site.leave(*names[200:208])
    site.cycle()
    for name in names[60:66]:
        site.directory.update_user(site.person(name), jobTitle="Head of Support")
    site.leave(names[70])
    site.clock.at -= 1500  # the next cycle is not due yet
    site.clock.pace = 0.0


def taken(browser: Browser, site: Site) -> list[Path]:
    shots: list[tuple[str, str, int, Scheme]] = [
        ("dashboard-overview.png", "/dashboard", WIDE, "light"),
        ("dashboard-plan.png", "/dashboard/plan", WIDE, "dark"),
        ("dashboard-log.png", "/dashboard/logs", NARROW, "light"),
    ]
    return [_take(browser, site, *shot) for shot in shots]


def _take(browser: Browser, site: Site, name: str, address: str, width: int, scheme: Scheme) -> Path:
    with browser.open(site.address, width=width, scheme=scheme) as window:
        page = window.page
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.goto(address)
        if address.endswith("plan"):
            page.get_by_role("button", name="See what the next cycle would do").click()
            page.get_by_text("As of").wait_for()
            page.get_by_role("link", name="Update").click()
            page.locator("details").first.evaluate("each => each.open = true")
        path = FOLDER / name
        page.screenshot(path=path)
        return path


if __name__ == "__main__":
    sys.exit(main())
