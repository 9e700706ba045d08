"""The dashboard in a real browser: each page at two widths and in two schemes, by keyboard and for a screen reader, and
each thing that a person can order there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from provisioning.engine import control
from tests.browser import NARROW, WIDE, Browser
from tests.dashboard_site import Site, site_of
from tests.emulators import servicenow

APPROVE, REJECT = "Approve: carry out exactly this", "Reject: leave them as they are"
LONGEST = 40
"""Characters that ServiceNow keeps of a user name; one of the seeded people has more."""
EVIL = "<script>document.title='stolen'</script>"
LONG = "Wolfeschlegelsteinhausenbergerdorff" * 3


@pytest.fixture(scope="module")
def busy(tmp_path_factory) -> Iterator[Site]:
    """A site on which everything is to be seen: a first load and some days, failures, references that wait, people with
    names that mean harm, and removals that the guard holds. Only looked at.
    """
    with site_of(tmp_path_factory.mktemp("busy"), users=60, groups=4, REMOVAL_LIMIT="2") as site:
        site.cycle()
        names = site.accounts()
        site.directory.update_user(site.person(names[0]), displayName=EVIL, surname=EVIL)
        site.directory.update_user(site.person(names[1]), department="Astronomy", displayName=LONG)
        site.cycle()
        site.leave(*names[2:7])
        site.cycle()
        site.cycle(later=0)
        yield site


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    with site_of(tmp_path, users=15, groups=2, REMOVAL_LIMIT="2") as found:
        found.leave(*[name for name in found.people() if len(name) > LONGEST])
        yield found


def held(site: Site) -> list[str]:
    """More leave than may; answers who."""
    site.cycle()
    leavers = site.accounts()[:4]
    site.leave(*leavers)
    site.cycle()
    return leavers


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


PAGES = {
    "overview": "/dashboard",
    "plan": "/dashboard/plan",
    "plan, held": "/dashboard/plan?action=held",
    "log": "/dashboard/logs",
    "log, searched": "/dashboard/logs?status=failure",
    "log, nothing found": "/dashboard/logs?who=nobody",
    "error": "/dashboard/plan?action=nonsense",
}


# --- what holds for every page ------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_axe_finds_nothing_wrong_with_it(browser: Browser, busy: Site, name, width, scheme):
    with browser.open(busy.address, width=width, scheme=scheme) as window:
        window.expected += ["a status of 400"] if name == "error" else []
        window.page.goto(PAGES[name])
        assert not window.is_too_wide()
        assert window.violations() == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_an_entry_of_the_log_fits_and_axe_finds_nothing_wrong_with_it(browser: Browser, busy: Site, width):
    with browser.open(busy.address, width=width) as window:
        window.page.goto("/dashboard/logs")
        window.page.locator("ol.entries a").first.click()
        window.page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        assert not window.is_too_wide()
        assert window.violations() == []


def test_the_two_schemes_are_two(browser: Browser, busy: Site):
    grounds = set()
    for scheme in ("light", "dark"):
        with browser.open(busy.address, scheme=scheme) as window:
            window.page.goto("/dashboard")
            grounds.add(window.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_a_name_that_is_a_script_is_shown_and_not_run(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        window.page.goto("/dashboard/logs?action=update")
        expect(window.page.get_by_text(EVIL).first).to_be_visible()
        window.page.get_by_role("link", name=re.compile("last_name")).first.click()
        expect(window.page.get_by_role("cell", name=EVIL)).to_be_visible()
        assert window.page.title() != "stolen"
        assert window.page.locator("main script").count() == 0


def test_every_page_is_reached_and_used_by_keyboard_alone(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto("/dashboard")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Run a cycle now")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.goto("/dashboard")
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.textContent.trim()"))
        assert {"Overview", "Plan", "Logs", APPROVE, REJECT} <= reached


def test_the_pages_say_everything_without_scripts(browser: Browser, busy: Site):
    with browser.open(busy.address, scripts=False) as window:
        window.page.goto("/dashboard")
        assert "wait for your word" in heading(window.page)
        window.page.get_by_role("link", name="Logs", exact=True).click()
        assert window.page.locator("ol.entries > li").count() == 50


def test_the_page_that_is_open_is_marked_in_the_navigation(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        for name in ("Overview", "Plan", "Logs"):
            window.page.goto("/dashboard")
            window.page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
            assert window.page.locator("[aria-current=page]").inner_text() == name


# --- overview -----------------------------------------------------------------------------------


def test_a_job_that_never_ran_says_what_to_do_first(browser: Browser, site: Site):
    with browser.open(site.address) as window:
        window.page.goto("/dashboard")
        assert heading(window.page) == "Nothing has been provisioned yet."
        window.page.get_by_role("button", name="Run a cycle now").click()
        expect(window.page.get_by_role("status").filter(has_text="A cycle has begun.")).to_be_visible()
        site.finish()
        window.page.goto("/dashboard")
        assert heading(window.page) == "Provisioning is healthy: everybody in scope is up to date."
        assert len(site.accounts()) > 5


def test_a_page_that_is_open_follows_a_cycle_to_its_end(browser: Browser, site: Site):
    site.instance.capacity.times = servicenow.ServiceTimes(request=0.3)
    with browser.open(site.address) as window:
        page = window.page
        page.goto("/dashboard")
        page.get_by_role("button", name="Run a cycle now").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("The first cycle is under way")
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.get_by_role("button", name="Run a cycle now")).to_have_count(0)
        site.instance.capacity.times = servicenow.ServiceTimes()
        expect(page.get_by_role("heading", level=1)).to_contain_text("healthy", timeout=30_000)
        expect(page.get_by_role("table", name="Last cycles, newest first").get_by_text("initial")).to_be_visible()


def test_a_page_that_cannot_be_brought_up_to_date_says_so_and_goes_on_later(browser: Browser, site: Site):
    site.instance.capacity.times = servicenow.ServiceTimes(request=0.5)
    with browser.open(site.address) as window:
        page = window.page
        page.goto("/dashboard")
        page.get_by_role("button", name="Run a cycle now").click()
        page.context.set_offline(offline=True)
        lost = page.get_by_text("This page could not be brought up to date.")
        expect(lost).to_be_visible(timeout=20_000)
        page.context.set_offline(offline=False)
        expect(lost).to_be_hidden(timeout=20_000)
        window.expected.append("net::ERR_INTERNET_DISCONNECTED")  # at each try
    site.finish()


def test_a_button_of_a_page_that_is_out_of_date_orders_nothing_that_cannot_be(browser: Browser, site: Site):
    site.cycle()
    with browser.open(site.address) as window:
        window.page.goto("/dashboard")
        site.run(control.pause(site.app.engine, by="Bob"))
        window.page.get_by_role("button", name="Run a cycle now").click()
        expect(window.page.get_by_text("somebody has paused it")).to_be_visible()
        window.expected.append("a status of 409")


def test_the_overview_counts_what_was_done_what_fails_and_what_waits(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto("/dashboard")
        assert heading(page) == "5 changes wait for your word; everything else goes on."
        created = page.get_by_role("table", name=re.compile("users, groups and memberships")).get_by_role(
            "row", name="Users"
        )
        assert int(created.get_by_role("cell").first.inner_text()) > 20
        assert re.match(
            r"The last 4 cycles: \d of them wrote something", page.get_by_role("img").get_attribute("aria-label")
        )
        expect(page.get_by_text(re.compile("references? to a record of cmn_department"))).to_be_visible()
        page.get_by_text("Who waits for whom").click()
        expect(page.get_by_text("waits for a record of cmn_department")).to_be_visible()
        expect(page.get_by_text("The next cycle is due in 40 min")).to_be_visible()


def test_paused_from_the_page_and_started_from_it(browser: Browser, site: Site):
    site.cycle()
    with browser.open(site.address) as window:
        window.page.goto("/dashboard")
        window.page.get_by_role("button", name="Pause").click()
        assert heading(window.page) == "Provisioning is paused: no cycle begins until it is started."
        assert site.run(site.app.engine.is_due()) is False
        window.page.get_by_role("button", name="Start provisioning").click()
        site.finish()
        window.page.goto("/dashboard")
        assert "healthy" in heading(window.page)
        trail = site.run(site.app.engine.context.audit.newest())
        assert {entry.actor for entry in trail if "pause" in entry.activity} == {"Ada at this machine"}


def test_a_quarantine_is_told_with_its_reason_and_its_two_choices(browser: Browser, site: Site):
    site.cycle()
    site.lock_out()
    site.directory.update_user(site.person(site.accounts()[0]), jobTitle="Astronaut")
    site.cycle()
    with browser.open(site.address) as window:
        window.page.goto("/dashboard")
        assert "in quarantine" in heading(window.page)
        banner = window.page.get_by_role("region", name="The job is in quarantine")
        expect(banner.get_by_role("button", name="Pause until it is mended")).to_be_visible()
        assert window.violations() == []
        site.let_in()
        banner.get_by_role("button", name="Try again now").click()
        site.finish()
        window.page.goto("/dashboard")
        assert "healthy" in heading(window.page)


# --- plan ---------------------------------------------------------------------------------------


def test_the_plan_shows_who_would_be_changed_with_values_before_and_after(browser: Browser, site: Site):
    site.cycle()
    name = site.accounts()[0]
    site.directory.update_user(site.person(name), jobTitle="Astronaut")
    before = site.account(name)["title"]
    with browser.open(site.address) as window:
        page = window.page
        page.goto("/dashboard/plan")
        assert heading(page) == "Nobody has looked yet at what the next cycle would do."
        page.get_by_role("button", name="See what the next cycle would do").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "The next cycle would change 1 object.", timeout=30_000
        )
        page.get_by_text("1 value").click()
        row = page.get_by_role("row", name=re.compile("title"))
        assert row.get_by_role("cell").all_inner_texts() == [before, "Astronaut"]
        assert window.violations() == []
        page.get_by_role("link", name="Disable 0").click()
        expect(page.get_by_text("Nothing of this kind.")).to_be_visible()
        page.get_by_role("link", name="Update 1").click()
        assert page.locator("ol.entries > li").count() == 1
    assert site.account(name)["title"] == before


def test_a_plan_that_cannot_be_made_says_why(browser: Browser, site: Site):
    site.cycle()
    site.lock_out()
    site.directory.update_user(site.person(site.accounts()[0]), jobTitle="Astronaut")
    with browser.open(site.address) as window:
        window.page.goto("/dashboard/plan")
        window.page.get_by_role("button", name="See what the next cycle would do").click()
        expect(window.page.get_by_role("heading", level=1)).to_have_text("The plan could not be made.", timeout=30_000)


def test_what_the_guard_holds_is_approved_from_the_page_and_carried_out(browser: Browser, site: Site):
    leavers = held(site)
    with browser.open(site.address) as window:
        window.page.goto("/dashboard")
        window.page.get_by_role("link", name="See who is concerned").click()
        for name in leavers:
            expect(window.page.get_by_text(name, exact=True)).to_be_visible()
        window.page.get_by_role("button", name="Approve: carry out exactly this").click()
        expect(window.page.get_by_text("Ada at this machine has approved it")).to_be_visible()
        site.cycle()
        window.page.goto("/dashboard")
        assert "healthy" in heading(window.page)
    assert [site.account(name)["active"] for name in leavers] == ["false"] * 4


def test_what_the_guard_holds_is_rejected_from_the_overview_and_left_alone(browser: Browser, site: Site):
    leavers = held(site)
    with browser.open(site.address) as window:
        window.page.goto("/dashboard")
        window.page.get_by_role("button", name="Reject: leave them as they are").click()
        expect(window.page.get_by_text("Ada at this machine has rejected it")).to_be_visible()
        site.cycle()
        window.page.goto("/dashboard")
        assert "healthy" in heading(window.page)
        expect(window.page.get_by_text("Left alone, because somebody rejected it")).to_be_visible()
    assert [site.account(name)["active"] for name in leavers] == ["true"] * 4


# --- log ----------------------------------------------------------------------------------------


def test_the_log_is_searched_by_form_and_page_by_page(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto("/dashboard/logs")
        first = page.locator("ol.entries > li").first.inner_text()
        page.get_by_role("link", name="Older entries").click()
        assert page.locator("ol.entries > li").first.inner_text() != first
        page.get_by_role("link", name="First page").click()
        assert page.locator("ol.entries > li").first.inner_text() == first
        page.get_by_label("Action").select_option(label="Held")
        page.get_by_role("button", name="Search").click()
        assert page.locator("ol.entries > li").count() == 5
        page.get_by_role("link", name="Clear").click()
        page.get_by_label("Name, user name or id").fill(busy.accounts()[0])
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator("ol.entries > li").count() >= 1
        for text in page.locator("ol.entries > li").all_inner_texts():
            assert busy.person(busy.accounts()[0]) in text


def test_an_entry_tells_its_steps_and_leads_to_all_entries_of_its_object(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto("/dashboard/logs?action=stagedDelete")
        page.locator("ol.entries a").first.click()
        assert "the guard against accidental removal holds it" in heading(page)
        steps = page.locator("ol.steps strong").all_inner_texts()
        assert steps == ["Import", "Scope", "Match", "Decision", "Action"]
        page.get_by_role("link", name="All entries of this object").click()
        lines = page.locator("ol.entries > li").all_inner_texts()
        source_id = lines[0].partition("(")[2].partition(")")[0]
        assert len(lines) > 1
        assert all(source_id in line for line in lines)


def test_the_log_is_exported_as_it_was_searched(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        window.page.goto("/dashboard/logs?action=stagedDelete")
        with window.page.expect_download() as waiting:
            window.page.get_by_role("link", name="CSV: Entries").click()
        assert waiting.value.suggested_filename == "ProvisioningLogs.csv"
        assert len(waiting.value.path().read_text(encoding="utf-8-sig").splitlines()) == 6
