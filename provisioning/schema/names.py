"""Source attribute names: Entra's schemas speak the old Azure AD Graph, Microsoft Graph v1.0 has newer names; some
attributes are no property of Graph at all but computed here.
"""

from __future__ import annotations

IS_SOFT_DELETED = "IsSoftDeleted"
"""True for an object that is unassigned, filtered out, disabled or deleted."""
ROLES = "appRoleAssignments"
"""The app roles that give a user access, as {"id", "value", "displayName"}."""
MEMBER_OF = "memberOf"
"""Of the groups that a filter names, those that the object is a direct member of."""
ORIGINAL_NAME = "originalUserPrincipalName"
"""Entra's name for a guest's whole user principal name; `userPrincipalName` means the one they have at home."""
OBJECT_FILTER = "objectFilter"
"""The pseudo target of Microsoft's `IgnoreObjectFlow`: no column; its result only says whether to skip the object."""

COMPUTED = frozenset({IS_SOFT_DELETED, ROLES, MEMBER_OF})
GRAPH_PATHS = {
    "objectId": "id",
    "mobile": "mobilePhone",
    "telephoneNumber": "businessPhones[0]",
    "physicalDeliveryOfficeName": "officeLocation",
    "facsimileTelephoneNumber": "faxNumber",
    "dirSyncEnabled": "onPremisesSyncEnabled",
    "lastDirSyncTime": "onPremisesLastSyncDateTime",
    "immutableId": "onPremisesImmutableId",
    "sipProxyAddress": "imAddresses[0]",
    "costCenter": "employeeOrgData.costCenter",
    "division": "employeeOrgData.division",
    "userState": "externalUserState",
    "userStateChangedOn": "externalUserStateChangeDateTime",
    "refreshTokensValidFromDateTime": "signInSessionsValidFromDateTime",
    "deletionTimestamp": "deletedDateTime",
    ORIGINAL_NAME: "userPrincipalName",
    **{f"extensionAttribute{n}": f"onPremisesExtensionAttributes.extensionAttribute{n}" for n in range(1, 16)},
}


def graph_path(name: str) -> str:
    """The Graph v1.0 path of a source attribute; names that did not change, and directory extensions, stay."""
    return GRAPH_PATHS.get(name, name)


def select_name(name: str) -> str | None:
    """The top-level Graph property that holds a source attribute, as `$select` wants it; None for a computed one."""
    if name in COMPUTED:
        return None
    return graph_path(name).split(".", 1)[0].split("[", 1)[0]
