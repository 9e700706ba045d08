"""The emulator as pysnow sees it, over HTTPS: an older client with other habits. It reads an answer as a stream,
changes by PUT, looks before it writes, and repeats the parameters of its last query in the next call.
"""

from __future__ import annotations

import warnings

import pytest
import requests

from tests.emulators.servicenow import Instance, seed_instance
from tests.emulators.servicenow.seed import ADMIN_ID
from tests.emulators.servicenow.serving import serving_https

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it misses libmagic where there is none; for attachments only
    import pysnow
    from pysnow.exceptions import EmptyContent, MultipleResults, NoResults


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    instance = Instance()
    with serving_https(instance, tmp_path_factory.mktemp("https")) as address:
        yield instance, address


@pytest.fixture
def instance(address):
    instance, _ = address
    instance.reset()
    seed_instance(instance)
    return instance


@pytest.fixture
def users(instance, address):
    with requests.Session() as session:
        session.auth, session.verify, session.trust_env = ("admin", "admin"), str(address[1].certificate), False
        client = pysnow.Client(host=instance.url.removeprefix("https://"), session=session)
        yield client.resource(api_path="/table/sys_user")


def test_a_record_is_found_by_query_and_streamed(users):
    assert users.get(query={"user_name": "admin"}).one()["sys_id"] == ADMIN_ID
    assert users.get(query={"user_name": "admin"}, stream=True).first()["sys_id"] == ADMIN_ID
    with pytest.raises(NoResults):
        users.get(query={"user_name": "nobody"}, stream=True).first()
    with pytest.raises(MultipleResults):
        users.get(query={}).one()


def test_a_record_is_created_changed_by_put_and_deleted_after_a_look(users, instance):
    made = users.create(payload={"user_name": "ada", "first_name": "Ada"})
    assert made["name"] == "Ada"
    assert users.update(query={"user_name": "ada"}, payload={"title": "Countess"})["title"] == "Countess"
    assert users.delete(query={"user_name": "ada"})["status"] == "record deleted"
    assert instance.counts == {"POST sys_user": 1, "GET sys_user": 2, "PUT sys_user": 1, "DELETE sys_user": 1}


def test_a_query_is_ordered_limited_and_reduced_to_fields(users):
    query = pysnow.QueryBuilder().field("user_name").order_descending().AND().field("active").equals("true")
    rows = users.get(query=query, fields=["user_name"], limit=2).all()
    assert rows == [{"user_name": "svc.provisioning"}, {"user_name": "natasha.ingram"}]


def test_a_request_that_was_thrown_away_is_noticed(users, instance):
    instance.faults.add("GET sys_user", "dropped_session")
    with pytest.raises(EmptyContent):
        users.get(query={}).all()


def test_an_error_status_is_an_error(users, instance):
    instance.access.no_insert.add("sys_user")
    with pytest.raises(requests.HTTPError, match="403"):
        _ = users.create(payload={"user_name": "ada"})["sys_id"]
