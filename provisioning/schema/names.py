"""Source attribute names: Entra's schemas speak the old Azure AD Graph, Microsoft Graph v1.0 has newer names."""

from __future__ import annotations

GRAPH_PATHS = {
    "objectId": "id",
    "mobile": "mobilePhone",
    "telephoneNumber": "businessPhones[0]",
    "physicalDeliveryOfficeName": "officeLocation",
    "facsimileTelephoneNumber": "faxNumber",
    "dirSyncEnabled": "onPremisesSyncEnabled",
    "costCenter": "employeeOrgData.costCenter",
    "division": "employeeOrgData.division",
    "members": "members",
    **{f"extensionAttribute{n}": f"onPremisesExtensionAttributes.extensionAttribute{n}" for n in range(1, 16)},
}


def graph_path(name: str) -> str:
    """The Graph v1.0 path of a source attribute; names that did not change, and directory extensions, stay."""
    return GRAPH_PATHS.get(name, name)
