"""Which source attributes there are: what Microsoft Graph gives of users and groups, what it cannot give and why. Knows
no mapping and asks nobody: Graph may have grown since, so that an unknown name is a warning.
"""

from __future__ import annotations

import difflib
import re

from provisioning.model import ObjectType
from provisioning.schema.findings import Report
from provisioning.schema.names import COMPUTED, GRAPH_PATHS, MEMBER_OF, graph_path

PATH = re.compile(r"\w+(\[\d+\])?(\.\w+(\[\d+\])?)*", re.ASCII)
EXTENSION = re.compile(r"\w*_\w*", re.ASCII)
"""Directory and schema extensions; no property of Graph's own has an underscore."""

USER_PROPERTIES = frozenset(
    """
    accountEnabled ageGroup assignedLicenses assignedPlans authorizationInfo businessPhones city companyName
    consentProvidedForMinor country createdDateTime creationType deletedDateTime department displayName
    employeeHireDate employeeId employeeLeaveDateTime employeeOrgData employeeType externalUserState
    externalUserStateChangeDateTime faxNumber givenName id identities identityParentId imAddresses
    isManagementRestricted isResourceAccount jobTitle lastPasswordChangeDateTime legalAgeGroupClassification
    licenseAssignmentStates mail mailNickname manager mobilePhone officeLocation onPremisesDistinguishedName
    onPremisesDomainName onPremisesExtensionAttributes onPremisesImmutableId onPremisesLastSyncDateTime
    onPremisesProvisioningErrors onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled
    onPremisesUserPrincipalName otherMails passwordPolicies postalCode preferredDataLocation preferredLanguage
    provisionedPlans proxyAddresses securityIdentifier serviceProvisioningErrors showInAddressList
    signInSessionsValidFromDateTime state streetAddress surname usageLocation userPrincipalName userType
    """.split()  # noqa: SIM905 - thirty lines of quotes read worse
)
GROUP_PROPERTIES = frozenset(
    """
    assignedLabels assignedLicenses classification createdDateTime deletedDateTime description displayName
    expirationDateTime groupTypes id isAssignableToRole isManagementRestricted licenseProcessingState mail mailEnabled
    mailNickname membershipRule membershipRuleProcessingState onPremisesDomainName onPremisesExtensionAttributes
    onPremisesLastSyncDateTime onPremisesNetBiosName onPremisesProvisioningErrors onPremisesSamAccountName
    onPremisesSecurityIdentifier onPremisesSyncEnabled organizationId preferredDataLocation preferredLanguage
    proxyAddresses renewedDateTime resourceBehaviorOptions resourceProvisioningOptions securityEnabled
    securityIdentifier serviceProvisioningErrors theme uniqueName visibility
    """.split()  # noqa: SIM905 - thirty lines of quotes read worse
)
BOOLEANS = frozenset({
    "IsSoftDeleted", "accountEnabled", "isAssignableToRole", "isManagementRestricted", "isResourceAccount",
    "mailEnabled", "onPremisesSyncEnabled", "securityEnabled", "showInAddressList",
})  # fmt: skip

NEVER_GIVEN = "Microsoft Graph never gives a password out"
NAVIGATION = "it is a relation to other objects, not an attribute"
PROFILE = "Microsoft Graph gives it for one user at a time only, not in the lists that a cycle reads"
UNREADABLE = {
    "passwordProfile": NEVER_GIVEN,
    "password": NEVER_GIVEN,
    "customSecurityAttributes": "custom security attributes are not provisioned, here as in Entra",
    "thumbnailPhoto": "photos are not provisioned, here as in Entra",
    "photo": "photos are not provisioned, here as in Entra",
    "signInActivity": "Microsoft Graph gives it outside of delta queries only",
    **dict.fromkeys(("directReports", "members", "owners", "transitiveMemberOf", "transitiveMembers"), NAVIGATION),
    **dict.fromkeys(
        (
            "aboutMe", "birthday", "deviceEnrollmentLimit", "hireDate", "interests", "mailboxSettings", "mySite",
            "pastProjects", "preferredName", "print", "responsibilities", "schools", "skills",
            "allowExternalSenders", "autoSubscribeNewMembers", "hideFromAddressLists", "hideFromOutlookClients",
            "isArchived", "isSubscribedByMail", "unseenCount",
        ),
        PROFILE,
    ),
}  # fmt: skip


def check_name(name: str, kind: ObjectType, where: str, report: Report) -> None:
    """Reports a name that cannot be read, or probably not."""
    path = graph_path(name)
    if not PATH.fullmatch(path):
        report.error(
            where,
            f"{name!r} is not the name of an attribute",
            "write a name as Entra has it, or a path such as employeeOrgData.division or businessPhones[0]",
        )
        return
    if name in COMPUTED:
        return
    first, _, rest = path.partition(".")
    first = first.partition("[")[0]
    if reason := UNREADABLE.get(first):
        report.error(where, f"{name} cannot be read: {reason}", "map another attribute, or remove this")
    elif first == "manager" and rest not in {"", "id"}:
        report.error(
            where,
            f"{name} cannot be read: of a manager Microsoft Graph's delta query gives the id only",
            "map manager to a reference column; it is resolved to the manager's own record",
        )
    elif first not in known(kind) and not EXTENSION.fullmatch(first):
        report.warning(
            where,
            f"{name} is no attribute of a {kind} that is known here; if Microsoft Graph does not know it either, it "
            "refuses every read",
            _suggestion(name, kind),
        )


def known(kind: ObjectType) -> frozenset[str]:
    return USER_PROPERTIES if kind == "user" else GROUP_PROPERTIES


def _suggestion(name: str, kind: ObjectType) -> str:
    names = {each.lower(): each for each in (*known(kind), *GRAPH_PATHS, *(COMPUTED - {MEMBER_OF}))}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean {names[near[0]]}?" if near else "compare with the attributes that the portal offers"
