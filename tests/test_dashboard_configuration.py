"""The pages of the configuration and of the instance in a real browser: mappings in words, an expression tried, the
connection tested, a schema looked at before it is imported, app roles, and how the instance is.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from provisioning.engine.schemas import Schemas
from provisioning.rules.scope import DEFAULT_ACCESS
from provisioning.schema import default_schema, dump
from tests.browser import NARROW, WIDE, Browser
from tests.dashboard_site import Site, site_of

SHORT = 40
"""Characters that ServiceNow keeps of a user name; one of the seeded people has more."""
PAGES = {
    "mappings": "/dashboard/configuration",
    "expression": "/dashboard/configuration/expression",
    "connection": "/dashboard/configuration/connection",
    "roles": "/dashboard/configuration/roles",
    "schema": "/dashboard/configuration/schema",
    "instance": "/dashboard/instance",
}
WITHOUT_A_ROLE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def busy(tmp_path_factory) -> Iterator[Site]:
    """Only looked at."""
    with site_of(tmp_path_factory.mktemp("busy"), users=30, groups=3) as site:
        site.cycle()
        yield site


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    with site_of(tmp_path, users=15, groups=2) as found:
        found.leave(*[name for name in found.people() if len(name) > SHORT])
        found.cycle()
        yield found


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def users_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["synchronizationRules"][0]["objectMappings"][0]


def changed() -> dict[str, Any]:
    """The shipped schema, but titles in capitals and nobody of the legal department."""
    document = copy.deepcopy(dump(default_schema()))
    users = users_of(document)
    (title,) = [each for each in users["attributeMappings"] if each["targetAttributeName"] == "title"]
    title["source"] = {"expression": "ToUpper([jobTitle])", "name": "ToUpper", "type": "Function", "parameters": []}
    clause = {
        "operatorName": "NOT EQUALS",
        "sourceOperandName": "department",
        "targetOperand": {"values": ["Legal"]},
    }
    users["scope"] = {"groups": [{"name": "No lawyers", "clauses": [clause]}]}
    return document


def propose(page: Page, document: Any) -> None:
    page.goto(PAGES["schema"])
    page.get_by_label("Its text").fill(document if isinstance(document, str) else json.dumps(document))
    page.get_by_role("button", name="See what it would do").click()


def running(site: Site) -> dict[str, Any]:
    context = site.app.engine.context
    return site.run(Schemas(context.store, context.job.id).newest())


# --- every page -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_axe_finds_nothing_wrong_with_it(browser: Browser, busy: Site, name, width, scheme):
    with browser.open(busy.address, width=width, scheme=scheme) as window:
        window.page.goto(PAGES[name])
        assert not window.is_too_wide()
        assert window.violations() == []


def test_the_pages_are_reached_from_each_other(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        page = window.page
        page.goto("/dashboard")
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Configuration").click()
        for label in ("Try an expression", "Test the connection", "Schema", "App roles", "Mappings and filters"):
            page.get_by_role("navigation", name="Configuration").get_by_role("link", name=label).click()
            assert heading(page).startswith(label)
            assert page.locator(".choices [aria-current]").inner_text() == label
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Instance").click()
        assert page.locator("[aria-current=page]").inner_text() == "Instance"


# --- mappings and filters ---------------------------------------------------------------------------


def test_mappings_and_filters_are_told_in_words(browser: Browser, site: Site):
    with browser.open(site.address) as window:
        page = window.page
        page.goto(PAGES["mappings"])
        users = page.get_by_role("region", name="Users", exact=True)
        expect(users).to_contain_text("no scoping filter narrows that")
        propose(page, changed())
        page.get_by_role("button", name="Import this schema").click()
        page.goto(PAGES["mappings"])
        expect(users).to_contain_text("No lawyers: department is not “Legal”")
        row = users.get_by_role("row").filter(has=page.get_by_role("rowheader", name="title", exact=True))
        assert row.get_by_role("cell").all_inner_texts() == ["ToUpper([jobTitle])", "whenever it changes"]
        key = users.get_by_role("row").filter(has=page.get_by_role("rowheader", name="user_name"))
        expect(key).to_contain_text("matches records, precedence 1")


# --- an expression ----------------------------------------------------------------------------------


def try_out(page: Page, expression: str, user: str = "") -> None:
    page.goto(PAGES["expression"])
    page.get_by_label("Expression").fill(expression)
    page.get_by_label("User principal name").fill(user)
    page.get_by_role("button", name="Try it").click()


def test_an_expression_is_tried_with_a_real_user(browser: Browser, busy: Site):
    name = busy.accounts()[0]
    person = busy.directory.user(name).attributes
    with browser.open(busy.address) as window:
        try_out(window.page, 'Join("/", [surname], [department])', name)
        result = window.page.get_by_role("region", name="Result")
        expect(result.locator(".values")).to_have_text(f"{person['surname']}/{person['department']}")
        expect(result.locator("dl")).to_contain_text(person["department"])
        assert window.violations() == []
        assert "surname" not in window.page.url


def test_an_expression_reads_what_no_mapping_reads(browser: Browser, busy: Site):
    name = busy.accounts()[0]
    busy.directory.update_user(busy.person(name), employeeType="Contractor")
    with browser.open(busy.address) as window:
        try_out(window.page, "ToUpper([employeeType])", name)
        expect(window.page.locator(".values")).to_have_text("CONTRACTOR")


def test_without_a_user_an_expression_that_reads_nothing_has_a_value_all_the_same(browser: Browser, busy: Site):
    with browser.open(busy.address, scripts=False) as window:
        try_out(window.page, 'ToUpper("abc")')
        expect(window.page.locator(".values")).to_have_text("ABC")
        try_out(window.page, "ToUpper([mail])")
        expect(window.page.get_by_text("Name a user to see its value.")).to_be_visible()


def test_a_mistake_is_shown_with_its_place(browser: Browser, busy: Site):
    with browser.open(busy.address) as window:
        try_out(window.page, 'Join(" ", [surname)')
        assert "^" in window.page.locator("pre").inner_text()
        assert window.page.get_by_label("Expression").input_value() == 'Join(" ", [surname)'
        assert window.violations() == []
        try_out(window.page, "[mail]", "nobody@contoso.com")
        expect(window.page.locator("pre")).to_contain_text("no user in Microsoft Entra ID answers to")


def test_what_a_mapping_would_redact_is_redacted_here_too(browser: Browser, busy: Site):
    name = busy.accounts()[0]
    with browser.open(busy.address) as window:
        try_out(window.page, "Redact([surname])", name)
        expect(window.page.locator(".values")).to_have_text("[Redact]")
        assert busy.directory.user(name).attributes["surname"] not in window.page.get_by_role("region").inner_text()


# --- the connection ---------------------------------------------------------------------------------


def test_the_connection_is_tested_and_what_the_instance_can_do_is_kept(browser: Browser, site: Site):
    with browser.open(site.address) as window:
        page = window.page
        page.goto(PAGES["instance"])
        expect(page.get_by_text("Not known yet")).to_be_visible()
        page.get_by_role("link", name="Test the connection").click()
        page.get_by_role("button", name="Test the connection").click()
        expect(page.get_by_role("heading", level=2).first).to_contain_text("Both sides can be reached")
        table = page.get_by_role("table")
        expect(table.get_by_role("row").filter(has_text="enterprise application")).to_contain_text("Well")
        expect(table.get_by_role("row").filter(has_text="unknown filters")).to_contain_text("ServiceNow administrator")
        assert window.violations() == []
        page.goto(PAGES["instance"])
        expect(page.get_by_role("region", name="What the instance can do")).to_contain_text("sys_user_group")


def test_a_connection_that_fails_names_what_fails_and_who_can_mend_it(browser: Browser, site: Site):
    site.lock_out()
    site.run(site.process.close())
    with browser.open(site.address) as window:
        window.page.goto(PAGES["connection"])
        window.page.get_by_role("button", name="Test the connection").click()
        expect(window.page.get_by_role("heading", level=2).first).to_contain_text("the job cannot work so")
        expect(window.page.get_by_role("row").filter(has_text="credentials")).to_contain_text("Failed")


# --- app roles ----------------------------------------------------------------------------------------


def test_roles_are_shown_with_who_holds_them_and_a_missing_one_is_named(browser: Browser, site: Site):
    name = site.accounts()[0]
    site.directory.assign(site.person(name), WITHOUT_A_ROLE)
    with browser.open(site.address) as window:
        page = window.page
        page.goto(PAGES["roles"])
        banner = page.get_by_role("region", name="An assignment needs something")
        expect(banner).to_contain_text(f"The role {WITHOUT_A_ROLE} is missing: 1 user and 0 groups")
        missing = page.get_by_role("listitem").filter(has_text=WITHOUT_A_ROLE).filter(has_text="Missing")
        missing.get_by_role("link").click()
        assert site.person(name) in page.url
        page.goto(PAGES["roles"])
        expect(page.get_by_role("listitem").filter(has_text="ServiceNow Users").last).to_contain_text("Can be assigned")


def test_who_has_default_access_only_is_counted_where_that_does_not_entitle(browser: Browser, site: Site):
    newcomer = site.directory.add_user(displayName="New", userPrincipalName="new@contoso.com", accountEnabled=True)
    with browser.open(site.address) as window:
        window.page.goto(PAGES["roles"])
        expect(window.page.get_by_text("no role that entitles")).to_have_count(0)
        site.directory.assign(newcomer, DEFAULT_ACCESS)
        window.page.goto(PAGES["roles"])
        expect(window.page.get_by_text("1 user or group have Default Access and no role that entitles")).to_be_visible()


# --- the schema -----------------------------------------------------------------------------------------


def test_a_schema_is_imported_only_after_it_was_said_what_it_would_do(browser: Browser, site: Site, tmp_path):
    lawyer = site.accounts()[0]
    site.directory.update_user(site.person(lawyer), department="Legal")
    site.cycle()
    (tmp_path / "schema.json").write_text(json.dumps(changed()))
    with browser.open(site.address) as window:
        page = window.page
        page.goto(PAGES["schema"])
        page.get_by_label(re.compile("The file that")).set_input_files(tmp_path / "schema.json")
        page.wait_for_function("document.getElementById('document').value.length > 100")
        page.get_by_role("button", name="See what it would do").click()
        effect = page.locator("#effect")
        expect(effect).to_contain_text(
            re.compile(r"This change would disable 1 user and update \d+ users"), timeout=30_000
        )
        changes = page.get_by_role("table", name="Where the two schemas differ")
        expect(changes.get_by_role("row").filter(has_text="Users: title")).to_contain_text("ToUpper([jobTitle])")
        expect(changes.get_by_role("row").filter(has_text="Users: scope")).to_contain_text("No lawyers")
        expect(changes.get_by_role("row")).to_have_count(3)
        expect(
            page.get_by_role("region", name="To whom").get_by_role("link", name=re.compile(".")).first
        ).to_be_visible()
        assert window.violations() == []
        assert running(site) == dump(default_schema())
        site.cycle()
        assert site.account(lawyer)["active"] == "true"
        page.get_by_role("button", name="Import this schema").click()
        expect(page.get_by_role("status").first).to_contain_text("Imported")
        assert running(site) == changed()
    site.cycle()
    assert site.account(lawyer)["active"] == "false"


def test_a_schema_that_is_discarded_changes_nothing(browser: Browser, site: Site):
    with browser.open(site.address) as window:
        propose(window.page, changed())
        window.page.get_by_role("button", name="Discard").click()
        expect(window.page.get_by_role("status").first).to_contain_text("Discarded")
        expect(window.page.locator("#effect")).to_have_count(0)
    assert running(site) == dump(default_schema())


def test_what_was_not_looked_at_is_not_imported(site: Site):
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    found = httpx.post(f"{site.address}{PAGES['schema']}/import", content="version=0123456789abcdef", headers=headers)
    assert found.status_code == 409
    assert "look at it again" in found.text
    assert running(site) == dump(default_schema())


def test_a_schema_with_errors_is_shown_with_each_of_them(browser: Browser, site: Site):
    document = changed()
    users_of(document)["attributeMappings"][1]["source"] = {
        "expression": "ToUpper([mail)",
        "name": "ToUpper",
        "type": "Function",
        "parameters": [],
    }
    users_of(document)["scope"]["groups"][0]["clauses"][0]["operatorName"] = "LIKE"
    with browser.open(site.address) as window:
        window.expected.append("a status of 400")
        propose(window.page, document)
        problems = window.page.get_by_role("region", name="The job cannot work with this schema")
        expect(problems.get_by_role("listitem").filter(has_text="Error")).to_have_count(2)
        assert "^" in problems.locator("pre").first.inner_text()
        assert window.violations() == []
        propose(window.page, '{"synchronizationRules": [')
        expect(problems).to_contain_text("It is not JSON")
        assert window.page.get_by_label("Its text").input_value() == '{"synchronizationRules": ['


def test_the_schema_is_exported_as_the_next_cycle_works_with_it(browser: Browser, site: Site):
    with browser.open(site.address) as window:
        window.page.goto(PAGES["schema"])
        with window.page.expect_download() as waiting:
            window.page.get_by_role("link", name="Export as JSON").click()
        assert waiting.value.suggested_filename == "schema.json"
        assert json.loads(waiting.value.path().read_text(encoding="utf-8")) == dump(default_schema())
        propose(window.page, dump(default_schema()))
        expect(window.page.get_by_role("status").first).to_contain_text("in force already")


# --- the instance -----------------------------------------------------------------------------------------


def test_calls_of_each_cycle_are_counted_and_timed(browser: Browser, site: Site):
    (cycle,) = site.run(site.app.engine.context.rows.cycles())
    counts = cycle["counts"]
    assert counts["calls"] == site.app.servicenow_requests > 5
    with browser.open(site.address) as window:
        window.page.goto(PAGES["instance"])
        assert re.match(r"127\.0\.0\.1 answers well: [\d,]+ ms for a call\.", heading(window.page))
        row = window.page.get_by_role("table").get_by_role("row").nth(1)
        expect(row.get_by_role("cell").first).to_have_text(str(counts["calls"]))


def test_calls_that_the_instance_refuses_are_counted_and_fewer_are_used_for_a_while(browser: Browser, tmp_path):
    with site_of(tmp_path, users=60, groups=4, SERVICENOW_SLOTS="4") as site:
        site.instance.capacity.set(nodes=1, slots_per_node=1, queue=0)
        site.instance.capacity.set_times(request=0.05)
        site.cycle(later=0)
        (cycle,) = site.run(site.app.engine.context.rows.cycles())
        assert cycle["counts"]["calls.refused"] > 0
        with browser.open(site.address) as window:
            window.page.goto(PAGES["instance"])
            assert re.match(r"The instance refuses calls: \d of 4 at once are used for now", heading(window.page))
            tile = window.page.locator(".tile").filter(has_text="Calls refused")
            expect(tile.locator("strong")).to_have_text(str(cycle["counts"]["calls.refused"]))
            assert window.violations() == []


def test_who_uses_the_instance_now_is_named(browser: Browser, site: Site):
    shares, now = site.app.engine.shares, site.clock()
    site.run(shares.claim("on-demand-1", 1, granted=2, now=now, urgent=True))
    with browser.open(site.address) as window:
        window.page.goto(PAGES["instance"])
        users = window.page.get_by_role("region", name="Who uses it now")
        expect(users).to_contain_text("Somebody provisions on demand")
        expect(users).to_contain_text("1 of 1 call")
