"""A transport that holds every request to Graph, and each answer, against Microsoft's published description of the API:
tests/cases/graph-openapi-subset.json, reduced from the OpenAPI of msgraph-sdk and the CSDL of microsoftgraph's
msgraph-metadata (see its `info`). Items of a $batch are calls of their own. Says what does not fit; stops nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

SUBSET = Path(__file__).parent / "cases" / "graph-openapi-subset.json"
BASE = "/v1.0"
NAME = "urn:graph"
BEYOND = {"innerError": frozenset({"code", "status", "message"})}
"""Members that Graph's documented error bodies have and the description does not name: throttling, expired tokens."""
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OPAQUE = frozenset({"$skiptoken", "$deltatoken"})
"""Options that Graph puts into the links that it gives out."""


@cache
def document() -> dict[str, Any]:
    """Its references made absolute, so that a part of it can be validated by itself."""
    return json.loads(SUBSET.read_text(encoding="utf-8").replace('"$ref":"#/', f'"$ref":"{NAME}#/'))


@cache
def _registry() -> Registry:
    return Registry().with_resource(NAME, Resource.from_contents(document(), default_specification=DRAFT4))


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """The most concrete first: /users/delta() before /users/{user-id}."""
    found = []
    for path in sorted(document()["paths"], key=lambda each: (each.count("{"), -len(each))):
        pattern = re.escape(path).replace(r"\(\)", r"(?:\(\))?")
        found.append((re.compile(re.sub(r"\\{[^}]*\\}", r"[^/]+", pattern)), path))
    return found


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        part: Any = document()
        for name in node["$ref"].removeprefix(f"{NAME}#/").split("/"):
            part = part[name.replace("~1", "/").replace("~0", "~")]
        node = part
    return node


class Contract:
    """`violations` are sentences; `uncovered` counts the calls that the description does not know."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.uncovered: Counter[str] = Counter()
        self.checked: Counter[str] = Counter()

    def operation(self, method: str, target: str) -> tuple[str, dict[str, Any]] | None:
        """What the description says of a call, by its path and query below the version."""
        parts = urlsplit(target)
        path = unquote(parts.path)
        template = next((template for pattern, template in _paths() if pattern.fullmatch(path)), None)
        name = f"{method} {template or _ID.sub('{id}', path)}"
        operation = document()["paths"][template].get(method.lower()) if template else None
        if operation is None:
            self.uncovered[name] += 1
            return None
        self.checked[name] += 1
        known = {resolved(each)["name"] for each in operation.get("parameters", ())} | OPAQUE
        for option, _ in parse_qsl(parts.query, keep_blank_values=True):
            if option not in known:
                self.violations.append(f"{name}: no option {option}")
        return name, operation

    def body(self, name: str, content: dict[str, Any], value: Any) -> None:
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            self.violations.append(f"{name}: a body where none is described")
            return
        self.value(name, schema, value)

    def value(self, where: str, schema: dict[str, Any], value: Any) -> None:
        for error in OAS30Validator(schema, registry=_registry()).iter_errors(value):
            self.violations.append(f"{where}: {error.json_path}: {error.validator}: {error.message[:200]}")
        self._names(where, schema, value)

    def answer(self, call: tuple[str, dict[str, Any]] | None, status: int, value: Any) -> None:
        if call is None:
            return
        name, operation = call
        responses = operation["responses"]
        names = (str(status), f"{status // 100}XX", "default")
        described = next((responses[name] for name in names if name in responses), None)
        if described is None:
            self.violations.append(f"{name}: {status} is not described")
            return
        described = resolved(described)
        if value is not None:
            self.body(f"{name} {status}", described.get("content", {}), value)
        elif "content" in described:
            self.violations.append(f"{name}: {status} without the body that is described")

    def _names(self, where: str, schema: dict[str, Any], value: Any) -> None:
        """Members that no schema names: JSON Schema lets them pass. Annotations of OData are everywhere."""
        if isinstance(value, list):
            items = self._items(schema)
            for each in value if items is not None else ():
                self._names(where, items or {}, each)
            return
        if not isinstance(value, dict):
            return
        properties = self._properties(_by_type(schema, value))
        if not properties:
            return
        for name, member in value.items():
            if name in properties:
                self._names(f"{where}.{name}", properties[name], member)
            elif "@" not in name and not name.startswith("extension_") and name not in BEYOND.get(_last(where), ()):
                self.violations.append(f"{where}: no member {name}")

    def _items(self, schema: dict[str, Any]) -> dict[str, Any] | None:
        schema = resolved(schema)
        if "items" in schema:
            return schema["items"]
        return next((found for each in schema.get("allOf", ()) if (found := self._items(each)) is not None), None)

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        schema = resolved(schema)
        found = dict(schema.get("properties", {}))
        for each in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
            found |= self._properties(each)
        return found


def _last(where: str) -> str:
    return where.rpartition(".")[2]


def _by_type(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """A directoryObject that says what it is has the members of that."""
    kind = str(value.get("@odata.type", "")).removeprefix("#")
    return {"allOf": [schema, document()["components"]["schemas"].get(kind, {})]}


class ContractTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, contract: Contract) -> None:
        self._inner = inner
        self._contract = contract

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode().removeprefix(BASE)
        sent = json.loads(request.content) if request.content else None
        call = self._contract.operation(request.method, target)
        if call is not None and sent is not None:
            self._contract.body(f"{call[0]} request", resolved(call[1]["requestBody"])["content"], sent)
        response = await self._inner.handle_async_request(request)
        content = await response.aread()
        value = json.loads(content) if content else None
        self._contract.answer(call, response.status_code, value)
        if target.partition("?")[0] == "/$batch" and isinstance(value, dict) and "responses" in value:
            self._items(sent, value)
        return response

    def _items(self, sent: Any, value: dict[str, Any]) -> None:
        answers = {each["id"]: each for each in value["responses"]}
        for item in sent["requests"]:
            call = self._contract.operation(item["method"], item["url"])
            if call is not None and item.get("body") is not None:
                self._contract.body(f"{call[0]} request", resolved(call[1]["requestBody"])["content"], item["body"])
            if item["id"] not in answers:
                self._contract.violations.append(f"$batch: item {item['id']} has no answer")
                continue
            answer = answers[item["id"]]
            self._contract.answer(call, answer["status"], answer.get("body"))

    async def aclose(self) -> None:
        await self._inner.aclose()
