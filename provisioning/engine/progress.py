"""A cycle's progress and its steps: the data that `cycle.advance` turns over and that survives a crash."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from provisioning.model import Lane, ObjectType
from provisioning.rules.instance import Ended
from provisioning.rules.restart import ResetScope

Phase = Literal[
    "begin",
    "reset",
    "tokens",
    "groups",
    "assignments",
    "compare",
    "users",
    "waiting",
    "changes",
    "sweep groups",
    "decide groups",
    "sweep people",
    "decide leavers",
    "decide people",
    "decide memberships",
    "review",
    "act leavers",
    "act removals",
    "act users",
    "act groups",
    "act memberships",
    "finish",
]


class Reset(Struct, frozen=True, tag=True):
    """Forget what a restart wants forgotten, before anything is read."""

    scopes: tuple[ResetScope, ...]


class OpenTokens(Struct, frozen=True, tag=True):
    """Ask Graph for delta tokens that mean "from now", before anything is read."""


class ReadDelta(Struct, frozen=True, tag=True, omit_defaults=True):
    """Read delta pages from `link` on; without one, everything there is."""

    type_: ObjectType
    link: str | None = None


class ReadAssignments(Struct, frozen=True, tag=True, omit_defaults=True):
    """Read pages of appRoleAssignedTo into the list `generation`, from page number `page` on."""

    generation: str
    link: str | None = None
    page: int = 0


class CompareAssignments(Struct, frozen=True, tag=True, omit_defaults=True):
    """Stage the differences between two lists of assignments. `access` identifies the application's roles as they were
    when everybody was last evaluated; "" while that is being done.
    """

    old: str
    new: str
    refresh: bool = False
    access: str = ""


class StageWaiting(Struct, frozen=True, tag=True):
    """Stage what is due again: failures, held removals, references whose target may exist by now. Drops the list of
    assignments that is no longer needed.
    """

    discard: str


class ReadChanges(Struct, frozen=True, tag=True, omit_defaults=True):
    """Read the records that others updated in ServiceNow since a time (seconds since 1970), from the position `after`
    on.
    """

    type_: ObjectType
    since: float
    after: str = ""


class Compare(Struct, frozen=True, tag=True, omit_defaults=True):
    """Stage all that is managed in some bins, to be compared with both sides; goes on behind the id `after` of the
    partition `nibble`.
    """

    type_: ObjectType
    first: str
    last: str
    nibble: str = ""
    after: str = ""


class Sweep(Struct, frozen=True, tag=True, omit_defaults=True):
    """Stage every link of one partition that the collection did not touch, for a full evaluation; with `edges`, the
    memberships of its groups instead.
    """

    type_: ObjectType
    nibble: str
    after: str = ""
    edges: bool = False


class Decide(Struct, frozen=True, tag=True, omit_defaults=True):
    """Observe and decide. `slots` are this step's share of the instance."""

    lane: Lane
    first: str
    last: str
    rows: int
    slots: int = 1
    after: str = ""


class Review(Struct, frozen=True, tag=True, omit_defaults=True):
    """Count the removals of the whole plan and hold them if they are too many. An `early` one is about the leavers
    alone, before the rest of the plan is decided.
    """

    early: bool = False


class Act(Struct, frozen=True, tag=True, omit_defaults=True):
    """Carry out decisions. `slots` are this step's share of the instance. A `patient` step leaves a user whose manager
    is still to be created for the next wave.
    """

    lane: Lane
    first: str
    last: str
    rows: int
    slots: int = 1
    patient: bool = True
    after: str = ""


class Finish(Struct, frozen=True, tag=True):
    """Store the watermarks and close the cycle's record."""


Step = (
    Reset
    | OpenTokens
    | ReadDelta
    | ReadAssignments
    | CompareAssignments
    | StageWaiting
    | ReadChanges
    | Compare
    | Sweep
    | Decide
    | Review
    | Act
    | Finish
)


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a step could not be done. `halts` means that a person must act; `expired` that Graph forgot the token.
    `retry_after` is in seconds.
    """

    code: str
    message: str
    halts: bool = False
    expired: bool = False
    retry_after: float = 0.0


class StepResult(Struct, frozen=True, omit_defaults=True):
    """What one step did. `follow_up` goes on where the time box ended it; `staged` and `decided` count rows by lane
    and bin: new ones without a decision, and those that now have one to be carried out. `repeated` is true when the
    step was delivered before, so that a part of what it did is not counted here. `refused` is true when ServiceNow
    refused calls because there were too many at once. `written` says of the records that were updated last when
    ServiceNow says they were, `ended` are the memberships that were ended last.
    """

    follow_up: Step | None = None
    staged: dict[str, dict[str, int]] = field(default_factory=dict)
    decided: dict[str, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    watermarks: dict[str, str] = field(default_factory=dict)
    access: str = ""
    written: dict[str, str] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    deferred: int = 0
    done: int = 0
    repeated: bool = False
    refused: bool = False
    held: str | None = None
    failure: Failure | None = None


class Turn(Struct, frozen=True):
    """Whose move it is: a driver that resumes a cycle takes it from the one before, and each round has a number."""

    driver: str
    round: int


class Progress(Struct, frozen=True, omit_defaults=True):
    """Where a cycle stands. Times are seconds since 1970.

    `todo` are steps not yet given out, `steps` those in flight, `later` the steps of the next wave. `bins` counts rows
    to be decided and `decided` rows to be carried out that no step in `todo` or `later` covers. `generation` names
    the newest complete list of assignments, `discard` the one before it. `driver` names who drives the cycle and holds
    the job's lease; `slots` are the calls to ServiceNow that it may use at once. `schema` is the version of the schema
    that the cycle began with, and `kept` are the settings of the API that it began with; `restart` names the order to
    begin anew that it began with, and `reset` what of it is still to be done. Others' changes in ServiceNow are read
    from `changes_since` on (0: not at all), and the bins from
    the first to the last of `compares` are compared. `disturbed` is true once a step ended in the middle: what it
    counted may be wrong. `reviewed` is true when all the harm that was decided has been counted,
    `early` while a cycle that collected again before it had decided everything takes care of who has left meanwhile.
    `got_on` is true when more than groups and leavers was decided or carried out since it last collected again.
    `written` and `ended` are the newest of what the steps answered.
    """

    cycle: str
    kind: Literal["initial", "incremental"]
    began: float
    configuration: str = ""
    access: str = ""
    schema: str = ""
    kept: dict[str, str] = field(default_factory=dict)
    restart: str = ""
    reset: tuple[ResetScope, ...] = ()
    changes_since: float = 0.0
    compares: tuple[str, str] | None = None
    slots: int = 0
    everyone: bool = False
    dry_run: bool = False
    driver: str = ""
    disturbed: bool = False
    phase: Phase = "begin"
    round: int = 0
    passes: int = 0
    collected: float = 0.0
    swept: bool = False
    reviewed: bool = False
    early: bool = False
    got_on: bool = False
    todo: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    later: tuple[Act, ...] = ()
    wave_done: int = 0
    bins: dict[str, dict[str, int]] = field(default_factory=dict)
    decided: dict[str, dict[str, int]] = field(default_factory=dict)
    watermarks: dict[str, str] = field(default_factory=dict)
    generation: str = ""
    discard: str = ""
    written: dict[str, str] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    retry_at: float = 0.0
    halted: Failure | None = None
    held: str | None = None
    finished: bool = False

    @property
    def turn(self) -> Turn:
        return Turn(self.driver, self.round)

    @property
    def at_rest(self) -> bool:
        """True when nobody drives the cycle: it came to its end, or a person must act first."""
        return self.finished or self.halted is not None
