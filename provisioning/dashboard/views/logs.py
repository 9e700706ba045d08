"""The log: what was done to whom, and one entry of it in full. Pure; entries are Graph's provisioningObjectSummary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provisioning.dashboard.views.log_search import ADDRESS, Search
from provisioning.dashboard.views.plan import Change
from provisioning.dashboard.views.wording import ACTIONS, STATUSES, Badge, Moment, counted, moment, sentence_case
from provisioning.rules.durations import duration
from provisioning.rules.log_tables import COLUMNS
from provisioning.rules.sentences import sentence, who_is_it
from provisioning.rules.summary import CONNECTION, DETERMINED

STEPS = {
    "import": "Import",
    "scoping": "Scope",
    "matching": "Match",
    "referenceResolution": "References",
    "processing": "Values",
    "export": "Action",
}
NONE = Badge("Unknown", "quiet")


@dataclass(frozen=True, slots=True)
class LogLine:
    at: Moment
    status: Badge
    action: Badge
    text: str
    address: str


@dataclass(frozen=True, slots=True)
class LogsView:
    """`looked` says how far back this page has looked, where it has not come to the end."""

    search: Search
    lines: tuple[LogLine, ...]
    told: str
    first: str
    following: str
    words: str
    exports: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    status: Badge
    text: str
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EntryView:
    text: str
    at: Moment
    status: Badge
    action: Badge
    who: str
    error: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    changes: tuple[Change, ...]
    summary: tuple[tuple[str, str], ...]
    same: str


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was searched for. `token` goes on where it ends, None at the end of the log; `looked` is how many
    entries were looked through for it where that made it end before it was full, else 0. `names` are those of users and
    groups by their ids, for memberships.
    """

    entries: Sequence[Mapping[str, Any]]
    token: str | None
    looked: int = 0
    names: Mapping[str, str] = field(default_factory=dict)


def logs_view(search: Search, page: Found, *, now: float, first: bool) -> LogsView:
    entries, token = page.entries, page.token
    following = search.address(after=token) if token is not None else ""
    if page.looked:
        told = f"{counted(len(entries), 'entry', 'entries')} among {page.looked:,} that were looked through."
    elif not entries:
        told = "Nothing that this search asks for." if search.given else "Nothing has been logged yet."
    else:
        told = ""
    return LogsView(
        search=search,
        lines=tuple(_line(each, page.names, now) for each in entries),
        told=told,
        first="" if first else search.address(),
        following=following,
        words="Look further back" if page.looked else "Older entries",
        exports=tuple(_exports(search)),
    )


def _line(entry: Mapping[str, Any], names: Mapping[str, str], now: float) -> LogLine:
    address = Search().address(f"{ADDRESS}/entry", change=entry["changeId"], at=entry["activityDateTime"])
    status, action = entry["provisioningStatusInfo"]["status"], entry["provisioningAction"]
    return LogLine(
        _at(entry, now),
        STATUSES.get(status, NONE),
        ACTIONS.get(action, NONE),
        sentence_case(named(entry, names)),
        address,
    )


def _action(entry: Mapping[str, Any]) -> Badge:
    return ACTIONS.get(entry["provisioningAction"], NONE)


def named(entry: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The sentence of an entry; a membership is known by two ids, in whose place a person wants two names."""
    text = sentence(entry)
    for membership in memberships_of([entry]):
        for source_id in membership.split(":"):
            text = text.replace(source_id, names.get(source_id, source_id), 1)
    return text


def memberships_of(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of the memberships among what the entries are about."""
    identities = (entry["sourceIdentity"] for entry in entries)
    return [str(each["id"]) for each in identities if each["identityType"] == "GroupMembership"]


def _at(entry: Mapping[str, Any], now: float) -> Moment:
    return moment(datetime.fromisoformat(entry["activityDateTime"]).timestamp(), now)


def _exports(search: Search) -> Iterator[tuple[str, str]]:
    yield "JSON", search.address(f"{ADDRESS}/export", form="json")
    for table in COLUMNS:
        name = table.removeprefix("ProvisioningLogs").strip("_") or "Entries"
        yield f"CSV: {name}", search.address(f"{ADDRESS}/export", form=table)


def entry_view(entry: Mapping[str, Any], names: Mapping[str, str], now: float) -> EntryView:
    info = entry["provisioningStatusInfo"]
    error = info["errorInformation"]
    source = entry["sourceIdentity"]
    return EntryView(
        text=sentence_case(named(entry, names)),
        at=_at(entry, now),
        status=STATUSES.get(info["status"], NONE),
        action=_action(entry),
        who=who_is_it(entry),
        error=tuple(_error(error)) if error else (),
        steps=tuple(_step(each) for each in entry["provisioningSteps"]),
        changes=tuple(
            Change(each["displayName"], each["oldValue"], each["newValue"]) for each in entry["modifiedProperties"]
        ),
        summary=tuple(_summary(entry)),
        same=Search(who=source["id"]).address() if source["identityType"] != "GroupMembership" else "",
    )


def _error(error: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Code", error["errorCode"]
    yield "Reason", sentence_case(error["reason"] or "")
    if error["recommendedAction"]:
        yield "What to do", sentence_case(error["recommendedAction"])


def _step(step: Mapping[str, Any]) -> Step:
    name = STEPS.get(step["provisioningStepType"], step["provisioningStepType"])
    if step["name"] in DETERMINED.values():
        name = "Decision"
    elif step["name"] == CONNECTION:
        name = "Connection"
    details = tuple((key, str(value)) for key, value in step["details"].items())
    return Step(name, STATUSES.get(step["status"], NONE), sentence_case(step["description"]), details)


def _summary(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    source, target = entry["sourceIdentity"], entry["targetIdentity"]
    yield "In Microsoft Entra ID", f"{source['identityType']} {source['id']}"
    yield "In ServiceNow", f"{target['identityType']} {target['id'] or 'no record'}"
    yield "Asked for by", entry["initiatedBy"]["displayName"]
    yield "Took", duration(entry["durationInMilliseconds"] / 1000)
    yield "Cycle", entry["cycleId"]
    yield "Change", entry["changeId"]
