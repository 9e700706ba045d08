"""`/_emulator`: what a test or a demonstration does behind the instance's back, without credentials and never counted.
Work as another person, faults, capacity, access, options, counts. Each handler is one call of the state object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.servicenow.errors import Refusal
from tests.emulators.servicenow.rate_rule import RateRule
from tests.emulators.servicenow.seed import seed_instance
from tests.emulators.servicenow.seed_pysnc import seed_pysnc

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from tests.emulators.servicenow.rows import Rows
    from tests.emulators.servicenow.state import Instance

PROFILES = {"company": seed_instance, "pysnc": seed_pysnc}

ROUTES = (
    ("GET", "", "overview"),
    ("POST", "/reset", "reset"),
    ("POST", "/seed", "seed"),
    ("POST", "/backup", "back_up"),
    ("POST", "/restore", "restore"),
    ("POST", "/clone", "clone"),
    ("GET", "/counts", "counts"),
    ("DELETE", "/counts", "forget_counts"),
    ("GET", "/records/{table}", "records"),
    ("POST", "/records/{table}", "insert"),
    ("PATCH", "/records/{table}/{sys_id}", "update"),
    ("DELETE", "/records/{table}/{sys_id}", "delete"),
    ("POST", "/tables", "add_table"),
    ("POST", "/columns/{table}", "add_column"),
    ("GET", "/capacity", "capacity"),
    ("PUT", "/capacity", "set_capacity"),
    ("PUT", "/service-times", "set_times"),
    ("PUT", "/competing-load", "set_competing_load"),
    ("PUT", "/grant", "set_grant"),
    ("POST", "/node-switch", "switch_node"),
    ("PUT", "/rate-rule", "set_rate_rule"),
    ("GET", "/faults", "faults"),
    ("POST", "/faults", "add_fault"),
    ("DELETE", "/faults", "clear_faults"),
    ("PATCH", "/switches", "set_switches"),
    ("PATCH", "/access", "set_access"),
    ("POST", "/acls", "add_acl"),
    ("PUT", "/properties", "set_properties"),
    ("PUT", "/credentials", "set_credentials"),
    ("PUT", "/api-keys", "set_api_keys"),
    ("PUT", "/oauth-clients", "set_client"),
    ("DELETE", "/tokens", "revoke_tokens"),
)

Body = dict[str, Any]
Handler = Callable[["HttpRequest", Body], Any]


def control_routes(instance: Instance) -> list[Route]:
    control = _Control(instance)
    routes = [
        Route(f"/_emulator{path}", _endpoint(getattr(control, handler)), methods=[method])
        for method, path, handler in ROUTES
    ]
    known = [f"{method} /_emulator{path}" for method, path, _ in ROUTES]

    async def unknown(request: HttpRequest) -> Response:
        return JSONResponse({"error": f"no such control: {request.method} {request.url.path}", "known": known}, 404)

    return [*routes, Route("/_emulator{rest:path}", unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]


def _endpoint(handler: Handler) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(request: HttpRequest) -> Response:
        try:
            body = await request.json() if await request.body() else {}
            return JSONResponse(handler(request, body))
        except Refusal as error:
            return JSONResponse({"error": str(error)}, error.status)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return endpoint


class _Control:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._backup: dict[str, Rows] | None = None

    def overview(self, _request: HttpRequest, _body: Body) -> Body:
        instance = self._instance
        return {
            "records": {name: instance.count(name) for name in instance.dictionary},
            "capacity": instance.capacity.measures(),
            "switches": dataclasses.asdict(instance.switches),
            "scripts": instance.scripts,
            "recent": list(instance.recent),
        }

    def reset(self, _request: HttpRequest, _body: Body) -> Body:
        self._instance.reset()
        return {}

    def back_up(self, _request: HttpRequest, _body: Body) -> Body:
        self._backup = self._instance.backup()
        return {}

    def restore(self, _request: HttpRequest, _body: Body) -> Body:
        if self._backup is None:
            raise Refusal(409, "there is no backup: POST /_emulator/backup first")
        self._instance.restore(self._backup)
        return {}

    def clone(self, _request: HttpRequest, body: Body) -> Body:
        """A freshly seeded instance is cloned over this one."""
        source = type(self._instance)(self._instance.now)
        PROFILES[body.pop("profile", "company")](source, **body)
        self._instance.clone_over(source)
        return {}

    def seed(self, _request: HttpRequest, body: Body) -> Body:
        PROFILES[body.pop("profile", "company")](self._instance, **body)
        return {}

    def counts(self, _request: HttpRequest, _body: Body) -> Body:
        statuses = {str(status): number for status, number in self._instance.statuses.items()}
        return {"requests": dict(self._instance.counts), "statuses": statuses}

    def forget_counts(self, _request: HttpRequest, _body: Body) -> Body:
        self._instance.counts.clear()
        self._instance.statuses.clear()
        return {}

    def records(self, request: HttpRequest, _body: Body) -> Any:
        return self._instance.rows(request.path_params["table"], request.query_params.get("query", ""))

    def insert(self, request: HttpRequest, body: Body) -> Body:
        by = body.pop("by", "another.person")
        return self._instance.insert(request.path_params["table"], body.get("fields", body), by=by)

    def update(self, request: HttpRequest, body: Body) -> Body:
        by = body.pop("by", "another.person")
        table, sys_id = request.path_params["table"], request.path_params["sys_id"]
        return self._instance.update(table, sys_id, body.get("fields", body), by=by)

    def delete(self, request: HttpRequest, _body: Body) -> Body:
        self._instance.delete(request.path_params["table"], request.path_params["sys_id"])
        return {}

    def add_column(self, request: HttpRequest, body: Body) -> Body:
        self._instance.add_column(request.path_params["table"], **body)
        return {}

    def add_table(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.add_table(**body)
        return {}

    def capacity(self, _request: HttpRequest, _body: Body) -> Body:
        return self._instance.capacity.measures()

    def set_capacity(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.capacity.set(**body)
        return self._instance.capacity.measures()

    def set_times(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.capacity.set_times(**body)
        return self._instance.capacity.measures()

    def set_competing_load(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.capacity.occupy(body["slots"])
        return self._instance.capacity.measures()

    def set_grant(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.capacity.grant(body["calls"])
        return self._instance.capacity.measures()

    def switch_node(self, _request: HttpRequest, _body: Body) -> Body:
        self._instance.switch_node()
        return {}

    def set_rate_rule(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.rate_rule = RateRule(**body) if body else None
        return {}

    def faults(self, _request: HttpRequest, _body: Body) -> Any:
        return [dataclasses.asdict(fault) for fault in self._instance.faults.planned]

    def add_fault(self, _request: HttpRequest, body: Body) -> Body:
        return dataclasses.asdict(self._instance.faults.add(**body))

    def clear_faults(self, _request: HttpRequest, _body: Body) -> Body:
        self._instance.faults.clear()
        return {}

    def set_switches(self, _request: HttpRequest, body: Body) -> Body:
        for name, value in body.items():
            self._instance.switches.set(name, value)
        return dataclasses.asdict(self._instance.switches)

    def set_access(self, _request: HttpRequest, body: Body) -> Body:
        for name, value in body.items():
            self._instance.access.set(name, value)
        return {}

    def add_acl(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.acls.add(**body)
        return {}

    def set_properties(self, _request: HttpRequest, body: Body) -> Body:
        for name, value in body.items():
            self._instance.set_property(name, value)
        return {}

    def set_credentials(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.accounts.passwords.update(body)
        return {}

    def set_api_keys(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.accounts.api_keys.update(body)
        return {}

    def set_client(self, _request: HttpRequest, body: Body) -> Body:
        self._instance.accounts.add_client(**body)
        return {}

    def revoke_tokens(self, _request: HttpRequest, _body: Body) -> Body:
        self._instance.accounts.revoke_tokens()
        return {}
