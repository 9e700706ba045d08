"""The JSON of directory objects: which properties exist, which come unasked, and how an object looks in
a list, in a mixed collection and as an assignment row. It reads the state and decides nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .messages import GraphError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .records import Assignment, DirectoryObject
    from .state import Tenant

_USER = """
accountEnabled ageGroup assignedLicenses assignedPlans authorizationInfo businessPhones city companyName
consentProvidedForMinor country createdDateTime creationType customSecurityAttributes deletedDateTime department
displayName employeeHireDate employeeId employeeLeaveDateTime employeeOrgData employeeType externalUserState
externalUserStateChangeDateTime faxNumber givenName id identities imAddresses isManagementRestricted
isResourceAccount jobTitle lastPasswordChangeDateTime legalAgeGroupClassification licenseAssignmentStates mail
mailNickname mobilePhone officeLocation onPremisesDistinguishedName onPremisesDomainName
onPremisesExtensionAttributes onPremisesImmutableId onPremisesLastSyncDateTime onPremisesProvisioningErrors
onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName otherMails
passwordPolicies passwordProfile postalCode preferredDataLocation preferredLanguage provisionedPlans proxyAddresses
securityIdentifier serviceProvisioningErrors showInAddressList signInActivity signInSessionsValidFromDateTime state
streetAddress surname usageLocation userPrincipalName userType
"""
_GROUP = """
assignedLabels assignedLicenses classification createdDateTime deletedDateTime description displayName
expirationDateTime groupTypes hasMembersWithLicenseErrors id isAssignableToRole isManagementRestricted
licenseProcessingState mail mailEnabled mailNickname membershipRule membershipRuleProcessingState
onPremisesDomainName onPremisesExtensionAttributes onPremisesLastSyncDateTime onPremisesNetBiosName
onPremisesProvisioningErrors onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled
preferredDataLocation preferredLanguage proxyAddresses renewedDateTime resourceBehaviorOptions
resourceProvisioningOptions securityEnabled securityIdentifier serviceProvisioningErrors theme uniqueName visibility
"""
_SERVICE_PRINCIPAL = """
accountEnabled addIns alternativeNames appDescription appDisplayName appId appOwnerOrganizationId
appRoleAssignmentRequired appRoles applicationTemplateId createdDateTime customSecurityAttributes deletedDateTime
description disabledByMicrosoftStatus displayName homepage id info keyCredentials loginUrl logoutUrl notes
notificationEmailAddresses oauth2PermissionScopes passwordCredentials preferredSingleSignOnMode
preferredTokenSigningKeyThumbprint replyUrls resourceSpecificApplicationPermissions samlSingleSignOnSettings
servicePrincipalNames servicePrincipalType signInAudience tags tokenEncryptionKeyId verifiedPublisher
"""
KNOWN: dict[str, frozenset[str]] = {
    "user": frozenset(_USER.split()),
    "group": frozenset(_GROUP.split()),
    "servicePrincipal": frozenset(_SERVICE_PRINCIPAL.split()),
    "device": frozenset({"id", "deletedDateTime", "accountEnabled", "deviceId", "displayName", "operatingSystem"}),
    "appRoleAssignment": frozenset(
        {
            "appRoleId",
            "createdDateTime",
            "deletedDateTime",
            "id",
            "principalDisplayName",
            "principalId",
            "principalType",
            "resourceDisplayName",
            "resourceId",
        }
    ),
}
KNOWN["directoryObject"] = frozenset().union(*KNOWN.values())
# These live in SharePoint or Exchange: a single user can be asked for them, a directory list cannot.
KEPT_OUTSIDE = frozenset(
    {
        "aboutMe",
        "birthday",
        "hireDate",
        "interests",
        "mailboxSettings",
        "mySite",
        "pastProjects",
        "photo",
        "preferredName",
        "responsibilities",
        "schools",
        "skills",
    }
)
DEFAULT: dict[str, tuple[str, ...]] = {
    "user": (
        "businessPhones",
        "displayName",
        "givenName",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
        "id",
    ),
    "group": (
        "id",
        "deletedDateTime",
        "classification",
        "createdDateTime",
        "description",
        "displayName",
        "expirationDateTime",
        "groupTypes",
        "isAssignableToRole",
        "mail",
        "mailEnabled",
        "mailNickname",
        "membershipRule",
        "membershipRuleProcessingState",
        "onPremisesDomainName",
        "onPremisesLastSyncDateTime",
        "onPremisesNetBiosName",
        "onPremisesSamAccountName",
        "onPremisesSecurityIdentifier",
        "onPremisesSyncEnabled",
        "preferredDataLocation",
        "preferredLanguage",
        "proxyAddresses",
        "renewedDateTime",
        "resourceBehaviorOptions",
        "resourceProvisioningOptions",
        "securityEnabled",
        "securityIdentifier",
        "theme",
        "uniqueName",
        "visibility",
    ),
    "servicePrincipal": tuple(sorted(KNOWN["servicePrincipal"] - {"customSecurityAttributes"})),
    "device": ("id", "accountEnabled", "deviceId", "displayName", "operatingSystem"),
}
_EXTENSION = re.compile(r"extension_[0-9a-fA-F]{32}_\w+")
_COLLECTIONS = frozenset(
    {
        "addIns",
        "alternativeNames",
        "appRoles",
        "assignedLicenses",
        "assignedPlans",
        "businessPhones",
        "groupTypes",
        "identities",
        "imAddresses",
        "keyCredentials",
        "notificationEmailAddresses",
        "oauth2PermissionScopes",
        "onPremisesProvisioningErrors",
        "otherMails",
        "passwordCredentials",
        "provisionedPlans",
        "proxyAddresses",
        "replyUrls",
        "resourceBehaviorOptions",
        "resourceProvisioningOptions",
        "resourceSpecificApplicationPermissions",
        "servicePrincipalNames",
        "serviceProvisioningErrors",
        "tags",
    }
)
_EXTENSION_ATTRIBUTES = tuple(f"extensionAttribute{number}" for number in range(1, 16))


def is_extension(name: str) -> bool:
    """A directory extension property: extension_<app id without dashes>_<name>."""
    return _EXTENSION.fullmatch(name) is not None


def check_select(names: Iterable[str], kind: str, *, also: frozenset[str] = frozenset()) -> None:
    """Refuse what the type does not have; `also` are relationships that may be selected here."""
    known = KNOWN[kind]
    for name in names:
        if name in known or name in also or is_extension(name):
            continue
        if name in KEPT_OUTSIDE and kind == "user":
            raise GraphError(501, "NotImplemented", "This operation target is not yet supported.")
        raise GraphError(
            400,
            "BadRequest",
            "Parsing OData Select and Expand failed: Could not find a property named "
            f"'{name}' on type 'microsoft.graph.{kind}'.",
        )


def value_of(item: DirectoryObject, name: str) -> Any:
    if name == "id":
        return item.id
    if name == "deletedDateTime":
        return None if item.deleted_at is None else timestamp(item.deleted_at)
    value = item.attributes.get(name)
    if name == "onPremisesExtensionAttributes" and value is not None:
        return {key: value.get(key) for key in _EXTENSION_ATTRIBUTES}
    if value is None and name in _COLLECTIONS:
        return []
    return value


def full(item: DirectoryObject, select: Iterable[str] | None) -> dict[str, Any]:
    """The object as lists and single reads show it: what was never set is null."""
    return {name: value_of(item, name) for name in select or DEFAULT[item.type]}


def typed(item: DirectoryObject, select: Iterable[str] | None, *, readable: bool = True) -> dict[str, Any]:
    """The object in a mixed collection. Of a type that the app may not read only the id is shown."""
    body: dict[str, Any] = {"@odata.type": f"#microsoft.graph.{item.type}"}
    if readable:
        names = [name for name in select if name in KNOWN[item.type]] if select else None
        return body | full(item, names or (("id",) if select else None))
    body["id"] = item.id
    return body | {name: None for name in select or DEFAULT[item.type] if name != "id"}


def assignment(tenant: Tenant, row: Assignment) -> dict[str, Any]:
    resource = tenant.objects[row.resource_id]
    return {
        "id": row.id,
        "deletedDateTime": None,
        "appRoleId": row.role_id,
        "createdDateTime": timestamp(row.created_at),
        "principalDisplayName": row.principal_name,
        "principalId": row.principal_id,
        "principalType": row.principal_type,
        "resourceDisplayName": resource.attributes.get("displayName"),
        "resourceId": row.resource_id,
    }


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
