"""The OpenAPI document of the app: made of the table of routes, what their handlers say of themselves, and the shapes.
Nothing of it is written a second time.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from provisioning.api import shapes
from provisioning.api.routing import Route

VERSION = "1.0"
PARAMETER = re.compile(r"\{(\w+)\}")
JSON = "application/json"
PATH = {
    "sp": "The object id of the enterprise application.",
    "job": "The id of the job.",
    "id": "An object id or a sys_id; of a directory, ServiceNow.",
    "template": "ServiceNowOutDelta.",
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "$top": {"schema": {"type": "integer", "minimum": 1}, "description": "How many at most."},
    "$skiptoken": {"schema": {"type": "string"}, "description": "From an @odata.nextLink."},
    "$filter": {"schema": {"type": "string"}, "description": "activityDateTime ge 2026-01-31T00:00:00Z and ..."},
    "$orderby": {"schema": {"type": "string"}, "description": "activityDateTime asc or desc."},
    "$select": {"schema": {"type": "string"}, "description": "Names of properties, with commas."},
    "type": {"schema": {"type": "string", "enum": ["user", "group"]}, "description": "Only users, or only groups."},
}
ERROR = {"description": "Refused, in Microsoft Graph's form.", "content": {JSON: {"schema": {}}}}


def document(routes: Iterable[Route], given: Mapping[str, str]) -> dict[str, Any]:
    """`given` are examples of parameters: those that this app answers to."""
    routes = tuple(routes)
    types = list(dict.fromkeys([shapes.Error, *(each for r in routes for each in (r.takes, r.gives) if each)]))
    found, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas = dict(zip(types, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route, schemas, given)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Provisioning to ServiceNow",
            "version": VERSION,
            "description": "Microsoft Graph's synchronization API for this app's job, and what goes beyond it.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"entra": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route, schemas: Mapping[Any, Any], given: Mapping[str, str]) -> dict[str, Any]:
    first, _, more = inspect.cleandoc(route.handler.__doc__ or route.name).replace("\n", " ").partition(". ")
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH.get(name, name),
            "schema": {"type": "string", "minLength": 1},
            **({"example": given[name]} if name in given else {}),
        }
        for name in PARAMETER.findall(route.path)
    ]
    parameters += [{"name": name, "in": "query", **OPTIONS[name]} for name in route.options]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": first.rstrip(".") + ".",
        "parameters": parameters,
        "responses": {str(route.answers): _success(route, schemas), "4XX": _error(schemas), "5XX": _error(schemas)},
        "security": [] if route.role is None else [{"entra": [str(route.role)]}],
    }
    if more:
        operation["description"] = more
    if route.takes is not None:
        operation["requestBody"] = {"content": {JSON: {"schema": schemas[route.takes]}}}
    return operation


def _success(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    if route.gives is None:
        return {"description": "Done; there is nothing to say."}
    content: dict[str, Any] = {JSON: {"schema": schemas[route.gives]}}
    if route.text:
        content[route.text] = {"schema": {"type": "string"}}
    return {"description": "The answer.", "content": content}


def _error(schemas: Mapping[Any, Any]) -> dict[str, Any]:
    return {**ERROR, "content": {JSON: {"schema": schemas[shapes.Error]}}}
