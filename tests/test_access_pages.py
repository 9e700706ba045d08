"""Pages of the dashboard, by whom they are asked for: nobody gets one without proof, a reader has no order to give, and
none has a script or a style written into it, which the browser would not run.
"""

from __future__ import annotations

import re

import pytest

import function_app
from provisioning.dashboard.routes import PAGES
from provisioning.process import open_from_environment
from tests.entra import principal
from tests.test_function_app import Place, run

INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style\b|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
WITHOUT_PARAMETERS = [route.name for route in PAGES if route.method == "GET" and "{" not in route.path]


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    function_app.process.use(open_from_environment)
    function_app.outer_door.use(None)


async def opened(place: Place, name: str, *roles: str):
    browser = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    signed_in = {"X-MS-CLIENT-PRINCIPAL": principal(*roles)} if roles else {}
    return await place.ask(name, headers={**browser, **signed_in})


def test_a_reader_sees_the_pages_and_no_order_and_an_operator_both(place):
    async def story() -> None:
        await place.start()
        await place.host.finish(place.instance_id)
        texts = {}
        for role in ("Provisioning.Read", "Provisioning.Operate"):
            response = await opened(place, "dashboard_overview", role)
            assert response.status_code == 200
            texts[role] = response.get_body().decode()
            assert "ada@contoso.com" in texts[role]
        assert not re.search("method=.?post", texts["Provisioning.Read"], re.IGNORECASE)
        assert re.search("method=.?post", texts["Provisioning.Operate"], re.IGNORECASE)

    run(place, story)


def test_nothing_is_written_into_a_page_that_its_policy_forbids(place):
    async def story() -> None:
        await place.start()
        await place.host.finish(place.instance_id)
        for name in WITHOUT_PARAMETERS:
            response = await opened(place, name, "Provisioning.Operate")
            if response.headers["Content-Type"].startswith("text/html"):
                assert "script-src 'self'" in response.headers["Content-Security-Policy"], name
                assert INLINE.findall(response.get_body().decode()) == [], name

    run(place, story)


def test_a_person_who_is_not_signed_in_is_sent_to_sign_in_from_every_page(place):
    async def story() -> None:
        for name in WITHOUT_PARAMETERS:
            response = await opened(place, name)
            assert response.status_code == 302, name
            assert response.headers["Location"].startswith("/.auth/login/aad?post_login_redirect_uri=%2F"), name
        for route in PAGES:
            if route.method == "POST":
                assert (await place.ask(route.name, client=route.drives)).status_code == 401, route.name

    run(place, story)
