"""The description of the API that the app serves: made of the routes, true of every answer, and tried with requests of
all kinds by a program that knows nothing but the description.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from provisioning.api.openapi import document
from provisioning.api.routes import ROUTES
from tests.api_place import ApiPlace, on_a_port

EXAMPLES = 4
"""Of each route; half of them are made to fit what is described, half not to."""
SECONDS = 60.0
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_every_route_is_described_once_with_its_role_and_its_own_words():
    found = document(ROUTES, {})
    operations = [each for path in found["paths"].values() for each in path.values()]
    assert sorted(each["operationId"] for each in operations) == sorted(each.name for each in ROUTES)
    assert all(each["summary"] and each["summary"] != f"{each['operationId']}." for each in operations)
    for route in ROUTES:
        operation = found["paths"][f"/{route.path}"][route.method.lower()]
        assert operation["security"] == ([] if route.role is None else [{"entra": [route.role]}])
        assert ("requestBody" in operation) == (route.takes is not None)


def test_every_shape_is_a_schema():
    found = document(ROUTES, {})
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(found)
    named = set(found["components"]["schemas"])
    assert {each.partition('"')[0] for each in text.split("#/components/schemas/")[1:]} <= named


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A server in a thread of its own: schemathesis waits for its answers."""
    place = ApiPlace(tmp_path_factory.mktemp("fuzzed"), users=4, groups=1)
    place.contract = None
    told: list[str] = []
    end = threading.Event()

    async def serving() -> None:
        async with on_a_port(place) as found:
            told.append(found)
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serving()))
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        yield told[0]
    finally:
        end.set()
        thread.join()


def try_some(operation) -> None:
    """Requests about the job that there is. Raises for an answer that is not described."""
    described = operation.definition.raw["parameters"]
    ours = {each["name"]: each["example"] for each in described if "example" in each}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
    def try_one(case) -> None:
        case.path_parameters.update(ours)
        case.call_and_validate(checks=CHECKS)

    try_one()


def test_no_request_is_answered_otherwise_than_described(address):
    began, tried, failures = time.monotonic(), set(), []
    for found in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
        operation = found.ok()
        try:
            try_some(operation)
        except FailureGroup as failure:
            failures.append(f"{operation.label}: {failure}")
        tried.add(operation.definition.raw["operationId"])
        assert time.monotonic() - began < SECONDS, operation.label
    assert failures == []
    assert tried == {each.name for each in ROUTES} - {"openapi"}, "which is how they were found"
