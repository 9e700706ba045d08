"""People and groups in a real browser: found by whatever is known of them, seen on both sides, provisioned from the
page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from provisioning.engine.importing import import_schema
from provisioning.engine.searching import MOST
from provisioning.schema import default_schema, dump
from tests.browser import NARROW, WIDE, Browser
from tests.dashboard_site import Site, site_of

EVIL = "<script>document.title='stolen'</script>"
SHORT = 40
"""Characters that ServiceNow keeps of a user name; one of the seeded people has more."""
LONG = f"{'wolfeschlegelsteinhausenbergerdorff' * 2}@contoso.com"


@pytest.fixture(scope="module")
def busy(tmp_path_factory) -> Iterator[Site]:
    """Somebody of each kind: see `WHO`. Only looked at."""
    with site_of(tmp_path_factory.mktemp("busy"), users=60, groups=4) as site:
        site.cycle()
        names = site.accounts()
        change(site, names[0], jobTitle="Astronaut")
        site.leave(names[1])
        change(site, names[2], displayName=EVIL, surname=EVIL, givenName="Mallory")
        change(site, names[3], department="Astronomy")
        change(site, names[4], preferredLanguage="el-GR")
        change(site, names[5], userPrincipalName=LONG)
        site.cycle()
        change(site, names[0], jobTitle="Director")
        yield site


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    with site_of(tmp_path, users=15, groups=2) as found:
        found.leave(*[name for name in found.people() if len(name) > SHORT])
        found.cycle()
        yield found


def change(site: Site, name: str, **attributes: str) -> None:
    site.directory.update_user(site.person(name), **attributes)


def stranger(site: Site) -> str:
    """The user name of somebody who is not assigned to the application."""
    return next(
        name
        for name in site.people()
        if not site.instance.find("sys_user", user_name=name)
        and len(name) <= SHORT
        and site.directory.user(name).attributes.get("accountEnabled")
    )


def gone(site: Site) -> str:
    """Somebody who was provisioned and is deleted in Entra: their id."""
    return next(key for key in site.directory.deleted_users if record_of(site, key) is not None)


def record_of(site: Site, id_: str) -> str | None:
    return site.run(site.app.engine.context.links.load([("user", id_)]))["user", id_].link.sys_id


WHO = {
    "provisioned": lambda site: site.person(site.accounts()[8]),
    "about to be changed": lambda site: site.person(site.accounts()[0]),
    "deleted in Entra": gone,
    "waits for a department": lambda site: next(
        each.id for each in site.directory.objects.values() if each.attributes.get("department") == "Astronomy"
    ),
    "not assigned": lambda site: site.person(stranger(site)),
    "fails": lambda site: site.person(LONG),
    "group": lambda site: group(site, "ServiceNow Users"),
}
PAGES = {
    "search": lambda _: "/dashboard/people",
    "found": lambda _: "/dashboard/people?q=s",
    "nobody": lambda _: "/dashboard/people?q=zzz",
    **{name: lambda site, of=of: f"/dashboard/people/{of(site)}" for name, of in WHO.items()},
}


def group(site: Site, name: str) -> str:
    return next(each.id for each in site.directory.objects.values() if each.attributes.get("displayName") == name)


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def row(page: Page, column: str) -> list[str]:
    """Both sides of a column, and what is said of them."""
    found = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=column, exact=True))
    return found.get_by_role("cell").all_inner_texts()[:3]


# --- every page -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_axe_finds_nothing_wrong_with_it(browser: Browser, busy: Site, name, width, scheme):
    with browser.open(busy.address, width=width, scheme=scheme) as window:
        window.page.goto(PAGES[name](busy))
        window.page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        assert not window.is_too_wide()
        assert window.violations() == []


def test_somebody_is_searched_and_opened_by_keyboard_and_without_scripts(browser: Browser, busy: Site):
    with browser.open(busy.address, scripts=False) as window:
        page = window.page
        page.goto("/dashboard")
        page.get_by_role("link", name="People and groups").click()
        page.get_by_role("searchbox").focus()
        page.keyboard.type("Mallory")
        page.keyboard.press("Enter")
        page.wait_for_url("**/people?q=Mallory")
        page.get_by_role("link", name=EVIL).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(EVIL)
        assert page.locator("[aria-current=page]").inner_text() == "People and groups"


def test_a_name_that_is_a_script_is_shown_and_not_run(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        window.page.goto("/dashboard/people?q=Mallory")
        window.page.get_by_role("link", name=EVIL).click()
        assert row(window.page, "last_name") == [EVIL, EVIL, "Agrees"]
        assert "stolen" not in window.page.title().replace(EVIL, "")
        assert window.page.locator("main script").count() == 0


# --- the search -----------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["displayName", "givenName", "surname", "userPrincipalName", "mail", "id", "sys_id"])
def test_somebody_is_found_by(browser: Browser, site: Site, of):
    name = site.accounts()[0]
    person = site.directory.user(name)
    known = {"id": person.id, "sys_id": site.account(name)["sys_id"], **person.attributes}
    with browser.open(site.address) as window:
        window.page.goto("/dashboard/people")
        window.page.get_by_role("searchbox").fill(known[of])
        window.page.get_by_role("button", name="Search").click()
        found = window.page.locator(".entries > li").filter(has_text=name)
        expect(found).to_have_count(1)
        expect(found).to_contain_text("Provisioned")


def test_who_is_not_provisioned_is_found_as_well_and_a_group_too(browser: Browser, busy: Site):
    name = stranger(busy)
    with browser.open(busy.address) as window:
        window.page.goto(f"/dashboard/people?q={name}")
        expect(window.page.locator(".entries > li")).to_contain_text("Not provisioned")
        window.page.goto("/dashboard/people?q=ServiceNow U")
        expect(window.page.locator(".entries > li")).to_contain_text("group")
        window.page.goto("/dashboard/people?q=zzz")
        expect(window.page.get_by_role("status")).to_contain_text("Nobody of that name.")


def test_who_is_deleted_in_entra_is_still_found_by_what_the_job_remembers(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        window.page.goto(f"/dashboard/people?q={record_of(busy, gone(busy))}")
        expect(window.page.locator(".entries > li")).to_contain_text("Microsoft Entra ID does not have it any more")


def test_of_more_than_a_page_holds_that_there_are_more_is_said(busy: Site):
    text = httpx.get(f"{busy.address}/dashboard/people?q=s").text
    assert f"There are more than {MOST} of a kind" not in text
    for number in range(MOST + 1):
        name = f"same{number:02d}@contoso.com"
        busy.directory.add_user(displayName=f"Same {number:02d}", userPrincipalName=name, accountEnabled=True)
    text = httpx.get(f"{busy.address}/dashboard/people?q=same").text
    assert f"There are more than {MOST} of a kind" in text
    assert text.count('<li class="entry">') == MOST


@pytest.mark.parametrize("text", ["O'Brien", "a) or (1 eq 1", "%", "\\", "a" * 120])
def test_whatever_is_searched_for_is_taken_for_a_name(busy: Site, text):
    assert httpx.get(f"{busy.address}/dashboard/people", params={"q": text}).status_code == 200


def test_more_than_a_name_is_refused(busy: Site):
    assert httpx.get(f"{busy.address}/dashboard/people", params={"q": "a" * 121}).status_code == 400
    assert httpx.get(f"{busy.address}/dashboard/people/nobody").status_code == 404


# --- one of them ----------------------------------------------------------------------------------


def test_who_is_not_in_scope_is_told_why(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        window.page.goto(PAGES["not assigned"](busy))
        assert heading(window.page).endswith("is not in scope.")
        expect(window.page.get_by_text("Why: 1) not assigned to the application.")).to_be_visible()
        scope = window.page.get_by_role("region", name="Scope")
        expect(scope.get_by_role("listitem").filter(has_text="Assigned to the application")).to_contain_text("No")
        assert window.page.locator("ol.steps strong").all_inner_texts() == ["Import", "Scope", "Match", "Action"]


def test_who_fails_is_told_why_and_what_to_do(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        window.page.goto(PAGES["fails"](busy))
        assert heading(window.page).endswith("cannot be provisioned.")
        expect(window.page.locator(".state")).to_contain_text("InvalidAttributeValue")
        expect(window.page.locator(".state")).to_contain_text("Map user_name to a value of at most 40 characters")


def test_each_value_is_shown_as_it_is_on_both_sides(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto(PAGES["about to be changed"](busy))
        assert heading(page).endswith("now would update the record.")
        assert row(page, "title") == ["Director", "Astronaut", "Would be written"]
        assert row(page, "active") == ["true", "true", "Agrees"]
        page.goto(PAGES["waits for a department"](busy))
        assert [row(page, "department")[0], row(page, "department")[2]] == ["Astronomy", "Waits for what it refers to"]


def test_what_servicenow_has_made_of_a_value_is_not_called_agreement(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        person = next(
            each.id for each in busy.directory.objects.values() if each.attributes.get("preferredLanguage") == "el-GR"
        )
        window.page.goto(f"/dashboard/people/{person}")
        wanted, has, said = row(window.page, "preferred_language")
        assert wanted == "el" != has
        assert said == "ServiceNow keeps another value"


def test_memberships_and_history_lead_to_what_they_name(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto(PAGES["group"](busy))
        page.get_by_role("region", name="Members").get_by_role("link").first.click()
        expect(
            page.get_by_role("region", name="Memberships").get_by_role("link", name="ServiceNow Users")
        ).to_be_visible()
        history = page.get_by_role("region", name="History").get_by_role("link")
        told = history.first.inner_text()
        history.first.click()
        assert heading(page) == told


def test_somebody_is_provisioned_from_their_page(browser: Browser, site: Site):
    name = site.accounts()[0]
    change(site, name, jobTitle="Astronaut")
    with browser.open(site.address) as window:
        page = window.page
        page.goto(f"/dashboard/people/{site.person(name)}")
        assert row(page, "title")[2] == "Would be written"
        page.get_by_role("button", name="Provision now").click()
        expect(page.get_by_role("status")).to_contain_text("the newest entry of the history says what was written")
        assert site.account(name)["title"] == "Astronaut"
        assert row(page, "title") == ["Astronaut", "Astronaut", "Agrees"]
        expect(page.get_by_role("region", name="History").get_by_role("link").first).to_contain_text("Astronaut")
        page.get_by_role("button", name="Provision now").click()
        expect(page.get_by_role("status")).to_contain_text("both sides agree already")
    entries = site.run(site.app.engine.context.journal.of_object(f"user:{site.person(name)}"))
    assert entries[0]["initiatedBy"]["displayName"] == "Ada at this machine"


def test_somebody_who_is_not_in_scope_is_not_provisioned_by_the_button(browser: Browser, site: Site):
    name = stranger(site)
    with browser.open(site.address) as window:
        window.page.goto(f"/dashboard/people/{site.person(name)}")
        window.page.get_by_role("button", name="Provision now").click()
        expect(window.page.get_by_role("status")).to_contain_text("Nothing was written")
    assert not site.instance.find("sys_user", user_name=name)


def test_a_group_is_provisioned_with_the_members_that_are_named(browser: Browser, site: Site):
    id_ = group(site, "ServiceNow Users")
    newcomers = [stranger(site)]
    site.directory.add_member(id_, site.person(newcomers[0]))
    with browser.open(site.address) as window:
        window.page.goto(f"/dashboard/people/{id_}")
        window.page.get_by_role("textbox").fill(f"{newcomers[0]}\n")
        window.page.get_by_role("button", name="Provision now").click()
        expect(window.page.get_by_role("status")).to_contain_text("Done")
        expect(window.page.get_by_role("region", name="Members").get_by_role("link", name=newcomers[0])).to_be_visible()
    assert site.account(newcomers[0])["active"] == "true"


def test_where_servicenow_lets_nobody_in_the_page_shows_what_the_job_remembers(browser: Browser, site: Site):
    name = site.accounts()[0]
    site.lock_out()
    with browser.open(site.address) as window:
        window.page.goto(f"/dashboard/people/{site.person(name)}")
        expect(window.page.locator("main")).to_contain_text(re.compile("ServiceNow|credentials"))
        expect(window.page.get_by_role("region", name="What the job remembers")).to_contain_text(site.person(name))
        expect(window.page.get_by_role("region", name="History").get_by_role("listitem")).not_to_have_count(0)
        assert window.violations() == []


def test_a_redacted_value_stands_on_neither_side(site: Site):
    document = dump(default_schema())
    users = document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    (title,) = [each for each in users if each["targetAttributeName"] == "title"]
    title["source"] = {"expression": "Redact([jobTitle])", "name": "Redact", "type": "Function", "parameters": []}
    site.run(import_schema(site.app.engine, document, by="a test"))
    name = site.accounts()[0]
    change(site, name, jobTitle="Secretissimo")
    site.cycle()
    text = httpx.get(f"{site.address}/dashboard/people/{site.person(name)}", timeout=30).text
    assert site.account(name)["title"] == "Secretissimo"
    assert "Secretissimo" not in text
    assert text.count("[Redact]") >= 2
