"""The service principal that instantiating a gallery application leaves behind, as the tenant's ServiceNow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .state import Tenant


def gallery_application(tenant: Tenant, roles: dict[str, str]) -> dict[str, Any]:
    """Its attributes; `roles` are the names of its app roles by id."""
    return {
        "appId": tenant.app_id,
        "displayName": "ServiceNow",
        "appDisplayName": "ServiceNow",
        "accountEnabled": True,
        "appRoleAssignmentRequired": True,
        "appOwnerOrganizationId": tenant.tenant_id,
        "servicePrincipalType": "Application",
        "servicePrincipalNames": [tenant.app_id],
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
        "appRoles": app_roles(roles),
    }


def app_roles(roles: dict[str, str], members: str = "User") -> list[dict[str, Any]]:
    """Roles that may be given to users and groups, or to applications, by id and name."""
    return [
        {
            "allowedMemberTypes": [members],
            "description": name,
            "displayName": name,
            "id": role_id,
            "isEnabled": True,
            "origin": "Application",
            "value": None,
        }
        for role_id, name in roles.items()
    ]
