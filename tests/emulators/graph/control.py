"""The control API under /_emulator: change the tenant, plan faults, read and reset the counts. It asks for
no token and never counts itself. A thin door: each route is one method of the tenant's Python API.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from .behaviour import EFFECTS, LEAST_PERMISSIONS, Behaviour
from .records import TenantError, UnknownObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from .records import DirectoryObject
    from .service import GraphService
    from .sign_in import SignIn
    from .state import Tenant

_TUNABLE = {entry.name for entry in dataclasses.fields(Behaviour)} - {"faults"}


def control_routes(service: GraphService, sign_in: SignIn, seed: Callable[..., Any]) -> list[Route]:
    """The routes; `seed` fills a tenant and is handed in, because it lives above this package."""
    control = _Control(service, sign_in, seed)
    table = (
        ("GET", "/counts", control.counts),
        ("DELETE", "/counts", control.reset_counts),
        ("GET", "/state", control.state),
        ("POST", "/reset", control.reset),
        ("POST", "/seed", control.seed),
        ("GET", "/faults", control.list_faults),
        ("POST", "/faults", control.add_fault),
        ("DELETE", "/faults", control.clear_faults),
        ("PATCH", "/behaviour", control.tune),
        ("POST", "/settle", control.settle),
        ("POST", "/tokens/revoke", control.revoke),
        ("GET", "/mail", control.sent_mail),
        ("DELETE", "/mail", control.forget_mail),
        ("POST", "/users", control.add_user),
        ("GET", "/users/{user}", control.show_user),
        ("PATCH", "/users/{user}", control.update_user),
        ("DELETE", "/users/{user}", control.delete_user),
        ("PUT", "/users/{user}/manager", control.set_manager),
        ("POST", "/users/{user}/restore", control.restore_user),
        ("POST", "/users/{user}/purge", control.purge_user),
        ("POST", "/groups", control.add_group),
        ("GET", "/groups/{group}", control.show_group),
        ("PATCH", "/groups/{group}", control.update_group),
        ("DELETE", "/groups/{group}", control.delete_group),
        ("POST", "/groups/{group}/restore", control.restore_group),
        ("POST", "/groups/{group}/purge", control.purge_group),
        ("POST", "/groups/{group}/members", control.add_member),
        ("DELETE", "/groups/{group}/members/{member}", control.remove_member),
        ("POST", "/assignments", control.assign),
        ("DELETE", "/assignments/{assignment}", control.unassign),
        ("DELETE", "/principals/{principal}/assignments", control.unassign_principal),
    )
    return [Route(f"/_emulator{path}", _guarded(handler), methods=[method]) for method, path, handler in table]


def _guarded(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            body = await handler(request)
            return JSONResponse({} if body is None else body)
        except UnknownObject as error:
            return JSONResponse({"error": str(error)}, 404)
        except (TenantError, ValueError, TypeError, KeyError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    if not await request.body():
        return {}
    body = await request.json()
    if not isinstance(body, dict):
        raise TypeError("the body must be a JSON object")
    return body


class _Control:
    def __init__(self, service: GraphService, sign_in: SignIn, seed: Callable[..., Any]) -> None:
        self.service = service
        self.sign_in = sign_in
        self.fill = seed

    @property
    def tenant(self) -> Tenant:
        return self.service.tenant

    # The emulator

    async def counts(self, _: Request) -> dict[str, int]:
        return dict(self.tenant.counts)

    async def reset_counts(self, _: Request) -> None:
        self.tenant.counts.clear()

    async def state(self, _: Request) -> dict[str, Any]:
        tenant = self.tenant
        return {
            "tenantId": tenant.tenant_id,
            "servicePrincipalId": tenant.service_principal_id,
            "appId": tenant.app_id,
            "users": len(tenant.users),
            "groups": len(tenant.groups),
            "deletedUsers": len(tenant.deleted_users),
            "deletedGroups": len(tenant.deleted_groups),
            "assignments": len(tenant.assignments),
            "sequence": tenant.sequence,
        }

    async def reset(self, _: Request) -> None:
        self.tenant.clear()
        self.tenant.counts.clear()
        self.tenant.behaviour = Behaviour()
        self.service.meter.reset()

    async def seed(self, request: Request) -> dict[str, Any]:
        options = await _body(request)
        self.tenant.clear(seed=int(options.get("seed", 1)))
        self.fill(self.tenant, **options)
        return await self.state(request)

    async def list_faults(self, _: Request) -> list[dict[str, Any]]:
        names = {effect: name for name, effect in EFFECTS.items()}
        return [
            {"effect": names[type(fault.effect)], "kind": fault.kind, "times": fault.times, "after": fault.after}
            | dataclasses.asdict(fault.effect)
            for fault in self.tenant.behaviour.faults.waiting
        ]

    async def add_fault(self, request: Request) -> None:
        body = await _body(request)
        effect = EFFECTS[body.pop("effect")]
        kind, times, after = body.pop("kind", "*"), int(body.pop("times", 1)), int(body.pop("after", 0))
        self.tenant.behaviour.faults.add(effect(**body), kind, times=times, after=after)

    async def clear_faults(self, _: Request) -> None:
        self.tenant.behaviour.faults.clear()

    async def tune(self, request: Request) -> None:
        for name, value in (await _body(request)).items():
            if name not in _TUNABLE:
                raise KeyError(name)
            chosen = frozenset(LEAST_PERMISSIONS if value is None else value) if name == "permissions" else value
            setattr(self.tenant.behaviour, name, chosen)

    async def settle(self, _: Request) -> None:
        self.tenant.settle()

    async def revoke(self, _: Request) -> None:
        self.sign_in.revoke()

    async def sent_mail(self, _: Request) -> list[dict[str, Any]]:
        return self.tenant.sent_mail

    async def forget_mail(self, _: Request) -> None:
        self.tenant.sent_mail.clear()

    # Users

    async def add_user(self, request: Request) -> dict[str, Any]:
        body = await _body(request)
        manager = body.pop("managerId", None)
        user_id = self.tenant.add_user(**body)
        if manager is not None:
            self.tenant.set_manager(user_id, self._user(manager))
        return {"id": user_id}

    async def show_user(self, request: Request) -> dict[str, Any]:
        found = self._found(self._user(request.path_params["user"]))
        groups = list(self.tenant.groups_of.get(found.id, ()))
        return _shown(found) | {"managerId": found.manager, "groups": groups}

    async def update_user(self, request: Request) -> None:
        self.tenant.update_user(self._user(request.path_params["user"]), **await _body(request))

    async def delete_user(self, request: Request) -> None:
        self.tenant.delete_user(self._user(request.path_params["user"]))

    async def set_manager(self, request: Request) -> None:
        manager = (await _body(request)).get("managerId")
        chosen = self._user(manager) if manager is not None else None
        self.tenant.set_manager(self._user(request.path_params["user"]), chosen)

    async def restore_user(self, request: Request) -> None:
        self.tenant.restore_user(request.path_params["user"].lower())

    async def purge_user(self, request: Request) -> None:
        self.tenant.purge_user(self._user(request.path_params["user"]))

    # Groups

    async def add_group(self, request: Request) -> dict[str, Any]:
        return {"id": self.tenant.add_group(**await _body(request))}

    async def show_group(self, request: Request) -> dict[str, Any]:
        found = self._found(request.path_params["group"])
        return _shown(found) | {"members": list(found.members)}

    async def update_group(self, request: Request) -> None:
        self.tenant.update_group(request.path_params["group"], **await _body(request))

    async def delete_group(self, request: Request) -> None:
        flag = request.query_params.get("permanently")
        permanently = None if flag is None else flag.lower() == "true"
        self.tenant.delete_group(request.path_params["group"], permanently=permanently)

    async def restore_group(self, request: Request) -> None:
        self.tenant.restore_group(request.path_params["group"])

    async def purge_group(self, request: Request) -> None:
        self.tenant.purge_group(request.path_params["group"])

    async def add_member(self, request: Request) -> None:
        member = self._user((await _body(request))["memberId"])
        self.tenant.add_member(request.path_params["group"], member)

    async def remove_member(self, request: Request) -> None:
        self.tenant.remove_member(request.path_params["group"], self._user(request.path_params["member"]))

    # Assignments

    async def assign(self, request: Request) -> dict[str, Any]:
        body = await _body(request)
        return {"id": self.tenant.assign(self._user(body["principalId"]), body.get("appRoleId"))}

    async def unassign(self, request: Request) -> None:
        self.tenant.unassign(request.path_params["assignment"])

    async def unassign_principal(self, request: Request) -> None:
        self.tenant.unassign_principal(self._user(request.path_params["principal"]))

    def _user(self, id_or_upn: str) -> str:
        """The id: people at the keyboard know users by their UPN."""
        found = self.tenant.user(id_or_upn)
        return found.id if found is not None else id_or_upn.lower()

    def _found(self, object_id: str) -> DirectoryObject:
        found = self.tenant.objects.get(object_id)
        if found is None:
            raise UnknownObject(f"no object {object_id}")
        return found


def _shown(found: DirectoryObject) -> dict[str, Any]:
    return {"id": found.id, "deleted": found.deleted_at is not None} | found.attributes


async def unknown_control(request: Request) -> Response:
    raise HTTPException(404, f"the control API has no {request.method} {request.url.path}")
