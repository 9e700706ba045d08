"""The shapes of what the API takes and gives: Microsoft Graph's types as far as this app fills them, and its own. What
is taken is read by them, what is given is checked against them by the tests, and the OpenAPI document is made of them.
Knows no value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

Text = str | None
Open = dict[str, Any]
Context = TypedDict("Context", {"@odata.context": str}, total=False)
Linked = TypedDict("Linked", {"@odata.context": str, "@odata.nextLink": str}, total=False)
PlanId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="As plan and run print it.")]


# --- The job -------------------------------------------------------------------------------------


class SyncError(TypedDict):
    code: Text
    message: Text
    tenantActionable: bool


class Execution(TypedDict):
    activityIdentifier: str
    countEntitled: int
    countEntitledForProvisioning: int
    countEscrowed: int
    countEscrowedRaw: int
    countExported: int
    countExports: int
    countImported: int
    countImportedDeltas: int
    countImportedReferenceDeltas: int
    error: SyncError | None
    state: Literal["Succeeded", "Failed", "EntryLevelErrors"]
    timeBegan: str
    timeEnded: str


class Quarantine(TypedDict):
    currentBegan: str
    error: SyncError | None
    nextAttempt: str
    reason: str
    seriesBegan: str
    seriesCount: int


class Progress(TypedDict):
    completedUnits: int
    progressObservationDateTime: str
    totalUnits: int
    units: str


class Counted(TypedDict):
    key: str
    value: int


class Schedule(TypedDict):
    expiration: Text
    interval: str
    state: Literal["Active", "Disabled", "Paused"]


class Status(TypedDict):
    code: Literal["NotConfigured", "NotRun", "Active", "Paused", "Quarantine"]
    countSuccessiveCompleteFailures: int
    escrowsPruned: bool
    lastExecution: Execution | None
    lastSuccessfulExecution: Execution | None
    lastSuccessfulExecutionWithExports: Execution | None
    progress: list[Progress]
    quarantine: Quarantine | None
    steadyStateFirstAchievedTime: str
    steadyStateLastAchievedTime: str
    synchronizedEntryCountByType: list[Counted]
    troubleshootingUrl: Text


class NameValue(TypedDict):
    name: str
    value: Text


class SynchronizationJob(Context, total=False):
    id: str
    templateId: str
    schedule: Schedule
    status: Status
    synchronizationJobSettings: list[NameValue]


class SynchronizationJobs(Linked):
    value: list[SynchronizationJob]


class Executions(Linked):
    value: list[Execution]


class NewJob(TypedDict, total=False):
    templateId: Text


class RestartCriteria(TypedDict, total=False):
    resetScope: Text


class Restart(TypedDict, total=False):
    criteria: RestartCriteria | None


# --- Credentials, settings -----------------------------------------------------------------------


class Secret(TypedDict, total=False):
    key: Text
    value: Text


class Secrets(TypedDict):
    value: list[Secret]


class CredentialsToTry(TypedDict, total=False):
    applicationIdentifier: Text
    templateId: Text
    useSavedCredentials: bool | None
    credentials: list[Secret | None] | None


# --- The schema ----------------------------------------------------------------------------------


class SynchronizationSchema(Context, total=False):
    id: Text
    version: Text
    synchronizationRules: list[Open] | None
    directories: list[Open] | None


class Parameter(TypedDict):
    name: str
    type: str
    required: bool
    allowMultipleOccurrences: bool


class FunctionSchema(TypedDict):
    name: str
    parameters: list[Parameter]


class Functions(Linked):
    value: list[FunctionSchema]


class OperatorSchema(TypedDict):
    name: str
    arity: Literal["Binary", "Unary"]
    multivaluedComparisonType: Literal["All", "Any"]
    supportedAttributeTypes: list[Literal["String", "Integer", "Reference", "Binary", "Boolean", "DateTime"]]


class Operators(Linked):
    value: list[OperatorSchema]


class InputProperty(TypedDict, total=False):
    key: Text
    value: Any


class InputObject(TypedDict, total=False):
    definition: Open | None
    properties: list[InputProperty] | None


class ExpressionToParse(TypedDict, total=False):
    expression: Text
    testInputObject: InputObject | None
    targetAttributeDefinition: Open | None


class ExpressionProblem(TypedDict):
    code: str
    message: str


class ParsedExpression(Context):
    parsingSucceeded: bool
    evaluationSucceeded: bool
    evaluationResult: list[str]
    parsedExpression: Open | None
    error: ExpressionProblem | None


class Template(Context, total=False):
    id: str
    applicationId: str
    default: bool
    description: Text
    discoverable: bool
    factoryTag: str
    metadata: list[Secret]
    schema: SynchronizationSchema


class Templates(Linked):
    value: list[Template]


class Directory(Context, total=False):
    id: str
    name: str
    discoverabilities: str
    discoveryDateTime: Text
    readOnly: bool
    version: Text
    objects: list[Open]


# --- Objects and logs ----------------------------------------------------------------------------


class Subject(TypedDict, total=False):
    objectId: Text
    objectTypeName: Text
    links: Open | None


class ApplicationParameters(TypedDict, total=False):
    ruleId: Text
    subjects: list[Subject] | None


class OnDemand(TypedDict):
    parameters: list[ApplicationParameters]


class StringPair(TypedDict):
    key: str
    value: str


class Connection(TypedDict):
    objectId: str
    sourceAnchor: str
    targetAnchor: Text
    displayName: Text
    objectTypeName: str


class Connections(Linked):
    value: list[Connection]


class LogEntry(TypedDict):
    id: str
    activityDateTime: str
    changeId: str
    cycleId: str
    durationInMilliseconds: int
    initiatedBy: Open
    jobId: str
    modifiedProperties: list[Open]
    provisioningAction: Literal["other", "create", "delete", "disable", "update", "stagedDelete"]
    provisioningStatusInfo: Open
    provisioningSteps: list[Open]
    servicePrincipal: Open
    sourceIdentity: Open
    sourceSystem: Open
    targetIdentity: Open
    targetSystem: Open
    tenantId: str


class LogEntries(Linked):
    value: list[LogEntry]


class AuditEntries(Linked):
    value: list[Open]


# --- Beyond Microsoft ----------------------------------------------------------------------------


class Health(TypedDict):
    status: str


class PlannedChange(TypedDict, total=False):
    object: Literal["user", "group", "member"]
    id: str
    name: Text
    action: Literal["create", "update", "disable", "delete"]
    held: bool
    sysId: Text
    fields: Open
    reasons: list[str]
    match: Open
    awaits: Any
    missing: list[Open]
    warnings: Any


class StoredPlan(Linked):
    planId: Text
    cycleId: Text
    held: Open | None
    ruling: Open | None
    value: list[PlannedChange]


class PlanToMake(TypedDict, total=False):
    schema: Open | None


class DryRun(Context):
    planId: Text
    kind: Literal["initial", "incremental"]
    counts: dict[str, dict[str, int]]
    held: Open | None
    rejected: dict[str, int]
    halted: Text
    failures: list[Open]
    graphRequests: int
    servicenowRequests: int
    seconds: float
    more: bool
    value: list[PlannedChange]


class RulingToMake(TypedDict):
    planId: PlanId


class Ruling(TypedDict):
    planId: str
    approves: bool
    by: str
    at: str
    expires: str


class ObjectToExplain(TypedDict, total=False):
    object: str
    members: list[str] | None


class Explanation(Context):
    object: str
    name: str
    held: Text
    value: list[LogEntry]


class ResyncOrder(TypedDict, total=False):
    object: str
    filter: list[str]


class Resynced(TypedDict, total=False):
    type: Literal["user", "group"]
    id: str
    rejected: int
    users: int


class LinkOfObject(Context, total=False):
    objectId: str
    objectTypeName: str
    sourceAnchor: str
    targetAnchor: Text
    displayName: Text
    state: str
    origin: Text
    enabled: bool | None
    lifecycle: Text
    lifecycleSince: Text
    generation: int
    failure: Text
    managedBy: Text
    grants: list[str]
    manager: Text
    memberships: list[Open]


class Links(Linked):
    value: list[LinkOfObject]


class Waiting(TypedDict, total=False):
    type: str
    id: str
    name: Text
    group: str
    groupName: Text
    missing: str
    missingName: Text
    table: str


class WaitingReferences(Context):
    more: bool
    value: list[Waiting]


class Sample(TypedDict):
    name: str
    labels: dict[str, str]
    value: float


class Metrics(TypedDict):
    value: list[Sample]


class Problem(TypedDict):
    code: str
    message: str
    innerError: Open


class Error(TypedDict):
    error: Problem
