"""Every error code that a log entry or a failed cycle can carry: what causes it, what mends it, and who can. Pure data.

The codes are Entra's where Entra has one. `passing` says that the same request may succeed later although nobody has
changed anything, so that it is worth a try in each cycle. Knows nothing of adapters and of particular records: what
happened to one of them stands in its own message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Owner = Literal["Entra administrator", "ServiceNow administrator", "operator", "nobody"]


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """`owner` is who can mend it; "nobody" has to act where it mends itself."""

    code: str
    cause: str
    fix: str
    owner: Owner
    passing: bool = False

    @property
    def advice(self) -> str:
        """As an entry of the log recommends it."""
        return self.fix if self.owner == "nobody" else f"{self.owner}: {self.fix}"


_CODES = (
    ErrorCode(
        "Conflict",
        "a value that must be unique in ServiceNow belongs to another record, perhaps an inactive one",
        "correct the value in Entra, or match on an attribute that finds the other record",
        "Entra administrator",
    ),
    ErrorCode(
        "InvalidLookupReference",
        "a reference names a record that ServiceNow does not have, or has several times, and the mapping fails then",
        "create the record or make its name unique; or let the mapping's reference policy omit it",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "EntryConflict",
        "every value that the mapping offers for a unique column is taken",
        "add another rule to SelectUniqueValue, or free one of the values",
        "Entra administrator",
    ),
    ErrorCode(
        "DuplicateSourceEntries",
        "several objects in Entra map to the same matching value",
        "give each object its own value; the first one keeps the account",
        "Entra administrator",
    ),
    ErrorCode(
        "DuplicateTargetEntries",
        "several records of ServiceNow hold the matching value",
        "keep one of the records, or match on another attribute",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "EntryJoiningPropertyValueIsMissing",
        "the matching attribute has no value for this object",
        "give the source attribute a value, or match on another attribute",
        "Entra administrator",
    ),
    ErrorCode(
        "MandatoryFieldsMissing",
        "ServiceNow demands a value that the mapping does not give",
        "give the source attribute a value, or the mapping a default",
        "Entra administrator",
    ),
    ErrorCode(
        "SchemaAttributeNotFound",
        "the mapping names a table or column that the instance does not have",
        "correct the target attribute, or create the column",
        "Entra administrator",
    ),
    ErrorCode(
        "SchemaPropertyCanOnlyAcceptValue",
        "the source attribute holds several values and the column takes one",
        "map one of the values, for example by an index",
        "Entra administrator",
    ),
    ErrorCode(
        "InvalidAttributeValue",
        "the mapped value does not fit its column",
        "correct the source attribute, or shorten or convert it in the mapping",
        "Entra administrator",
    ),
    ErrorCode(
        "ExpressionEvaluationFailed",
        "an expression of the mapping could not be evaluated for this object",
        "correct the expression or the source attribute",
        "Entra administrator",
    ),
    ErrorCode(
        "ScopingFilterFailed",
        "a clause of a scoping filter could not be evaluated for this object",
        "simplify the clause; until then the object is left as it is",
        "Entra administrator",
    ),
    ErrorCode(
        "UnableToResolveReferenceAttributeValue",
        "the object that a reference points to is not provisioned yet",
        "assign the object that is missing; the reference is written by itself when it appears",
        "Entra administrator",
        passing=True,
    ),
    ErrorCode(
        "InvalidAnchor",
        "the linked record does not exist any more, or access rules hide it",
        "let the integration user read the record; if it was deleted, the next evaluation matches it again",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "NotEffectivelyEntitled",
        "the object is not in scope: it is not assigned, is disabled, or a scoping filter excludes it",
        "assign the user or group to the application first, or change what excludes it, if it is to be in scope",
        "Entra administrator",
    ),
    ErrorCode(
        "ProtectedRecord",
        "the record is one that provisioning keeps its hands off",
        "name it in ALLOWED_ACCOUNTS or ALLOWED_GROUPS if it is to be managed, or link another record",
        "operator",
    ),
    ErrorCode(
        "RedundantExport",
        "both sides hold the same already",
        "nothing has to be done",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "ImportSkipped",
        "an input filter of the schema drops the object, or its mapping says that it is to be ignored",
        "change the input filter or the mapping, if the object is to be provisioned",
        "Entra administrator",
    ),
    ErrorCode(
        "TargetChanged",
        "others changed in ServiceNow what was written, and the drift policy leaves it as it is",
        "change it back in ServiceNow, change it in Entra, or set the drift policy to enforce",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "RemovalRejected",
        "a person has rejected what was to be done",
        "resync the object, if it is to be done after all",
        "operator",
    ),
    ErrorCode(
        "ManagedByAnotherJob",
        "another job on the same state and instance has linked the record first, and one record has one job",
        "take the object out of that job's scope, unlink it there or delete that job: this one then takes it over",
        "operator",
    ),
    ErrorCode(
        "NotPermitted",
        "a business rule of the instance, or the action settings of the mapping, forbid the write",
        "change the business rule that the message names",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "InsufficientRights",
        "the integration user, or the application in Entra, may not do this",
        "give the integration user a role that reads and writes the table, or the application its Graph permissions",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "SecurityAdminGroup",
        "the group carries the role security_admin, and only who holds that role elevated may change its members",
        "change the members in ServiceNow with elevated rights, take the role off the group, or exclude the group from "
        "the scope",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "MethodNotAllowed",
        "the table takes no web service writes",
        "allow web services to write to the table",
        "ServiceNow administrator",
    ),
    ErrorCode(
        "NotImplemented",
        "the instance has no such API",
        "check the address of the instance; activate the REST Table and Batch API",
        "operator",
    ),
    ErrorCode(
        "UnprocessableEntity",
        "the instance does not understand the values of this object",
        "check the values of this object at their source",
        "Entra administrator",
    ),
    ErrorCode(
        "Unauthorized",
        "Microsoft Entra ID does not accept the credentials of the application",
        "renew the client secret or the certificate, and check the consent",
        "operator",
    ),
    ErrorCode(
        "ServiceNowCredentialsValidation",
        "the instance does not accept the credentials",
        "correct the credentials, and see that the account is active and not locked out; then start the job",
        "operator",
    ),
    ErrorCode(
        "ServiceNowInstanceInvalid",
        "the instance cannot be reached, hibernates, was cloned over or restored, or something else answers for it",
        "check the address of the instance; if it is another one on purpose: run --accept-instance",
        "operator",
        passing=True,
    ),
    ErrorCode(
        "TooManyRequests",
        "the other side asks for a pause",
        "it is tried again by itself; if it lasts, raise the rate limit or give the job fewer slots",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "InternalServerError",
        "the other side reports an error of its own",
        "it is tried again in the next cycle; if it lasts, look into the system log of the instance at this time",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "InternalError",
        "something went wrong that is nobody's data",
        "it is tried again in the next cycle; report it if it lasts",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "WebExceptionProtocolError",
        "the connection broke in the middle of an answer",
        "it is tried again in the next cycle",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "ServiceUnavailable",
        "the app cannot read the keys of Entra's tokens, and so cannot tell who asks",
        "the request is refused; ask again in a minute",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "Timeout",
        "the other side took too long, or nobody knows whether a write took place",
        "the record is read again before anything else is sent; nothing has to be done",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "NotFound",
        "nothing in Entra answers to the name or id that was asked for",
        "give an object id, a user principal name, or the exact display name of a group",
        "operator",
    ),
    ErrorCode(
        "WatermarkExpired",
        "Microsoft Graph no longer knows the delta token of the last cycle",
        "everything is read anew by itself",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "LeaseLost",
        "another worker has the job",
        "the other worker goes on with the cycle",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "Restarted",
        "the job was restarted while a cycle ran",
        "the next cycle begins anew",
        "nobody",
        passing=True,
    ),
    ErrorCode(
        "ConfigError",
        "the configuration does not fit what the other side has",
        "correct the setting that the message names",
        "operator",
    ),
)
ERROR_CODES = {each.code: each for each in _CODES}


def is_passing(code: str) -> bool:
    """An unknown code is not: what nobody expects is not hammered at."""
    known = ERROR_CODES.get(code)
    return known is not None and known.passing


def advice_for(code: str) -> str:
    known = ERROR_CODES.get(code)
    return known.advice if known is not None else ""
